//! The daemon under load: handshakes go on while a thousand clients want everything at once.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "test code, which measures"
)]

mod load {
    mod clients;
    mod peer;
    mod rate;
    mod sas;
    mod toy;
}
mod loaded;
