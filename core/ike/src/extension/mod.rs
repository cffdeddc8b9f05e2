//! Payloads that ride along with the exchanges, one extension a file.

mod childless;
pub(crate) mod mobike;
mod moving;
pub(crate) mod ppk;
pub(crate) mod redirect;
pub(crate) mod roaming;
