use std::time::Duration;

use std::net::UdpSocket;
use std::sync::Arc;

use super::receive::{Kind, classify};
use super::*;
use crate::log::Logger;
use crate::testing::TestKernel;

#[test]
fn the_marker_is_removed_and_esp_is_told_apart_from_ike() {
    let ike = [&[0, 0, 0, 0][..], &[1; 28]].concat();
    assert_eq!(classify(&ike, 4500, 4500, true), Kind::Ike { skip: 4 });
    assert_eq!(classify(&[0xc0; 40], 4500, 4500, true), Kind::Esp);
    assert_eq!(classify(&[0xff], 4500, 4500, true), Kind::Ignored, "a keepalive");
    assert_eq!(classify(&[0, 0, 0], 4500, 4500, true), Kind::Ignored);
    assert_eq!(classify(&[], 4500, 4500, true), Kind::Ignored);
}

#[test]
fn there_is_no_marker_on_port_500_at_either_end() {
    assert_eq!(classify(&[7; 28], 500, 4500, false), Kind::Ike { skip: 0 });
    assert_eq!(classify(&[7; 28], 4500, 500, true), Kind::Ike { skip: 0 });
    assert_eq!(classify(&[7; 28], 1500, 1500, false), Kind::Ike { skip: 0 });
    assert_eq!(classify(&[0; 32], 1500, 1500, false), Kind::Ike { skip: 4 });
}

fn random_ports() -> Ports {
    Ports {
        ike: 0,
        nat_t: 0,
        ipv4: true,
        ipv6: false,
        max_packet: 100,
    }
}

#[test]
fn ike_comes_out_of_the_queue_and_esp_goes_to_the_back_end() {
    let sockets = Arc::new(Sockets::open(&random_ports()).unwrap());
    let kernel = Arc::new(TestKernel::default());
    let (_receiver, mut datagrams) = sockets
        .receive(
            Arc::clone(&kernel) as Arc<dyn KernelIpsec>,
            Logger::start().unwrap(),
        )
        .unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = SocketAddr::from(([127, 0, 0, 1], sockets.ports().1));
    peer.send_to(&[0xc1; 60], here).unwrap();
    peer.send_to(&[0xff], here).unwrap();
    peer.send_to(&[0; 200], here).unwrap();
    peer.send_to(&[&[0; 4][..], &[9; 28]].concat(), here).unwrap();
    let datagram = datagrams.blocking_recv().unwrap();
    assert_eq!(
        (datagram.local, datagram.remote),
        (here, peer.local_addr().unwrap())
    );
    assert_eq!(datagram.octets, [9; 28], "too long ones are ignored");
    assert_eq!(*kernel.esp.lock().unwrap(), [(here, vec![0xc1; 60])]);
}

#[test]
fn a_message_leaves_from_the_address_and_port_it_names() {
    let sockets = Sockets::open(&random_ports()).unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let local = SocketAddr::from(([127, 0, 0, 2], sockets.ports().1));
    let transmit = Transmit {
        local,
        remote: peer.local_addr().unwrap(),
        non_esp_marker: true,
        dscp: 0,
        octets: b"message".to_vec(),
    };
    sockets.send(&transmit).unwrap();
    let mut octets = [0; 64];
    let (len, from) = peer.recv_from(&mut octets).unwrap();
    assert_eq!((&octets[..len], from), (&b"\0\0\0\0message"[..], local));
}

#[test]
fn a_packet_has_the_code_point_of_its_connection() {
    use std::io::IoSliceMut;

    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};

    let sockets = Sockets::open(&random_ports()).unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    setsockopt(&peer, sockopt::IpRecvTos, &true).unwrap();
    for dscp in [0, 0b10_1110] {
        let transmit = Transmit {
            local: SocketAddr::from(([127, 0, 0, 1], sockets.ports().0)),
            remote: peer.local_addr().unwrap(),
            non_esp_marker: false,
            dscp,
            octets: b"message".to_vec(),
        };
        sockets.send(&transmit).unwrap();
        let mut octets = [0; 64];
        let mut vectors = [IoSliceMut::new(&mut octets)];
        let mut space = nix::cmsg_space!([u8; 64]);
        let flags = MsgFlags::empty();
        let message = recvmsg::<SockaddrIn>(peer.as_raw_fd(), &mut vectors, Some(&mut space), flags).unwrap();
        let received = message.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::Ipv4Tos(tos) => Some(tos),
            _ => None,
        });
        assert_eq!(received, Some(dscp << 2));
    }
}

#[test]
fn a_port_in_use_is_named_with_the_option_to_change() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Sockets::open(&Ports {
        nat_t: port,
        ..random_ports()
    })
    .err()
    .unwrap()
    .to_string();
    assert!(error.contains(&format!("UDP port {port} for IPv4")), "{error}");
    assert!(error.contains("charon.port_nat_t"), "{error}");
}
