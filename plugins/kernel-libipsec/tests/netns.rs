//! Two back ends in two network namespaces joined by a cable: packets through the tunnel, and those that must not pass.
//!
//! Needs root; without it the tests say so and pass, unless `CI=true`.
#![allow(clippy::disallowed_methods, clippy::panic, clippy::unwrap_used)] // a test, and one that waits

mod world;

use std::net::UdpSocket;
use std::time::Duration;

use charon_kernel_libipsec::drops::Reason;
use nix::sys::socket::{setsockopt, sockopt};
use plugin_api::KernelIpsec;
use plugin_api::kernel::{CopyDscp, KernelEvent, ReceivedEsp, SaLifetime};

use world::{CAROL, MOON, Side, Tunnel, World};

/// A UDP socket of the protected network of `side`.
fn inner_socket(world: &World, side: Side) -> UdpSocket {
    let address = world.inner_address(side);
    let socket = world.within(side, move || {
        UdpSocket::bind((address, 7000)).expect("an inner address")
    });
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    socket
}

fn pass(world: &World, from: &UdpSocket, to: &UdpSocket, payload: &[u8]) {
    from.send_to(payload, to.local_addr().expect("bound"))
        .expect("sent");
    let mut buffer = [0; 4000];
    let (len, source) = to
        .recv_from(&mut buffer)
        .unwrap_or_else(|error| panic!("{error}\n{}", world.logs()));
    assert_eq!(
        (&buffer[..len], source),
        (payload, from.local_addr().expect("bound"))
    );
}

#[test]
fn packets_pass_both_ways_and_both_ends_count_alike() {
    let Some(world) = World::new("both-ways") else {
        return;
    };
    world.install(Tunnel::default());
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    for len in [1, 64, 1000, 1372, 3000] {
        pass(&world, &carol, &moon, &vec![len as u8; len]);
        pass(&world, &moon, &carol, &vec![!len as u8; len]);
    }
    for (from, to) in [(CAROL, MOON), (MOON, CAROL)] {
        let (out, into) = (world.usage(from, from), world.usage(to, from));
        assert_eq!((out.octets, out.packets), (into.octets, into.packets));
        // 3000 octets make three fragments of the inner packet.
        assert_eq!(out.packets, 7);
        assert_eq!(out.octets, (1 + 64 + 1000 + 1372 + 3000) as u64 + 5 * 8 + 7 * 20);
    }
    assert!(world.ping(CAROL, MOON), "{}", world.logs());
    assert!(world.log_has(CAROL, "created TUN device: ipsec0"));
}

#[test]
fn dscp_and_congestion_are_told_between_the_headers() {
    const EF: u8 = 46 << 2;
    const CAPABLE: u8 = 0b10;
    const CONGESTED: u8 = 0b11;
    for (copy_dscp, outer, inner) in [
        (CopyDscp::Out, EF | CAPABLE, EF | CONGESTED),
        (CopyDscp::No, CAPABLE, EF | CONGESTED),
        // The outer header's, which nothing has set.
        (CopyDscp::In, CAPABLE, CONGESTED),
    ] {
        let Some(world) = World::new("tos") else { return };
        let tunnel = Tunnel {
            copy_dscp,
            ..Tunnel::default()
        };
        world.install(tunnel);
        let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
        setsockopt(&carol, sockopt::Ipv4Tos, &i32::from(EF | CAPABLE)).expect("an option");
        setsockopt(&moon, sockopt::IpRecvTos, &true).expect("an option");
        world.congest(MOON);
        let mut buffer = [0; 100];
        carol
            .send_to(b"urgent", moon.local_addr().expect("bound"))
            .expect("sent");
        let (len, _, tos, _) = world::receive(&moon, &mut buffer).expect("a packet");
        assert_eq!((&buffer[..len], tos), (&b"urgent"[..], inner), "{copy_dscp:?}");
        assert_eq!(world.last_tos(MOON), outer, "{copy_dscp:?}");
    }
}

#[test]
fn inner_packets_of_ipv6_pass_in_the_same_sa() {
    let Some(world) = World::new("v6") else { return };
    world.install(Tunnel::default());
    let socket = |side| {
        let address = world.inner_address_v6(side);
        let socket = world.within(side, move || {
            UdpSocket::bind((address, 7000)).expect("an inner address")
        });
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        socket
    };
    let (carol, moon) = (socket(CAROL), socket(MOON));
    for len in [1, 1300, 2000] {
        pass(&world, &carol, &moon, &vec![6; len]);
        pass(&world, &moon, &carol, &vec![6; len]);
    }
    assert_eq!(
        world.usage(CAROL, CAROL).packets,
        4,
        "2000 octets make two fragments"
    );
}

#[test]
fn our_own_packets_led_back_by_a_route_do_not_go_round() {
    let Some(world) = World::new("loop") else { return };
    world.install(Tunnel {
        everything: true,
        ..Tunnel::default()
    });
    world.route_peer_into_tunnel(CAROL);
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    carol
        .send_to(b"round", moon.local_addr().expect("bound"))
        .expect("into the device");
    world.wait_for_drop(CAROL, Reason::Loop);
    assert_eq!(world.usage(CAROL, CAROL).packets, 1);
}

#[test]
fn replayed_forged_and_unknown_packets_are_dropped() {
    let Some(world) = World::new("replay") else { return };
    world.install(Tunnel::default());
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    pass(&world, &carol, &moon, b"once");
    let (local, remote, packet) = world.last_packet(MOON);
    let backend = world.backend(MOON);
    let before = world.usage(MOON, CAROL);
    let received = ReceivedEsp {
        local,
        remote,
        tos: 0,
        segment: packet.len(),
    };
    backend.receive_esp(&received, &mut packet.clone());
    assert_eq!(backend.drops().total(Reason::Replayed), 1);

    let mut unknown = packet.clone();
    unknown[0] ^= 0x40;
    backend.receive_esp(&received, &mut unknown);
    assert_eq!(backend.drops().total(Reason::UnknownSpi), 1);

    let mut forged = packet.clone();
    forged[7] = 200;
    backend.receive_esp(&received, &mut forged);
    assert_eq!(backend.drops().total(Reason::NotAuthentic), 1);

    let elsewhere = ReceivedEsp {
        local: "10.99.99.99:4500".parse().unwrap(),
        ..received
    };
    backend.receive_esp(&elsewhere, &mut packet.clone());
    assert_eq!(backend.drops().total(Reason::WrongDestination), 1);
    for len in 1..8 {
        backend.receive_esp(&received, &mut packet[..len].to_vec());
    }
    assert_eq!(backend.drops().total(Reason::Malformed), 7);

    assert_eq!(world.usage(MOON, CAROL).packets, before.packets);
    pass(
        &world,
        &carol,
        &moon,
        b"the forged sequence number has not moved the window",
    );
}

#[test]
fn limits_in_packets_ask_for_rekeying_and_then_hold() {
    let Some(world) = World::new("limits") else { return };
    let lifetime = SaLifetime {
        soft_packets: 2,
        hard_packets: 3,
        ..Default::default()
    };
    world.install(Tunnel {
        lifetime,
        ..Tunnel::default()
    });
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    for octet in 0..3 {
        pass(&world, &carol, &moon, &[octet]);
    }
    carol
        .send_to(b"too many", moon.local_addr().unwrap())
        .expect("into the device");
    world.wait_for(CAROL, |event| {
        matches!(event, KernelEvent::Expire { hard: true, .. })
    });
    let expired = |side| {
        let events = world.events(side);
        let hard = |event: &KernelEvent| match event {
            KernelEvent::Expire { hard, .. } => Some(*hard),
            _ => None,
        };
        events.iter().filter_map(hard).collect::<Vec<_>>()
    };
    assert_eq!(expired(CAROL), [false, true]);
    assert_eq!(expired(MOON), [false], "the fourth packet was never sent");
    assert_eq!(world.usage(CAROL, CAROL).packets, 3);
    assert_eq!(world.usage(MOON, CAROL).packets, 3);
}

#[test]
fn limits_in_time_are_told_in_order() {
    let Some(world) = World::new("time") else { return };
    let lifetime = SaLifetime {
        soft_time: Duration::from_millis(50),
        hard_time: Duration::from_millis(1000),
        ..Default::default()
    };
    world.install(Tunnel {
        lifetime,
        ..Tunnel::default()
    });
    for _ in 0..4 {
        // Two SAs, two limits each.
        world.next_event(CAROL);
    }
    let hard: Vec<_> = world
        .events(CAROL)
        .iter()
        .map(|event| matches!(event, KernelEvent::Expire { hard: true, .. }))
        .collect();
    assert_eq!(hard, [false, false, true, true]);
}

#[test]
fn a_rekeyed_sa_takes_over_without_loss() {
    let Some(world) = World::new("rekey") else { return };
    world.install(Tunnel::default());
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    pass(&world, &carol, &moon, b"old");
    world.install(Tunnel {
        generation: 1,
        ..Tunnel::default()
    });
    pass(&world, &carol, &moon, b"new");
    assert_eq!(world.usage_of(CAROL, CAROL, 1).packets, 1);
    world.uninstall(Tunnel::default());
    pass(&world, &moon, &carol, b"still");
    world.uninstall(Tunnel {
        generation: 1,
        ..Tunnel::default()
    });
    carol
        .send_to(b"nowhere", moon.local_addr().unwrap())
        .expect("into the device");
    world.wait_for_drop(CAROL, Reason::NoPolicy);
}

#[test]
fn a_policy_violation_inside_a_good_packet_is_dropped() {
    let Some(world) = World::new("violation") else {
        return;
    };
    // Moon believes that carol's side has another network than the one her packets come from.
    world.install(Tunnel {
        moons_view_of_carol: Some([10, 77, 0, 0].into()),
        ..Tunnel::default()
    });
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    carol
        .send_to(b"intruder", moon.local_addr().unwrap())
        .expect("into the device");
    world.wait_for_drop(MOON, Reason::PolicyViolation);
    assert_eq!(world.usage(MOON, CAROL).packets, 0);
}

#[test]
fn a_peer_behind_another_address_is_told_once_and_followed_after_an_update() {
    let Some(world) = World::new("mapping") else {
        return;
    };
    world.install(Tunnel::default());
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    pass(&world, &carol, &moon, b"here");
    let port = world.move_socket(CAROL);
    pass(&world, &carol, &moon, b"there");
    pass(&world, &carol, &moon, b"there again");
    let mapping: Vec<_> = world.events(MOON);
    assert!(
        matches!(&mapping[..], [KernelEvent::Mapping { endpoint, .. }] if endpoint.port() == port),
        "{mapping:?}"
    );
    world.follow(MOON, port);
    pass(&world, &moon, &carol, b"back to where it is now");
}

#[test]
fn a_trap_asks_for_an_sa_once() {
    let Some(world) = World::new("trap") else { return };
    world.install_trap(CAROL);
    let (carol, moon) = (inner_socket(&world, CAROL), inner_socket(&world, MOON));
    carol
        .send_to(b"wanted", moon.local_addr().unwrap())
        .expect("into the device");
    world.wait_for_drop(CAROL, Reason::NoSa);
    let KernelEvent::Acquire { reqid, src, dst } = world.next_event(CAROL) else {
        panic!("no acquire")
    };
    assert_eq!((reqid, src.start_port, dst.start_port), (1, 7000, 7000));
    assert!(dst.is_host(world.inner_address(MOON)));
    world.install(Tunnel::default());
    pass(&world, &carol, &moon, b"and now it passes");
    assert_eq!(world.events(CAROL).len(), 1);
}

#[test]
fn a_stream_of_tcp_arrives_whole_and_in_fewer_packets_than_were_on_the_wire() {
    use std::io::{Read, Write};
    let Some(world) = World::new("stream") else { return };
    world.install(Tunnel::default());
    let addresses: [[std::net::IpAddr; 2]; 2] = [
        [world.inner_address(CAROL), world.inner_address(MOON)],
        [world.inner_address_v6(CAROL), world.inner_address_v6(MOON)],
    ];
    for [_, to] in addresses {
        let listener = world.within(MOON, move || {
            std::net::TcpListener::bind((to, 7001)).expect("bound")
        });
        let (packets, handed_over) = (world.usage(MOON, CAROL).packets, world.handed_over(MOON));
        // No two octets a segment apart are the same by accident.
        let sent: Vec<u8> = (0..8u32 << 20)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let copy = sent.clone();
        let sender = world.spawn(CAROL, move || {
            let mut stream = std::net::TcpStream::connect((to, 7001)).expect("connected");
            stream.write_all(&copy).expect("written");
        });
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut got = Vec::new();
        stream.read_to_end(&mut got).expect("all");
        sender.join().expect("the sender");
        assert!(got == sent, "{} octets of {}", got.len(), sent.len());
        let packets = world.usage(MOON, CAROL).packets - packets;
        let handed_over = world.handed_over(MOON) - handed_over;
        println!("{packets} packets came, {handed_over} were handed over");
        assert!(packets as usize > sent.len() / 1400);
        assert!(handed_over < packets / 2, "{handed_over} of {packets}");
    }
    assert_eq!(world.backend(MOON).drops().total(Reason::TunFailed), 0);
    assert_eq!(world.backend(CAROL).drops().total(Reason::Malformed), 0);
}
