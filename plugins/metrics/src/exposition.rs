//! From what the daemon says to families of samples, in the text format of OpenMetrics 1.0.

use std::fmt;

use control::vici::Message;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::collect::{Snapshot, Traffic, number};

/// What an answer is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name begins with.
const PREFIX: &str = "pqswan";

/// Metrics of one name, with what makes samples of a snapshot.
struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    unit: Option<Unit>,
    samples: fn(&Snapshot, &mut Put<'_>),
}

/// Takes a sample: its labels and its value.
type Put<'a> = dyn FnMut(&[(&str, &str)], Value) + 'a;

enum Value {
    Count(u64),
    Number(f64),
    Info,
    Histogram {
        sum: f64,
        /// Upper bounds, the last infinite, and how many are below each and not below the one before.
        buckets: Vec<(f64, u64)>,
    },
}

/// The snapshot as text.
///
/// # Errors
///
/// If a label cannot be written, which those here can.
pub fn encode(snapshot: Snapshot) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(snapshot));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

/// The names that samples may have.
pub fn names() -> Vec<String> {
    let names = families().into_iter().flat_map(|family| {
        let unit = family.unit.as_ref().map(|unit| format!("_{}", unit.as_str()));
        let name = format!("{PREFIX}_{}{}", family.name, unit.unwrap_or_default());
        let suffixes: &[&str] = match family.kind {
            MetricType::Counter => &["_total"],
            MetricType::Histogram => &["_bucket", "_count", "_sum"],
            MetricType::Info => &["_info"],
            _ => &[""],
        };
        suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
    });
    names.collect()
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in families() {
            let mut metrics =
                encoder.encode_descriptor(family.name, family.help, family.unit.as_ref(), family.kind)?;
            let mut result = Ok(());
            (family.samples)(self, &mut |labels, value| {
                if result.is_ok() {
                    result = put(&mut metrics, labels, value);
                }
            });
            result?;
        }
        Ok(())
    }
}

fn put(metrics: &mut MetricEncoder<'_>, labels: &[(&str, &str)], value: Value) -> Result<(), fmt::Error> {
    match value {
        Value::Info => metrics.encode_info(&labels),
        // An empty set of labels would be written as one.
        value if labels.is_empty() => write(metrics, &value),
        value => write(&mut metrics.encode_family(&labels)?, &value),
    }
}

fn write(metric: &mut MetricEncoder<'_>, value: &Value) -> Result<(), fmt::Error> {
    match value {
        Value::Count(value) => metric.encode_counter::<NoLabelSet, u64, u64>(value, None),
        Value::Number(value) => metric.encode_gauge(value),
        Value::Info => Ok(()),
        Value::Histogram { sum, buckets } => {
            let count = buckets.iter().map(|(_, count)| count).sum();
            metric.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
        }
    }
}

/// Everything that is exported, in order.
#[rustfmt::skip]
fn families() -> Vec<Family> {
    use MetricType::{Counter, Gauge, Histogram, Info};
    let family = |name, kind, help, samples| Family { name, help, kind, unit: None, samples };
    let measured = |name, unit, kind, help, samples| Family { name, help, kind, unit: Some(unit), samples };
    vec![
        family("build", Info, "The daemon.", |from, put| {
            let text = |key| from.metrics.get_str(key).unwrap_or_default();
            put(&[("product", text("daemon.product")), ("version", text("daemon.version"))], Value::Info);
        }),
        measured("start_time", Unit::Seconds, Gauge, "When the daemon started, in seconds since 1970.", |from, put| {
            put(&[], seconds(&from.metrics, "daemon.since"));
        }),
        measured("uptime", Unit::Seconds, Gauge, "For how long the daemon has been running.", |from, put| {
            put(&[], seconds(&from.metrics, "daemon.uptime"));
        }),
        family("plugin_panics", Counter, "Calls of plugins that ended in a panic, caught at their boundary.", |from, put| {
            put(&[], Value::Count(number(&from.metrics, "daemon.plugin-panics")));
        }),
        family("jobs", Gauge, "Key exchanges that wait for a thread, and those that have one.", |from, put| {
            gauges(&from.metrics.get_section("jobs"), "state", put);
        }),
        family("ike_sas", Gauge, "IKE_SAs by state.", |from, put| {
            gauges(&from.metrics.get_section("ike-sas"), "state", put);
        }),
        family("child_sas", Gauge, "CHILD_SAs by state.", |from, put| {
            gauges(&from.metrics.get_section("child-sas"), "state", put);
        }),
        family("half_open_ike_sas", Gauge, "IKE_SAs that peers have begun and that are not established.", |from, put| {
            put(&[], Value::Number(number(&from.metrics, "half-open") as f64));
        }),
        family("handshakes", Counter, "Attempts to establish IKE_SAs by this end's role and how they ended.", |from, put| {
            for role in ["initiator", "responder"] {
                let of = from.metrics.get_section(&format!("handshakes.{role}"));
                results(&of, ("role", role), put);
            }
        }),
        family("key_exchanges", Counter, "The same by each key exchange of the selected proposal.", |from, put| {
            for (method, of) in from.metrics.get_section("handshakes.methods").sections() {
                results(&of, ("method", method), put);
            }
        }),
        measured(
            "phase_duration", Unit::Seconds, Histogram,
            "How long exchanges of attempts to establish IKE_SAs took, and those that succeeded as a whole.",
            |from, put| histograms(&from.metrics.get_section("phases"), put),
        ),
        family("ike_rekeyings", Counter, "IKE_SAs rekeyed, by this end's role in it.", |from, put| {
            for (role, key) in [("initiator", "ike-rekey-init"), ("responder", "ike-rekey-resp")] {
                put(&[("role", role)], counter(from, key));
            }
        }),
        family("child_rekeyings", Counter, "CHILD_SAs rekeyed.", |from, put| {
            put(&[], counter(from, "child-rekey"));
        }),
        family("messages", Counter, "Whole IKE messages; repetitions are none.", |from, put| {
            for (exchange, flows) in from.metrics.get_section("messages").sections() {
                for (key, value) in flows.values() {
                    let (kind, direction) = match key {
                        "requests-in" => ("request", "in"),
                        "responses-in" => ("response", "in"),
                        "requests-out" => ("request", "out"),
                        "responses-out" => ("response", "out"),
                        _ => continue,
                    };
                    let labels = [("exchange", exchange), ("message", kind), ("direction", direction)];
                    put(&labels, Value::Count(value.parse().unwrap_or_default()));
                }
            }
        }),
        family("invalid_messages", Counter, "Messages discarded because they were malformed, unauthentic, or had unknown SPIs.", |from, put| {
            for (reason, key) in [("invalid", "invalid"), ("unknown-spi", "invalid-spi")] {
                put(&[("reason", reason)], counter(from, key));
            }
        }),
        family("retransmits", Counter, "Messages sent again, and requests that came again.", |from, put| {
            for (message, direction, key) in [
                ("request", "out", "requests-sent"),
                ("response", "out", "responses-sent"),
                ("request", "in", "requests-received"),
            ] {
                let value = Value::Count(number(&from.metrics, &format!("retransmits.{key}")));
                put(&[("message", message), ("direction", direction)], value);
            }
        }),
        family("fragments", Counter, "Fragments of IKE messages.", |from, put| {
            counters(&from.metrics.get_section("fragments"), "direction", put);
        }),
        family("cookies", Counter, "Cookies demanded of peers, and those that came back.", |from, put| {
            counters(&from.metrics.get_section("cookies"), "event", put);
        }),
        family("dropped_datagrams", Counter, "IKE messages lost in this host.", |from, put| {
            counters(&from.metrics.get_section("datagrams"), "reason", put);
        }),
        family("alerts", Counter, "What may want an operator, by the names of vici's event.", |from, put| {
            counters(&from.metrics.get_section("alerts"), "alert", put);
        }),
        family("unlisted_child_sas", Gauge, "Installed CHILD_SAs without series of their own, see max_child_sas.", |from, put| {
            let states = from.metrics.get_section("child-sas");
            let all = states.values().filter(|(state, _)| !["CREATED", "INSTALLING", "DESTROYING"].contains(state));
            let all: u64 = all.filter_map(|(_, count)| count.parse::<u64>().ok()).sum();
            put(&[], Value::Number(all.saturating_sub(from.traffic.len() as u64) as f64));
        }),
        measured("child_sa_traffic", Unit::Bytes, Counter, "Octets that a CHILD_SA has carried.", |from, put| {
            traffic(from, put, |it| it.octets);
        }),
        family("child_sa_packets", Counter, "Packets that a CHILD_SA has carried.", |from, put| {
            traffic(from, put, |it| it.packets);
        }),
    ]
}

fn counter(from: &Snapshot, key: &str) -> Value {
    Value::Count(number(&from.metrics, &format!("counters.{key}")))
}

fn seconds(metrics: &Message, path: &str) -> Value {
    Value::Number(float(metrics.get_str(path)))
}

fn float(text: Option<&str>) -> f64 {
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// A sample a key, which is the value of the label.
fn gauges(section: &Message, label: &str, put: &mut Put<'_>) {
    for (key, value) in section.values() {
        put(&[(label, key)], Value::Number(float(Some(value))));
    }
}

fn counters(section: &Message, label: &str, put: &mut Put<'_>) {
    for (key, value) in section.values() {
        put(&[(label, key)], Value::Count(value.parse().unwrap_or_default()));
    }
}

fn results(ended: &Message, label: (&str, &str), put: &mut Put<'_>) {
    for (result, value) in ended.values() {
        put(
            &[label, ("result", result)],
            Value::Count(value.parse().unwrap_or_default()),
        );
    }
}

fn histograms(phases: &Message, put: &mut Put<'_>) {
    let bounds = phases.get_texts("bounds");
    let bounds = bounds
        .iter()
        .map(|bound| float(Some(bound)))
        .chain([f64::INFINITY]);
    let bounds: Vec<f64> = bounds.collect();
    for (phase, durations) in phases.sections() {
        let counts = durations.get_texts("buckets");
        let counts = counts.iter().map(|count| count.parse().unwrap_or_default());
        let buckets = bounds.iter().copied().zip(counts).collect();
        let sum = float(durations.get_str("sum"));
        put(&[("phase", phase)], Value::Histogram { sum, buckets });
    }
}

fn traffic(from: &Snapshot, put: &mut Put<'_>, value: fn(&Traffic) -> [u64; 2]) {
    for (id, it) in &from.traffic {
        let id = id.to_string();
        for (direction, value) in ["in", "out"].into_iter().zip(value(it)) {
            let labels = [
                ("ike", it.ike.as_str()),
                ("child", &it.child),
                ("uniqueid", &id),
                ("direction", direction),
            ];
            put(&labels, Value::Count(value));
        }
    }
}
