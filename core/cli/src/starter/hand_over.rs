//! What charon has of ipsec.conf, and what leads from there to what it should have.
//!
//! Steps are taken one at a time, so that signals are heard in between, and what charon has is known after each. A
//! connection that is changed is never deleted first: charon puts the new one in its place, or refuses it and keeps the old.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use control::stroke::Request;

use super::connections::{Auto, Conn};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HandOver {
    known: BTreeMap<String, Known>,
    steps: VecDeque<Step>,
}

#[derive(Debug)]
struct Known {
    conn: Conn,
    /// Whether it was established or its policies were installed, if that is wanted.
    acted: bool,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its log has what is wrong with the file.
    Report(String),
    /// Its policies are removed.
    Unroute(String),
    /// Charon forgets it.
    Delete(String),
    /// Charon learns it, in the place of the one of that name.
    Add(Box<Conn>),
    /// What is wanted once charon has it.
    Act(String, Auto),
}

impl Step {
    /// What charon is asked.
    pub(super) fn request(&self) -> Option<Request> {
        Some(match self {
            Self::Report(text) => Request::Report { text: text.clone() },
            Self::Unroute(name) => Request::Unroute { name: name.clone() },
            Self::Delete(name) => Request::DeleteConnection { name: name.clone() },
            Self::Add(conn) => Request::AddConnection(conn.connection.clone()),
            Self::Act(name, Auto::Route) => Request::Route { name: name.clone() },
            Self::Act(name, Auto::Start) => Request::Initiate {
                name: name.clone(),
                wait: false,
            },
            Self::Act(_, Auto::Add) => return None,
        })
    }
}

impl HandOver {
    /// A charon that has nothing yet is to have these.
    pub(super) fn begin(&mut self, conns: &[Conn]) {
        self.known.clear();
        self.go_on(conns, &[], false);
    }

    /// Charon is to have these; those that are `refused` are left as it has them, because nothing that could be used is
    /// known of them. With `all` it is told of those that have not changed, too.
    pub(super) fn go_on(&mut self, conns: &[Conn], refused: &[String], all: bool) {
        self.steps.clear();
        let named: BTreeSet<&str> = conns
            .iter()
            .map(|conn| conn.connection.name.as_str())
            .chain(refused.iter().map(String::as_str))
            .collect();
        for (name, known) in &self.known {
            if named.contains(name.as_str()) {
                continue;
            }
            if known.conn.auto == Auto::Route {
                self.steps.push_back(Step::Unroute(name.clone()));
            }
            self.steps.push_back(Step::Delete(name.clone()));
        }
        let known = |conn: &Conn| self.known.get(&conn.connection.name);
        let changed = |conn: &&Conn| all || known(conn).is_none_or(|known| !known.conn.is_same(conn));
        let add = conns
            .iter()
            .filter(changed)
            .map(|conn| Step::Add(Box::new(conn.clone())));
        let unroute = conns.iter().filter(|conn| {
            let before = known(conn).map(|known| known.conn.auto);
            before == Some(Auto::Route) && conn.auto != Auto::Route
        });
        let unroute = unroute.map(|conn| Step::Unroute(conn.connection.name.clone()));
        // All are added before: one that is established may need another as its parent.
        let act = conns
            .iter()
            .filter(|conn| changed(conn) || known(conn).is_some_and(|known| !known.acted));
        let act = act.map(|conn| Step::Act(conn.connection.name.clone(), conn.auto));
        let steps: Vec<Step> = add.chain(unroute).chain(act).collect();
        self.steps.extend(steps);
    }

    /// Charon's log has these lines before anything else is done.
    pub(super) fn report(&mut self, lines: &[String]) {
        let lines = lines.iter().filter(|line| !line.is_empty());
        for line in lines.rev() {
            self.steps.push_front(Step::Report(line.clone()));
        }
    }

    /// The next step.
    pub(super) fn next(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// Charon has answered; `refused` are connections that it does not take.
    pub(super) fn done(&mut self, step: Step, refused: bool) {
        match step {
            Step::Report(_) | Step::Unroute(_) => {}
            Step::Delete(name) => {
                self.known.remove(&name);
            }
            Step::Add(conn) if refused => {
                let name = &conn.connection.name;
                let of_it = |step: &Step| match step {
                    Step::Act(other, _) | Step::Unroute(other) => other == name,
                    Step::Add(_) | Step::Delete(_) | Step::Report(_) => false,
                };
                // What charon has of this name is not what this was about.
                self.steps.retain(|step| !of_it(step));
            }
            Step::Add(conn) => {
                let acted = conn.auto == Auto::Add;
                let name = conn.connection.name.clone();
                self.known.insert(name, Known { conn: *conn, acted });
            }
            Step::Act(name, _) => {
                if let Some(known) = self.known.get_mut(&name) {
                    known.acted = true;
                }
            }
        }
    }

    /// Charon cannot be asked.
    pub(super) fn give_up(&mut self) {
        self.steps.clear();
    }
}

#[cfg(test)]
mod tests {
    use control::stroke::Connection;

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

    /// Takes all steps; these connections are refused.
    fn run(hand_over: &mut HandOver, refused: &[&str]) -> String {
        let mut taken = Vec::new();
        while let Some(step) = hand_over.next() {
            let (word, name) = match &step {
                Step::Report(text) => ("report", text),
                Step::Unroute(name) => ("unroute", name),
                Step::Delete(name) => ("delete", name),
                Step::Add(conn) => ("add", &conn.connection.name),
                Step::Act(_, Auto::Add) => {
                    hand_over.done(step, false);
                    continue;
                }
                Step::Act(name, Auto::Route) => ("route", name),
                Step::Act(name, Auto::Start) => ("start", name),
            };
            taken.push(format!("{word} {name}"));
            let refuses = word == "add" && refused.contains(&name.as_str());
            hand_over.done(step, refuses);
        }
        taken.join(", ")
    }

    fn having(conns: &[Conn]) -> HandOver {
        let mut hand_over = HandOver::default();
        hand_over.begin(conns);
        run(&mut hand_over, &[]);
        hand_over
    }

    #[test]
    fn a_new_charon_gets_all_of_them_before_any_is_established() {
        let mut hand_over = HandOver::default();
        let all = [
            conn("a", 1, Auto::Start, &[]),
            conn("b", 2, Auto::Route, &[]),
            conn("c", 3, Auto::Add, &[]),
        ];
        for _ in 0..2 {
            hand_over.begin(&all);
            assert_eq!(run(&mut hand_over, &[]), "add a, add b, add c, start a, route b");
        }
    }

    #[test]
    fn nothing_changed_means_nothing_to_do() {
        let mut hand_over = having(&[
            conn("a", 1, Auto::Add, &[("left", "1"), ("right", "2")]),
            conn("b", 5, Auto::Start, &[]),
        ]);
        let new = [
            conn("a", 3, Auto::Add, &[("right", "2"), ("left", "1")]),
            conn("b", 9, Auto::Start, &[]),
        ];
        hand_over.go_on(&new, &[], false);
        let text = "lines and the order of keywords do not matter";
        assert_eq!(run(&mut hand_over, &[]), "", "{text}");
        hand_over.go_on(&new, &[], true);
        assert_eq!(run(&mut hand_over, &[]), "add a, add b, start b");
    }

    #[test]
    fn what_is_changed_takes_its_place_and_what_is_removed_goes() {
        let mut hand_over = having(&[
            conn("a", 1, Auto::Add, &[("left", "1")]),
            conn("b", 5, Auto::Route, &[]),
            conn("c", 7, Auto::Route, &[]),
        ]);
        let new = [
            conn("d", 1, Auto::Add, &[]),
            conn("a", 2, Auto::Add, &[("left", "9")]),
            conn("c", 7, Auto::Start, &[]),
        ];
        hand_over.go_on(&new, &[], false);
        let steps = "unroute b, delete b, add d, add a, add c, unroute c, start c";
        assert_eq!(run(&mut hand_over, &[]), steps);
        hand_over.go_on(&new, &[], false);
        assert_eq!(run(&mut hand_over, &[]), "");
    }

    #[test]
    fn other_uniqueids_change_every_connection() {
        let old = [conn("a", 1, Auto::Add, &[])];
        let mut hand_over = having(&old);
        let mut new = old.clone();
        new[0].connection.uniqueids = "never".into();
        hand_over.go_on(&new, &[], false);
        assert_eq!(run(&mut hand_over, &[]), "add a");
    }

    #[test]
    fn a_connection_that_is_refused_stays_as_it_was_and_is_tried_again() {
        let old = [conn("a", 1, Auto::Start, &[("left", "1")])];
        let mut hand_over = having(&old);
        let new = [conn("a", 1, Auto::Start, &[("left", "2")])];
        for _ in 0..2 {
            hand_over.go_on(&new, &[], false);
            assert_eq!(run(&mut hand_over, &["a"]), "add a", "it is not established");
        }
        hand_over.go_on(&old, &[], false);
        assert_eq!(run(&mut hand_over, &[]), "", "charon has it");
        // One whose section cannot be used is not even tried.
        hand_over.go_on(&[], &["a".into()], false);
        assert_eq!(run(&mut hand_over, &[]), "");
        hand_over.go_on(&[], &[], false);
        assert_eq!(run(&mut hand_over, &[]), "delete a");
    }

    #[test]
    fn what_was_interrupted_goes_on_where_it_was() {
        let all = [conn("a", 1, Auto::Start, &[]), conn("b", 2, Auto::Start, &[])];
        let mut hand_over = HandOver::default();
        hand_over.begin(&all);
        let first = hand_over.next().unwrap();
        hand_over.done(first, false);
        hand_over.go_on(&all, &[], false);
        assert_eq!(run(&mut hand_over, &[]), "add b, start a, start b");
    }
}
