//! `cargo xtask demo | test | dist`: what a person or CI runs, with what it needs to be installed.

mod demo;
mod dist;
mod install;
mod licences;
mod manual;
mod run;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

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
}

fn main() -> ExitCode {
    if let Err(error) = run::note_interrupts() {
        eprintln!("warning: {error}");
    }
    let result = match Arguments::parse().task {
        Task::Demo { all } => demo::run(all),
        Task::Test { kinds } => test::run(&kinds),
        Task::Dist { directory } => dist::run(&directory),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
