//! The starter's command line.

use std::path::PathBuf;
use std::time::Duration;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invocation {
    /// Print the usage.
    Help,
    /// Run.
    Run(Options),
}

/// How to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// Another ipsec.conf.
    pub(super) conf: Option<PathBuf>,
    /// Stay in the foreground, and charon logs as it does by itself.
    pub(super) nofork: bool,
    /// No syslog.
    pub(super) nolog: bool,
    /// Only check ipsec.conf.
    pub(super) conftest: bool,
    /// Read ipsec.conf again that often.
    pub(super) auto_update: Option<Duration>,
    /// Say more of what is done.
    pub(super) debug: bool,
    /// This is the process in the background. Not for people.
    pub(super) in_background: bool,
}

/// How the first process tells the second what it is.
pub(super) const IN_BACKGROUND: &str = "--in-background";

/// The usage.
pub(super) const USAGE: &str = "\
usage: starter [--daemon charon] [--conf FILE] [--nofork] [--nolog] [--auto-update SECONDS]
               [--debug | --debug-more | --debug-all] [--conftest] [--help]";

/// Reads the command line, without the program's name.
///
/// # Errors
///
/// With a sentence on what is wrong.
pub(super) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Invocation, String> {
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
            "--conf" => options.conf = Some(value()?.into()),
            "--nofork" => options.nofork = true,
            "--nolog" => options.nolog = true,
            "--conftest" => options.conftest = true,
            "--debug" | "--debug-more" | "--debug-all" => options.debug = true,
            IN_BACKGROUND => options.in_background = true,
            "--auto-update" => {
                let text = value()?;
                let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
                let seconds = seconds.ok_or(format!("--auto-update {text}: must be a number of seconds"))?;
                options.auto_update = Some(Duration::from_secs(seconds));
            }
            "--daemon" => {
                let daemon = value()?;
                if daemon != "charon" {
                    return Err(format!("--daemon {daemon}: there is only charon"));
                }
            }
            "--attach-gdb" => {
                return Err("--attach-gdb is not supported: start charon by hand under a debugger".into());
            }
            _ => return Err(format!("unknown option {name}")),
        }
    }
    Ok(Invocation::Run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_of_ipsec_start_are_understood() {
        let expected = Options {
            conf: Some("/tmp/x.conf".into()),
            nofork: true,
            auto_update: Some(Duration::from_secs(30)),
            debug: true,
            ..Options::default()
        };
        let line = "--daemon charon --conf /tmp/x.conf --nofork --auto-update=30 --debug-all";
        assert_eq!(parsed(line), Ok(Invocation::Run(expected)));
        assert_eq!(parsed("--nofork --help"), Ok(Invocation::Help));
    }

    #[test]
    fn errors_name_the_option() {
        assert_eq!(parsed("--conf"), Err("--conf needs a value".into()));
        assert_eq!(
            parsed("--auto-update 0"),
            Err("--auto-update 0: must be a number of seconds".into())
        );
        assert_eq!(
            parsed("--daemon pluto"),
            Err("--daemon pluto: there is only charon".into())
        );
        assert_eq!(parsed("now"), Err("unknown option now".into()));
    }
}
