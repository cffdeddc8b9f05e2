//! `load-pool`, `unload-pool` and `get-pools`: ranges of virtual addresses, and who has which.

use config::attribute;
use control::vici::{Element, Message};
use ike::{AddressPool, Online, PoolOutcome, PoolSource};
use plugin_api::log::Group;

use super::message::Extra;
use super::{Answer, success};
use crate::run::Daemon;

impl Daemon {
    /// `load-pool`: a section with the name of the pool, `addrs`, and lists of attributes.
    pub(super) fn load_pool(&mut self, request: &Message) -> Answer {
        for (name, section) in request.sections() {
            let mut pool = None;
            let mut attributes = Vec::new();
            for element in &section.elements {
                let key = element.name();
                match element {
                    Element::Value(_, octets) if key == "addrs" => {
                        let text = String::from_utf8_lossy(octets);
                        if pool.replace(text.into_owned()).is_some() {
                            return Err("multiple addrs defined".into());
                        }
                    }
                    Element::List(_, items) => {
                        for item in items {
                            let parsed = attribute::parse(key, &String::from_utf8_lossy(item));
                            attributes.extend(parsed.map_err(|error| match error {
                                attribute::Error::Key => format!("invalid attribute: {key}"),
                                attribute::Error::Value => format!("invalid attribute value for {key}"),
                            })?);
                        }
                    }
                    _ => return Err(format!("invalid attribute: {key}")),
                }
            }
            let addrs = pool.ok_or_else(|| format!("missing addrs for pool '{name}'"))?;
            let pool = AddressPool::new(name, &addrs, PoolSource::Vici, attributes);
            self.put_pool(pool.ok_or_else(|| format!("invalid addrs value: {addrs}"))?)?;
        }
        Ok(success())
    }

    fn put_pool(&mut self, pool: AddressPool) -> Result<(), String> {
        let (name, base, size) = (pool.name().to_owned(), pool.base(), pool.size());
        let verb = match self.endpoint.pools_mut().put(pool) {
            Ok(PoolOutcome::Added) => "added",
            Ok(PoolOutcome::Updated) => "updated",
            Ok(PoolOutcome::Replaced) => "replaced",
            Err(Online(count)) => {
                let text = format!("vici pool {name} has {count} online leases, unable to replace");
                self.logger.log(Group::Cfg, 1, text);
                return Err(format!("vici pool {name} has online leases, unable to replace"));
            }
        };
        let text = format!("{verb} vici pool {name}: {base}, {size} entries");
        self.logger.log(Group::Cfg, 1, text);
        if verb != "updated" {
            self.report_overlaps(&name, PoolSource::Vici);
        }
        Ok(())
    }

    fn report_overlaps(&self, name: &str, source: PoolSource) {
        for text in self.endpoint.pools().overlaps(name, source) {
            self.logger.log(Group::Cfg, 1, text);
        }
    }

    /// The pools of a connection of ipsec.conf: those that are written as addresses come from there, and so does the one
    /// of its own name, whose clients choose.
    pub(super) fn add_pools_of(&mut self, connection: &str, names: &[String], source: &str) {
        for name in names {
            let pools = self.endpoint.pools();
            let known = |source| pools.get(name, source).is_some();
            let pool = AddressPool::new(name, name, PoolSource::IpsecConf, Vec::new());
            let text = match pool {
                Some(_) if known(PoolSource::IpsecConf) => {
                    format!("reusing virtual IP address pool {name}")
                }
                Some(pool) => {
                    // It is new, so nothing of it can be in use.
                    let _ = self.endpoint.pools_mut().put(pool);
                    format!("adding virtual IP address pool {name}")
                }
                None if name == connection && !known(PoolSource::IpsecConf) && !known(PoolSource::Vici) => {
                    let open = AddressPool::open(name, PoolSource::IpsecConf);
                    let _ = self.endpoint.pools_mut().put(open);
                    format!("adding virtual IP address pool {name}, whose clients choose their addresses")
                }
                None => continue,
            };
            self.logger.log(Group::Cfg, 1, text);
            for text in self.endpoint.pools().overlaps(name, PoolSource::IpsecConf) {
                let text = format!("connection '{connection}' of {source}: {text}");
                self.logger.log(Group::Cfg, 1, text);
            }
        }
    }

    /// `unload-pool`: `name`.
    pub(super) fn unload_pool(&mut self, request: &Message) -> Answer {
        let name = request.get_str("name").ok_or("missing pool name to unload")?;
        match self.endpoint.pools_mut().take(name, PoolSource::Vici) {
            Ok(Some(_)) => {
                let text = format!("unloaded vici pool {name}");
                self.logger.log(Group::Cfg, 1, text);
                Ok(success())
            }
            Ok(None) => Err(format!("{name} not found")),
            Err(Online(count)) => {
                let text = format!("vici pool {name} has {count} online leases, unable to unload");
                self.logger.log(Group::Cfg, 1, text);
                Err(format!("{name} has online leases, unable to unload"))
            }
        }
    }

    /// `get-pools`: `name` selects one, `leases` asks for who has which address. Ours: with `stroke` those of ipsec.conf are
    /// listed too, which `swanctl` would take for its own and unload.
    pub(super) fn get_pools(&self, request: &Message) -> Message {
        let (leases, all) = (request.is("leases"), request.is("stroke"));
        let wanted = request.get_str("name");
        let mut answer = Message::new();
        for pool in self.endpoint.pools().iter() {
            if wanted.is_some_and(|wanted| wanted != pool.name())
                || !(all || pool.source() == PoolSource::Vici)
            {
                continue;
            }
            let mut section = Message::new()
                .value("base", pool.base())
                .value("size", pool.size())
                .value("online", pool.online())
                .value("offline", pool.offline());
            if leases {
                let mut list = Message::new();
                for (number, lease) in pool.leases().enumerate() {
                    let status = if lease.online { "online" } else { "offline" };
                    let lease = Message::new()
                        .value("address", lease.address)
                        .value("identity", lease.identity)
                        .value("status", status);
                    list.push_section(&number.to_string(), lease);
                }
                section.push_section("leases", list);
            }
            answer.push_section(pool.name(), section);
        }
        answer
    }

    /// `virtual-ip-device`: `name`. Ours: a back end in user space says by which device it takes packets.
    pub(super) fn set_virtual_ip_device(&mut self, request: &Message) -> Answer {
        let name = request.get_str("name").filter(|name| !name.is_empty());
        let name = name.ok_or("missing name of the device")?;
        self.kernel.addresses.set_device(name);
        Ok(success())
    }
}
