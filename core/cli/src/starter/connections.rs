//! What of ipsec.conf charon has to know.

use std::collections::BTreeMap;

use control::stroke::Connection;

/// What happens to a connection once charon has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Auto {
    /// Nothing.
    Add,
    /// Its policies are installed.
    Route,
    /// It is established.
    Start,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Conn {
    /// As charon gets it.
    pub(super) connection: Connection,
    /// What happens then.
    pub(super) auto: Auto,
}

impl Conn {
    /// Whether both are the same, apart from where they are written.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let (own, others) = (&self.connection, &other.connection);
        let settings = |connection: &Connection| -> BTreeMap<String, String> {
            connection.settings.iter().cloned().collect()
        };
        self.auto == other.auto
            && own.name == others.name
            && own.uniqueids == others.uniqueids
            && settings(own) == settings(others)
    }
}
