//! What strongswan.conf says of configuration payloads: attributes for peers (plugin `attr`), and who has a use for DNS
//! servers that peers name (plugins `resolve` and `updown`).

use config::attribute::{self, Attribute};
use config::settings::{Settings, truth};
use config::time;
use plugin_api::log::Group;

use crate::bus::SCRIPT_TIMEOUT;
use crate::run::Daemon;

const ATTR: &str = "charon.plugins.attr";

impl Daemon {
    /// Takes over what the settings say of configuration payloads.
    pub(crate) fn configure_payloads(&mut self) {
        let settings = self.host.settings();
        let mut given = Vec::new();
        if self.plugins.has("attr") {
            let (attributes, problems) = attributes(&settings);
            for problem in problems {
                self.logger.log(Group::Cfg, 1, problem);
            }
            given = attributes;
        }
        self.endpoint.set_attributes(given);
        let scripts = settings.get("charon.plugins.updown.dns_handler");
        let scripts = scripts.and_then(truth).unwrap_or(false) && self.plugins.has("updown");
        self.endpoint.set_uses_dns(scripts || self.plugins.has("resolve"));
        self.bus.set_dns_in_scripts(scripts);
        let timeout = settings
            .get("charon.plugins.updown.timeout")
            .and_then(time::parse);
        self.bus.set_script_timeout(timeout.unwrap_or(SCRIPT_TIMEOUT));
    }
}

/// The attributes, and which could not be read.
fn attributes(settings: &Settings) -> (Vec<Attribute>, Vec<String>) {
    let (mut attributes, mut problems) = (Vec::new(), Vec::new());
    let mut read = |path: &str, key: &str| {
        let values = settings.get(path).unwrap_or_default().split(',').map(str::trim);
        for value in values.filter(|value| !value.is_empty()) {
            match parse(key, value) {
                Ok(attribute) => attributes.extend(attribute),
                Err(error) => {
                    let place = settings.place(path).unwrap_or("strongswan.conf");
                    let wrong = match error {
                        attribute::Error::Key => "there is no such attribute",
                        attribute::Error::Value => "the attribute has no such value",
                    };
                    problems.push(format!("{path} = {value}: {wrong}, ignored ({place})"));
                }
            }
        }
    };
    for (key, attribute) in [
        ("dns1", "dns"),
        ("dns2", "dns"),
        ("nbns1", "nbns"),
        ("nbns2", "nbns"),
    ] {
        read(&format!("charon.{key}"), attribute);
    }
    for key in settings.keys(ATTR) {
        if key != "load" {
            read(&format!("{ATTR}.{key}"), &key);
        }
    }
    (attributes, problems)
}

/// An attribute that has a number may be an address or a subnet, too.
fn parse(key: &str, value: &str) -> Result<Option<Attribute>, attribute::Error> {
    if let Ok(number) = key.parse::<u16>() {
        for kind in ["dhcp", "subnet"] {
            if let Ok(Some((_, octets))) = attribute::parse(kind, value)
                && (kind == "dhcp" || value.contains('/'))
            {
                return Ok(Some((number.into(), octets)));
            }
        }
    }
    attribute::parse(key, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_numbers_are_attributes_and_the_rest_is_named_with_its_line() {
        let text = "charon {\n dns1 = 10.1.0.1\n nbns2 = fec1::2\n plugins {\n  attr {\n   load = yes\n   \
                    dns = 10.1.0.3, moon\n   16386 = 10.1.0.4\n   30000 = text\n   split-include = 10.0.0.0/8\n   \
                    dsn = 10.1.0.1\n  }\n }\n}\n";
        let settings = Settings::parse(text, "strongswan.conf").unwrap();
        let (attributes, problems) = attributes(&settings);
        let found: Vec<_> = attributes
            .iter()
            .map(|(kind, value)| (kind.0, value.len()))
            .collect();
        assert_eq!(found, [(3, 4), (11, 16), (3, 4), (16386, 4), (30000, 4)]);
        assert_eq!(
            problems,
            [
                "charon.plugins.attr.dns = moon: the attribute has no such value, ignored (strongswan.conf:7)",
                "charon.plugins.attr.dsn = 10.1.0.1: there is no such attribute, ignored (strongswan.conf:11)",
            ]
        );
    }
}
