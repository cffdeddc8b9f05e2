#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    pqswan_tests::fuzz::stroke(octets);
});
