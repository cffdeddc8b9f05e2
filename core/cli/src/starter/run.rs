//! The starter at work: it waits for signals, for charon's end, and for the next time to look at ipsec.conf.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::background::Waiting;
use super::charon::{Charon, NoCharon};
use super::configuration::Configuration;
use super::hand_over::{HandOver, Step};
use super::hearers::Hearers;
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
    hand_over: HandOver,
    /// What charon has been asked.
    asking: Option<Asking>,
    /// ipsec.conf is to be read again, and charon to get what changed, or all of it.
    wished: Option<bool>,
    hearers: Hearers,
}

/// A request on its way.
struct Asking {
    step: Step,
    stream: UnixStream,
    answer: Vec<u8>,
    /// When charon has been silent for too long.
    deadline: Instant,
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
        hand_over: HandOver::default(),
        asking: None,
        wished: None,
        hearers: Hearers::default(),
    };
    if let Err(error) = starter.hearers.open(&setup.paths) {
        let path = setup.paths.starter_socket();
        log.line(&format!(
            "opening '{}' failed: {error}; 'ipsec update' cannot say what charon refuses",
            path.display()
        ));
    }
    let code = match starter.start_charon() {
        Ok(()) => {
            starter.hearers.add_first_process(waiting);
            starter.serve(signals)
        }
        Err(_) => exit::FAILED,
    };
    starter.hearers.close(&setup.paths.starter_socket());
    code
}

impl Starter<'_> {
    fn serve(&mut self, signals: &Signals) -> u8 {
        loop {
            // Not while a request is on its way: what charon has is known with its answer.
            if self.asking.is_none()
                && let Some(all) = self.wished.take()
            {
                self.update(all);
            }
            self.ask_next();
            let charon = self.charon.as_ref().map(|charon| charon.process().as_fd());
            let asking = self.asking.as_ref().map(|asking| asking.stream.as_fd());
            let fds: Vec<_> = charon.into_iter().chain(asking).chain(signals.fds()).collect();
            let deadline = self.asking.as_ref().map(|asking| asking.deadline);
            let next = [self.restart_at, self.update_at, deadline]
                .into_iter()
                .flatten()
                .min();
            let time = next.map(|next| next.saturating_duration_since(Instant::now()));
            let ready = match process::readable(&fds, time) {
                Ok(ready) => ready,
                Err(error) => return self.stop(&format!("waiting failed: {error}")),
            };
            let mut ready = ready.into_iter();
            let charon_ended = self.charon.is_some() && ready.next() == Some(true);
            let answered = self.asking.is_some() && ready.next() == Some(true);
            for wish in signals.take() {
                self.hearers.take_commands();
                match wish {
                    Wish::Stop => return self.stop(""),
                    Wish::Reload => self.wished = Some(true),
                    Wish::Update => self.wished = self.wished.or(Some(false)),
                }
            }
            self.listen(answered);
            if charon_ended && let Some(charon) = self.charon.take() {
                self.asking = None;
                self.hand_over.give_up();
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
                self.wished = self.wished.or(Some(false));
            }
        }
    }

    /// Says something of the hand-over, to those who wait for it, too.
    fn say(&mut self, line: &str) {
        self.log.line(line);
        self.hearers.say(line);
    }

    fn schedule_restart(&mut self) {
        self.say(&format!(
            "charon has died -- restart scheduled ({}sec)",
            RESTART_DELAY.as_secs()
        ));
        if self.loses_connections_of_swanctl() {
            self.say(
                "connections of swanctl.conf are not loaded again: have charon.start-scripts run 'swanctl --load-all \
                 --noprompt'",
            );
        }
        self.restart_at = Some(Instant::now() + RESTART_DELAY);
    }

    /// Whether there are connections that nothing gives a new charon.
    fn loses_connections_of_swanctl(&self) -> bool {
        let file = self.setup.paths.sysconfdir.join("swanctl/swanctl.conf");
        self.setup.settings.keys("charon.start-scripts").is_empty()
            && config::settings::Settings::load(&file)
                .is_ok_and(|settings| !settings.sections("connections").is_empty())
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
        self.asking = None;
        self.hand_over.begin(&self.configuration.conns);
        self.hand_over.report(&self.configuration.messages);
        Ok(())
    }

    /// Reads ipsec.conf again, and has charon get what changed in it, or with `all` all of it.
    fn update(&mut self, all: bool) {
        match Configuration::load(&self.setup.ipsec_conf) {
            Ok(new) => {
                new.messages.iter().for_each(|message| self.log.line(message));
                self.configuration = new;
            }
            Err(problem) => {
                let kept = "can't reload config file due to errors -- keeping old one".to_owned();
                let lines = [problem, kept];
                lines.iter().for_each(|line| self.log.line(line));
                return self.hand_over.report(&lines);
            }
        }
        if self.charon.is_some() {
            let Configuration { conns, refused, .. } = &self.configuration;
            self.hand_over.go_on(conns, refused, all);
            self.hand_over.report(&self.configuration.messages);
        }
    }

    /// Asks charon for the next thing; without one, all is handed over.
    fn ask_next(&mut self) {
        while self.asking.is_none()
            && self.charon.is_some()
            && let Some(step) = self.hand_over.next()
        {
            let Some(request) = step.request() else {
                self.hand_over.done(step, false);
                continue;
            };
            if self.setup.options.debug {
                self.log.line(&format!("asking charon: {request:?}"));
            }
            match self.client.begin(&request, ANSWER_TIME) {
                Ok(stream) => {
                    self.asking = Some(Asking {
                        step,
                        stream,
                        answer: Vec::new(),
                        deadline: Instant::now() + ANSWER_TIME,
                    });
                }
                Err(error) => self.cannot_ask(&error.to_string()),
            }
        }
        if self.asking.is_none() {
            self.hearers.end(exit::OK);
        }
    }

    /// Reads more of charon's answer; what it says is worth a line.
    fn listen(&mut self, readable: bool) {
        let Some(asking) = &mut self.asking else { return };
        if !readable {
            if asking.deadline <= Instant::now() {
                self.asking = None;
                self.cannot_ask("charon does not answer");
            }
            return;
        }
        let mut buffer = [0; 8192];
        match asking.stream.read(&mut buffer) {
            Ok(0) => {
                if let Some(Asking { step, answer, .. }) = self.asking.take() {
                    // It has nothing to say of a connection that it takes.
                    let refused = matches!(step, Step::Add(_)) && !answer.is_empty();
                    String::from_utf8_lossy(&answer)
                        .lines()
                        .for_each(|line| self.say(line));
                    self.hand_over.done(step, refused);
                }
            }
            Ok(octets) => {
                asking.answer.extend_from_slice(&buffer[..octets]);
                asking.deadline = Instant::now() + ANSWER_TIME;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.asking = None;
                self.cannot_ask(&format!("communicating with charon failed: {error}"));
            }
        }
    }

    /// Charon is not asked for more: either it has died, and gets everything when it is started again, or nothing would
    /// come through.
    fn cannot_ask(&mut self, problem: &str) {
        self.say(&format!(
            "{problem}; it lacks connections now, 'ipsec reload' sends all of them"
        ));
        self.hand_over.give_up();
    }
}
