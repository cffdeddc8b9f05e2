//! `ipsec version`.

use crate::product::{NAME, system, version_code};

/// Who may do what with it.
pub(super) const COPYRIGHT: &str = "\
pqswan is licensed under the Apache License, Version 2.0, or the MIT licence, at your option.
It comes without any warranty.";

/// `Linux pqswan U0.1.0/K6.1.0-18-amd64`, and where to read on.
pub(super) fn version() -> String {
    format!(
        "{} {NAME} {}\nSee 'ipsec --copyright' for copyright information.",
        system().0,
        version_code()
    )
}
