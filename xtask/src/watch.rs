//! Waiting for files to appear and grow, by inotify.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::os::fd::AsFd;

/// Waits until `test` holds of the folders; it is asked again whenever something in them changes.
///
/// # Errors
///
/// After `limit`, with `what` was expected.
#[allow(clippy::disallowed_methods)] // a tool with a deadline
pub fn until<T>(
    folders: &[&Path],
    limit: Duration,
    what: &str,
    mut test: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let failed = |error| format!("watching {folders:?}: {error}");
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?;
    let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE;
    for folder in folders {
        watch
            .add_watch(*folder, flags | AddWatchFlags::IN_MOVED_TO)
            .map_err(failed)?;
    }
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = test() {
            return Ok(found);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(format!("no {what} within {} s", limit.as_secs()));
        }
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(watch.as_fd(), PollFlags::POLLIN)], timeout) {
            // Whatever happened, the test sees it.
            Ok(_) => drop(watch.read_events()),
            Err(nix::errno::Errno::EINTR) => return Err(format!("interrupted while waiting for {what}")),
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Waits for `text` in a file past its first `skip` octets.
///
/// # Errors
///
/// After `limit`, with the text and what the file holds instead.
pub fn text(file: &Path, skip: usize, text: &str, limit: Duration) -> Result<(), String> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let read = || fs::read(file).unwrap_or_default();
    let holds = || {
        String::from_utf8_lossy(read().get(skip..).unwrap_or_default())
            .contains(text)
            .then_some(())
    };
    until(
        &[folder],
        limit,
        &format!("'{text}' in {}", file.display()),
        holds,
    )
    .map_err(|error| format!("{error}; it says:\n{}", String::from_utf8_lossy(&read())))
}
