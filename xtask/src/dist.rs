//! The installed tree: `usr/sbin/ipsec`, `usr/libexec/ipsec/charon`, `usr/lib/ipsec/plugins/*.so`, `etc/ipsec.conf`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::{install, manual, run};

const PROGRAMS: &[(&str, &str)] = &[
    ("ipsec", "usr/sbin"),
    ("swanctl", "usr/sbin"),
    ("charon", "usr/libexec/ipsec"),
    ("starter", "usr/libexec/ipsec"),
    ("stroke", "usr/libexec/ipsec"),
];

pub(crate) fn run(directory: &Path) -> Result<(), String> {
    install::ensure(&[install::BUILD])?;
    let built = run::build(true)?;
    run::build_sike(true)?;
    for (program, folder) in PROGRAMS {
        copy(&built.join(program), &directory.join(folder).join(program), 0o755)?;
    }
    let root = xtask::root();
    copy(
        &root.join("plugins/updown/_updown"),
        &directory.join("usr/libexec/ipsec/_updown"),
        0o755,
    )?;
    let plugins = plugins(root)?;
    for plugin in &plugins {
        let name = library(plugin);
        let target = directory.join("usr/lib/ipsec/plugins").join(&name);
        copy(&built.join(name), &target, 0o644)?;
    }
    tree(&root.join("etc"), &directory.join("etc"))?;
    service(directory)?;
    // It is no configuration of ours.
    let dashboard = root.join("etc/grafana/pqswan.json");
    copy(
        &dashboard,
        &directory.join("usr/share/pqswan/grafana.json"),
        0o644,
    )?;
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
    ] {
        copy(
            &root.join(document),
            &directory.join("usr/share/doc/pqswan").join(document),
            0o644,
        )?;
    }
    manual::write(&directory.join("usr/share"))?;
    println!(
        "{}: {} programs, {} plugins",
        directory.display(),
        PROGRAMS.len(),
        plugins.len()
    );
    Ok(())
}

/// The daemon by the name that services start it by, and the service.
fn service(directory: &Path) -> Result<(), String> {
    let program = directory.join("usr/sbin/charon-systemd");
    let linked = if program.symlink_metadata().is_ok() {
        fs::remove_file(&program)
    } else {
        Ok(())
    };
    linked
        .and_then(|()| symlink("../libexec/ipsec/charon", &program))
        .map_err(|error| format!("{}: {error}", program.display()))?;
    copy(
        &xtask::root().join("etc/systemd/strongswan.service"),
        &directory.join("usr/lib/systemd/system/strongswan.service"),
        0o644,
    )
}

/// Copies programs and plugins of a build into one folder, without what only debuggers read. In a guest each page that a
/// start touches costs as much as a system call elsewhere, and those of debug builds are full of such things.
pub(crate) fn stripped(built: &Path, folder: &Path) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)?;
    let libraries = plugins(xtask::root())?.into_iter().map(|plugin| library(&plugin));
    let programs = PROGRAMS.iter().map(|(program, _)| (*program).to_owned());
    for name in programs.chain(libraries) {
        let from = built.join(&name);
        // Not every build has the plugins with a workspace of their own.
        if !from.exists() {
            continue;
        }
        let status = Command::new("strip")
            .args(["--strip-unneeded", "-o"])
            .args([&folder.join(&name), &from])
            .status()
            .map_err(|error| format!("strip: {error}"))?;
        if !status.success() {
            return Err(format!("strip {}: {status}", from.display()));
        }
    }
    Ok(())
}

/// The file of a plugin.
fn library(plugin: &str) -> String {
    format!("libcharon_{}.so", plugin.replace('-', "_"))
}

/// The plugins by name, which is that of their folder; those with a workspace of their own too.
fn plugins(root: &Path) -> Result<Vec<String>, String> {
    let folders = files(&root.join("plugins"))?;
    let named = folders.iter().filter(|folder| folder.join("Cargo.toml").exists());
    Ok(named
        .filter_map(|folder| Some(folder.file_name()?.to_string_lossy().into_owned()))
        .collect())
}

/// Copies a folder. Configuration that is there already is somebody's, and stays.
fn tree(from: &Path, to: &Path) -> Result<(), String> {
    for path in files(from)? {
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            if !path.ends_with("grafana") && !path.ends_with("systemd") {
                tree(&path, &target)?;
            }
        } else if !target.exists() {
            // Both have secrets in them.
            let secret = ["ipsec.secrets", "swanctl.conf"].map(Path::new);
            let secret = secret.iter().any(|name| target.ends_with(name));
            copy(&path, &target, if secret { 0o600 } else { 0o644 })?;
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|error| format!("{}: {error}", folder.display()))
}

fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), String> {
    let copied = fs::create_dir_all(to.parent().unwrap_or(Path::new("/")))
        // A running program cannot be written to, but replaced.
        .and_then(|()| if to.exists() { fs::remove_file(to) } else { Ok(()) })
        .and_then(|()| fs::copy(from, to))
        .and_then(|_| fs::set_permissions(to, fs::Permissions::from_mode(mode)));
    copied.map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}
