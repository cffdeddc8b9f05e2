//! Packages of PyPI that tests use, kept from run to run in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where they are.
///
/// # Errors
///
/// If it is unclear where that is.
pub fn packages() -> Result<PathBuf, String> {
    Ok(crate::peers::cache()?.join("python"))
}

/// Fetches what a list names, each with its version and hash, unless that has been done before.
///
/// # Errors
///
/// If pip is missing, or cannot fetch it.
pub fn fetch(list: &Path) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", list.display());
    let wanted = fs::read_to_string(list).map_err(failed)?;
    let folder = packages()?;
    let done = folder.join("requirements.txt");
    if fs::read_to_string(&done).is_ok_and(|had| had == wanted) {
        return Ok(());
    }
    println!("fetching Python packages: {}", wanted.trim());
    let options = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--upgrade",
    ];
    let mut command = Command::new("python3");
    command
        .args(options)
        .args(["--disable-pip-version-check", "--root-user-action=ignore"])
        .arg("--target")
        .arg(&folder)
        .arg("--requirement")
        .arg(list);
    match command.status() {
        Ok(status) if status.success() => fs::write(&done, wanted).map_err(failed),
        Ok(status) => Err(format!("python3 -m pip: {status}")),
        Err(error) => Err(format!("python3: {error}")),
    }
}
