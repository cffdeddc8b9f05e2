//! `starter`: starts charon, keeps it running, and gives it the connections of ipsec.conf.
//!
//! In the background it is a second process: the first one checks what can be checked, starts it, and waits until
//! charon is up, so that whoever called may use it at once.

mod background;
mod charon;
mod configuration;
mod connections;
mod hand_over;
mod hearers;
mod log;
mod options;
mod run;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;

use config::settings::Settings;

use crate::paths::Paths;
use crate::process::Process;
use crate::product::{NAME, VERSION};
use configuration::Configuration;
use log::Log;
use options::{Invocation, Options};

pub(crate) use hearers::DONE;

/// What the program returns: as for init scripts (LSB).
mod exit {
    /// Done, or nothing had to be done.
    pub(super) const OK: u8 = 0;
    /// Anything that has no number of its own.
    pub(super) const FAILED: u8 = 1;
    /// Bad options, or an ipsec.conf that cannot be used.
    pub(super) const INVALID: u8 = 2;
    /// Not root.
    pub(super) const PERMISSION: u8 = 4;
}

/// What the starter works with.
struct Setup {
    options: Options,
    paths: Paths,
    settings: Settings,
    ipsec_conf: PathBuf,
}

/// The program.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let options = match options::parse(arguments.clone()) {
        Ok(Invocation::Help) => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Run(options)) => options,
        Err(problem) => {
            eprintln!("{problem}\n{}", options::USAGE);
            return ExitCode::from(exit::INVALID);
        }
    };
    let code = start(options, &arguments).unwrap_or_else(|(code, problem)| {
        eprintln!("{problem}");
        code
    });
    ExitCode::from(code)
}

fn start(options: Options, arguments: &[String]) -> Result<u8, (u8, String)> {
    let paths = Paths::find().map_err(|error| {
        (
            exit::FAILED,
            format!("cannot determine the path of this program: {error}"),
        )
    })?;
    let (paths, settings) = paths
        .with_settings()
        .map_err(|problem| (exit::INVALID, problem))?;
    let ipsec_conf = match (&options.conf, settings.get("starter.config_file")) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => path.into(),
        (None, None) => paths.sysconfdir.join("ipsec.conf"),
    };
    let setup = Setup {
        options,
        paths,
        settings,
        ipsec_conf,
    };
    if setup.options.conftest {
        return Ok(conftest(&setup));
    }
    let syslog = !setup.options.nolog;
    if setup.options.in_background {
        return Ok(run::run(
            &setup,
            &Log::new(false, syslog),
            background::Waiting::parent(),
        ));
    }

    let log = Log::new(true, syslog);
    log.line(&format!("Starting {NAME} {VERSION} IPsec [starter]..."));
    load_warning(&setup.settings, &log);
    if !nix::unistd::geteuid().is_root() {
        log.line("permission denied (must be superuser)");
        return Ok(exit::PERMISSION);
    }
    let pid_file = setup.paths.starter_pid_file();
    if Process::of_pid_file(&pid_file, "starter").is_some() {
        log.line(&format!(
            "starter is already running ({} exists) -- no fork done",
            pid_file.display()
        ));
        return Ok(exit::OK);
    }
    if setup.options.nofork {
        return Ok(run::run(&setup, &log, None));
    }
    // Read here too, because its messages belong to whoever calls.
    match Configuration::load(&setup.ipsec_conf) {
        Ok(configuration) => configuration
            .messages
            .iter()
            .for_each(|message| log.line(message)),
        Err(problem) => return Ok(unusable(&problem, &log)),
    }
    Ok(background::start(arguments, &log))
}

fn unusable(problem: &str, log: &Log) -> u8 {
    log.line(problem);
    log.line(&format!("unable to start {NAME} -- fatal errors in config"));
    exit::INVALID
}

fn conftest(setup: &Setup) -> u8 {
    match Configuration::load(&setup.ipsec_conf) {
        Ok(configuration) if configuration.messages.is_empty() => {
            println!("config OK");
            exit::OK
        }
        Ok(configuration) => {
            configuration
                .messages
                .iter()
                .for_each(|message| eprintln!("{message}"));
            println!("config invalid!");
            exit::INVALID
        }
        Err(problem) => {
            eprintln!("{problem}");
            println!("config invalid!");
            exit::INVALID
        }
    }
}

fn load_warning(settings: &Settings, log: &Log) {
    let wanted = settings
        .get("starter.load_warning")
        .and_then(control::vici::parse_bool)
        .unwrap_or(true);
    if wanted && settings.get("charon.load").is_some() {
        log.line("!! charon.load in strongswan.conf lists the plugins by hand: those it does not name");
        log.line("!! are not loaded, even if a connection needs what they offer.");
        log.line("!! starter.load_warning = no in strongswan.conf silences this.");
    }
}
