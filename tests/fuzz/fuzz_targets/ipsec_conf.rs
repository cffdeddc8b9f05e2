#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pqswan_tests::fuzz::ipsec_conf(octets));
