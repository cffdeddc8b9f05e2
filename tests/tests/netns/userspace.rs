//! ESP in user space: without UDP, with marks, and what it says of connections that it cannot serve.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

use daemon::plugins::DEFAULT_LOAD;
use xtask::host::Host;

use super::pair::{Pair, ask, hosts, start};

/// strongswan.conf of a host on which ESP is in user space, whatever its kernel has.
fn settings(charon: &str, libipsec: &str) -> String {
    let load = DEFAULT_LOAD.replace("kernel-netlink kernel-libipsec", "kernel-libipsec kernel-netlink");
    format!(
        "charon {{\n load = {load}\n {charon}\n plugins {{\n kernel-libipsec {{\n {libipsec}\n }}\n }}\n}}\n"
    )
}

/// Both hosts, started, each with its settings of the daemon and of the plugin.
fn started(settings_of: [(&str, &str); 2]) -> Option<Pair> {
    let pair = hosts()?;
    for (host, (charon, libipsec)) in [&pair.moon, &pair.carol].into_iter().zip(settings_of) {
        host.set(&settings(charon, libipsec)).unwrap();
    }
    pair.start();
    Some(pair)
}

/// Listens for two packets.
struct Sniffer {
    tcpdump: Child,
    errors: BufReader<ChildStderr>,
}

impl Sniffer {
    fn start(host: &Host, filter: &str) -> Self {
        let mut command = Command::new("timeout");
        command
            .args([
                "20",
                "tcpdump",
                "-n",
                "-t",
                "-c",
                "2",
                "--immediate-mode",
                "-i",
                "eth0",
                filter,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut tcpdump = host.namespace.spawn(&mut command).expect("tcpdump");
        let mut errors = BufReader::new(tcpdump.stderr.take().expect("its errors"));
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert_ne!(errors.read_line(&mut line).expect("a line"), 0, "tcpdump ended");
        }
        Self { tcpdump, errors }
    }

    /// The two packets.
    fn heard(mut self) -> String {
        let mut text = String::new();
        let mut output = self.tcpdump.stdout.take().expect("its output");
        output.read_to_string(&mut text).expect("its output");
        self.errors.read_to_string(&mut String::new()).expect("its rest");
        let status = self.tcpdump.wait().expect("its end");
        assert!(status.success(), "two packets were waited for: {text}");
        text
    }
}

const RAW: (&str, &str) = ("", "raw_esp = yes");

#[test]
fn esp_goes_without_udp_if_both_ends_can_and_no_nat_is_between() {
    // Also with privileges that no longer open such sockets.
    for charon in ["", "user = nobody"] {
        let Some(pair) = started([RAW, (charon, "raw_esp = yes")]) else {
            return;
        };
        pair.up();
        let sniffer = Sniffer::start(&pair.moon, "ip proto 50");
        pair.ping();
        let heard = sniffer.heard();
        assert!(heard.contains("192.168.0.3 > 192.168.0.2: ESP(spi=0x"), "{heard}");
        for host in [&pair.moon, &pair.carol] {
            let listed = ask(host, "swanctl --list-sas");
            pair.expect(&listed, "INSTALLED, TUNNEL, ESP:AES_GCM_16-256");
        }
        pair.expect(
            &ask(&pair.carol, "ping -c 20 -i 0.02 -s 8000 10.1.0.2"),
            " 0% packet loss",
        );
        ask(&pair.carol, "swanctl --rekey --child Tunnel1");
        pair.carol.wait_for_log(0, "CHILD_SA closed").unwrap();
        pair.ping();
        ask(&pair.carol, "ipsec down Tunnel1");
        pair.expect_nothing();
    }
}

#[test]
fn esp_goes_in_udp_if_one_end_wants_that() {
    for settings in [[RAW, ("", "")], [("", ""), RAW]] {
        let Some(pair) = started(settings) else { return };
        pair.up();
        let sniffer = Sniffer::start(&pair.moon, "udp port 4500");
        pair.ping();
        assert!(sniffer.heard().contains("UDP-encap: ESP(spi=0x"));
        pair.expect(&ask(&pair.moon, "swanctl --list-sas"), "TUNNEL-in-UDP");
    }
    let Some(pair) = hosts() else { return };
    for host in [&pair.moon, &pair.carol] {
        host.set(&settings(RAW.0, RAW.1)).unwrap();
    }
    pair.carol
        .edit("ipsec.conf", "auto=add", "forceencaps=yes\n    auto=add")
        .unwrap();
    pair.start();
    pair.up();
    pair.ping();
    pair.expect(&ask(&pair.moon, "swanctl --list-sas"), "TUNNEL-in-UDP");
}

#[test]
fn ipv6_needs_no_udp_either() {
    let Some(pair) = hosts() else { return };
    let ends = [(&pair.moon, "2001:db8::2"), (&pair.carol, "2001:db8::3")];
    for (host, own) in ends {
        let line = format!("addr add {own}/64 dev eth0 nodad");
        host.namespace.ip(&line).expect("an IPv6 address");
        host.set(&settings(RAW.0, RAW.1)).unwrap();
        let mut conf = host.read("ipsec.conf");
        for (end, address) in [("192.168.0.2", "2001:db8::2"), ("192.168.0.3", "2001:db8::3")] {
            conf = conf.replace(end, address);
        }
        host.write("ipsec.conf", &conf).unwrap();
    }
    pair.start();
    pair.up();
    let sniffer = Sniffer::start(&pair.moon, "ip6 proto 50");
    pair.ping();
    assert!(sniffer.heard().contains("ESP(spi=0x"));
    pair.expect(
        &ask(&pair.carol, "ping -c 20 -i 0.02 -s 8000 10.1.0.2"),
        " 0% packet loss",
    );
}

/// strongSwan's way to protect what two hosts themselves say to each other: the route into the tunnel is for packets without
/// the mark, and those of the daemon have it.
fn marked(libipsec: &str) -> String {
    settings("", &format!("allow_peer_ts = yes\n {libipsec}"))
        + "charon {\n plugins {\n socket-default {\n fwmark = 0x42\n }\n kernel-netlink {\n fwmark = !0x42\n }\n }\n}\n"
}

#[test]
fn packets_of_the_daemon_with_a_mark_stay_out_of_the_tunnel() {
    for (libipsec, filter) in [("", "udp port 4500"), ("raw_esp = yes", "ip proto 50")] {
        let Some(pair) = hosts() else { return };
        for host in [&pair.moon, &pair.carol] {
            host.set(&marked(libipsec)).unwrap();
            let conf = host.read("ipsec.conf");
            // Without subnets each end is its own network.
            let conf = conf.lines().filter(|line| !line.contains("subnet="));
            let conf: Vec<_> = conf.collect();
            host.write("ipsec.conf", &(conf.join("\n") + "\n")).unwrap();
        }
        pair.start();
        pair.up();
        let sniffer = Sniffer::start(&pair.moon, filter);
        let said = ask(&pair.carol, "ping -c 3 -i 0.2 -W 5 192.168.0.2");
        pair.expect(&said, "3 received, 0% packet loss");
        let heard = sniffer.heard();
        assert!(heard.contains("ESP(spi=0x"), "{heard}");
        pair.expect(&ask(&pair.carol, "ipsec statusall"), "252 bytes_o (3 pkts, ");
        // IKE goes on beside it, and not through it.
        ask(&pair.carol, "swanctl --rekey --ike Tunnel1");
        pair.carol.wait_for_log(0, "rekeyed between").unwrap();
        pair.expect(&ask(&pair.carol, "ipsec statusall"), "252 bytes_o (3 pkts, ");
        ask(&pair.carol, "ipsec down Tunnel1");
        pair.expect_nothing();
    }
}

#[test]
fn a_mark_that_is_none_ends_the_start() {
    let Some(pair) = hosts() else { return };
    for (plugin, value) in [("socket-default", "!0x42"), ("socket-default", "red")] {
        let more = format!("charon {{\n plugins {{\n {plugin} {{\n fwmark = {value}\n }}\n }}\n}}\n");
        pair.carol.set(&more).unwrap();
        let said = pair.carol.start().expect_err("no start");
        let log = pair.carol.read("charon.log");
        let expected = format!("charon.plugins.{plugin}.fwmark = {value}: is not of the form mark[/mask]");
        assert!(log.contains(&expected), "{said}\n{log}");
    }
}

/// What user space cannot do, as both front ends have it, with words of the reason.
const BEYOND: &[(&str, &str, &str)] = &[
    ("mark=42", "mark_in = 42", "knows no marks"),
    ("mark_out=42", "mark_out = 42", "knows no marks"),
    ("", "set_mark_in = 42", "knows no marks"),
    ("", "set_mark_out = 42", "knows no marks"),
    ("", "if_id_in = 42", "knows no interface"),
    ("", "if_id_out = %unique", "knows no interface"),
    ("", "interface = eth0", "knows no interface"),
    (
        "",
        "hw_offload = crypto",
        "cannot be offloaded to a network device",
    ),
    (
        "",
        "hw_offload = packet",
        "cannot be offloaded to a network device",
    ),
    ("type=transport", "mode = transport", "no transport mode"),
    ("tfc=512", "tfc_padding = 512", "does not pad"),
    (
        "replay_window=70000",
        "replay_window = 70000",
        "up to 65536 packets",
    ),
];

#[test]
fn what_user_space_cannot_do_is_refused_when_it_is_loaded() {
    let Some(pair) = hosts() else { return };
    let carol = &pair.carol;
    carol.set(&settings("", "")).unwrap();
    let head = "conn %default\n    authby=psk\n    right=192.168.0.2\n    rightsubnet=10.1.0.0/16\n";
    let mut conf = String::from(head);
    let mut refusals = Vec::new();
    for (index, (keyword, _, why)) in BEYOND.iter().enumerate().filter(|(_, row)| !row.0.is_empty()) {
        conf += &format!("conn c{index}\n    {keyword}\n    auto=add\n");
        let (key, line) = (keyword.split('=').next().unwrap(), conf.lines().count() - 1);
        refusals.push((format!("refused: {key}= (ipsec.conf:{line}): "), why));
    }
    carol
        .write("ipsec.conf", &(conf + "conn good\n    auto=add\n"))
        .unwrap();
    start(carol);
    let log = carol.read("charon.log");
    for (place, why) in refusals {
        let found = log
            .lines()
            .any(|line| line.contains(&place) && line.contains(why));
        assert!(found, "'{place}' and '{why}' are not in:\n{log}");
    }
    pair.expect(&log, "added configuration 'good'");
    for (_, setting, why) in BEYOND {
        let conf = format!(
            "connections {{\n c {{\n  remote_addrs = 192.168.0.2\n  local {{\n   auth = psk\n  }}\n  children {{\n   plain {{\n    \
             copy_df = no\n   }}\n   net {{\n    {setting}\n   }}\n  }}\n }}\n}}\n"
        );
        carol.write("swanctl.conf", &conf).unwrap();
        let file = carol.path("swanctl.conf");
        let said = carol
            .run(&format!("swanctl --load-conns --file {}", file.display()))
            .unwrap();
        assert_ne!(said.code, Some(0), "{setting}: {}", said.text);
        assert!(
            said.text.contains(why) && said.text.contains("swanctl.conf:12"),
            "{setting}: {}",
            said.text
        );
        assert!(!ask(carol, "swanctl --list-conns").contains("plain"), "{setting}");
    }
}

/// OpenWrt's script writes such a section for each network, whether a route leads there or not.
#[test]
fn a_shunt_without_a_route_is_nothing_to_complain_of() {
    let Some(pair) = hosts() else { return };
    let bypass = "conn bypass\n    left=127.0.0.1\n    leftsubnet=10.77.0.0/24\n    rightsubnet=10.77.0.0/24\n    \
                  auto=route\n    type=passthrough\n";
    let narrow = "conn ssh\n    left=127.0.0.1\n    leftsubnet=10.77.0.0/24[tcp/22]\n    rightsubnet=10.77.0.0/24\n    \
                  auto=route\n    type=passthrough\n";
    pair.carol.set(&settings("", "")).unwrap();
    pair.carol
        .write("ipsec.conf", &format!("{bypass}{narrow}"))
        .unwrap();
    start(&pair.carol);
    let status = ask(&pair.carol, "ipsec statusall");
    pair.expect(&status, "bypass:  10.77.0.0/24 === 10.77.0.0/24 PASS");
    assert!(!status.contains("ssh:"), "{status}");
    let log = pair.carol.read("charon.log");
    assert!(!log.contains("unable to install"), "{log}");
    pair.expect(&log, "connection 'ssh' of");
    pair.expect(&log, "not by protocol or port");
}
