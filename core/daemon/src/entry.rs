//! The program, whichever of its names it was started by.

use std::process::ExitCode;

use crate::args::{self, Invocation};
use crate::program::Program;
use crate::{product, start};

/// Reads the command line and runs the daemon.
pub fn main() -> ExitCode {
    let program = Program::of(std::env::args_os().next().as_deref());
    let name = program.name();
    let options = match args::parse(std::env::args().skip(1)) {
        Ok(Invocation::Run(options)) => options.of(program),
        Ok(Invocation::Help) => {
            println!("{}", args::usage(program));
            return ExitCode::SUCCESS;
        }
        Ok(Invocation::Version) => {
            println!(
                "{} {} {}",
                product::system().name,
                product::NAME,
                product::VERSION
            );
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("{name}: {problem}\n{}", args::usage(program));
            return ExitCode::from(1);
        }
    };
    match start::charon(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The log may go elsewhere, and whoever starts a daemon by hand looks here.
            eprintln!("{name}: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}
