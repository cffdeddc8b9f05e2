use super::*;

#[test]
fn a_connection_is_sent_as_vici_has_it() {
    let mut bench = Bench::new(FULL);
    bench.file("x509/moon.pem", "moon's certificate");
    bench.file("x509ca/ca.pem", "ca");
    assert_eq!(bench.run(What::Conns).0, 0);
    let calls = bench.calls("load-conn");
    assert_eq!(
        calls,
        [
            "{host-host {local_addrs=[192.168.0.1] remote_addrs=[192.168.0.2 192.168.0.3] mobike=no version=2 \
             proposals=[aes256-sha256-x25519-ke1_mlkem768 default] \
             local {auth=pubkey certs=[moon's certificate] id=moon.strongswan.org} \
             remote {auth=pubkey id=C=CH, O=strongSwan, CN=sun cacerts=[ca] revocation=strict} \
             children {host-host {start_action=trap esp_proposals=[aes256gcm16-x25519] rekey_time=1h rekey_bytes=500m}}}}",
            "{rw {pools=[rw_pool] version=2 proposals=[aes256-sha256-x25519-ke1_mlkem768 default] dpd_delay=30s \
             local-1 {auth=psk cert-1 {handle=51 slot=1}} \
             children {net {local_ts=[10.1.0.0/16 10.2.0.0/16[tcp/http]]}} \
             remote {auth=eap id=%any}}}",
        ]
    );
}

#[test]
fn a_wrong_key_has_file_line_and_what_was_meant() {
    let conf = "connections {\n  good { }\n  rw {\n    life_time = 1h\n    children {\n      net {\n        life_time = 1h\n        local_tss = 10.0.0.0/8\n      }\n    }\n    locl { }\n  }\n}\n";
    let mut bench = Bench::new(conf);
    bench.answer("load-conn", Message::new().flag("success", true));
    bench.refuse("load-conn", "unknown option: local_tss, config discarded");
    let (code, out, err) = bench.run(What::Conns);
    assert_eq!((code, out.as_str()), (22, "loaded connection 'good'\n"));
    assert_eq!(
        err,
        "loading connection 'rw' failed: unknown option: local_tss, config discarded (swanctl.conf:8, did you mean 'local_ts'?)\n\
         loading connection 'rw' failed: unknown option: life_time, config discarded (swanctl.conf:4)\n\
         loading connection 'rw' failed: invalid section: locl (swanctl.conf:11, did you mean 'local'?)\n\
         loaded 1 of 2 connections, 1 failed to load, 0 unloaded\n"
    );
}

#[test]
fn a_wrong_value_is_named_where_it_is_wrong() {
    let conf = "connections {\n  rw {\n    children {\n      a {\n        hostaccess = yes\n        mode = tunnel\n      }\n      b {\n        hostaccess = perhaps\n      }\n    }\n  }\n}\n";
    let mut bench = Bench::new(conf);
    bench.refuse("load-conn", "invalid value for: hostaccess, config discarded");
    let (_, _, err) = bench.run(What::Conns);
    let first = err.lines().next();
    assert_eq!(
        first,
        Some(
            "loading connection 'rw' failed: invalid value for: hostaccess, config discarded (swanctl.conf:9)"
        )
    );
    // What only the daemon knows is named where the key is first.
    bench.refuse("load-conn", "invalid value for: mode, config discarded");
    let (_, _, err) = bench.run(What::Conns);
    let first = err.lines().next();
    assert_eq!(
        first,
        Some("loading connection 'rw' failed: invalid value for: mode, config discarded (swanctl.conf:6)")
    );
}

#[test]
fn a_refusal_that_names_nothing_is_that_of_the_section() {
    let mut bench = Bench::new("\nconnections {\n  rw { }\n}\n");
    bench.refuse("load-conn", "parsing request failed");
    let (_, _, err) = bench.run(What::Conns);
    assert!(
        err.starts_with("loading connection 'rw' failed: parsing request failed (swanctl.conf:3)\n"),
        "{err}"
    );
}

#[test]
fn a_certificate_that_is_missing_is_named_with_its_key() {
    let mut bench = Bench::new("connections {\n  rw {\n    local {\n      certs = moon.pem\n    }\n  }\n}\n");
    let (code, _, err) = bench.run(What::Conns);
    assert_eq!(code, 22);
    assert!(
        err.starts_with("loading connection 'rw' failed: reading 'x509/moon.pem' failed: No such file"),
        "{err}"
    );
    assert!(err.contains("(swanctl.conf:4)\n"), "{err}");
    assert!(bench.calls("load-conn").is_empty());
}

#[test]
fn what_the_file_no_longer_has_is_unloaded() {
    let mut bench = Bench::new("connections { a { } }\n");
    bench.answer("get-conns", Message::new().list("conns", ["a", "old", "older"]));
    bench.refuse("unload-conn", "unload: connection 'old' not found");
    let (code, out, err) = bench.run(What::Conns);
    assert_eq!(code, 0, "what the file has is loaded");
    assert_eq!(
        out,
        "loaded connection 'a'\nsuccessfully loaded 1 connections, 1 unloaded\n"
    );
    assert_eq!(
        err,
        "unloading connection 'old' failed: unload: connection 'old' not found\n"
    );
    assert_eq!(bench.calls("unload-conn"), ["{name=old}", "{name=older}"]);
}

#[test]
fn a_name_that_no_request_can_carry_costs_its_connection_alone() {
    let long = "a".repeat(256);
    let mut bench = Bench::new(&format!("connections {{\n {long} {{ }}\n b {{ }}\n}}\n"));
    let (code, out, err) = bench.run(What::Conns);
    assert_eq!(code, 22);
    assert_eq!(out.lines().next(), Some("loaded connection 'b'"));
    let why = "the request cannot be sent: name of 256 octets (swanctl.conf:2)";
    assert!(
        err.contains(&format!("loading connection '{long}' failed: {why}")),
        "{err}"
    );
    assert_eq!(bench.calls("load-conn").len(), 1);
}

#[test]
fn an_empty_file_unloads_everything() {
    let mut bench = Bench::new("");
    bench.answer("get-conns", Message::new().list("conns", ["a"]));
    let (code, out, _) = bench.run(What::Conns);
    assert_eq!((code, out.as_str()), (0, "no connections found, 1 unloaded\n"));
}

#[test]
fn values_are_sent_as_they_are_written() {
    let mut bench = Bench::new("connections { a { remote { id = \"a, b\" } } }\n");
    assert_eq!(bench.run(What::Conns).0, 0);
    let (_, request) = bench.daemon.calls.last().expect("a call");
    let remote = request.get_section("a.remote");
    assert_eq!(remote.elements, [Element::Value("id".into(), b"a, b".to_vec())]);
}
