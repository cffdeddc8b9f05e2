//! NAT detection and what follows from it: port 4500, ESP in UDP, keepalives (RFC 7296, 2.23).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use iana::NotifyType;
use wire::payload::{Notify, Payload};

use crate::shared::Shared;
use crate::timer::Timer;

/// What is known of NATs between the two ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Natt {
    /// This host is behind one.
    pub(crate) local: bool,
    /// The peer is, or pretends to be.
    pub(crate) remote: bool,
    /// This end pretends, so that ESP travels in UDP.
    pub(crate) fake: bool,
    /// The peer's IKE_SA_INIT had NAT detection notifies, so it knows port 4500.
    pub(crate) supported: bool,
    /// When the mapping is to be kept alive.
    pub(crate) keepalive: Timer,
}

impl Natt {
    /// Whether ESP has to travel in UDP.
    pub(crate) fn encap(&self) -> bool {
        self.local || self.remote || self.fake
    }

    /// The two notifies of an IKE_SA_INIT message.
    pub(crate) fn notifies(
        &mut self,
        shared: &mut Shared,
        spis: (u64, u64),
        local: SocketAddr,
        remote: SocketAddr,
        fake: bool,
    ) -> [Payload; 2] {
        self.fake = fake;
        // A made-up source makes the peer see a NAT in front of us.
        let source = if fake {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::from(shared.random::<4>())), 0)
        } else {
            local
        };
        [
            Payload::Notify(Notify::status(
                NotifyType::NAT_DETECTION_SOURCE_IP,
                digest(shared, spis, source).to_vec(),
            )),
            Payload::Notify(Notify::status(
                NotifyType::NAT_DETECTION_DESTINATION_IP,
                digest(shared, spis, remote).to_vec(),
            )),
        ]
    }

    /// Compares the peer's notifies with where its message came from and went to.
    pub(crate) fn evaluate(
        &mut self,
        shared: &Shared,
        payloads: &[Payload],
        spis: (u64, u64),
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let data_of = |kind| {
            payloads.iter().filter_map(move |payload| match payload {
                Payload::Notify(notify) if notify.kind == kind => Some(&notify.data),
                _ => None,
            })
        };
        let (source, destination) = (digest(shared, spis, remote), digest(shared, spis, local));
        let mut sources = data_of(NotifyType::NAT_DETECTION_SOURCE_IP).peekable();
        let mut destinations = data_of(NotifyType::NAT_DETECTION_DESTINATION_IP).peekable();
        self.supported = sources.peek().is_some() && destinations.peek().is_some();
        if self.supported {
            self.remote = !sources.any(|data| data[..] == source);
            self.local = !destinations.any(|data| data[..] == destination);
        }
    }
}

fn digest(shared: &Shared, spis: (u64, u64), address: SocketAddr) -> [u8; 20] {
    let (spi_i, spi_r) = (spis.0.to_be_bytes(), spis.1.to_be_bytes());
    let port = address.port().to_be_bytes();
    match address.ip() {
        IpAddr::V4(v4) => shared.sha1(&[&spi_i, &spi_r, &v4.octets(), &port]),
        IpAddr::V6(v6) => shared.sha1(&[&spi_i, &spi_r, &v6.octets(), &port]),
    }
}
