//! The loader and what is wrong with plugins: each costs one line in the log, and itself, or the start if it is marked
//! with `!`. Nothing here may end the process.
#![allow(missing_docs, clippy::panic, reason = "everything here is test code")]

mod abi {
    mod broken;
    mod generations;
    mod panics;
}
mod loaded;
