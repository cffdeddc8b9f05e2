//! `charon.start-scripts` and `charon.stop-scripts`: what the operator wants done once the daemon serves, and before it
//! stops to. The scripts talk to the daemon, by `swanctl --load-all` for one, so the loop does not wait for them.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use config::settings::Settings;
use plugin_api::log::Group;

use crate::log::Logger;

/// Longer lines are logged in pieces of this many octets.
const LINE_LEN: u64 = 1024;

/// When scripts run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Start,
    Stop,
}

impl When {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}

/// Runs the scripts, one after the other in the order of the file, on a thread of their own. `done` is called after the
/// last one. Without scripts nothing happens, which is `false`.
pub(crate) fn run(
    settings: &Settings,
    when: When,
    logger: &Arc<Logger>,
    done: impl FnOnce() + Send + 'static,
) -> bool {
    let section = format!("charon.{}-scripts", when.name());
    let scripts: Vec<(String, String)> = settings
        .keys(&section)
        .into_iter()
        .filter_map(|name| {
            let command = settings.get(&format!("{section}.{name}"))?.to_owned();
            Some((name, command))
        })
        .collect();
    if scripts.is_empty() {
        return false;
    }
    let log = Arc::clone(logger);
    let started = thread::Builder::new().name("scripts".into()).spawn(move || {
        for (name, command) in scripts {
            run_one(&log, when, &name, &command);
        }
        done();
    });
    if let Err(error) = &started {
        let text = format!("no thread for the scripts in {section}: {error}");
        logger.log(Group::Dmn, 1, text);
    }
    started.is_ok()
}

fn run_one(logger: &Logger, when: When, name: &str, command: &str) {
    let what = format!("{} script '{name}' ({command})", when.name());
    logger.log(Group::Dmn, 1, format!("executing {what}"));
    match attend(command, |line| {
        logger.log(Group::Dmn, 1, format!("{name}: {line}"))
    }) {
        Ok(status) if status.success() => {}
        Ok(status) => logger.log(Group::Dmn, 1, format!("{what} ended with {status}")),
        Err(error) => logger.log(Group::Dmn, 1, format!("executing {what} failed: {error}")),
    }
}

/// Runs a command line by the shell, and hands out what it says on both of its outputs.
fn attend(command: &str, mut line: impl FnMut(&str)) -> io::Result<ExitStatus> {
    let (output, input) = io::pipe()?;
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(command).stdin(Stdio::null());
    shell.stdout(input.try_clone()?).stderr(input);
    let mut child = shell.spawn()?;
    // Its ends of the pipe would keep it open.
    drop(shell);
    let mut output = BufReader::new(output);
    let mut octets = Vec::new();
    while output.by_ref().take(LINE_LEN).read_until(b'\n', &mut octets)? > 0 {
        line(String::from_utf8_lossy(&octets).trim_end_matches(['\r', '\n']));
        octets.clear();
    }
    child.wait()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn all(settings: &str, when: When) -> Option<Vec<String>> {
        let settings = Settings::parse(settings, "test.conf").expect("settings");
        let logger = Logger::start().expect("a logger");
        let (lines, said) = mpsc::channel();
        logger.set_observer(Box::new(move |record| _ = lines.send(record.line.text.clone())));
        logger.observe(true);
        let (ended, end) = mpsc::channel();
        if !run(&settings, when, &logger, move || _ = ended.send(())) {
            return None;
        }
        end.recv_timeout(Duration::from_secs(20)).expect("the end");
        logger.flush();
        Some(said.try_iter().collect())
    }

    #[test]
    fn they_run_in_order_and_what_they_say_is_logged() {
        let settings = "charon { start-scripts { one = echo a; echo b >&2\n two = exit 3 } }";
        let expected = [
            "executing start script 'one' (echo a; echo b >&2)",
            "one: a",
            "one: b",
            "executing start script 'two' (exit 3)",
            "start script 'two' (exit 3) ended with exit status: 3",
        ];
        assert_eq!(all(settings, When::Start).expect("scripts"), expected);
        assert_eq!(all(settings, When::Stop), None);
    }

    #[test]
    fn a_line_without_end_is_logged_in_pieces() {
        let settings = "charon { stop-scripts { long = head -c 2500 /dev/zero | tr '\\\\0' x } }";
        let said = all(settings, When::Stop).expect("scripts");
        let lengths: Vec<_> = said[1..].iter().map(String::len).collect();
        assert_eq!(lengths, [1030, 1030, 458], "{said:?}");
    }
}
