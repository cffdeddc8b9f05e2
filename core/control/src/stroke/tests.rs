use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::Error;
use crate::packet::{Packet, PacketType};

#[test]
fn a_request_is_a_packet_of_vici() {
    let request = Request::Initiate {
        name: "net".into(),
        wait: true,
    };
    assert_eq!(
        request.encode().unwrap(),
        b"\x00\x08initiate\x03\x04name\x00\x03net\x03\x04wait\x00\x03yes"
    );
}

#[test]
fn what_is_no_request_says_why() {
    let text = |octets: &[u8]| Request::decode(octets).unwrap_err().to_string();
    assert_eq!(text(b"\x00\x04evil"), "there is no request 'evil'");
    assert_eq!(text(b"\x00\x08initiate"), "request initiate lacks name");
    assert_eq!(
        text(b"\x00\x05purge\x03\x04what\x00\x01x"),
        "request purge of unknown 'x'"
    );
    assert_eq!(Request::decode(b"\x01"), Err(Error::PacketType(1)));
    assert_eq!(Request::decode(b""), Err(Error::Truncated(0)));
    let level = Packet::new(
        PacketType::CmdRequest,
        "loglevel",
        b"\x03\x05group\x00\x03any\x03\x05level\x00\x019".into(),
    );
    assert_eq!(text(&level.encode().unwrap()), "level '9' is none of -1 to 4");
}

#[test]
fn sas_are_named_in_eight_forms() {
    let parsed = |text: &str| text.parse::<SaSelector>().map(|it| (it.name, it.kind, it.which));
    let ok = |name: &str, kind, which| Ok((name.to_owned(), kind, which));
    assert_eq!(parsed("net"), ok("net", None, Which::One));
    assert_eq!(parsed("net[]"), ok("net", Some(Kind::Ike), Which::One));
    assert_eq!(parsed("net{}"), ok("net", Some(Kind::Child), Which::One));
    assert_eq!(parsed("net[*]"), ok("net", Some(Kind::Ike), Which::All));
    assert_eq!(parsed("net{*}"), ok("net", Some(Kind::Child), Which::All));
    assert_eq!(parsed("net{12}"), ok("net", Some(Kind::Child), Which::Id(12)));
    assert_eq!(parsed("[3]"), ok("", Some(Kind::Ike), Which::Id(3)));
    assert_eq!(parsed("{5}"), ok("", Some(Kind::Child), Which::Id(5)));
    for text in ["", "[]", "{*}", "net]", "net[x]", "net[-1]", "{99999999999}"] {
        assert!(parsed(text).is_err(), "{text}");
    }
}

fn selector() -> impl Strategy<Value = SaSelector> {
    let which = prop_oneof![
        Just(Which::One),
        Just(Which::All),
        any::<u32>().prop_map(Which::Id)
    ];
    (
        "[a-z][a-z0-9. -]{0,20}",
        option::of(select(vec![Kind::Ike, Kind::Child])),
        which,
    )
        .prop_map(|(name, kind, which)| SaSelector {
            name,
            kind,
            which: if kind.is_some() { which } else { Which::One },
        })
}

fn request() -> impl Strategy<Value = Request> {
    let name = || "\\PC{1,40}";
    let connection = (
        name(),
        "\\PC{0,30}",
        "[a-z]{0,8}",
        vec(("[a-z_%-]{1,20}", "\\PC{0,60}"), 0..30),
        vec(("[a-z]{1,4}", "\\PC{0,30}"), 0..3),
    );
    prop_oneof![
        (name(), any::<bool>()).prop_map(|(name, wait)| Request::Initiate { name, wait }),
        (selector(), any::<bool>()).prop_map(|(target, wait)| Request::Terminate { target, wait }),
        (name(), option::of(name())).prop_map(|(start, end)| Request::TerminateSourceIp { start, end }),
        selector().prop_map(|target| Request::Rekey { target }),
        name().prop_map(|name| Request::Route { name }),
        name().prop_map(|name| Request::Unroute { name }),
        connection.prop_map(|(name, source, uniqueids, settings, places)| {
            Request::AddConnection(Connection {
                name,
                source,
                uniqueids,
                settings,
                places,
            })
        }),
        name().prop_map(|name| Request::DeleteConnection { name }),
        (option::of(name()), any::<bool>()).prop_map(|(name, all)| Request::Status { name, all }),
        (vec(select(Listing::ALL), 0..12), any::<bool>()).prop_map(|(what, utc)| Request::List { what, utc }),
        vec(select(Credentials::ALL), 0..6).prop_map(Request::Reread),
        select(Cache::ALL).prop_map(Request::Purge),
        (option::of(name()), option::of(name()))
            .prop_map(|(pool, address)| Request::Leases { pool, address }),
        ("[a-z]{1,4}", -1i8..=4).prop_map(|(group, level)| Request::LogLevel { group, level }),
        (option::of(name()), any::<bool>()).prop_map(|(name, reset)| Request::Counters { name, reset }),
        Just(Request::Version),
        ".{1,20}".prop_map(|text| Request::Report { text }),
    ]
}

proptest! {
    #[test]
    fn a_request_survives_the_round_trip(request in request()) {
        prop_assert_eq!(Request::decode(&request.encode().unwrap()), Ok(request));
    }

    #[test]
    fn a_torn_request_never_becomes_another_verb(request in request(), cut in any::<prop::sample::Index>()) {
        let octets = request.encode().unwrap();
        if let Ok(torn) = Request::decode(&octets[..cut.index(octets.len())]) {
            prop_assert_eq!(std::mem::discriminant(&torn), std::mem::discriminant(&request));
        }
    }

    #[test]
    fn random_octets_never_panic(octets in vec(any::<u8>(), 0..300)) {
        let _ = Request::decode(&octets);
        let _ = Request::decode(&[b"\x00\x06status".as_slice(), &octets].concat());
    }
}
