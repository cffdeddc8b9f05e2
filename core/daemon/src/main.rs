//! charon, the IKE daemon.

use std::process::ExitCode;

use daemon::args::{self, Invocation};
use daemon::{product, start};

fn main() -> ExitCode {
    let options = match args::parse(std::env::args().skip(1)) {
        Ok(Invocation::Run(options)) => options,
        Ok(Invocation::Help) => {
            println!("{}", args::USAGE);
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
            eprintln!("charon: {problem}\n{}", args::USAGE);
            return ExitCode::from(1);
        }
    };
    match start::charon(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The log may go elsewhere, and whoever starts a daemon by hand looks here.
            eprintln!("charon: {}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}
