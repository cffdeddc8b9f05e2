//! Payloads that ride along with the exchanges, one extension a file.

mod mobike;
pub(crate) mod redirect;
