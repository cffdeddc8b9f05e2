//! charon.pid: one daemon at a time, and the sign for scripts that it is up.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::privileges::Account;

/// The file, removed on drop.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another daemon has it.
    #[error("charon already running ('{}' exists)", .0.display())]
    Running(PathBuf),
    /// It cannot be written.
    #[error("cannot write '{}': {error}; see charon.piddir in strongswan.conf", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl PidFile {
    /// Whether another daemon has it.
    ///
    /// # Errors
    ///
    /// [`Error::Running`] if so.
    pub fn check(path: &Path) -> Result<(), Error> {
        match fs::read_to_string(path) {
            Ok(text) if text.trim().parse().is_ok_and(is_charon) => Err(Error::Running(path.to_owned())),
            _ => Ok(()),
        }
    }

    /// Creates the file and gives it to `account`. The file of a daemon that has ended is replaced, and `note` is told.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn create(path: &Path, account: Option<&Account>, note: impl FnOnce(String)) -> Result<Self, Error> {
        let wrap = |error| Error::Write {
            path: path.to_owned(),
            error,
        };
        Self::check(path)?;
        if path.exists() {
            note(format!(
                "removing pidfile '{}', process not running",
                path.display()
            ));
            fs::remove_file(path).map_err(wrap)?;
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(wrap)?;
        }
        let mut file = fs::OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o644)
            .open(path)
            .map_err(wrap)?;
        // From here on it is removed if anything fails.
        let made = Self {
            path: path.to_owned(),
        };
        writeln!(file, "{}", std::process::id()).map_err(wrap)?;
        account
            .map_or(Ok(()), |account| account.give(&file))
            .map_err(wrap)?;
        Ok(made)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // `charon.user` owns the file, but may not be allowed to change the folder. An empty file names no process, so its
        // reader cannot mistake a later process with the same number for the daemon.
        if fs::remove_file(&self.path).is_err() {
            let mut options = fs::OpenOptions::new();
            options.write(true).truncate(true);
            let _ = options.custom_flags(libc::O_NOFOLLOW).open(&self.path);
        }
    }
}

/// Whether the process exists and may be a charon. A number that was given out again, as after the restart of a
/// container, is not.
fn is_charon(pid: i32) -> bool {
    if pid <= 0
        || u32::try_from(pid) == Ok(std::process::id())
        || kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
    {
        return false;
    }
    fs::read_to_string(format!("/proc/{pid}/comm")).map_or(true, |name| name.trim() == "charon")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_file_is_replaced_and_removed_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/charon.pid");
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "4194304999\n").unwrap();
        let mut notes = Vec::new();
        let file = PidFile::create(&path, None, |note| notes.push(note)).unwrap();
        assert_eq!(
            notes,
            [format!(
                "removing pidfile '{}', process not running",
                path.display()
            )]
        );
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", std::process::id())
        );
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_process_that_is_no_charon_does_not_block() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("charon.pid");
        fs::write(&path, "1\n").unwrap();
        assert!(PidFile::create(&path, None, drop).is_ok());
    }

    #[test]
    fn an_unwritable_directory_names_the_setting() {
        let error = PidFile::create(Path::new("/proc/none/charon.pid"), None, drop)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/proc/none/charon.pid") && error.contains("charon.piddir"),
            "{error}"
        );
    }
}
