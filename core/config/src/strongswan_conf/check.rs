//! What of a strongswan.conf does not do what it says, and where: unknown keys and sections, and keys without effect.

use std::fmt;

use super::keys::{Effect, KEYS, Key, Kind};
use crate::settings::{Settings, truth};
use crate::spelling;

/// Sections with the keys of `charon`.
const LIKE_CHARON: [&str; 3] = ["charon", "charon-systemd", "libstrongswan"];

/// Sections of programs of strongSwan that have no counterpart.
const FOREIGN: [&str; 24] = [
    "aikgen",
    "aikpub2",
    "attest",
    "charon-cmd",
    "charon-nm",
    "charon-tkm",
    "conftest",
    "imv_policy_manager",
    "libimcv",
    "libpts",
    "libtls",
    "libtnccs",
    "libtpmtss",
    "manager",
    "medcli",
    "medsrv",
    "pacman",
    "pki",
    "pool",
    "pt-tls-client",
    "scepclient",
    "sec-updater",
    "sw-collector",
    "tls_test",
];

/// What a section of `charon.plugins` is named after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// A plugin with all its keys in the table.
    Known,
    /// A plugin that is installed, or wanted, and has keys of its own.
    Foreign,
    /// No plugin, with what was probably meant.
    Unknown(Option<String>),
}

/// Something that does not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The key or section, `charon.prot`.
    pub name: String,
    /// File and line.
    pub place: String,
    /// What is the matter.
    pub what: What,
}

/// The kinds of findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// There is no such key, with what was probably meant.
    Key(Option<String>),
    /// There is no such section, with what was probably meant.
    Section(Option<String>),
    /// The value is not of the key's kind.
    Value(&'static str),
    /// The key has no effect, for this reason.
    Idle(&'static str),
    /// Nor has this one, but it demands something.
    Unmet(&'static str),
    /// Nor has this one, and the daemon must not run without it.
    Refused(&'static str),
}

impl Finding {
    /// The level of log lines about it.
    pub fn level(&self) -> i8 {
        i8::from(matches!(self.what, What::Idle(_)))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, place, what } = self;
        let meant = |near: &Option<String>| match near {
            Some(near) => format!(", did you mean '{near}'?"),
            None => String::new(),
        };
        match what {
            What::Key(near) => write!(f, "{place}: unknown key '{name}'{}", meant(near)),
            What::Section(near) => write!(f, "{place}: unknown section '{name}'{}", meant(near)),
            What::Value(expected) => write!(f, "{place}: {name}: expected {expected}, using the default"),
            What::Idle(reason) => write!(f, "{place}: {name} has no effect: {reason}"),
            What::Unmet(reason) => write!(f, "{place}: {name} cannot be followed: {reason}"),
            What::Refused(reason) => {
                write!(
                    f,
                    "{place}: {name} cannot be followed: {reason}; remove it to run without"
                )
            }
        }
    }
}

/// All findings, in the order of the file.
pub fn findings(settings: &Settings, plugin: &dyn Fn(&str) -> Plugin) -> Vec<Finding> {
    let mut check = Check {
        settings,
        plugin,
        found: Vec::new(),
    };
    for key in settings.keys("") {
        check.add(&[], &key, What::Key(None));
    }
    for root in settings.sections("") {
        if LIKE_CHARON.contains(&root.as_str()) {
            check.section(&[&root], &["charon"]);
        } else if root == "starter" || root == "swanctl" {
            check.section(&[&root], &[&root]);
        } else if !FOREIGN.contains(&root.as_str()) && !settings.is_referenced(&root) {
            let known = LIKE_CHARON.iter().chain(&["starter", "swanctl"]);
            let near = spelling::nearest(&root, known.map(|name| (*name).to_owned()));
            check.add(&[], &root, What::Section(near));
        }
    }
    check.found
}

struct Check<'a> {
    settings: &'a Settings,
    plugin: &'a dyn Fn(&str) -> Plugin,
    found: Vec<Finding>,
}

impl Check<'_> {
    /// Checks the section at `path`, whose keys the table has at `known`.
    fn section(&mut self, path: &[&str], known: &[&str]) {
        if let ["charon", "plugins", plugin] = known
            && !self.judges_plugin(path, plugin)
        {
            return;
        }
        for key in self.settings.keys(&path.join(".")) {
            let full = [known, &[key.as_str()]].concat();
            match row(&full) {
                Some(row) => self.value(path, &key, row),
                None => {
                    let near = spelling::nearest(&key, names(known));
                    self.add(path, &key, What::Key(near));
                }
            }
        }
        for name in self.settings.sections(&path.join(".")) {
            let full = [known, &[name.as_str()]].concat();
            if is_section(&full) {
                self.section(&[path, &[name.as_str()]].concat(), &full);
            } else if row(&full).is_none() {
                let near = spelling::nearest(&name, names(known));
                self.add(path, &name, What::Section(near));
            }
        }
    }

    /// Whether the keys of a plugin are to be judged: not if it is switched off, nor if they are unknown.
    fn judges_plugin(&mut self, path: &[&str], plugin: &str) -> bool {
        let load = self.settings.get(&format!("{}.load", path.join(".")));
        if load.is_some_and(|load| truth(load) == Some(false)) {
            return false;
        }
        match (self.plugin)(plugin) {
            Plugin::Known => true,
            Plugin::Foreign => false,
            Plugin::Unknown(near) => {
                self.add(&path[..path.len() - 1], plugin, What::Section(near));
                false
            }
        }
    }

    fn value(&mut self, path: &[&str], key: &str, row: &Key) {
        let (_, kind, default, effect) = row;
        let Some(value) = self.settings.get(&[path, &[key]].concat().join(".")) else {
            return;
        };
        // Programs complain of the other kinds themselves.
        if *kind == Kind::Flag && path.len() > 1 && truth(value).is_none() {
            self.add(path, key, What::Value("yes or no"));
            return;
        }
        let same = value == *default || truth(value).is_some() && truth(value) == truth(default);
        match effect {
            Effect::Idle(reason) if !same => self.add(path, key, What::Idle(reason)),
            Effect::Unmet(reason) if !same => self.add(path, key, What::Unmet(reason)),
            Effect::Refused(reason) if !same => self.add(path, key, What::Refused(reason)),
            _ => {}
        }
    }

    fn add(&mut self, path: &[&str], name: &str, what: What) {
        let name = [path, &[name]].concat().join(".");
        let place = self.settings.place(&name).unwrap_or("strongswan.conf").to_owned();
        self.found.push(Finding { name, place, what });
    }
}

/// The row of a key.
fn row(parts: &[&str]) -> Option<&'static Key> {
    // Exact rows come before those that stand for many.
    let matching = |pattern: &str| matches(pattern, parts);
    let mut rows = KEYS.iter().filter(|(pattern, ..)| matching(pattern));
    let first = rows.next()?;
    let exact = |row: &&Key| !row.0.contains('*');
    Some(if exact(&first) {
        first
    } else {
        rows.find(exact).unwrap_or(first)
    })
}

fn matches(pattern: &str, parts: &[&str]) -> bool {
    let mut rest = parts.iter();
    for part in pattern.split('.') {
        match (part, rest.next()) {
            ("**", Some(_)) => return true,
            (_, None) => return false,
            ("*", Some(_)) => {}
            (part, Some(own)) if part == *own => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}

/// Whether a section of this name may have keys.
fn is_section(parts: &[&str]) -> bool {
    KEYS.iter().any(|(pattern, ..)| {
        let mut pattern = pattern.split('.');
        for own in parts {
            match pattern.next() {
                Some("**") => return true,
                Some(part) if part == "*" || part == *own => {}
                _ => return false,
            }
        }
        pattern.next().is_some()
    })
}

/// The names that may be in a section.
fn names(parts: &[&str]) -> impl Iterator<Item = String> {
    let within = |pattern: &'static str| {
        let mut pattern = pattern.split('.');
        let same = parts
            .iter()
            .all(|own| pattern.next().is_some_and(|part| part == "*" || part == *own));
        pattern.next().filter(|next| same && !next.contains('*'))
    };
    let found: std::collections::BTreeSet<_> =
        KEYS.iter().filter_map(|(pattern, ..)| within(pattern)).collect();
    found.into_iter().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let settings = Settings::parse(text, "strongswan.conf").expect("it parses");
        let plugin = |name: &str| match name {
            "mykem" => Plugin::Foreign,
            "kernel-netlnk" => Plugin::Unknown(Some("kernel-netlink".into())),
            _ => Plugin::Known,
        };
        findings(&settings, &plugin)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(KEYS.is_sorted_by(|one, other| one.0 < other.0));
    }

    /// All settings of a document whose settings are comments.
    fn uncommented(document: &str) -> String {
        let lines = document.lines().map(|line| line.trim_start_matches([' ', '#']));
        let is_setting = |line: &&str| {
            let name = line.split([' ', '.']).next().unwrap_or_default();
            let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
            *line == "}" || name.chars().all(lower) && (line.ends_with(" {") || line.contains(" = "))
        };
        // Their names have dots in the document, which a file must not have.
        let lines: Vec<_> = lines
            .filter(is_setting)
            .filter(|line| !line.starts_with("spdh_"))
            .collect();
        lines.join("\n")
    }

    #[test]
    fn all_settings_that_are_documented_are_in_the_table_and_work() {
        let text = uncommented(include_str!("../../../../etc/strongswan.d/charon.conf"));
        let settings = Settings::parse(&text, "charon.conf").expect("it parses");
        assert!(settings.keys("charon").len() > 40 && settings.sections("charon.plugins").len() > 5);
        assert_eq!(found(&text), [] as [&str; 0]);
    }

    #[test]
    fn all_settings_that_work_are_documented() {
        let text = include_str!("../../../../etc/strongswan.d/charon.conf");
        let elsewhere = |key: &str| {
            // Groups of the log and names that the operator chooses stand for all of their kind.
            key.contains('*') || key.contains(".spdh_thresh.") || key.starts_with("charon.journal.")
        };
        let is_documented = |key: &str| {
            let setting = format!("{} = ", key.rsplit('.').next().unwrap_or(key));
            let lines = text.lines().map(|line| line.trim_start_matches([' ', '#']));
            lines.into_iter().any(|line| line.starts_with(setting.trim_end()))
        };
        let works = KEYS.iter().filter(|(.., effect)| matches!(effect, Effect::Works));
        let keys = works
            .map(|(key, ..)| *key)
            .filter(|key| key.starts_with("charon."));
        let missing: Vec<_> = keys
            .filter(|key| !elsewhere(key) && !is_documented(key))
            .collect();
        assert_eq!(missing, [] as [&str; 0]);
    }

    #[test]
    fn unknown_keys_and_sections_are_named_with_place_and_nearest_word() {
        let text = "charon {\n prot = 500\n send_vendor_idd = yes\n filelgo { x { default = 1\n } }\n filelog {\n x {\n pth = /x\n } } }\nchraon { port = 1\n }\nport = 7";
        assert_eq!(
            found(text),
            [
                "strongswan.conf:12: unknown key 'port'",
                "strongswan.conf:2: unknown key 'charon.prot', did you mean 'port'?",
                "strongswan.conf:3: unknown key 'charon.send_vendor_idd', did you mean 'send_vendor_id'?",
                "strongswan.conf:4: unknown section 'charon.filelgo', did you mean 'filelog'?",
                "strongswan.conf:8: unknown key 'charon.filelog.x.pth', did you mean 'path'?",
                "strongswan.conf:10: unknown section 'chraon', did you mean 'charon'?",
            ]
        );
    }

    #[test]
    fn what_works_and_what_is_a_default_needs_no_word() {
        let text = "charon {\n port = 500\n cache_crls = no\n retransmit_tries = 2\n start-scripts { a = b\n }\n \
            plugins {\n attr { dns = 10.0.0.1\n }\n openssl { load = yes\n fips_mode = 0\n }\n mykem { level = 3\n } \
            eap-radius { load = no\n secret = x\n } } }\n\
            charon-systemd { journal { default = -1\n ike = 2\n } }\npki { x = y\n }\nbase { port = 4\n }\nlibstrongswan : base { }";
        assert_eq!(found(text), [] as [&str; 0]);
    }

    #[test]
    fn keys_of_strongswan_without_effect_are_told_from_those_that_demand_something() {
        let text = "charon {\n cache_crls = yes\n interfaces_use = eth0\n plugins {\n whitelist {\n enable = yes\n } \
            eap-radius {\n servers { a { secret = x\n } } } } }";
        let settings = Settings::parse(text, "strongswan.conf").expect("it parses");
        let findings = findings(&settings, &|_| Plugin::Known);
        let levels: Vec<_> = findings.iter().map(Finding::level).collect();
        assert_eq!(levels, [1, 0, 0, 1]);
        let texts: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "strongswan.conf:2: charon.cache_crls has no effect: no peer is authenticated by certificate",
                "strongswan.conf:3: charon.interfaces_use cannot be followed: all interfaces are used",
                "strongswan.conf:6: charon.plugins.whitelist.enable cannot be followed: no list says which peers may connect; \
                 remove it to run without",
                "strongswan.conf:8: charon.plugins.eap-radius.servers.a.secret has no effect: EAP is not supported",
            ]
        );
    }

    #[test]
    fn misspelt_plugins_and_values_that_are_no_flags_are_named() {
        let text = "charon { plugins {\n kernel-netlnk { mtu = 1\n }\n kernel-netlink { roam_event = no\n roam_events = maybe\n } } }";
        assert_eq!(
            found(text),
            [
                "strongswan.conf:2: unknown section 'charon.plugins.kernel-netlnk', did you mean 'kernel-netlink'?",
                "strongswan.conf:4: unknown key 'charon.plugins.kernel-netlink.roam_event', did you mean 'roam_events'?",
                "strongswan.conf:5: charon.plugins.kernel-netlink.roam_events: expected yes or no, using the default",
            ]
        );
    }
}
