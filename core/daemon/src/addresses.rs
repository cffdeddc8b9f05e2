//! Virtual addresses of this host: on which interface each is, and how many IKE_SAs have it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use config::settings::truth;
use plugin_api::log::Group;
use plugin_api::{ErrorKind, Host, KernelNet, PluginError};

use crate::host::DaemonHost;
use crate::log::Logger;

/// See the module.
pub struct VirtualAddresses {
    host: Arc<DaemonHost>,
    logger: Arc<Logger>,
    /// The device of a back end in user space, which packets have to go into.
    device: Option<String>,
    installed: Mutex<BTreeMap<IpAddr, Installed>>,
}

struct Installed {
    users: usize,
    /// The peer of the first of them.
    peer: IpAddr,
    /// Where we put it, if we did.
    interface: Option<String>,
}

impl VirtualAddresses {
    /// None yet.
    pub fn new(host: Arc<DaemonHost>, logger: Arc<Logger>) -> Self {
        Self {
            host,
            logger,
            device: None,
            installed: Mutex::default(),
        }
    }

    /// Names the device of a back end in user space.
    pub fn set_device(&mut self, name: &str) {
        self.device = Some(name.to_owned());
    }

    /// Installs an address for the way to a peer. One that is there already stays there when nobody needs it any more.
    ///
    /// # Errors
    ///
    /// If there is no interface for it, or the kernel refuses.
    pub fn add(&self, address: IpAddr, peer: IpAddr) -> Result<(), PluginError> {
        let mut installed = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = installed.get_mut(&address) {
            known.users += 1;
            return Ok(());
        }
        let interface = if self.are_wanted() {
            self.install(address, peer)?
        } else {
            None
        };
        let first = Installed {
            users: 1,
            peer,
            interface,
        };
        installed.insert(address, first);
        Ok(())
    }

    /// Removes an address when the last has given it back.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn delete(&self, address: IpAddr) -> Result<(), PluginError> {
        let mut installed = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = installed.get_mut(&address) else {
            return Ok(());
        };
        known.users -= 1;
        if known.users > 0 {
            return Ok(());
        }
        let known = installed.remove(&address);
        match known.and_then(|known| known.interface) {
            Some(interface) => self.net()?.delete_address(address, whole(address), &interface),
            None => Ok(()),
        }
    }

    /// Routes have changed: each address goes to the interface that leads to its peer now.
    pub fn follow_routes(&self) {
        if self.device.is_some() || self.host.setting("charon.install_virtual_ip_on").is_some() {
            return;
        }
        let Ok(net) = self.net() else { return };
        let mut installed = self.installed.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, known) in installed.iter_mut() {
            let (Some(before), Ok(hop)) = (&mut known.interface, net.next_hop(known.peer, None)) else {
                continue;
            };
            if *before == hop.interface {
                continue;
            }
            match net.add_address(*address, whole(*address), &hop.interface) {
                Ok(()) => {
                    let text = format!("moving virtual IP {address} from {before} to {}", hop.interface);
                    self.logger.log(Group::Knl, 1, text);
                    let before = std::mem::replace(before, hop.interface);
                    // It may have gone with the interface.
                    let _ = net.delete_address(*address, whole(*address), &before);
                }
                Err(error) => {
                    let text = format!("virtual IP {address} stays on {before}: {error}");
                    self.logger.log(Group::Knl, 1, text);
                }
            }
        }
    }

    fn are_wanted(&self) -> bool {
        let setting = self.host.setting("charon.install_virtual_ip");
        setting.and_then(|text| truth(&text)).unwrap_or(true)
    }

    fn install(&self, address: IpAddr, peer: IpAddr) -> Result<Option<String>, PluginError> {
        let net = self.net()?;
        let interface = match self.host.setting("charon.install_virtual_ip_on") {
            Some(configured) => configured,
            None => match &self.device {
                Some(device) => device.clone(),
                None => net.next_hop(peer, None)?.interface,
            },
        };
        match net.add_address(address, whole(address), &interface) {
            Ok(()) => Ok(Some(interface)),
            Err(error) if error.kind == ErrorKind::AlreadyExists => {
                let text = format!("virtual IP {address} is on {interface} already, and will be left there");
                self.logger.log(Group::Knl, 1, text);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn net(&self) -> Result<Arc<dyn KernelNet>, PluginError> {
        self.host.kernel_net().ok_or_else(|| {
            let text = "no plugin installs addresses; add kernel-netlink to charon.load";
            PluginError::new(ErrorKind::NotSupported, text)
        })
    }
}

/// The length of the prefix that is one address.
fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use config::settings::Settings;

    use super::*;
    use crate::testing::AddressNet;

    const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 3, 0, 1));
    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 0, 2));

    fn addresses(settings: &str) -> (VirtualAddresses, Arc<AddressNet>) {
        let logger = Logger::start().unwrap();
        let (input, _) = crate::input::channel();
        let settings = Settings::parse(settings, "strongswan.conf").unwrap();
        let host = DaemonHost::new(settings, Arc::clone(&logger), input);
        let net = Arc::new(AddressNet::default());
        host.set_kernel_net(Arc::clone(&net) as Arc<dyn KernelNet>);
        (VirtualAddresses::new(Arc::new(host), logger), net)
    }

    fn there(net: &AddressNet) -> Vec<(IpAddr, u8, String)> {
        net.addresses.lock().unwrap().clone()
    }

    #[test]
    fn an_address_is_where_the_setting_or_the_device_or_the_route_says() {
        for (settings, device, interface) in [
            ("", None, "eth0"),
            ("", Some("ipsec0"), "ipsec0"),
            (
                "charon { install_virtual_ip_on = dummy0\n }",
                Some("ipsec0"),
                "dummy0",
            ),
        ] {
            let (mut addresses, net) = addresses(settings);
            if let Some(device) = device {
                addresses.set_device(device);
            }
            addresses.add(VIP, PEER).unwrap();
            assert_eq!(there(&net), [(VIP, 32, interface.to_owned())]);
            addresses.delete(VIP).unwrap();
            assert!(there(&net).is_empty());
        }
    }

    #[test]
    fn it_stays_as_long_as_somebody_has_it() {
        let (addresses, net) = addresses("");
        addresses.add(VIP, PEER).unwrap();
        addresses.add(VIP, PEER).unwrap();
        addresses.delete(VIP).unwrap();
        assert_eq!(there(&net).len(), 1);
        addresses.delete(VIP).unwrap();
        assert!(there(&net).is_empty());
        addresses.delete(VIP).expect("nothing to do");
    }

    #[test]
    fn it_goes_where_the_routes_to_its_peer_go() {
        for (settings, device, interface) in [
            ("", None, "wlan0"),
            ("", Some("ipsec0"), "ipsec0"),
            ("charon { install_virtual_ip_on = dummy0\n }", None, "dummy0"),
        ] {
            let (mut addresses, net) = addresses(settings);
            if let Some(device) = device {
                addresses.set_device(device);
            }
            addresses.add(VIP, PEER).unwrap();
            addresses.follow_routes();
            assert_eq!(there(&net).len(), 1);
            *net.way_out.lock().unwrap() = Some("wlan0".into());
            addresses.follow_routes();
            assert_eq!(there(&net), [(VIP, 32, interface.to_owned())]);
            addresses.delete(VIP).unwrap();
            assert!(there(&net).is_empty());
        }
    }

    #[test]
    fn nothing_is_installed_if_the_operator_does_it_or_has_done_it() {
        let (addresses_, net) = addresses("charon { install_virtual_ip = no\n }");
        addresses_.add(VIP, PEER).unwrap();
        assert!(there(&net).is_empty());
        addresses_.delete(VIP).unwrap();
        let (addresses, net) = addresses("");
        net.add_address(VIP, 32, "eth0").unwrap();
        addresses.add(VIP, PEER).expect("it is there");
        addresses.delete(VIP).unwrap();
        assert_eq!(there(&net).len(), 1, "the operator's");
    }
}
