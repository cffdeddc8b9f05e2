//! Whether every user of the system can get at a file with secrets.

use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is said of such a file, and how to close it.
pub fn warning(path: &Path, metadata: &Metadata) -> Option<String> {
    let path = path.display();
    (metadata.permissions().mode() & 0o006 != 0)
        .then(|| format!("every user can read or write the secrets in '{path}', run: chmod 600 '{path}'"))
}
