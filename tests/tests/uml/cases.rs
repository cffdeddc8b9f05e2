//! Configurations of `tests/cases` that ask for what only a kernel's IPsec has: marks, and traps in transport mode.

use std::fs;

use xtask::host::Host;

use super::host::{Machine, Who, ours};
use super::net::{cable, command};
use super::tables::{State, policies, states};

fn read(case: &str, file: &str) -> String {
    let path = xtask::root().join("tests/cases").join(case).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Gives a host of ours the files of a case before its daemon starts.
fn write(host: &Host, case: &str, conf: &str) {
    host.write("ipsec.conf", conf).unwrap();
    host.write("ipsec.secrets", &read(case, "ipsec.secrets")).unwrap();
}

/// The two ends of case 01, which are one host here.
fn two_ends() -> String {
    let end = |name: &str, address: &str, net: &str, psk: &str| {
        (
            format!(
                "{name} {{\n version = 2\n local_addrs = {address}\n proposals = aes128-sha1-modp1024\n local {{\n  auth = psk\n  \
                 id = {address}\n }}\n remote {{\n  auth = psk\n  id = 198.51.100.10\n }}\n children {{\n  {name} {{\n   \
                 local_ts = {net}\n   remote_ts = 10.3.0.0/16\n   esp_proposals = aes128-sha1-modp1024\n  }}\n }}\n}}\n"
            ),
            format!("ike-{name} {{\n id-1 = {address}\n id-2 = 198.51.100.10\n secret = {psk}\n}}\n"),
        )
    };
    let one = end("tu1", "192.168.0.2", "10.1.0.0/16", "aB3.dEf_7xYz");
    let other = end("tu2", "192.168.0.3", "10.5.0.0/16", "qW9.rTy_4uIo");
    format!(
        "connections {{\n{}{}}}\nsecrets {{\n{}{}}}\n",
        one.0, other.0, one.1, other.1
    )
}

#[test]
fn tunnels_to_everywhere_are_told_apart_by_their_marks() {
    const CASE: &str = "01-aws-ec2-unquoted";
    let Some(network) = cable() else { return };
    let (here, there) = (network.carol, network.moon);
    for (host, addresses) in [
        (&here, &["192.168.0.1/24"][..]),
        (&there, &["192.168.0.2/24", "192.168.0.3/24"]),
    ] {
        host.ip("addr flush dev eth0").unwrap();
        for address in addresses {
            host.ip(&format!("addr add {address} dev eth0")).unwrap();
        }
    }
    there.ip("addr add 10.5.0.1/16 dev eth1").unwrap();
    // Packets of the tunnels have the mark of their tunnel when they arrive.
    command(&here, "tc", "qdisc add dev eth0 clsact");
    for (address, mark) in [("192.168.0.2", 100), ("192.168.0.3", 200)] {
        let rule = format!(
            "filter add dev eth0 ingress protocol ip flower src_ip {address} action skbedit mark {mark}"
        );
        command(&here, "tc", &rule);
    }
    let peer = Machine::start(Who::Them, "there", there, "");
    peer.load(&two_ends());
    // Its key exchange is one that the usual list of the guest lacks.
    let host = ours("here", here, "load_extra = gmp");
    // The guest's files are those of the system, which has no such script.
    let script = host.path("vti.sh");
    host.write(
        "vti.sh",
        "#!/bin/sh\necho $PLUTO_VERB $PLUTO_MARK_IN $PLUTO_MARK_OUT\n",
    )
    .unwrap();
    command(&host.namespace, "chmod", &format!("755 {}", script.display()));
    let conf = read(CASE, "ipsec.conf").replace("/etc/vti.sh", &script.display().to_string());
    write(&host, CASE, &conf);
    let host = Machine::begin("here", host);
    let status = || host.believed().len();
    host.until("both tunnels", || (status() == 2).then_some(()));
    for (mark, from, to) in [(100, "10.3.0.1", "10.1.0.2"), (200, "10.3.0.1", "10.5.0.1")] {
        command(
            host.namespace(),
            "ping",
            &format!("-c 2 -i 0.2 -W 5 -m {mark} -I {from} {to}"),
        );
        let text = format!("mark {mark:#x}/0xffffffff");
        let marked = policies(host.namespace());
        let marked = marked.iter().filter(|policy| policy.text.contains(&text)).count();
        assert!(marked >= 3, "{marked} policies with {text}\n{}", host.tables());
    }
    // Each tunnel has carried its own pings.
    let mut packets: Vec<_> = states(host.namespace())
        .into_iter()
        .map(|state| (state.source, state.destination, state.packets))
        .collect();
    packets.sort();
    let expected = [
        ("192.168.0.1", "192.168.0.2"),
        ("192.168.0.1", "192.168.0.3"),
        ("192.168.0.2", "192.168.0.1"),
        ("192.168.0.3", "192.168.0.1"),
    ]
    .map(|(source, destination)| (source.to_owned(), destination.to_owned(), 2));
    assert_eq!(packets, expected, "{}", host.tables());
    let log = host.log();
    for line in ["up-client", "100/0xffffffff", "200/0xffffffff"] {
        assert!(log.contains(line), "{line}: {log}");
    }
}

/// SAs that have a key. The kernel keeps one without for the packet that met the trap.
fn keyed(host: &Machine) -> Vec<State> {
    let mut states = states(host.namespace());
    states.retain(|state| state.spi != "00000000");
    states
}

/// A host with case 16, from this file.
fn trapping(who: Who, name: &'static str, namespace: xtask::netns::Namespace, file: &str) -> Machine {
    const CASE: &str = "16-trap-any";
    if file == "ipsec.conf" {
        let host = ours(name, namespace, "");
        write(&host, CASE, &read(CASE, file));
        return Machine::begin(name, host);
    }
    let machine = Machine::start(who, name, namespace, "");
    let conf = read(CASE, file);
    machine.load(&match who {
        Who::Us => conf,
        // Its jail has no /etc/protocols.
        Who::Them => conf.replace("[tcp", "[6"),
    });
    machine
}

#[test]
fn a_trap_for_any_peer_protects_whatever_host_is_spoken_to() {
    for (file, who) in [
        ("ipsec.conf", Who::Them),
        ("swanctl/swanctl.conf", Who::Them),
        ("ipsec.conf", Who::Us),
    ] {
        let Some(network) = cable() else { return };
        println!("{file}, the peer is {who:?}");
        let host = trapping(Who::Us, "carol", network.carol, file);
        // ssh to the host passes by its trap. It is answered by a reset, where no IPsec is yet.
        let mut ssh = std::process::Command::new("timeout");
        ssh.args(["20", "bash", "-c", "exec 3<>/dev/tcp/192.168.0.3/22"]);
        let said = network.moon.output(&mut ssh).unwrap();
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("Connection refused"), "{said}\n{}", host.tables());
        assert!(states(host.namespace()).is_empty(), "{}", host.tables());
        let peer = trapping(who, "moon", network.moon, "swanctl/swanctl.conf");
        // The first packets wait or are lost until the SA is up.
        command(host.namespace(), "ping", "-c 1 -W 10 -w 20 192.168.0.2");
        let pairs = host.believed();
        assert_eq!(pairs.len(), 1, "{}", host.log());
        let before = keyed(&host);
        command(host.namespace(), "ping", "-c 2 -i 0.2 -W 5 192.168.0.2");
        let after = keyed(&host);
        assert_eq!(after.len(), 2, "{}", host.tables());
        for (before, after) in before.iter().zip(&after) {
            assert_eq!((&after.spi, &after.mode), (&before.spi, &"transport".to_owned()));
            assert_eq!(after.packets, before.packets + 2, "{}", host.tables());
        }
        for [inbound, outbound] in peer.believed() {
            assert_eq!([outbound, inbound], pairs[0]);
        }
    }
}
