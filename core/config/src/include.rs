//! `include` of every configuration file: a pattern, relative to the file it stands in.

use std::io;
use std::path::{Path, PathBuf};

/// Files that one configuration may consist of; more is a circle or a fan of includes that would never end.
pub(crate) const MAX_FILES: usize = 1000;

/// The files that match, in alphabetical order. Devices and directories are not taken.
pub(crate) fn matching(pattern: &str, from: &Path) -> Vec<PathBuf> {
    let pattern = match from.parent() {
        Some(directory) if !pattern.starts_with('/') => {
            let directory = glob::Pattern::escape(&directory.to_string_lossy());
            Path::new(&directory).join(pattern).to_string_lossy().into_owned()
        }
        _ => pattern.to_owned(),
    };
    let paths = glob::glob(&pattern).into_iter().flatten();
    paths
        .filter_map(Result::ok)
        .filter(|path| path.is_file())
        .collect()
}

/// Why a file cannot be opened, as the system's error messages have it: without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
