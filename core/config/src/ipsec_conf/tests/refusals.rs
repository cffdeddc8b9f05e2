//! What costs a connection, and what is only said.

use super::*;
use crate::connection::ProposalList;
use crate::kernel::{Ah, EspBeside};

/// What is said about a conn with these settings, and whether it loads.
fn said(settings: &str) -> (Vec<String>, bool) {
    let lines: String = settings.lines().map(|line| format!("  {line}\n")).collect();
    let conf = IpsecConf::parse(&format!("conn x\n{lines}"), "ipsec.conf").expect("it parses");
    let loads = !conf.conns.is_empty();
    (conf.messages, loads)
}

#[test]
fn what_demands_protection_that_is_not_there_costs_the_connection() {
    for (settings, why) in [
        ("keyexchange=ikev1", "IKEv1 is not supported"),
        ("mediation=yes", "mediation is not supported"),
        ("mediated_by=m", "mediation is not supported"),
    ] {
        let (messages, loads) = said(settings);
        assert!(!loads, "{settings}");
        let start = format!("# unsupported: {settings} (ipsec.conf:2: {why}");
        assert!(messages[0].starts_with(&start), "{messages:?}");
        // Whoever does not ask here first is refused, too.
        let (key, value) = settings.split_once('=').expect("a setting");
        let settings = [(key.to_owned(), value.to_owned())].into();
        let error = to_peer_config("x", &settings, "ipsec.conf:1", "yes", &|_| false, true);
        let error = error.expect_err("refused");
        assert_eq!(error.key.as_deref(), Some(key));
        assert!(error.to_string().contains(why), "{error}");
    }
    for shunt in ["passthrough", "drop"] {
        let (messages, loads) = said(&format!("type={shunt}\nkeyexchange=ikev1\nmediation=yes"));
        assert!(loads, "a shunt negotiates nothing: {messages:?}");
    }
}

#[test]
fn a_typo_in_what_guards_a_connection_costs_it() {
    for (key, meant) in [
        ("rightgroup", "rightgroups"),
        ("rigthid", "rightid"),
        ("RightAuth", "rightauth"),
        ("rightauht2", "rightauth2"),
        ("rigth", "right"),
        ("leftsubnets", "leftsubnet"),
        ("authy", "authby"),
        ("esps", "esp"),
        ("alsoo", "also"),
        ("keyexchang", "keyexchange"),
    ] {
        let (messages, loads) = said(&format!("{key}=x"));
        assert!(!loads, "{key}");
        let start = format!("# unknown keyword '{key}' (ipsec.conf:2, did you mean '{meant}'?");
        assert!(messages[0].starts_with(&start), "{messages:?}");
    }
    for key in [
        "lifetimes",
        "ikev2",
        "phase2alg",
        "dpd",
        "salifetime",
        "pfs",
        "leftnexthop",
    ] {
        assert!(said(&format!("{key}=x")).1, "{key}");
    }
    assert!(said("ikev2=yes").0[0].contains("did you mean 'keyexchange=ikev2'?"));
}

#[test]
fn identities_that_are_none_are_mistakes() {
    for value in ["@", "@#0", "192.168.0.300", "keyid:", "ipv6:moon"] {
        for key in ["leftid", "rightid", "leftid2", "rightid2"] {
            let (messages, loads) = said(&format!("{key}={value}"));
            assert!(!loads, "{key}={value}");
            assert!(
                messages[0].starts_with(&format!("# bad value: {key}={value} (ipsec.conf:2: '")),
                "{messages:?}"
            );
        }
    }
}

#[test]
fn what_looks_like_an_address_but_is_none_costs_the_connection() {
    for key in [
        "left",
        "right",
        "leftsubnet",
        "rightsubnet",
        "leftsourceip",
        "rightsourceip",
    ] {
        for value in [
            "10.0.0.300",
            "10.0.0",
            "fe80::zz",
            "10.0.0.0/33",
            "10.0.0.9-10.0.0.1",
        ] {
            let (messages, loads) = said(&format!("{key}={value}"));
            assert!(!loads, "{key}={value}");
            let start = format!("# bad value: {key}={value} (ipsec.conf:2: ");
            assert!(messages[0].starts_with(&start), "{messages:?}");
            let settings = [(key.to_owned(), value.to_owned())].into();
            let error = to_peer_config("x", &settings, "ipsec.conf:1", "yes", &|_| false, true);
            assert_eq!(error.expect_err("refused").key.as_deref(), Some(key));
        }
    }
    for (value, bad) in [("%10.0.0", "10.0.0"), ("gw.example,10.0.0", "10.0.0")] {
        let (messages, loads) = said(&format!("right={value}"));
        assert!(!loads, "{value}");
        assert!(messages[0].contains(&format!("'{bad}' looks like an address but is not one")));
    }
    assert!(said("left=%any\nright=%gw1.example,10.0.0.0/8").1);
}

#[test]
fn a_bad_subnet_of_several_is_skipped_and_the_last_comma_is_nothing() {
    let text = "rightsubnet=10.1.0.0/16,10.2.0.0/33,10.3.0.0/16[tcp/nosuch],10.4.0.0/16,";
    let (messages, loads) = said(text);
    assert!(loads);
    assert_eq!(
        messages,
        [
            "# bad subnet: rightsubnet=10.2.0.0/33, skipped: '10.2.0.0/33' is not a subnet, range or address, expected \
             one like 10.1.0.0/16 (ipsec.conf:2)",
            "# bad subnet: rightsubnet=10.3.0.0/16[tcp/nosuch], skipped: 'nosuch' is not a port, a range of ports or a \
             service that /etc/services has (ipsec.conf:2)",
            "### 2 parsing error(s) (0 fatal) ###",
        ]
    );
    let settings = [(
        "rightsubnet".to_owned(),
        text.split_once('=').expect("a setting").1.to_owned(),
    )]
    .into();
    let converted =
        to_peer_config("x", &settings, "ipsec.conf:1", "yes", &|_| true, true).expect("it converts");
    let selectors: Vec<String> = converted.peer.children[0]
        .remote_ts
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(selectors, ["10.1.0.0/16", "10.4.0.0/16"]);
    assert!(
        converted.messages[1]
            .1
            .starts_with("invalid subnet: 10.2.0.0/33, skipped"),
        "{:?}",
        converted.messages
    );
    for none in ["10.1.0.0/33", "a,b", ","] {
        let (messages, loads) = said(&format!("rightsubnet={none}"));
        assert!(!loads, "{none}");
        assert!(!messages[0].contains("expected ''"), "{messages:?}");
    }
}

#[test]
fn protoport_restricts_what_has_no_protocol_of_its_own() {
    let child = &one("leftsubnet=10.1.0.0/16,10.2.0.0/16[udp/53]\nleftprotoport=tcp/22")
        .peer
        .children[0];
    let selectors: Vec<String> = child.local_ts.iter().map(ToString::to_string).collect();
    assert_eq!(selectors, ["10.1.0.0/16[tcp/ssh]", "10.2.0.0/16[udp/domain]"]);
}

#[test]
fn keywords_without_effect_are_named() {
    let idle = |settings: &str| {
        let lines: String = settings.lines().map(|line| format!("  {line}\n")).collect();
        let conf = IpsecConf::parse(&format!("conn x\n{lines}"), "ipsec.conf").expect("it parses");
        conn::without_effect(&conf.conns[0].settings, &|_| false, true)
    };
    let all = "leftcert=a.pem\nrightcert=b.pem\nleftsendcert=always\nrightsendcert=never\ntfc=%mtu\n\
        aggressive=no\nsha256_96=yes";
    assert_eq!(idle(all), ["leftcert", "leftsendcert", "rightsendcert", "tfc"]);
    assert!(idle("compress=yes\nah=sha256!\nrightsendcert=ifasked").is_empty());
    let child = &one("sha256_96=yes").peer.children[0];
    assert!(child.kernel.sha256_96, "this one has an effect");
}

#[test]
fn a_connection_may_be_pinned_to_a_profile() {
    assert_eq!(one("profile=draft").peer.profile, Some(iana::Profile::Draft));
    assert_eq!(one("profile=rfc").peer.profile, Some(iana::Profile::Rfc));
    assert_eq!(one("left=10.0.0.1").peer.profile, None);
    assert!(!said("profile=newest").1);
}

#[test]
fn a_connection_may_say_which_kyber_it_means() {
    let round2 = Some(iana::Profile::DraftRound2);
    assert_eq!(one("kyber_generation=round2").peer.profile, round2);
    assert_eq!(one("profile=draft\nkyber_generation=round2").peer.profile, round2);
    assert_eq!(
        one("kyber_generation=round3").peer.profile,
        Some(iana::Profile::Draft)
    );
    assert!(!said("kyber_generation=round1").1);
}

#[test]
fn numbers_that_are_too_large_are_mistakes() {
    for setting in [
        "reqid=4294967296",
        "tfc=-1",
        "replay_window=99999999999",
        "ikedscp=1000000",
    ] {
        assert!(!said(setting).1, "{setting}");
    }
}

#[test]
fn ah_takes_the_place_of_esp_and_is_not_beside_it() {
    let options = |settings: &str| one(settings).peer.children[0].kernel.clone();
    let list = |entries: &[&str], append_defaults| {
        let entries = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let proposals = ProposalList {
            entries,
            append_defaults,
        };
        Some(Ah {
            proposals,
            esp: EspBeside::No,
        })
    };
    assert_eq!(
        options("ah=sha256,sha1-x25519!").ah,
        list(&["sha256", "sha1-x25519"], false)
    );
    assert_eq!(options("ah=sha512").ah, list(&["sha512"], true));
    assert_eq!(options("esp=aes128gcm16!").ah, None);
    let (messages, loads) = said("ah=sha256!\nesp=aes128gcm16!");
    assert!(!loads);
    assert!(
        messages[0].contains("can't have both 'ah' and 'esp' options (ipsec.conf:1)"),
        "{messages:?}"
    );
    let (messages, loads) = said("ah=!");
    assert!(!loads, "{messages:?}");
}

#[test]
fn compression_is_asked_for() {
    for (settings, ipcomp) in [
        ("compress=yes", true),
        ("compress=no", false),
        ("left=10.0.0.1", false),
    ] {
        assert_eq!(one(settings).peer.children[0].kernel.ipcomp, ipcomp, "{settings}");
    }
    assert!(!said("compress=maybe").1);
}
