use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use config::connection::ProposalList;
use control::vici::Message;
use plugin_api::Reply;

use super::daemon::span;
use super::message::Extra;
use super::sas::tests::tunnel1;
use super::terminate::{Target, by_stroke_name};
use super::{conns, redirect, resolve};
use crate::testing::{TestKernel, TestNet, child_config, daemon, lines, peer_config};

#[test]
fn a_connection_is_listed_as_swanctl_expects_it() {
    let daemon = daemon(Arc::new(TestKernel::default()));
    let mut peer = peer_config("Tunnel1");
    let strict = |texts: &[&str]| ProposalList {
        entries: texts.iter().map(ToString::to_string).collect(),
        append_defaults: false,
    };
    peer.proposals = strict(&["aes256gcm16-sha512-x25519-ke1_mlkem768", "aes128-sha256-modp3072"]);
    let mut child = child_config("Tunnel1");
    child.proposals = strict(&["aes256gcm16-x25519"]);
    peer.children = vec![Arc::new(child)];
    assert_eq!(
        lines(&conns::connection(&peer, &daemon.endpoint)),
        [
            "local_addrs = [%any]",
            "remote_addrs = [192.0.2.2]",
            "local_port = 500",
            "remote_port = 500",
            "version = IKEv2",
            "reauth_time = 3420",
            "rekey_time = 0",
            "unique = UNIQUE_REPLACE",
            "proposals.0.encr = [AES_GCM_16_256]",
            "proposals.0.prf = [PRF_HMAC_SHA2_512]",
            "proposals.0.ke = [CURVE_25519]",
            "proposals.0.ake1 = [ML_KEM_768]",
            "proposals.1.encr = [AES_CBC_128]",
            "proposals.1.integ = [HMAC_SHA2_256_128]",
            "proposals.1.prf = [PRF_HMAC_SHA2_256]",
            "proposals.1.ke = [MODP_3072]",
            "local-1.id = carol.strongswan.org",
            "local-1.class = pre-shared key",
            "local-1.groups = []",
            "local-1.cert_policy = []",
            "local-1.certs = []",
            "local-1.cacerts = []",
            "remote-1.class = pre-shared key",
            "remote-1.groups = []",
            "remote-1.cert_policy = []",
            "remote-1.certs = []",
            "remote-1.cacerts = []",
            "children.Tunnel1.mode = TUNNEL",
            "children.Tunnel1.rekey_time = 1020",
            "children.Tunnel1.rekey_bytes = 0",
            "children.Tunnel1.rekey_packets = 0",
            "children.Tunnel1.dpd_action = none",
            "children.Tunnel1.close_action = none",
            "children.Tunnel1.esp_proposals.0.encr = [AES_GCM_16_256]",
            "children.Tunnel1.esp_proposals.0.ke = [CURVE_25519]",
            "children.Tunnel1.esp_proposals.0.sn = [NO_EXT_SEQ]",
            "children.Tunnel1.local-ts = [dynamic]",
            "children.Tunnel1.remote-ts = [10.1.0.0/16]",
        ]
    );
}

#[test]
fn sas_are_found_by_the_forms_of_ipsec_down() {
    let now = Instant::now();
    let mut second = tunnel1(now);
    second.unique_id = 2;
    second.children[0].unique_id = 5;
    second.children[0].config = Arc::new(child_config("net"));
    let sas = [tunnel1(now), second];
    let cases: [(&str, &[Target]); 12] = [
        ("Tunnel1", &[Target::Ike(1)]),
        ("Tunnel1[]", &[Target::Ike(1)]),
        ("Tunnel1[*]", &[Target::Ike(1), Target::Ike(2)]),
        ("Tunnel1[2]", &[Target::Ike(2)]),
        ("[2]", &[Target::Ike(2)]),
        ("Tunnel1{}", &[Target::Child(1, 1)]),
        ("net", &[Target::Child(5, 2)]),
        ("net{*}", &[Target::Child(5, 2)]),
        ("{5}", &[Target::Child(5, 2)]),
        ("Tunnel1{5}", &[]),
        ("other", &[]),
        ("[x]", &[]),
    ];
    for (text, targets) in cases {
        assert_eq!(by_stroke_name(&sas, text), targets, "{text}");
    }
}

#[test]
fn time_spans_are_given_in_their_largest_unit() {
    for (seconds, text) in [
        (1, "1 second"),
        (120, "120 seconds"),
        (121, "2 minutes"),
        (7_200, "120 minutes"),
        (7_201, "2 hours"),
        (172_801, "2 days"),
    ] {
        assert_eq!(span(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn the_source_address_is_the_one_of_the_route() {
    let peer = peer_config("Tunnel1");
    let net = TestNet {
        source: Some(IpAddr::from([198, 51, 100, 7])),
    };
    let found = resolve::addresses(&peer, &Vec::new(), Some(&net));
    assert_eq!(
        found,
        Ok((IpAddr::from([198, 51, 100, 7]), IpAddr::from([192, 0, 2, 2])))
    );
}

#[test]
fn names_give_the_family_that_both_ends_have() {
    let mut peer = peer_config("Tunnel1");
    peer.local_addrs = vec![config::connection::Host::Address(IpAddr::from([198, 51, 100, 7]))];
    peer.remote_addrs = vec![config::connection::Host::Name("moon".into())];
    assert_eq!(resolve::names(&peer), ["moon"]);
    let names = vec![(
        "moon".to_owned(),
        vec!["2001:db8::1".parse().unwrap(), IpAddr::from([192, 0, 2, 9])],
    )];
    let found = resolve::addresses(&peer, &names, None);
    assert_eq!(
        found,
        Ok((IpAddr::from([198, 51, 100, 7]), IpAddr::from([192, 0, 2, 9])))
    );
    let unknown = resolve::addresses(&peer, &vec![("moon".to_owned(), Vec::new())], None);
    assert_eq!(
        unknown.map_err(|problem| problem.aborted()),
        Err("unable to resolve moon, initiate aborted".to_owned())
    );
}

/// Remembers what a command answers.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) events: Mutex<Vec<String>>,
    pub(super) done: Mutex<Option<Message>>,
}

impl Reply for Answers {
    fn event(&self, name: &str, message: &[u8]) -> bool {
        let lines = lines(&Message::decode(message).unwrap()).join(", ");
        self.events.lock().unwrap().push(format!("{name}: {lines}"));
        true
    }

    fn done(&self, message: &[u8]) {
        let message = Message::decode(message).unwrap();
        assert!(self.done.lock().unwrap().replace(message).is_none(), "one answer");
    }
}

pub(super) fn ask_message(daemon: &mut crate::run::Daemon, verb: &str, request: &Message) -> Arc<Answers> {
    let answers = Arc::new(Answers::default());
    let reply: Arc<dyn Reply> = Arc::clone(&answers) as Arc<dyn Reply>;
    daemon.command(verb, &request.encode_or_empty(), &reply);
    daemon.drain();
    answers
}

fn ask(
    daemon: &mut crate::run::Daemon,
    verb: &str,
    keys: &[(&str, &str)],
) -> (Vec<String>, Option<Vec<String>>) {
    let mut request = Message::default();
    for (key, value) in keys {
        request.push_value(key, value);
    }
    let answers = ask_message(daemon, verb, &request);
    let done = answers.done.lock().unwrap().as_ref().map(lines);
    let events = answers.events.lock().unwrap().clone();
    (events, done)
}

#[test]
fn what_does_not_exist_is_named_in_the_words_of_each_client() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let answer = |daemon: &mut _, verb, keys: &[_]| ask(daemon, verb, keys).1.unwrap();
    assert_eq!(
        answer(&mut daemon, "initiate", &[("child", "x")]),
        ["success = no", "errmsg = CHILD_SA config 'x' not found"]
    );
    assert_eq!(
        answer(&mut daemon, "initiate", &[("ike", "x")]),
        ["success = no", "errmsg = IKE_SA config 'x' not found"]
    );
    assert_eq!(
        answer(&mut daemon, "initiate", &[]),
        ["success = no", "errmsg = missing configuration name"]
    );
    assert_eq!(
        answer(&mut daemon, "initiate", &[("name", "x"), ("stroke", "yes")]),
        [
            "success = no",
            "errmsg = no config named 'x'",
            "text = [no config named 'x']"
        ]
    );
    assert_eq!(
        answer(&mut daemon, "terminate", &[("ike", "x")]),
        [
            "success = no",
            "matches = 0",
            "terminated = 0",
            "errmsg = no matching SAs to terminate found"
        ]
    );
    assert_eq!(
        answer(&mut daemon, "terminate", &[]),
        ["success = no", "errmsg = missing terminate selector"]
    );
    assert_eq!(
        answer(&mut daemon, "terminate", &[("name", "x"), ("stroke", "yes")]),
        [
            "success = no",
            "matches = 0",
            "terminated = 0",
            "errmsg = no matching SAs to terminate found",
            "text = []"
        ]
    );
    for (name, kind) in [
        ("x[9]", "IKE_SA"),
        ("[9]", "IKE_SA"),
        ("{9}", "CHILD_SA"),
        ("x{9}", "CHILD_SA"),
    ] {
        let answer = answer(&mut daemon, "terminate", &[("name", name), ("stroke", "yes")]);
        let line = format!("unable to terminate, {kind} with ID 9 not found");
        assert!(
            answer.last().is_some_and(|text| text.contains(&line)),
            "{answer:?}"
        );
    }
    assert_eq!(
        answer(&mut daemon, "frobnicate", &[]),
        [
            "success = no",
            "errmsg = unknown command 'frobnicate'",
            "unknown = yes"
        ]
    );
}

#[test]
fn what_is_wrong_with_a_redirect_is_said_in_the_words_of_vici() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let gateway = ("gateway", "192.0.2.9");
    for (keys, error) in [
        (&[("ike", "x")][..], "missing target gateway"),
        (&[("ike", "x"), ("gateway", "")], "missing target gateway"),
        (
            &[("ike", "x"), ("gateway", "10.0.0.0/8")],
            "unsupported gateway identity",
        ),
        (
            &[("ike", "x"), ("gateway", "C=CH, CN=gw")],
            "unsupported gateway identity",
        ),
        (&[gateway], "missing redirect selector"),
        (&[gateway, ("ike-id", "x")], "ike-id = x is not a number"),
        (&[gateway, ("peer-ip", "10.1")], "invalid peer IP selector"),
        (&[gateway, ("peer-id", "")], "invalid peer identity selector"),
    ] {
        let answer = ask(&mut daemon, "redirect", keys).1.unwrap();
        assert_eq!(answer, ["success = no", &format!("errmsg = {error}")], "{keys:?}");
    }
    for selector in [
        ("ike", "x"),
        ("ike-id", "7"),
        ("peer-ip", "10.1.0.0/16"),
        ("peer-ip", "10.1.0.1-10.1.0.9"),
        ("peer-id", "*.example.com"),
    ] {
        let answer = ask(&mut daemon, "redirect", &[gateway, selector]).1.unwrap();
        let expected = [
            "success = no",
            "errmsg = no matching SAs to redirect found",
            "matches = 0",
        ];
        assert_eq!(answer, expected, "{selector:?}");
    }
}

#[test]
fn clients_to_redirect_are_selected_by_all_that_is_given() {
    let sa = tunnel1(Instant::now());
    let matches = |keys: &[(&str, &str)]| {
        let request = keys
            .iter()
            .fold(Message::new(), |message, (key, value)| message.value(key, value));
        redirect::Selector::of(&request).unwrap().matches(&sa)
    };
    for keys in [
        &[("ike", "Tunnel1")][..],
        &[("ike-id", "1")],
        &[("peer-ip", "192.168.0.2")],
        &[("peer-ip", "192.168.0.0/24"), ("ike", "Tunnel1")],
        &[("peer-ip", "192.168.0.1-192.168.0.2")],
        &[("peer-id", "moon.strongswan.org")],
        &[("peer-id", "*.strongswan.org"), ("ike-id", "1")],
    ] {
        assert!(matches(keys), "{keys:?}");
    }
    for keys in [
        &[("ike", "Tunnel2")][..],
        &[("ike", "Tunnel1"), ("ike-id", "2")],
        &[("peer-ip", "192.168.0.3-192.168.0.9")],
        &[("peer-id", "carol.strongswan.org")],
    ] {
        assert!(!matches(keys), "{keys:?}");
    }
}

#[test]
fn a_connection_without_a_peer_address_cannot_be_initiated() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let mut peer = peer_config("rw");
    peer.remote_addrs = vec![config::connection::Host::Any];
    daemon.endpoint.add_connection(peer);
    let (events, done) = ask(&mut daemon, "initiate", &[("name", "rw"), ("stroke", "yes")]);
    assert_eq!(
        events,
        ["control-log: group = IKE, level = 1, msg = unable to resolve %any, initiate aborted"]
    );
    assert_eq!(done.unwrap()[2], "text = [establishing connection 'rw' failed]");
}

#[test]
fn version_and_stats_have_the_keys_that_clients_need() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let version = ask(&mut daemon, "version", &[]).1.unwrap();
    assert_eq!(version[0], "daemon = charon");
    assert!(version[1].starts_with("version = pqswan "), "{version:?}");
    let stats = ask(&mut daemon, "stats", &[]).1.unwrap();
    for key in [
        "uptime.running",
        "uptime.since",
        "workers.total",
        "queues.low",
        "scheduled",
        "ikesas.half-open",
    ] {
        assert!(
            stats.iter().any(|line| line.starts_with(&format!("{key} = "))),
            "{key}: {stats:?}"
        );
    }
}

#[test]
fn connections_of_ipsec_conf_are_added_and_deleted_and_refused_with_their_place() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let add = |daemon: &mut crate::run::Daemon, name: &str, keys: &[(&str, &str)]| {
        let settings = |message: Message| {
            keys.iter()
                .fold(message, |message, (key, value)| message.value(key, value))
        };
        let request = Message::new()
            .value("name", name)
            .value("source", "ipsec.conf:7")
            .section("settings", settings);
        let answers = Arc::new(Answers::default());
        daemon.command(
            "stroke-add-conn",
            &request.encode_or_empty(),
            &(Arc::clone(&answers) as Arc<dyn Reply>),
        );
        let done = answers.done.lock().unwrap().take().unwrap();
        lines(&done).join(", ")
    };
    let good = [
        ("right", "192.0.2.2"),
        ("authby", "psk"),
        ("keyexchange", "ikev2"),
    ];
    assert_eq!(add(&mut daemon, "net", &good), "success = yes");
    assert_eq!(daemon.endpoint.connections()[0].name, "net");
    let refused = add(
        &mut daemon,
        "bad",
        &[("right", "192.0.2.2"), ("ikelifetime", "soon")],
    );
    assert!(
        refused.contains("'bad' of ipsec.conf:7") && refused.contains("ikelifetime"),
        "{refused}"
    );
    for name in ["demanding", "net"] {
        let refused = add(&mut daemon, name, &[good[0], good[1], ("ah", "sha256!")]);
        let expected = format!(
            "connection '{name}' of ipsec.conf:7 refused: ah=sha256!: AH is not supported by the kernel back end"
        );
        assert!(
            refused.contains(&expected) && refused.contains("(ipsec.conf:7)"),
            "{refused}"
        );
        assert_eq!(
            refused.contains("the one that was loaded before stays"),
            name == "net",
            "{refused}"
        );
    }
    assert_eq!(daemon.endpoint.connections().len(), 1, "what was good stays");
    // Compression protects nothing.
    let compressed = add(&mut daemon, "net", &[good[0], good[1], ("compress", "yes")]);
    assert_eq!(compressed, "success = yes");
    assert_eq!(
        ask(&mut daemon, "stroke-del-conn", &[("name", "net")]).1.unwrap(),
        ["success = yes"]
    );
    assert!(daemon.endpoint.connections().is_empty());
}

/// What `list-policies` tells, with these keys.
fn policies(daemon: &mut crate::run::Daemon, keys: &[(&str, &str)]) -> Vec<String> {
    ask(daemon, "list-policies", keys).0
}

#[test]
fn traps_and_shunts_are_installed_listed_and_removed() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let mut peer = peer_config("gw");
    peer.local_addrs = vec![config::connection::Host::Address(IpAddr::from([198, 51, 100, 7]))];
    let mut lan = child_config("lan");
    lan.mode = config::connection::Mode::Pass;
    let mut leak = child_config("leak");
    leak.mode = config::connection::Mode::Drop;
    peer.children.extend([lan, leak].map(Arc::new));
    daemon.endpoint.add_connection(peer);
    let answer = |daemon: &mut _, verb, keys: &[_]| ask(daemon, verb, keys).1.unwrap().join(", ");
    for name in ["gw", "lan", "leak"] {
        assert_eq!(
            answer(&mut daemon, "install", &[("child", name)]),
            "success = yes"
        );
    }
    let all = [("drop", "yes"), ("pass", "yes"), ("trap", "yes")];
    assert_eq!(
        policies(&mut daemon, &all),
        [
            "list-policy: gw/lan.child = lan, gw/lan.ike = gw, gw/lan.mode = PASS, gw/lan.local-ts = [dynamic], \
             gw/lan.remote-ts = [10.1.0.0/16]",
            "list-policy: gw/leak.child = leak, gw/leak.ike = gw, gw/leak.mode = DROP, gw/leak.local-ts = [dynamic], \
             gw/leak.remote-ts = [10.1.0.0/16]",
            "list-policy: gw/gw.child = gw, gw/gw.reqid = 1, gw/gw.ike = gw, gw/gw.mode = TUNNEL, \
             gw/gw.local-ts = [198.51.100.7/32], gw/gw.remote-ts = [10.1.0.0/16]",
        ]
    );
    assert_eq!(policies(&mut daemon, &all[..1]).len(), 1);
    assert_eq!(policies(&mut daemon, &[]).len(), 0);
    assert_eq!(policies(&mut daemon, &[all[2], ("child", "lan")]).len(), 0);
    assert_eq!(policies(&mut daemon, &[all[1], ("ike", "gw")]).len(), 1);
    let stroke = policies(&mut daemon, &[all[2], ("stroke", "yes")]);
    assert!(stroke[0].contains("gw/gw.uniqueid = 1"), "{stroke:?}");
    for (verb, keys, expected) in [
        (
            "uninstall",
            vec![("child", "gw"), ("ike", "other")],
            "success = no, errmsg = policy 'gw' not found",
        ),
        ("uninstall", vec![("child", "gw"), ("ike", "gw")], "success = yes"),
        (
            "uninstall",
            vec![("child", "gw")],
            "success = no, errmsg = policy 'gw' not found",
        ),
        (
            "uninstall",
            vec![],
            "success = no, errmsg = missing configuration name",
        ),
        (
            "install",
            vec![],
            "success = no, errmsg = missing configuration name",
        ),
        (
            "install",
            vec![("child", "x")],
            "success = no, errmsg = configuration name not found",
        ),
        (
            "uninstall",
            vec![("name", "lan"), ("stroke", "yes")],
            "success = yes, text = [shunt policy 'lan' uninstalled]",
        ),
        (
            "install",
            vec![("name", "gw"), ("stroke", "yes")],
            "success = yes, text = ['gw' routed]",
        ),
        (
            "install",
            vec![("name", "lan"), ("stroke", "yes")],
            "success = yes, text = ['lan' shunt PASS policy installed]",
        ),
        (
            "uninstall",
            vec![("name", "gw"), ("stroke", "yes")],
            "success = yes, text = [trap policy 'gw' unrouted]",
        ),
        (
            "uninstall",
            vec![("name", "gw"), ("stroke", "yes")],
            "success = no, errmsg = configuration 'gw' not found",
        ),
        (
            "install",
            vec![("name", "x"), ("stroke", "yes")],
            "success = no, errmsg = no config named 'x', text = [no config named 'x']",
        ),
    ] {
        assert_eq!(answer(&mut daemon, verb, &keys), expected, "{verb} {keys:?}");
    }
}

#[test]
fn a_trap_needs_to_know_where_the_peer_is() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let mut peer = peer_config("rw");
    peer.remote_addrs = vec![config::connection::Host::Any];
    daemon.endpoint.add_connection(peer);
    let done = ask(&mut daemon, "install", &[("child", "rw")]).1.unwrap();
    assert_eq!(done, ["success = no", "errmsg = installing policy 'rw' failed"]);
    let done = ask(&mut daemon, "install", &[("name", "rw"), ("stroke", "yes")])
        .1
        .unwrap();
    assert_eq!(done[2], "text = [routing 'rw' failed]");
    assert_eq!(daemon.endpoint.policies().count(), 0);
}

#[test]
fn an_initiation_nobody_waits_for_looks_for_a_way_again() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    // There is no kernel-net plugin that would know an own address.
    daemon.endpoint.add_connection(peer_config("gw"));
    let peer = Arc::clone(&daemon.endpoint.connections()[0]);
    let child = peer.children.first().cloned();
    daemon.initiate_detached(Arc::clone(&peer), child.clone());
    let mut looks = 0;
    while let Some(when) = daemon.operations.deadline() {
        looks += 1;
        assert!(looks < 20, "it ends");
        daemon.expire_operations(when);
    }
    assert_eq!(looks, 6, "as long as one try takes");
    assert!(daemon.operations.running.is_empty());
    // It ends with its connection.
    daemon.initiate_detached(peer, child);
    assert!(daemon.endpoint.remove_connection("gw"));
    let when = daemon.operations.deadline().expect("another look");
    daemon.expire_operations(when);
    assert!(daemon.operations.running.is_empty());
}
