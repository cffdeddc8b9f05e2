//! The kinds of tests, each a few calls of cargo.

use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use nix::unistd::geteuid;
use xtask::uml::Work;

use crate::run::cargo;
use crate::{bench, dist, docker, install, licences, run};

/// A kind of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Formatting, clippy, licences.
    Lint,
    /// Tests beside the code, of single crates, and known answers of the plugins.
    Unit,
    /// Endpoints in a simulated network.
    Sim,
    /// Recorded runs of other implementations.
    Golden,
    /// Plugins through their boundary, bad ones too.
    Abi,
    /// Corpora and mutations of them.
    Fuzz,
    /// Hosts in network namespaces; needs root.
    Netns,
    /// Other vici clients, and a thousand of them.
    Clients,
    /// strongSwan of three releases of Debian; needs root.
    Interop,
    /// A real kernel's IPsec in user-mode Linux.
    Uml,
    /// The Docker demo.
    Docker,
    /// The quick benchmarks, which fail if a ratio is lost; needs root.
    Bench,
}

/// All, in the order in which they run.
const ALL: &[Kind] = &[
    Kind::Lint,
    Kind::Unit,
    Kind::Sim,
    Kind::Golden,
    Kind::Abi,
    Kind::Fuzz,
    Kind::Netns,
    Kind::Clients,
    Kind::Interop,
    Kind::Uml,
    Kind::Docker,
    Kind::Bench,
];

/// The packages of `unit`. What others select is compiled with other features of its dependencies.
const CRATES: &[&str] = &["--workspace", "--exclude", "pqswan-tests"];

/// The suite of Debian whose strongSwan runs in the guest.
const PEER: &str = "forky";

/// How a kind ended.
enum Outcome {
    Passed,
    Skipped(String),
}

/// Runs the kinds named, or all there are.
#[allow(clippy::disallowed_methods)] // a tool that says how long things took
pub(crate) fn run(kinds: &[Kind]) -> Result<(), String> {
    let kinds = if kinds.is_empty() { ALL } else { kinds };
    install::ensure(&[install::BUILD])?;
    let mut summary = Vec::new();
    let mut failed = Vec::new();
    for kind in kinds {
        println!("\n== {} ==", name(*kind));
        let start = Instant::now();
        let outcome = one(*kind);
        run::check()?;
        let (word, detail) = match &outcome {
            Ok(Outcome::Passed) => ("passed", String::new()),
            Ok(Outcome::Skipped(why)) => ("skipped", format!(": {why}")),
            Err(why) => ("FAILED", format!(": {why}")),
        };
        let skipped_in_ci = word == "skipped" && std::env::var("CI").as_deref() == Ok("true");
        if word == "FAILED" || skipped_in_ci {
            failed.push(name(*kind));
        }
        summary.push(format!(
            "{:8} {word} in {} s{detail}",
            name(*kind),
            start.elapsed().as_secs()
        ));
    }
    println!("\n{}", summary.join("\n"));
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

fn name(kind: Kind) -> String {
    format!("{kind:?}").to_lowercase()
}

fn one(kind: Kind) -> Result<Outcome, String> {
    match kind {
        Kind::Lint => {
            cargo(&["fmt", "--all", "--check"])?;
            cargo(&["fmt", "--manifest-path", run::SIKE, "--check"])?;
            cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
            run::sike("clippy", &["--all-targets", "--", "-D", "warnings"])?;
            licences::check()?;
        }
        // Tests that start the daemon find its plugins beside it.
        Kind::Unit => {
            run::build(false)?;
            cargo(&[&["test"], CRATES].concat())?;
            run::sike("test", &[])?;
        }
        Kind::Sim => cargo(&[
            "test",
            "-p",
            "pqswan-tests",
            "--lib",
            "--test",
            "sim",
            "--test",
            "endurance",
            "--test",
            "footprint",
        ])?,
        Kind::Golden => {
            cargo(&["test", "-p", "ike-crypto", "-p", "ike-wire", "golden"])?;
            cargo(&["test", "-p", "pqswan-tests", "--test", "golden"])?;
        }
        Kind::Abi => {
            run::build(false)?;
            run::build_sike(false)?;
            cargo(&["test", "-p", "pqswan-tests", "--test", "abi", "--test", "kat"])?;
        }
        Kind::Fuzz => {
            cargo(&["test", "-p", "pqswan-tests", "--test", "fuzz"])?;
            // That the targets of cargo-fuzz still compile.
            let manifest = ["--manifest-path", "tests/fuzz/Cargo.toml"];
            cargo(&[&["check", "--target-dir", "target/fuzz"], &manifest[..]].concat())?;
        }
        Kind::Netns => {
            if !geteuid().is_root() {
                return Ok(Outcome::Skipped("network namespaces need root".into()));
            }
            install::ensure(&[install::HOSTS])?;
            let built = run::build(false)?;
            run::build_sike(false)?;
            dist::run(&xtask::installed())?;
            run::test_program(&["-p", "pqswan-tests"], "netns")?;
            run::warm(&built)?;
            cargo(&[
                "test",
                "-p",
                "pqswan-tests",
                "--test",
                "netns",
                "--",
                "--test-threads=1",
                "--show-output",
            ])?;
        }
        Kind::Interop => {
            if !geteuid().is_root() {
                return Ok(Outcome::Skipped("network namespaces need root".into()));
            }
            install::ensure(&[install::HOSTS, install::PEERS])?;
            for suite in xtask::peers::SUITES {
                xtask::peers::Peer::unpack(suite)?;
            }
            run::build(false)?;
            cargo(&[
                "test",
                "-p",
                "pqswan-tests",
                "--test",
                "interop",
                "--",
                "--show-output",
            ])?;
        }
        Kind::Clients => {
            if !geteuid().is_root() {
                return Ok(Outcome::Skipped("network namespaces need root".into()));
            }
            install::ensure(&[install::HOSTS, install::PEERS, install::PYTHON])?;
            for suite in xtask::peers::SUITES {
                xtask::peers::Peer::unpack(suite)?;
            }
            xtask::python::fetch(&xtask::root().join("tests/tests/clients/requirements.txt"))?;
            run::build(false)?;
            cargo(&[
                "test",
                "-p",
                "pqswan-tests",
                "--test",
                "clients",
                "--test",
                "load",
                "--",
                "--test-threads=1",
                "--show-output",
            ])?;
        }
        Kind::Uml => {
            if !cfg!(target_arch = "x86_64") {
                return Ok(Outcome::Skipped(
                    "Debian has user-mode Linux for x86-64 only".into(),
                ));
            }
            if let Err(error) = install::ensure(&[install::HOSTS, install::GUEST, install::PEERS]) {
                return Ok(Outcome::Skipped(format!("no user-mode Linux: {error}")));
            }
            // Fetched here, because the guest has no network but its own.
            xtask::peers::Peer::unpack(PEER)?;
            dist::stripped(&run::build(false)?, &xtask::uml::programs())?;
            guests()?;
        }
        Kind::Docker => match docker::Engine::find() {
            Ok(engine) => docker::test(&engine)?,
            Err(error) => return Ok(Outcome::Skipped(error)),
        },
        Kind::Bench => {
            if !geteuid().is_root() {
                return Ok(Outcome::Skipped("network namespaces need root".into()));
            }
            bench::run(true, true, &[], &[])?;
        }
    }
    Ok(Outcome::Passed)
}

/// Runs the tests of a kernel with IPsec in two guests at once, each of which has one processor.
fn guests() -> Result<(), String> {
    let esp = run::test_program(CRATES, "esp")?;
    let uml = run::test_program(&["-p", "pqswan-tests"], "uml")?;
    let test = |program: &Path, filter: &[&str]| {
        let options = ["--test-threads=1", "--show-output"];
        let words = options.iter().chain(filter).map(|word| (*word).to_owned());
        std::iter::once(program.to_string_lossy().into_owned())
            .chain(words)
            .collect::<Vec<_>>()
    };
    // Either takes half of the time.
    let first = ["esp::", "scenarios::", "ipcomp::", "kills::", "roaming::"];
    let rest: Vec<&str> = first.iter().flat_map(|module| ["--skip", *module]).collect();
    let works = [
        ("1| ", vec![test(&esp, &[]), test(&uml, &first)]),
        ("2| ", vec![test(&uml, &rest)]),
    ];
    let works = works.map(|(prefix, commands)| Work {
        prefix: prefix.to_owned(),
        commands,
    });
    let ended = xtask::uml::run(&works, xtask::uml::LIMIT)?;
    let failed: Vec<String> = ended
        .iter()
        .zip(&works)
        .filter(|(status, _)| !status.success())
        .map(|(status, work)| format!("tests of guest {}: {status}", work.prefix.trim_end_matches("| ")))
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join(", "))
    }
}
