//! strongswan.conf: nested sections of keys and values, with includes and references.
//!
//! ```text
//! charon {
//!     fragment_size = 1480
//!     include strongswan.d/charon/*.conf
//! }
//! ```

mod parser;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use parser::Progress;
use zeroize::Zeroizing;

use crate::time;

/// Sections that refer to others may do so this deep.
const MAX_DEPTH: usize = 32;

/// References that one look-up follows; those that make ever longer paths of themselves end here.
const MAX_REFERENCES: usize = 1000;

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
    notes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Section {
    values: Vec<(String, Value)>,
    /// In the order of the file. There may be thousands.
    sections: IndexMap<String, Section>,
    references: Vec<String>,
    /// File and line where it first comes.
    place: String,
}

#[derive(Clone)]
struct Value {
    /// Zeroized, because it may be a secret.
    text: Zeroizing<String>,
    /// File and line, for messages.
    place: String,
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<value at {}>", self.place)
    }
}

impl Section {
    fn value(&self, key: &str) -> Option<&Value> {
        self.values
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    fn section(&self, name: &str) -> Option<&Self> {
        self.sections.get(name)
    }

    fn section_mut(&mut self, name: &str, place: impl FnOnce() -> String) -> &mut Self {
        self.sections.entry(name.to_owned()).or_insert_with(|| Self {
            place: place(),
            ..Self::default()
        })
    }

    /// Whether it, or a section in it, takes values from a section at the root or in that.
    fn refers_to(&self, root: &str) -> bool {
        let first = |reference: &String| reference.split('.').next() == Some(root);
        self.references.iter().any(first) || self.sections.iter().any(|(_, section)| section.refers_to(root))
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
        // A file that cannot be reached may be there.
        let exists = path.try_exists().map_err(|error| Error::Open {
            file: path.display().to_string(),
            reason: crate::include::reason(&error),
        })?;
        if !exists {
            return Ok(Self::default());
        }
        let (mut root, mut progress) = (Section::default(), Progress::default());
        parser::file(path, &mut root, &mut progress)?;
        let notes = progress.notes;
        Ok(Self { root, notes })
    }

    /// Reads text; `name` stands for the file in messages.
    ///
    /// # Errors
    ///
    /// If it breaks the grammar.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let (mut root, mut progress) = (Section::default(), Progress::default());
        parser::text(text, Path::new(name), &mut root, &mut progress)?;
        let notes = progress.notes;
        Ok(Self { root, notes })
    }

    /// What may be a mistake, but breaks no grammar: an include that matches nothing.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The value of a key, `charon.fragment_size`; none if it is not set, or set to nothing.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.value(key)
            .map(|value| value.text.as_str())
            .filter(|text| !text.is_empty())
    }

    /// Where a key or section is, `swanctl.conf:12`.
    pub fn place(&self, key: &str) -> Option<&str> {
        let (parent, name) = key.rsplit_once('.').unwrap_or(("", key));
        let mut found = None;
        self.walk(parent, &mut |section| {
            let value = section.value(name).map(|value| &value.place);
            found = value.or_else(|| section.section(name).map(|section| &section.place));
            found.is_some()
        });
        found.map(String::as_str).filter(|place| !place.is_empty())
    }

    fn value(&self, key: &str) -> Option<&Value> {
        let (section, key) = key.rsplit_once('.').unwrap_or(("", key));
        let mut found = None;
        self.walk(section, &mut |section| {
            found = section.value(key);
            found.is_some()
        });
        found
    }

    /// The sections within a section, own ones first, inherited ones after them.
    pub fn sections(&self, key: &str) -> Vec<String> {
        self.names(key, |section| section.sections.iter().map(|(name, _)| name))
    }

    /// The keys within a section, own ones first, inherited ones after them. Those set to nothing are among them.
    pub fn keys(&self, key: &str) -> Vec<String> {
        self.names(key, |section| section.values.iter().map(|(name, _)| name))
    }

    /// Whether another section takes values from this one, or from a section in it.
    pub fn is_referenced(&self, root: &str) -> bool {
        self.root.refers_to(root)
    }

    /// What `upper` sets, and where it sets nothing, what `lower` does, both under the name `lower`.
    #[must_use]
    pub fn overlaid(mut self, upper: &str, lower: &str) -> Self {
        let sections = &mut self.root.sections;
        let Some(mut above) = sections.shift_remove(upper) else {
            return self;
        };
        if let Some(below) = sections.shift_remove(lower) {
            // No section of a file is named so.
            let name = format!("{lower}\0");
            above.references.push(name.clone());
            sections.insert(name, below);
        }
        sections.insert(lower.to_owned(), above);
        self
    }

    /// Has a section take from another what it does not set itself.
    #[must_use]
    pub fn inheriting(mut self, name: &str, from: &str) -> Self {
        if self.root.section(from).is_some() {
            let section = self.root.section_mut(name, String::new);
            section.references.push(from.to_owned());
        }
        self
    }

    fn names<'a, I>(&'a self, key: &str, of: impl Fn(&'a Section) -> I) -> Vec<String>
    where
        I: Iterator<Item = &'a String>,
    {
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        self.walk(key, &mut |section| {
            found.extend(of(section).filter(|name| known.insert(*name)).cloned());
            false
        });
        found
    }

    /// Visits a section and those it inherits from, until a visitor has what it wants: own ones first, then references
    /// from left to right, those of the section before those of the sections around it.
    fn walk<'a>(&'a self, key: &str, visit: &mut dyn FnMut(&'a Section) -> bool) {
        let mut walk = Walk {
            root: &self.root,
            seen: BTreeSet::new(),
            visit,
        };
        walk.go(key.to_owned(), 0);
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
        self.typed(key, default, "yes or no", shown, warnings, truth)
    }

    /// An integer, decimal or with `0x`.
    pub fn get_int(&self, key: &str, default: i64, warnings: &mut Vec<String>) -> i64 {
        self.typed(
            key,
            default,
            "an integer",
            &default.to_string(),
            warnings,
            integer,
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

/// One look-up. References are evaluated when it meets them, and each at most once.
struct Walk<'a, 'v> {
    root: &'a Section,
    seen: BTreeSet<String>,
    visit: &'v mut dyn FnMut(&'a Section) -> bool,
}

impl<'a> Walk<'a, '_> {
    /// Follows a path from the root; whether the visitor has what it wants.
    fn go(&mut self, path: String, depth: usize) -> bool {
        if depth > MAX_DEPTH || self.seen.len() >= MAX_REFERENCES || !self.seen.insert(path.clone()) {
            return false;
        }
        let parts: Vec<&str> = path.split('.').filter(|part| !part.is_empty()).collect();
        self.follow(self.root, &parts, depth)
    }

    fn follow(&mut self, section: &'a Section, parts: &[&str], depth: usize) -> bool {
        let own = match parts {
            [] => (self.visit)(section),
            [name, rest @ ..] => section
                .section(name)
                .is_some_and(|inner| self.follow(inner, rest, depth)),
        };
        own || section.references.iter().any(|reference| {
            let path: Vec<&str> = std::iter::once(reference.as_str())
                .chain(parts.iter().copied())
                .collect();
            self.go(path.join("."), depth + 1)
        })
    }
}

/// Decimal, or hexadecimal with `0x`.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match digits {
        Some(hex) => i64::from_str_radix(hex, 16)
            .ok()
            .filter(|_| !hex.starts_with(['+', '-'])),
        None => text.parse().ok(),
    }
}

/// Reads a boolean as strongswan.conf has them.
pub fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "enabled" => Some(true),
        "0" | "no" | "false" | "disabled" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
