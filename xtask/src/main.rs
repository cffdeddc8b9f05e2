//! `cargo xtask demo | test | dist | bench | docker | uml`: what a person or CI runs, with what it needs to be installed.

mod bench;
mod demo;
mod dist;
mod docker;
mod install;
mod licences;
mod manual;
mod run;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Bring up a tunnel between two network namespaces, moon and carol, and ping through it.
    Demo {
        /// Bring up Tunnel2 and Tunnel3 too, with NTRU, Saber, FrodoKEM and SIKE, and rekey all three.
        #[arg(long)]
        all: bool,
    },
    /// Run the tests: all, or those of the kinds named.
    Test {
        /// Kinds of tests.
        #[arg(value_enum)]
        kinds: Vec<test::Kind>,
    },
    /// Build for release and lay out an installed tree.
    Dist {
        /// The root of the tree.
        directory: PathBuf,
    },
    /// Measure, beside other implementations: all scenarios, or those named.
    Bench {
        /// A smoke run of a few minutes, which fails if the ratios that hold are lost.
        #[arg(long)]
        quick: bool,
        /// Forget what an interrupted run has measured.
        #[arg(long)]
        fresh: bool,
        /// Who answers: `ours`, and whom it is compared with, like `strongswan-6.1.0`.
        #[arg(long, value_delimiter = ',')]
        responders: Vec<String>,
        /// kem, startup, handshake, capacity, tunnel, network; or `report`, once more of what has been measured.
        scenarios: Vec<String>,
    },
    /// Build the image and bring the walk-through's containers up, until interrupted.
    Docker {
        /// The client is a road warrior, without a network of her own.
        #[arg(long)]
        road_warrior: bool,
        /// Compile here, not while the image is built; what has been compiled before is used again.
        #[arg(long)]
        tree: bool,
    },
    /// Run a program in user-mode Linux, whose kernel has IPsec, as root of that.
    Uml {
        /// The program and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
        /// Seconds after which the guest is ended.
        #[arg(long, default_value_t = 600)]
        limit: u64,
    },
}

fn main() -> ExitCode {
    // In a guest this program is the first process.
    xtask::uml::init();
    if let Err(error) = run::note_interrupts() {
        eprintln!("warning: {error}");
    }
    let result = match Arguments::parse().task {
        Task::Demo { all } => demo::run(all),
        Task::Test { kinds } => test::run(&kinds),
        Task::Dist { directory } => dist::run(&directory),
        Task::Bench {
            quick,
            fresh,
            responders,
            scenarios,
        } => bench::run(quick, fresh, &responders, &scenarios),
        Task::Docker { road_warrior, tree } => {
            let source = if tree {
                docker::Source::Tree
            } else {
                docker::Source::Context
            };
            docker::run(source, road_warrior)
        }
        Task::Uml { command, limit } => uml(&command, Duration::from_secs(limit)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn uml(command: &[String], limit: Duration) -> Result<(), String> {
    install::ensure(&[install::HOSTS, install::GUEST, install::PEERS])?;
    let work = xtask::uml::Work {
        commands: vec![command.to_vec()],
        ..xtask::uml::Work::default()
    };
    let status = xtask::uml::run(&[work], limit)?
        .into_iter()
        .next()
        .unwrap_or_default();
    if status.success() {
        Ok(())
    } else {
        Err(format!("{} in the guest: {status}", command.join(" ")))
    }
}
