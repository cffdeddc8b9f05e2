//! Payloads that ride along with the exchanges, one extension a file.

pub(crate) mod mobike;
mod moving;
pub(crate) mod roaming;
