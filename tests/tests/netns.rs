//! Two hosts in network namespaces, with the programs as they are built: `cargo xtask test netns`.
//!
//! Needs root; without it the tests say so and pass, unless `CI=true`.
#![allow(
    missing_docs,
    clippy::panic,
    clippy::unwrap_used,
    reason = "everything here is test code"
)]

mod netns {
    mod bad_input;
    mod chaos;
    mod daemon;
    mod demands;
    mod drop_in;
    mod failures;
    mod families;
    mod files;
    mod inactivity;
    mod kems;
    mod metrics;
    mod moving;
    mod names;
    #[path = "../../../plugins/metrics/tests/openmetrics/mod.rs"]
    mod openmetrics;
    mod operation;
    mod pair;
    mod plugins;
    mod privileges;
    mod rekey;
    mod reload;
    mod restart;
    mod road_warrior;
    mod scripts;
    mod stream;
    mod swanctl;
    mod traffic;
    mod userspace;
    mod vici;
}
