//! SAs of a kernel with ESP, between two network namespaces: `cargo xtask test uml` boots such a kernel.
//!
//! Needs root and ESP; without them the tests say so and pass.

mod world;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use charon_kernel_netlink::connection::Connection;
use charon_kernel_netlink::net::Netlink;
use charon_kernel_netlink::xfrm::{Tried, Xfrm};
use iana::{EncryptionAlgorithm as Encryption, IntegrityAlgorithm as Integrity, Protocol, TrafficSelector};
use netlink_packet_xfrm::constants::{AF_INET, XFRM_MODE_TUNNEL, XFRM_POLICY_IN};
use netlink_packet_xfrm::monitor::MigrateMessage;
use netlink_packet_xfrm::{Address, Selector, UserMigrate, UserPolicyId, XfrmAttrs, XfrmMessage};
use plugin_api::kernel::{
    CopyDscp, Direction, HwOffload, KernelEvent, KernelMigration, PolicyAction, PolicyParameters,
    PolicyPriority, SaId, SaLifetime, SaMode, SaOptions, SaParameters, SaUsage, UdpEncap,
};
use plugin_api::{ErrorKind, KernelAlgorithms, KernelIpsec, Secret};
use world::{Daemon, Told, address, ip};

type Work = Box<dyn FnOnce() + Send>;

/// A thread in a namespace of its own.
struct Elsewhere {
    work: Sender<Work>,
    namespace: String,
}

impl Elsewhere {
    fn new() -> Self {
        let (work, queue) = channel::<Work>();
        let (tell, told) = channel();
        thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a namespace");
            let thread = nix::unistd::gettid();
            tell.send(format!("/proc/{}/task/{thread}/ns/net", std::process::id()))
                .expect("heard");
            queue.into_iter().for_each(|work| work());
        });
        let namespace = told.recv().expect("a namespace");
        Self { work, namespace }
    }

    /// Runs something there and waits for what it returns.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = channel();
        let work = move || tell.send(work()).expect("heard");
        self.work.send(Box::new(work)).expect("it is there");
        told.recv().expect("it has not panicked")
    }
}

/// One end.
struct Host {
    xfrm: Xfrm,
    told: Receiver<Told>,
    /// The socket of ESP in UDP.
    socket: UdpSocket,
}

/// carol, here, and moon, elsewhere.
struct World {
    carol: Host,
    moon: Host,
    elsewhere: Elsewhere,
}

const CAROL: &str = "192.0.2.1";
const MOON: &str = "192.0.2.9";

fn host(own: &'static str, inner: &'static str) -> Result<Host, plugin_api::PluginError> {
    ip("link set lo up");
    ip(&format!("addr add {own}/24 dev eth0"));
    ip(&format!("addr add {inner}/32 dev lo"));
    ip("link set eth0 up");
    let (daemon, told) = Daemon::new(&[("charon.plugins.kernel-netlink.roam_events", "no")]);
    daemon.set_net(Arc::new(Netlink::new(daemon.clone()).expect("netlink")));
    let xfrm = Xfrm::new(daemon)?;
    let socket = UdpSocket::bind((own, 4500)).expect("a socket");
    xfrm.bypass_socket(socket.as_raw_fd(), false)?;
    xfrm.enable_udp_decap(socket.as_raw_fd(), false, 4500)?;
    Ok(Host { xfrm, told, socket })
}

impl World {
    fn new(name: &str) -> Option<Self> {
        if !world::enter(name) {
            return None;
        }
        let elsewhere = Elsewhere::new();
        ip(&format!("link set eth1 netns {} name eth0", elsewhere.namespace));
        let carol = match host(CAROL, "10.3.0.1") {
            Ok(carol) => carol,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::NotSupported, "{error}");
                println!("{name}: skipped, {error}");
                return None;
            }
        };
        let moon = elsewhere
            .run(|| host(MOON, "10.1.0.1"))
            .expect("ESP here is ESP there");
        Some(Self {
            carol,
            moon,
            elsewhere,
        })
    }

    /// Installs the SAs and policies of a tunnel on both hosts, which `change` may change.
    fn tunnel(&self, change: impl Fn(&mut SaParameters)) {
        for (host, own, peer) in [(&self.carol, CAROL, MOON), (&self.moon, MOON, CAROL)] {
            for inbound in [true, false] {
                let mut sa = sa(own, peer, inbound);
                change(&mut sa);
                host.xfrm.add_sa(&sa).expect("an SA");
            }
            for policy in policies(own, peer) {
                host.xfrm.add_policy(&policy).expect("a policy");
            }
        }
    }

    fn take_down(&self) {
        for host in [&self.carol, &self.moon] {
            host.xfrm.flush_policies().expect("flushed");
            host.xfrm.flush_sas().expect("flushed");
        }
    }

    fn usage(&self, from: &str, to: &str) -> [SaUsage; 2] {
        [&self.carol, &self.moon].map(|host| host.xfrm.query_sa(&id(from, to, spi(from))).expect("an SA"))
    }
}

/// Each sender has its SPI.
fn spi(src: &str) -> u32 {
    if src == CAROL { 0xc000_0001 } else { 0xc000_0002 }
}

fn id(src: &str, dst: &str, spi: u32) -> SaId {
    SaId {
        src: address(src),
        dst: address(dst),
        spi,
        protocol: Protocol::ESP,
    }
}

fn selectors(own: &str) -> (TrafficSelector, TrafficSelector) {
    let (carol, moon) = (
        TrafficSelector::subnet([10, 3, 0, 0].into(), 16),
        TrafficSelector::subnet([10, 1, 0, 0].into(), 16),
    );
    if own == CAROL {
        (carol, moon)
    } else {
        (moon, carol)
    }
}

fn sa(own: &str, peer: &str, inbound: bool) -> SaParameters {
    let (src, dst) = if inbound { (peer, own) } else { (own, peer) };
    let (src_ts, dst_ts) = selectors(src);
    SaParameters {
        id: id(src, dst, spi(src)),
        inbound,
        reqid: 1,
        mode: SaMode::Tunnel,
        src_ts: vec![src_ts],
        dst_ts: vec![dst_ts],
        encryption: Encryption::AES_GCM_16,
        encryption_key: Secret::new((0..36).collect()),
        integrity: None,
        integrity_key: Secret::default(),
        encap: None,
        esn: false,
        replay_window: if inbound { 32 } else { 0 },
        lifetime: SaLifetime::default(),
        tfc: 0,
        mark: None,
        options: Default::default(),
    }
}

fn policies(own: &str, peer: &str) -> [PolicyParameters; 3] {
    [Direction::In, Direction::Forward, Direction::Out].map(|direction| {
        let (src, dst) = if direction == Direction::Out {
            (own, peer)
        } else {
            (peer, own)
        };
        let (src_ts, dst_ts) = selectors(src);
        PolicyParameters {
            direction,
            src_ts,
            dst_ts,
            action: PolicyAction::Protect,
            priority: PolicyPriority::Default,
            src: address(src),
            dst: address(dst),
            reqid: 1,
            spi: spi(src),
            mode: SaMode::Tunnel,
            mark: None,
            options: Default::default(),
        }
    })
}

/// As many pings as answers are expected.
fn ping(count: u32) {
    let said = ip_like("ping", &format!("-c {count} -i 0.05 -W 5 -I 10.3.0.1 10.1.0.1"));
    assert!(said.contains(&format!("{count} received")), "{said}");
}

fn ip_like(program: &str, arguments: &str) -> String {
    let output = std::process::Command::new(program)
        .args(arguments.split_whitespace())
        .output()
        .expect("a program");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn next_event(told: &Receiver<Told>) -> KernelEvent {
    loop {
        if let Told::Event(event) = world::next(told) {
            return event;
        }
    }
}

const UDP: UdpEncap = UdpEncap {
    src_port: 4500,
    dst_port: 4500,
};

#[test]
fn every_algorithm_carries_packets_both_ways() {
    let Some(world) = World::new("algorithms") else {
        return;
    };
    let octets = |len: usize| Secret::new((1..=len as u8).collect());
    for (encryption, len) in [
        (Encryption::AES_GCM_16, 36),
        (Encryption::AES_GCM_12, 20),
        (Encryption::AES_GCM_8, 28),
        (Encryption::AES_CCM_16, 35),
        (Encryption::CHACHA20_POLY1305, 36),
        (Encryption::NULL_AES_GMAC, 20),
    ] {
        world.tunnel(|sa| (sa.encryption, sa.encryption_key) = (encryption, octets(len)));
        ping(2);
        for (from, to) in [(CAROL, MOON), (MOON, CAROL)] {
            for usage in world.usage(from, to) {
                assert_eq!((usage.packets, usage.octets), (2, 168), "{encryption}");
                assert!(usage.last_use.expect("used") < Duration::from_secs(30));
            }
        }
        world.take_down();
    }
    for (encryption, len, integrity, key_len) in [
        (Encryption::AES_CBC, 32, Integrity::HMAC_SHA2_256_128, 32),
        (Encryption::AES_CBC, 16, Integrity::HMAC_SHA1_96, 20),
        (Encryption::AES_CBC, 24, Integrity::HMAC_SHA2_384_192, 48),
        (Encryption::AES_CTR, 36, Integrity::HMAC_SHA2_512_256, 64),
        (Encryption::TRIPLE_DES_CBC, 24, Integrity::HMAC_MD5_96, 16),
        (Encryption::AES_CBC, 16, Integrity::AES_XCBC_96, 16),
        (Encryption::AES_CBC, 16, Integrity::AES_CMAC_96, 16),
        (Encryption::NULL, 0, Integrity::HMAC_SHA2_256_128, 32),
    ] {
        world.tunnel(|sa| {
            (sa.encryption, sa.encryption_key) = (encryption, octets(len));
            (sa.integrity, sa.integrity_key) = (Some(integrity), octets(key_len));
        });
        ping(2);
        world.take_down();
    }
}

#[test]
fn what_the_kernel_has_is_found_by_asking_it_and_leaves_nothing() {
    let Some(_world) = World::new("tried") else { return };
    let (daemon, _told) = Daemon::new(&[]);
    let tried = Tried::new(daemon);
    for _ in 0..2 {
        for (encryption, key_len) in [
            (Encryption::AES_GCM_16, 32),
            (Encryption::AES_CCM_16, 16),
            (Encryption::AES_CBC, 24),
            (Encryption::NULL, 0),
        ] {
            assert!(tried.encrypts(encryption, key_len), "{encryption}");
        }
        assert!(tried.authenticates(Protocol::ESP, Integrity::HMAC_SHA2_256_128));
        assert!(
            !tried.encrypts(Encryption::CAMELLIA_CCM_16, 16),
            "Linux has no name for it"
        );
        assert!(!tried.authenticates(Protocol::ESP, Integrity::CAMELLIA_XCBC_96));
    }
    assert_eq!(ip("xfrm state"), "");
}

#[test]
fn esn_windows_udp_and_padding_work_together() {
    let Some(world) = World::new("forms") else { return };
    for (esn, replay_window, encap, tfc) in [
        (true, 32, None, 0),
        (true, 0, Some(UDP), 0),
        (true, 1024, Some(UDP), 1000),
        (false, 256, None, 500),
        (false, 0, Some(UDP), 0),
    ] {
        world.tunnel(|sa| {
            (sa.esn, sa.encap) = (esn, encap);
            sa.replay_window = if sa.inbound { replay_window } else { 0 };
            sa.tfc = if sa.inbound { 0 } else { tfc };
        });
        ping(2);
        let state = ip("xfrm state");
        assert_eq!(state.contains("af-unspec esn"), esn, "{state}");
        assert_eq!(
            state.contains("encap type espinudp sport 4500 dport 4500"),
            encap.is_some(),
            "{state}"
        );
        world.take_down();
    }
}

fn soft_and_hard(spi: u32, dst: &str) -> [KernelEvent; 2] {
    [false, true].map(|hard| KernelEvent::Expire {
        protocol: Protocol::ESP,
        spi,
        dst: address(dst),
        hard,
    })
}

#[test]
fn limits_in_packets_octets_and_time_are_told_once_each() {
    let Some(world) = World::new("limits") else { return };
    let limits = [
        SaLifetime {
            soft_packets: 2,
            hard_packets: 4,
            ..SaLifetime::default()
        },
        SaLifetime {
            soft_octets: 168,
            hard_octets: 336,
            ..SaLifetime::default()
        },
        SaLifetime {
            soft_time: Duration::from_secs(1),
            hard_time: Duration::from_secs(2),
            ..SaLifetime::default()
        },
    ];
    for lifetime in limits {
        let in_time = !lifetime.hard_time.is_zero();
        // Of moon's inbound SA alone, so that the order is known.
        world.tunnel(|sa| {
            if sa.inbound && sa.id.dst == address(MOON) {
                sa.lifetime = lifetime;
            }
        });
        if !in_time {
            ip_like("ping", "-c 8 -i 0.05 -W 1 -I 10.3.0.1 10.1.0.1");
        }
        let events = [next_event(&world.moon.told), next_event(&world.moon.told)];
        assert_eq!(events, soft_and_hard(spi(CAROL), MOON));
        let gone = world.moon.xfrm.query_sa(&id(CAROL, MOON, spi(CAROL)));
        assert_eq!(gone.expect_err("expired").kind, ErrorKind::NotFound);
        world.take_down();
    }
    let more = world
        .moon
        .told
        .try_iter()
        .find(|told| matches!(told, Told::Event(_)));
    assert_eq!(more, None);
}

#[test]
fn a_moved_sa_keeps_its_counters_its_policies_and_its_peers_trust() {
    let Some(world) = World::new("moved") else { return };
    world.tunnel(|sa| sa.esn = true);
    ping(3);
    let new = "192.0.2.2";
    ip(&format!("addr del {CAROL}/24 dev eth0"));
    ip(&format!("addr add {new}/24 dev eth0"));
    let at = |address: IpAddr| SocketAddr::new(address, 4500);
    let (now, moon) = (at(address(new)), at(address(MOON)));
    for host in [&world.moon, &world.carol] {
        host.xfrm
            .update_sa(&id(CAROL, MOON, spi(CAROL)), now, moon, true)
            .expect("moved");
        host.xfrm
            .update_sa(&id(MOON, CAROL, spi(MOON)), moon, now, true)
            .expect("moved");
    }
    let socket = UdpSocket::bind((new, 4500)).expect("a socket");
    world
        .carol
        .xfrm
        .enable_udp_decap(socket.as_raw_fd(), false, 4500)
        .expect("decapsulated");
    world
        .carol
        .xfrm
        .bypass_socket(socket.as_raw_fd(), false)
        .expect("bypassed");
    ping(3);
    let policies = ip("xfrm policy");
    assert!(
        policies.contains("tmpl src 192.0.2.2 dst 192.0.2.9"),
        "{policies}"
    );
    assert!(
        policies.contains("tmpl src 192.0.2.9 dst 192.0.2.2"),
        "{policies}"
    );
    assert!(!policies.contains("192.0.2.1 "), "{policies}");
    let there = world.elsewhere.run(|| ip("xfrm policy"));
    assert!(
        there.contains("192.0.2.2") && !there.contains("192.0.2.1 "),
        "{there}"
    );
    for (from, to) in [(new, MOON), (MOON, new)] {
        let spi = if from == MOON { spi(MOON) } else { spi(CAROL) };
        for host in [&world.carol, &world.moon] {
            let usage = host.xfrm.query_sa(&id(from, to, spi)).expect("an SA");
            assert_eq!((usage.packets, usage.octets), (6, 504));
        }
    }
    // Where there was a trap or a child, what the daemon adds it removes, whatever it believes of addresses.
    for policy in self::policies(CAROL, MOON) {
        world.carol.xfrm.delete_policy(&policy).expect("removed");
    }
    assert_eq!(ip("xfrm policy list nosock"), "");
    assert_eq!(ip("route show table 220"), "");
    drop(world.carol.socket);
}

/// Has the kernel move the SAs of a policy as Mobile IPv6 does: those that come in from moon, to another address.
fn migrate(policy: &PolicyParameters, new: &str) {
    let other = Connection::<XfrmMessage>::open().expect("a socket");
    let subnet = |ts: &TrafficSelector| {
        let (address, prefix, _) = ts.covering_subnet();
        (Address::from_ip(&address), prefix)
    };
    let ((saddr, prefixlen_s), (daddr, prefixlen_d)) = (subnet(&policy.src_ts), subnet(&policy.dst_ts));
    let (src, dst) = (Address::from_ip(&policy.src), Address::from_ip(&policy.dst));
    let moved = UserMigrate {
        old_daddr: dst,
        old_saddr: src,
        new_daddr: Address::from_ip(&address(new)),
        new_saddr: src,
        proto: 50,
        mode: XFRM_MODE_TUNNEL,
        reqid: policy.reqid,
        old_family: AF_INET,
        new_family: AF_INET,
        ..UserMigrate::default()
    };
    let message = MigrateMessage {
        user_policy_id: UserPolicyId {
            selector: Selector {
                saddr,
                daddr,
                prefixlen_s,
                prefixlen_d,
                family: AF_INET,
                ..Selector::default()
            },
            direction: XFRM_POLICY_IN,
            ..UserPolicyId::default()
        },
        nlas: vec![XfrmAttrs::Migrate(moved)],
    };
    other.ask(XfrmMessage::Migrate(message), 0).expect("moved");
}

#[test]
fn what_somebody_else_has_moved_is_told_and_goes_on_from_there() {
    let Some(world) = World::new("migration") else {
        return;
    };
    world.tunnel(|_| ());
    ping(3);
    let new = "192.0.2.2";
    ip(&format!("addr add {new}/24 dev eth0"));
    let inward = &policies(CAROL, MOON)[0];
    migrate(inward, new);
    let expected = KernelMigration {
        reqid: 1,
        direction: Direction::In,
        src_ts: inward.src_ts.clone(),
        dst_ts: inward.dst_ts.clone(),
        from: (address(CAROL), address(MOON)),
        to: (address(new), address(MOON)),
    };
    let told = loop {
        if let Told::Migration(told) = world::next(&world.carol.told) {
            break told;
        }
    };
    assert_eq!(told, expected);
    let state = state_of(spi(MOON));
    assert!(state.contains("src 192.0.2.9 dst 192.0.2.2 "), "{state}");
    // The daemon names it by where it was.
    let at = |address: IpAddr| SocketAddr::new(address, 4500);
    let (now, moon) = (at(address(new)), at(address(MOON)));
    for host in [&world.carol, &world.moon] {
        host.xfrm
            .update_sa(&id(MOON, CAROL, spi(MOON)), moon, now, false)
            .expect("moved");
        host.xfrm
            .update_sa(&id(CAROL, MOON, spi(CAROL)), now, moon, false)
            .expect("moved");
    }
    ping(3);
    for table in ["xfrm state", "xfrm policy list nosock"] {
        let text = ip(table);
        assert!(
            text.contains("192.0.2.2 ") && !text.contains("192.0.2.1 "),
            "{text}"
        );
    }
    for (from, to) in [(new, MOON), (MOON, new)] {
        let spi = if from == MOON { spi(MOON) } else { spi(CAROL) };
        for host in [&world.carol, &world.moon] {
            let usage = host.xfrm.query_sa(&id(from, to, spi)).expect("an SA");
            assert_eq!((usage.packets, usage.octets), (6, 504));
        }
    }
}

/// The lines of an SA in `ip -s xfrm state`, in one.
fn state_of(spi: u32) -> String {
    let states = ip("-s xfrm state");
    let known = format!("spi 0x{spi:08x}");
    let (before, after) = states.split_once(&known).expect("the SA");
    let start = before.rfind("src ").expect("its first line");
    let end = after.find("\nsrc ").unwrap_or(after.len());
    let whole = format!("{}{known}{}", &before[start..], &after[..end]);
    whole.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn what_an_sa_is_asked_for_besides_is_in_the_kernel() {
    let Some(world) = World::new("options") else {
        return;
    };
    let xfrm = &world.carol.xfrm;
    for inbound in [true, false] {
        let mut sa = sa(CAROL, MOON, inbound);
        sa.mark = (!inbound).then_some((0x42, 0xff));
        sa.options = SaOptions {
            if_id: if inbound { 0x11 } else { 0x12 },
            set_mark: Some((0x7, 0xf)),
            hw_offload: HwOffload::Auto,
            copy_df: false,
            copy_ecn: false,
            copy_dscp: CopyDscp::In,
        };
        xfrm.add_sa(&sa).expect("an SA");
    }
    let (inbound, outbound) = (state_of(spi(MOON)), state_of(spi(CAROL)));
    for (state, words) in [
        (&inbound, "if_id 0x11"),
        (&outbound, "if_id 0x12"),
        (&outbound, "mark 0x42/0xff"),
        (&inbound, "flag noecn decap-dscp af-unspec"),
        (&outbound, "flag noecn nopmtudisc af-unspec"),
        (&outbound, "extra_flag dont-encap-dscp"),
    ] {
        assert!(state.contains(words), "{words}: {state}");
    }
    for state in [&inbound, &outbound] {
        assert!(state.contains("output-mark 0x7/0xf"), "{state}");
        // The ends of a veth pair compute nothing; where it is left to them, the host does it.
        assert!(!state.contains("crypto offload"), "{state}");
    }
    let mut moved = id(CAROL, MOON, spi(CAROL));
    let there: SocketAddr = (address("192.0.2.77"), 4500).into();
    xfrm.update_sa(&moved, (address(CAROL), 4500).into(), there, false)
        .expect("moved");
    moved.dst = there.ip();
    let after = state_of(spi(CAROL));
    for words in ["if_id 0x12", "output-mark 0x7/0xf", "extra_flag dont-encap-dscp"] {
        assert!(after.contains(words), "{words}: {after}");
    }
    xfrm.delete_sa(&moved).expect("removed");
    xfrm.delete_sa(&id(MOON, CAROL, spi(MOON))).expect("removed");
    assert_eq!(ip("xfrm state"), "");
    for hw_offload in [HwOffload::Crypto, HwOffload::Packet] {
        let mut sa = sa(CAROL, MOON, false);
        sa.options.hw_offload = hw_offload;
        let refused = xfrm.add_sa(&sa).expect_err("no such device");
        assert!(refused.message.contains("hw_offload"), "{refused}");
        assert_eq!(ip("xfrm state"), "");
    }
}

#[test]
fn of_two_tunnels_with_the_same_selectors_the_mark_of_a_packet_chooses() {
    let Some(world) = World::new("marks") else { return };
    world.tunnel(|sa| sa.mark = (sa.id.src == address(CAROL) && !sa.inbound).then_some((1, u32::MAX)));
    let [_, _, mut outbound] = policies(CAROL, MOON);
    world.carol.xfrm.delete_policy(&outbound).expect("removed");
    const SECOND: u32 = 0xc000_0003;
    for (host, own, peer, inbound) in [
        (&world.carol, CAROL, MOON, false),
        (&world.moon, MOON, CAROL, true),
    ] {
        let mut sa = sa(own, peer, inbound);
        sa.id.spi = SECOND;
        sa.mark = (!inbound).then_some((2, u32::MAX));
        host.xfrm.add_sa(&sa).expect("an SA");
    }
    for (mark, spi) in [(1, spi(CAROL)), (2, SECOND)] {
        (outbound.mark, outbound.spi) = (Some((mark, u32::MAX)), spi);
        world.carol.xfrm.add_policy(&outbound).expect("a policy");
    }
    let carried = |host: &Host, spi| {
        let usage = host.xfrm.query_sa(&id(CAROL, MOON, spi)).expect("an SA");
        usage.packets
    };
    for (mark, expected) in [(1, (2, 0)), (2, (2, 2))] {
        let said = ip_like(
            "ping",
            &format!("-m {mark} -c 2 -i 0.05 -W 5 -I 10.3.0.1 10.1.0.1"),
        );
        assert!(said.contains("2 received"), "{said}");
        for host in [&world.carol, &world.moon] {
            assert_eq!((carried(host, spi(CAROL)), carried(host, SECOND)), expected);
        }
    }
}

#[test]
fn a_peer_whose_port_changes_is_told() {
    let Some(world) = World::new("mapping") else {
        return;
    };
    world.tunnel(|sa| {
        sa.encap = Some(UDP);
        // What carol sends comes from another port than moon believes.
        if sa.inbound && sa.id.dst == address(MOON) {
            sa.encap = Some(UdpEncap {
                src_port: 61_000,
                dst_port: 4500,
            });
        }
    });
    ping(1);
    let expected = KernelEvent::Mapping {
        spi: spi(CAROL),
        dst: address(MOON),
        endpoint: SocketAddr::new(address(CAROL), 4500),
    };
    assert_eq!(next_event(&world.moon.told), expected);
}

#[test]
fn an_inbound_sa_takes_the_place_of_its_spi_and_a_second_of_the_same_is_refused() {
    let Some(world) = World::new("places") else { return };
    let xfrm = &world.carol.xfrm;
    let reserved = xfrm
        .allocate_spi(address(MOON), address(CAROL), Protocol::ESP)
        .expect("an SPI");
    let mut inbound = sa(CAROL, MOON, true);
    inbound.id.spi = reserved;
    xfrm.add_sa(&inbound).expect("in its place");
    let state = ip("xfrm state");
    assert_eq!(state.matches("proto esp").count(), 1, "{state}");
    assert!(state.contains("replay-window 32"), "{state}");
    let outbound = sa(CAROL, MOON, false);
    xfrm.add_sa(&outbound).expect("added");
    let refused = xfrm.add_sa(&outbound).expect_err("there");
    assert_eq!(refused.kind, ErrorKind::AlreadyExists);
    let mut wrong = sa(CAROL, MOON, false);
    (wrong.id.spi, wrong.encryption_key) = (7777, Secret::new(vec![1; 7]));
    let refused = xfrm.add_sa(&wrong).expect_err("no such key");
    assert!(refused.message.contains("Invalid argument"), "{refused}");
    xfrm.delete_sa(&inbound.id).expect("removed");
    xfrm.delete_sa(&outbound.id).expect("removed");
    assert_eq!(ip("xfrm state"), "");
}
