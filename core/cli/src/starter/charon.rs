//! The daemon's process.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::Setup;
use super::configuration::Configuration;
use super::log::Log;
use crate::process::{self, Process};

/// How long charon may take to start.
const START_TIME: Duration = Duration::from_secs(10);
/// How long charon may take to say goodbye to its peers.
const STOP_TIME: Duration = Duration::from_secs(10);

/// A running charon.
pub(super) struct Charon {
    process: Process,
    /// None if somebody else started it.
    child: Option<Child>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NoCharon {
    /// It said why itself; trying again would not help.
    Refused,
    /// It could not be started, or ended at once.
    Failed,
}

impl Charon {
    /// Starts charon and waits until it is up; one that runs already is taken as it is.
    pub(super) fn start(setup: &Setup, configuration: &Configuration, log: &Log) -> Result<Self, NoCharon> {
        let pid_file = setup.paths.charon_pid_file();
        if let Some(process) = Process::of_pid_file(&pid_file, "charon") {
            log.line(&format!(
                "charon is already running ({} exists) -- skipping daemon start",
                pid_file.display()
            ));
            return Ok(Self { process, child: None });
        }
        if pid_file.exists() {
            log.line(&format!(
                "removing pidfile '{}', process not running",
                pid_file.display()
            ));
            let _ = fs::remove_file(&pid_file);
        }
        let began = Instant::now();
        let program = setup.paths.libexec.join("charon");
        let failed = |error: io::Error| {
            log.line(&format!("unable to start '{}': {error}", program.display()));
            NoCharon::Failed
        };
        let (ready, says_ready) = io::pipe().map_err(failed)?;
        // All else that is open closes on exec.
        fcntl(&says_ready, FcntlArg::F_SETFD(FdFlag::empty())).map_err(|error| failed(error.into()))?;
        let mut command = Command::new(&program);
        if !setup.options.nofork && !setup.options.nolog {
            command.arg("--use-syslog");
        }
        command.args(&configuration.charon_arguments);
        command
            .args(["--ready-fd", &says_ready.as_raw_fd().to_string()])
            .stdin(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        drop(says_ready);
        let process = i32::try_from(child.id())
            .map_err(io::Error::other)
            .and_then(Process::open)
            .map_err(failed)?;
        let came = process::readable(&[ready.as_fd()], Some(START_TIME)).map_err(failed)?[0];
        if !came {
            log.line(&format!(
                "charon has not come up after {} s, killing it",
                START_TIME.as_secs()
            ));
            process.kill();
            let _ = child.wait();
            return Err(NoCharon::Failed);
        }
        if io::Read::read(&mut &ready, &mut [0]).map_err(failed)? == 0 {
            let charon = Self {
                process,
                child: Some(child),
            };
            return Err(charon.reap(log));
        }
        log.line(&format!(
            "charon ({}) started after {} ms",
            child.id(),
            began.elapsed().as_millis()
        ));
        Ok(Self {
            process,
            child: Some(child),
        })
    }

    /// It can be polled for its end.
    pub(super) fn process(&self) -> &Process {
        &self.process
    }

    /// Takes note of its end.
    pub(super) fn reap(mut self, log: &Log) -> NoCharon {
        let status = self.child.as_mut().and_then(|child| child.wait().ok());
        // sysexits.h: what charon returns when another start would end the same way.
        match status.and_then(|status| status.code()) {
            Some(64) => log.line("charon has quit: its settings cannot be used"),
            Some(65) => log.line("charon has quit: integrity test failed"),
            Some(66) => log.line("charon has quit: initialization failed"),
            Some(1) => log.line("charon refused to be started"),
            _ => return NoCharon::Failed,
        }
        NoCharon::Refused
    }

    /// Ends it.
    pub(super) fn stop(mut self, log: &Log) {
        let began = Instant::now();
        self.process.terminate();
        if !self.process.wait(STOP_TIME) {
            log.line(&format!(
                "charon does not stop after {} s, killing it",
                STOP_TIME.as_secs()
            ));
            self.process.kill();
            self.process.wait(STOP_TIME);
        }
        if let Some(child) = &mut self.child {
            let _ = child.wait();
        }
        log.line(&format!(
            "charon stopped after {} ms",
            began.elapsed().as_millis()
        ));
    }
}
