//! Which plugins strongswan.conf wants, in which order (control.md, selecting plugins).

use config::settings::Settings;

/// What is loaded unless `charon.load` says otherwise. Of several implementations of an algorithm the first is used,
/// so the fast ones of aws-lc come before the others (ml's ML-KEM takes five to ten times as long as its); FrodoKEM in
/// Rust comes before liboqs's, which is faster, but C. The kernel's IPsec comes before that of user space, which serves where
/// the kernel has none.
pub const DEFAULT_LOAD: &str = "aws-lc aes des sha2 sha1 md5 random nonce gmp curve25519 curve448 brainpool ml \
                                xcbc cmac hmac ctr ccm gcm chapoly camellia frodo oqs kyber-round2 ntru saber kernel-netlink kernel-libipsec attr resolve socket-default \
                                stroke vici updown counters";

/// Parts of the daemon that the list names like plugins.
const BUILTIN: [&str; 1] = ["socket-default"];

/// A plugin that is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether the daemon refuses to start without it.
    pub critical: bool,
}

/// Whether it is a part of the daemon.
pub(super) fn is_builtin(wanted: &Wanted) -> bool {
    BUILTIN.contains(&wanted.name.as_str())
}

/// The list, without what is switched off or named twice.
pub(super) fn wanted(settings: &Settings) -> Vec<Wanted> {
    let modular = settings.get("charon.load_modular").is_some_and(is_yes);
    let names: Vec<String> = if modular {
        modular_names(settings)
    } else {
        let list = settings.get("charon.load").unwrap_or(DEFAULT_LOAD);
        list.split_whitespace().map(str::to_owned).collect()
    };
    let mut ranked: Vec<(i64, Wanted)> = Vec::new();
    for name in names {
        let (name, critical) = match name.strip_suffix('!') {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        if name.is_empty() || ranked.iter().any(|(_, known)| known.name == name) {
            continue;
        }
        if let Some(priority) = priority(settings, name, true) {
            ranked.push((
                priority,
                Wanted {
                    name: name.to_owned(),
                    critical,
                },
            ));
        }
    }
    // Stable: equal priorities keep the order of the list.
    ranked.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
    ranked.into_iter().map(|(_, wanted)| wanted).collect()
}

/// The rank that `charon.plugins.NAME.load` gives, or none if it switches the plugin off.
fn priority(settings: &Settings, name: &str, default: bool) -> Option<i64> {
    match settings.get(&format!("charon.plugins.{name}.load")) {
        None => default.then_some(1),
        Some(text) => match text.trim_end_matches('!').parse::<i64>() {
            Ok(0) => None,
            Ok(priority) => Some(priority),
            Err(_) => is_yes(text.trim_end_matches('!')).then_some(1),
        },
    }
}

/// All subsections of `charon.plugins` that want to be loaded: in the order of the default list, then by name.
fn modular_names(settings: &Settings) -> Vec<String> {
    let defaults: Vec<&str> = DEFAULT_LOAD.split_whitespace().collect();
    let mut names: Vec<String> = settings
        .sections("charon.plugins")
        .into_iter()
        .filter(|name| priority(settings, name, false).is_some())
        .collect();
    names.sort_by_key(|name| {
        let rank = defaults
            .iter()
            .position(|known| known == name)
            .unwrap_or(usize::MAX);
        (rank, name.clone())
    });
    let critical = |name: &String| {
        settings
            .get(&format!("charon.plugins.{name}.load"))
            .is_some_and(|text| text.ends_with('!'))
    };
    names
        .into_iter()
        .map(|name| if critical(&name) { name + "!" } else { name })
        .collect()
}

fn is_yes(text: &str) -> bool {
    matches!(text, "1" | "yes" | "true" | "enabled")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        let settings = Settings::parse(text, "strongswan.conf").expect("it parses");
        let mark = |wanted: Wanted| {
            if wanted.critical {
                wanted.name + "!"
            } else {
                wanted.name
            }
        };
        wanted(&settings).into_iter().map(mark).collect()
    }

    #[test]
    fn the_list_keeps_its_order_and_marks() {
        assert_eq!(names("charon { load = b a! b c\n }"), ["b", "a!", "c"]);
        assert_eq!(
            names("").join(" "),
            DEFAULT_LOAD.split_whitespace().collect::<Vec<_>>().join(" ")
        );
    }

    #[test]
    fn a_plugin_can_be_switched_off_or_ranked() {
        assert_eq!(
            names(
                "charon { load = a b c d\n plugins { a { load = no\n }\n d { load = 7\n }\n c { load = yes\n }\n }\n }"
            ),
            ["d", "b", "c"]
        );
    }

    #[test]
    fn modular_loading_takes_the_sections_that_want_it() {
        let text = "charon { load_modular = yes\n load = ignored\n plugins { zeta { load = yes\n }\n nonce { load = yes\n }\n random { load = yes!\n }\n alpha { load = 9\n }\n off { load = no\n }\n silent { x = 1\n }\n }\n }";
        assert_eq!(names(text), ["alpha", "random!", "nonce", "zeta"]);
    }
}
