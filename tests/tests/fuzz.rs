//! The corpora of tests/fuzz, and mutations of them, against the code that meets foreign input first.
#![allow(missing_docs, clippy::panic, reason = "everything here is test code")]

mod fuzz {
    mod configuration;
    mod corpus;
    mod datagram;
    mod stroke;
}
