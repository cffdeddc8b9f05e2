//! The vici package of PyPI.

use std::process::Stdio;

use super::pair::{Pair, peer, swanctl_conf};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519-ke1_mlkem768";

#[test]
fn the_package_of_pypi_loads_initiates_lists_rekeys_and_terminates() {
    let Some(peer) = peer("forky") else { return };
    let pair = Pair::start(&peer);
    pair.theirs.load(&swanctl_conf("moon", PROPOSAL)).unwrap();
    let script = xtask::root().join("tests/tests/clients/session.py");
    let mut command = pair.ours.command("python3");
    command
        .env("PYTHONPATH", xtask::python::packages().unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(script)
        .arg(pair.ours.path("run/charon.vici"))
        .arg(PROPOSAL)
        .stdin(Stdio::null());
    let output = pair.ours.namespace.output(&mut command).unwrap();
    let [said, problems] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let steps: Vec<&str> = said.lines().collect();
    let expected = [
        "version",
        "stats",
        "load-shared",
        "load-conn",
        "refused",
        "initiate",
        "list-sas",
        "rekey",
        "terminate",
        "events",
        "unload",
    ];
    assert_eq!(steps, expected, "{problems}{}", pair.ours.read("charon.log"));
    assert!(output.status.success(), "{problems}");
}
