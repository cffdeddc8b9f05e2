//! The vector files: records of `Name = value` lines, separated by blank lines; `#` starts a comment.

use std::collections::BTreeMap;

/// One record.
pub struct Record(BTreeMap<&'static str, &'static str>);

impl Record {
    /// A field as it stands there.
    pub fn text(&self, name: &str) -> Option<&'static str> {
        self.0.get(name).copied()
    }

    /// A hexadecimal field in octets.
    pub fn octets(&self, name: &str) -> Option<Vec<u8>> {
        self.text(name)
            .map(|text| hex(text).unwrap_or_else(|| panic!("{name} = {text} is not hexadecimal")))
    }

    /// A hexadecimal field that every record of the file has.
    pub fn required(&self, name: &str) -> Vec<u8> {
        self.octets(name)
            .unwrap_or_else(|| panic!("a record without {name}: {:?}", self.0))
    }
}

/// The records of a file; there are some.
pub fn records(file: &'static str) -> Vec<Record> {
    let (mut records, mut fields) = (Vec::new(), BTreeMap::new());
    for line in file.lines().chain([""]).filter(|line| !line.starts_with('#')) {
        match line.split_once('=') {
            Some((name, value)) => {
                fields.insert(name.trim(), value.trim());
            }
            None if line.trim().is_empty() => {
                if !fields.is_empty() {
                    records.push(Record(std::mem::take(&mut fields)));
                }
            }
            None => panic!("a line of a vector file is neither field nor comment: {line}"),
        }
    }
    assert!(!records.is_empty());
    records
}

fn hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
