//! What an IKE_SA with a CHILD_SA costs a responder: `cargo run --release -p pqswan-tests --example handshakes [N...]`
//! prints, for each N, the heap and the time of a handshake while there are that many. To be run under profilers too.
#![allow(missing_docs)]

use std::sync::Arc;

use crypto::registry::Registry;
use plugin_api::testing::Recorder;
use pqswan_tests::counting::Counting;
use pqswan_tests::gateway::Gateway;

#[global_allocator]
static HEAP: Counting = Counting;

/// Handshakes that are timed at each number of IKE_SAs, in so many parts of which the fastest counts.
const TIMED: u32 = 200;
const PARTS: u32 = 5;

fn main() {
    let mut numbers: Vec<u32> = std::env::args()
        .skip(1)
        .filter_map(|it| it.parse().ok())
        .collect();
    if numbers.is_empty() {
        numbers = vec![2_000];
    }
    let host: Arc<dyn plugin_api::Host> = Arc::new(Recorder::default());
    let mut registry = Registry::new();
    for feature in charon_aws_lc::features(&host) {
        registry.add("aws-lc", feature.name, &feature.implementation);
    }
    let mut gateway = Gateway::new(Arc::new(registry));
    let mut count = 0;
    gateway.serve(count..100);
    count = 100;
    for number in numbers {
        let (blocks, octets, before) = (HEAP.blocks(), HEAP.octets(), count);
        gateway.serve(count..number.max(count));
        count = number.max(count);
        if count > before {
            let per = |grown: isize| grown as f64 / f64::from(count - before);
            println!(
                "{number} IKE_SAs with CHILD_SAs: {:.0} octets in {:.1} blocks each",
                per(HEAP.octets() - octets),
                per(HEAP.blocks() - blocks),
            );
        }
        let mut best = (f64::MAX, f64::MAX);
        for _ in 0..PARTS {
            gateway.spent = Default::default();
            gateway.serve(count..count + TIMED);
            count += TIMED;
            let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6 / f64::from(TIMED);
            best.0 = best.0.min(micros(gateway.spent.0));
            best.1 = best.1.min(micros(gateway.spent.1));
        }
        println!(
            "{number}: a handshake takes {:.1} us and key exchanges of {:.1} us",
            best.0, best.1
        );
    }
}
