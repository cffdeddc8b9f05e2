//! What is wrong with the sections and keys of a swanctl.conf, and where.

use std::fmt;

use super::keys::{Kind, Section};
use crate::settings::Settings;
use crate::{spelling, time};

/// A section or key that does not belong where it is, or a value that is none of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which.
    pub name: String,
    /// What it is.
    pub what: What,
    /// File and line.
    pub place: String,
    /// What was probably meant.
    pub near: Option<String>,
}

/// The kinds of mistakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// There is no such key.
    Key,
    /// There is no such section.
    Section,
    /// The key is set to something that it cannot be.
    Value,
}

impl fmt::Display for Mistake {
    /// Where it is, and what was probably meant: `swanctl.conf:12, did you mean 'life_time'?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        match &self.near {
            Some(near) => write!(f, ", did you mean '{near}'?"),
            None => Ok(()),
        }
    }
}

/// All mistakes in a section and the sections in it, in the order of the file.
pub fn mistakes(settings: &Settings, path: &str, section: Section) -> Vec<Mistake> {
    let mut found = Vec::new();
    collect(settings, path, section, &mut found);
    found
}

fn collect(settings: &Settings, path: &str, section: Section, found: &mut Vec<Mistake>) {
    let mut add = |name: String, what, near| {
        let place = settings.place(&format!("{path}.{name}"));
        let place = place.unwrap_or("swanctl.conf").to_owned();
        found.push(Mistake {
            name,
            what,
            place,
            near,
        });
    };
    for key in settings.keys(path) {
        // What is set to nothing is not set.
        let Some(value) = settings.get(&format!("{path}.{key}")) else {
            continue;
        };
        match section.kind(&key) {
            None => {
                let near = near(&key, section.keys().iter().map(|(name, _)| *name));
                add(key, What::Key, near);
            }
            Some(kind) if !kind.reads(value) => add(key, What::Value, None),
            Some(_) => {}
        }
    }
    let mut inner = Vec::new();
    for name in settings.sections(path) {
        match section.section(&name) {
            Some(kind) => inner.push((name, kind)),
            None => {
                let near = near(&name, section.sections().iter().copied());
                add(name, What::Section, near);
            }
        }
    }
    for (name, kind) in inner {
        collect(settings, &format!("{path}.{name}"), kind, found);
    }
}

fn near(name: &str, known: impl Iterator<Item = &'static str>) -> Option<String> {
    spelling::nearest(name, known.map(str::to_owned))
}

impl Kind {
    /// Whether a value can be of this kind. The daemon says so itself; this is to find which line it complains of.
    fn reads(self, value: &str) -> bool {
        let integer = |text: &str| {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
                Some(hex) => u64::from_str_radix(hex, 16).is_ok(),
                None => digits.parse::<u64>().is_ok(),
            }
        };
        match self {
            Self::Text | Self::List | Self::Files => true,
            Self::Flag => matches!(
                value.to_ascii_lowercase().as_str(),
                "1" | "yes" | "true" | "enabled" | "0" | "no" | "false" | "disabled"
            ),
            Self::Number => integer(value),
            Self::Time => time::parse_any_case(value).is_some(),
            Self::Amount => {
                let number = value.strip_suffix(['k', 'K', 'm', 'M', 'g', 'G']);
                integer(number.unwrap_or(value).trim_end())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let settings = Settings::parse(text, "swanctl.conf").expect("it parses");
        mistakes(&settings, "connections.a", Section::Connection)
            .iter()
            .map(|mistake| format!("{:?} {} ({mistake})", mistake.what, mistake.name))
            .collect()
    }

    #[test]
    fn the_mistake_is_named_where_it_is_and_not_where_the_key_is_right() {
        let text = "connections {\n a {\n life_time = 1h\n children {\n net { life_time = 2h\n } } } }";
        assert_eq!(shown(text), ["Key life_time (swanctl.conf:3)"]);
    }

    #[test]
    fn misspelt_keys_and_sections_have_a_suggestion() {
        let text = "connections {\n a {\n proposal = aes128\n childs { }\n remotes { }\n locl {\n } } }";
        assert_eq!(
            shown(text),
            [
                "Key proposal (swanctl.conf:3, did you mean 'proposals'?)",
                "Section childs (swanctl.conf:4)",
                "Section locl (swanctl.conf:6, did you mean 'local'?)",
            ]
        );
    }

    #[test]
    fn values_are_told_from_what_is_none() {
        let text = "connections {\n a {\n mobike = maybe\n rekey_time = soon\n keyingtries = -1\n pull =\n children { n {\n rekey_bytes = 1 g\n reqid = x\n } } } }";
        assert_eq!(
            shown(text),
            [
                "Value mobike (swanctl.conf:3)",
                "Value rekey_time (swanctl.conf:4)",
                "Value reqid (swanctl.conf:9)",
            ]
        );
    }

    #[test]
    fn a_mistake_in_a_template_is_named_there() {
        let text = "base {\n dpd_dealy = 3s\n}\nconnections { a : base { } }";
        assert_eq!(
            shown(text),
            ["Key dpd_dealy (swanctl.conf:2, did you mean 'dpd_delay'?)"]
        );
    }
}
