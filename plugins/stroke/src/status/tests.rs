use super::*;

fn version() -> Message {
    Message::new()
        .value("daemon", "charon")
        .value("version", "pqswan 0.1.0")
        .value("sysname", "Linux")
        .value("release", "5.4.0-1029-aws")
        .value("machine", "x86_64")
}

fn stats(total: u32, half_open: u32) -> Message {
    let four = |s: Message, medium| {
        s.value("critical", 5)
            .value("high", 0)
            .value("medium", medium)
            .value("low", 0)
    };
    Message::new()
        .section("uptime", |s| {
            s.value("running", "99 seconds")
                .value("since", "Nov 19 12:59:35 2020")
        })
        .section("workers", |s| {
            s.value("total", 16)
                .value("idle", 11)
                .section("active", |s| four(s, 0))
        })
        .section("queues", |s| four(s, 2))
        .value("scheduled", 3)
        .section("ikesas", |s| {
            s.value("total", total).value("half-open", half_open)
        })
        .list("plugins", ["charon", "oqs", "stroke"])
        .section("mallinfo", |s| {
            s.value("sbrk", 1_351_680)
                .value("mmap", 0)
                .value("used", 333_888)
                .value("free", 1_017_792)
        })
        .list("listening", ["192.168.0.3"])
}

fn connection_event() -> Message {
    let auth = |s: Message, id: &str| {
        s.value("class", "pre-shared key")
            .value("id", id)
            .list("groups", [""; 0])
    };
    Message::new().section("Tunnel1", |s| {
        s.list("local_addrs", ["192.168.0.3"])
            .list("remote_addrs", ["192.168.0.2"])
            .value("version", "IKEv2")
            .value("reauth_time", 3420)
            .section("local-1", |s| auth(s, "carol.strongswan.org"))
            .section("remote-1", |s| auth(s, "moon.strongswan.org"))
            .section("children", |s| {
                s.section("Tunnel1", |s| {
                    s.value("mode", "TUNNEL")
                        .value("dpd_action", "restart")
                        .list("local-ts", ["10.3.0.0/16"])
                        .list("remote-ts", ["10.1.0.0/16"])
                })
            })
    })
}

fn ike_sa_keys(s: Message) -> Message {
    s.value("uniqueid", 1)
        .value("version", 2)
        .value("state", "ESTABLISHED")
        .value("local-host", "192.168.0.3")
        .value("local-port", 4500)
        .value("local-id", "carol.strongswan.org")
        .value("remote-host", "192.168.0.2")
        .value("remote-port", 4500)
        .value("remote-id", "moon.strongswan.org")
        .value("initiator", "yes")
        .value("initiator-spi", "739acec0ff8f1f84")
        .value("responder-spi", "5de2e8d07fa3cec2")
        .value("encr-alg", "AES_GCM_16")
        .value("encr-keysize", 256)
        .value("prf-alg", "PRF_HMAC_SHA2_512")
        .value("dh-group", "CURVE_25519")
        .value("ake1", "KYBER_L3")
        .value("established", 4)
        .value("reauth-time", 3229)
        .value("local-class", "pre-shared key")
}

fn child_keys(s: Message) -> Message {
    s.value("name", "Tunnel1")
        .value("uniqueid", 1)
        .value("reqid", 1)
        .value("state", "INSTALLED")
        .value("mode", "TUNNEL")
        .value("protocol", "ESP")
        .value("spi-in", "c2f347ac")
        .value("spi-out", "c55a612d")
        .value("encr-alg", "AES_GCM_16")
        .value("encr-keysize", 256)
        .value("ake1", "KYBER_L3")
        .value("bytes-in", 168)
        .value("packets-in", 2)
        .value("use-in", 1)
        .value("bytes-out", 168)
        .value("packets-out", 2)
        .value("use-out", 1)
        .value("rekey-time", 929)
        .value("life-time", 1190)
        .list("local-ts", ["10.3.0.0/16"])
        .list("remote-ts", ["10.1.0.0/16"])
}

fn sa_event(ike: impl Fn(Message) -> Message, child: impl Fn(Message) -> Message) -> Message {
    Message::new().section("Tunnel1", |s| {
        ike(s).section("child-sas", |s| s.section("Tunnel1-1", child))
    })
}

#[test]
fn the_daemon_is_described_as_in_the_walk_through() {
    let expected = "\
Status of IKE charon daemon (pqswan 0.1.0, Linux 5.4.0-1029-aws, x86_64):
  uptime: 99 seconds, since Nov 19 12:59:35 2020
  malloc: sbrk 1351680, mmap 0, used 333888, free 1017792
  worker threads: 11 of 16 idle, 5/0/0/0 working, job queue: 5/0/2/0, scheduled: 3
  loaded plugins: charon oqs stroke
Listening IP addresses:
  192.168.0.3
";
    assert_eq!(daemon(&version(), &stats(0, 0), &Message::new()), expected);
}

#[test]
fn pools_come_before_the_addresses() {
    let pools = Message::new().section("rw", |s| {
        s.value("size", 254).value("online", 1).value("offline", 2)
    });
    let text = daemon(&version(), &stats(0, 0), &pools);
    assert!(
        text.contains("Virtual IP pools (size/online/offline):\n  rw: 254/1/2\nListening IP"),
        "{text}"
    );
}

#[test]
fn a_connection_has_a_line_for_each_end_and_child() {
    let expected = "     Tunnel1:  192.168.0.3...192.168.0.2  IKEv2
     Tunnel1:   local:  [carol.strongswan.org] uses pre-shared key authentication
     Tunnel1:   remote: [moon.strongswan.org] uses pre-shared key authentication
     Tunnel1:   child:  10.3.0.0/16 === 10.1.0.0/16 TUNNEL
";
    assert_eq!(connection(&connection_event(), None), expected);
    assert_eq!(connection(&connection_event(), Some("Tunnel1")), expected);
    assert_eq!(connection(&connection_event(), Some("Tunnel2")), "");
}

#[test]
fn liveness_checks_show_their_delay_and_action() {
    let mut event = connection_event();
    let Some(control::vici::Element::Section(_, connection_elements)) = event.elements.first_mut() else {
        panic!("a section")
    };
    connection_elements.insert(
        2,
        control::vici::Element::Value("dpd_delay".into(), b"30".to_vec()),
    );
    let text = connection(&event, None);
    assert!(text.contains("192.168.0.2  IKEv2, dpddelay=30s\n"), "{text}");
    assert!(text.contains("10.1.0.0/16 TUNNEL, dpdaction=restart\n"), "{text}");
}

#[test]
fn an_established_tunnel_looks_like_charons() {
    let event = sa_event(ike_sa_keys, child_keys);
    let expected = "\
Security Associations (1 up, 0 connecting):
     Tunnel1[1]: ESTABLISHED 4 seconds ago, 192.168.0.3[carol.strongswan.org]...192.168.0.2[moon.strongswan.org]
     Tunnel1[1]: IKEv2 SPIs: 739acec0ff8f1f84_i* 5de2e8d07fa3cec2_r, pre-shared key reauthentication in 53 minutes
     Tunnel1[1]: IKE proposal: AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3
     Tunnel1{1}:  INSTALLED, TUNNEL, reqid 1, ESP SPIs: c2f347ac_i c55a612d_o
     Tunnel1{1}:  AES_GCM_16_256, 168 bytes_i (2 pkts, 1s ago), 168 bytes_o (2 pkts, 1s ago), rekeying in 15 minutes
     Tunnel1{1}:   10.3.0.0/16 === 10.1.0.0/16
";
    assert_eq!(
        counts(&stats(1, 0)) + &security_association(&event, true, None),
        expected
    );
}

#[test]
fn status_leaves_the_details_out() {
    let expected = "     Tunnel1[1]: ESTABLISHED 4 seconds ago, 192.168.0.3[carol.strongswan.org]...192.168.0.2[moon.strongswan.org]
     Tunnel1{1}:  INSTALLED, TUNNEL, reqid 1, ESP SPIs: c2f347ac_i c55a612d_o
     Tunnel1{1}:   10.3.0.0/16 === 10.1.0.0/16
";
    assert_eq!(
        security_association(&sa_event(ike_sa_keys, child_keys), false, None),
        expected
    );
}

#[test]
fn a_name_selects_an_ike_sa_or_its_child_sas() {
    let event = Message::new().section("gw", |s| {
        ike_sa_keys(s).section("child-sas", |s| {
            s.section("a-1", |s| {
                s.value("name", "a")
                    .value("uniqueid", 1)
                    .value("state", "INSTALLING")
            })
            .section("b-2", |s| {
                s.value("name", "b")
                    .value("uniqueid", 2)
                    .value("state", "INSTALLING")
            })
        })
    });
    let text = |only| security_association(&event, false, only);
    assert_eq!(text(Some("gw")), text(None));
    assert!(text(Some("b")).contains("gw[1]: ") && text(Some("b")).contains("b{2}: "));
    assert!(!text(Some("b")).contains("a{1}: "));
    assert_eq!(text(Some("other")), "");
    assert_eq!((none(None), none(Some("other"))), ("  none\n", "  no match\n"));
}

#[test]
fn the_responder_marks_its_own_spi_and_states_show_what_they_have() {
    let event = Message::new().section("rw", |s| {
        s.value("uniqueid", 7)
            .value("version", 2)
            .value("state", "CONNECTING")
            .value("local-host", "10.0.0.1")
            .value("local-id", "%any")
            .value("remote-host", "10.0.0.2")
            .value("remote-id", "%any")
            .value("initiator-spi", "0000000000000001")
            .value("responder-spi", "0000000000000002")
            .list("tasks-passive", ["IKE_INIT", "IKE_AUTH"])
            .section("child-sas", |s| {
                s.section("rw-3", |s| {
                    s.value("name", "rw")
                        .value("uniqueid", 3)
                        .value("reqid", 9)
                        .value("state", "REKEYED")
                        .value("mode", "TUNNEL")
                        .value("life-time", 59)
                        .list("local-ts", ["10.1.0.0/16", "10.2.0.0/16"])
                        .list("remote-ts", ["10.9.0.1/32"])
                })
            })
    });
    let expected = "          rw[7]: CONNECTING, 10.0.0.1[%any]...10.0.0.2[%any]
          rw[7]: IKEv2 SPIs: 0000000000000001_i 0000000000000002_r*
          rw[7]: Tasks passive: IKE_INIT IKE_AUTH
          rw{3}:  REKEYED, TUNNEL, reqid 9, expires in 59 seconds
          rw{3}:   10.1.0.0/16 10.2.0.0/16 === 10.9.0.1/32
";
    assert_eq!(security_association(&event, true, None), expected);
}

#[test]
fn unused_single_and_overdue_have_words_of_their_own() {
    let child = |s: Message| {
        s.value("name", "net")
            .value("uniqueid", 4)
            .value("reqid", 2)
            .value("state", "INSTALLED")
            .value("mode", "TUNNEL")
            .value("protocol", "ESP")
            .value("encap", "yes")
            .value("spi-in", "c0000001")
            .value("spi-out", "c0000002")
            .value("encr-alg", "AES_CBC")
            .value("encr-keysize", 128)
            .value("integ-alg", "HMAC_SHA2_256_128")
            .value("dh-group", "MODP_3072")
            .value("esn", 1)
            .value("bytes-in", 84)
            .value("packets-in", 1)
            .value("use-in", 3)
            .value("bytes-out", 0)
            .value("packets-out", 0)
            .value("rekey-time", -2)
            .list("local-ts", ["a"])
            .list("remote-ts", ["b"])
    };
    let ike = |s: Message| {
        s.value("uniqueid", 1)
            .value("version", 2)
            .value("state", "ESTABLISHED")
            .value("initiator-spi", "1")
            .value("responder-spi", "2")
            .value("established", 1)
    };
    let text = security_association(&sa_event(ike, child), true, None);
    assert!(text.contains("ESTABLISHED 1 second ago, "), "{text}");
    assert!(text.contains("_r*, rekeying disabled\n"), "{text}");
    assert!(
        text.contains(", ESP in UDP SPIs: c0000001_i c0000002_o\n"),
        "{text}"
    );
    let detail = "net{4}:  AES_CBC_128/HMAC_SHA2_256_128/MODP_3072/ESN, 84 bytes_i (1 pkt, 3s ago), 0 bytes_o, rekeying active\n";
    assert!(text.contains(detail), "{text}");
}

#[test]
fn shunts_and_traps_have_headings_only_if_there_are_any() {
    let mut policies = Policies::default();
    assert_eq!(policies.text(), "");
    let policy = |name: &str, mode: &str| {
        Message::new().section(&format!("gw/{name}"), |s| {
            s.value("child", name)
                .value("ike", "gw")
                .value("mode", mode)
                .value("uniqueid", 5)
                .value("reqid", 6)
                .list("local-ts", ["10.1.0.0/16"])
                .list("remote-ts", ["10.2.0.0/16"])
        })
    };
    policies.add(&policy("local", "PASS"), None);
    policies.add(&policy("net", "TUNNEL"), Some("gw"));
    policies.add(&policy("other", "DROP"), Some("none"));
    let expected = "Shunted Connections:
       local:  10.1.0.0/16 === 10.2.0.0/16 PASS
Routed Connections:
         net{5}:  ROUTED, TUNNEL, reqid 6
         net{5}:   10.1.0.0/16 === 10.2.0.0/16
";
    assert_eq!(policies.text(), expected);
}
