//! Every key exchange method of either profile, in the hands of real daemons: each is established, used and rekeyed
//! from both ends.

use std::fmt::Write;

use super::pair::{Pair, ask, hosts, start};

/// The draft profile's, as additional key exchange after X25519.
const DRAFT: &[&str] = &[
    "kyber1", "kyber3", "kyber5", "ntrup1", "ntrup3", "ntrup5", "ntrur3", "saber1", "saber3", "saber5",
    "frodoa1", "frodoa3", "frodoa5", "frodos1", "frodos3", "frodos5", "bike1", "bike3", "bike5", "hqc1",
    "hqc3", "hqc5", "sike1", "sike2", "sike3", "sike5",
];

/// Those with numbers of IANA's.
const RFC: &[&str] = &[
    "mlkem512",
    "mlkem768",
    "mlkem1024",
    "ecp256",
    "ecp384",
    "ecp521",
    "x448",
    "modp2048",
    "modp3072",
    "modp4096",
    "sntrup761",
];

/// What is looked at of each method, in either role.
const CELLS: [&str; 3] = ["establish", "rekey CHILD_SA", "rekey IKE_SA"];

fn connections(of: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (keyword, proposal) in of {
        let _ = write!(
            text,
            "\nconn {keyword}\n    also=Tunnel2\n    ike=aes256gcm16-sha512-{proposal}!\n    esp=aes256gcm16-{proposal}!\n    auto=add\n"
        );
    }
    text
}

/// One method in one role: what went wrong with each cell, if anything.
fn walk(pair: &Pair, keyword: &str, moon_initiates: bool) -> [Result<(), String>; 3] {
    let host = if moon_initiates { &pair.moon } else { &pair.carol };
    let up = host.run(&format!("ipsec up {keyword}")).map(|said| said.text);
    let established = match up {
        Ok(text) if text.contains(&format!("connection '{keyword}' established successfully")) => Ok(()),
        Ok(text) | Err(text) => Err(text),
    };
    let rekey = |target: String, last: &str| {
        let skip = host.read("charon.log").len();
        host.succeed(&format!("ipsec stroke rekey {target}"))?;
        host.wait_for_log(skip, last)?;
        let ping = if moon_initiates {
            "ping -c 1 -W 5 -I 10.1.0.2 10.3.0.1"
        } else {
            "ping -c 1 -W 5 10.1.0.2"
        };
        host.succeed(ping).map(drop)
    };
    let child = established
        .clone()
        .and_then(|()| rekey(format!("{keyword}{{}}"), "CHILD_SA closed"));
    let ike = established
        .clone()
        .and_then(|()| rekey(format!("{keyword}[]"), "IKE_SA deleted"));
    if established.is_ok() {
        ask(host, &format!("ipsec down {keyword}"));
    }
    [established, child, ike]
}

#[test]
fn every_method_is_established_and_rekeyed_from_both_ends() {
    let Some(pair) = hosts() else { return };
    let additional = |keyword: &&'static str| (*keyword, format!("x25519-ke1_{keyword}"));
    let draft: Vec<_> = DRAFT.iter().map(additional).collect();
    let rfc: Vec<_> = RFC.iter().map(additional).collect();
    let alone = [("mlkem768-alone", "mlkem768".to_owned())];
    let seven = [(
        "seven",
        "x25519-ke1_kyber1-ke2_ntrup1-ke3_saber1-ke4_bike1-ke5_sike1-ke6_ecp256-ke7_kyber3".to_owned(),
    )];
    let rows = [
        ("draft", &draft[..]),
        ("draft", &seven[..]),
        ("RFC", &rfc[..]),
        ("RFC", &alone[..]),
    ];
    for host in [&pair.moon, &pair.carol] {
        let more: String = rows.iter().map(|(_, methods)| connections(methods)).collect();
        let text = host.read("ipsec.conf") + &more;
        host.write("ipsec.conf", &text).expect("written");
        let load = format!("charon {{\n    load = {} sike\n}}", daemon::plugins::DEFAULT_LOAD);
        host.set(&load).expect("written");
        start(host);
    }
    let mut table = String::from("| profile | key exchange | initiator |");
    CELLS.iter().for_each(|cell| table += &format!(" {cell} |"));
    table += "\n|---|---|---|---|---|---|\n";
    let mut problems = Vec::new();
    for (profile, methods) in rows {
        for (keyword, proposal) in methods {
            for (moon_initiates, role) in [(false, "carol"), (true, "moon")] {
                let _ = write!(table, "| {profile} | {proposal} | {role} |");
                for (cell, outcome) in CELLS.iter().zip(walk(&pair, keyword, moon_initiates)) {
                    table += if outcome.is_ok() { " ok |" } else { " FAILED |" };
                    if let Err(why) = outcome {
                        problems.push(format!("{proposal}, {role} initiates, {cell}: {why}"));
                    }
                }
                table.push('\n');
            }
        }
    }
    println!("{table}");
    assert!(problems.is_empty(), "{table}\n{}", problems.join("\n---\n"));
    pair.expect_nothing();
}
