//! The kernel's SAs and policies, as `ip xfrm` prints them.

use xtask::netns::Namespace;

/// An SA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) source: String,
    pub(crate) destination: String,
    /// As the daemon prints it, eight hexadecimal digits.
    pub(crate) spi: String,
    pub(crate) reqid: u32,
    /// `tunnel` or `transport`.
    pub(crate) mode: String,
    /// Octets and packets that it has processed.
    pub(crate) octets: u64,
    pub(crate) packets: u64,
    /// What it printed, with keys.
    pub(crate) text: String,
}

/// A policy of a namespace, not of a socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) source: String,
    pub(crate) destination: String,
    /// `in`, `out` or `fwd`.
    pub(crate) direction: String,
    pub(crate) priority: u32,
    /// Of its template.
    pub(crate) reqid: u32,
    pub(crate) text: String,
}

/// What follows a word of the text.
fn after<'t>(text: &'t str, word: &str) -> &'t str {
    let mut words = text.split_whitespace();
    words
        .find(|found| *found == word)
        .and_then(|_| words.next())
        .unwrap_or_default()
}

/// Entries begin at the margin.
fn entries(text: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in text.lines() {
        match entries.last_mut() {
            Some(entry) if line.starts_with(char::is_whitespace) => {
                entry.push('\n');
                entry.push_str(line);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// All SAs, also those that await a key; ordered by SPI.
pub(crate) fn states(namespace: &Namespace) -> Vec<State> {
    let text = namespace.ip("-s xfrm state").unwrap();
    let number = |text: &str| text.split('(').next().and_then(|text| text.parse().ok());
    let mut states: Vec<State> = entries(&text)
        .into_iter()
        .map(|text| {
            let current = text.split("lifetime current:").nth(1).unwrap_or_default();
            let counted = current.split_whitespace().collect::<Vec<_>>();
            let count = |index: usize| counted.get(index).and_then(|text| number(text));
            let spi = after(&text, "spi").trim_start_matches("0x");
            State {
                source: after(&text, "src").to_owned(),
                destination: after(&text, "dst").to_owned(),
                spi: spi.split('(').next().unwrap_or_default().to_owned(),
                reqid: number(after(&text, "reqid")).unwrap_or_default() as u32,
                mode: after(&text, "mode").to_owned(),
                octets: count(0).unwrap_or_default(),
                packets: count(1).unwrap_or_default(),
                text,
            }
        })
        .collect();
    states.sort_by(|a, b| a.spi.cmp(&b.spi));
    states
}

/// All policies but those of sockets.
pub(crate) fn policies(namespace: &Namespace) -> Vec<Policy> {
    let text = namespace.ip("xfrm policy").unwrap();
    let entries = entries(&text).into_iter();
    entries
        .filter(|text| !text.contains("socket "))
        .map(|text| Policy {
            source: after(&text, "src").to_owned(),
            destination: after(&text, "dst").to_owned(),
            direction: after(&text, "dir").to_owned(),
            priority: after(&text, "priority").parse().unwrap_or_default(),
            reqid: after(&text, "reqid").parse().unwrap_or_default(),
            text,
        })
        .collect()
}
