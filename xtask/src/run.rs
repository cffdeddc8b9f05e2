//! Running cargo, and ending in order when somebody interrupts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

/// The manifest of plugins/sike, which `--workspace` does not reach.
pub(crate) const SIKE: &str = "plugins/sike/Cargo.toml";

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From here on an interrupt is only noted, so that hosts are taken down in order.
pub(crate) fn note_interrupts() -> Result<(), String> {
    let handler = || INTERRUPTED.store(true, Ordering::SeqCst);
    ctrlc::set_handler(handler).map_err(|error| format!("interrupts end this without tidying up: {error}"))
}

/// An error once somebody has interrupted.
pub(crate) fn check() -> Result<(), String> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        Err("interrupted".into())
    } else {
        Ok(())
    }
}

/// Runs cargo in the workspace, with its output where ours goes.
pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    println!("$ cargo {}", arguments.join(" "));
    let status = command(arguments)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    check()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`cargo {}` failed: {status}", arguments.join(" ")))
    }
}

/// The cargo that runs us.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).current_dir(xtask::root());
    command
}

/// Builds the daemon, the commands, all plugins and the benchmarks, and says where they are.
pub(crate) fn build(release: bool) -> Result<PathBuf, String> {
    let mut arguments = vec![
        "build",
        "--workspace",
        "--exclude",
        "xtask",
        "--exclude",
        "pqswan-tests",
    ];
    arguments.extend(release.then_some("--release"));
    cargo(&arguments)?;
    let own = xtask::programs()?;
    Ok(own.with_file_name(if release { "release" } else { "debug" }))
}

/// Reads programs and plugins of a build once. Hundreds of megabytes that other builds have pushed out of memory would otherwise
/// be read by the first daemons of a test, which have a few seconds to start.
pub(crate) fn warm(built: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let entries = fs::read_dir(built).map_err(|error| failed(built, error))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_file() && path.extension().is_none_or(|extension| extension == "so") {
            let read = fs::File::open(&path).and_then(|mut file| io::copy(&mut file, &mut io::sink()));
            read.map_err(|error| failed(&path, error))?;
        }
    }
    Ok(())
}

/// Builds plugins/sike, a workspace of its own, so that its library lies beside the others. The walk-through does
/// without it.
pub(crate) fn build_sike(release: bool) -> Result<(), String> {
    let profile: &[&str] = if release { &["--release"] } else { &[] };
    sike("build", profile)
}

/// Runs a command of cargo that compiles plugins/sike, in the folder where ours is compiled.
pub(crate) fn sike(command: &str, rest: &[&str]) -> Result<(), String> {
    let own = xtask::programs()?;
    let target = own.parent().unwrap_or(&own).to_string_lossy();
    let workspace = ["--manifest-path", SIKE, "--target-dir", &target];
    cargo(&[&[command], &workspace[..], rest].concat())
}

/// Builds a test target of the packages that `selection` selects and says where its program is.
pub(crate) fn test_program(selection: &[&str], name: &str) -> Result<PathBuf, String> {
    let arguments = [&["test"], selection, &["--test", name, "--no-run"]].concat();
    cargo(&arguments)?;
    let format = "--message-format=json";
    let output = command(&[&arguments[..], &["--quiet", format]].concat())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let messages = String::from_utf8_lossy(&output.stdout);
    let program = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let target = &message["target"];
        let ours = target["name"] == name && target["kind"][0] == "test";
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    program.ok_or_else(|| format!("cargo names no program of the test target '{name}'"))
}
