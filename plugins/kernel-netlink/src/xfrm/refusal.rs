//! What the kernel's refusals mean, and what to do about them.

use plugin_api::{ErrorKind, PluginError};

use crate::connection::Refusal;

/// A refusal in words.
pub(super) fn refused(attempt: impl std::fmt::Display, refusal: &Refusal) -> PluginError {
    let (kind, remedy) = match refusal.error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => (
            ErrorKind::System,
            "; the daemon lacks CAP_NET_ADMIN, start it as root or with that capability",
        ),
        Some(libc::EEXIST) => (
            ErrorKind::AlreadyExists,
            "; it is there already, see `ip xfrm state` and `ip xfrm policy` for what another program has left",
        ),
        Some(libc::ESRCH | libc::ENOENT) if is_algorithm(refusal) => ALGORITHM,
        Some(libc::ESRCH) => (ErrorKind::NotFound, ""),
        // An algorithm that is none of the kernel's, or none that its crypto modules have.
        Some(libc::ENOSYS | libc::ENOENT) => ALGORITHM,
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => (
            ErrorKind::NotSupported,
            "; the kernel has no ESP for this family: load its module esp4 or esp6, or put kernel-libipsec before \
             kernel-netlink in charon.load",
        ),
        Some(libc::ENOMEM | libc::ENOBUFS) => (ErrorKind::System, "; the kernel is out of memory"),
        _ => (ErrorKind::System, ""),
    };
    PluginError::new(kind, format!("{attempt}: {refusal}{remedy}"))
}

const ALGORITHM: (ErrorKind, &str) = (
    ErrorKind::NotSupported,
    "; the kernel lacks an algorithm: load its module, or remove the algorithm from esp_proposals",
);

fn is_algorithm(refusal: &Refusal) -> bool {
    let reason = refusal.reason.as_deref().unwrap_or_default();
    reason.contains("algorithm")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn errors_say_what_to_do() {
        let said = |errno, reason: Option<&str>| {
            let refusal = Refusal {
                error: io::Error::from_raw_os_error(errno),
                reason: reason.map(str::to_owned),
            };
            refused("adding an SA", &refusal)
        };
        for (errno, kind, word) in [
            (libc::EPERM, ErrorKind::System, "CAP_NET_ADMIN"),
            (libc::EEXIST, ErrorKind::AlreadyExists, "ip xfrm state"),
            (libc::ESRCH, ErrorKind::NotFound, "No such process"),
            (libc::ENOSYS, ErrorKind::NotSupported, "esp_proposals"),
            (libc::ENOENT, ErrorKind::NotSupported, "esp_proposals"),
            (libc::EPROTONOSUPPORT, ErrorKind::NotSupported, "esp4"),
            (libc::EINVAL, ErrorKind::System, "Invalid argument"),
        ] {
            let error = said(errno, None);
            assert_eq!(error.kind, kind, "{error}");
            assert!(error.message.contains(word), "{error}");
        }
        let words = said(libc::EINVAL, Some("Invalid key length"));
        assert!(words.message.ends_with(", \"Invalid key length\""), "{words}");
    }
}
