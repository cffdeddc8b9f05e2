//! Who the ends are if `leftid` and `rightid` do not say so.

use super::*;
use crate::identity::Identity;

/// Identities of this end and the peer.
fn ids(settings: &str) -> [Option<Identity>; 2] {
    let peer = one(settings).peer;
    [&peer.local_auth, &peer.remote_auth].map(|rounds| rounds[0].id.clone())
}

/// Identities as they are written, `*` for none.
fn written(ids: [&str; 2]) -> [Option<Identity>; 2] {
    ids.map(|id| (id != "*").then(|| Identity::parse(id)))
}

#[test]
fn ends_are_who_their_addresses_say() {
    for (settings, expected) in [
        ("left=10.0.0.1\nright=192.168.0.2", ["10.0.0.1", "192.168.0.2"]),
        ("right=192.168.0.2", ["*", "192.168.0.2"]),
        ("left=%any\nright=192.168.0.2", ["*", "192.168.0.2"]),
        ("left=%defaultroute\nright=%192.168.0.2", ["*", "192.168.0.2"]),
        ("left=10.0.0.1\nright=%any", ["10.0.0.1", "*"]),
        ("left=10.0.0.1\nright=%any6", ["10.0.0.1", "*"]),
        ("left=10.0.0.1\nright=0.0.0.0", ["10.0.0.1", "*"]),
        (
            "left=10.0.0.1\nright=gate.example.org",
            ["10.0.0.1", "@gate.example.org"],
        ),
        (
            "left=10.0.0.1\nright=192.168.0.2,192.168.0.7",
            ["10.0.0.1", "@192.168.0.2,192.168.0.7"],
        ),
        (
            "left=10.0.0.1\nright=192.168.0.0/24",
            ["10.0.0.1", "ipv4net:192.168.0.0/24"],
        ),
        ("left=10.0.0.1\nright=fec0::1", ["10.0.0.1", "fec0::1"]),
        // What is said goes first, also that it is anyone.
        (
            "left=10.0.0.1\nleftid=@moon\nright=192.168.0.2\nrightid=%any",
            ["@moon", "*"],
        ),
        (
            "left=10.0.0.1\nleftid=%any\nright=192.168.0.2",
            ["*", "192.168.0.2"],
        ),
        // A certificate says who its owner is.
        (
            "left=10.0.0.1\nright=192.168.0.2\nrightcert=peer.pem",
            ["10.0.0.1", "*"],
        ),
    ] {
        assert_eq!(ids(settings), written(expected), "{settings}");
    }
}

#[test]
fn ends_that_are_swapped_take_their_identities_along() {
    assert_eq!(
        ids("left=192.168.0.2\nright=10.0.0.1"),
        written(["10.0.0.1", "192.168.0.2"])
    );
    assert_eq!(
        ids("left=gate.example.org\nright=10.0.0.1"),
        written(["10.0.0.1", "@gate.example.org"])
    );
}

#[test]
fn in_its_second_round_an_end_is_who_it_was_in_the_first() {
    let second = |settings: &str| {
        let settings = format!("left=10.0.0.1\nright=192.168.0.2\n{settings}");
        let peer = one(&settings).peer;
        [peer.local_auth, peer.remote_auth].map(|rounds| rounds.get(1).and_then(|round| round.id.clone()))
    };
    let id = |text: &str| Some(Identity::parse(text));
    let both = "leftauth2=psk\nrightauth2=psk";
    assert_eq!(second(both), [id("10.0.0.1"), None]);
    assert_eq!(second(&format!("{both}\nleftid=@a")), [id("@a"), None]);
    assert_eq!(
        second(&format!("{both}\nleftid=@a\nleftid2=@b\nrightid2=@c")),
        [id("@b"), id("@c")]
    );
}

#[test]
fn what_both_ends_are_said_to_do_counts_only_if_neither_end_says_it_itself() {
    let classes = |settings: &str| {
        let peer = one(&format!("left=10.0.0.1\nright=192.168.0.2\n{settings}")).peer;
        [peer.local_auth[0].class, peer.remote_auth[0].class]
    };
    let (psk, pubkey) = (AuthClass::Psk, AuthClass::Pubkey);
    assert_eq!(classes("authby=secret"), [psk, psk]);
    assert_eq!(classes("authby=secret\nleftauth=psk"), [psk, pubkey]);
    assert_eq!(classes("authby=secret\nrightauth=psk"), [pubkey, psk]);
    assert_eq!(classes("leftauth=psk\nrightauth=psk"), [psk, psk]);
    assert_eq!(classes(""), [pubkey, pubkey]);
}

#[test]
fn the_prefix_of_an_identity_may_be_written_in_any_case_of_letters() {
    for (written, plain) in [
        ("FQDN:moon", "fqdn:moon"),
        ("Email:carol@strongswan.org", "email:carol@strongswan.org"),
        ("KEYID:moon", "keyid:moon"),
        ("Ipv4:10.0.0.1", "ipv4:10.0.0.1"),
        ("XmppAddr:a@b", "xmppaddr:a@b"),
    ] {
        assert_eq!(Identity::parse(written), Identity::parse(plain));
        assert_ne!(Identity::parse(written).data, written.as_bytes());
    }
}

#[test]
fn any_virtual_ip_is_of_the_family_of_the_subnets() {
    let vip = |settings: &str| one(&format!("{settings}\nleftsourceip=%config")).peer.vips[0].to_string();
    for (settings, family) in [
        ("left=10.0.0.1\nright=fec0::1", "0.0.0.0"),
        ("left=fec0::1", "::"),
        ("left=fec0::1\nleftsubnet=10.1.0.0/16", "0.0.0.0"),
        ("left=10.0.0.1\nrightsubnet=fec1::/16", "::"),
        ("left=%any6", "::"),
        ("left=%any", "0.0.0.0"),
    ] {
        assert_eq!(vip(settings), family, "{settings}");
    }
}
