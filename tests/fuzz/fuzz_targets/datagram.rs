#![no_main]

use std::cell::RefCell;

use pqswan_tests::fuzz::Datagrams;

thread_local! {
    static TARGET: RefCell<Datagrams> = RefCell::new(Datagrams::new());
}

libfuzzer_sys::fuzz_target!(|octets: &[u8]| TARGET.with_borrow_mut(|target| target.run(octets)));
