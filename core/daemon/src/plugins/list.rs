//! Which plugins strongswan.conf wants, in which order.

use config::settings::{Settings, truth};

/// What is loaded unless `charon.load` says otherwise. Of several implementations of an algorithm the first is used,
/// so the fast ones of aws-lc come before the others (ml's ML-KEM takes five to ten times as long as its); FrodoKEM in
/// Rust comes before liboqs's, which is faster, but C. The kernel's IPsec comes before that of user space, which serves where
/// the kernel has none.
pub const DEFAULT_LOAD: &str = "aws-lc aes des sha2 sha1 md5 random nonce gmp curve25519 curve448 brainpool \
                                ecp-low ml xcbc cmac hmac ctr ccm gcm chapoly blowfish camellia frodo oqs \
                                kyber-round2 ntru saber kernel-netlink kernel-libipsec attr resolve \
                                socket-default stroke vici updown counters";

/// A plugin that is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether the daemon refuses to start without it.
    pub critical: bool,
}

/// The list, without what is switched off or named twice. What `charon.load_extra` names comes last.
pub(super) fn wanted(settings: &Settings) -> Vec<Wanted> {
    let words = |list: &str| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut names = if is_modular(settings) {
        modular_names(settings)
    } else {
        words(settings.get("charon.load").unwrap_or(DEFAULT_LOAD))
    };
    names.extend(words(settings.get("charon.load_extra").unwrap_or_default()));
    let mut ranked: Vec<(i64, Wanted)> = Vec::new();
    for name in names {
        let (name, critical) = match name.strip_suffix('!') {
            Some(name) => (name, true),
            None => (name.as_str(), false),
        };
        if let Some((_, known)) = ranked.iter_mut().find(|(_, known)| known.name == name) {
            known.critical |= critical;
            continue;
        }
        if name.is_empty() {
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

/// Whether the sections of `charon.plugins` are the list.
fn is_modular(settings: &Settings) -> bool {
    settings.get("charon.load_modular").is_some_and(is_yes)
}

/// Whether the list is a default of ours, which names each plugin itself.
pub(super) fn is_default(settings: &Settings) -> bool {
    !is_modular(settings) && settings.get("charon.load").is_none()
}

/// Whether a plugin that no list names may be loaded.
pub(super) fn is_allowed(settings: &Settings, name: &str) -> bool {
    priority(settings, name, true).is_some()
}

/// What to do to have plugins loaded as well.
pub(crate) fn advice(settings: &Settings, plugins: &[&str]) -> String {
    if is_modular(settings) {
        let keys: Vec<_> = plugins
            .iter()
            .map(|plugin| format!("charon.plugins.{plugin}.load = yes"))
            .collect();
        return format!("charon.load_modular is set, so set {}", keys.join(" and "));
    }
    let names = plugins.join(" ");
    if is_default(settings) {
        return format!("see above why {names} of the default list cannot be loaded");
    }
    let place = settings.place("charon.load").unwrap_or("strongswan.conf");
    format!(
        "add {names} to charon.load ({place}), or remove it and name what the default list lacks in charon.load_extra"
    )
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
    truth(text) == Some(true)
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
    fn extra_plugins_come_after_the_list_whichever_it_is() {
        assert_eq!(
            names("charon { load = a b\n load_extra = c b!\n }"),
            ["a", "b!", "c"]
        );
        let defaults = names("charon { load_extra = mykem metrics\n }").join(" ");
        assert_eq!(defaults, names("").join(" ") + " mykem metrics");
        let modular = "charon { load_modular = yes\n load_extra = mykem\n plugins { a { load = yes\n } } }";
        assert_eq!(names(modular), ["a", "mykem"]);
    }

    #[test]
    fn the_advice_fits_the_way_of_loading() {
        let advice = |text: &str| {
            let settings = Settings::parse(text, "strongswan.conf").expect("it parses");
            advice(&settings, &["sha1", "nonce"])
        };
        assert_eq!(
            advice("charon { load_modular = yes\n }"),
            "charon.load_modular is set, so set charon.plugins.sha1.load = yes and charon.plugins.nonce.load = yes"
        );
        assert_eq!(
            advice("charon {\n load = mykem\n }"),
            "add sha1 nonce to charon.load (strongswan.conf:2), or remove it and name what the default list lacks in \
             charon.load_extra"
        );
    }

    #[test]
    fn the_default_list_is_documented() {
        let document = include_str!("../../../../etc/strongswan.d/charon.conf");
        let lines = document.lines().map(|line| line.trim_start_matches([' ', '#']));
        let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
        let list: Vec<&str> = DEFAULT_LOAD.split_whitespace().collect();
        assert!(words.windows(list.len()).any(|words| words == list));
    }

    #[test]
    fn modular_loading_takes_the_sections_that_want_it() {
        let text = "charon { load_modular = yes\n load = ignored\n plugins { zeta { load = yes\n }\n nonce { load = yes\n }\n random { load = yes!\n }\n alpha { load = 9\n }\n off { load = no\n }\n silent { x = 1\n }\n }\n }";
        assert_eq!(names(text), ["alpha", "random!", "nonce", "zeta"]);
    }
}
