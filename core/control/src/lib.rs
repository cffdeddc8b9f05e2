//! The control sockets: encodings of vici and stroke, and how the daemon makes them.
//!
//! vici's messages are also the language in which commands and events cross the plugin boundary.

pub mod frame;
pub mod packet;
pub mod socket;
pub mod stroke;
pub mod vici;

mod error;
mod verb;

pub use error::Error;
pub use verb::Verb;
