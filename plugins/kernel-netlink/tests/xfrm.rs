//! Policies, traps and reserved SPIs of the kernel, in a network namespace. SAs take a kernel with ESP.
//!
//! Needs root; without it the tests say so and pass, unless `CI=true`.

mod world;

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use charon_kernel_netlink::net::Netlink;
use charon_kernel_netlink::xfrm::Xfrm;
use iana::{EncryptionAlgorithm, Protocol, TrafficSelector};
use netlink_sys::protocols::NETLINK_XFRM;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::sockopt;
use plugin_api::kernel::{
    Direction, KernelEvent, PolicyAction, PolicyParameters, PolicyPriority, SaId, SaLifetime, SaMode,
    SaParameters,
};
use plugin_api::{ErrorKind, KernelIpsec, Secret};
use world::{Daemon, Told, address, ip};

struct World {
    xfrm: Xfrm,
    told: Receiver<Told>,
}

impl World {
    fn new(name: &str, settings: &'static [(&'static str, &'static str)]) -> Option<Self> {
        if !world::enter(name) {
            return None;
        }
        ip("addr add 192.0.2.1/24 dev eth0");
        ip("addr add 10.3.0.1/32 dev lo");
        ip("link set eth0 up");
        ip("link set eth1 up");
        ip("neigh add 192.0.2.9 dev eth0 lladdr 02:00:00:00:00:09");
        let (daemon, told) = Daemon::new(settings);
        let (quiet, _) = Daemon::new(&[("charon.plugins.kernel-netlink.roam_events", "no")]);
        daemon.set_net(Arc::new(Netlink::new(quiet).expect("netlink")));
        let xfrm = Xfrm::without_esp(daemon).expect("XFRM");
        Some(Self { xfrm, told })
    }

    fn next_event(&self) -> KernelEvent {
        loop {
            if let Told::Event(event) = world::next(&self.told) {
                return event;
            }
        }
    }
}

fn subnet(text: &str) -> TrafficSelector {
    let (network, prefix) = text.split_once('/').expect("a subnet");
    TrafficSelector::subnet(address(network), prefix.parse().expect("prefix"))
}

fn policy(direction: Direction, priority: PolicyPriority, spi: u32) -> PolicyParameters {
    let (local, remote) = (subnet("10.3.0.0/16"), subnet("10.1.0.0/16"));
    let (own, peer) = (address("192.0.2.1"), address("192.0.2.9"));
    let outbound = direction == Direction::Out;
    PolicyParameters {
        direction,
        src_ts: if outbound { local.clone() } else { remote.clone() },
        dst_ts: if outbound { remote } else { local },
        action: PolicyAction::Protect,
        priority,
        src: if outbound { own } else { peer },
        dst: if outbound { peer } else { own },
        reqid: 7,
        spi,
        mode: SaMode::Tunnel,
        mark: None,
        options: Default::default(),
    }
}

/// `ip xfrm policy` in one line a policy.
fn policies() -> Vec<String> {
    let text = ip("xfrm policy");
    let mut policies: Vec<String> = Vec::new();
    for line in text.lines() {
        match policies.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => {
                last.push_str(" | ");
                last.push_str(line.trim());
            }
            _ => policies.push(line.trim().to_owned()),
        }
    }
    policies.sort();
    // Kernels with sub policies say which kind it is.
    policies
        .iter()
        .map(|line| line.replace(" ptype main", ""))
        .collect()
}

const OUT_SELECTOR: &str = "src 10.3.0.0/16 dst 10.1.0.0/16";
const OUT: &str = "src 10.3.0.0/16 dst 10.1.0.0/16 | dir out priority ";
const IN: &str = "src 10.1.0.0/16 dst 10.3.0.0/16 | dir ";
const IN_TEMPLATE: &str = " | tmpl src 192.0.2.9 dst 192.0.2.1 | proto esp reqid 7 mode tunnel";

fn out(priority: u32, spi: &str) -> String {
    format!("{OUT}{priority} | tmpl src 192.0.2.1 dst 192.0.2.9 | proto esp{spi} reqid 7 mode tunnel")
}

#[test]
fn the_kernel_holds_the_best_of_several_policies_and_none_after_the_last() {
    let Some(World { xfrm, .. }) = World::new("policies", &[]) else {
        return;
    };
    let trap = policy(Direction::Out, PolicyPriority::Routed, 0);
    let first = policy(Direction::Out, PolicyPriority::Default, 0x1001);
    let second = policy(Direction::Out, PolicyPriority::Default, 0x1002);
    xfrm.add_policy(&trap).expect("added");
    assert_eq!(policies(), [out(383_616, "")]);
    xfrm.add_policy(&first).expect("added");
    assert_eq!(policies(), [out(383_615, " spi 0x00001001")]);
    xfrm.add_policy(&second).expect("added");
    assert_eq!(policies(), [out(383_615, " spi 0x00001002")], "the youngest");
    xfrm.delete_policy(&first).expect("removed");
    assert_eq!(policies(), [out(383_615, " spi 0x00001002")]);
    xfrm.delete_policy(&second).expect("removed");
    assert_eq!(policies(), [out(383_616, "")]);
    for direction in [Direction::In, Direction::Forward] {
        for spi in [1, 2] {
            let policy = policy(direction, PolicyPriority::Default, spi);
            xfrm.add_policy(&policy).expect("added");
        }
    }
    let inbound = |direction: &str| format!("{IN}{direction} priority 383615{IN_TEMPLATE}");
    assert_eq!(policies(), [inbound("fwd"), inbound("in"), out(383_616, "")]);
    for direction in [Direction::In, Direction::Forward] {
        for spi in [1, 2] {
            let policy = policy(direction, PolicyPriority::Default, spi);
            xfrm.delete_policy(&policy).expect("removed");
        }
    }
    xfrm.delete_policy(&trap).expect("removed");
    assert_eq!(policies(), Vec::<String>::new());
    let gone = xfrm.delete_policy(&trap).expect_err("gone");
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

#[test]
fn ports_marks_shunts_and_transport_mode_are_the_kernels_too() {
    let Some(World { xfrm, .. }) = World::new("kinds", &[]) else {
        return;
    };
    let mut web = policy(Direction::Out, PolicyPriority::Default, 0x1001);
    for ts in [&mut web.src_ts, &mut web.dst_ts] {
        ts.protocol = 6;
    }
    (web.dst_ts.start_port, web.dst_ts.end_port) = (443, 443);
    (web.mode, web.mark) = (SaMode::Transport, Some((0x42, 0xff)));
    let mut pass = policy(Direction::Out, PolicyPriority::Pass, 0);
    pass.action = PolicyAction::Pass;
    let mut drop = policy(Direction::In, PolicyPriority::Fallback, 0);
    drop.action = PolicyAction::Drop;
    for policy in [&web, &pass, &drop] {
        xfrm.add_policy(policy).expect("added");
    }
    let expected = [
        format!("{IN}in action block priority 583615"),
        "src 10.3.0.0/16 dst 10.1.0.0/16 proto tcp dport 443 | dir out priority 383295 | mark 0x42/0xff | tmpl src \
         0.0.0.0 dst 0.0.0.0 | proto esp spi 0x00001001 reqid 7 mode transport"
            .to_owned(),
        format!("{OUT}183615"),
    ];
    assert_eq!(policies(), expected);
    for policy in [&web, &pass, &drop] {
        xfrm.delete_policy(policy).expect("removed");
    }
    assert_eq!(policies(), Vec::<String>::new());
}

#[test]
fn ids_names_and_ranks_are_the_kernels_too() {
    let Some(World { xfrm, .. }) = World::new("options", &[]) else {
        return;
    };
    let mut by_id = policy(Direction::Out, PolicyPriority::Default, 0x1001);
    (by_id.options.if_id, by_id.options.priority) = (42, 1000);
    let mut by_name = policy(Direction::Out, PolicyPriority::Default, 0x1001);
    by_name.options.interface = "eth0".into();
    for policy in [&by_id, &by_name] {
        xfrm.add_policy(policy).expect("added");
    }
    let template = " | tmpl src 192.0.2.1 dst 192.0.2.9 | proto esp spi 0x00001001 reqid 7 mode tunnel";
    let named = format!("{} dev eth0 | dir out priority 383613{template}", OUT_SELECTOR);
    assert_eq!(
        policies(),
        [named.clone(), format!("{OUT}1000{template} | if_id 0x2a")]
    );
    let routes = ip("route show table 220");
    assert_eq!(routes.lines().count(), 1, "none for an interface by id: {routes}");
    xfrm.delete_policy(&by_id).expect("removed");
    assert_eq!(policies(), [named]);
    // What the kernel has for an interface is removed, even if that has another name or is gone.
    ip("link set eth0 down");
    ip("link set eth0 name eth9");
    xfrm.delete_policy(&by_name).expect("removed");
    assert_eq!(policies(), Vec::<String>::new());
    let refused = xfrm.add_policy(&by_name).expect_err("no eth0");
    assert_eq!(refused.kind, ErrorKind::NotFound, "{refused}");
    assert!(refused.message.contains("no network interface eth0"), "{refused}");
}

#[test]
fn ports_of_the_daemon_pass_by_policies_if_wanted() {
    let settings = &[("charon.plugins.kernel-netlink.port_bypass", "yes")];
    let Some(World { xfrm, .. }) = World::new("ports", settings) else {
        return;
    };
    let socket = UdpSocket::bind("0.0.0.0:500").expect("a socket");
    xfrm.bypass_socket(socket.as_raw_fd(), false).expect("bypassed");
    let any = "src 0.0.0.0/0 dst 0.0.0.0/0 proto udp";
    let expected = [
        format!("{any} dport 500 | dir in priority 32"),
        format!("{any} sport 500 | dir out priority 32"),
    ];
    assert_eq!(policies(), expected);
    let mut drop_all = policy(Direction::Out, PolicyPriority::Fallback, 0);
    (drop_all.action, drop_all.src_ts, drop_all.dst_ts) =
        (PolicyAction::Drop, subnet("0.0.0.0/0"), subnet("0.0.0.0/0"));
    xfrm.add_policy(&drop_all).expect("added");
    socket.send_to(b"IKE", "192.0.2.9:500").expect("it passes");
    let other = UdpSocket::bind("192.0.2.1:0").expect("a socket");
    other.send_to(b"other", "192.0.2.9:500").expect_err("dropped");
    xfrm.flush_policies().expect("flushed");
    assert_eq!(
        policies(),
        expected,
        "they are the sockets', not the connections'"
    );
    drop(xfrm);
    assert_eq!(policies(), Vec::<String>::new());
}

#[test]
fn a_policy_of_another_program_is_taken_over_with_a_word() {
    let Some(World { xfrm, told }) = World::new("taken", &[]) else {
        return;
    };
    ip("xfrm policy add src 10.3.0.0/16 dst 10.1.0.0/16 dir out action block");
    xfrm.add_policy(&policy(Direction::Out, PolicyPriority::Default, 0x1001))
        .expect("added");
    assert_eq!(policies(), [out(383_615, " spi 0x00001001")]);
    let expected = "policy 10.3.0.0/16 === 10.1.0.0/16 Out already exists, try to update it";
    assert!(
        told.try_iter()
            .any(|told| told == Told::Line(expected.to_owned()))
    );
    xfrm.flush_policies().expect("flushed");
    assert_eq!(policies(), Vec::<String>::new());
    xfrm.flush_policies().expect("flushed again");
    xfrm.flush_sas().expect("flushed");
}

fn send(to: &str) -> std::io::Result<usize> {
    let socket = UdpSocket::bind("10.3.0.1:0").expect("a socket");
    socket.send_to(b"hello", to)
}

#[test]
fn a_packet_that_meets_a_trap_is_told_once() {
    let Some(world) = World::new("acquire", &[]) else {
        return;
    };
    let trap = policy(Direction::Out, PolicyPriority::Routed, 0);
    world.xfrm.add_policy(&trap).expect("added");
    assert!(
        ip("route show table 220").contains("10.1.0.0/16 via 192.0.2.9 dev eth0 proto static src 10.3.0.1")
    );
    // The kernel may keep it for when there is an SA, or tell the sender.
    let _ = send("10.1.0.5:4711");
    let KernelEvent::Acquire { reqid, src, dst } = world.next_event() else {
        panic!("an acquire");
    };
    assert_eq!(reqid, 7);
    assert_eq!((src.protocol, dst.protocol), (17, 17));
    assert!(
        src.is_host(address("10.3.0.1")) && dst.is_host(address("10.1.0.5")),
        "{src} {dst}"
    );
    assert_eq!((dst.start_port, dst.end_port), (4711, 4711));
    let _ = send("10.1.0.5:4711");
    world.xfrm.delete_policy(&trap).expect("removed");
    assert_eq!(ip("route show table 220"), "");
    let more = world.told.try_iter().find(|told| matches!(told, Told::Event(_)));
    assert_eq!(more, None, "the kernel waits for an answer to the first");
}

#[test]
fn a_flood_of_acquires_loses_none() {
    let settings = &[("charon.plugins.kernel-netlink.receive_buffer_size", "2304")];
    let Some(world) = World::new("flood", settings) else {
        return;
    };
    // As long as somebody hears of a packet, the kernel takes it for asked for.
    let mut other = Socket::new(NETLINK_XFRM).expect("a socket");
    nix::sys::socket::setsockopt(&other, sockopt::RcvBufForce, &(8 << 20)).expect("room");
    other.bind(&SocketAddr::new(0, 1)).expect("bound");
    const TRAPS: u32 = 400;
    for number in 0..TRAPS {
        let mut trap = policy(Direction::Out, PolicyPriority::Routed, 0);
        let host = IpAddr::from([10, 1, (number >> 8) as u8, number as u8]);
        (trap.dst_ts, trap.reqid) = (TrafficSelector::host(host), 1000 + number);
        world.xfrm.add_policy(&trap).expect("added");
    }
    let socket = UdpSocket::bind("10.3.0.1:0").expect("a socket");
    for number in 0..TRAPS {
        let host = IpAddr::from([10, 1, (number >> 8) as u8, number as u8]);
        let _ = socket.send_to(b"hello", (host, 9));
    }
    let mut reqids: Vec<u32> = (0..TRAPS)
        .map(|_| match world.next_event() {
            KernelEvent::Acquire { reqid, .. } => reqid,
            other => panic!("{other:?}"),
        })
        .collect();
    reqids.sort();
    assert!(reqids.into_iter().eq(1000..1000 + TRAPS), "each once");
}

#[test]
fn sockets_of_ike_pass_by_all_policies() {
    let Some(World { xfrm, .. }) = World::new("bypass", &[]) else {
        return;
    };
    ip("addr add fd01::1/64 dev eth0 nodad");
    ip("neigh add fd01::9 dev eth0 lladdr 02:00:00:00:00:09");
    for (own, peer) in [("192.0.2.1", "192.0.2.9"), ("fd01::1", "fd01::9")] {
        let (own, peer) = (address(own), address(peer));
        let mut drop = policy(Direction::Out, PolicyPriority::Fallback, 0);
        drop.action = PolicyAction::Drop;
        (drop.src_ts, drop.dst_ts) = (TrafficSelector::host(own), TrafficSelector::host(peer));
        xfrm.add_policy(&drop).expect("added");
        let socket = UdpSocket::bind((own, 0)).expect("a socket");
        let refused = socket.send_to(b"hello", (peer, 500)).expect_err("dropped");
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
        xfrm.bypass_socket(socket.as_raw_fd(), peer.is_ipv6())
            .expect("bypassed");
        socket.send_to(b"hello", (peer, 500)).expect("passed");
        xfrm.enable_udp_decap(socket.as_raw_fd(), peer.is_ipv6(), 4500)
            .expect("decapsulated");
    }
    let no_socket = xfrm.bypass_socket(-1, false).expect_err("none");
    assert!(no_socket.message.contains("Bad file descriptor"), "{no_socket}");
}

fn outbound_sa(spi: u32) -> SaParameters {
    SaParameters {
        id: SaId {
            src: address("192.0.2.1"),
            dst: address("192.0.2.9"),
            spi,
            protocol: Protocol::ESP,
        },
        inbound: false,
        reqid: 7,
        mode: SaMode::Tunnel,
        src_ts: vec![subnet("10.3.0.0/16")],
        dst_ts: vec![subnet("10.1.0.0/16")],
        encryption: EncryptionAlgorithm::AES_GCM_16,
        encryption_key: Secret::new((0..36).collect()),
        integrity: None,
        integrity_key: Secret::default(),
        encap: None,
        esn: false,
        replay_window: 0,
        lifetime: SaLifetime::default(),
        tfc: 0,
        mark: None,
        options: Default::default(),
    }
}

#[test]
fn reserved_spis_lie_in_the_range_and_are_given_back() {
    let settings = &[("charon.spi_min", "0xc0000010"), ("charon.spi_max", "0xc0000010")];
    let Some(World { xfrm, .. }) = World::new("spis", settings) else {
        return;
    };
    let (src, dst) = (address("192.0.2.9"), address("192.0.2.1"));
    let reserve = || xfrm.allocate_spi(src, dst, Protocol::ESP);
    assert_eq!(reserve(), Ok(0xc000_0010));
    let full = reserve().expect_err("none is left");
    assert!(full.message.contains("charon.spi_max"), "{full}");
    assert!(ip("xfrm state").contains("spi 0xc0000010"));
    let id = SaId {
        src,
        dst,
        spi: 0xc000_0010,
        protocol: Protocol::ESP,
    };
    xfrm.delete_sa(&id).expect("given back");
    assert_eq!(xfrm.delete_sa(&id).expect_err("gone").kind, ErrorKind::NotFound);
    assert_eq!(xfrm.query_sa(&id).expect_err("gone").kind, ErrorKind::NotFound);
    assert_eq!(reserve(), Ok(0xc000_0010), "free again");
}

#[test]
fn a_kernel_without_esp_is_recognized_and_an_sa_leaves_nothing_behind() {
    let Some(World { xfrm, .. }) = World::new("probe", &[]) else {
        return;
    };
    let probed = Xfrm::new(Daemon::new(&[]).0).map(drop);
    let added = xfrm.add_sa(&outbound_sa(0x1001));
    assert_eq!(probed.is_ok(), added.is_ok());
    match (probed, added) {
        (Err(probed), Err(added)) => {
            assert_eq!(
                (probed.kind, added.kind),
                (ErrorKind::NotSupported, ErrorKind::NotSupported)
            );
            assert!(probed.message.contains("the kernel has no ESP"), "{probed}");
            assert!(added.message.contains("load its module"), "{added}");
            assert_eq!(ip("xfrm state"), "");
        }
        _ => {
            let state = ip("xfrm state");
            assert!(state.contains("src 192.0.2.1 dst 192.0.2.9"), "{state}");
            assert!(!state.contains("127.0.0.1"), "the probe left nothing: {state}");
        }
    }
}
