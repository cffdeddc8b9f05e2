//! The walk-through, command by command.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use super::engine::{Engine, docker, shown};
use crate::run;

/// Longest wait for a line of a log, which takes milliseconds where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Both variants.
pub(super) fn all(engine: &Engine, image: &str) -> Result<(), String> {
    in_containers(engine, image, "", site_to_site)?;
    in_containers(engine, image, "road-warrior", road_warrior)
}

/// Brings both containers up, does something with them, and removes them.
fn in_containers(
    engine: &Engine,
    image: &str,
    variant: &str,
    walk: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let work = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    super::configuration(variant, work.path())?;
    let compose = || engine.compose(work.path(), image);
    let up = shown(compose().args(["up", "--detach"]));
    let walked = up.and_then(|()| walk());
    if walked.is_err() {
        for host in ["moon", "carol"] {
            let log = docker(&["logs", host]).unwrap_or_else(|error| error);
            eprintln!("--- console of {host} ---\n{log}");
        }
    }
    let down = shown(compose().args(["down", "--volumes"]));
    walked.and(down)
}

/// The command line for a command on a host, with a terminal as `docker exec -ti` has one.
fn on(host: &str, line: &str) -> Command {
    let mut command = Command::new("docker");
    command
        .args(["exec", "-t", host])
        .args(line.split_whitespace())
        .stdin(Stdio::null());
    command
}

/// Runs a command on a host, shows it as its terminal would, and checks what it says.
fn says(host: &str, line: &str, expected: &[&str]) -> Result<String, String> {
    run::check()?;
    println!("{host}# {line}");
    let output = on(host, line)
        .output()
        .map_err(|error| format!("docker: {error}"))?;
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).replace('\r', "");
    println!("{text}");
    run::check()?;
    if !output.status.success() {
        return Err(format!("`{line}` on {host} ended with {}", output.status));
    }
    match expected.iter().find(|expected| !text.contains(**expected)) {
        None => Ok(text),
        Some(missing) => Err(format!("`{line}` on {host} does not say '{missing}'")),
    }
}

/// `ipsec start` on both, and what the consoles of the containers show then.
fn start() -> Result<(), String> {
    for host in ["moon", "carol"] {
        says(host, "ipsec start", &["Starting ", " IPsec [starter]..."])?;
        for expected in [
            "ipsec_starter[",
            ") started after ",
            // The daemon's own, by the filelog of its strongswan.conf.
            "00[DMN] Starting IKE charon daemon",
            "00[CFG] added configuration '",
        ] {
            Log::console(host, &[])?.wait_for(expected)?;
        }
    }
    Ok(())
}

fn ping(address: &str) -> Result<(), String> {
    says(
        "carol",
        &format!("ping -c 2 -W 5 {address}"),
        &["2 received, 0% packet loss"],
    )
    .map(drop)
}

fn stop() -> Result<(), String> {
    for host in ["carol", "moon"] {
        says(host, "ipsec stop", &["Stopping "])?;
    }
    Ok(())
}

fn site_to_site() -> Result<(), String> {
    start()?;
    says(
        "carol",
        "ipsec statusall",
        &[
            "Listening IP addresses:\n",
            "  192.168.0.3\n",
            "Tunnel1:  192.168.0.3...192.168.0.2  IKEv2",
            "local:  [carol.strongswan.org] uses pre-shared key authentication",
            "remote: [moon.strongswan.org] uses pre-shared key authentication",
            "child:  10.3.0.0/16 === 10.1.0.0/16 TUNNEL",
            "Security Associations (0 up, 0 connecting):\n  none",
        ],
    )?;
    says(
        "carol",
        "swanctl --list-conns",
        &[
            "Tunnel1: IKEv2, reauthentication every 3420s, no rekeying",
            "id: moon.strongswan.org",
            "Tunnel1: TUNNEL, rekeying every 1020s",
        ],
    )?;
    says(
        "carol",
        "ipsec up Tunnel1",
        &[
            "initiating IKE_SA Tunnel1[1] to 192.168.0.2",
            "sending packet: from 192.168.0.3[500] to 192.168.0.2[500] (724 bytes)",
            "selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
            "selected proposal: ESP:AES_GCM_16_256/NO_EXT_SEQ",
            "connection 'Tunnel1' established successfully",
        ],
    )?;
    ping("10.1.0.2")?;
    ping("192.168.0.2")?;
    says(
        "carol",
        "swanctl --list-sas",
        &[
            "Tunnel1: #1, ESTABLISHED, IKEv2",
            "AES_GCM_16-256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3",
            "ESP:AES_GCM_16-256\n",
            "    168 bytes,     2 packets",
        ],
    )?;
    let mut log = Log::follow("carol")?;
    says(
        "carol",
        "swanctl --rekey --child Tunnel1",
        &["rekey completed successfully"],
    )?;
    log.wait_for("selected proposal: ESP:AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ/KE1_KYBER_L3")?;
    log.wait_for("CHILD_SA closed")?;
    ping("10.1.0.2")?;
    says(
        "carol",
        "swanctl --rekey --ike Tunnel1",
        &["rekey completed successfully"],
    )?;
    log.wait_for("rekeyed between 192.168.0.3[carol.strongswan.org]...192.168.0.2[moon.strongswan.org]")?;
    log.wait_for("IKE_SA deleted")?;
    drop(log);
    ping("10.1.0.2")?;
    says(
        "carol",
        "swanctl --list-sas",
        &[
            ", ESTABLISHED, IKEv2",
            "ESP:AES_GCM_16-256/CURVE_25519/KE1_KYBER_L3",
        ],
    )?;
    says("carol", "ipsec down Tunnel1", &["closed successfully"])?;
    load_sike()?;
    for (tunnel, proposal) in [
        ("Tunnel2", "CURVE_25519/KE1_KYBER_L3/KE2_NTRU_HPS_L3/KE3_SABER_L3"),
        ("Tunnel3", "MODP_3072/KE1_FRODO_AES_L3/KE2_SIKE_L3"),
    ] {
        let established = format!("connection '{tunnel}' established successfully");
        let selected = format!("selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/{proposal}");
        says("carol", &format!("ipsec up {tunnel}"), &[&selected, &established])?;
        ping("10.1.0.2")?;
        says("carol", &format!("ipsec down {tunnel}"), &["closed successfully"])?;
    }
    stop()
}

/// SIKE is broken, so that nothing but its name in the list loads it.
fn load_sike() -> Result<(), String> {
    let status = says("carol", "ipsec statusall", &["loaded plugins: charon "])?;
    let loaded = status
        .lines()
        .find_map(|line| line.trim().strip_prefix("loaded plugins: charon "));
    let loaded = loaded.ok_or("ipsec statusall names no plugins")?;
    stop()?;
    for host in ["moon", "carol"] {
        println!("{host}: charon.load = {loaded} sike");
        let line = format!("echo 'charon {{ load = {loaded} sike }}' >> /etc/strongswan.conf");
        docker(&["exec", host, "/bin/bash", "-c", &line])?;
        let mut console = Log::console(host, &["--tail", "0"])?;
        says(host, "ipsec start", &["Starting "])?;
        console.wait_for("added configuration 'Tunnel3'")?;
    }
    Ok(())
}

fn road_warrior() -> Result<(), String> {
    start()?;
    says(
        "carol",
        "ipsec up rw",
        &[
            "installing new virtual IP 10.3.0.1",
            "connection 'rw' established successfully",
        ],
    )?;
    ping("10.1.0.2")?;
    says(
        "carol",
        "swanctl --list-sas",
        &["local  10.3.0.1/32", "remote 10.1.0.0/16"],
    )?;
    says(
        "moon",
        "ipsec leases",
        &["10.3.0.1   online   'carol@strongswan.org'"],
    )?;
    says("carol", "ipsec down rw", &["closed successfully"])?;
    stop()
}

/// Lines that a command goes on to print, as long as this lives.
struct Log {
    child: Child,
    lines: Receiver<String>,
    what: String,
}

impl Log {
    fn of(mut command: Command, what: String) -> Result<Self, String> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{what}: {error}"))?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| format!("{what} has no output"))?;
        let (line, lines) = channel();
        thread::spawn(move || {
            let mut written = BufReader::new(output).lines().map_while(Result::ok);
            // Until the reader is gone.
            written.try_for_each(|text| line.send(text))
        });
        Ok(Self { child, lines, what })
    }

    /// What the console of a host has shown, unless the options say from when on, and will.
    fn console(host: &str, options: &[&str]) -> Result<Self, String> {
        let mut command = Command::new("docker");
        command
            .args(["logs", "--follow"])
            .args(options)
            .arg(host)
            .stdin(Stdio::null());
        Self::of(command, format!("the console of {host}"))
    }

    /// `swanctl --log` on a host.
    fn follow(host: &str) -> Result<Self, String> {
        let mut log = Self::of(on(host, "swanctl --log"), format!("swanctl --log on {host}"))?;
        // It follows once it shows a line that is caused after it began; asking for the log's level is none, a status is.
        log.provoke(host)?;
        Ok(log)
    }

    /// Has lines logged until one comes.
    fn provoke(&mut self, host: &str) -> Result<(), String> {
        for _ in 0..PATIENCE.as_secs() {
            docker(&["exec", host, "ipsec", "rereadsecrets"])?;
            if self.lines.recv_timeout(Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
        }
        Err(format!("{} shows nothing", self.what))
    }

    fn wait_for(&mut self, text: &str) -> Result<(), String> {
        println!("waiting for '{text}'");
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.map_err(|_| format!("{} does not show '{text}'", self.what))?;
            println!("{}", line.trim_end());
            if line.contains(text) {
                return Ok(());
            }
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // The command in the container ends with its terminal, or with the container.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
