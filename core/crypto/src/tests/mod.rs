//! Tests of this crate, one module a question.

mod algorithms;
mod any_selection;
mod defaults;
mod exchange;
mod golden;
mod keys;
mod parsing;
mod ppk;
mod registration;
mod selection;
mod trace;
