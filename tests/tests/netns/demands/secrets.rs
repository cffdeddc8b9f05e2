//! Which secret authenticates which peer, in files of both front ends.

use std::fmt::Write;

use xtask::host::Host;

use super::super::pair::{Pair, ask, started};
use super::{CAROL, Demand, End, FrontEnd, MOON, PSK, empty, nothing};

/// Secrets with their owners, in the order of the file.
type Secrets<'a> = &'a [(&'a str, &'a str)];

/// Gives a host these secrets in place of all others.
fn give(host: &Host, front_end: FrontEnd, secrets: Secrets<'_>) {
    let mut text = String::new();
    match front_end {
        FrontEnd::Ipsec => {
            for (owners, secret) in secrets {
                let _ = writeln!(text, "{owners} : PSK \"{secret}\"");
            }
            host.write("ipsec.secrets", &text).unwrap();
            ask(host, "ipsec rereadsecrets");
        }
        FrontEnd::Swanctl => {
            for (number, (owners, secret)) in secrets.iter().enumerate() {
                let owners = owners.split_whitespace().enumerate();
                let owners: String = owners
                    .map(|(number, id)| format!("id-{number} = {id}\n"))
                    .collect();
                let _ = write!(text, "ike-{number} {{\n{owners}secret = \"{secret}\"\n}}\n");
            }
            let text = format!("secrets {{\n{text}}}\n");
            host.write("secrets.conf", &text).unwrap();
            let file = host.path("secrets.conf").display().to_string();
            ask(host, &format!("swanctl --load-creds --clear --file {file}"));
        }
    }
}

/// Two hosts. The second one can initiate as carol and as dave, and the first one has a connection for each of them.
fn hosts() -> Option<Pair> {
    let pair = empty("")?;
    for (host, at_moon) in [(&pair.moon, true), (&pair.carol, false)] {
        let conf = ["carol", "dave"].map(|name| {
            let id = if name == "carol" {
                "carol.test"
            } else {
                "dave.test"
            };
            let client = End { id, ..CAROL };
            let ends = if at_moon {
                (&MOON, &client)
            } else {
                (&client, &MOON)
            };
            Demand { name, ..PSK }.ipsec_conf(ends.0, ends.1, "")
        });
        host.write("ipsec.conf", &conf.concat()).unwrap();
    }
    pair.start();
    Some(pair)
}

/// Initiates as `name` with these secrets on both sides. Expects an IKE_SA, or these words in the log of moon and no SA.
fn try_as(
    pair: &Pair,
    front_end: FrontEnd,
    name: &str,
    (moon, carol): (Secrets<'_>, Secrets<'_>),
    refused: Option<&str>,
) {
    give(&pair.moon, front_end, moon);
    give(&pair.carol, front_end, carol);
    let skip = pair.moon.read("charon.log").len();
    let said = ask(&pair.carol, &format!("ipsec up {name}"));
    if let Some(words) = refused {
        pair.expect(&said, &format!("establishing connection '{name}' failed"));
        pair.expect_logged(&pair.moon, skip, words);
    } else {
        pair.expect(&said, &format!("connection '{name}' established successfully"));
        let sas = ask(&pair.moon, "swanctl --list-sas");
        pair.expect(&sas, &format!("{name}: #"));
        ask(&pair.carol, &format!("ipsec down {name}"));
    }
    nothing(pair).unwrap();
}

#[test]
fn the_secret_of_one_peer_does_not_prove_another() {
    let Some(pair) = hosts() else { return };
    for front_end in [FrontEnd::Ipsec, FrontEnd::Swanctl] {
        let moon = [("moon.test carol.test", "A"), ("moon.test dave.test", "B")];
        let mismatch = "tried 1 shared key for 'moon.test' - 'dave.test', but MAC mismatched";
        for (name, own, refused) in [
            ("carol", ("moon.test carol.test", "A"), None),
            ("dave", ("moon.test dave.test", "A"), Some(mismatch)),
            ("dave", ("", "A"), Some(mismatch)),
            ("dave", ("moon.test dave.test", "B"), None),
        ] {
            try_as(&pair, front_end, name, (&moon, &[own]), refused);
        }
        give(&pair.moon, front_end, &[]);
        give(&pair.carol, front_end, &[]);
    }
}

#[test]
fn the_secret_of_a_group_does_not_prove_a_peer_that_has_its_own() {
    let Some(pair) = hosts() else { return };
    for front_end in [FrontEnd::Ipsec, FrontEnd::Swanctl] {
        let mismatch = "tried 1 shared key for 'moon.test' - 'dave.test', but MAC mismatched";
        for of_dave in ["moon.test dave.test", "dave.test", "*.test"] {
            // A pattern that matches carol too beats the secret of the group.
            let of_carol = if of_dave == "*.test" { "B" } else { "G" };
            let moon = [("", "G"), (of_dave, "B")];
            for (name, own, refused) in [
                ("dave", "G", Some(mismatch)),
                ("dave", "B", None),
                ("carol", of_carol, None),
            ] {
                try_as(&pair, front_end, name, (&moon, &[("", own)]), refused);
            }
        }
        give(&pair.moon, front_end, &[]);
        give(&pair.carol, front_end, &[]);
    }
}

#[test]
fn of_two_secrets_of_a_pair_the_last_one_is_used_and_both_are_accepted() {
    let Some(pair) = hosts() else { return };
    for front_end in [FrontEnd::Ipsec, FrontEnd::Swanctl] {
        let pair_of = "moon.test carol.test";
        let (old, new) = ((pair_of, "old"), (pair_of, "new"));
        let mismatch = "tried 1 shared key for 'moon.test' - 'carol.test', but MAC mismatched";
        let both = [old, new];
        for (moon, carol, refused) in [
            // The initiator uses the last one.
            (&[new][..], &both[..], None),
            (&[old], &both, Some(mismatch)),
            // The responder accepts both. It answers with the one that verified, because these initiators know no other.
            (&both, &[old], None),
            (&both, &[new], None),
            (&both, &both, None),
        ] {
            try_as(&pair, front_end, "carol", (moon, carol), refused);
        }
        give(&pair.moon, front_end, &[]);
        give(&pair.carol, front_end, &[]);
    }
}

#[test]
fn a_secret_that_names_the_peer_wrongly_is_used_and_the_log_says_so() {
    let Some(pair) = started() else { return };
    pair.expect(
        &pair.moon.read("ipsec.secrets"),
        "moon.strongswan.org carol@strongswan.org : PSK",
    );
    pair.up();
    pair.ping();
    pair.expect_logged(
        &pair.moon,
        0,
        "no shared key names 'carol.strongswan.org', using one that names 'moon.strongswan.org' and not this peer",
    );
    // On carol the secret names the peer, moon.
    let log = pair.carol.read("charon.log");
    assert!(!log.contains("no shared key names"), "{log}");
}
