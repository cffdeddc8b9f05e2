//! The starter at work: it waits for signals, for charon's end, and for the next time to look at ipsec.conf.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use control::stroke::Request;

use super::background::Waiting;
use super::charon::{Charon, NoCharon};
use super::configuration::Configuration;
use super::connections::{Auto, Conn, changes};
use super::log::Log;
use super::signals::{Signals, Wish};
use super::{Setup, exit, unusable};
use crate::process::{self, Process};
use crate::stroke::Client;

/// When a charon that died is started again.
const RESTART_DELAY: Duration = Duration::from_secs(5);
/// How long charon may take to answer a request that it should do at once.
const ANSWER_TIME: Duration = Duration::from_secs(10);

struct Starter<'a> {
    setup: &'a Setup,
    log: &'a Log,
    client: Client,
    configuration: Configuration,
    charon: Option<Charon>,
    restart_at: Option<Instant>,
    update_at: Option<Instant>,
}

/// Runs until a signal, or until charon cannot run. Returns the exit code.
pub(super) fn run(setup: &Setup, log: &Log, waiting: Option<Waiting>) -> u8 {
    let signals = match Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return failed(log, &format!("waiting for signals is impossible: {error}")),
    };
    let pid_file = setup.paths.starter_pid_file();
    match take_pid_file(&pid_file) {
        Ok(true) => {}
        Ok(false) => {
            log.line(&format!(
                "starter is already running ({} exists) -- no fork done",
                pid_file.display()
            ));
            return exit::OK;
        }
        Err(error) => {
            let advice = "see charon.piddir in strongswan.conf";
            return failed(
                log,
                &format!("cannot write '{}': {error}; {advice}", pid_file.display()),
            );
        }
    }
    let code = with_pid_file(setup, log, waiting, &signals);
    let _ = fs::remove_file(&pid_file);
    log.line("ipsec starter stopped");
    code
}

fn failed(log: &Log, problem: &str) -> u8 {
    log.line(problem);
    exit::FAILED
}

/// Makes the pid file, in the place of one whose process is gone; `false` if another starter has it.
fn take_pid_file(path: &Path) -> io::Result<bool> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    loop {
        match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(mut file) => return writeln!(file, "{}", std::process::id()).map(|()| true),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Err(_) if Process::of_pid_file(path, "starter").is_some() => return Ok(false),
            Err(_) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
    }
}

fn with_pid_file(setup: &Setup, log: &Log, waiting: Option<Waiting>, signals: &Signals) -> u8 {
    let configuration = match Configuration::load(&setup.ipsec_conf) {
        Ok(configuration) => configuration,
        Err(problem) => return unusable(&problem, log),
    };
    if !setup.options.in_background {
        // Else whoever started this has shown them.
        configuration
            .messages
            .iter()
            .for_each(|message| log.line(message));
    }
    let client = match Client::of_uri(&setup.paths.stroke_uri(&setup.settings)) {
        Ok(client) => client,
        Err(error) => return failed(log, &error.to_string()),
    };
    let update_at = setup
        .options
        .auto_update
        .map(|interval| Instant::now() + interval);
    let mut starter = Starter {
        setup,
        log,
        client,
        configuration,
        charon: None,
        restart_at: None,
        update_at,
    };
    if starter.start_charon().is_err() {
        return exit::FAILED;
    }
    if let Some(waiting) = waiting {
        waiting.release(exit::OK);
    }
    starter.serve(signals)
}

impl Starter<'_> {
    fn serve(&mut self, signals: &Signals) -> u8 {
        loop {
            let mut fds: Vec<_> = self
                .charon
                .iter()
                .map(|charon| charon.process().as_fd())
                .collect();
            fds.extend(signals.fds());
            let next = [self.restart_at, self.update_at].into_iter().flatten().min();
            let time = next.map(|next| next.saturating_duration_since(Instant::now()));
            let ready = match process::readable(&fds, time) {
                Ok(ready) => ready,
                Err(error) => return self.stop(&format!("waiting failed: {error}")),
            };
            let charon_ended = self.charon.is_some() && ready.first() == Some(&true);
            for wish in signals.take() {
                match wish {
                    Wish::Stop => return self.stop(""),
                    Wish::Reload => self.reload(),
                    Wish::Update => self.update(),
                }
            }
            if charon_ended && let Some(charon) = self.charon.take() {
                if let NoCharon::Refused = charon.reap(self.log) {
                    return exit::FAILED;
                }
                self.schedule_restart();
            }
            let now = Instant::now();
            if self.restart_at.is_some_and(|when| when <= now) {
                self.restart_at = None;
                match self.start_charon() {
                    Ok(()) => {}
                    Err(NoCharon::Refused) => return exit::FAILED,
                    Err(NoCharon::Failed) => self.schedule_restart(),
                }
            }
            if self.update_at.is_some_and(|when| when <= now) {
                self.update_at = self.setup.options.auto_update.map(|interval| now + interval);
                self.update();
            }
        }
    }

    fn schedule_restart(&mut self) {
        self.log.line(&format!(
            "charon has died -- restart scheduled ({}sec)",
            RESTART_DELAY.as_secs()
        ));
        self.restart_at = Some(Instant::now() + RESTART_DELAY);
    }

    fn stop(&mut self, problem: &str) -> u8 {
        if !problem.is_empty() {
            self.log.line(problem);
        }
        if let Some(charon) = self.charon.take() {
            charon.stop(self.log);
        }
        if problem.is_empty() {
            exit::OK
        } else {
            exit::FAILED
        }
    }

    fn start_charon(&mut self) -> Result<(), NoCharon> {
        self.charon = Some(Charon::start(self.setup, &self.configuration, self.log)?);
        self.add(&self.configuration.conns.iter().collect::<Vec<_>>());
        Ok(())
    }

    /// What changed in ipsec.conf.
    fn update(&mut self) {
        let Some(new) = self.read_again() else { return };
        let old = std::mem::replace(&mut self.configuration, new);
        if self.charon.is_some() {
            let changes = changes(&old.conns, &self.configuration.conns);
            self.delete(&changes.delete);
            self.add(&changes.add);
        }
    }

    /// All of ipsec.conf.
    fn reload(&mut self) {
        let Some(new) = self.read_again() else { return };
        let old = std::mem::replace(&mut self.configuration, new);
        if self.charon.is_some() {
            self.delete(&old.conns.iter().collect::<Vec<_>>());
            self.add(&self.configuration.conns.iter().collect::<Vec<_>>());
        }
    }

    fn read_again(&self) -> Option<Configuration> {
        match Configuration::load(&self.setup.ipsec_conf) {
            Ok(new) => {
                new.messages.iter().for_each(|message| self.log.line(message));
                Some(new)
            }
            Err(problem) => {
                self.log.line(&problem);
                self.log
                    .line("can't reload config file due to errors -- keeping old one");
                None
            }
        }
    }

    fn delete(&self, conns: &[&Conn]) {
        let requests = conns.iter().flat_map(|conn| {
            let name = || conn.connection.name.clone();
            let unroute = (conn.auto == Auto::Route).then(|| Request::Unroute { name: name() });
            unroute
                .into_iter()
                .chain([Request::DeleteConnection { name: name() }])
        });
        self.ask(requests);
    }

    /// All of them first: one that is established may need another as its parent.
    fn add(&self, conns: &[&Conn]) {
        let add = conns
            .iter()
            .map(|conn| Request::AddConnection(conn.connection.clone()));
        let act = conns.iter().filter_map(|conn| {
            let name = conn.connection.name.clone();
            match conn.auto {
                Auto::Add => None,
                Auto::Route => Some(Request::Route { name }),
                Auto::Start => Some(Request::Initiate { name, wait: false }),
            }
        });
        self.ask(add.chain(act));
    }

    /// Asks charon; what it answers is worth a line. If it does not answer, it is not asked for more: either it has
    /// died, and gets everything when it is started again, or nothing would come through.
    fn ask(&self, requests: impl Iterator<Item = Request>) {
        for request in requests {
            if self.setup.options.debug {
                self.log.line(&format!("asking charon: {request:?}"));
            }
            let mut answer = Vec::new();
            let result = self.client.ask(&request, &mut answer, Some(ANSWER_TIME));
            String::from_utf8_lossy(&answer)
                .lines()
                .for_each(|line| self.log.line(line));
            if let Err(error) = result {
                self.log.line(&format!(
                    "{error}; it lacks connections now, 'ipsec reload' sends all of them"
                ));
                return;
            }
        }
    }
}
