//! `include` of every configuration file: a pattern, relative to the file it stands in.

use std::path::{Path, PathBuf};

/// The files that match, in alphabetical order.
pub(crate) fn matching(pattern: &str, from: &Path) -> Vec<PathBuf> {
    let path = match from.parent() {
        Some(directory) if !pattern.starts_with('/') => directory.join(pattern),
        _ => PathBuf::from(pattern),
    };
    let paths = glob::glob(&path.to_string_lossy()).into_iter().flatten();
    paths
        .filter_map(Result::ok)
        .filter(|path| path.is_file())
        .collect()
}
