//! Payloads that ride along with the exchanges, one extension a file.

mod childless;
mod mobike;
pub(crate) mod ppk;
pub(crate) mod redirect;
