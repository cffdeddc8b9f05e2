//! `pqswan-bench`: what handshakes, key exchanges and tunnels cost, beside other implementations. `cargo xtask bench` builds
//! what it measures and runs it.

// It measures times.
#![allow(clippy::disallowed_methods)]

mod bench;
mod field;
mod flood;
mod goals;
mod hosts;
mod library;
mod load;
mod machine;
mod relay;
mod report;
mod results;
mod scenarios;
mod stats;
mod strangers;
mod tun;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::bench::Bench;
use crate::hosts::Kind;
use crate::machine::Machine;
use crate::results::{Cell, Run, Store};
use crate::scenarios::Scenario;

#[derive(Parser)]
#[command(name = "pqswan-bench")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Measure, and report.
    Run(RunArguments),
    /// Report once more on a run's folder.
    Report {
        /// The folder that holds `run.json`.
        run: PathBuf,
        /// Where the report goes.
        report: PathBuf,
    },
}

#[derive(Args)]
struct RunArguments {
    /// The installed tree of the daemon that is measured.
    #[arg(long)]
    tree: PathBuf,
    /// Where runs are kept, so that one which was interrupted goes on.
    #[arg(long)]
    state: PathBuf,
    /// Where the report of a full run goes, in a folder of its own.
    #[arg(long)]
    results: PathBuf,
    /// A smoke run of a few minutes, which fails if what is asserted does not hold.
    #[arg(long)]
    quick: bool,
    /// Forget what was measured before.
    #[arg(long)]
    fresh: bool,
    /// Where randomness of the benchmarks begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Who answers, ours and whom it is compared with.
    #[arg(long, value_delimiter = ',', default_value = "ours,strongswan-6.1.0")]
    responders: Vec<Kind>,
    /// What to measure; all if none is named.
    scenarios: Vec<String>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Run(arguments) => run(arguments),
        Task::Report { run, report } => Store::load(&run).and_then(|store| {
            report::write(&store, &report)?;
            println!("{}", report.join("index.html").display());
            Ok(true)
        }),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pqswan-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well.
fn run(arguments: RunArguments) -> Result<bool, String> {
    let mut scenarios = scenarios::all();
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name()).collect();
    if let Some(unknown) = arguments
        .scenarios
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(format!(
            "there is no scenario {unknown}, but {}",
            names.join(", ")
        ));
    }
    if !arguments.scenarios.is_empty() {
        scenarios.retain(|scenario| arguments.scenarios.iter().any(|name| name == scenario.name()));
    }
    let bench = Bench {
        quick: arguments.quick,
        seed: arguments.seed,
        tree: arguments.tree,
        responders: arguments.responders,
        interrupted: Arc::default(),
    };
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&bench.interrupted))
            .map_err(|error| format!("interrupts would end this without tidying up: {error}"))?;
    }
    let size = bench.pick("quick", "full");
    let state = arguments.state.join(size);
    if arguments.fresh && state.exists() {
        std::fs::remove_dir_all(&state).map_err(|error| format!("{}: {error}", state.display()))?;
    }
    let mut machine = Machine::here();
    for kind in &bench.responders {
        if let Kind::StrongSwan { version, .. } = kind {
            machine.versions.insert("strongSwan".into(), (*version).into());
        }
    }
    let asked: Vec<&'static str> = scenarios.iter().map(|scenario| scenario.name()).collect();
    let now = jiff::Zoned::now();
    let run = Run {
        quick: bench.quick,
        seed: bench.seed,
        began: now.strftime("%Y-%m-%d %H:%M %Z").to_string(),
        machine,
        finished: false,
    };
    let mut store = Store::open(&state, run, &asked)?;
    let problems = measure(&bench, &mut scenarios, &mut store)?;
    store.finish()?;
    let report = if bench.quick {
        state.join("report")
    } else {
        let slug = store.run.machine.slug();
        arguments.results.join(format!("{}-{slug}", now.date()))
    };
    report::write(&store, &report)?;
    println!("report: {}", report.join("index.html").display());
    let judgements = goals::judge(&store, &asked);
    print!("{}", goals::table(&judgements));
    for problem in &problems {
        eprintln!("problem: {problem}");
    }
    // A full run reports; the quick one judges.
    let holds = judgements.iter().all(|judgement| judgement.acceptable);
    Ok(problems.is_empty() && (holds || !bench.quick))
}

/// Measures all cells that have no result yet, and says which could not be measured.
fn measure(
    bench: &Bench,
    scenarios: &mut [Box<dyn Scenario>],
    store: &mut Store,
) -> Result<Vec<String>, String> {
    let mut todo: Vec<(usize, String)> = Vec::new();
    let mut done = 0;
    for (index, scenario) in scenarios.iter().enumerate() {
        for cell in scenario.cells(bench) {
            if store.has(scenario.name(), &cell) {
                done += 1;
            } else {
                todo.push((index, cell));
            }
        }
    }
    if done > 0 {
        println!("{done} cells have been measured before, {} are left", todo.len());
    }
    let bar = ProgressBar::new(todo.len() as u64);
    let style = ProgressStyle::with_template(
        "{elapsed_precise} [{bar:30}] {pos}/{len} {prefix}: {wide_msg} (eta {eta})",
    );
    bar.set_style(
        style
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> "),
    );
    bar.enable_steady_tick(Duration::from_millis(500));
    let mut problems = Vec::new();
    for (index, cell) in todo {
        let scenario = &mut scenarios[index];
        let name = scenario.name();
        bar.set_prefix(name);
        bar.set_message(cell.clone());
        let began = Instant::now();
        let step = |text: &str| bar.set_message(format!("{cell}: {text}"));
        let outcome = scenario.measure(bench, &cell, &step);
        if let Err(error) = bench.check() {
            bar.abandon();
            return Err(format!("{error}; the same command goes on with what is left"));
        }
        let seconds = began.elapsed().as_secs_f64();
        let (measured, problem) = match outcome {
            Ok(measured) => (measured, None),
            Err(error) => (Default::default(), Some(error)),
        };
        if let Some(problem) = &problem {
            problems.push(format!("{name}, {cell}: {problem}"));
        }
        // Without a terminal there is no bar, and somebody may still want to see how far it is.
        if bar.is_hidden() {
            println!("{name}, {cell}: {seconds:.1} s");
        }
        store.add(Cell {
            scenario: name.to_owned(),
            cell,
            rows: measured.rows,
            notes: measured.notes,
            problem,
            seconds,
        })?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(problems)
}
