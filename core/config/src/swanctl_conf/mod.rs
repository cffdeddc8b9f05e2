//! swanctl.conf: which sections and keys there are. Its grammar is that of strongswan.conf, see [`crate::settings`].

pub mod check;
pub mod keys;
