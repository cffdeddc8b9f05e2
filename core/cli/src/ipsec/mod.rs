//! `ipsec`: the command for people and scripts. Exit codes are those of init scripts (LSB).

mod ask;
mod check;
mod help;
mod reload;
mod start;
mod status;
mod stop;
mod version;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::paths::Paths;

pub use help::TEXT as HELP;

/// Done.
const OK: u8 = 0;
/// Bad arguments.
const USAGE: u8 = 2;
/// The daemon is not running.
const NOT_RUNNING: u8 = 7;
/// Something that has no number of its own.
const FAILED: u8 = 1;

/// The program.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = run(&arguments).unwrap_or_else(|problem| {
        eprintln!("{problem}");
        FAILED
    });
    ExitCode::from(code)
}

fn run(arguments: &[&str]) -> Result<u8, String> {
    let Some((command, rest)) = arguments.split_first() else {
        eprintln!("{}", help::TEXT);
        return Ok(USAGE);
    };
    // What needs no settings.
    match *command {
        "--help" | "-h" | "help" => return Ok(say(help::TEXT)),
        "version" | "--version" => return Ok(say(&version::version())),
        "--versioncode" => return Ok(say(&crate::product::version_code())),
        "--copyright" => return Ok(say(version::COPYRIGHT)),
        _ => {}
    }
    let paths =
        Paths::find().map_err(|error| format!("cannot determine the path of this program: {error}"))?;
    match *command {
        "--directory" => return Ok(say(&paths.libexec.display().to_string())),
        "--confdir" => return Ok(say(&paths.sysconfdir.display().to_string())),
        "start" => return Err(start::start(&paths, rest)),
        "_updown" | "stroke" | "starter" => return Err(execute(&paths, command, rest)),
        _ => {}
    }
    let (paths, settings) = paths.with_settings()?;
    match *command {
        "--piddir" => Ok(say(&paths.piddir.display().to_string())),
        "stop" => Ok(stop::stop(&paths)),
        "restart" => {
            stop::stop(&paths);
            Err(start::start(&paths, rest))
        }
        "reload" => Ok(reload::reload(&paths, &settings)),
        "update" => Ok(reload::update(&paths, &settings)),
        "status" | "statusall" => Ok(status::status(&paths, arguments)),
        _ if ask::COMMANDS.contains(command) => Ok(ask::ask(&paths, &settings, arguments)),
        _ => {
            eprintln!("unknown command `{command}' (`ipsec --help' for list)");
            Ok(USAGE)
        }
    }
}

fn say(text: &str) -> u8 {
    println!("{text}");
    OK
}

/// Becomes another program of the installation; returns only to say why not.
fn execute(paths: &Paths, program: &str, arguments: &[&str]) -> String {
    let path = paths.libexec.join(program);
    let error = Command::new(&path).arg0(program).args(arguments).exec();
    format!("cannot run '{}': {error}", path.display())
}
