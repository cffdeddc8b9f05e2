//! What is kept of an IKE_SA: many of them have to find room.
#![allow(missing_docs)]

use std::time::Duration;

use pqswan_tests::counting::Counting;
use pqswan_tests::crypto;
use pqswan_tests::gateway::Gateway;

#[global_allocator]
static HEAP: Counting = Counting;

const IKE_SAS: u32 = 2_000;

/// Octets of the heap that an established IKE_SA may have with its CHILD_SA and its keys, and what the tables need for it.
const MOST: isize = 2_048;

#[test]
fn an_established_ike_sa_with_its_child_sa_takes_two_kibibytes() {
    let mut gateway = Gateway::new(crypto::registry());
    gateway.serve(0..10);
    let before = HEAP.octets();
    gateway.serve(10..10 + IKE_SAS);
    let each = (HEAP.octets() - before) / IKE_SAS as isize;
    assert!(each <= MOST, "{each} octets for an IKE_SA with a CHILD_SA");
    assert_eq!(gateway.endpoint.counts(), (10 + IKE_SAS as usize, 0));
    assert!(gateway.spent.0 > Duration::ZERO);
}
