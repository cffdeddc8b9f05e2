//! Encodings of the control sockets: vici and stroke.
//!
//! vici's messages are also the language in which commands and events cross the plugin boundary.

pub mod frame;
pub mod packet;
pub mod stroke;
pub mod vici;

mod error;

pub use error::Error;
