//! The images that the Dockerfile begins with, made of Debian's packages where no registry has them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::engine::{docker, docker_in_view, quiet};
use crate::install;

/// The tags of the Dockerfile.
const DEBIAN: &str = "debian:bookworm-slim";
const RUST: &str = "rust:1-slim-bookworm";

/// Nothing is compiled where a tree is only copied.
pub(super) const BUILDER_OF_TREE: &str = "BUILDER=debian:bookworm-slim";

/// What a slim image goes without.
const LEFT_OUT: &[&str] = &[
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/lib/apt/lists",
];

/// Certificates that this system trusts, like those of a proxy that its packages come through.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";

/// The images that were made here. Their tags go with this, because they are others'.
#[derive(Default)]
pub(super) struct Bases {
    made: Vec<&'static str>,
}

impl Bases {
    /// Debian's, for the programs in the image.
    pub(super) fn debian(&mut self) -> Result<(), String> {
        if is_there(DEBIAN) {
            return Ok(());
        }
        println!("{DEBIAN} cannot be pulled, so it is made of Debian's packages");
        let archive = xtask::peers::cache()?.join("docker/bookworm.tar");
        if !archive.exists() {
            bootstrap(&archive)?;
        }
        let archive = archive.to_string_lossy();
        docker(&["import", "--change", "CMD [\"bash\"]", &archive, DEBIAN])?;
        self.made.push(DEBIAN);
        Ok(())
    }

    /// Rust's, which is Debian's with the toolchain that compiled us.
    pub(super) fn rust(&mut self) -> Result<(), String> {
        if is_there(RUST) {
            return Ok(());
        }
        println!("{RUST} cannot be pulled, so it is made of {DEBIAN} and the toolchain here");
        self.debian()?;
        let output = Command::new("rustc").args(["--print", "sysroot"]).output();
        let output = output.map_err(|error| format!("rustc: {error}"))?;
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let work = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
        let recipe = format!(
            "FROM {DEBIAN}\nRUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends gcc libc6-dev\n\
             COPY bin /usr/local/bin\nCOPY lib /usr/local/lib\n"
        );
        let file = work.path().join("Dockerfile");
        fs::write(&file, recipe).map_err(|error| format!("{}: {error}", file.display()))?;
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(work.path())
            .args(["-c", "Dockerfile", "-C", &sysroot, "bin", "lib"])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("tar: {error}"))?;
        let context = tar.stdout.take().ok_or("tar has no output")?;
        let built = super::engine::shown(
            Command::new("docker")
                .args(["build", "--tag", RUST, "-"])
                .stdin(context),
        );
        let _ = tar.wait();
        built?;
        self.made.push(RUST);
        Ok(())
    }
}

impl Drop for Bases {
    fn drop(&mut self) {
        for tag in self.made.iter().rev() {
            // Layers that something is built of stay for that.
            let _ = docker(&["image", "rm", tag]);
        }
    }
}

/// Whether the engine has an image, or gets it from a registry.
fn is_there(tag: &str) -> bool {
    docker(&["image", "inspect", tag]).is_ok() || docker_in_view(&["pull", "--quiet", tag]).is_ok()
}

/// Unpacks the packages of a slim Debian into an archive.
fn bootstrap(archive: &Path) -> Result<(), String> {
    if !geteuid().is_root() {
        return Err(format!("making {DEBIAN} of packages needs root"));
    }
    install::ensure(&[install::BOOTSTRAP, install::PEERS])?;
    let parent = archive.parent().unwrap_or(Path::new("/"));
    let failed = |error| format!("{}: {error}", parent.display());
    fs::create_dir_all(parent).map_err(failed)?;
    let work = tempfile::tempdir_in(parent).map_err(failed)?;
    let root = work.path().join("root");
    let mirror = xtask::peers::mirror()?;
    super::engine::shown(
        Command::new("debootstrap")
            .args(["--variant=minbase", "--include=ca-certificates", "bookworm"])
            .arg(&root)
            .arg(mirror),
    )?;
    for folder in LEFT_OUT {
        let folder = root.join(folder);
        // Packages that are installed later expect the folder.
        fs::remove_dir_all(&folder)
            .and_then(|()| fs::create_dir(&folder))
            .map_err(failed)?;
    }
    let trusted = Path::new("/").join(CERTIFICATES);
    if trusted.exists() {
        fs::copy(trusted, root.join(CERTIFICATES)).map_err(failed)?;
    }
    let made = work.path().join("made");
    quiet(
        Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&made)
            .arg("."),
    )?;
    fs::rename(made, archive).map_err(failed)
}
