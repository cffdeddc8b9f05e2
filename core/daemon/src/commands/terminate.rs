//! `terminate`: close IKE_SAs and CHILD_SAs, and wait for it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use control::vici::Message;
use ike::{ChildState, CommandError, CommandId, IkeSaInfo, IkeSaState};
use plugin_api::Reply;
use plugin_api::log::Group;

use super::message::Extra;
use super::operation::{Operation, OutOfTime, Work};
use super::{Answer, success};
use crate::run::Daemon;

/// What is being closed.
pub(super) struct Terminating {
    waiting: BTreeMap<CommandId, Target>,
    matches: usize,
    terminated: usize,
}

/// An SA by its unique number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Ike(u32),
    /// The CHILD_SA, and the IKE_SA it belongs to.
    Child(u32, u32),
}

impl Target {
    fn words(self) -> String {
        match self {
            Self::Ike(id) => format!("IKE_SA [{id}]"),
            Self::Child(id, _) => format!("CHILD_SA {{{id}}}"),
        }
    }

    fn ike_sa(self) -> u32 {
        match self {
            Self::Ike(id) | Self::Child(_, id) => id,
        }
    }
}

impl Terminating {
    pub(super) fn out_of_time(&self, timeout: Duration) -> OutOfTime {
        let ms = timeout.as_millis();
        OutOfTime {
            error: format!("not all matching SAs could be terminated within {ms}ms"),
            lines: self
                .waiting
                .values()
                .map(|target| format!("{} not closed after {ms}ms, detaching", target.words()))
                .collect(),
        }
    }
}

impl Daemon {
    pub(super) fn start_terminate(&mut self, request: &Message, reply: &Arc<dyn Reply>) {
        let sas: Vec<IkeSaInfo> = self.endpoint.ike_sas().collect();
        let stroke = request.is("stroke");
        let targets = if stroke {
            let name = request.get_str("name").unwrap_or_default();
            self.logger
                .log(Group::Cfg, 1, format!("received stroke: terminate '{name}'"));
            Ok(by_stroke_name(&sas, name))
        } else {
            self.logger.log(Group::Cfg, 1, describe("terminate", request));
            by_selector("terminate", &sas, request)
        };
        let work = Terminating {
            waiting: BTreeMap::new(),
            matches: 0,
            terminated: 0,
        };
        let mut operation = Operation::new(request, reply, self.now(), Work::Terminate(work));
        let targets = match targets {
            Ok(targets) if targets.is_empty() => {
                let given_up = self.give_up(request);
                if given_up > 0 {
                    let answer = success().value("matches", given_up);
                    return operation.finish(Ok(answer.value("terminated", given_up)));
                }
                operation.lines = missing(request.get_str("name").filter(|_| stroke));
                let answer =
                    super::failure_with("no matching SAs to terminate found", &["matches", "terminated"]);
                return operation.finish(Ok(answer));
            }
            Ok(targets) => targets,
            Err(problem) => return operation.finish(Err(problem)),
        };
        operation.sas = targets.iter().map(|target| target.ike_sa()).collect();
        let id = self.operations.add(operation);
        self.apply_log_levels();
        let commands: Vec<_> = targets
            .into_iter()
            .map(|target| (self.operations.command(id), target))
            .collect();
        if let Some(Work::Terminate(work)) = self.operations.running.get_mut(&id).map(|it| &mut it.work) {
            work.matches = commands.len();
            work.waiting = commands.iter().copied().collect();
        }
        let (now, force) = (self.now(), request.is("force"));
        for (command, target) in commands {
            match target {
                Target::Ike(sa) if force => self.endpoint.destroy_ike(now, command, sa),
                Target::Ike(sa) => self.endpoint.terminate_ike(now, command, sa),
                Target::Child(child, _) => self.endpoint.terminate_child(now, command, child),
            }
        }
    }

    /// Closes the IKE_SAs whose peers have virtual addresses from `start` to `end`, without waiting for the peers.
    pub(super) fn terminate_srcip(&mut self, request: &Message) -> Answer {
        let start = address(request, "start")?.ok_or("terminate-srcip: the key 'start' is missing")?;
        let end = address(request, "end")?.unwrap_or(start);
        if start.is_ipv4() != end.is_ipv4() || end < start {
            return Err(format!("{start} to {end} is not a range of addresses"));
        }
        Ok(self.close_all(|sa| {
            let inside = |address: &IpAddr| (start..=end).contains(address);
            sa.remote_vips.iter().any(inside)
        }))
    }

    /// Closes the established IKE_SAs without CHILD_SAs, without waiting for the peers.
    pub(super) fn purge_ike(&mut self) -> Answer {
        Ok(self.close_all(|sa| sa.state == IkeSaState::Established && sa.children.is_empty()))
    }

    fn close_all(&mut self, wanted: impl Fn(&IkeSaInfo) -> bool) -> Message {
        let sas = self.endpoint.ike_sas().filter(wanted);
        let numbers: Vec<u32> = sas.map(|sa| sa.unique_id).collect();
        let now = self.now();
        for number in &numbers {
            let command = self.operations.unattended();
            self.endpoint.terminate_ike(now, command, *number);
        }
        success().value("matches", numbers.len())
    }

    /// Gives up a CHILD_SA that is named and not yet made. How often it was wanted.
    fn give_up(&mut self, request: &Message) -> usize {
        let now = self.now();
        if request.is("stroke") {
            let name = request.get_str("name").unwrap_or_default();
            let bare = name.strip_suffix("{}").or_else(|| name.strip_suffix("{*}"));
            return self.endpoint.give_up_child(now, None, bare.unwrap_or(name));
        }
        match (request.get_str("child"), request.get_str("child-id")) {
            (Some(child), None) => self.endpoint.give_up_child(now, request.get_str("ike"), child),
            _ => 0,
        }
    }

    pub(super) fn terminated(&mut self, id: u64, command: CommandId, result: Result<(), CommandError>) {
        let Some(operation) = self.operations.running.get_mut(&id) else {
            return;
        };
        let Work::Terminate(work) = &mut operation.work else {
            return;
        };
        let Some(target) = work.waiting.remove(&command) else {
            return;
        };
        operation.lines.push(match result {
            Ok(()) => {
                work.terminated += 1;
                format!("{} closed successfully", target.words())
            }
            Err(_) => format!("closing {} failed", target.words()),
        });
        if !work.waiting.is_empty() {
            return;
        }
        let (matches, terminated) = (work.matches, work.terminated);
        let mut answer = if matches == terminated {
            success()
        } else {
            super::failure("not all matching SAs could be terminated")
        };
        answer.push_value("matches", matches);
        answer.push_value("terminated", terminated);
        if let Some(operation) = self.operations.remove(id) {
            operation.finish(Ok(answer));
        }
        self.apply_log_levels();
    }
}

/// What `ipsec down` says of a number that no SA has.
fn missing(name: Option<&str>) -> Vec<String> {
    let number = |open, close| {
        let (_, inner) = name?.strip_suffix(close)?.split_once(open)?;
        inner.parse::<u32>().ok()
    };
    let lines = |kind: &str, shown: String, id: u32| {
        vec![
            format!("unable to terminate, {kind} with ID {id} not found"),
            format!("closing {kind} {shown} failed"),
        ]
    };
    if let Some(id) = number('[', ']') {
        lines("IKE_SA", format!("[{id}]"), id)
    } else if let Some(id) = number('{', '}') {
        lines("CHILD_SA", format!("{{{id}}}"), id)
    } else {
        Vec::new()
    }
}

/// The address that a key has, if it is there.
fn address(request: &Message, key: &str) -> Result<Option<IpAddr>, String> {
    let parse = |text: &str| {
        let address = text.parse();
        address.map_err(|_| format!("invalid {key} address: '{text}' is not an IP address"))
    };
    request.get_str(key).map(parse).transpose()
}

/// The log line of a command that selects SAs.
pub(super) fn describe(verb: &str, request: &Message) -> String {
    let named = |key| request.get_str(key).map(|value| format!("'{value}'"));
    let numbered = |key| request.get_str(key).map(|value| format!("#{value}"));
    if let Some(child) = named("child").or_else(|| numbered("child-id")) {
        return format!("vici {verb} CHILD_SA {child}");
    }
    match named("ike").or_else(|| numbered("ike-id")) {
        Some(ike) => format!("vici {verb} IKE_SA {ike}"),
        None => format!("vici {verb}"),
    }
}

/// By the keys `ike`, `ike-id`, `child` and `child-id`; all that are given have to match.
pub(super) fn by_selector(verb: &str, sas: &[IkeSaInfo], request: &Message) -> Result<Vec<Target>, String> {
    let number = |key: &str| match request.get_str(key) {
        Some(text) => text
            .parse::<u32>()
            .map(Some)
            .map_err(|_| format!("{key} = {text} is not a number")),
        None => Ok(None),
    };
    let (ike, ike_id) = (request.get_str("ike"), number("ike-id")?);
    let (child, child_id) = (request.get_str("child"), number("child-id")?);
    let of_child = child.is_some() || child_id.is_some();
    if !of_child && ike.is_none() && ike_id.is_none() {
        return Err(format!("missing {verb} selector"));
    }
    let sas = sas
        .iter()
        .filter(|sa| sa.state != IkeSaState::Rekeyed)
        .filter(|sa| ike.is_none_or(|name| name == &*sa.name) && ike_id.is_none_or(|id| id == sa.unique_id));
    if !of_child {
        return Ok(sas.map(|sa| Target::Ike(sa.unique_id)).collect());
    }
    Ok(children(sas, |it| {
        child.is_none_or(|name| name == it.config.name) && child_id.is_none_or(|id| id == it.unique_id)
    }))
}

fn children<'a>(
    sas: impl Iterator<Item = &'a IkeSaInfo>,
    wanted: impl Fn(&ike::ChildSaInfo) -> bool,
) -> Vec<Target> {
    let mut targets = Vec::new();
    for sa in sas {
        let live =
            |child: &&ike::ChildSaInfo| !matches!(child.state, ChildState::Rekeyed | ChildState::Deleted);
        let wanted = sa.children.iter().filter(live).filter(|child| wanted(child));
        targets.extend(wanted.map(|child| Target::Child(child.unique_id, sa.unique_id)));
    }
    targets
}

/// By the forms of `ipsec down`: `NAME`, `NAME[]`, `NAME{}`, `NAME[*]`, `NAME{*}`, `NAME[1]`, `[1]`, `{1}`.
pub(super) fn by_stroke_name(sas: &[IkeSaInfo], text: &str) -> Vec<Target> {
    let ike_sas = |name: &str| -> Vec<Target> {
        sas.iter()
            .filter(|sa| &*sa.name == name && sa.state != IkeSaState::Rekeyed)
            .map(|sa| Target::Ike(sa.unique_id))
            .collect()
    };
    let child_sas = |name: &str| children(sas.iter(), |child| child.config.name == name);
    let first = |mut targets: Vec<Target>| {
        targets.truncate(1);
        targets
    };
    let bracketed = |open, close| text.strip_suffix(close).and_then(|text| text.split_once(open));
    if let Some((name, inner)) = bracketed('[', ']') {
        match inner {
            "" => first(ike_sas(name)),
            "*" => ike_sas(name),
            id => sas
                .iter()
                .filter(|sa| id.parse() == Ok(sa.unique_id) && (name.is_empty() || name == &*sa.name))
                .map(|sa| Target::Ike(sa.unique_id))
                .collect(),
        }
    } else if let Some((name, inner)) = bracketed('{', '}') {
        match inner {
            "" => first(child_sas(name)),
            "*" => child_sas(name),
            id => children(sas.iter(), |child| {
                id.parse() == Ok(child.unique_id) && (name.is_empty() || name == child.config.name)
            }),
        }
    } else {
        let found = first(ike_sas(text));
        if found.is_empty() {
            first(child_sas(text))
        } else {
            found
        }
    }
}
