//! Plots of what strangers can do.

use super::{Chart, Shape, bars, owned, with};
use crate::results::Row;

/// A chart with all figures of its rows that are there.
fn chart(title: &str, caption: &str, shape: Shape, rows: &[&Row]) -> Chart {
    Chart {
        title: title.to_owned(),
        caption: caption.to_owned(),
        shape,
        rows: owned(rows),
    }
}

pub(super) fn attacks(rows: &[&Row]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let by =
        |value: &'static str| move |row: &Row| vec![(row.label("responder").to_owned(), row.value(value))];
    let reflection = with(rows, "measured", "reflection");
    if !reflection.is_empty() {
        charts.push(chart(
            "Octets sent to a victim for each octet in its name",
            "A request of a stranger is repeated in the name of a victim. More than 1 makes the responder an amplifier. The axis is \
             logarithmic.",
            bars(
                &reflection,
                |row| row.label("repeated").to_owned(),
                by("reflected_ratio"),
                "octets for an octet",
                true,
            ),
            &reflection,
        ));
    }
    let refused = with(rows, "measured", "refused");
    if !refused.is_empty() {
        let name = |row: &Row| format!("{}, {}", row.label("connections"), row.label("source"));
        for (title, caption, value, unit) in [
            (
                "The responder's time on a processor for an IKE_SA_INIT that no connection fits",
                "By the number of connections and the source of the datagrams. All threads of the daemon, with its log at the \
                 default level. The axis is logarithmic.",
                "responder_us",
                "µs",
            ),
            (
                "Octets of log for an IKE_SA_INIT that no connection fits",
                "By the number of connections and the source of the datagrams. The axis is logarithmic.",
                "log_octets",
                "octets",
            ),
        ] {
            charts.push(chart(
                title,
                caption,
                bars(&refused, name, by(value), unit, true),
                &refused,
            ));
        }
    }
    let flood = with(rows, "measured", "kem-flood");
    if !flood.is_empty() {
        let name = |row: &Row| {
            let (exchanges, rate) = (
                row.label("strangers' key exchanges"),
                row.label("strangers a second"),
            );
            format!("{}, {rate}/s {exchanges}", row.label("responder"))
        };
        let series = |row: &Row| latencies(row, "flooded");
        charts.push(chart(
            "Latency of honest handshakes while strangers begin expensive key exchanges",
            "The client's additional key exchange, and how many IKE_SAs strangers begin with which. They return their cookies and go \
             as far as IKE_INTERMEDIATE. The axis is logarithmic.",
            bars(&flood, name, series, "ms", true),
            &flood,
        ));
    }
    let lock_out = with(rows, "measured", "lock-out");
    if !lock_out.is_empty() {
        charts.push(chart(
            "Latency of a client whose address strangers claim",
            "Five IKE_SA_INITs in its name precede each handshake. The axis is logarithmic.",
            bars(
                &lock_out,
                |row| row.label("responder").to_owned(),
                |row| latencies(row, "claimed"),
                "ms",
                true,
            ),
            &lock_out,
        ));
    }
    let modp = with(rows, "measured", "modp");
    if !modp.is_empty() {
        charts.push(chart(
            "The responder's time on a processor for an IKE_SA_INIT, by the group that a stranger chooses",
            "The responder's connection has one proposal with x25519, and the defaults. The axis is logarithmic.",
            bars(
                &modp,
                |row| row.label("group").to_owned(),
                by("responder_us"),
                "µs",
                true,
            ),
            &modp,
        ));
    }
    charts
}

/// Median and worst latencies without strangers, and with them.
fn latencies(row: &Row, with: &str) -> Vec<(String, Option<f64>)> {
    let figure = |when: &str, which: &str| row.value(&format!("{when}_{which}_ms"));
    vec![
        ("idle median".into(), figure("idle", "median")),
        ("idle worst".into(), figure("idle", "worst")),
        ("median under attack".into(), figure(with, "median")),
        ("worst under attack".into(), figure(with, "worst")),
    ]
}
