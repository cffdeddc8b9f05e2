//! charon's command line: `--help --version --use-syslog --debug-<grp> N --ready-fd N`.

use std::os::fd::RawFd;

use crate::log::targets::Legacy;
use crate::program::Program;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Print the usage.
    Help,
    /// Print the version.
    Version,
    /// Run.
    Run(Options),
}

/// How to run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The log, unless strongswan.conf says otherwise.
    pub log: Legacy,
    /// Gets one octet, and is closed, once the daemon is up.
    pub ready_fd: Option<RawFd>,
}

impl Options {
    /// Those of a program.
    #[must_use]
    pub fn of(mut self, program: Program) -> Self {
        self.log.program = program;
        self
    }
}

/// The usage.
pub fn usage(program: Program) -> String {
    format!("Usage: {}\n{OPTIONS}", program.name())
}

const OPTIONS: &str = "         [--help]
         [--version]
         [--use-syslog]            log to syslog only, unless strongswan.conf has loggers
         [--debug-<type> <level>]  log level of a group, unless strongswan.conf has loggers
           <type>:  log context type (dmn|mgr|ike|chd|job|cfg|knl|net|asn|enc|tnc|imc|imv|pts|tls|app|esp|lib)
           <level>: log verbosity (-1 = silent, 0 = audit, 1 = control, 2 = controlmore, 3 = raw, 4 = private)
         [--ready-fd <n>]          file descriptor to write one octet to when the daemon is up";

/// Reads the command line, without the program's name.
///
/// # Errors
///
/// With a sentence on what is wrong.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Invocation, String> {
    let mut options = Options::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        let mut value = || {
            inline
                .clone()
                .or_else(|| arguments.next())
                .ok_or(format!("{name} needs a value"))
        };
        match name {
            "--help" | "-h" => return Ok(Invocation::Help),
            "--version" | "-v" => return Ok(Invocation::Version),
            "--use-syslog" | "-l" => options.log.use_syslog = true,
            "--ready-fd" => {
                let text = value()?;
                let fd = text.parse().ok().filter(|fd| *fd > 2);
                options.ready_fd = Some(fd.ok_or(format!("--ready-fd {text}: must be a number above 2"))?);
            }
            _ => {
                let group = name
                    .strip_prefix("--debug-")
                    .and_then(|group| group.parse::<plugin_api::log::Group>().ok());
                let group = group.ok_or(format!("unknown option {name}"))?;
                let text = value()?;
                let level = text.parse().ok().filter(|level| (-1..=4).contains(level));
                options.log.levels[group as usize] =
                    level.ok_or(format!("{name} {text}: must be a number from -1 to 4"))?;
            }
        }
    }
    Ok(Invocation::Run(options))
}

#[cfg(test)]
mod tests {
    use plugin_api::log::Group;

    use super::*;

    fn parsed(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn levels_are_set_by_group() {
        let Invocation::Run(options) =
            parsed("--use-syslog --debug-ike 2 --debug-KNL=-1 --ready-fd 5").unwrap()
        else {
            panic!("it runs")
        };
        assert!(options.log.use_syslog);
        assert_eq!(options.log.levels[Group::Ike as usize], 2);
        assert_eq!(options.log.levels[Group::Knl as usize], -1);
        assert_eq!(options.log.levels[Group::Net as usize], 1);
        assert_eq!(options.ready_fd, Some(5));
    }

    #[test]
    fn help_and_version_win() {
        assert_eq!(parsed("--use-syslog --help"), Ok(Invocation::Help));
        assert_eq!(parsed("--version"), Ok(Invocation::Version));
    }

    #[test]
    fn errors_name_the_option() {
        assert_eq!(parsed("--debug-foo 1"), Err("unknown option --debug-foo".into()));
        assert_eq!(parsed("--debug-ike"), Err("--debug-ike needs a value".into()));
        assert_eq!(
            parsed("--debug-ike 9"),
            Err("--debug-ike 9: must be a number from -1 to 4".into())
        );
        assert_eq!(
            parsed("--ready-fd 1"),
            Err("--ready-fd 1: must be a number above 2".into())
        );
    }
}
