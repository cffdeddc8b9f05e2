//! Traffic between two hosts, by iperf3.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use xtask::netns::Namespace;

/// Octets in a datagram of UDP: what fits through all tunnels without fragments.
const DATAGRAM: &str = "1300";

/// What flows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    /// Datagrams as fast as they go, or one stream of TCP.
    pub(super) udp: bool,
    /// For how long.
    pub(super) time: Duration,
}

/// What has flowed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flow {
    /// What arrived.
    pub(super) mbit_s: f64,
    /// What arrived in the slowest half of a second.
    pub(super) slowest_mbit_s: f64,
    /// How long it flowed.
    pub(super) seconds: f64,
    /// Datagrams that arrived.
    pub(super) packets_per_s: Option<f64>,
    /// Datagrams that did not.
    pub(super) lost_percent: Option<f64>,
    /// Segments of TCP that were sent again.
    pub(super) retransmits: Option<f64>,
}

/// A flow under way. Both programs end with it.
pub(super) struct Running {
    server: Child,
    client: Child,
}

/// Lets traffic flow from carol to moon.
///
/// # Errors
///
/// If iperf3 cannot be started.
pub(super) fn start(
    moon: &Namespace,
    carol: &Namespace,
    (to, from): (Ipv4Addr, Ipv4Addr),
    traffic: Traffic,
) -> Result<Running, String> {
    let failed = |error: std::io::Error| format!("iperf3: {error}");
    let mut server = Command::new("iperf3");
    server
        .args(["--server", "--one-off", "--forceflush", "--bind", &to.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut server = moon.spawn(&mut server).map_err(failed)?;
    let listening = server.stdout.take().is_some_and(|stdout| {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let listening = lines.any(|line| line.contains("listening"));
        // What it says further is of no use, but must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        listening
    });
    let mut client = Command::new("iperf3");
    client
        .args(["--client", &to.to_string(), "--bind", &from.to_string()])
        .args(["--json", "--interval", "0.5", "--connect-timeout", "5000"])
        .args(["--time", &traffic.time.as_secs().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if traffic.udp {
        client.args(["--udp", "--bitrate", "0", "--length", DATAGRAM]);
    }
    let client = match listening {
        true => carol.spawn(&mut client).map_err(failed),
        false => Err(format!("iperf3 does not listen on {to}")),
    };
    match client {
        Ok(client) => Ok(Running { server, client }),
        Err(error) => {
            stop(&mut server);
            Err(error)
        }
    }
}

fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

impl Running {
    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If nothing flowed, with what iperf3 says.
    pub(super) fn finish(mut self) -> Result<Flow, String> {
        let mut text = String::new();
        if let Some(stdout) = &mut self.client.stdout {
            stdout
                .read_to_string(&mut text)
                .map_err(|error| format!("iperf3: {error}"))?;
        }
        let value: Value =
            serde_json::from_str(&text).map_err(|error| format!("what iperf3 says: {error}: {text}"))?;
        parse(&value)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        stop(&mut self.client);
        stop(&mut self.server);
    }
}

fn parse(value: &Value) -> Result<Flow, String> {
    if let Some(error) = value["error"].as_str() {
        return Err(format!("iperf3: {error}"));
    }
    let end = &value["end"];
    let number = |value: &Value| value.as_f64();
    let intervals = value["intervals"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    // The last may be a fragment of one.
    let whole = intervals
        .iter()
        .filter(|it| it["sum"]["seconds"].as_f64().is_some_and(|it| it > 0.4));
    let slowest = whole
        .filter_map(|it| it["sum"]["bits_per_second"].as_f64())
        .fold(f64::NAN, f64::min);
    let udp = end.get("sum").filter(|sum| sum.get("lost_packets").is_some());
    let flow = match udp {
        Some(sum) => (|| {
            let (packets, lost) = (number(&sum["packets"])?, number(&sum["lost_packets"])?);
            let seconds = number(&sum["seconds"])?;
            let sent = number(&sum["bits_per_second"])?;
            let part = if packets > 0.0 {
                (packets - lost) / packets
            } else {
                0.0
            };
            // Older releases name the sender's rate there, newer ones the receiver's beside it.
            let received = number(&end["sum_received"]["bits_per_second"]).filter(|rate| *rate > 0.0);
            Some(Flow {
                mbit_s: received.unwrap_or(sent * part) / 1e6,
                slowest_mbit_s: f64::NAN,
                seconds,
                packets_per_s: Some((packets - lost) / seconds),
                lost_percent: Some(100.0 * (1.0 - part)),
                retransmits: None,
            })
        })(),
        None => (|| {
            Some(Flow {
                mbit_s: number(&end["sum_received"]["bits_per_second"])? / 1e6,
                slowest_mbit_s: slowest / 1e6,
                seconds: number(&end["sum_received"]["seconds"])?,
                packets_per_s: None,
                lost_percent: None,
                retransmits: number(&end["sum_sent"]["retransmits"]),
            })
        })(),
    };
    flow.ok_or_else(|| format!("iperf3 says nothing of what has flowed: {end}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_stream_is_what_arrived_and_its_slowest_interval() {
        let interval =
            |rate: f64, seconds: f64| json!({"sum": {"bits_per_second": rate, "seconds": seconds}});
        let value = json!({
            "intervals": [interval(8e8, 0.5), interval(2e8, 0.5), interval(1e6, 0.01)],
            "end": {
                "sum_sent": {"bits_per_second": 6e8, "retransmits": 3},
                "sum_received": {"bits_per_second": 5e8, "seconds": 1.0},
            },
        });
        let flow = parse(&value).unwrap();
        assert_eq!(
            (flow.mbit_s, flow.slowest_mbit_s, flow.retransmits),
            (500.0, 200.0, Some(3.0))
        );
    }

    #[test]
    fn datagrams_that_were_lost_did_not_arrive() {
        let value = json!({"intervals": [], "end": {"sum": {
            "bits_per_second": 1e9, "packets": 1000, "lost_packets": 250, "seconds": 2.0,
        }}});
        let flow = parse(&value).unwrap();
        assert_eq!(
            (flow.mbit_s, flow.packets_per_s, flow.lost_percent),
            (750.0, Some(375.0), Some(25.0))
        );
    }

    #[test]
    fn what_went_wrong_is_said() {
        let error = parse(&json!({"error": "unable to connect"})).unwrap_err();
        assert_eq!(error, "iperf3: unable to connect");
    }
}
