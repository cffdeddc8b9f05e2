//! What a plugin's function may fail with.

/// Whose fault a failure is, so that the daemon can answer the right party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// A public value, ciphertext or point of the peer is unacceptable: wrong length, small order, off the curve.
    InvalidPublicValue,
    /// Authentication of a ciphertext failed.
    AuthenticationFailed,
    /// An argument of ours is unacceptable: a key of the wrong length, an unknown setting.
    InvalidArgument,
    /// What was asked for exists, but not here.
    NotSupported,
    /// What was asked for does not exist.
    NotFound,
    /// It exists already.
    AlreadyExists,
    /// The operating system or a library refused.
    System,
    /// The plugin panicked; its boundary caught it.
    Panicked,
}

/// A failure of a plugin, in words for a log line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PluginError {
    /// Whose fault it is.
    pub kind: ErrorKind,
    /// What happened, and what to do.
    pub message: String,
}

impl PluginError {
    /// A failure with a message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// A peer's value of the wrong length.
    pub fn wrong_length(what: &str, got: usize, expected: usize) -> Self {
        Self::new(
            ErrorKind::InvalidPublicValue,
            format!("{what} has {got} octets instead of {expected}"),
        )
    }

    /// A failed system call, with what was attempted.
    pub fn system(attempt: impl std::fmt::Display, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::System, format!("{attempt}: {error}"))
    }
}
