mod asked;

use std::sync::Arc;
use std::time::Duration;

use config::connection::{Action, AuthClass, Childless, Fragmentation, IkeVersion, Mode, UniquePolicy};
use config::kernel::{CopyDscp, HwOffload};
use control::vici::{Element, Message};
use proptest::prelude::*;

use super::super::tests::{Answers, ask_message};
use super::{Notes, connection};
use crate::run::Daemon;
use crate::testing::{TestKernel, daemon, lines};

fn section(text: &str) -> Message {
    // `key = value`, `list = [a b]`, and `name { … }`, as `swanctl --raw` prints them.
    fn parse<'a>(words: &mut impl Iterator<Item = &'a str>) -> Vec<Element> {
        let mut elements = Vec::new();
        while let Some(word) = words.next() {
            if word == "}" {
                break;
            }
            let next = words.next().expect("a value");
            if next == "{" {
                elements.push(Element::Section(word.to_owned(), parse(words)));
                continue;
            }
            let value = words.next().expect("a value");
            if value != "[" {
                elements.push(Element::Value(word.to_owned(), value.as_bytes().to_vec()));
                continue;
            }
            let items = words.by_ref().take_while(|word| *word != "]");
            let items = items.map(|item| item.as_bytes().to_vec()).collect();
            elements.push(Element::List(word.to_owned(), items));
        }
        elements
    }
    parse(&mut text.split_whitespace()).into()
}

fn load(daemon: &mut Daemon, text: &str) -> String {
    let answers = ask_message(daemon, "load-conn", &section(text));
    answer(&answers)
}

fn answer(answers: &Answers) -> String {
    let done = answers.done.lock().unwrap();
    lines(done.as_ref().expect("an answer")).join(", ")
}

fn listed(daemon: &mut Daemon) -> String {
    let answers = ask_message(daemon, "list-conns", &Message::new());
    let events = answers.events.lock().unwrap();
    events.join("\n")
}

const FULL: &str = "full { version = 2 local_addrs = [ 192.168.0.3 ] remote_addrs = [ 192.168.0.2 moon ] \
    remote_port = 4500 dpd_delay = 30s reauth_time = 2h over_time = 10m unique = replace mobike = no \
    local { auth = psk id = carol } remote { auth = psk id = moon } \
    children { net { local_ts = [ 10.3.0.0/16 ] remote_ts = [ 10.1.0.0/16 10.2.0.1[tcp/80] ] rekey_time = 20m \
    rekey_bytes = 5m mode = transport dpd_action = restart close_action = trap } } }";

#[test]
fn a_connection_has_what_was_said_and_defaults_for_the_rest() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    assert_eq!(load(&mut daemon, FULL), "success = yes");
    let expected = "list-conn: full.local_addrs = [192.168.0.3], full.remote_addrs = [192.168.0.2, moon], \
        full.local_port = 500, full.remote_port = 4500, full.version = IKEv2, full.reauth_time = 7200, \
        full.rekey_time = 0, full.unique = UNIQUE_REPLACE, full.dpd_delay = 30, full.local-1.id = carol, full.local-1.class = pre-shared key, full.local-1.groups = [], full.local-1.cert_policy = [], full.local-1.certs = [], \
        full.local-1.cacerts = [], full.remote-1.id = moon, full.remote-1.class = pre-shared key, \
        full.remote-1.groups = [], full.remote-1.cert_policy = [], full.remote-1.certs = [], full.remote-1.cacerts = [], \
        full.children.net.mode = TRANSPORT, full.children.net.rekey_time = 1200, \
        full.children.net.rekey_bytes = 5242880, full.children.net.rekey_packets = 0, \
        full.children.net.dpd_action = start, full.children.net.close_action = trap, \
        full.children.net.local-ts = [10.3.0.0/16], full.children.net.remote-ts = [10.1.0.0/16, 10.2.0.1/32[tcp/http]]";
    let listed = listed(&mut daemon);
    // The default proposals are others' concern.
    let fields = listed
        .split(", full.")
        .filter(|field| !field.contains("proposals."));
    assert_eq!(fields.collect::<Vec<_>>().join(", full."), expected);
}

#[test]
fn lifetimes_follow_from_those_that_were_said() {
    let times = |text: &str| {
        let text = format!("local {{ auth = psk }} remote {{ auth = psk }} {text}");
        let peer = connection::connection("c", &section(&text).elements, &mut Notes::default()).unwrap();
        let child = peer.children.first().map(|child| child.lifetime.time);
        let ike = peer.lifetime;
        let child = child.map(|time| [time.rekey, time.life, time.jitter].map(|time| time.as_secs()));
        (
            [ike.reauth, ike.rekey, ike.over, ike.jitter].map(|time| time.as_secs()),
            child,
        )
    };
    let net = |text: &str| {
        times(&format!("children {{ net {{ {text} }} }}"))
            .1
            .expect("a child")
    };
    assert_eq!(times("").0, [0, 14_400, 1_440, 1_440]);
    assert_eq!(times("reauth_time = 1h").0, [3_600, 0, 360, 360]);
    assert_eq!(
        times("reauth_time = 1h rekey_time = 10m").0,
        [3_600, 600, 360, 300]
    );
    assert_eq!(times("rekey_time = 0").0, [0, 0, 0, 0]);
    assert_eq!(
        times("rekey_time = 1000 over_time = 10 rand_time = 5").0,
        [0, 1_000, 10, 5]
    );
    assert_eq!(net(""), [3_600, 3_960, 360]);
    assert_eq!(net("rekey_time = 100"), [100, 110, 10]);
    assert_eq!(net("life_time = 110"), [100, 110, 10]);
    assert_eq!(net("rekey_time = 100 life_time = 150"), [100, 150, 50]);
    assert_eq!(net("rekey_time = 100 rand_time = 0"), [100, 110, 0]);
    assert_eq!(net("rekey_time = 0"), [0, 0, 0]);
}

#[test]
fn what_cannot_be_is_refused_and_leaves_what_was() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    load(&mut daemon, FULL);
    let before = listed(&mut daemon);
    for (text, error) in [
        (
            "full { lifetime = 1h }",
            "unknown option: lifetime, config discarded",
        ),
        (
            "full { version = 3 }",
            "invalid value for: version, config discarded ('3')",
        ),
        (
            "full { local_addrs = 1.2.3.4 }",
            "invalid value for: local_addrs, config discarded ('1.2.3.4')",
        ),
        (
            "full { remote_addrs = [ moon 10.0.0.300 ] }",
            "invalid value for: remote_addrs, config discarded ('10.0.0.300' looks like an address but is not one, \
             expected an address, subnet, range, name or %any)",
        ),
        (
            "full { local_addrs = [ fe80::zz ] }",
            "invalid value for: local_addrs, config discarded ('fe80::zz' looks like an address but is not one, \
             expected an address, subnet, range, name or %any)",
        ),
        (
            "full { vips = [ 10.0.0 ] }",
            "invalid value for: vips, config discarded ('10.0.0')",
        ),
        (
            "full { children { net { remote_ts = [ 10.0.0 ] } } }",
            "invalid value for: remote_ts, config discarded ('10.0.0' is not a subnet, range or address, expected one \
             like 10.1.0.0/16)",
        ),
        (
            "full { dpd_delay = [ 30s ] }",
            "invalid value for: dpd_delay, config discarded",
        ),
        ("full { child { } }", "invalid section: child"),
        (
            "full { local { auth = magic } }",
            "invalid value for: auth, config discarded ('magic')",
        ),
        (
            "full { local { certificate = x } }",
            "unknown option: certificate, config discarded",
        ),
        (
            "full { children { net { mode = beet } } }",
            "invalid value for: mode, config discarded ('beet')",
        ),
        (
            "full { children { net { local_ts = [ nowhere ] } } }",
            "invalid value for: local_ts, config discarded ('nowhere' is not a subnet, range or address, expected one like 10.1.0.0/16)",
        ),
        // As strongSwan refuses it where there is no SELinux.
        (
            "full { children { net { label_mode = selinux } } }",
            "invalid value for: label_mode, config discarded ('selinux')",
        ),
        (
            "full { children { net { label_mode = simple label = system_u:object_r:ipsec_spd_t:s0 } } }",
            "security labels are not supported: label, config discarded",
        ),
        (
            "full { proposals = [ aes256-nonsense ] }",
            "invalid value for: proposals, config discarded (algorithm 'nonsense' not recognized in 'aes256-nonsense')",
        ),
        (
            "full { children { net { esp_proposals = [ nonsense ] } } }",
            "invalid value for: esp_proposals, config discarded (algorithm 'nonsense' not recognized in 'nonsense')",
        ),
        (
            "full { version = 0x1 }",
            "IKEv1 is not supported, use IKEv2 on both ends: version, config discarded",
        ),
        (
            "full { children { net { ah_proposals = [ sha256 ] } } }",
            "AH is not supported by the kernel back end, and ESP would be negotiated in its place; load kernel-netlink on \
             a kernel with AH, or use ESP proposals on both ends: ah_proposals, config discarded",
        ),
        (
            "full { remote { id = @#xyz } }",
            "invalid value for: id, config discarded ('@#xyz' has no pairs of hexadecimal digits behind its '#')",
        ),
        ("full = 1", "unknown option: full, config discarded"),
    ] {
        assert_eq!(
            load(&mut daemon, text),
            format!("success = no, errmsg = {error}"),
            "{text}"
        );
        assert_eq!(listed(&mut daemon), before, "{text}");
    }
}

#[test]
fn words_times_and_numbers_are_taken_in_any_case() {
    let text = "version = 0x2 unique = KEEP childless = Never fragmentation = Force send_cert = IfAsked \
        reauth_time = -1 rekey_time = 1H dpd_delay = 30S keyingtries = -1 profile = Draft \
        local { auth = PSK } remote { auth = EAP-mschapv2 revocation = Strict } children { net { \
        mode = TRANSPORT start_action = Trap dpd_action = RESTART close_action = Start hw_offload = Auto \
        copy_dscp = IN mark_in = %UNIQUE reqid = -1 replay_window = -1 label_mode = System \
        local_ts = [ 10.1.0.0/16[ospf] ] } }";
    let mut notes = Notes::default();
    let peer = connection::connection("c", &section(text).elements, &mut notes).expect("it loads");
    assert_eq!((peer.version, peer.unique), (IkeVersion::V2, UniquePolicy::Keep));
    assert_eq!(
        (peer.childless, peer.fragmentation),
        (Childless::Never, Fragmentation::Force)
    );
    assert_eq!(peer.profile, Some(iana::Profile::Draft));
    assert_eq!(peer.keying_tries, Some(u32::MAX));
    assert_eq!(
        (peer.lifetime.rekey, peer.dpd_delay),
        (Duration::from_secs(3600), Duration::from_secs(30))
    );
    assert!(peer.lifetime.reauth > Duration::from_secs(u32::MAX.into()) / 2);
    assert_eq!(
        (peer.local_auth[0].class, peer.remote_auth[0].class),
        (AuthClass::Psk, AuthClass::Eap)
    );
    assert_eq!(peer.remote_auth[0].constraints.len(), 2);
    let child = &peer.children[0];
    assert_eq!((child.mode, child.reqid), (Mode::Transport, u32::MAX));
    assert_eq!(
        (child.start_action, child.dpd_action, child.close_action),
        (Action::Trap, Action::Start, Action::Start)
    );
    assert_eq!(child.replay_window, None);
    assert_eq!(
        (child.kernel.hw_offload, child.kernel.copy_dscp),
        (HwOffload::Auto, CopyDscp::In)
    );
    assert_eq!(child.local_ts[0].to_string(), "10.1.0.0/16[ospf]");
    assert!(notes.keys.is_empty(), "{:?}", notes.keys);
}

#[test]
fn an_empty_number_time_or_action_is_one_that_is_not_set() {
    let parse = |another: &str| {
        let empty = |message: Message, key: &str| message.value(key, "");
        let child = [
            "reqid",
            "mark_in",
            "if_id_out",
            "rekey_time",
            "life_bytes",
            "start_action",
            "dpd_action",
        ];
        let child = child.into_iter().fold(Message::new(), empty);
        let keys = ["version", "local_port", "dpd_delay", "keyingtries", "dscp"];
        let conn = keys.into_iter().fold(Message::new(), empty).value(another, "");
        let conn = conn.section("children", |it| it.section("net", |_| child.clone()));
        connection::connection("c", &conn.elements, &mut Notes::default())
    };
    let plain = connection::connection(
        "c",
        &section("children { net { } }").elements,
        &mut Notes::default(),
    );
    assert_eq!(parse("rekey_time"), plain);
    // What has no number for "not set" is not guessed.
    for key in ["mobike", "unique", "fragmentation"] {
        assert!(parse(key).is_err(), "{key}");
    }
}

#[test]
fn a_shunt_demands_nothing_of_what_is_not_negotiated() {
    let text = "version = 1 children { net { mode = drop ah_proposals = [ sha256 ] } }";
    let loaded = connection::connection("c", &section(text).elements, &mut Notes::default());
    assert!(loaded.is_ok(), "{loaded:?}");
}

#[test]
fn vici_names_and_unloads_only_its_own() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    daemon
        .endpoint
        .add_connection(crate::testing::peer_config("full"));
    load(&mut daemon, FULL);
    let names = |daemon: &mut Daemon| answer(&ask_message(daemon, "get-conns", &Message::new()));
    assert_eq!(names(&mut daemon), "conns = [full]");
    assert_eq!(listed(&mut daemon).lines().count(), 2);
    let unload = |daemon: &mut Daemon| {
        answer(&ask_message(
            daemon,
            "unload-conn",
            &Message::new().value("name", "full"),
        ))
    };
    assert_eq!(unload(&mut daemon), "success = yes");
    assert_eq!(
        unload(&mut daemon),
        "success = no, errmsg = unload: connection 'full' not found"
    );
    assert_eq!(names(&mut daemon), "conns = []");
    assert_eq!(listed(&mut daemon).lines().count(), 1);
}

#[test]
fn secrets_are_known_by_their_ids() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let secret = Message::new()
        .value("id", "ike-1")
        .value("type", "ike")
        .value("data", "secret");
    let owned = secret.clone().list("owners", ["moon", "carol"]);
    let ask =
        |daemon: &mut Daemon, verb: &str, message: &Message| answer(&ask_message(daemon, verb, message));
    for message in [&secret, &owned] {
        assert_eq!(ask(&mut daemon, "load-shared", message), "success = yes");
        assert_eq!(ask(&mut daemon, "get-shared", &Message::new()), "keys = [ike-1]");
    }
    let [moon, sun] = ["moon", "sun"].map(config::identity::Identity::parse);
    assert_eq!(daemon.endpoint.secrets_mut().ike_secrets(&sun, &moon).len(), 1);
    assert!(daemon.endpoint.secrets_mut().ike_secrets(&sun, &sun).is_empty());
    let wrong = Message::new().value("type", "rsa").value("data", "x");
    let refused = "success = no, errmsg = invalid shared key type: rsa";
    assert_eq!(ask(&mut daemon, "load-shared", &wrong), refused);
    let unload = Message::new().value("id", "ike-1");
    assert_eq!(ask(&mut daemon, "unload-shared", &unload), "success = yes");
    assert_eq!(ask(&mut daemon, "get-shared", &Message::new()), "keys = []");
}

fn element() -> impl Strategy<Value = Element> {
    let name = prop::sample::select(vec![
        "version",
        "local_addrs",
        "proposals",
        "children",
        "local",
        "remote-2",
        "dpd_delay",
        "local_ts",
        "mode",
        "net",
        "rekey_time",
        "life_bytes",
        "mark_in",
        "set_mark_out",
        "if_id_in",
        "priority",
        "hw_offload",
        "copy_dscp",
        "auth",
        "id",
        "round",
        "unique",
        "tfc_padding",
        "over_time",
    ]);
    let value = prop_oneof![
        "[0-9]{1,20}[smhdkg]?",
        "[a-z%/.:0-9]{0,12}",
        Just("yes".to_owned()),
        Just("aes128-sha256-x25519".to_owned()),
    ];
    let leaf = prop_oneof![
        (name.clone(), value.clone()).prop_map(|(name, value)| Element::Value(name.into(), value.into())),
        (name.clone(), prop::collection::vec(value, 0..3)).prop_map(|(name, items)| Element::List(
            name.into(),
            items.into_iter().map(Into::into).collect()
        )),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        (name.clone(), prop::collection::vec(inner, 0..6))
            .prop_map(|(name, elements)| Element::Section(name.into(), elements))
    })
}

proptest! {
    #[test]
    fn any_message_makes_a_whole_connection_or_none(elements in prop::collection::vec(element(), 0..8)) {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        let request = Message::from(vec![Element::Section("any".into(), elements)]);
        let loaded = answer(&ask_message(&mut daemon, "load-conn", &request)) == "success = yes";
        prop_assert_eq!(daemon.endpoint.connections().len(), usize::from(loaded));
    }
}

#[test]
fn post_quantum_preshared_keys_are_loaded_and_listed() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let text = FULL.replacen(
        "version = 2",
        "version = 2 ppk_id = ppk-1 ppk_required = yes childless = prefer",
        1,
    );
    assert_eq!(load(&mut daemon, &text), "success = yes");
    let peer = &daemon.endpoint.connections()[0];
    assert_eq!(peer.ppk_id, Some(config::identity::Identity::parse("ppk-1")));
    assert!(peer.ppk_required);
    assert_eq!(peer.childless, Childless::Prefer);
    let listed = listed(&mut daemon);
    assert!(
        listed.contains("full.ppk_id = ppk-1, full.ppk_required = yes, full.local-1"),
        "{listed}"
    );
    let secret = Message::new()
        .value("type", "PPK")
        .value("data", "x")
        .list("owners", ["ppk-1"]);
    assert_eq!(
        answer(&ask_message(&mut daemon, "load-shared", &secret)),
        "success = yes"
    );
    let owner = config::identity::Identity::parse("ppk-1");
    assert!(daemon.endpoint.secrets_mut().ppk(&owner).is_some());
}

#[test]
fn a_listing_goes_on_where_its_page_ended() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    for name in ["a", "b", "c"] {
        load(&mut daemon, &FULL.replacen("full", name, 1));
    }
    let mut page = |after: &str| {
        let request = Message::new().value("page", 2).value("after", after);
        let answers = ask_message(&mut daemon, "list-conns", &request);
        let events = answers.events.lock().unwrap().len();
        (events, answer(&answers))
    };
    assert_eq!(page("0"), (2, "next = 2".to_owned()));
    assert_eq!(page("2"), (1, String::new()));
    assert_eq!(page("3"), (0, String::new()));
}

#[test]
fn start_actions_install_what_goes_with_the_configuration() {
    let mut daemon = daemon(Arc::new(TestKernel::default()));
    let conn = |children: &str| {
        format!(
            "gw {{ local_addrs = [ 192.168.0.3 ] remote_addrs = [ 192.168.0.2 ] local {{ auth = psk }} \
             remote {{ auth = psk }} children {{ {children} }} }}"
        )
    };
    let net = "net { remote_ts = [ 10.1.0.0/16 ] start_action = trap }";
    let both = "both { remote_ts = [ 10.2.0.0/16 ] start_action = trap|start }";
    let lan = "lan { mode = pass remote_ts = [ 10.9.0.0/16 ] start_action = trap }";
    let installed = |daemon: &mut Daemon| -> Vec<String> {
        daemon.drain();
        daemon
            .endpoint
            .policies()
            .map(|policy| policy.child.name.clone())
            .collect()
    };
    load(&mut daemon, &conn(&[net, both, lan].join(" ")));
    assert_eq!(installed(&mut daemon), ["net", "both", "lan"]);
    // What stays the same stays installed, what goes does not.
    load(&mut daemon, &conn(net));
    assert_eq!(installed(&mut daemon), ["net"]);
    // Another peer, and all of it anew.
    load(&mut daemon, &conn(lan).replace("192.168.0.2", "192.168.0.9"));
    assert_eq!(installed(&mut daemon), ["lan"]);
    let by_hand = "gw { local_addrs = [ 192.168.0.3 ] remote_addrs = [ 192.168.0.2 ] local { auth = psk } \
                   remote { auth = psk } children { net { remote_ts = [ 10.1.0.0/16 ] } } }";
    load(&mut daemon, by_hand);
    let install = Message::new().value("child", "net");
    assert_eq!(
        answer(&ask_message(&mut daemon, "install", &install)),
        "success = yes"
    );
    ask_message(&mut daemon, "unload-conn", &Message::new().value("name", "gw"));
    assert_eq!(installed(&mut daemon), Vec::<String>::new());
}
