//! The corpora of tests/fuzz, and mutations of them, for its targets.
#![allow(missing_docs, clippy::panic, reason = "everything here is test code")]

use pqswan_tests::fuzz;

#[path = "fuzz/corpus.rs"]
mod corpus;

use corpus::replay;

#[test]
fn any_strongswan_conf_is_read_or_refused_with_its_line() {
    replay("strongswan_conf", 400, fuzz::strongswan_conf);
}

#[test]
fn any_ipsec_conf_is_read_or_refused_with_its_line() {
    replay("ipsec_conf", 400, fuzz::ipsec_conf);
}

#[test]
fn any_ipsec_secrets_is_read_and_none_of_it_is_shown() {
    replay("ipsec_secrets", 200, fuzz::ipsec_secrets);
}

#[test]
fn any_stream_for_stroke_ends_in_requests_that_survive_encoding_or_in_an_error() {
    let mut requests = 0;
    replay("stroke", 2000, |octets| requests += fuzz::stroke(octets));
    assert!(requests > 1000, "only {requests} requests were understood");
}

#[test]
fn foreign_datagrams_neither_panic_nor_harm_the_established_sa() {
    let mut target = fuzz::Datagrams::new();
    replay("datagram", 300, |octets| target.run(octets));
    target.settle();
}
