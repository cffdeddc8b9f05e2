//! strongSwan as Debian ships it, unpacked with all its libraries into a folder of its own, never installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Names another mirror of Debian than the one apt is configured for.
const MIRROR: &str = "PQSWAN_MIRROR";

/// What is unpacked besides what it depends on.
const PACKAGES: &[&str] = &[
    "strongswan-charon",
    "strongswan-swanctl",
    "libcharon-extra-plugins",
    "libstrongswan-standard-plugins",
    "libstrongswan-extra-plugins",
];

/// What the suites are signed with.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The suites of Debian whose strongSwan is a peer, oldest first.
pub const SUITES: [&str; 3] = ["bookworm", "trixie", "forky"];

/// An unpacked strongSwan.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The suite it comes from.
    pub suite: String,
    /// Its version, without Debian's revision.
    pub version: String,
    /// The folder that its programs see as `/`.
    pub root: PathBuf,
}

impl Peer {
    /// The strongSwan of a suite, if it has been unpacked.
    ///
    /// # Errors
    ///
    /// If it is unclear where.
    pub fn find(suite: &str) -> Result<Option<Self>, String> {
        Ok(Self::at(&folder()?.join(suite), suite))
    }

    /// The strongSwan of a suite, unpacked unless it has been before.
    ///
    /// # Errors
    ///
    /// If packages cannot be fetched or unpacked.
    pub fn unpack(suite: &str) -> Result<Self, String> {
        Self::unpack_as(suite, suite, PACKAGES)
    }

    /// The same with the starter, which gives charon the connections of ipsec.conf.
    ///
    /// # Errors
    ///
    /// If packages cannot be fetched or unpacked.
    pub fn unpack_with_starter(suite: &str) -> Result<Self, String> {
        let packages = [PACKAGES, &["strongswan-starter"]].concat();
        Self::unpack_as(&format!("{suite}-starter"), suite, &packages)
    }

    /// Another program of a suite, named like its package, unpacked unless it has been before.
    ///
    /// # Errors
    ///
    /// If packages cannot be fetched or unpacked.
    pub fn unpack_program(suite: &str, package: &str) -> Result<Self, String> {
        Self::unpack_as(&format!("{suite}-{package}"), suite, &[package])
    }

    fn at(folder: &Path, suite: &str) -> Option<Self> {
        let version = fs::read_to_string(folder.join("version")).ok()?;
        Some(Self {
            suite: suite.to_owned(),
            version,
            root: folder.join("root"),
        })
    }

    fn unpack_as(name: &str, suite: &str, packages: &[&str]) -> Result<Self, String> {
        let parent = folder()?;
        let place = parent.join(name);
        if let Some(peer) = Self::at(&place, suite) {
            return Ok(peer);
        }
        let wanted = packages.first().copied().unwrap_or_default();
        println!("fetching {wanted} of Debian {suite}");
        let failed = |what: &Path, error| format!("{}: {error}", what.display());
        fs::create_dir_all(&parent).map_err(|error| failed(&parent, error))?;
        let work = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&parent)
            .map_err(|error| failed(&parent, error))?;
        let archives = fetch(suite, &work.path().join("apt"), packages)?;
        let made = work.path().join("made");
        let root = made.join("root");
        skeleton(&root).map_err(|error| failed(&root, error))?;
        for archive in &archives {
            extract(archive, &root)?;
        }
        fs::write(made.join("version"), version(&archives, wanted)?).map_err(|error| failed(&made, error))?;
        // All or nothing, also for a run beside this one that unpacks the same.
        let moved = fs::rename(&made, &place);
        match (Self::at(&place, suite), moved) {
            (Some(peer), _) => Ok(peer),
            (None, Err(error)) => Err(failed(&place, error)),
            (None, Ok(())) => Err(format!("{} has no version", place.display())),
        }
    }
}

/// Where what is fetched is kept from run to run.
///
/// # Errors
///
/// If neither HOME nor XDG_CACHE_HOME says so.
pub fn cache() -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")));
    cache
        .map(|cache| cache.join("pqswan"))
        .ok_or_else(|| "set HOME or XDG_CACHE_HOME: what is fetched is kept in a folder there".into())
}

fn folder() -> Result<PathBuf, String> {
    Ok(cache()?.join("peers"))
}

/// Downloads the packages of a suite by an apt that knows nothing of the system's, and says where they are.
fn fetch(suite: &str, apt: &Path, packages: &[&str]) -> Result<Vec<PathBuf>, String> {
    let mirror = mirror()?;
    let failed = |error| format!("{}: {error}", apt.display());
    for folder in [
        "state/lists/partial",
        "cache/archives/partial",
        "etc/preferences.d",
    ] {
        fs::create_dir_all(apt.join(folder)).map_err(failed)?;
    }
    // Nothing is installed in its eyes, so that dependencies come along, libc too. The lists of a mirror that stands
    // still on purpose outlive their dates; what signs them is still checked. The sandbox's user cannot enter our folder.
    let settings = format!(
        "Dir \"{}\";\nDir::State \"state\";\nDir::State::status \"{}\";\nDir::Cache \"cache\";\nDir::Etc \"etc\";\n\
         Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\nDir::Etc::sourceparts \"/dev/null\";\n\
         APT::Sandbox::User \"root\";\nAPT::Install-Recommends \"0\";\nAPT::Update::Error-Mode \"any\";\n\
         Acquire::Languages \"none\";\nAcquire::Check-Valid-Until \"0\";\nAcquire::Retries \"2\";\n",
        apt.display(),
        apt.join("state/status").display()
    );
    for (file, text) in [
        ("apt.conf", settings.as_str()),
        ("state/status", ""),
        (
            "etc/sources.list",
            &format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n"),
        ),
    ] {
        fs::write(apt.join(file), text).map_err(failed)?;
    }
    let run = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("APT_CONFIG", apt.join("apt.conf")).args(arguments);
        output(&mut command)
    };
    run(&["--quiet", "update"]).map_err(|error| {
        format!(
            "{mirror} cannot be reached or has no suite {suite}; {MIRROR} names another mirror of Debian: {error}"
        )
    })?;
    let install = ["--quiet", "--yes", "--download-only", "install"];
    run(&[&install[..], packages].concat())?;
    let archives = fs::read_dir(apt.join("cache/archives"))
        .map_err(failed)?
        .flatten();
    Ok(archives
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect())
}

/// The mirror of Debian that apt uses here.
///
/// # Errors
///
/// If it uses none.
pub fn mirror() -> Result<String, String> {
    if let Ok(mirror) = std::env::var(MIRROR) {
        return Ok(mirror);
    }
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", "$(REPO_URI)", "Label: Debian"]);
    let known = output(&mut command)?;
    known
        .lines()
        .next()
        .map(str::to_owned)
        .ok_or_else(|| format!("apt knows no mirror of Debian (apt-get update?); set {MIRROR}=URL"))
}

/// What no package brings but its programs need: the merged /usr, and places to mount on.
fn skeleton(root: &Path) -> std::io::Result<()> {
    for folder in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(folder))?;
        symlink(format!("usr/{folder}"), root.join(folder))?;
    }
    for folder in ["dev", "proc", "run", "var"] {
        fs::create_dir(root.join(folder))?;
    }
    symlink("/run", root.join("var/run"))
}

/// Unpacks a package. dpkg-deb alone would replace the links of a merged /usr by folders.
fn extract(archive: &Path, root: &Path) -> Result<(), String> {
    let failed = |error| format!("dpkg-deb {}: {error}", archive.display());
    let mut files = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--keep-directory-symlink", "--directory"]);
    tar.arg(root);
    if let Some(files) = files.stdout.take() {
        tar.stdin(files);
    }
    let unpacked = output(&mut tar);
    let status = files.wait().map_err(failed)?;
    unpacked?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("dpkg-deb {}: {status}", archive.display()))
    }
}

/// The version of a package among the archives, `5.9.8` in `strongswan-charon_5.9.8-5+deb12u5_amd64.deb`.
fn version(archives: &[PathBuf], package: &str) -> Result<String, String> {
    let mut names = archives.iter().filter_map(|path| path.file_name()?.to_str());
    let found = names.find_map(|name| name.strip_prefix(package)?.strip_prefix('_'));
    found
        .and_then(|rest| rest.split(['-', '_']).next())
        .map(str::to_owned)
        .ok_or_else(|| format!("apt fetched no {package}"))
}

/// Runs a program that must end in 0, and returns its output.
fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).trim().to_owned();
    match command.output() {
        Ok(Output {
            status,
            stdout,
            stderr,
        }) if !status.success() => Err(format!(
            "{program} failed, {status}: {}{}",
            text(&stderr),
            if stderr.is_empty() {
                text(&stdout)
            } else {
                String::new()
            }
        )),
        Ok(Output { stdout, .. }) => Ok(text(&stdout)),
        Err(error) => Err(format!("{program}: {error}")),
    }
}
