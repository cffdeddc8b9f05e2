//! `include` of every configuration file: a pattern, relative to the file it stands in.

use std::io;
use std::path::{Path, PathBuf};

use crate::octets;

/// Files that one configuration may consist of; more is a circle or a fan of includes that would never end.
pub(crate) const MAX_FILES: usize = 1000;

/// A folder or a file that may match and is out of reach.
#[derive(Debug, thiserror::Error)]
#[error("cannot look for included files in '{}': {}", .path.display(), reason(.error))]
pub(crate) struct Hidden {
    path: PathBuf,
    error: io::Error,
}

impl Hidden {
    /// Returns `None` for other errors: the file does not exist then.
    fn of(path: &Path, error: io::Error) -> Option<Self> {
        let path = path.to_owned();
        (error.kind() == io::ErrorKind::PermissionDenied).then_some(Self { path, error })
    }
}

/// The files that match, in alphabetical order. Devices and directories are not taken.
///
/// # Errors
///
/// If permissions hide files that may match. Ignoring them would drop settings silently.
pub(crate) fn matching(pattern: &str, from: &Path) -> Result<Vec<PathBuf>, Hidden> {
    let place = place(pattern, from);
    if let Err(error) = place.metadata()
        && let Some(hidden) = Hidden::of(&place, error)
    {
        return Err(hidden);
    }
    let pattern = match from.parent() {
        Some(directory) if !pattern.starts_with('/') => {
            let directory = glob::Pattern::escape(&directory.to_string_lossy());
            Path::new(&directory).join(pattern).to_string_lossy().into_owned()
        }
        _ => pattern.to_owned(),
    };
    let mut files = Vec::new();
    for path in glob::glob(&pattern).into_iter().flatten() {
        let found = path.map_err(|error| (error.path().to_owned(), io::Error::from(error)));
        let found = found.and_then(|path| match path.metadata() {
            Ok(metadata) => Ok(metadata.is_file().then_some(path)),
            Err(error) => Err((path, error)),
        });
        match found {
            Ok(file) => files.extend(file),
            Err((path, error)) => Hidden::of(&path, error).map_or(Ok(()), Err)?,
        }
    }
    Ok(files)
}

/// What is said of an include that matches nothing: it may be mistyped.
pub(crate) fn nothing(pattern: &str, place: &str) -> String {
    format!("no files found matching '{}' ({place})", octets::shown(pattern))
}

/// Whether a pattern may well match nothing.
pub(crate) fn has_wildcards(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

/// The part of a pattern without wildcards.
fn place(pattern: &str, from: &Path) -> PathBuf {
    let wild = |part: &std::ffi::OsStr| has_wildcards(&part.to_string_lossy());
    let parts = Path::new(pattern).iter().take_while(|part| !wild(part));
    from.parent()
        .unwrap_or(Path::new(""))
        .join(parts.collect::<PathBuf>())
}

/// Why a file cannot be opened, as the system's error messages have it: without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
