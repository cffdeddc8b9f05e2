//! moon and carol, with the files of the walk-through.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use xtask::host::Host;
use xtask::netns::Network;

/// Until a tunnel is back after anything: some seconds until the loss is noticed, and as much again for the start of a
/// daemon on a machine with other things to do.
const BACK: Duration = Duration::from_secs(20);

pub(crate) struct Pair {
    pub(crate) moon: Host,
    pub(crate) carol: Host,
}

/// Both hosts, not started; none without root.
pub(crate) fn hosts() -> Option<Pair> {
    hosts_with(&xtask::programs().expect("a build folder"))
}

/// Both hosts with programs of their own.
pub(crate) fn hosts_with(programs: &Path) -> Option<Pair> {
    if !geteuid().is_root() {
        assert_ne!(
            std::env::var("CI").as_deref(),
            Ok("true"),
            "network namespaces need root"
        );
        println!("skipped: network namespaces need root");
        return None;
    }
    let docker = xtask::root().join("docker");
    let Network { moon, carol } = Network::new().expect("two namespaces");
    Some(Pair {
        moon: Host::new("moon", moon, programs, &docker.join("moon")).expect("moon"),
        carol: Host::new("carol", carol, programs, &docker.join("carol")).expect("carol"),
    })
}

/// Both hosts with their daemons up.
pub(crate) fn started() -> Option<Pair> {
    let pair = hosts()?;
    pair.start();
    Some(pair)
}

/// Both hosts with Tunnel1 up.
pub(crate) fn tunnelled() -> Option<Pair> {
    let pair = started()?;
    pair.up();
    Some(pair)
}

impl Pair {
    pub(crate) fn start(&self) {
        for host in [&self.moon, &self.carol] {
            start(host);
        }
    }

    /// Brings Tunnel1 up from carol, and returns what she saw.
    pub(crate) fn up(&self) -> String {
        let text = ask(&self.carol, "ipsec up Tunnel1");
        self.expect(&text, "connection 'Tunnel1' established successfully");
        text
    }

    /// Tries to bring Tunnel1 up from carol, in vain, and returns what she saw.
    pub(crate) fn up_in_vain(&self) -> String {
        let text = ask(&self.carol, "ipsec up Tunnel1");
        self.expect(&text, "establishing connection 'Tunnel1' failed");
        text
    }

    pub(crate) fn ping(&self) {
        self.expect(
            &ask(&self.carol, "ping -c 1 -W 5 10.1.0.2"),
            "1 received, 0% packet loss",
        );
    }

    /// Waits until both hosts have one IKE_SA with one CHILD_SA, and a ping comes back, and says how long that took.
    /// `otherwise` is done whenever carol has nothing and does nothing about it.
    #[allow(clippy::disallowed_methods, reason = "a tool with a deadline")]
    pub(crate) fn one_pair_is_back(&self, what: &str, otherwise: impl Fn()) -> Duration {
        let begin = Instant::now();
        loop {
            let counts = [count(&self.moon), count(&self.carol)];
            // What a peer began before it was killed stays half-open for its time, and is no pair.
            if counts.iter().all(|(up, _, children)| (*up, *children) == (1, 1)) {
                let pinged = self.carol.run("ping -c 1 -W 1 10.1.0.2").expect("ping");
                if pinged.code == Some(0) {
                    return begin.elapsed();
                }
            }
            if (counts[1].0, counts[1].1) == (0, 0) {
                otherwise();
            }
            if begin.elapsed() > BACK {
                self.expect(
                    &format!("{what}: IKE_SAs up, connecting, CHILD_SAs of moon and carol: {counts:?}"),
                    "one pair on both ends",
                );
            }
        }
    }

    /// Fails with both logs unless the text holds what is expected.
    pub(crate) fn expect(&self, text: &str, expected: &str) {
        if !text.contains(expected) {
            self.fail(&format!("'{expected}' is not in:\n{text}"));
        }
    }

    /// Waits until a host has logged what is expected past the first `skip` octets, and fails with both logs if it does not.
    pub(crate) fn expect_logged(&self, host: &Host, skip: usize, expected: &str) {
        if let Err(error) = host.wait_for_log(skip, expected) {
            self.fail(&error);
        }
    }

    fn fail(&self, why: &str) -> ! {
        let log = |host: &Host| host.read("charon.log");
        panic!(
            "{why}\n--- moon\n{}\n--- carol\n{}",
            log(&self.moon),
            log(&self.carol)
        );
    }

    /// Neither host has an SA.
    pub(crate) fn expect_nothing(&self) {
        for host in [&self.moon, &self.carol] {
            self.expect(
                &ask(host, "ipsec status"),
                "Security Associations (0 up, 0 connecting):\n  none",
            );
        }
    }
}

/// Numbers of IKE_SAs that are up and connecting, and of CHILD_SAs.
fn count(host: &Host) -> (usize, usize, usize) {
    let status = ask(host, "ipsec status");
    let children = status
        .lines()
        .filter(|line| line.contains(" INSTALLED, "))
        .count();
    let mut numbers = status
        .lines()
        .find(|line| line.starts_with("Security Associations"))
        .into_iter()
        .flat_map(|line| line.split(|other: char| !other.is_ascii_digit()))
        .filter_map(|number| number.parse().ok());
    let mut next = || numbers.next().expect("numbers of IKE_SAs");
    (next(), next(), children)
}

pub(crate) fn start(host: &Host) {
    host.start()
        .unwrap_or_else(|error| panic!("{error}\n{}", host.read("charon.log")));
}

/// Runs a command line that must end in 0, whatever it says.
pub(crate) fn ask(host: &Host, line: &str) -> String {
    host.succeed(line)
        .unwrap_or_else(|error| panic!("{error}\n{}", host.read("charon.log")))
}

/// The lengths in `sending packet: from … (724 bytes)` and `received packet: …`.
pub(crate) fn sizes(text: &str) -> Vec<usize> {
    let packets = text.lines().filter(|line| line.contains("packet: from "));
    packets
        .filter_map(|line| line.rsplit_once('(')?.1.split_once(' ')?.0.parse().ok())
        .collect()
}
