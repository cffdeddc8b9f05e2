//! Plots of what is measured on a good network.

use super::{Chart, Shape, bars, owned, with};
use crate::results::Row;

fn chart(title: &str, caption: &str, shape: Shape, rows: &[&Row]) -> Chart {
    Chart {
        title: title.to_owned(),
        caption: caption.to_owned(),
        shape,
        rows: owned(rows),
    }
}

/// A chart whose table has only the figures that it is about.
fn chart_of(title: &str, caption: &str, shape: Shape, rows: &[&Row], figures: &[&str]) -> Chart {
    let mut chart = chart(title, caption, shape, rows);
    for row in &mut chart.rows {
        row.values.retain(|name, _| figures.contains(&name.as_str()));
    }
    chart
}

pub(super) fn kem(rows: &[&Row]) -> Vec<Chart> {
    let micro = |figure: Option<f64>| figure.map(|figure| figure / 1000.0);
    let of = |operation: &&str| {
        let of = with(rows, "operation", operation);
        let shape = bars(
            &of,
            |row| format!("{} · {}", row.label("method"), row.label("plugin")),
            |row| {
                vec![
                    ("through the plugin".into(), micro(row.value("plugin_median_ns"))),
                    ("bare library".into(), micro(row.value("bare_median_ns"))),
                ]
            },
            "µs",
            true,
        );
        let caption = "Both were called by turns in one process. For a Diffie-Hellman group the responder's call stands under \
                       encapsulation. The axis is logarithmic.";
        chart(&format!("Median time of one {operation}"), caption, shape, &of)
    };
    ["key pair", "encapsulation", "decapsulation"]
        .iter()
        .map(of)
        .collect()
}

pub(super) fn startup(rows: &[&Row]) -> Vec<Chart> {
    let name = |row: &Row| {
        let name = format!("{}, {}", row.label("daemon"), row.label("load list"));
        match row.value("plugins") {
            Some(plugins) => format!("{name} ({plugins} plugins)"),
            None => name,
        }
    };
    let series = |row: &Row| {
        vec![
            ("median".into(), row.value("median_ms")),
            ("best".into(), row.value("best_ms")),
            ("on a processor".into(), row.value("median_cpu_ms")),
        ]
    };
    let caption = "Each daemon in a network namespace of its own, by turns, files already in memory. Where the best is far from the median, the \
                   machine was busy.";
    let shape = bars(rows, name, series, "ms", false);
    vec![chart(
        "From being executed until an answer on the vici socket",
        caption,
        shape,
        rows,
    )]
}

pub(super) fn reload(rows: &[&Row]) -> Vec<Chart> {
    let shape = bars(
        rows,
        |row| format!("{}: {}", row.label("file"), row.label("step")),
        |row| vec![(row.label("daemon").to_owned(), row.value("median_ms"))],
        "ms",
        true,
    );
    let caption = "Each daemon in a network namespace of its own, by turns. The axis is logarithmic.";
    vec![chart("Time for thousands of connections", caption, shape, rows)]
}

pub(super) fn handshake(rows: &[&Row]) -> Vec<Chart> {
    let generated = with(rows, "initiator", "generator");
    let daemons: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|row| row.label("initiator") != "generator")
        .collect();
    let exchanges = |row: &Row| row.label("key exchanges").to_owned();
    let by_responder =
        |value: &'static str| move |row: &Row| vec![(row.label("responder").to_owned(), row.value(value))];
    let mut charts = vec![
        chart_of(
            "Median latency, by responder",
            "Our state machine as the initiator, over veth, from its beginning until it has a CHILD_SA; responders by turns. The axis \
             is logarithmic.",
            bars(
                &generated,
                exchanges,
                by_responder("latency_median_ms"),
                "ms",
                true,
            ),
            &generated,
            &["latency_median_ms", "latency_p99_ms", "handshakes"],
        ),
        chart_of(
            "Time on a processor at the responder, for one handshake",
            "All threads of the daemon, with what the kernel does for them. The axis is logarithmic.",
            bars(
                &generated,
                exchanges,
                by_responder("responder_cpu_ms"),
                "ms",
                true,
            ),
            &generated,
            &["initiator_cpu_ms", "responder_cpu_ms", "handshakes"],
        ),
        chart_of(
            "Octets on the wire, for one handshake",
            "In both directions, with headers of UDP and IP. The axis is logarithmic.",
            bars(
                &with(&generated, "responder", "ours"),
                exchanges,
                |row| vec![("octets".into(), row.value("sent_octets"))],
                "octets",
                true,
            ),
            &with(&generated, "responder", "ours"),
            &["sent_packets", "sent_octets", "sent_fragments"],
        ),
    ];
    if !daemons.is_empty() {
        let shape = bars(
            &daemons,
            |row| format!("{}, {}", row.label("key exchanges"), row.label("responder")),
            |row| {
                vec![
                    ("median latency".into(), row.value("latency_median_ms")),
                    ("initiator's processor".into(), row.value("initiator_cpu_ms")),
                    ("responder's processor".into(), row.value("responder_cpu_ms")),
                ]
            },
            "ms",
            false,
        );
        let caption = "Both ends of one implementation, told by vici, from the command until its answer.";
        charts.push(chart("Two daemons of one kind", caption, shape, &daemons));
    }
    charts
}

pub(super) fn capacity(rows: &[&Row]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let rate = with(rows, "measured", "rate");
    if !rate.is_empty() {
        let name = |row: &Row| row.label("key exchanges").to_owned();
        let by = |value: &'static str| {
            move |row: &Row| vec![(row.label("responder").to_owned(), row.value(value))]
        };
        charts.push(chart_of(
            "Handshakes of one processor in a second",
            "In a second of the responder's time on a processor, PSK, AES-256-GCM, PRF-HMAC-SHA2-512, with a CHILD_SA.",
            bars(&rate, name, by("per_core_per_s"), "1/s", false),
            &rate, &["per_core_per_s", "observed_per_s", "responder_busy_percent", "handshakes"]));
        charts.push(chart_of(
            "The responder's time on a processor for a handshake",
            "All threads of the daemon, with what the kernel does for them, while it is loaded.",
            bars(&rate, name, by("responder_cpu_ms"), "ms", false),
            &rate,
            &["responder_cpu_ms", "initiator_cpu_ms", "handshakes"],
        ));
    }
    let memory = with(rows, "measured", "memory");
    if !memory.is_empty() {
        for (title, caption, value, other, y) in [
            (
                "Memory of an IKE_SA with its CHILD_SA",
                "What the responder's resident anonymous memory has grown by, divided by the SAs.",
                "memory_per_sa_kib",
                "memory_mib",
                "KiB for each SA",
            ),
            (
                "The responder's time on a processor for a handshake, as SAs pile up",
                "Between one point and the next.",
                "responder_cpu_ms",
                "observed_per_s",
                "ms for a handshake",
            ),
        ] {
            charts.push(chart_of(
                title,
                caption,
                lines(&memory, value, y),
                &memory,
                &["sas", value, other],
            ));
        }
    }
    let flood = with(rows, "measured", "flood");
    if !flood.is_empty() {
        let shape = bars(
            &flood,
            |row| format!("{}, {}", row.label("responder"), row.label("strangers")),
            |row| {
                vec![
                    ("completed, %".into(), row.value("completed_percent")),
                    ("responder busy, %".into(), row.value("responder_busy_percent")),
                ]
            },
            "%",
            false,
        );
        let caption =
            "Of those who mean it, while strangers begin handshakes from addresses that are not theirs.";
        charts.push(chart(
            "Handshakes completed under a flood",
            caption,
            shape,
            &flood,
        ));
    }
    charts
}

/// A figure over the number of SAs.
fn lines(rows: &[&Row], value: &str, y: &'static str) -> Shape {
    let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for row in rows {
        let Some(point) = row.value("sas").zip(row.value(value)) else {
            continue;
        };
        match series.iter_mut().find(|(name, _)| name == row.label("responder")) {
            Some((_, points)) => points.push(point),
            None => series.push((row.label("responder").to_owned(), vec![point])),
        }
    }
    Shape::Lines {
        series,
        x: "established IKE_SAs",
        y,
    }
}

pub(super) fn tunnel(rows: &[&Row]) -> Vec<Chart> {
    let plane = |row: &Row| row.label("data plane").to_owned();
    let throughput = |row: &Row| vec![("Mbit/s".into(), row.value("throughput_mbit_s"))];
    let kinds: [(&str, &str, &str); 3] = [
        (
            "tcp",
            "One stream of TCP through the tunnel",
            "iperf3 at both ends; the bare cable is the ceiling.",
        ),
        (
            "udp",
            "Datagrams of 1300 octets that arrived",
            "Sent as fast as iperf3 can, so most are lost where they are sent faster than carried.",
        ),
        (
            "rekey during tcp",
            "One stream of TCP while the CHILD_SA is rekeyed every second",
            "The slowest half second shows whether a rekeying stops the stream.",
        ),
    ];
    let mut charts = Vec::new();
    for (traffic, title, caption) in kinds {
        let of = with(rows, "traffic", traffic);
        if of.is_empty() {
            continue;
        }
        let slowest = |row: &Row| {
            let all = throughput(row);
            let slowest = ("slowest half second".into(), row.value("slowest_interval_mbit_s"));
            if traffic == "rekey during tcp" {
                [all, vec![slowest]].concat()
            } else {
                all
            }
        };
        let shape = bars(&of, plane, slowest, "Mbit/s", false);
        charts.push(chart(title, caption, shape, &of));
    }
    charts
}
