//! The walk-through: carol brings Tunnel1 up to moon and pings what is behind it. `--all` goes on with [`tunnels`], also in a
//! guest whose kernel has IPsec.

mod tunnels;

use std::collections::BTreeMap;
use std::path::Path;

use nix::unistd::geteuid;
use xtask::host::{Host, Said};
use xtask::netns::Network;
use xtask::uml::Work;

use crate::{dist, install, run};

pub(crate) fn run(all: bool) -> Result<(), String> {
    if !geteuid().is_root() {
        return Err("the demo makes network namespaces and TUN devices: run it as root".into());
    }
    if xtask::uml::inside() {
        return with(&xtask::uml::programs(), Demo::walk_with_their_list);
    }
    install::ensure(&[install::BUILD, install::HOSTS])?;
    // A debug build is there in a fraction of the time, and the build of the tests.
    let programs = run::build(false)?;
    if all {
        run::build_sike(false)?;
    }
    with(&programs, |demo| {
        demo.walk()?;
        if all {
            demo.walk_on()?;
            demo.walk_with_their_list()?;
            demo.walk_with_the_second_rounds_kyber()?;
        }
        Ok(())
    })?;
    if all {
        in_guest(&programs)?;
    }
    println!("\nThe tunnel carried the pings, and nothing of it is left.");
    Ok(())
}

/// Takes a walk between two new hosts, and shows what they have logged if it fails.
fn with(programs: &Path, walk: impl FnOnce(&Demo) -> Result<(), String>) -> Result<(), String> {
    let docker = xtask::root().join("docker");
    let Network { moon, carol } = Network::new()?;
    let demo = Demo {
        moon: Host::new("moon", moon, programs, &docker.join("moon"))?,
        carol: Host::new("carol", carol, programs, &docker.join("carol"))?,
    };
    let walked = walk(&demo);
    if walked.is_err() {
        for host in [&demo.moon, &demo.carol] {
            eprintln!("--- log of {} ---\n{}", host.name, host.read("charon.log"));
        }
    }
    walked
}

/// Takes the last walk in a kernel that has ESP, if one can be had.
fn in_guest(programs: &Path) -> Result<(), String> {
    if !cfg!(target_arch = "x86_64") {
        println!("\nskipped: Debian has user-mode Linux for x86-64 only");
        return Ok(());
    }
    if let Err(error) = install::ensure(&[install::GUEST]) {
        println!("\nskipped: no user-mode Linux: {error}");
        return Ok(());
    }
    println!("\nThe same with the IPsec of a kernel, in user-mode Linux:");
    dist::stripped(programs, &xtask::uml::programs())?;
    let own = std::env::current_exe().map_err(|error| format!("the path of the running program: {error}"))?;
    let words = [&own.to_string_lossy(), "demo", "--all"].map(str::to_owned);
    let work = Work {
        commands: vec![words.to_vec()],
        ..Work::default()
    };
    let ended = xtask::uml::run(&[work], xtask::uml::LIMIT)?;
    match ended.first() {
        Some(status) if status.success() => Ok(()),
        ended => Err(format!("the walk in the guest: {ended:?}")),
    }
}

struct Demo {
    moon: Host,
    carol: Host,
}

impl Demo {
    fn walk(&self) -> Result<(), String> {
        for host in [&self.moon, &self.carol] {
            run::check()?;
            println!("{}# ipsec start", host.name);
            println!("{}", host.start()?);
        }
        says(
            &self.carol,
            "ipsec statusall",
            &[
                "Tunnel1:  192.168.0.3...192.168.0.2  IKEv2",
                "(0 up, 0 connecting)",
            ],
        )?;
        let up = says(
            &self.carol,
            "ipsec up Tunnel1",
            &[
                "selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
                "connection 'Tunnel1' established successfully",
            ],
        )?;
        let sizes = sizes(&up, "packet: from ");
        if !sizes.starts_with(&[724, 276, 1249, 1153]) {
            return Err(format!(
                "IKE_SA_INIT and IKE_INTERMEDIATE should have 724, 276, 1249, 1153 octets: {sizes:?}"
            ));
        }
        says(&self.carol, "ping -c 2 10.1.0.2", &["2 received, 0% packet loss"])?;
        says(
            &self.carol,
            "ping -c 1 192.168.0.2",
            &["1 received, 0% packet loss"],
        )?;
        for host in [&self.carol, &self.moon] {
            says(
                host,
                "ipsec statusall",
                &[
                    "Tunnel1[1]: ESTABLISHED",
                    "(1 up, 0 connecting)",
                    "168 bytes_i (2 pkts",
                    "168 bytes_o (2 pkts",
                ],
            )?;
        }
        says(
            &self.carol,
            "ipsec down Tunnel1",
            &["IKE_SA [1] closed successfully"],
        )?;
        self.stop()
    }

    fn stop(&self) -> Result<(), String> {
        for host in [&self.carol, &self.moon] {
            says(host, "ipsec stop", &["Stopping"])?;
            nothing_left(host)?;
        }
        Ok(())
    }
}

/// Runs a command line, shows it as a terminal would, and checks what it says.
fn says(host: &Host, line: &str, expected: &[&str]) -> Result<String, String> {
    run::check()?;
    println!("{}# {line}", host.name);
    let Said { code, text } = host.run(line)?;
    println!("{text}");
    run::check()?;
    if code != Some(0) {
        return Err(format!("`{line}` on {} ended with {code:?}", host.name));
    }
    match expected.iter().find(|expected| !text.contains(**expected)) {
        None => Ok(text),
        Some(missing) => Err(format!("`{line}` on {} does not say '{missing}'", host.name)),
    }
}

/// The lengths in lines like `sending packet: from 192.168.0.3[500] to 192.168.0.2[500] (724 bytes)` with these words.
fn sizes(log: &str, words: &str) -> Vec<usize> {
    let packets = log.lines().filter(|line| line.contains(words));
    packets
        .filter_map(|line| line.rsplit_once('(')?.1.split_once(' ')?.0.parse().ok())
        .collect()
}

fn nothing_left(host: &Host) -> Result<(), String> {
    let left = BTreeMap::from([
        (
            "processes",
            host.namespace
                .processes()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        ),
        (
            "routes",
            host.namespace
                .ip("route show table all")?
                .lines()
                .filter(|line| line.contains("table 220"))
                .collect(),
        ),
        (
            "rules",
            host.namespace
                .ip("rule")?
                .lines()
                .filter(|line| line.contains("220"))
                .collect(),
        ),
        (
            "devices",
            host.namespace
                .ip("link")?
                .lines()
                .filter(|line| line.contains("ipsec"))
                .collect(),
        ),
    ]);
    match left.iter().find(|(_, left)| !left.is_empty()) {
        None => Ok(()),
        Some((what, left)) => Err(format!(
            "after `ipsec stop` {} still has {what}: {left}",
            host.name
        )),
    }
}
