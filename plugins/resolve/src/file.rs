//! resolv.conf: lines of ours come first, and are told from all others by what is behind them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;

/// Behind every line of ours; also what strongSwan writes, so that its leftovers go as well.
const MARK: &str = "   # by strongSwan";

fn line(server: IpAddr) -> String {
    format!("nameserver {server}{MARK}\n")
}

/// Adds a server, as the first.
///
/// # Errors
///
/// If the file cannot be read or replaced; then it is as it was.
pub fn add(path: &Path, server: IpAddr) -> io::Result<()> {
    change(path, |before| [line(server).as_bytes(), before].concat())
}

/// Removes a server that was added.
///
/// # Errors
///
/// If the file cannot be read or replaced; then it is as it was.
pub fn remove(path: &Path, server: IpAddr) -> io::Result<()> {
    let own = line(server);
    change(path, |before| {
        without(before, |line| line == own.trim_end().as_bytes())
    })
}

/// Removes all servers that were added, by whatever daemon.
///
/// # Errors
///
/// If the file cannot be read or replaced; then it is as it was.
pub fn clean(path: &Path) -> io::Result<()> {
    change(path, |before| {
        without(before, |line| {
            line.starts_with(b"nameserver ") && line.ends_with(MARK.as_bytes())
        })
    })
}

fn without(before: &[u8], ours: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let lines = before.split_inclusive(|octet| *octet == b'\n');
    let others = lines.filter(|line| !ours(line.trim_ascii_end()));
    others.collect::<Vec<_>>().concat()
}

/// Replaces the file as a whole, by one with the same owner and rights. What is mounted onto its place, as in a container,
/// can only be overwritten.
fn change(path: &Path, edit: impl FnOnce(&[u8]) -> Vec<u8>) -> io::Result<()> {
    // The file itself, if it is reached by a link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (before, metadata) = match File::open(&path) {
        Ok(mut file) => {
            let mut octets = Vec::new();
            file.read_to_end(&mut octets)?;
            (octets, Some(file.metadata()?))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
        Err(error) => return Err(error),
    };
    let after = edit(&before);
    if after == before {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let replaced = tempfile::Builder::new()
        .prefix(".resolv.conf.")
        .permissions(fs::Permissions::from(mode(metadata.as_ref())))
        .tempfile_in(folder)
        .and_then(|mut new| {
            new.write_all(&after)?;
            if let Some(metadata) = &metadata {
                new.as_file()
                    .set_permissions(fs::Permissions::from(mode(Some(metadata))))?;
                fchown(new.as_file(), Some(metadata.uid()), Some(metadata.gid()))?;
            }
            new.as_file().sync_all()?;
            new.persist(&path).map(drop).map_err(|error| error.error)
        });
    match replaced {
        Err(_) if metadata.is_some() => {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.write_all(&after)?;
            let len = file.stream_position()?;
            file.set_len(len)
        }
        other => other,
    }
}

fn mode(metadata: Option<&fs::Metadata>) -> Mode {
    Mode(metadata.map_or(0o644, |metadata| metadata.mode() & 0o7777))
}

struct Mode(u32);

impl From<Mode> for fs::Permissions {
    fn from(mode: Mode) -> Self {
        std::os::unix::fs::PermissionsExt::from_mode(mode.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[u8] = b"# mine\nnameserver 192.0.2.53\nsearch example.org\n\xff no text, no newline";

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn file(content: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("resolv.conf");
        fs::write(&path, content).expect("written");
        (folder, path)
    }

    #[test]
    fn a_server_comes_first_and_leaves_what_was_there() {
        let (folder, path) = file(OWN);
        fs::set_permissions(&path, Mode(0o640).into()).expect("rights");
        add(&path, ip("10.1.0.1")).expect("added");
        add(&path, ip("fec1::1")).expect("added");
        let expected = [
            &b"nameserver fec1::1   # by strongSwan\nnameserver 10.1.0.1   # by strongSwan\n"[..],
            OWN,
        ];
        assert_eq!(fs::read(&path).expect("read"), expected.concat());
        remove(&path, ip("10.1.0.1")).expect("removed");
        remove(&path, ip("10.1.0.10")).expect("none to remove");
        assert_eq!(
            fs::read(&path).expect("read"),
            [expected[0].split_at(37).0, OWN].concat()
        );
        remove(&path, ip("fec1::1")).expect("removed");
        assert_eq!(fs::read(&path).expect("read"), OWN);
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o777, 0o640);
        let files = fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 1, "nothing is left beside it");
    }

    #[test]
    fn the_same_server_of_the_operator_stays() {
        let own = b"nameserver 10.1.0.1\nnameserver 10.1.0.1 # by me\n";
        let (_folder, path) = file(own);
        add(&path, ip("10.1.0.1")).expect("added");
        remove(&path, ip("10.1.0.1")).expect("removed");
        assert_eq!(fs::read(&path).expect("read"), own);
    }

    #[test]
    fn what_a_daemon_left_that_was_killed_goes() {
        let (_folder, path) = file(OWN);
        add(&path, ip("10.1.0.1")).expect("added");
        clean(&path).expect("cleaned");
        assert_eq!(fs::read(&path).expect("read"), OWN);
    }

    #[test]
    fn a_link_stays_one_and_a_missing_file_is_made() {
        let (folder, path) = file(OWN);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        add(&link, ip("10.1.0.1")).expect("added");
        assert!(link.is_symlink());
        assert!(
            fs::read(&path)
                .expect("read")
                .starts_with(b"nameserver 10.1.0.1 ")
        );
        let missing = folder.path().join("missing");
        clean(&missing).expect("nothing to do");
        assert!(!missing.exists());
        add(&missing, ip("10.1.0.1")).expect("added");
        assert_eq!(fs::metadata(&missing).expect("made").mode() & 0o777, 0o644);
        assert!(add(&folder.path().join("no/folder"), ip("10.1.0.1")).is_err());
    }
}
