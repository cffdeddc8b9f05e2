//! `stroke`: sends one request to charon and prints its answer.

mod arguments;
mod client;

use std::process::ExitCode;

use crate::paths::Paths;

pub use arguments::{USAGE, parse};
pub use client::{Client, Error};

/// What the program returns if it cannot ask.
pub const FAILED: u8 = 255;

/// The program.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["--help" | "-h"] = arguments[..] {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    ExitCode::from(run(&arguments))
}

/// Asks charon, prints what it says, and returns the exit code: 0 also if what was asked for failed.
pub fn run(arguments: &[&str]) -> u8 {
    let request = match parse(arguments) {
        Ok(request) => request,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return FAILED;
        }
    };
    let client = Paths::find()
        .map_err(|error| format!("cannot determine the path of this program: {error}"))
        .and_then(Paths::with_settings)
        .and_then(|(paths, settings)| {
            Client::of_uri(&paths.stroke_uri(&settings)).map_err(|error| error.to_string())
        });
    let mut stdout = std::io::stdout().lock();
    match client.and_then(|client| {
        client
            .ask(&request, &mut stdout, None)
            .map_err(|error| error.to_string())
    }) {
        Ok(()) => 0,
        Err(problem) => {
            eprintln!("{problem}");
            FAILED
        }
    }
}
