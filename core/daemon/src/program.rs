//! The names that the daemon is started by, and what differs between them.

use std::ffi::OsStr;
use std::path::Path;

/// Which of its names the daemon was started by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// `charon`: started by `ipsec start`, or by hand.
    #[default]
    Charon,
    /// `charon-systemd`: a service of systemd. Its log goes to the journal, systemd is told when it is ready, and the section
    /// `charon-systemd` of strongswan.conf comes before `charon`.
    Systemd,
}

impl Program {
    /// That of a command line's first word.
    pub fn of(word: Option<&OsStr>) -> Self {
        match word.and_then(|word| Path::new(word).file_name()) {
            Some(name) if name == Self::Systemd.name() => Self::Systemd,
            _ => Self::Charon,
        }
    }

    /// The name: of the section of strongswan.conf, in the log, and what clients are told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Charon => "charon",
            Self::Systemd => "charon-systemd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_decides() {
        let of = |word: &str| Program::of(Some(OsStr::new(word)));
        assert_eq!(of("/usr/sbin/charon-systemd"), Program::Systemd);
        assert_eq!(of("charon-systemd"), Program::Systemd);
        assert_eq!(of("/usr/libexec/ipsec/charon"), Program::Charon);
        assert_eq!(Program::of(None), Program::Charon);
    }
}
