//! `ipsec start`.

use super::execute;
use crate::paths::Paths;

/// Becomes the starter; returns only to say why not.
pub(super) fn start(paths: &Paths, arguments: &[&str]) -> String {
    execute(paths, "starter", &[&["--daemon", "charon"], arguments].concat())
}
