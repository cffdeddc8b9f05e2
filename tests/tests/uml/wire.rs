//! What passes on a cable.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::netns::Namespace;

use super::net::command;

/// The length of a ping that marks the end; nothing else has it.
const MARK: usize = 901;

/// Listens at both ends of a cable to what they send, until it is asked what that was.
///
/// What they receive would not do: a packet that the kernel has decrypted is received again from the same device.
pub(crate) struct Wire<'a> {
    marker: &'a Namespace,
    taps: Vec<(Child, BufReader<ChildStdout>)>,
}

impl<'a> Wire<'a> {
    /// Starts to listen, except to ARP and to what IPv6 says of itself, which may follow options that hosts on the way read.
    pub(crate) fn tap(ends: [(&'a Namespace, &str); 2]) -> Self {
        let taps = ends.iter().map(|(namespace, device)| tap(namespace, device));
        Self {
            marker: ends[0].0,
            taps: taps.collect(),
        }
    }

    /// What was heard, packet by packet, first of the one end, then of the other. The first sends a ping to `other`, an
    /// address of the second, which no policy may protect.
    pub(crate) fn heard(self, other: &str) -> Vec<String> {
        command(self.marker, "ping", &format!("-c 1 -W 5 -s {MARK} {other}"));
        self.taps.into_iter().flat_map(until_mark).collect()
    }
}

fn tap(namespace: &Namespace, device: &str) -> (Child, BufReader<ChildStdout>) {
    let mut tcpdump = namespace
        .spawn(
            Command::new("tcpdump")
                .args(["-n", "-l", "-t", "--immediate-mode", "-Q", "out", "-i", device])
                .args(["ip or (ip6 and not icmp6 and not ip6[6] = 0)"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )
        .expect("tcpdump");
    let mut errors = BufReader::new(tcpdump.stderr.take().expect("its errors"));
    let mut line = String::new();
    while !line.contains("listening on") {
        line.clear();
        assert_ne!(errors.read_line(&mut line).expect("a line"), 0, "tcpdump ended");
    }
    let output = BufReader::new(tcpdump.stdout.take().expect("its output"));
    (tcpdump, output)
}

fn until_mark((mut tcpdump, mut output): (Child, BufReader<ChildStdout>)) -> Vec<String> {
    let mark = format!("length {}", MARK + 8);
    let mut heard = Vec::new();
    loop {
        let mut line = String::new();
        let count = output.read_line(&mut line).expect("a line");
        assert_ne!(count, 0, "tcpdump ended: {heard:?}");
        if line.contains(&mark) {
            break;
        }
        heard.push(line.trim().to_owned());
    }
    let id = Pid::from_raw(tcpdump.id().try_into().expect("a pid"));
    kill(id, Signal::SIGTERM).expect("tcpdump runs");
    output.read_to_string(&mut String::new()).expect("its rest");
    tcpdump.wait().expect("its end");
    heard
}
