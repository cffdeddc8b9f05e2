use super::*;
use crate::connection::{Action, AuthClass, Fragmentation, Host, Mode, PeerConfig, SelectorSpec};
use crate::kernel::{Mark, Number};
use std::time::Duration;

const CAROL: &str = "config setup

conn %default
    ikelifetime=60m
    lifetime=20m
    rekeymargin=3m
    keyingtries=1
    keyexchange=ikev2
    ike=aes256gcm16-sha512-x25519-ke1_kyber3
    esp=aes256gcm16-sha512-x25519-ke1_kyber3
    authby=psk

conn Tunnel1
    left=192.168.0.3
    leftid=carol.strongswan.org
    leftsubnet=10.3.0.1/16
    right=192.168.0.2
    rightsubnet=10.1.0.0/16
    rightid=moon.strongswan.org
    auto=add
";

fn convert(conn: &Conn, own: &str) -> conn::Converted {
    let own: IpAddr = own.parse().expect("an address");
    to_peer_config(
        &conn.name,
        &conn.settings,
        &conn.source,
        "yes",
        &|address| address == own,
        true,
    )
    .expect("it converts")
}

mod ends;
mod lexer;
mod refusals;

use std::net::IpAddr;

#[test]
fn the_seeds_connection_is_understood() {
    let conf = IpsecConf::parse(CAROL, "ipsec.conf").expect("it parses");
    assert!(conf.messages.is_empty(), "{:?}", conf.messages);
    let [conn] = &conf.conns[..] else {
        panic!("one conn")
    };
    assert_eq!(
        (conn.name.as_str(), conn.source.as_str(), conn.auto),
        ("Tunnel1", "ipsec.conf:13", Auto::Add)
    );
    let conn::Converted { peer, messages } = convert(conn, "192.168.0.3");
    assert!(messages.is_empty());
    assert_eq!(peer.proposals.entries, ["aes256gcm16-sha512-x25519-ke1_kyber3"]);
    assert!(peer.proposals.append_defaults);
    let seconds = Duration::from_secs;
    assert_eq!(
        (
            peer.lifetime.reauth,
            peer.lifetime.rekey,
            peer.lifetime.over,
            peer.lifetime.jitter
        ),
        (seconds(3420), seconds(0), seconds(180), seconds(180))
    );
    let child = &peer.children[0];
    assert_eq!(
        (
            child.lifetime.time.rekey,
            child.lifetime.time.life,
            child.lifetime.time.jitter
        ),
        (seconds(1020), seconds(1200), seconds(180))
    );
    assert_eq!(
        (child.local_ts[0].to_string(), child.remote_ts[0].to_string()),
        ("10.3.0.0/16".into(), "10.1.0.0/16".into())
    );
    assert_eq!(peer.keying_tries, Some(1));
    assert_eq!(
        (peer.local_auth[0].class, peer.remote_auth[0].class),
        (AuthClass::Psk, AuthClass::Psk)
    );
    assert_eq!(
        peer.local_auth[0].id,
        Some(crate::identity::Identity::parse("carol.strongswan.org"))
    );
    assert!(peer.mobike && peer.dpd_delay.is_zero() && child.updown.is_none());
}

#[test]
fn both_ends_may_share_one_file() {
    let conf = IpsecConf::parse(CAROL, "ipsec.conf").expect("it parses");
    let swapped = convert(&conf.conns[0], "192.168.0.2");
    assert_eq!(
        swapped.messages,
        [(2, "left is other host, swapping ends".to_owned())]
    );
    assert_eq!(
        swapped.peer.local_addrs,
        [Host::Address("192.168.0.2".parse().expect("address"))]
    );
    assert_eq!(swapped.peer.children[0].local_ts[0].to_string(), "10.1.0.0/16");
    let neither = convert(&conf.conns[0], "192.168.0.9");
    assert_eq!(
        neither.messages,
        [(
            1,
            "left nor right host is our side, assuming left=local".to_owned()
        )]
    );
}

fn one(settings: &str) -> conn::Converted {
    let text = format!(
        "conn x\n{}",
        settings
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
    );
    let conf = IpsecConf::parse(&text, "ipsec.conf").expect("it parses");
    assert!(conf.messages.is_empty(), "{:?}", conf.messages);
    convert(&conf.conns[0], "10.0.0.1")
}

#[test]
fn defaults_are_strongswans() {
    let peer = one("left=10.0.0.1").peer;
    assert_eq!(peer.lifetime.reauth, Duration::from_secs(3 * 3600 - 540));
    assert_eq!(peer.children[0].lifetime.time.life, Duration::from_secs(3600));
    assert_eq!(
        (peer.keying_tries, peer.local_auth[0].class),
        (Some(3), AuthClass::Pubkey)
    );
    assert!(peer.proposals.entries.is_empty() && peer.proposals.append_defaults);
    assert_eq!(peer.remote_addrs, [Host::Any]);
    assert_eq!(peer.children[0].remote_ts, [SelectorSpec::DYNAMIC]);
}

#[test]
fn proposals_with_many_key_exchanges_are_taken_as_they_stand() {
    let all = "aes256gcm16-sha512-x25519-ke1_frodoa3-ke2_hqc3-ke3_bike1-ke4_frodos5-ke5_sntrup761-ke6_kyber3-ke7_sike5";
    let peer = one(&format!(
        "right=10.0.0.2\nike={all}!\nesp={all},aes256-sha256-bike1"
    ))
    .peer;
    assert_eq!(peer.proposals.entries, [all]);
    let child = &peer.children[0].proposals;
    assert_eq!(child.entries, [all, "aes256-sha256-bike1"]);
    assert!(!peer.proposals.append_defaults && child.append_defaults);
}

#[test]
fn keywords_have_their_meaning() {
    let peer = one("left=10.0.0.1\nright=gate.example.org\nike=aes256-sha256-x25519,aes128-sha256-ecp256!\nreauth=no\nkeyingtries=%forever\ndpdaction=restart\nfragmentation=force\nmobike=no\nleftfirewall=yes\ntype=transport\nleftsubnet=10.1.0.0/24,10.2.0.1[tcp/80]\nrightprotoport=udp/53\nmark=0x10/0xff").peer;
    assert_eq!(
        peer.proposals.entries,
        ["aes256-sha256-x25519", "aes128-sha256-ecp256"]
    );
    assert!(!peer.proposals.append_defaults);
    assert!(peer.lifetime.reauth.is_zero() && !peer.lifetime.rekey.is_zero());
    assert_eq!(
        (peer.keying_tries, peer.dpd_delay),
        (None, Duration::from_secs(30))
    );
    assert_eq!((peer.fragmentation, peer.mobike), (Fragmentation::Force, false));
    let child = &peer.children[0];
    assert_eq!((child.dpd_action, child.mode), (Action::Start, Mode::Transport));
    assert_eq!(child.updown.as_deref(), Some("ipsec _updown iptables"));
    assert_eq!(child.local_ts[1].to_string(), "10.2.0.1/32[tcp/http]");
    assert_eq!(child.remote_ts[0].to_string(), "dynamic[udp/domain]");
    let (value, mask) = (Number::Fixed(16), 255);
    assert_eq!(child.kernel.marks, [Some(Mark { value, mask }); 2]);
    assert_eq!(peer.remote_addrs, [Host::Name("gate.example.org".into())]);
}

#[test]
fn marks_may_be_unique_and_differ_by_direction() {
    let child = |text: &str| {
        one(&format!("right=10.0.0.2\n{text}")).peer.children[0]
            .kernel
            .clone()
    };
    let mark = |value, mask| Some(Mark { value, mask });
    assert_eq!(
        child("mark=%unique\nmark_out=5/0xf").marks,
        [mark(Number::Unique, u32::MAX), mark(Number::Fixed(5), 0xf)]
    );
    assert_eq!(
        child("mark_in=%unique-dir").marks,
        [mark(Number::UniqueDir, u32::MAX), None]
    );
}

#[test]
fn own_values_win_over_also_and_also_over_default() {
    let text = "conn a\n  also=b\n  also=c\n  keyingtries=1\nconn b\n  lifetime=1m\n  keyingtries=2\n  ikelifetime=5m\nconn c\n  lifetime=2m\nconn %default\n  lifetime=3m\n  inactivity=4m\nconn d\n  also=a\n  inactivity=\n";
    let conf = IpsecConf::parse(text, "ipsec.conf").expect("it parses");
    let settings = &conf.conns[0].settings;
    let get = |key: &str| settings.get(key).map(String::as_str);
    assert_eq!(
        (
            get("keyingtries"),
            get("lifetime"),
            get("ikelifetime"),
            get("inactivity")
        ),
        (Some("1"), Some("2m"), Some("5m"), Some("4m"))
    );
    assert_eq!(
        conf.conns[3].settings.get("inactivity"),
        None,
        "an empty value clears"
    );
}

#[test]
fn a_mistake_costs_only_its_own_conn() {
    let text = "config setup\n  uniqueids=never\n  charonstart=yes\nconn good\n  auto=add\n  pfs=yes\n  lifetimes=1h\nconn bad\n  auto=maybe\n  lifetime=soon\nconn loop\n  also=loop\nconn missing\n  also=nowhere\n";
    let conf = IpsecConf::parse(text, "ipsec.conf").expect("it parses");
    assert_eq!(
        conf.conns
            .iter()
            .map(|conn| conn.name.as_str())
            .collect::<Vec<_>>(),
        ["good"]
    );
    assert_eq!(
        conf.messages,
        [
            "# deprecated keyword 'charonstart' in config setup (ipsec.conf:3)",
            "# unknown keyword 'lifetimes' (ipsec.conf:7, did you mean 'lifetime'?)",
            "# deprecated keyword 'pfs' in conn 'good' (ipsec.conf:6)",
            "  perfect forward secrecy is had by a DH group in esp=",
            "# bad value: auto=maybe (ipsec.conf:9: expected one of ignore, add, route, start)",
            "  bad argument value in conn 'bad'",
            "# bad value: lifetime=soon (ipsec.conf:10: expected a time like 30s, 20m, 3h or 1d)",
            "  bad argument value in conn 'bad'",
            "# ignored conn 'bad' due to 2 parsing error(s)",
            "# bad value: also=loop (ipsec.conf:12: it includes itself)",
            "# ignored conn 'loop' due to 1 parsing error(s)",
            "# bad value: also=nowhere (ipsec.conf:14: there is no such conn)",
            "# ignored conn 'missing' due to 1 parsing error(s)",
            "### 5 parsing error(s) (0 fatal) ###",
        ]
    );
}

#[test]
fn a_mistake_that_concerns_all_connections_costs_the_file() {
    for value in ["perhaps", "Never", "yes!"] {
        let text = format!("config setup\n  uniqueids={value}\nconn good\n  auto=add\n");
        let error = IpsecConf::parse(&text, "ipsec.conf").expect_err(value);
        assert_eq!(
            error.to_string(),
            format!("ipsec.conf:2: bad value uniqueids={value}, expected yes, no, never, replace or keep")
        );
    }
}

#[test]
fn a_name_that_no_message_can_carry_costs_the_connection() {
    let (longest, longer) = ("a".repeat(255), "b".repeat(256));
    let text = format!("conn {longest}\n  auto=add\nconn {longer}\n  auto=add\n");
    let conf = IpsecConf::parse(&text, "ipsec.conf").expect("it parses");
    assert_eq!(conf.conns.len(), 1);
    assert_eq!(
        conf.messages[0],
        "# the name of a connection has 256 octets, at most 255 are possible (ipsec.conf:3)"
    );
}

#[test]
fn lines_that_end_with_a_carriage_return_alone_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ipsec.conf");
    for (text, line) in [("conn a\r  auto=add\r", 1), ("# moon\r\nconn a\r  auto=add\n", 2)] {
        std::fs::write(&path, text).expect("written");
        let error = IpsecConf::load(&path).expect_err(text).to_string();
        assert!(
            error.contains(&format!("ipsec.conf:{line}: the line has a carriage return")),
            "{error}"
        );
    }
    std::fs::write(&path, "conn a\r\n  auto=add\r\n").expect("written");
    assert_eq!(IpsecConf::load(&path).expect("it loads").conns.len(), 1);
}

#[test]
fn a_list_of_proposals_that_excludes_all_does_not_stand_for_the_built_in_ones() {
    for (key, value) in [("ike", "!"), ("esp", " !"), ("ike", ",!")] {
        let text = format!("conn bad\n  {key}={value}\nconn good\n  auto=add\n");
        let conf = IpsecConf::parse(&text, "ipsec.conf").expect("it parses");
        assert_eq!(conf.conns.len(), 1, "{text}");
        let expected = format!(
            "# bad value: {key}={} (ipsec.conf:2: expected proposals before '!')",
            value.trim()
        );
        assert_eq!(conf.messages.first(), Some(&expected));
    }
}

#[test]
fn a_broken_form_is_fatal_and_says_where() {
    for (text, expected) in [
        (
            "  left=1.2.3.4\n",
            "ipsec.conf:1: an indented line belongs to a section, expected one before it",
        ),
        (
            "conn a\n  left\n",
            "ipsec.conf:2: unexpected 'left', expected 'key = value'",
        ),
        (
            "con a\n",
            "ipsec.conf:1: unexpected 'con a', expected 'config setup', 'conn NAME', 'ca NAME' or 'include FILE'",
        ),
        (
            "conn a\n  leftid=\"x\n",
            "ipsec.conf:2: quoted string is not closed, expected '\"'",
        ),
    ] {
        assert_eq!(
            IpsecConf::parse(text, "ipsec.conf").expect_err(text).to_string(),
            expected
        );
    }
}

#[test]
fn comments_quotes_and_includes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ipsec.conf");
    std::fs::write(
        &path,
        "# comment\nversion 2.0\ninclude more/*.conf\nconn a # here\n  leftid=\"C=CH, O=x # y\"   # z\n",
    )
    .expect("written");
    std::fs::create_dir(directory.path().join("more")).expect("more");
    std::fs::write(directory.path().join("more/b.conf"), "conn b\n  auto=start\n").expect("written");
    let conf = IpsecConf::load(&path).expect("it loads");
    assert_eq!(
        conf.conns
            .iter()
            .map(|conn| conn.name.as_str())
            .collect::<Vec<_>>(),
        ["b", "a"]
    );
    assert_eq!(conf.conns[1].settings["leftid"], "C=CH, O=x # y");
    std::fs::write(directory.path().join("more/b.conf"), "include b.conf\n").expect("written");
    assert!(IpsecConf::load(&path).is_err(), "a file that includes itself");
}

#[test]
fn the_files_of_the_demo_have_three_tunnels_on_both_hosts() {
    for (text, own, net) in [
        (
            include_str!("../../../../docker/moon/ipsec.conf"),
            "192.168.0.2",
            "10.1.0.0/16",
        ),
        (
            include_str!("../../../../docker/carol/ipsec.conf"),
            "192.168.0.3",
            "10.3.0.0/16",
        ),
    ] {
        let conf = IpsecConf::parse(text, "ipsec.conf").expect("it parses");
        assert!(conf.messages.is_empty(), "{:?}", conf.messages);
        let names: Vec<_> = conf.conns.iter().map(|conn| conn.name.as_str()).collect();
        assert_eq!(names, ["Tunnel1", "Tunnel2", "Tunnel3"]);
        let tunnel2 = convert(&conf.conns[1], own).peer;
        assert_eq!(
            tunnel2.proposals.entries,
            ["aes256gcm16-sha512-x25519-ke1_kyber3-ke2_ntrup3-ke3_saber3"]
        );
        assert!(!tunnel2.proposals.append_defaults);
        assert_eq!(tunnel2.children[0].local_ts[0].to_string(), net);
    }
}

/// The conn of a file with these settings of both ends, as the host 192.168.0.2 has it.
fn with_ends(key: &str, left: &str, right: &str) -> Result<PeerConfig, String> {
    let (left_key, right_key) = (format!("left{key}"), format!("right{key}"));
    let settings = [
        ("left", "192.168.0.2"),
        ("right", "%any"),
        (&left_key, left),
        (&right_key, right),
    ];
    let settings = settings
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let is_local = |address: IpAddr| address == IpAddr::from([192, 168, 0, 2]);
    let converted = to_peer_config("rw", &settings, "ipsec.conf:1", "yes", &is_local, true);
    Ok(converted.map_err(|error| error.to_string())?.peer)
}

fn sourceips(left: &str, right: &str) -> Result<(Vec<IpAddr>, Vec<String>), String> {
    with_ends("sourceip", left, right).map(|peer| (peer.vips, peer.pools))
}

#[test]
fn the_own_end_asks_for_dns_servers_and_the_other_is_told_of_them() {
    let servers = |left: &str, right: &str| {
        let peer = with_ends("dns", left, right)?;
        let text = |servers: Vec<IpAddr>| servers.iter().map(IpAddr::to_string).collect::<Vec<_>>();
        Ok::<_, String>([text(peer.dns_wanted), text(peer.dns)])
    };
    let both = servers("%config4, %config6,10.1.0.1", "10.1.0.1,fec1::1").expect("servers");
    assert_eq!(
        both,
        [vec!["0.0.0.0", "::", "10.1.0.1"], vec!["10.1.0.1", "fec1::1"]]
    );
    for (left, right, why) in [
        ("moon", "", "bad value leftdns=moon, expected %config4, %config6"),
        ("", "%config4", "bad value rightdns=%config4, expected an address"),
    ] {
        let error = with_ends("dns", left, right).expect_err("refused");
        assert!(error.starts_with(why), "{error}");
    }
}

#[test]
fn the_own_end_asks_for_addresses_and_the_other_gets_them_from_pools() {
    let any = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert_eq!(sourceips("", ""), Ok((vec![], vec![])));
    assert_eq!(sourceips("%config", ""), Ok((vec![any("0.0.0.0")], vec![])));
    let both = sourceips("%config6, %config4,10.3.0.9", "");
    assert_eq!(
        both,
        Ok((vec![any("::"), any("0.0.0.0"), any("10.3.0.9")], vec![]))
    );
    let pools = sourceips("", "10.3.0.0/24,10.4.0.1-10.4.0.9,%external,%config");
    let names = ["10.3.0.0/24", "10.4.0.1-10.4.0.9", "external", "rw"];
    assert_eq!(pools, Ok((vec![], names.map(str::to_owned).to_vec())));
    for (left, right, why) in [
        (
            "10.3.0.0/24",
            "",
            "bad value leftsourceip=10.3.0.0/24, expected %config",
        ),
        ("%pool", "", "bad value leftsourceip=%pool, expected %config"),
        ("", "%dhcp", "rightsourceip=%dhcp is not supported"),
        (
            "",
            "10.3.0.0/33",
            "bad value rightsourceip=10.3.0.0/33, expected %config, the name",
        ),
        ("", "%", "bad value rightsourceip=%"),
    ] {
        let error = sourceips(left, right).expect_err("refused");
        assert!(error.starts_with(why), "{error}");
    }
}
