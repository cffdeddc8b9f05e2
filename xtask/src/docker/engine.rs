//! The commands of Docker.

use std::path::Path;
use std::process::{Command, Output};

/// An engine that answers, and the command for compose files.
pub(crate) struct Engine {
    compose: Vec<&'static str>,
}

impl Engine {
    /// Finds out how it is spoken to.
    pub(crate) fn find() -> Result<Self, String> {
        docker(&["info", "--format", "{{.ServerVersion}}"])
            .map_err(|error| format!("no engine of Docker answers: {error}"))?;
        let works = |command: &[&str]| {
            let mut version = Command::new(command[0]);
            version.args(&command[1..]).arg("version");
            version.output().is_ok_and(|output| output.status.success())
        };
        let commands = [vec!["docker", "compose"], vec!["docker-compose"]];
        let compose = commands.into_iter().find(|command| works(command));
        Ok(Self {
            compose: compose.ok_or("install docker-compose first (or the plugin `compose` of docker)")?,
        })
    }

    /// compose in a folder, with an image for both hosts, whose name is that of the project too.
    pub(crate) fn compose(&self, folder: &Path, image: &str) -> Command {
        let mut command = Command::new(self.compose[0]);
        command
            .args(&self.compose[1..])
            .args(["--project-name", image])
            .current_dir(folder)
            .env("PQSWAN_IMAGE", image);
        command
    }
}

/// Runs docker, and returns what it prints.
pub(super) fn docker(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("docker");
    output(command.args(arguments))
}

/// Runs docker with its output where ours goes.
pub(super) fn docker_in_view(arguments: &[&str]) -> Result<(), String> {
    shown(Command::new("docker").args(arguments))
}

/// Runs a program that must succeed, with its output where ours goes.
pub(super) fn shown(command: &mut Command) -> Result<(), String> {
    let line = line(command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{line}` failed: {status}")),
        Err(error) => Err(format!("{line}: {error}")),
    }
}

/// Runs a program that must succeed, with its output only if it does not.
pub(super) fn quiet(command: &mut Command) -> Result<(), String> {
    output(command).map(drop)
}

fn output(command: &mut Command) -> Result<String, String> {
    let line = line(command);
    match command.output() {
        Ok(Output { status, stdout, .. }) if status.success() => {
            Ok(String::from_utf8_lossy(&stdout).into_owned())
        }
        Ok(Output {
            status,
            stdout,
            stderr,
        }) => Err(format!(
            "`{line}` failed, {status}: {}",
            String::from_utf8_lossy(&[stdout, stderr].concat()).trim()
        )),
        Err(error) => Err(format!("{line}: {error}")),
    }
}

fn line(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments = command
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned());
    [program]
        .into_iter()
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
