//! `ipsec listalgs` and `ipsec listplugins`.

use control::vici::Message;

use crate::text::clean;

/// Where lines of algorithms are wrapped.
const LINE: usize = 110;
/// What stands before continued lines.
const INDENT: usize = 13;

/// The answer to `get-algorithms` as text.
pub fn algorithms(answer: &Message) -> String {
    let headings = [
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
    let mut text = String::from("\nList of registered IKE algorithms:\n\n");
    for (section, heading) in headings {
        text.push_str(heading);
        let mut width = heading.len();
        for (name, plugin) in answer.get_section(section).values() {
            // There is only one kind of these, and it has no name.
            let name = if section == "nonce-gen" {
                String::new()
            } else {
                clean(name)
            };
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
    text
}

/// What comes before the plugins.
pub const PLUGINS_HEADING: &str = "\nList of loaded Plugins:\n\n";

/// An event `list-plugin` as text: a section named like the plugin, with `features`, each with `loaded` and
/// `dependencies`, each of these with `soft` and `loaded`.
pub fn plugin(event: &Message) -> String {
    let mut text = String::new();
    for (name, plugin) in event.sections() {
        text.push_str(&format!("{}:\n", clean(name)));
        for (name, feature) in plugin.get_section("features").sections() {
            text.push_str(&format!("    {}{}\n", clean(name), unless_loaded(&feature)));
            for (name, dependency) in feature.get_section("dependencies").sections() {
                let soft = if dependency.get_bool("soft") == Some(true) {
                    " (soft)"
                } else {
                    ""
                };
                text.push_str(&format!(
                    "        {}{soft}{}\n",
                    clean(name),
                    unless_loaded(&dependency)
                ));
            }
        }
    }
    text
}

fn unless_loaded(message: &Message) -> &'static str {
    if message.get_bool("loaded") == Some(false) {
        " (not loaded)"
    } else {
        ""
    }
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
    }

    #[test]
    fn plugins_show_what_is_not_loaded() {
        let event = Message::new().section("oqs", |plugin| {
            plugin.section("features", |features| {
                features
                    .section("KE:KYBER_L3", |feature| {
                        feature
                            .flag("loaded", true)
                            .section("dependencies", |dependencies| {
                                dependencies
                                    .section("RNG:RNG_TRUE", |it| it.flag("soft", true).flag("loaded", false))
                            })
                    })
                    .section("KE:BIKE_L1", |feature| feature.flag("loaded", false))
            })
        });
        let expected = "\
oqs:
    KE:KYBER_L3
        RNG:RNG_TRUE (soft) (not loaded)
    KE:BIKE_L1 (not loaded)
";
        assert_eq!(plugin(&event), expected);
    }
}
