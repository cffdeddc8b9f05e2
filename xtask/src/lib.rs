//! Hosts moon and carol in network namespaces, for the demo and for the tests of the whole, other implementations,
//! and a guest with another kernel.

pub mod host;
pub mod jail;
pub mod netns;
pub mod peers;
pub mod python;
pub mod uml;
pub mod watch;

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Where cargo leaves the programs and plugins that were built with the running one.
///
/// # Errors
///
/// If the running program lies in no such folder.
pub fn programs() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|error| format!("the path of the running program: {error}"))?;
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    folder
        .map(Path::to_owned)
        .ok_or_else(|| format!("{} lies in no folder", own.display()))
}

/// Where `cargo xtask test netns` lays out the installed tree that it tests.
pub fn installed() -> PathBuf {
    root().join("target/installed")
}
