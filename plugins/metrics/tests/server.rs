//! The plugin against a daemon made of closures: real sockets, real threads.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // helpers are tests too

mod openmetrics;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use charon_metrics::server::CLIENTS;
use charon_metrics::{exposition, features};
use control::vici::Message;
use openmetrics::{Family, parse};
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Host, Implementation, KernelNet, Reply, Running};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers for the daemon.
type Answers = dyn Fn(&str, &Message, &dyn Reply) -> Message + Send + Sync;

struct FakeHost {
    settings: BTreeMap<&'static str, String>,
    answers: Box<Answers>,
    lines: Mutex<Sender<String>>,
}

impl Host for FakeHost {
    fn setting(&self, key: &str) -> Option<String> {
        self.settings.get(key).cloned()
    }
    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }
    fn log(&self, _group: Group, _level: i8, message: &str) {
        let _ = self.lines.lock().unwrap().send(message.to_owned());
    }
    fn submit(&self, verb: &str, message: &[u8], reply: Arc<dyn Reply>) {
        let answer = (self.answers)(verb, &Message::decode(message).unwrap(), &*reply);
        reply.done(&answer.encode().unwrap());
    }
    fn kernel_event(&self, _event: KernelEvent) {}
    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

struct Plugin {
    address: SocketAddr,
    lines: Receiver<String>,
    running: Option<Box<dyn Running>>,
}

impl Plugin {
    fn start(
        settings: &[(&'static str, &str)],
        answers: impl Fn(&str, &Message, &dyn Reply) -> Message + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let (lines, logged) = channel();
        let mut all = BTreeMap::from([("charon.plugins.metrics.listen", "127.0.0.1:0".to_owned())]);
        all.extend(settings.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let host: Arc<dyn Host> = Arc::new(FakeHost {
            settings: all,
            answers: Box::new(answers),
            lines: Mutex::new(lines),
        });
        let mut offered = features(&host);
        let Implementation::Control(make) = offered.remove(0).implementation else {
            return Err("no control".into());
        };
        let control = make(Arc::clone(&host)).map_err(|error| error.message)?;
        let running = control.start(host).map_err(|error| error.message)?;
        let line = logged.recv_timeout(PATIENCE).unwrap();
        let place = line.strip_prefix("metrics are served at http://").unwrap();
        Ok(Self {
            address: place.strip_suffix("/metrics").unwrap().parse().unwrap(),
            lines: logged,
            running: Some(running),
        })
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends octets, and reads until the plugin closes: the head and the body.
    fn send(&self, octets: &[u8]) -> (String, String) {
        let mut stream = self.connect();
        // It may refuse before it has read everything.
        let _ = stream.write_all(octets);
        read(stream)
    }

    fn scrape(&self) -> BTreeMap<String, Family> {
        let (head, body) = self.send(b"GET /metrics HTTP/1.1\r\nHost: moon\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}\n{body}");
        let kind = format!("content-type: {}\r\n", exposition::CONTENT_TYPE);
        assert!(head.contains(&kind), "{head}");
        assert!(
            head.contains(&format!("content-length: {}\r\n", body.len())),
            "{head}"
        );
        parse(&body).unwrap_or_else(|why| panic!("{why}\n{body}"))
    }
}

fn read(mut stream: TcpStream) -> (String, String) {
    let mut answer = Vec::new();
    // One that refuses what it has not read resets the connection, after its answer.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (format!("{head}\r\n"), body.to_owned())
}

/// What the daemon says of a day's work.
fn metrics() -> Message {
    let results = |message: Message| message.value("established", 3).value("failed", 1);
    let flows = |message: Message| {
        let message = message.value("requests-in", 1).value("responses-in", 2);
        message.value("requests-out", 3).value("responses-out", 4)
    };
    Message::new()
        .section("daemon", |it| {
            let it = it.value("product", "pqswan").value("version", "0.1.0");
            it.value("since", "1700000000.25")
                .value("uptime", "12.5")
                .value("plugin-panics", 2)
        })
        .section("ike-sas", |it| it.value("CONNECTING", 1).value("ESTABLISHED", 2))
        .section("child-sas", |it| {
            it.value("CREATED", 7).value("INSTALLED", 3).value("REKEYED", 1)
        })
        .value("half-open", 4)
        .section("jobs", |it| it.value("queued", 5).value("working", 1))
        .section("datagrams", |it| {
            it.value("queue-full", 6)
                .value("too-long", 0)
                .value("not-sent", 0)
        })
        .section("handshakes", |it| {
            it.section("initiator", results)
                .section("responder", results)
                .section("methods", |it| {
                    it.section("ML_KEM_768", results).section("CURVE_25519", results)
                })
        })
        .section("phases", |it| {
            it.list("bounds", ["0.001", "0.01"])
                .section("IKE_SA_INIT", |it| {
                    it.value("sum", "0.5").list("buckets", [1, 2, 3])
                })
                .section("whole", |it| it.value("sum", "0").list("buckets", [0, 0, 0]))
        })
        .section("messages", |it| {
            it.section("IKE_SA_INIT", flows)
                .section("IKE_INTERMEDIATE", flows)
        })
        .section("counters", |it| {
            let it = it.value("ike-rekey-init", 1).value("ike-rekey-resp", 2);
            it.value("child-rekey", 3)
                .value("invalid", 4)
                .value("invalid-spi", 5)
        })
        .section("alerts", |it| it.value("peer-auth-failed", 8))
        .section("cookies", |it| {
            it.value("sent", 9).value("verified", 8).value("refused", 1)
        })
        .section("retransmits", |it| {
            it.value("requests-sent", 1)
                .value("responses-sent", 2)
                .value("requests-received", 3)
        })
        .section("fragments", |it| it.value("in", 10).value("out", 11))
}

fn traffic(ike: &str, id: u32) -> Vec<u8> {
    let event = Message::new()
        .value("ike", ike)
        .value("child", "net")
        .value("uniqueid", id);
    let event = event
        .value("bytes-in", u64::from(id) * 1000)
        .value("packets-in", id);
    let event = event.value("bytes-out", u64::MAX).value("packets-out", 0);
    event.encode().unwrap()
}

/// As many IKE_SAs as are asked for, each with one CHILD_SA.
fn with_traffic(count: u32) -> impl Fn(&str, &Message, &dyn Reply) -> Message + Send + Sync {
    move |verb, request, reply| {
        if verb == "get-metrics" {
            return metrics();
        }
        assert_eq!(verb, "list-traffic");
        let number = |key: &str| {
            request
                .get_str(key)
                .map_or(0, |text| text.parse::<u32>().unwrap())
        };
        let (page, after) = (number("page"), number("after"));
        assert!((1..1000).contains(&page), "{page}");
        let last = (after + page).min(count);
        for id in after + 1..=last {
            if !reply.event("traffic", &traffic("gw", id)) {
                return Message::new();
            }
        }
        Message::new().value_if("next", (last < count).then_some(last))
    }
}

fn values(family: &Family) -> Vec<String> {
    let sample = |sample: &openmetrics::Sample| {
        let labels: Vec<_> = sample.labels.values().map(String::as_str).collect();
        format!("{}={}", labels.join(","), sample.value)
    };
    family.samples.iter().map(sample).collect()
}

#[test]
fn everything_the_daemon_says_is_exported_and_openmetrics() {
    let plugin = Plugin::start(&[], with_traffic(2)).unwrap();
    let families = plugin.scrape();
    for (name, expected) in [
        ("pqswan_build", &["pqswan,0.1.0=1"][..]),
        ("pqswan_start_time_seconds", &["=1700000000.25"]),
        ("pqswan_uptime_seconds", &["=12.5"]),
        ("pqswan_plugin_panics", &["=2"]),
        ("pqswan_jobs", &["queued=5", "working=1"]),
        ("pqswan_ike_sas", &["CONNECTING=1", "ESTABLISHED=2"]),
        ("pqswan_child_sas", &["CREATED=7", "INSTALLED=3", "REKEYED=1"]),
        ("pqswan_half_open_ike_sas", &["=4"]),
        (
            "pqswan_handshakes",
            &[
                "established,initiator=3",
                "failed,initiator=1",
                "established,responder=3",
                "failed,responder=1",
            ],
        ),
        (
            "pqswan_key_exchanges",
            &[
                "ML_KEM_768,established=3",
                "ML_KEM_768,failed=1",
                "CURVE_25519,established=3",
                "CURVE_25519,failed=1",
            ],
        ),
        (
            "pqswan_phase_duration_seconds",
            &[
                "IKE_SA_INIT=0.5",
                "IKE_SA_INIT=6",
                "0.001,IKE_SA_INIT=1",
                "0.01,IKE_SA_INIT=3",
                "+Inf,IKE_SA_INIT=6",
                "whole=0",
                "whole=0",
                "0.001,whole=0",
                "0.01,whole=0",
                "+Inf,whole=0",
            ],
        ),
        ("pqswan_ike_rekeyings", &["initiator=1", "responder=2"]),
        ("pqswan_child_rekeyings", &["=3"]),
        (
            "pqswan_messages",
            &[
                "in,IKE_SA_INIT,request=1",
                "in,IKE_SA_INIT,response=2",
                "out,IKE_SA_INIT,request=3",
                "out,IKE_SA_INIT,response=4",
                "in,IKE_INTERMEDIATE,request=1",
                "in,IKE_INTERMEDIATE,response=2",
                "out,IKE_INTERMEDIATE,request=3",
                "out,IKE_INTERMEDIATE,response=4",
            ],
        ),
        ("pqswan_invalid_messages", &["invalid=4", "unknown-spi=5"]),
        (
            "pqswan_retransmits",
            &["out,request=1", "out,response=2", "in,request=3"],
        ),
        ("pqswan_fragments", &["in=10", "out=11"]),
        ("pqswan_cookies", &["sent=9", "verified=8", "refused=1"]),
        (
            "pqswan_dropped_datagrams",
            &["queue-full=6", "too-long=0", "not-sent=0"],
        ),
        ("pqswan_alerts", &["peer-auth-failed=8"]),
        // Three installed, one rekeyed, and two of them listed.
        ("pqswan_unlisted_child_sas", &["=2"]),
        (
            "pqswan_child_sa_traffic_bytes",
            &[
                "net,in,gw,1=1000",
                "net,out,gw,1=18446744073709552000",
                "net,in,gw,2=2000",
                "net,out,gw,2=18446744073709552000",
            ],
        ),
        (
            "pqswan_child_sa_packets",
            &[
                "net,in,gw,1=1",
                "net,out,gw,1=0",
                "net,in,gw,2=2",
                "net,out,gw,2=0",
            ],
        ),
    ] {
        assert_eq!(values(&families[name]), expected, "{name}");
    }
    assert_eq!(families.len(), 23, "{:?}", families.keys());
    assert_eq!(families["pqswan_child_sa_traffic_bytes"].unit, "bytes");
    let exported: BTreeSet<_> = families
        .values()
        .flat_map(|it| &it.samples)
        .map(|it| it.name.clone())
        .collect();
    assert_eq!(exported, exposition::names().into_iter().collect());
}

#[test]
fn names_that_look_like_the_format_stay_names() {
    let name = "a\"b\\c\nd} 1\n# EOF";
    let plugin = Plugin::start(&[], move |verb, _, reply| {
        if verb == "get-metrics" {
            return metrics();
        }
        reply.event("traffic", &traffic(name, 1));
        Message::new()
    });
    let families = plugin.unwrap().scrape();
    assert_eq!(families["pqswan_child_sa_packets"].samples[0].labels["ike"], name);
}

#[test]
fn child_sas_come_page_by_page_and_no_more_than_are_wanted() {
    let pages = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&pages);
    let daemon = with_traffic(100_000);
    let limit = [("charon.plugins.metrics.max_child_sas", "150")];
    let plugin = Plugin::start(&limit, move |verb, request, reply| {
        counted.fetch_add(usize::from(verb == "list-traffic"), Ordering::Relaxed);
        daemon(verb, request, reply)
    });
    let plugin = plugin.unwrap();
    let families = plugin.scrape();
    assert_eq!(families["pqswan_child_sa_packets"].samples.len(), 2 * 150);
    assert_eq!(pages.load(Ordering::Relaxed), 3, "64, 64 and 22");
    drop(plugin);
    let none = [("charon.plugins.metrics.max_child_sas", "0")];
    let plugin = Plugin::start(&none, |verb, _, _| {
        assert_eq!(verb, "get-metrics");
        metrics()
    });
    let families = plugin.unwrap().scrape();
    assert!(families["pqswan_child_sa_packets"].samples.is_empty());
    assert_eq!(values(&families["pqswan_unlisted_child_sas"]), ["=4"]);
}

#[test]
fn one_that_moves_to_another_ike_sa_between_pages_is_listed_once() {
    let plugin = Plugin::start(&[], |verb, request, reply| {
        if verb == "get-metrics" {
            return metrics();
        }
        reply.event("traffic", &traffic("gw", 7));
        Message::new().value_if("next", request.get_str("after").is_none().then_some(1))
    });
    assert_eq!(
        plugin.unwrap().scrape()["pqswan_child_sa_packets"].samples.len(),
        2
    );
}

#[test]
fn what_is_asked_otherwise_is_refused() {
    let plugin = Plugin::start(&[], with_traffic(0)).unwrap();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found"),
        ("GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", "404 Not Found"),
        (
            "POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
            "405 Method Not Allowed",
        ),
        (
            "DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n",
            "405 Method Not Allowed",
        ),
        ("GET /metrics\r\n\r\n", "400 Bad Request"),
        ("\0\0\0\0\r\n\r\n", "400 Bad Request"),
        ("GET /metrics HTTP/1.1\r\nbad header\r\n\r\n", "400 Bad Request"),
    ] {
        let (head, body) = plugin.send(request.as_bytes());
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{request}: {head}{body}"
        );
    }
    let (head, body) = plugin.send(b"HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(),
        "{head}{body}"
    );
    let (head, _) = plugin.send(b"PUT /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.contains("allow: GET, HEAD\r\n"), "{head}");
    // Parameters are Prometheus's own, and one request is a connection's last.
    let twice = "GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let (head, body) = plugin.send(twice.as_bytes());
    assert!(
        head.contains("connection: close\r\n") && parse(&body).is_ok(),
        "{head}"
    );
}

#[test]
fn a_head_that_does_not_end_is_not_read_for_ever() {
    let plugin = Plugin::start(&[], with_traffic(0)).unwrap();
    let endless = format!(
        "GET /metrics HTTP/1.1\r\n{}",
        "X: yyyyyyyyyyyyyyyy\r\n".repeat(100_000)
    );
    let (head, _) = plugin.send(endless.as_bytes());
    assert!(
        head.trim().is_empty() || head.starts_with("HTTP/1.1 431 "),
        "{head}"
    );
    // One that sends nothing more is closed too.
    let mut slow = plugin.connect();
    slow.write_all(b"GET /met").unwrap();
    let (head, _) = read(slow);
    assert!(
        head.trim().is_empty() || head.starts_with("HTTP/1.1 408 "),
        "{head}"
    );
}

#[test]
fn clients_that_stall_hold_up_others_no_longer_than_their_deadline() {
    let plugin = Plugin::start(&[], with_traffic(0)).unwrap();
    let stalled: Vec<TcpStream> = (0..CLIENTS).map(|_| plugin.connect()).collect();
    assert!(!plugin.scrape().is_empty());
    drop(stalled);
}

#[test]
fn a_daemon_that_does_not_count_is_said_to_be() {
    let refusal = "nothing is counted";
    let plugin = Plugin::start(&[], move |_, _, _| {
        Message::new().value("success", "no").value("errmsg", refusal)
    });
    let (head, body) = plugin.unwrap().send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert_eq!(body, "nothing is counted\n");
}

#[test]
fn it_ends_with_the_daemon_and_frees_its_port() {
    let mut plugin = Plugin::start(&[], with_traffic(0)).unwrap();
    let mut idle = plugin.connect();
    plugin.running.take().unwrap().stop();
    assert_eq!(idle.read(&mut [0]).unwrap_or(0), 0, "closed");
    let _ = idle.shutdown(Shutdown::Both);
    assert!(TcpStream::connect(plugin.address).is_err());
    assert!(plugin.lines.try_iter().all(|line| !line.contains("panicked")));
}

#[test]
fn settings_that_cannot_be_are_named() {
    let refused = |key, value: &str| {
        let plugin = Plugin::start(&[(key, value)], with_traffic(0));
        plugin.err().unwrap_or_else(|| panic!("{key} = {value} is taken"))
    };
    let listen = "charon.plugins.metrics.listen";
    assert_eq!(
        refused(listen, "9814"),
        "charon.plugins.metrics.listen = 9814: write ADDRESS:PORT, like 127.0.0.1:9814 or [::1]:9814"
    );
    let most = refused("charon.plugins.metrics.max_child_sas", "10001");
    assert!(most.ends_with("write a number up to 10000"), "{most}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = refused(listen, &address);
    assert!(text.contains(&address) && text.contains(listen), "{text}");
}

#[test]
fn the_dashboard_asks_for_nothing_else_and_leaves_nothing_out() {
    let dashboard = include_str!("../../../etc/grafana/pqswan.json");
    let dashboard: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, &mut queries);
    assert!(queries.len() >= 30, "{queries:?}");
    let word = |char: char| !(char.is_ascii_alphanumeric() || char == '_');
    let asked: BTreeSet<String> = queries
        .iter()
        .flat_map(|query| query.split(word))
        .filter(|word| word.starts_with("pqswan"))
        .map(str::to_owned)
        .collect();
    assert_eq!(asked, exposition::names().into_iter().collect());
    let ids: Vec<_> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["id"])
        .collect();
    let unique: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(unique.len(), ids.len());
}

/// All expressions and definitions of variables.
fn collect(value: &serde_json::Value, queries: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, field) in fields {
                match field.as_str() {
                    Some(text) if ["expr", "definition"].contains(&key.as_str()) => {
                        queries.push(text.to_owned())
                    }
                    _ => collect(field, queries),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, queries)),
        _ => {}
    }
}
