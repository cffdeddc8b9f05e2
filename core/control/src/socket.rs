//! The daemon's ends of control sockets in the file system.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{Gid, Group, Uid, User, fchownat};

/// Who gets a socket: `charon.user` and `charon.group`, as far as the system knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Option<Uid>,
    /// The group.
    pub group: Option<Gid>,
}

impl Owner {
    /// By their names.
    pub fn named(user: Option<String>, group: Option<String>) -> Self {
        Self {
            user: user.and_then(|name| Some(User::from_name(&name).ok()??.uid)),
            group: group.and_then(|name| Some(Group::from_name(&name).ok()??.gid)),
        }
    }
}

/// Makes a socket that user and group may use, in the place of one that a killed daemon left.
///
/// # Errors
///
/// What the system says.
pub fn listen(path: &Path, owner: Owner) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    prepare(path, owner).inspect_err(|_| _ = fs::remove_file(path))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn prepare(path: &Path, owner: Owner) -> io::Result<()> {
    if owner != Owner::default() {
        // The account may own the folder, and replace the socket by a link to a file of root's.
        let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
        fchownat(AT_FDCWD, path, owner.user, owner.group, flags)?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o770))
}
