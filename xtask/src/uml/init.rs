//! The guest's first process: makes the system habitable, runs the programs, and turns the guest off.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{JOB, Job};

/// A folder with `lib/modules`, which the system need not have.
const KERNEL: &str = "/run/kernel";

/// Loaded before anything runs, so that a kernel without one of them is found out first.
const NEEDED: &[&str] = &[
    "esp4",
    "esp6",
    "xfrm_user",
    "veth",
    "dummy",
    "tun",
    "gcm",
    "ccm",
    "authenc",
    "authencesn",
    "echainiv",
    "seqiv",
    "cbc",
    "ctr",
    "hmac",
    "sha512",
    "chacha20poly1305",
    "sch_ingress",
    "cls_flower",
    "act_nat",
];

/// Empty and writable in the guest.
const EMPTY: &[&str] = &["/tmp", "/run", "/var/tmp", "/dev/shm"];

/// Whether we run in a guest.
pub fn inside() -> bool {
    std::env::var_os(JOB).is_some()
}

/// Does the job if this is the first process of a guest, and does not return then.
pub fn init() {
    if std::process::id() != 1 {
        return;
    }
    let Some(folder) = std::env::var_os(JOB).map(PathBuf::from) else {
        return;
    };
    let status = match work(&folder) {
        Ok(status) => status.into_raw().to_string(),
        Err(error) => error,
    };
    println!();
    if let Err(error) = fs::write(folder.join("status"), &status) {
        println!("{}: {error}; it would say: {status}", folder.display());
    }
    let Err(error) = reboot(RebootMode::RB_POWER_OFF);
    println!("the guest cannot be turned off: {error}");
}

fn work(folder: &Path) -> Result<ExitStatus, String> {
    // Before anything hides it.
    let text = fs::read_to_string(folder.join("job")).map_err(|error| failed(folder, &error))?;
    let job: Job = serde_json::from_str(&text).map_err(|error| failed(folder, &error))?;
    file_systems(&job)?;
    modules(&job.modules)?;
    run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let mut outcome = ExitStatus::default();
    for command in &job.commands {
        let (program, arguments) = command.split_first().ok_or("no program")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&job.folder)
            .env_clear()
            .envs(job.environment.iter().map(|(name, value)| (name, value)))
            // No terminal is attached to the console.
            .env("TERM", "dumb")
            .env(JOB, folder);
        let status = run(&mut command)?;
        if outcome.success() {
            outcome = status;
        }
    }
    Ok(outcome)
}

fn file_systems(job: &Job) -> Result<(), String> {
    let none = None::<&str>;
    let on = |kind: &str, place: &Path, options: Option<&str>| {
        let mounted = mount(Some(kind), place, Some(kind), MsFlags::empty(), options);
        mounted.map_err(|error| format!("{kind} on {}: {error}", place.display()))
    };
    on("proc", Path::new("/proc"), none)?;
    on("sysfs", Path::new("/sys"), none)?;
    for folder in ["/dev/pts", "/dev/shm"] {
        fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    }
    on("devpts", Path::new("/dev/pts"), none)?;
    let hidden = |path: &Path| EMPTY.iter().any(|folder| path.starts_with(folder));
    for folder in EMPTY {
        on("tmpfs", Path::new(folder), Some("mode=1777"))?;
    }
    let shown = job.visible.iter().filter(|path| hidden(path));
    for path in shown.chain([&job.results]) {
        // On the system's own files it is there already.
        fs::create_dir_all(path).map_err(|error| failed(path, &error))?;
        on("hostfs", path, Some(&path.to_string_lossy()))?;
    }
    Ok(())
}

/// Loads modules, and lets the kernel load others when it meets something of theirs.
fn modules(folder: &Path) -> Result<(), String> {
    let release =
        fs::read_to_string("/proc/sys/kernel/osrelease").map_err(|error| failed("osrelease", &error))?;
    let modules = folder.join(release.trim());
    let place = Path::new(KERNEL).join("lib/modules");
    fs::create_dir_all(&place)
        .and_then(|()| symlink(&modules, place.join(release.trim())))
        .map_err(|error| failed(&place, &error))?;
    let script = Path::new(KERNEL).join("modprobe");
    fs::write(&script, format!("#!/bin/sh\nexec modprobe -d {KERNEL} \"$@\"\n"))
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::write("/proc/sys/kernel/modprobe", script.to_string_lossy().as_bytes()))
        .map_err(|error| failed(&script, &error))?;
    let status = run(Command::new(&script).arg("-a").args(NEEDED))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("modules in {} are missing: {status}", modules.display()))
    }
}

/// Runs a program to its end, and takes care of the processes that lose their parents meanwhile.
fn run(command: &mut Command) -> Result<ExitStatus, String> {
    let program = command.get_program().to_owned();
    let child = command.spawn().map_err(|error| failed(&program, &error))?;
    let child = i32::try_from(child.id()).map_err(|error| failed(&program, &error))?;
    loop {
        match waitpid(None::<Pid>, None).map_err(|error| failed(&program, &error))? {
            WaitStatus::Exited(pid, code) if pid.as_raw() == child => {
                return Ok(ExitStatus::from_raw(code << 8));
            }
            WaitStatus::Signaled(pid, signal, _) if pid.as_raw() == child => {
                return Ok(ExitStatus::from_raw(signal as i32));
            }
            _ => {}
        }
    }
}

fn failed(what: impl AsRef<Path>, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", what.as_ref().display())
}
