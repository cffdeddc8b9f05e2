//! ipsec.conf, ipsec.secrets and swanctl.conf as people write them.

use super::pair::{Pair, ask, hosts, start};

const BOTH: &str = "conn %default\n    keyexchange=ikev2\n    ike=aes256gcm16-sha512-x25519!\n    \
                    esp=aes256gcm16-sha512-x25519!\n    authby=psk\n    keyingtries=1\n\n";

/// Two hosts with these sections and the same secrets, not yet started.
fn hosts_of(moon: &str, carol: &str, secrets: &str) -> Option<Pair> {
    let pair = hosts()?;
    for (host, conn) in [(&pair.moon, moon), (&pair.carol, carol)] {
        host.write("ipsec.conf", &format!("{BOTH}{conn}")).unwrap();
        host.write("ipsec.secrets", secrets).unwrap();
    }
    Some(pair)
}

#[test]
fn ends_without_identities_are_who_their_addresses_say() {
    let nets =
        |own: &str, peer: &str| format!("    leftsubnet={own}\n    rightsubnet={peer}\n    auto=add\n");
    let moon = format!(
        "conn Tunnel1\n    left=192.168.0.2\n    right=%any\n{}",
        nets("10.1.0.0/16", "10.3.0.0/16")
    );
    let carol = format!(
        "conn Tunnel1\n    left=%defaultroute\n    right=192.168.0.2\n{}",
        nets("10.3.0.0/16", "10.1.0.0/16")
    );
    let Some(pair) = hosts_of(&moon, &carol, "192.168.0.2 : PSK cu!mul#us # unquoted\n") else {
        return;
    };
    pair.start();
    let said = pair.up();
    pair.expect(
        &said,
        "between 192.168.0.3[192.168.0.3]...192.168.0.2[192.168.0.2]",
    );
    pair.ping();
    let status = ask(&pair.carol, "ipsec statusall");
    pair.expect(
        &status,
        "Tunnel1:   remote: [192.168.0.2] uses pre-shared key authentication",
    );
}

#[test]
fn rereadsecrets_shows_mistakes_and_loads_the_rest() {
    let Some(pair) = hosts() else { return };
    start(&pair.carol);
    let right = pair.carol.read("ipsec.secrets");
    let lines = right.lines().count();
    let text = format!("{right}moon PSK \"no separator\"\nother : PSK \"\"\n@other : PSK a-word\n");
    pair.carol.write("ipsec.secrets", &text).unwrap();
    let before = pair.carol.read("charon.log").len();
    let said = ask(&pair.carol, "ipsec rereadsecrets");
    let (first, second) = (lines + 1, lines + 2);
    pair.expect(&said, &format!("line {first}: missing ' : ' separator ("));
    pair.expect(&said, &format!("ipsec.secrets:{first}; this entry is ignored)"));
    pair.expect(&said, "the secret for other is empty (");
    pair.expect(&said, &format!("ipsec.secrets:{second})"));
    assert!(!said.contains("no separator\""), "no secret is shown: {said}");
    pair.expect_logged(&pair.carol, before, "loaded IKE secret for @other");
    pair.carol.write("ipsec.secrets", &right).unwrap();
    assert_eq!(ask(&pair.carol, "ipsec rereadsecrets"), "");
}

#[test]
fn what_cannot_be_enforced_is_refused_in_both_files_with_its_line() {
    let conns = "conn v1\n    keyexchange=ikev1\n    auto=add\nconn ah\n    esp=\n    ah=sha256!\n    auto=add\n\
                 conn typo\n    rightgroup=admins\n    auto=add\n\
                 conn compressed\n    compress=yes\n    auto=add\n\
                 conn good\n    tfc=%mtu\n    right=192.168.0.2\n    auto=add\n";
    let Some(pair) = hosts_of("", conns, "") else {
        return;
    };
    let said = pair.carol.start().unwrap();
    let line = |text: &str| {
        let conf = format!("{BOTH}{conns}");
        conf.lines().position(|line| line.trim() == text).expect(text) + 1
    };
    let text = "keyexchange=ikev1";
    let start = format!(
        "# unsupported: {text} (ipsec.conf:{}: IKEv1 is not supported",
        line(text)
    );
    pair.expect(&said, &start);
    // What a back end of user space cannot do.
    let (ah, conn) = (line("ah=sha256!"), line("conn ah"));
    let why = "AH is not supported by the kernel back end";
    pair.expect_logged(
        &pair.carol,
        0,
        &format!("connection 'ah' of ipsec.conf:{conn} refused: ah=sha256!: {why}"),
    );
    pair.expect_logged(&pair.carol, 0, &format!("(ipsec.conf:{ah})"));
    // What it does without.
    let compress = line("compress=yes");
    pair.expect_logged(
        &pair.carol,
        0,
        &format!("connection 'compressed': compress (ipsec.conf:{compress}): IPComp is not supported"),
    );
    let typo = line("rightgroup=admins");
    pair.expect(
        &said,
        &format!("# unknown keyword 'rightgroup' (ipsec.conf:{typo}, did you mean 'rightgroups'?"),
    );
    pair.expect(&said, "# ignored conn 'typo' due to 1 parsing error(s)");
    let status = ask(&pair.carol, "ipsec statusall");
    for loaded in ["good:", "compressed:"] {
        pair.expect(&status, loaded);
    }
    for refused in ["v1:", "ah:", "typo:"] {
        assert!(!status.contains(refused), "{status}");
    }
    let tfc = line("tfc=%mtu");
    let text = format!("connection 'good': tfc (ipsec.conf:{tfc}) has no effect yet");
    pair.expect_logged(&pair.carol, 0, &text);

    let conf = "connections {\n v1 {\n  version = 0x1\n }\n ah {\n  children {\n   net {\n    ah_proposals = sha256\n   }\n  }\n \
                }\n any-case {\n  version = 2\n  unique = REPLACE\n  children {\n   net {\n    mode = TUNNEL\n   }\n  }\n }\n}\n";
    pair.carol.write("swanctl.conf", conf).unwrap();
    let file = pair.carol.path("swanctl.conf").display().to_string();
    let said = pair
        .carol
        .run(&format!("swanctl --load-conns --file {file}"))
        .unwrap();
    assert_ne!(said.code, Some(0), "{}", said.text);
    for (key, line) in [("version", 3), ("ah_proposals", 8)] {
        pair.expect(&said.text, &format!(": {key}, config discarded ({file}:{line})"));
    }
    pair.expect(&said.text, "loaded connection 'any-case'");
}
