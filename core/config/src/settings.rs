//! strongswan.conf: nested sections of keys and values, with includes and references.
//!
//! ```text
//! charon {
//!     fragment_size = 1480
//!     include strongswan.d/charon/*.conf
//! }
//! ```

mod parser;

use std::path::Path;
use std::time::Duration;

use crate::time;

/// Sections that refer to others may do so this deep; a loop ends here.
const MAX_REFERENCES: usize = 16;

/// Why a file was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file cannot be opened.
    #[error("failed to open config file '{file}': {reason}")]
    Open {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// The file breaks the grammar.
    #[error("{file}:{line}: {expected}")]
    Syntax {
        /// Which.
        file: String,
        /// Where.
        line: usize,
        /// What was found, and what was expected.
        expected: String,
    },
}

/// All settings of a file and what it includes.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    root: Section,
}

#[derive(Clone, Debug, Default)]
struct Section {
    values: Vec<(String, Value)>,
    sections: Vec<(String, Section)>,
    references: Vec<String>,
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    /// File and line, for messages.
    place: String,
}

impl Section {
    fn value(&self, key: &str) -> Option<&Value> {
        self.values
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    fn section(&self, name: &str) -> Option<&Self> {
        self.sections
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, section)| section)
    }

    fn section_mut(&mut self, name: &str) -> &mut Self {
        let index = self
            .sections
            .iter()
            .position(|(known, _)| known == name)
            .unwrap_or_else(|| {
                self.sections.push((name.to_owned(), Self::default()));
                self.sections.len() - 1
            });
        &mut self.sections[index].1
    }

    fn set(&mut self, key: String, value: Value) {
        match self.values.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.values.push((key, value)),
        }
    }
}

impl Settings {
    /// Reads a file. A missing one has no settings.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or it or what it includes breaks the grammar.
    pub fn load(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let mut root = Section::default();
        parser::file(path, &mut root, 0)?;
        Ok(Self { root })
    }

    /// Reads text; `name` stands for the file in messages.
    ///
    /// # Errors
    ///
    /// If it breaks the grammar.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let mut root = Section::default();
        parser::text(text, Path::new(name), &mut root, 0)?;
        Ok(Self { root })
    }

    /// The value of a key, `charon.fragment_size`; none if it is not set, or set to nothing.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.value(key)
            .map(|value| value.text.as_str())
            .filter(|text| !text.is_empty())
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let parts: Vec<&str> = key.split('.').collect();
        self.find(&self.root, &parts, 0)
    }

    /// Own values come first, then those of references, from left to right.
    fn find<'a>(&'a self, section: &'a Section, parts: &[&str], depth: usize) -> Option<&'a Value> {
        if depth > MAX_REFERENCES {
            return None;
        }
        let own = match parts {
            [] => None,
            [key] => section.value(key),
            [name, rest @ ..] => section
                .section(name)
                .and_then(|inner| self.find(inner, rest, depth + 1)),
        };
        own.or_else(|| {
            section.references.iter().find_map(|reference| {
                let path: Vec<&str> = reference.split('.').chain(parts.iter().copied()).collect();
                self.find(&self.root, &path, depth + 1)
            })
        })
    }

    /// The sections within a section, own ones first, inherited ones after them.
    pub fn sections(&self, key: &str) -> Vec<String> {
        self.names(key, |section| {
            section.sections.iter().map(|(name, _)| name.clone()).collect()
        })
    }

    /// The keys within a section, own ones first, inherited ones after them.
    pub fn keys(&self, key: &str) -> Vec<String> {
        self.names(key, |section| {
            section.values.iter().map(|(name, _)| name.clone()).collect()
        })
    }

    fn names(&self, key: &str, of: impl Fn(&Section) -> Vec<String>) -> Vec<String> {
        let parts: Vec<&str> = key.split('.').filter(|part| !part.is_empty()).collect();
        let mut found = Vec::new();
        self.each(&self.root, &parts, 0, &mut |section| {
            for name in of(section) {
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        });
        found
    }

    fn each(&self, section: &Section, parts: &[&str], depth: usize, visit: &mut impl FnMut(&Section)) {
        if depth > MAX_REFERENCES {
            return;
        }
        match parts {
            [] => visit(section),
            [name, rest @ ..] => {
                if let Some(inner) = section.section(name) {
                    self.each(inner, rest, depth + 1, visit);
                }
            }
        }
        for reference in &section.references {
            let path: Vec<&str> = reference.split('.').chain(parts.iter().copied()).collect();
            self.each(&self.root, &path, depth + 1, visit);
        }
    }

    /// A value read by `read`, or the default with a warning if it does not read.
    fn typed<T>(
        &self,
        key: &str,
        default: T,
        expected: &str,
        shown: &str,
        warnings: &mut Vec<String>,
        read: impl Fn(&str) -> Option<T>,
    ) -> T {
        let Some(value) = self.value(key).filter(|value| !value.text.is_empty()) else {
            return default;
        };
        read(&value.text).unwrap_or_else(|| {
            let (place, text) = (&value.place, value.text.escape_debug());
            warnings.push(format!(
                "{place}: {key} = {text}: expected {expected}, using {shown}"
            ));
            default
        })
    }

    /// A boolean.
    pub fn get_bool(&self, key: &str, default: bool, warnings: &mut Vec<String>) -> bool {
        let shown = if default { "yes" } else { "no" };
        self.typed(key, default, "yes or no", shown, warnings, |text| match text {
            "1" | "yes" | "true" | "enabled" => Some(true),
            "0" | "no" | "false" | "disabled" => Some(false),
            _ => None,
        })
    }

    /// An integer, decimal or with `0x`.
    pub fn get_int(&self, key: &str, default: i64, warnings: &mut Vec<String>) -> i64 {
        self.typed(
            key,
            default,
            "an integer",
            &default.to_string(),
            warnings,
            |text| match text.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).ok(),
                None => text.parse().ok(),
            },
        )
    }

    /// A number with a fraction.
    pub fn get_float(&self, key: &str, default: f64, warnings: &mut Vec<String>) -> f64 {
        self.typed(key, default, "a number", &default.to_string(), warnings, |text| {
            text.parse().ok().filter(|number: &f64| number.is_finite())
        })
    }

    /// A time: seconds, or with the suffix s, m, h or d.
    pub fn get_time(&self, key: &str, default: Duration, warnings: &mut Vec<String>) -> Duration {
        let shown = format!("{}s", default.as_secs());
        self.typed(
            key,
            default,
            "a time like 30s, 5m, 3h or 1d",
            &shown,
            warnings,
            time::parse,
        )
    }
}

#[cfg(test)]
mod tests;
