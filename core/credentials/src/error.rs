use crate::public_key::KeyKind;

/// Why something is no credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`MAX_OCTETS`](crate::MAX_OCTETS).
    #[error("it has {0} octets, more than the {max} that are read", max = crate::MAX_OCTETS)]
    TooLong(usize),
    /// Neither DER nor PEM, or PEM without what was asked for.
    #[error("it is neither DER nor PEM with {0}")]
    Armor(&'static str),
    /// The text between the lines of PEM is no base64.
    #[error("its PEM cannot be read: {0}")]
    Pem(String),
    /// DER that says something else.
    #[error("it is no {what}: {why}")]
    Form {
        /// What it should have been.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A key that nobody here can use.
    #[error("keys of the algorithm {0} are not supported")]
    Algorithm(String),
    /// A key on a curve that nobody here knows.
    #[error("keys on the curve {0} are not supported")]
    Curve(String),
    /// A password is needed.
    #[error("it is encrypted")]
    Locked,
    /// A key of another kind than was asked for.
    #[error("it is a key of the kind {found}, not {wanted}")]
    Kind {
        /// What it should have been.
        wanted: KeyKind,
        /// What it is.
        found: KeyKind,
    },
    /// The public key beside the private one is that of another.
    #[error("its public key belongs to another private key")]
    Mismatch,
    /// There is no room for another.
    #[error("there are {0} already, and no more are kept")]
    Full(usize),
}

impl Error {
    pub(crate) fn form(what: &'static str, why: impl std::fmt::Display) -> Self {
        Self::Form {
            what,
            why: why.to_string(),
        }
    }
}
