//! The account that `charon.user` and `charon.group` name.

use std::fmt::{self, Display};
use std::fs::File;
use std::io;
use std::os::unix::fs::fchown;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, getegid, geteuid};

use crate::sys::credentials::Identity;

/// A user and a group to change to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    user: Option<(Uid, String)>,
    group: Gid,
}

impl Account {
    /// Looks up `charon.user` and `charon.group`, which defaults to the user's group. Returns `None` if neither is set, or if
    /// the process runs as that account already.
    ///
    /// # Errors
    ///
    /// If the system does not know the user or the group. Running as root instead would ignore the setting.
    pub fn look_up(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, Unknown> {
        let user = user
            .map(|name| unknown("user", name, User::from_name(name)))
            .transpose()?;
        let group = group
            .map(|name| unknown("group", name, Group::from_name(name)))
            .transpose()?;
        let group = group
            .map(|group| group.gid)
            .or(user.as_ref().map(|user| user.gid));
        let Some(group) = group else { return Ok(None) };
        let account = Self {
            user: user.map(|user| (user.uid, user.name)),
            group,
        };
        Ok((!account.is_current()).then_some(account))
    }

    fn is_current(&self) -> bool {
        let same_user = self.user.as_ref().is_none_or(|(uid, _)| *uid == geteuid());
        same_user && self.group == getegid()
    }

    /// Gives a file that was just created to the account.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn give(&self, file: &File) -> io::Result<()> {
        let Identity { user, group } = self.identity();
        fchown(file, user, Some(group))
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            user: self.user.as_ref().map(|(uid, _)| uid.as_raw()),
            group: self.group.as_raw(),
        }
    }
}

impl Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.user {
            Some((_, name)) => write!(f, "user '{name}' (charon.user)"),
            None => write!(f, "group {} (charon.group)", self.group),
        }
    }
}

/// An account that cannot be looked up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("charon.{kind}: {problem}")]
pub struct Unknown {
    kind: &'static str,
    problem: String,
}

impl Unknown {
    /// The message with the file that has the setting, and what to do.
    pub fn in_file(&self, file: &Path) -> String {
        let kind = self.kind;
        format!(
            "{self} in {}; create the {kind}, or correct or remove charon.{kind}",
            file.display()
        )
    }
}

fn unknown<T>(kind: &'static str, name: &str, found: nix::Result<Option<T>>) -> Result<T, Unknown> {
    let problem = match found {
        Ok(Some(found)) => return Ok(found),
        Ok(None) => format!("no such {kind} '{name}'"),
        Err(errno) => format!("cannot look up {kind} '{name}' ({})", errno.desc()),
    };
    Err(Unknown { kind, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_file_and_what_to_do() {
        let file = Path::new("/etc/strongswan.conf");
        let refused = Account::look_up(Some("no-user-of-this-name"), None).expect_err("unknown");
        assert_eq!(
            refused.in_file(file),
            "charon.user: no such user 'no-user-of-this-name' in /etc/strongswan.conf; create the user, or correct or \
             remove charon.user"
        );
        let refused = Account::look_up(Some("root"), Some("no-group-of-this-name")).expect_err("unknown");
        assert_eq!(
            refused.in_file(file),
            "charon.group: no such group 'no-group-of-this-name' in /etc/strongswan.conf; create the group, or correct or \
             remove charon.group"
        );
    }

    #[test]
    fn a_user_brings_its_group() {
        let nobody = User::from_name("nobody").expect("a database").expect("nobody");
        let account = Account::look_up(Some("nobody"), None).expect("it is known");
        let expected = Identity {
            user: Some(nobody.uid.as_raw()),
            group: nobody.gid.as_raw(),
        };
        if geteuid() != nobody.uid {
            assert_eq!(account.map(|account| account.identity()), Some(expected));
        }
    }

    #[test]
    fn there_is_nothing_to_change_without_settings_or_as_that_account() {
        assert_eq!(Account::look_up(None, None), Ok(None));
        if let Ok(Some(own)) = User::from_uid(geteuid())
            && own.gid == getegid()
        {
            assert_eq!(Account::look_up(Some(&own.name), None), Ok(None));
        }
    }
}
