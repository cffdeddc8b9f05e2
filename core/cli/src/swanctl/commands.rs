//! What each command asks the daemon for.

use std::io::{IsTerminal, Write};

use control::Verb;
use control::vici::Message;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::load::{self, What};
use super::print;
use super::print::certs::Printer;
use super::session::{Failure, Session, check};
use crate::product::{NAME, VERSION};

/// Runs a command.
pub(super) type Run = fn(&mut Session<'_>) -> Result<(), Failure>;

const SELECTORS: [&str; 4] = ["child", "ike", "child-id", "ike-id"];

/// `timeout` in milliseconds, and `loglevel`.
fn waiting(session: &Session<'_>, request: Message) -> Result<Message, Failure> {
    let milliseconds = |text: &str| text.parse::<i32>().ok().map(|seconds| i64::from(seconds) * 1000);
    let timeout = match session.value("timeout") {
        None => None,
        Some(text) => Some(
            milliseconds(text)
                .ok_or_else(|| Failure::Refused(format!("--timeout {text} is not a number of seconds")))?,
        ),
    };
    let request = request.value_if("timeout", timeout);
    Ok(request.value_if("loglevel", session.value("loglevel")))
}

pub(super) fn initiate(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = waiting(session, session.request(&["child", "ike"]))?;
    session.act(Verb::Initiate, &request)
}

pub(super) fn terminate(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = waiting(session, session.request(&SELECTORS))?;
    let force = session.is("force").then_some("yes");
    session.act(Verb::Terminate, &request.value_if("force", force))
}

pub(super) fn rekey(session: &mut Session<'_>) -> Result<(), Failure> {
    let reauth = session.is("reauth").then_some("yes");
    let request = session.request(&SELECTORS).value_if("reauth", reauth);
    plain(session, Verb::Rekey, &request)
}

pub(super) fn redirect(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = session.request(&["ike", "ike-id", "peer-ip", "peer-id", "gateway"]);
    plain(session, Verb::Redirect, &request)
}

pub(super) fn install(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = session.request(&["child", "ike"]);
    plain(session, Verb::Install, &request)
}

pub(super) fn uninstall(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = session.request(&["child", "ike"]);
    plain(session, Verb::Uninstall, &request)
}

/// A command that does something at once.
fn plain(session: &mut Session<'_>, verb: Verb, request: &Message) -> Result<(), Failure> {
    let answer = session.daemon()?.call(verb.name(), request)?;
    session.done(verb, &answer)
}

/// A command whose success goes without saying.
fn quiet(session: &mut Session<'_>, verb: Verb, request: &Message) -> Result<(), Failure> {
    let answer = session.daemon()?.call(verb.name(), request)?;
    session
        .out
        .answer(&format!("{verb} reply"), &answer, |_, _| Ok(()))?;
    check(verb, &answer)
}

pub(super) fn reload_settings(session: &mut Session<'_>) -> Result<(), Failure> {
    quiet(session, Verb::ReloadSettings, &Message::new())
}

pub(super) fn flush_certs(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = session.request(&["type"]);
    quiet(session, Verb::FlushCerts, &request)
}

pub(super) fn list_sas(session: &mut Session<'_>) -> Result<(), Failure> {
    let noblock = session.is("noblock").then_some("yes");
    let request = session.request(&SELECTORS).value_if("noblock", noblock);
    session.list(Verb::ListSas, &request, print::sas::event)
}

pub(super) fn list_conns(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = session.request(&["ike"]);
    session.list(Verb::ListConns, &request, print::conns::event)
}

pub(super) fn list_pols(session: &mut Session<'_>) -> Result<(), Failure> {
    let kinds = ["trap", "drop", "pass"];
    let none = kinds.iter().all(|kind| !session.is(kind));
    let request = kinds
        .iter()
        .filter(|kind| none || session.is(kind))
        .fold(session.request(&["child"]), |request, kind| {
            request.value(kind, "yes")
        });
    session.list(Verb::ListPolicies, &request, print::policies::event)
}

pub(super) fn list_authorities(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = session.request(&["name"]);
    session.list(Verb::ListAuthorities, &request, print::authorities::authority)
}

pub(super) fn list_certs(session: &mut Session<'_>) -> Result<(), Failure> {
    let request = session.request(&["subject", "type", "flag"]);
    let mut printer = Printer::new(session.is("pem"), session.is("short"), session.is("utc"));
    session.list(Verb::ListCerts, &request, |out, message| {
        printer.event(out, message)
    })
}

pub(super) fn list_pools(session: &mut Session<'_>) -> Result<(), Failure> {
    let leases = session.is("leases").then_some("yes");
    let request = session.request(&["name"]).value_if("leases", leases);
    let answer = session.daemon()?.call(Verb::GetPools.name(), &request)?;
    Ok(session
        .out
        .answer("get-pools reply", &answer, print::daemon::pools)?)
}

pub(super) fn list_algs(session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session
        .daemon()?
        .call(Verb::GetAlgorithms.name(), &Message::new())?;
    Ok(session
        .out
        .answer("get-algorithms reply", &answer, print::daemon::algorithms)?)
}

pub(super) fn counters(session: &mut Session<'_>) -> Result<(), Failure> {
    let all = session.is("all").then_some("yes");
    let request = session.request(&["name"]).value_if("all", all);
    if session.is("reset") {
        return plain(session, Verb::ResetCounters, &request);
    }
    let answer = session.daemon()?.call(Verb::GetCounters.name(), &request)?;
    session
        .out
        .answer("counters reply", &answer, print::daemon::counters)?;
    check(Verb::GetCounters, &answer)
}

pub(super) fn stats(session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session.daemon()?.call(Verb::Stats.name(), &Message::new())?;
    Ok(session.out.answer("stats reply", &answer, print::daemon::stats)?)
}

pub(super) fn version(session: &mut Session<'_>) -> Result<(), Failure> {
    if !session.is("daemon") {
        let own = Message::new()
            .value("program", "swanctl")
            .value("version", VERSION);
        return Ok(session.out.answer("version", &own, |out, _| {
            writeln!(out, "{NAME} swanctl {VERSION}")
        })?);
    }
    let answer = session.daemon()?.call(Verb::Version.name(), &Message::new())?;
    Ok(session
        .out
        .answer("version reply", &answer, print::daemon::version)?)
}

pub(super) fn log(session: &mut Session<'_>) -> Result<(), Failure> {
    watch(session, &["log"], |_| "log".to_owned(), print::log::log)
}

pub(super) fn monitor_sa(session: &mut Session<'_>) -> Result<(), Failure> {
    let label = |event: &str| format!("{event} event");
    watch(session, &["ike-updown", "child-updown"], label, print::sas::event)
}

/// Shows events until somebody has enough, or the daemon goes.
fn watch(
    session: &mut Session<'_>,
    events: &[&str],
    label: impl Fn(&str) -> String,
    print: impl Fn(&mut dyn Write, &Message) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let daemon = session.daemon()?;
    let close = daemon.closer()?;
    for event in events {
        daemon.register(event)?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let handle = signals.handle();
    let waiter = std::thread::spawn(move || {
        let stopped = signals.forever().next().is_some();
        close();
        stopped
    });
    let watched = loop {
        match session.daemon()?.next_event() {
            Ok(Some((event, message))) => {
                let written = session.out.answer(&label(&event), &message, &print);
                if let Err(error) = written.and_then(|()| session.out.flush()) {
                    break Err(error.into());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    handle.close();
    match waiter.join() {
        Ok(true) => eprintln!("disconnecting..."),
        _ if watched.is_ok() => eprintln!("connection closed"),
        _ => return watched,
    }
    Ok(())
}

fn load(session: &mut Session<'_>, what: What) -> Result<(), Failure> {
    let set = |id| session.options.try_get_one::<bool>(id).ok().flatten() == Some(&true);
    let options = load::Options {
        clear: set("clear"),
        noprompt: set("noprompt"),
        file: session.value("file").map(Into::into),
        warn: std::io::stderr().is_terminal(),
    };
    load::run(session, what, &options)
}

pub(super) fn load_all(session: &mut Session<'_>) -> Result<(), Failure> {
    load(session, What::All)
}

pub(super) fn load_authorities(session: &mut Session<'_>) -> Result<(), Failure> {
    load(session, What::Authorities)
}

pub(super) fn load_conns(session: &mut Session<'_>) -> Result<(), Failure> {
    load(session, What::Conns)
}

pub(super) fn load_creds(session: &mut Session<'_>) -> Result<(), Failure> {
    load(session, What::Creds)
}

pub(super) fn load_pools(session: &mut Session<'_>) -> Result<(), Failure> {
    load(session, What::Pools)
}
