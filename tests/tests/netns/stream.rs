//! Pings without a pause, and which of them came back.

use std::io::{BufRead, BufReader, Lines};
use std::ops::RangeInclusive;
use std::process::{Child, ChildStdout, Command, Stdio};

use xtask::netns::Namespace;

/// A stream of pings, one every 10 ms.
pub(super) struct Stream {
    ping: Child,
    lines: Lines<BufReader<ChildStdout>>,
    count: u32,
    came_back: Vec<u32>,
}

impl Stream {
    /// Starts `count` pings; `to` is an address, with options before it.
    pub(super) fn start(from: &Namespace, to: &str, count: u32) -> Self {
        let number = count.to_string();
        let mut command = Command::new("ping");
        command
            .args(["-n", "-i", "0.01", "-W", "2", "-c", &number])
            .args(to.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut ping = from.spawn(&mut command).expect("ping");
        let output = ping.stdout.take().expect("its output");
        Self {
            ping,
            lines: BufReader::new(output).lines(),
            count,
            came_back: Vec::new(),
        }
    }

    /// Reads on until ping `number` or a later one has come back; `false` at the end.
    pub(super) fn until(&mut self, number: u32) -> bool {
        for line in &mut self.lines {
            let line = line.expect("a line");
            let sequence = line
                .split("icmp_seq=")
                .nth(1)
                .and_then(|rest| rest.split(' ').next());
            if let Some(sequence) = sequence.and_then(|text| text.parse().ok()) {
                self.came_back.push(sequence);
                if sequence >= number {
                    return true;
                }
            }
        }
        false
    }

    /// Runs of pings that were lost one after the other.
    pub(super) fn gaps(mut self) -> Vec<RangeInclusive<u32>> {
        self.until(u32::MAX);
        self.ping.wait().expect("its end");
        self.came_back.sort_unstable();
        let (mut gaps, mut next) = (Vec::new(), 1);
        for number in self.came_back.into_iter().chain([self.count + 1]) {
            if number > next {
                gaps.push(next..=number - 1);
            }
            next = number + 1;
        }
        gaps
    }
}
