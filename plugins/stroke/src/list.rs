//! `ipsec listalgs` and `ipsec listplugins`.

use std::collections::BTreeSet;

use control::vici::Message;

use crate::text::clean;

/// Where lines of algorithms are wrapped.
const LINE: usize = 110;
/// What stands before continued lines.
const INDENT: usize = 13;

/// The answer to `get-algorithms` as text.
pub fn algorithms(answer: &Message) -> String {
    let mut text = String::from("\nList of registered IKE algorithms:\n\n");
    for (section, heading) in HEADINGS {
        // There is only one kind of these, and it has no name.
        let named = section != "nonce-gen";
        list(&mut text, heading, &answer.get_section(section), named);
    }
    let keywords = answer.get_section("keywords");
    if keywords.sections().next().is_some() {
        text.push_str("\nList of keywords of ike= and esp=, additional key exchanges with ke1_ to ke7_ before them:\n\n");
    }
    for (section, heading) in HEADINGS {
        let keywords = keywords.get_section(section);
        if keywords.values().next().is_some() {
            list(&mut text, heading, &keywords, true);
        }
    }
    text
}

const HEADINGS: [(&str, &str); 10] = [
    ("encryption", "  encryption:"),
    ("integrity", "  integrity: "),
    ("aead", "  aead:      "),
    ("hasher", "  hasher:    "),
    ("prf", "  prf:       "),
    ("xof", "  xof:       "),
    ("drbg", "  drbg:      "),
    ("ke", "  dh-group:  "),
    ("rng", "  random-gen:"),
    ("nonce-gen", "  nonce-gen: "),
];

/// A line of algorithms with their plugins, wrapped.
fn list(text: &mut String, heading: &str, algorithms: &Message, named: bool) {
    text.push_str(heading);
    let mut width = heading.len();
    for (name, plugin) in algorithms.values() {
        let name = if named { clean(name) } else { String::new() };
        let item = format!(" {name}[{}]", clean(plugin));
        if width + item.len() > LINE {
            text.push('\n');
            text.push_str(&" ".repeat(INDENT));
            width = INDENT;
        }
        width += item.len();
        text.push_str(&item);
    }
    text.push('\n');
}

/// The events of `list-plugins` as text: each `PLUGIN { FEATURE { loaded = yes|no, depends[], soft-depends[] } }`.
pub fn plugins(events: &[Message]) -> String {
    let all = || events.iter().flat_map(Message::sections);
    let is_loaded = |feature: &Message| feature.get_bool("loaded") == Some(true);
    let loaded: BTreeSet<String> = all()
        .flat_map(|(_, plugin)| {
            let features = plugin.sections().filter(|(_, feature)| is_loaded(feature));
            features.map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let mark = |is_loaded| if is_loaded { "" } else { " (not loaded)" };
    let mut text = String::from("\nList of loaded Plugins:\n\n");
    for (name, plugin) in all() {
        text.push_str(&format!("{}:\n", clean(name)));
        for (name, feature) in plugin.sections() {
            text.push_str(&format!("    {}{}\n", clean(name), mark(is_loaded(&feature))));
            for (key, soft) in [("depends", ""), ("soft-depends", " (soft)")] {
                for name in feature.get_texts(key) {
                    text.push_str(&format!(
                        "        {}{soft}{}\n",
                        clean(&name),
                        mark(loaded.contains(&*name))
                    ));
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_are_wrapped_under_their_heading() {
        let message = Message::new()
            .section("encryption", |s| s.value("AES_CBC", "aes"))
            .section("ke", |s| {
                (1..=9).fold(s, |s, n| s.value(&format!("KYBER_LEVEL_{n}"), "oqs"))
            })
            .section("nonce-gen", |s| s.value("NONCE_GEN", "nonce"));
        let expected = "
List of registered IKE algorithms:

  encryption: AES_CBC[aes]
  integrity: 
  aead:      
  hasher:    
  prf:       
  xof:       
  drbg:      
  dh-group:   KYBER_LEVEL_1[oqs] KYBER_LEVEL_2[oqs] KYBER_LEVEL_3[oqs] KYBER_LEVEL_4[oqs] KYBER_LEVEL_5[oqs]
              KYBER_LEVEL_6[oqs] KYBER_LEVEL_7[oqs] KYBER_LEVEL_8[oqs] KYBER_LEVEL_9[oqs]
  random-gen:
  nonce-gen:  [nonce]
";
        assert_eq!(algorithms(&message), expected);
        let keywords = Message::new().section("encryption", |s| s.value("aes128", "aes"));
        let message = message.section("keywords", |s| {
            s.section("encryption", |_| keywords.get_section("encryption"))
                .section("aead", |s| s)
        });
        let below = "
List of keywords of ike= and esp=, additional key exchanges with ke1_ to ke7_ before them:

  encryption: aes128[aes]
";
        assert_eq!(algorithms(&message), format!("{expected}{below}"));
    }

    #[test]
    fn plugins_show_what_is_not_loaded() {
        let events = [
            Message::new().section("oqs", |plugin| {
                plugin
                    .section("KE:KYBER_L3", |feature| {
                        let feature = feature.flag("loaded", true).list("depends", ["RNG:RNG_STRONG"]);
                        feature.list("soft-depends", ["RNG:RNG_TRUE"])
                    })
                    .section("KE:BIKE_L1", |feature| feature.flag("loaded", false))
            }),
            Message::new().section("random", |plugin| {
                plugin.section("RNG:RNG_STRONG", |feature| feature.flag("loaded", true))
            }),
        ];
        let expected = "
List of loaded Plugins:

oqs:
    KE:KYBER_L3
        RNG:RNG_STRONG
        RNG:RNG_TRUE (soft) (not loaded)
    KE:BIKE_L1 (not loaded)
random:
    RNG:RNG_STRONG
";
        assert_eq!(plugins(&events), expected);
    }
}
