//! `get-counters`, `reset-counters`: messages counted by exchange, for all connections together and for each.

use control::vici::Message;
use ike::{Counters, Tally};

use super::message::Extra;
use super::{Answer, success};
use crate::run::Daemon;

const MISSING: &str = "no counters available (plugin missing?)";

impl Daemon {
    pub(super) fn get_counters(&self, request: &Message) -> Answer {
        let tally = self.endpoint.tally().ok_or(MISSING)?;
        let mut sections = Message::new();
        if request.is("all") {
            for (name, counters) in &tally.connections {
                sections.push_section(name, section(counters));
            }
        } else {
            let name = request.get_str("name").unwrap_or_default();
            match counters_of(tally, name) {
                Ok(counters) => sections.push_section(name, section(counters)),
                Err(error) => return Ok(counted(sections, super::failure(&error))),
            }
        }
        Ok(counted(sections, success()))
    }

    pub(super) fn reset_counters(&mut self, request: &Message) -> Answer {
        let tally = self.endpoint.tally_mut().ok_or(MISSING)?;
        if request.is("all") {
            tally.connections.clear();
        } else {
            match request.get_str("name").unwrap_or_default() {
                "" => tally.global = Counters::default(),
                name => _ = tally.connections.remove(name),
            }
        }
        Ok(success())
    }
}

/// What was counted, and the result after it.
fn counted(sections: Message, result: Message) -> Message {
    let mut answer = Message::new();
    answer.push_section("counters", sections);
    answer.elements.extend(result.elements);
    answer
}

/// Those of a connection, or the global ones without a name.
fn counters_of<'a>(tally: &'a Tally, name: &str) -> Result<&'a Counters, String> {
    if name.is_empty() {
        return Ok(&tally.global);
    }
    let found = tally.connections.get(name);
    found.ok_or_else(|| "no counters found for this connection".into())
}

fn section(counters: &Counters) -> Message {
    let mut out = Message::new();
    for (key, value) in counters.iter() {
        out.push_value(key, value);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ike::Initiate;

    use super::super::tests::ask_message;
    use super::*;
    use crate::testing::{TestKernel, daemon, lines, peer_config};

    fn ask(daemon: &mut Daemon, verb: &str, request: Message) -> Vec<String> {
        let answers = ask_message(daemon, verb, &request);
        let done = answers.done.lock().unwrap();
        lines(done.as_ref().expect("an answer"))
    }

    /// One that has initiated `moon` and received an octet that is no IKE message.
    fn counting() -> Daemon {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        daemon.endpoint.start_tally();
        let ends = ["192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap()];
        let now = daemon.now();
        daemon.endpoint.handle_datagram(now, ends[0], ends[1], &[1]);
        let what = Initiate {
            peer: Arc::new(peer_config("moon")),
            child: None,
            local: ends[0],
            remote: ends[1],
        };
        daemon.endpoint.initiate(now, ike::CommandId(1), what);
        daemon
    }

    #[test]
    fn without_the_plugin_there_are_no_counters() {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        for verb in ["get-counters", "reset-counters"] {
            let answer = ask(&mut daemon, verb, Message::new());
            let expected = ["success = no", "errmsg = no counters available (plugin missing?)"];
            assert_eq!(answer, expected, "{verb}");
        }
    }

    #[test]
    fn global_counters_are_a_section_without_a_name() {
        let answer = ask(&mut counting(), "get-counters", Message::new());
        assert_eq!(answer.len(), 22);
        assert_eq!(answer[0], "counters..ike-rekey-init = 0");
        assert_eq!(answer[3], "counters..invalid = 1");
        assert_eq!(answer[20], "counters..info-out-resp = 0");
        assert_eq!(answer[21], "success = yes");
    }

    #[test]
    fn all_are_those_of_connections_and_none_is_an_error_by_name() {
        let mut daemon = counting();
        let all = ask(&mut daemon, "get-counters", Message::new().flag("all", true));
        assert!(all.iter().all(|line| !line.starts_with("counters..")), "{all:?}");
        let named = |name: &str| Message::new().value("name", name);
        let unknown = ask(&mut daemon, "get-counters", named("venus"));
        let expected = ["success = no", "errmsg = no counters found for this connection"];
        assert_eq!(unknown, expected);
    }

    #[test]
    fn resetting_the_global_ones_leaves_those_of_connections() {
        let mut daemon = counting();
        let tally = daemon.endpoint.tally_mut().expect("it counts");
        tally.connections.insert("moon".into(), Counters::default());
        tally.connections.insert("sun".into(), Counters::default());
        let reset = |daemon: &mut Daemon, request| {
            assert_eq!(ask(daemon, "reset-counters", request), ["success = yes"]);
            let tally = daemon.endpoint.tally().expect("it counts");
            let names: Vec<String> = tally.connections.keys().map(ToString::to_string).collect();
            (tally.global == Counters::default(), names.join(" "))
        };
        let before = reset(&mut daemon, Message::new().value("name", "sun"));
        assert_eq!(before, (false, "moon".into()));
        assert_eq!(reset(&mut daemon, Message::new()), (true, "moon".into()));
        let all = Message::new().flag("all", true);
        assert_eq!(reset(&mut daemon, all), (true, String::new()));
    }
}
