//! strongswan.conf as a whole: which keys there are, and which of a file do not do what they say.

pub mod check;
pub mod keys;
