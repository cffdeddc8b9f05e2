//! Drops privileges for good: on every thread, and for every program that the daemon starts.
//!
//! The kernel keeps capabilities per thread, and a new thread inherits those of its creator. The daemon therefore drops
//! privileges on the first lines of the process, while it has one thread; all later threads inherit the result.
//!
//! `charon.user` and `charon.group` need a second step. Control plugins create sockets as root and start threads in the same
//! call, so the account changes after that, on each thread: see
//! [`sys::assume_on_other_threads`](crate::sys::assume_on_other_threads).

mod account;
mod promise;

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use caps::Capability;
use nix::errno::Errno;
use nix::unistd::{AccessFlags, access, geteuid, gettid};

use crate::sys;
use crate::sys::credentials::{self, Credentials, Sets, bits};

pub use account::{Account, Unknown};
use promise::Promise;

/// The daemon keeps these: SAs, routes and TUN devices; ports below 1024; raw sockets.
const KEPT: [Capability; 3] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
];

/// Scripts get these, as root and as another user: firewalls, routes, addresses.
const SCRIPTS: [Capability; 1] = [Capability::CAP_NET_ADMIN];

/// A start that changes the account needs these too: it creates files where the account may not, gives them away, and sets
/// their mode afterwards.
const START: [Capability; 3] = [
    Capability::CAP_CHOWN,
    Capability::CAP_DAC_OVERRIDE,
    Capability::CAP_FOWNER,
];

/// The change itself needs these.
const BECOME: [Capability; 2] = [Capability::CAP_SETGID, Capability::CAP_SETUID];

/// Longest wait for a thread to take a signal. On an idle machine that takes microseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The privileges of a start, and those that remain at its end.
pub struct Privileges {
    promise: Promise,
    account: Option<Account>,
    /// Capabilities that the change of the account needs and the process does not have.
    lacking: u64,
    /// Steps that failed. The start goes on, because a container may have dropped privileges before.
    pub problems: Vec<String>,
}

/// The privileges that the process was started with, less those that are dropped in any case.
pub struct Limited {
    held: u64,
    bounding: u64,
    problems: Vec<String>,
}

impl Limited {
    /// Forbids new privileges, core dumps and debuggers, and limits the capabilities that programs can get. Call it while the
    /// process has one thread: it acts on the calling thread and on threads started later.
    pub fn new() -> Self {
        let mut limited = Self {
            held: 0,
            bounding: credentials::bounding(),
            problems: Vec::new(),
        };
        limited.attempt("forbid core dumps", nix::sys::prctl::set_dumpable(false));
        limited.attempt("forbid new privileges", nix::sys::prctl::set_no_new_privs());
        match credentials::held() {
            Ok(sets) => limited.limit(sets),
            Err(error) => limited
                .problems
                .push(format!("unable to read capabilities: {error}")),
        }
        limited
    }

    fn limit(&mut self, sets: Sets) {
        self.held = sets.permitted;
        // File capabilities may be permitted without being effective.
        let raised = Sets {
            effective: sets.permitted,
            ..sets
        };
        self.attempt("use capabilities", credentials::set(raised));
        let more = self.bounding & !mask(&SCRIPTS);
        if self.held & Capability::CAP_SETPCAP.bitmask() == 0 {
            // Scripts of other users gain nothing, because new privileges are forbidden.
            if more != 0 && geteuid().is_root() {
                self.problems.push(format!(
                    "scripts that run as root may have more capabilities than {}: limiting them takes CAP_SETPCAP",
                    names(mask(&SCRIPTS))
                ));
            }
            return;
        }
        for capability in bits(more) {
            self.attempt("limit capabilities", credentials::drop_bounding(capability));
        }
        self.bounding &= mask(&SCRIPTS);
    }

    /// Drops all capabilities except those that the daemon needs and, if the account is to change, those that the start
    /// needs until then. Call it while the process has one thread.
    pub fn keep(mut self, account: Option<Account>) -> Privileges {
        let scripts = mask(&SCRIPTS) & self.held & self.bounding;
        let mut credentials = Credentials {
            identity: None,
            permitted: mask(&KEPT) & self.held,
            inheritable: scripts,
            ambient: scripts,
        };
        let more = account
            .as_ref()
            .map_or(0, |_| (mask(&START) | mask(&BECOME)) & self.held);
        let now = Credentials {
            permitted: credentials.permitted | more,
            ..credentials
        };
        self.attempt("drop capabilities", Credentials { ambient: 0, ..now }.assume());
        // The environment's secure bits may forbid ambient capabilities.
        if let Err(error) = now.assume() {
            let text = format!("scripts have no capabilities unless they run as root: {error}");
            self.problems.push(text);
            credentials.ambient = 0;
        }
        if let Some(account) = &account {
            self.attempt("keep capabilities", credentials::keep_capabilities());
            credentials.identity = Some(account.identity());
        }
        let missing = mask(&KEPT) & !self.held;
        if missing != 0 {
            self.problems.push(format!(
                "running without {}, which some operations need",
                names(missing)
            ));
        }
        Privileges {
            promise: Promise {
                credentials,
                bounding: self.bounding,
            },
            account,
            lacking: mask(&BECOME) & !self.held,
            problems: self.problems,
        }
    }

    fn attempt<E: Display>(&mut self, what: &str, result: Result<(), E>) {
        if let Err(error) = result {
            self.problems.push(format!("unable to {what}: {error}"));
        }
    }
}

impl Default for Limited {
    fn default() -> Self {
        Self::new()
    }
}

impl Privileges {
    /// The account that the process changes to at the end of the start.
    pub fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// Changes to the account, if one is set, and checks that no thread has more privileges than promised. The calling thread
    /// changes last: as long as another thread may fail, it keeps the rights to remove the files of the start.
    ///
    /// # Errors
    ///
    /// If a thread has more privileges, or cannot change to the account. The daemon must not run then.
    pub fn give_up(&self) -> Result<(), String> {
        if let Some(account) = &self.account {
            let failed = |error: &dyn Display| format!("cannot become {account}: {error}{}", self.lacking());
            let credentials = self.promise.credentials;
            sys::assume_on_other_threads(credentials, PATIENCE).map_err(|error| failed(&error))?;
            self.check(Some(gettid().as_raw()))?;
            credentials.assume().map_err(|error| failed(&error))?;
        }
        self.check(None)
    }

    /// The capabilities that are missing to change the account, and what to do about it.
    fn lacking(&self) -> String {
        if self.lacking == 0 {
            return String::new();
        }
        let names = names(self.lacking);
        format!(
            "; that takes {names}, which the daemon was started without: start it as root, or remove the setting"
        )
    }

    fn check(&self, except: Option<i32>) -> Result<(), String> {
        match self.promise.breaches(except) {
            Ok(breaches) if breaches.is_empty() => Ok(()),
            Ok(breaches) => Err(format!("privileges are not dropped: {}", breaches.join("; "))),
            Err(error) => Err(format!(
                "cannot check that privileges are dropped: {error}; mount /proc"
            )),
        }
    }
}

/// The end of a message about a file that could not be opened: root without CAP_DAC_OVERRIDE, and `charon.user`, can open
/// fewer files than the operator may expect.
pub fn hint(error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    format!(
        "; the daemon runs as uid {} without CAP_DAC_OVERRIDE, give that user access to the file and its folders",
        geteuid()
    )
}

/// Warns about files that the daemon opened as root and cannot open again as the account.
pub fn out_of_reach(account: &Account, read: &[PathBuf], written: &[PathBuf]) -> Vec<String> {
    let attempts = read.iter().map(|path| (path, AccessFlags::R_OK, "read"));
    let attempts = attempts.chain(written.iter().map(|path| (path, AccessFlags::W_OK, "write")));
    let denied = attempts.filter(|(path, flags, _)| access(*path, *flags) == Err(Errno::EACCES));
    denied
        .map(|(path, _, what)| {
            format!(
                "{account} may not {what} '{}' when it is reloaded, give it access to the file and its folders",
                path.display()
            )
        })
        .collect()
}

fn mask(capabilities: &[Capability]) -> u64 {
    capabilities.iter().fold(0, |mask, it| mask | it.bitmask())
}

/// `CAP_NET_ADMIN, CAP_NET_RAW`.
fn names(set: u64) -> String {
    let all = bits(set).filter_map(|bit| {
        caps::all()
            .into_iter()
            .find(|capability| u32::from(capability.index()) == bit)
    });
    all.map(|capability| capability.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
