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
        self.bus.set_tun(name);
        Ok(success())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::tests::ask_message;
    use super::*;
    use crate::testing::{TestKernel, daemon, lines};

    fn said(daemon: &mut Daemon, verb: &str, request: &Message) -> Vec<String> {
        let answers = ask_message(daemon, verb, request);
        let done = answers.done.lock().unwrap();
        lines(done.as_ref().expect("an answer"))
    }

    fn pool(name: &str, addrs: &str) -> Message {
        Message::new().section(name, |pool| {
            pool.value("addrs", addrs).list("dns", ["10.1.0.1", "fec1::1"])
        })
    }

    #[test]
    fn pools_are_loaded_listed_and_unloaded() {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        assert_eq!(
            said(&mut daemon, "load-pool", &pool("rw", "10.4.0.0/24")),
            ["success = yes"]
        );
        let listed = [
            "rw.base = 10.4.0.1",
            "rw.size = 254",
            "rw.online = 0",
            "rw.offline = 0",
        ];
        assert_eq!(said(&mut daemon, "get-pools", &Message::new()), listed);
        for (request, error) in [
            (pool("rw", "moon"), "invalid addrs value: moon"),
            (
                Message::new().section("rw", |pool| pool),
                "missing addrs for pool 'rw'",
            ),
            (
                Message::new().section("rw", |pool| pool.list("dsn", ["10.1.0.1"])),
                "invalid attribute: dsn",
            ),
            (
                Message::new().section("rw", |pool| pool.list("dns", ["moon"])),
                "invalid attribute value for dns",
            ),
        ] {
            let answer = said(&mut daemon, "load-pool", &request);
            assert_eq!(answer, ["success = no".to_owned(), format!("errmsg = {error}")]);
        }
        assert_eq!(
            said(&mut daemon, "get-pools", &Message::new()),
            listed,
            "nothing is lost"
        );
        let name = Message::new().value("name", "rw");
        assert_eq!(said(&mut daemon, "unload-pool", &name), ["success = yes"]);
        assert_eq!(
            said(&mut daemon, "unload-pool", &name),
            ["success = no", "errmsg = rw not found"]
        );
    }

    #[test]
    fn pools_of_ipsec_conf_are_listed_only_for_the_ipsec_command() {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        let names = ["10.3.0.0/30".to_owned(), "rw".to_owned(), "external".to_owned()];
        for _ in 0..2 {
            daemon.add_pools_of("rw", &names, "ipsec.conf:1");
        }
        assert!(said(&mut daemon, "get-pools", &Message::new()).is_empty());
        let all = said(&mut daemon, "get-pools", &Message::new().flag("stroke", true));
        let sizes: Vec<&String> = all.iter().filter(|line| line.contains(".size")).collect();
        assert_eq!(sizes, ["10.3.0.0/30.size = 2", "rw.size = 0"]);
    }
}
