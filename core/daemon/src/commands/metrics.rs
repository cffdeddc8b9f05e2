//! Ours, for the plugin `metrics`: `get-metrics`, all that is counted and measured, and `list-traffic`, what CHILD_SAs have
//! carried, page by page.
//!
//! Neither looks at all SAs at once: those by state are counted while they change, and a page has as many IKE_SAs as it asks
//! for. Numbers are decimal, durations seconds with a fraction.

use std::time::{Duration, UNIX_EPOCH};

use control::vici::Message;
use ike::{BOUNDS, ChildState, Durations, Ended, Phase, Tally};
use plugin_api::{KernelIpsec, Reply};

use super::Answer;
use super::message::Extra;
use super::page::Page;
use crate::product;
use crate::run::Daemon;

const MISSING: &str = "nothing is counted (neither plugin metrics nor counters is loaded)";

impl Daemon {
    pub(super) fn get_metrics(&self) -> Answer {
        let tally = self.endpoint.tally().ok_or(MISSING)?;
        let since = self.started.1.duration_since(UNIX_EPOCH).unwrap_or_default();
        let uptime = self.now().saturating_duration_since(self.started.0);
        let census = self.endpoint.census();
        let (queued, working) = self.pool.load();
        let losses = self.sockets.losses();
        let mut out = Message::new()
            .section("daemon", |it| {
                it.value("product", product::NAME)
                    .value("version", product::VERSION)
                    .value("since", seconds(since))
                    .value("uptime", seconds(uptime))
                    .value("plugin-panics", plugin_api::abi::panics())
                    .list("plugins", self.plugins.names())
            })
            .section("ike-sas", |it| by_state(it, census.ike_sas()))
            .section("child-sas", |it| by_state(it, census.child_sas()))
            .value("half-open", self.endpoint.half_open())
            .section("jobs", |it| it.value("queued", queued).value("working", working))
            .section("datagrams", |it| {
                it.value("queue-full", losses.queue_full)
                    .value("too-long", losses.too_long)
                    .value("not-sent", losses.not_sent)
            });
        out.push_section("handshakes", self.handshakes(tally));
        out.push_section("phases", phases(tally));
        out.push_section("messages", messages(tally));
        let counters = tally.global.iter();
        out.push_section(
            "counters",
            counters.fold(Message::new(), |it, (key, value)| it.value(key, value)),
        );
        let alerts = tally.alerts.iter();
        out.push_section(
            "alerts",
            alerts.fold(Message::new(), |it, (key, value)| it.value(key, value)),
        );
        Ok(out
            .section("cookies", |it| {
                it.value("sent", tally.cookies)
                    .value("verified", tally.cookies_verified)
                    .value("refused", tally.cookies_refused)
            })
            .section("retransmits", |it| {
                it.value("requests-sent", tally.retransmitted_requests)
                    .value("responses-sent", tally.retransmitted_responses)
                    .value("requests-received", tally.repeated_requests)
            })
            .section("fragments", |it| {
                it.value("in", tally.fragments_in)
                    .value("out", tally.fragments_out)
            }))
    }

    /// Attempts to establish IKE_SAs: by who began, and by each key exchange of the selected proposal.
    fn handshakes(&self, tally: &Tally) -> Message {
        let establishing = &tally.establishing;
        let registry = self.endpoint.registry();
        let methods = establishing.by_method.iter();
        let methods = methods.fold(Message::new(), |it, (method, ended)| {
            it.section(&registry.method_name(*method).to_string(), |it| {
                results(it, *ended)
            })
        });
        Message::new()
            .section("initiator", |it| results(it, establishing.as_initiator))
            .section("responder", |it| results(it, establishing.as_responder))
            .section("methods", |_| methods)
    }

    /// One event a CHILD_SA; a page is as many IKE_SAs.
    pub(super) fn list_traffic(&self, request: &Message, reply: &dyn Reply) -> Message {
        let mut page = Page::of(request);
        let kernel = self.kernel.backend().as_ref();
        for sa in self.endpoint.ike_sas_after(page.after) {
            if !page.takes(sa.unique_id) {
                return page.full();
            }
            for child in &sa.children {
                let Some((inbound, outbound)) = child.kernel.as_ref().filter(|_| carries(child.state)) else {
                    continue;
                };
                let event = Message::new()
                    .value("ike", &sa.name)
                    .value("child", &child.config.name)
                    .value("uniqueid", child.unique_id);
                let event = usage(event, kernel, inbound, "in");
                let event = usage(event, kernel, outbound, "out");
                if !reply.event("traffic", &event.encode_or_empty()) {
                    return Message::new();
                }
            }
        }
        Message::new()
    }
}

fn carries(state: ChildState) -> bool {
    !matches!(state, ChildState::Created | ChildState::Installing)
}

fn usage(event: Message, kernel: &dyn KernelIpsec, id: &plugin_api::kernel::SaId, way: &str) -> Message {
    let usage = kernel.query_sa(id).unwrap_or_default();
    event
        .value(&format!("bytes-{way}"), usage.octets)
        .value(&format!("packets-{way}"), usage.packets)
}

fn by_state<S: ToString>(out: Message, states: impl Iterator<Item = (S, usize)>) -> Message {
    states.fold(out, |it, (state, count)| it.value(&state.to_string(), count))
}

fn results(out: Message, ended: Ended) -> Message {
    out.value("established", ended.established)
        .value("failed", ended.failed)
}

fn messages(tally: &Tally) -> Message {
    tally
        .messages
        .iter()
        .fold(Message::new(), |out, (exchange, flows)| {
            out.section(exchange, |it| {
                it.value("requests-in", flows.requests_in)
                    .value("responses-in", flows.responses_in)
                    .value("requests-out", flows.requests_out)
                    .value("responses-out", flows.responses_out)
            })
        })
}

/// How long each phase took: how many fell into which bucket, not cumulated, one more than there are bounds.
fn phases(tally: &Tally) -> Message {
    let out = Message::new().list("bounds", BOUNDS.map(seconds));
    Phase::ALL.into_iter().fold(out, |out, phase| {
        let Durations { buckets, sum } = tally.establishing.durations(phase);
        out.section(phase.name(), |it| {
            it.value("sum", seconds(*sum)).list("buckets", buckets)
        })
    })
}

fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ike::Initiate;
    use plugin_api::kernel::SaUsage;

    use super::super::tests::ask_message;
    use crate::testing::{TestKernel, daemon, lines, peer_config};

    use super::*;

    fn metrics(daemon: &mut Daemon) -> Vec<String> {
        let answers = ask_message(daemon, "get-metrics", &Message::new());
        let done = answers.done.lock().unwrap();
        lines(done.as_ref().expect("an answer"))
    }

    fn expect(lines: &[String], expected: &[&str]) {
        for line in expected {
            assert!(lines.iter().any(|it| it == line), "{line} is not in {lines:#?}");
        }
    }

    #[test]
    fn without_a_plugin_that_counts_there_are_none() {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        assert_eq!(metrics(&mut daemon)[0], "success = no");
    }

    #[test]
    fn what_happens_is_counted() {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        daemon.endpoint.start_tally();
        let ends = ["192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap()];
        let now = daemon.now();
        daemon.endpoint.handle_datagram(now, ends[0], ends[1], &[1]);
        let what = Initiate {
            peer: Arc::new(peer_config("moon")),
            child: None,
            local: ends[0],
            remote: ends[1],
        };
        let before = metrics(&mut daemon);
        expect(
            &before,
            &[
                "counters.invalid = 1",
                "alerts.parse-error-header = 1",
                "half-open = 0",
                "ike-sas.CONNECTING = 0",
                "messages.IKE_FOLLOWUP_KE.requests-in = 0",
                "handshakes.initiator.established = 0",
                "cookies.verified = 0",
                "datagrams.queue-full = 0",
                "daemon.product = pqswan",
                "phases.IKE_AUTH.buckets = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]",
            ],
        );
        assert!(
            before
                .iter()
                .any(|line| line.starts_with("phases.bounds = [0.001, 0.0025,"))
        );
        daemon.endpoint.initiate(now, ike::CommandId(1), what);
        // Without algorithms there is nothing to propose, so the attempt fails at once.
        daemon.drain();
        expect(&metrics(&mut daemon), &["handshakes.initiator.failed = 1"]);
    }

    #[test]
    fn traffic_is_asked_of_the_kernel_for_each_direction() {
        let usage = SaUsage {
            octets: 7,
            packets: 2,
            ..SaUsage::default()
        };
        let kernel = TestKernel {
            usage,
            ..TestKernel::default()
        };
        let sa = super::super::sas::tests::tunnel1(std::time::Instant::now());
        let ids = sa.children[0].kernel.clone().expect("installed");
        let event = super::usage(Message::new(), &kernel, &ids.0, "in");
        assert_eq!(lines(&event), ["bytes-in = 7", "packets-in = 2"]);
    }
}
