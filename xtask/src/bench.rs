//! `cargo xtask bench`: builds what is measured, in a tree of its own, and the program that measures it.

use std::process::Command;

use nix::unistd::geteuid;

use crate::{dist, install, run};

pub(crate) fn run(
    quick: bool,
    fresh: bool,
    responders: &[String],
    scenarios: &[String],
) -> Result<(), String> {
    let state = xtask::root().join("target/bench");
    let tree = state.join("installed");
    let results = xtask::root().join("benches/results");
    // With what it measures, for which its crates are compiled anyway.
    let built = run::build(true)?;
    let mut command = Command::new(built.join("pqswan-bench"));
    if scenarios == ["report"] {
        let run = state.join(if quick { "quick" } else { "full" });
        command.arg("report").arg(&run).arg(run.join("report"));
        return execute(&mut command);
    }
    if !geteuid().is_root() {
        return Err("hosts in network namespaces need root".into());
    }
    install::ensure(&[install::HOSTS, install::PEERS, install::BENCH])?;
    dist::run(&tree)?;
    command.arg("run").arg("--tree").arg(&tree);
    command.arg("--state").arg(&state).arg("--results").arg(&results);
    command
        .args(quick.then_some("--quick"))
        .args(fresh.then_some("--fresh"));
    if !responders.is_empty() {
        command.arg("--responders").arg(responders.join(","));
    }
    command.args(scenarios);
    execute(&mut command)
}

fn execute(command: &mut Command) -> Result<(), String> {
    let status = command
        .current_dir(xtask::root())
        .status()
        .map_err(|error| format!("pqswan-bench: {error}"))?;
    run::check()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("pqswan-bench: {status}"))
    }
}
