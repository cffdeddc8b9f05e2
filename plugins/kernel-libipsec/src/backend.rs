//! The [`KernelIpsec`] that the daemon sees.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use arc_swap::ArcSwap;
use iana::Protocol;
use nix::sys::eventfd::{EfdFlags, EventFd};
use plugin_api::kernel::{KernelFeatures, PolicyParameters, ReceivedEsp, SaId, SaParameters, SaUsage};
use plugin_api::log::{AUDIT, CONTROL, Group};
use plugin_api::{ErrorKind, Host, KernelIpsec, PluginError, Reply};

use crate::drops::Drops;
use crate::io::DataPath;
use crate::offload::merge::Merged;
use crate::raw::Raw;
use crate::routes::Routes;
use crate::sad::{Endpoints, NO_UDP, Sa, Sad};
use crate::settings::Settings;
use crate::spd::Spd;
use crate::timer::Timer;
use crate::tun::{Offload, Tun};
use crate::udp::Socket;

/// ESP in user space; its threads end and its device and routes go when it is dropped.
pub struct Libipsec {
    path: Arc<DataPath>,
    routes: Routes,
    settings: Settings,
    /// Keeps one daemon call from overtaking another between SPD and routes.
    policies: Mutex<()>,
    outbound: Option<JoinHandle<()>>,
    /// ESP without UDP.
    raw: Option<Raw>,
}

impl Libipsec {
    /// Makes the TUN device and starts the threads.
    ///
    /// # Errors
    ///
    /// If a setting is invalid, the device cannot be made, or threads cannot be started.
    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    pub fn new(host: Arc<dyn Host>) -> Result<Self, PluginError> {
        let settings = Settings::read(&*host)?;
        let tun = Tun::open("ipsec%d", settings.mtu)?;
        host.log(
            Group::Lib,
            CONTROL,
            &format!("created TUN device: {}", tun.name()),
        );
        // Virtual addresses have to be where packets go into tunnels.
        host.submit("virtual-ip-device", &named(tun.name()), Arc::new(Unheard));
        let system = |what: &str, error: std::io::Error| PluginError::system(what, &error);
        let stop = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(|errno| system("making an eventfd", errno.into()))?;
        let timer = Timer::start(Arc::clone(&host))?;
        let routes = Routes::new(Arc::clone(&host), tun.name().to_owned(), settings.allow_peer_ts);
        let merged = Merged::new(tun.offload() == Offload::TcpAndUdp);
        let path = Arc::new(DataPath {
            host,
            tun,
            sad: Sad::default(),
            spd: Spd::default(),
            timer,
            drops: Drops::new(Instant::now()),
            sockets: ArcSwap::default(),
            stop,
            sent: AtomicU64::new(0),
            inbound: Mutex::new(merged),
        });
        let raw = match settings.raw_esp {
            true => Raw::start(&path, settings.mark)?,
            false => None,
        };
        let own = Arc::clone(&path);
        let outbound = thread::Builder::new()
            .name("libipsec-out".into())
            .spawn(move || own.run_outbound())
            .map_err(|error| system("starting the thread libipsec-out", error))?;
        Ok(Self {
            path,
            routes,
            settings,
            policies: Mutex::new(()),
            outbound: Some(outbound),
            raw,
        })
    }

    /// Fails unless ESP to an address can go without UDP.
    fn needs_raw(&self, destination: IpAddr) -> Result<(), PluginError> {
        let ipv6 = destination.is_ipv6();
        if self.raw.as_ref().is_some_and(|raw| raw.has(ipv6)) {
            return Ok(());
        }
        Err(PluginError::new(
            ErrorKind::NotSupported,
            "ESP in user space goes in UDP only; set forceencaps=yes (encap = yes), or \
             charon.plugins.kernel-libipsec.raw_esp = yes in strongswan.conf",
        ))
    }

    /// The name of the TUN device.
    pub fn device(&self) -> &str {
        self.path.tun.name()
    }

    /// Counts of packets that were not carried.
    pub fn drops(&self) -> &Drops {
        &self.path.drops
    }
}

/// A vici message with the key `name`.
fn named(name: &str) -> Vec<u8> {
    let mut message = vec![3, 4];
    message.extend(b"name");
    message.extend((name.len() as u16).to_be_bytes());
    message.extend(name.as_bytes());
    message
}

/// Nothing can be done about the answer.
struct Unheard;

impl Reply for Unheard {
    fn event(&self, _name: &str, _message: &[u8]) -> bool {
        false
    }

    fn done(&self, _message: &[u8]) {}
}

impl Drop for Libipsec {
    fn drop(&mut self) {
        self.routes.clear();
        // Writing to an eventfd fails only when its counter is full, and then the thread is woken as well.
        let _ = self.path.stop.write(1);
        if let Some(thread) = self.outbound.take()
            && thread.join().is_err()
        {
            self.path
                .host
                .log(Group::Esp, AUDIT, "the thread libipsec-out had panicked");
        }
        if self.raw.take().is_some_and(|raw| raw.join().is_err()) {
            self.path
                .host
                .log(Group::Esp, AUDIT, "the thread libipsec-raw had panicked");
        }
    }
}

impl KernelIpsec for Libipsec {
    fn features(&self) -> KernelFeatures {
        KernelFeatures {
            require_udp_encap: self.raw.is_none(),
            tfc: false,
            marks: false,
            interfaces: false,
            hw_offload: false,
        }
    }

    fn allocate_spi(&self, _src: IpAddr, _dst: IpAddr, protocol: Protocol) -> Result<u32, PluginError> {
        if protocol != Protocol::ESP {
            return Err(PluginError::new(
                ErrorKind::NotSupported,
                format!("user space IPsec knows no {protocol}"),
            ));
        }
        let (min, max) = self.settings.spi_range;
        // Misses are rare unless the range is nearly used up, and then an error is due.
        for _ in 0..4096 {
            let random = getrandom::u32().map_err(|error| {
                PluginError::new(ErrorKind::System, format!("no randomness for an SPI: {error}"))
            })?;
            let span = u64::from(max - min) + 1;
            let spi = min + (u64::from(random) % span) as u32;
            if self.path.sad.reserve(spi) {
                return Ok(spi);
            }
        }
        Err(PluginError::new(
            ErrorKind::System,
            format!("no SPI is free between {min:#x} and {max:#x}; widen charon.spi_min and charon.spi_max"),
        ))
    }

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn add_sa(&self, parameters: &SaParameters) -> Result<(), PluginError> {
        if parameters.encap.is_none() {
            self.needs_raw(parameters.id.dst)?;
        }
        let sa = Arc::new(Sa::new(parameters, Instant::now())?);
        self.path.sad.add(Arc::clone(&sa))?;
        self.path.timer.watch(&sa);
        Ok(())
    }

    fn update_sa(&self, id: &SaId, src: SocketAddr, dst: SocketAddr, encap: bool) -> Result<(), PluginError> {
        let (mut src, mut dst) = (src, dst);
        if !encap {
            self.needs_raw(dst.ip())?;
            src.set_port(NO_UDP);
            dst.set_port(NO_UDP);
        }
        let sa = self.path.sad.find(id)?;
        let old = sa.endpoints();
        let new = Endpoints::of(sa.inbound, src, dst);
        // Before the first packet goes there, or it would be led into the device.
        if !sa.inbound {
            self.routes
                .move_peer(sa.reqid, old.remote.ip(), new.remote.ip(), new.local.ip());
        }
        sa.move_to(new);
        Ok(())
    }

    #[allow(clippy::disallowed_methods)] // plugins that touch the world read clocks
    fn query_sa(&self, id: &SaId) -> Result<SaUsage, PluginError> {
        Ok(self.path.sad.find(id)?.usage(Instant::now()))
    }

    fn delete_sa(&self, id: &SaId) -> Result<(), PluginError> {
        if let Some(sa) = self.path.sad.remove(id)? {
            self.path.timer.forget(&sa);
        }
        Ok(())
    }

    fn flush_sas(&self) -> Result<(), PluginError> {
        self.path.sad.clear();
        self.path.timer.forget_all();
        Ok(())
    }

    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        let _one_at_a_time = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(treatment) = self.path.spd.add(policy)?
            && let Err(error) = self.routes.add(policy, treatment)
        {
            self.path.spd.remove(policy)?;
            return Err(error);
        }
        Ok(())
    }

    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        let _one_at_a_time = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = self.path.spd.remove(policy)? {
            self.routes.remove(&last);
        }
        Ok(())
    }

    fn flush_policies(&self) -> Result<(), PluginError> {
        let _one_at_a_time = self.policies.lock().unwrap_or_else(PoisonError::into_inner);
        self.path.spd.clear();
        self.routes.clear();
        Ok(())
    }

    /// Policies of user space see only what routes lead into the device, and [`Routes`] keep the peer's address out
    /// of it; so there is nothing to exempt a socket from.
    fn bypass_socket(&self, _socket: RawFd, _ipv6: bool) -> Result<(), PluginError> {
        Ok(())
    }

    #[allow(unsafe_code)] // the interface hands over a number
    fn enable_udp_decap(&self, socket: RawFd, ipv6: bool, port: u16) -> Result<(), PluginError> {
        // SAFETY: the caller keeps the descriptor open as long as the daemon lives, see KernelIpsec::enable_udp_decap.
        let borrowed = unsafe { BorrowedFd::borrow_raw(socket) };
        let own = borrowed.try_clone_to_owned().map_err(|error| {
            PluginError::system(format!("duplicating the socket of UDP port {port}"), &error)
        })?;
        let own = Arc::new(Socket::new(own, ipv6, port));
        self.path.sockets.rcu(|sockets| {
            let mut sockets = Vec::clone(sockets);
            sockets.retain(|other| (other.ipv6, other.port) != (ipv6, port));
            sockets.push(Arc::clone(&own));
            sockets
        });
        Ok(())
    }

    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        self.path.receive(received, packets);
    }
}
