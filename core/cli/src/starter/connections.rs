//! What of ipsec.conf charon has to know, and what has changed.

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
    fn is_same(&self, other: &Self) -> bool {
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

/// What charon has to forget and to learn, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes<'a> {
    /// What was removed, or was changed and comes again.
    pub(super) delete: Vec<&'a Conn>,
    /// What is new or changed, in the order of the file.
    pub(super) add: Vec<&'a Conn>,
}

/// What leads from the old connections to the new ones.
///
/// A connection whose settings at the level of the IKE_SA equal those of an earlier one is a child of that in charon, so
/// what comes later in the file depends on nothing but the name.
pub(super) fn changes<'a>(old: &'a [Conn], new: &'a [Conn]) -> Changes<'a> {
    let has = |list: &[Conn], conn: &Conn| list.iter().any(|other| other.is_same(conn));
    Changes {
        delete: old.iter().filter(|conn| !has(new, conn)).collect(),
        add: new.iter().filter(|conn| !has(old, conn)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(name: &str, line: u32, auto: Auto, settings: &[(&str, &str)]) -> Conn {
        let settings = settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let source = format!("/etc/ipsec.conf:{line}");
        Conn {
            connection: Connection {
                name: name.into(),
                source,
                uniqueids: "yes".into(),
                settings,
                places: Vec::new(),
            },
            auto,
        }
    }

    fn names<'a>(conns: &[&'a Conn]) -> Vec<&'a str> {
        conns.iter().map(|conn| conn.connection.name.as_str()).collect()
    }

    #[test]
    fn nothing_changed_means_nothing_to_do() {
        let old = [
            conn("a", 1, Auto::Add, &[("left", "1"), ("right", "2")]),
            conn("b", 5, Auto::Start, &[]),
        ];
        let new = [
            conn("a", 3, Auto::Add, &[("right", "2"), ("left", "1")]),
            conn("b", 9, Auto::Start, &[]),
        ];
        assert_eq!(
            changes(&old, &new),
            Changes::default(),
            "lines and the order of keywords do not matter"
        );
    }

    #[test]
    fn what_is_changed_is_deleted_and_comes_again() {
        let old = [
            conn("a", 1, Auto::Add, &[("left", "1")]),
            conn("b", 5, Auto::Add, &[]),
            conn("c", 7, Auto::Add, &[]),
        ];
        let new = [
            conn("d", 1, Auto::Add, &[]),
            conn("a", 2, Auto::Add, &[("left", "9")]),
            conn("c", 7, Auto::Start, &[]),
        ];
        let changes = changes(&old, &new);
        assert_eq!(names(&changes.delete), ["a", "b", "c"]);
        assert_eq!(names(&changes.add), ["d", "a", "c"]);
    }

    #[test]
    fn other_uniqueids_change_every_connection() {
        let old = [conn("a", 1, Auto::Add, &[])];
        let mut new = old.clone();
        new[0].connection.uniqueids = "never".into();
        assert_eq!(names(&changes(&old, &new).add), ["a"]);
    }

    #[test]
    fn the_first_start_adds_all_and_the_last_update_deletes_all() {
        let all = [conn("a", 1, Auto::Add, &[]), conn("b", 2, Auto::Route, &[])];
        assert_eq!(names(&changes(&[], &all).add), ["a", "b"]);
        assert_eq!(names(&changes(&all, &[]).delete), ["a", "b"]);
    }
}
