//! Giving up what is not needed once plugins are loaded.

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{Gid, Group, Uid, User};

/// What the daemon and its scripts keep: SAs, routes and TUN devices; ports below 1024; raw sockets.
const KEPT: [Capability; 3] = [
    Capability::CAP_NET_ADMIN,
    Capability::CAP_NET_BIND_SERVICE,
    Capability::CAP_NET_RAW,
];

/// Whom to become.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Account {
    user: Option<(Uid, String)>,
    group: Option<Gid>,
}

impl Account {
    /// Looks `charon.user` and `charon.group` up. Unknown names are left out and reported.
    pub fn look_up(user: Option<&str>, group: Option<&str>) -> (Self, Vec<String>) {
        let mut account = Self::default();
        let mut problems = Vec::new();
        if let Some(name) = user {
            match User::from_name(name) {
                Ok(Some(user)) => {
                    account.user = Some((user.uid, user.name));
                    account.group = Some(user.gid);
                }
                _ => problems.push(format!(
                    "there is no user '{name}' (charon.user), privileges are not dropped to it"
                )),
            }
        }
        if let Some(name) = group {
            match Group::from_name(name) {
                Ok(Some(group)) => account.group = Some(group.gid),
                _ => problems.push(format!(
                    "there is no group '{name}' (charon.group), it is not changed"
                )),
            }
        }
        (account, problems)
    }

    /// Whether user or group are to change at all.
    pub fn changes(&self) -> bool {
        self.user.is_some() || self.group.is_some()
    }
}

/// Becomes `account` and gives all other capabilities up, for this process and what it runs. Returns what could not be
/// done, which is no reason to stop: a container may have taken the privileges away already.
pub fn drop_privileges(account: &Account) -> Vec<String> {
    let mut problems = Vec::new();
    let mut attempt = |what: &str, result: Result<(), String>| {
        if let Err(error) = result {
            problems.push(format!("unable to {what}: {error}"));
        }
    };
    let held = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let kept: CapsHashSet = KEPT
        .into_iter()
        .filter(|capability| held.contains(capability))
        .collect();
    if held.contains(&Capability::CAP_SETPCAP) {
        let others = caps::runtime::thread_all_supported()
            .into_iter()
            .filter(|capability| !KEPT.contains(capability));
        for capability in others {
            attempt(
                "limit capabilities",
                text(caps::drop(None, CapSet::Bounding, capability)),
            );
        }
    }
    if account.changes() {
        attempt("keep capabilities", text(nix::sys::prctl::set_keepcaps(true)));
    }
    if let Some(gid) = account.group {
        attempt("change the groups", text(nix::unistd::setgroups(&[gid])));
        attempt("change the group", text(nix::unistd::setgid(gid)));
    }
    if let Some((uid, name)) = &account.user {
        attempt(&format!("become user '{name}'"), text(nix::unistd::setuid(*uid)));
    }
    // Effective first, because it may not exceed what is permitted; ambient last, because it needs the inheritable.
    for set in [
        CapSet::Effective,
        CapSet::Permitted,
        CapSet::Inheritable,
        CapSet::Effective,
        CapSet::Ambient,
    ] {
        attempt("drop capabilities", text(caps::set(None, set, &kept)));
    }
    attempt("forbid new privileges", text(nix::sys::prctl::set_no_new_privs()));
    // Changing the user switches this back on.
    attempt("forbid core dumps", text(nix::sys::prctl::set_dumpable(false)));
    for capability in KEPT.iter().filter(|capability| !held.contains(capability)) {
        problems.push(format!(
            "running without {capability}, which some operations need"
        ));
    }
    problems
}

fn text<E: std::fmt::Display>(result: Result<(), E>) -> Result<(), String> {
    result.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_user_is_only_reported() {
        let (account, problems) =
            Account::look_up(Some("nobody-of-this-name"), Some("no-group-of-this-name"));
        assert!(!account.changes());
        assert!(
            problems[0].contains("nobody-of-this-name") && problems[0].contains("charon.user"),
            "{problems:?}"
        );
        assert!(problems[1].contains("charon.group"), "{problems:?}");
    }

    #[test]
    fn a_user_brings_its_group() {
        let (account, problems) = Account::look_up(Some("root"), None);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(account.group, Some(Gid::from_raw(0)));
    }
}
