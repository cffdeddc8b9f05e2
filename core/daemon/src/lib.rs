//! charon around the sans-IO core: sockets, threads, plugins, commands and the log.

// Everything else takes the time as an argument; this is where it comes from.
#![allow(clippy::disallowed_methods)]

pub mod addresses;
pub mod args;
mod attributes;
mod bus;
pub mod commands;
mod controls;
pub mod embed;
pub mod entry;
pub mod host;
pub mod input;
pub mod jobs;
pub mod kernel;
pub mod loaded;
pub mod log;
pub mod net;
mod options;
mod pages;
pub mod paths;
pub mod pidfile;
pub mod plugins;
pub mod privileges;
pub mod product;
pub mod program;
mod randomness;
pub mod run;
mod scripts;
mod sources;
pub mod start;
pub mod supervisor;
pub mod sys;
#[cfg(test)]
mod testing;
mod turn;
mod updown;
