use std::time::Duration;

use std::net::UdpSocket;
use std::sync::Arc;

use super::sort::{Kind, classify};
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
        mark: None,
    }
}

/// As the daemon's loop has one.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Sends ESP, a keepalive, a message that is too long and one that is not.
fn send_some_of_all(sockets: &Sockets) -> (UdpSocket, SocketAddr) {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = SocketAddr::from(([127, 0, 0, 1], sockets.ports().1));
    peer.send_to(&[0xc1; 60], here).unwrap();
    peer.send_to(&[0xff], here).unwrap();
    peer.send_to(&[0; 200], here).unwrap();
    peer.send_to(&[&[0; 4][..], &[9; 28]].concat(), here).unwrap();
    (peer, here)
}

#[test]
fn ike_comes_to_the_loop_and_esp_to_its_thread() {
    let sockets = Arc::new(Sockets::open(&random_ports()).unwrap());
    let (kernel, logger) = (Arc::new(TestKernel::default()), Logger::start().unwrap());
    let backend = Arc::clone(&kernel) as Arc<dyn KernelIpsec>;
    let (receiver, _messages) = sockets
        .receive(Arc::clone(&backend), Arc::clone(&logger))
        .unwrap();
    let (peer, here) = send_some_of_all(&sockets);
    let mut received = Vec::new();
    runtime().block_on(async {
        let mut inbox = Inbox::open(Arc::clone(&sockets)).unwrap();
        while received.is_empty() {
            let at = inbox.wait().await;
            inbox.take(at, backend.as_ref(), &logger, |message| {
                received.push((message.local, message.remote, message.octets.to_vec()));
            });
        }
    });
    let remote = peer.local_addr().unwrap();
    assert_eq!(
        received,
        [(here, remote, vec![9; 28])],
        "too long ones are ignored"
    );
    assert_eq!(sockets.losses().too_long, 1);
    // What the thread had not read yet when it was stopped would be missing.
    while kernel.esp.lock().unwrap().is_empty() {
        std::thread::yield_now();
    }
    drop(receiver);
    assert_eq!(*kernel.esp.lock().unwrap(), [(here, vec![0xc1; 60])]);
}

#[test]
fn where_the_kernel_cannot_tell_them_apart_ike_comes_out_of_the_thread() {
    let mut sockets = Sockets::open(&random_ports()).unwrap();
    sockets
        .bound
        .retain(|socket| !socket.nat_t || socket.reader == Reader::Thread);
    let sockets = Arc::new(sockets);
    let kernel = Arc::new(TestKernel::default());
    let (_receiver, mut messages) = sockets
        .receive(
            Arc::clone(&kernel) as Arc<dyn KernelIpsec>,
            Logger::start().unwrap(),
        )
        .unwrap();
    let (peer, here) = send_some_of_all(&sockets);
    let message = messages.blocking_recv().unwrap();
    assert_eq!(
        (message.local, message.remote),
        (here, peer.local_addr().unwrap())
    );
    assert_eq!(message.octets, [9; 28], "too long ones are ignored");
    assert_eq!(*kernel.esp.lock().unwrap(), [(here, vec![0xc1; 60])]);
}

#[test]
fn a_flood_at_one_port_keeps_nothing_from_the_other() {
    let sockets = Arc::new(Sockets::open(&random_ports()).unwrap());
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let (ike, nat_t) = sockets.ports();
    let (kernel, logger) = (TestKernel::default(), Logger::start().unwrap());
    let mut received = Vec::new();
    runtime().block_on(async {
        let mut inbox = Inbox::open(Arc::clone(&sockets)).unwrap();
        peer.send_to(&[0; 32], here(nat_t)).unwrap();
        for _ in 0..3 {
            // More than a batch, each time.
            (0..20).for_each(|_| _ = peer.send_to(&[7; 32], here(ike)).unwrap());
            let at = inbox.wait().await;
            inbox.take(at, &kernel, &logger, |message| {
                received.push(message.local.port());
            });
        }
    });
    assert!(
        received.contains(&ike) && received.contains(&nat_t),
        "{received:?}"
    );
}

#[test]
fn messages_that_found_no_room_are_counted() {
    let mut sockets = Sockets::open(&random_ports()).unwrap();
    sockets.bound.retain(|socket| !socket.nat_t);
    let sockets = Arc::new(sockets);
    socket2::SockRef::from(&sockets.bound[0].socket)
        .set_recv_buffer_size(0)
        .unwrap();
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = SocketAddr::from(([127, 0, 0, 1], sockets.ports().0));
    let (kernel, logger) = (TestKernel::default(), Logger::start().unwrap());
    let sent = 200;
    let mut received = 0;
    runtime().block_on(async {
        let mut inbox = Inbox::open(Arc::clone(&sockets)).unwrap();
        // The kernel tells with each message what was lost before it.
        for burst in [sent, 1] {
            for _ in 0..burst {
                peer.send_to(&[7; 90], here).unwrap();
            }
            let before = received;
            while received < before + 1 {
                let at = inbox.wait().await;
                inbox.take(at, &kernel, &logger, |_| received += 1);
            }
            while let Ok(at) = tokio::time::timeout(Duration::ZERO, inbox.wait()).await {
                inbox.take(at, &kernel, &logger, |_| received += 1);
            }
        }
    });
    assert!(received < sent, "the buffer is that small");
    assert_eq!(sockets.take_dropped(), sent + 1 - received);
    assert_eq!(sockets.take_dropped(), 0);
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

#[test]
fn another_daemon_cannot_share_a_port() {
    let sockets = Sockets::open(&random_ports()).unwrap();
    let (ike, nat_t) = sockets.ports();
    for ports in [
        Ports {
            ike,
            ..random_ports()
        },
        Ports {
            nat_t,
            ..random_ports()
        },
    ] {
        let error = Sockets::open(&ports).err().unwrap();
        assert!(matches!(error, Error::Bind { .. }), "{error}");
    }
}
