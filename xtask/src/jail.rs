//! A folder as the root of what runs in it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chdir, chroot};

use crate::netns::Namespace;

/// A tree of files that programs see as `/` and cannot write to, with the system's devices and a folder of the host's
/// as `/run`.
///
/// Its mounts have a namespace of their own, which the kernel drops with the last process or open file in it.
#[derive(Debug)]
pub struct Jail {
    root: PathBuf,
    mounts: File,
}

impl Jail {
    /// Makes one.
    ///
    /// # Errors
    ///
    /// Without root, or if the tree has no `dev`, `proc` and `run`.
    pub fn new(root: &Path, run: &Path) -> Result<Self, String> {
        let make = || -> io::Result<File> {
            unshare(CloneFlags::CLONE_NEWNS)?;
            // None of what follows is to be seen outside.
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            let bind = |from: &Path, to: &Path| {
                let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
                mount(Some(from), to, none, flags, none)
            };
            bind(root, root)?;
            let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(none, root, none, read_only, none)?;
            for folder in ["dev", "proc"] {
                bind(&Path::new("/").join(folder), &root.join(folder))?;
            }
            bind(run, &root.join("run"))?;
            File::open("/proc/thread-self/ns/mnt")
        };
        let made = thread::scope(|scope| scope.spawn(make).join());
        let made = made.map_err(|_| "the thread that makes mounts panicked".to_owned())?;
        Ok(Self {
            root: root.to_owned(),
            mounts: made.map_err(|error| format!("mounts in {}: {error}", root.display()))?,
        })
    }

    /// Runs a closure in it and in a network namespace, on a thread of its own. What it starts is there too.
    ///
    /// # Errors
    ///
    /// If they cannot be entered.
    pub fn run<T: Send>(&self, namespace: &Namespace, run: impl FnOnce() -> T + Send) -> io::Result<T> {
        namespace.run(|| {
            // The other threads keep their root.
            unshare(CloneFlags::CLONE_FS)?;
            setns(&self.mounts, CloneFlags::CLONE_NEWNS)?;
            chroot(&self.root)?;
            chdir("/")?;
            Ok(run())
        })?
    }
}
