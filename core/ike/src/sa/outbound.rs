//! Messages of ours: protection, fragments, and what is kept for repetition.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use iana::{ExchangeType, NotifyType, PayloadType};
use wire::payload::{Notify, Payload};
use wire::{Flags, Header, IkeSpi};

use crate::output::Transmit;
use crate::sa::IkeSa;
use crate::sa::protect::max_message;
use crate::sa::window::Standing;
use crate::shared::{Shared, endpoint, log};
use crate::tally::Direction;
use crate::timer::Timer;
use crypto::int_auth::Role;

/// A message of ours before protection, for IntAuth (RFC 9242, 3.3.2).
pub(crate) struct Outbound {
    pub(crate) header: Header,
    pub(crate) first: PayloadType,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) packets: Vec<Vec<u8>>,
}

impl IkeSa {
    /// Answers the request in progress with a notify alone.
    pub(crate) fn respond_notify(
        &mut self,
        shared: &mut Shared,
        exchange: ExchangeType,
        kind: NotifyType,
        data: Vec<u8>,
    ) {
        self.respond(
            shared,
            exchange,
            vec![Payload::Notify(Notify::status(kind, data))],
        );
    }

    /// Answers the request in progress.
    pub(crate) fn respond(&mut self, shared: &mut Shared, exchange: ExchangeType, payloads: Vec<Payload>) {
        let id = self.window.expected();
        if let Some(message) = self.seal(shared, exchange, true, id, payloads) {
            self.send_response(shared, message);
        }
    }

    /// Sends a sealed response to where the request came from (RFC 7296, 2.11), and stores it for repetition.
    pub(crate) fn send_response(&mut self, shared: &mut Shared, message: Outbound) {
        let path = self.request_path.take().map(|path| *path);
        let path = path.unwrap_or((self.local, self.remote));
        let octets: usize = message.packets.iter().map(Vec::len).sum();
        match self.begun_at().filter(|begun| *begun != path.1.ip()) {
            Some(begun) if !self.came_with(octets) => {
                let there = path.1.ip();
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "not answering {there}, the IKE_SA was begun at {begun} and the answer is longer than the request"
                );
            }
            _ => self.transmit_on(shared, path, message.packets.clone()),
        }
        self.window.answer(message.packets);
    }

    /// Where a stranger has begun the IKE_SA, and shown with its first protected message that it receives there.
    fn begun_at(&self) -> Option<IpAddr> {
        let begun = self.negotiation.as_ref().and_then(|own| own.begun_at);
        begun.filter(|_| self.is_half_open())
    }

    /// Whether the stranger's request that is being answered had at least so many octets in one datagram.
    fn came_with(&self, octets: usize) -> bool {
        self.negotiation
            .as_ref()
            .is_some_and(|own| own.request_octets >= octets)
    }

    /// Whether the response to the last request may be sent again, as that came again from an address in so many octets.
    ///
    /// Where a stranger has begun it gets it, and a peer where it is; whoever has captured or made one small datagram could
    /// otherwise have large ones sent to any address.
    pub(crate) fn may_repeat(&mut self, now: Instant, from: IpAddr, octets: usize) -> bool {
        let stranger = self.is_half_open();
        let peer = self.begun_at().unwrap_or(self.remote.ip());
        if from == peer {
            return self.window.may_repeat(now);
        }
        !stranger && self.window.may_repeat_elsewhere(now, from, octets)
    }

    /// Sends a request, which is then on its way.
    pub(crate) fn request(
        &mut self,
        shared: &mut Shared,
        exchange: ExchangeType,
        payloads: Vec<Payload>,
    ) -> Option<Outbound> {
        let id = self.window.next_request();
        let message = self.seal(shared, exchange, false, id, payloads)?;
        self.transmit_request(shared, message.packets.clone());
        self.window.sent(
            shared.now,
            &shared.settings.retransmit,
            exchange,
            message.packets.clone(),
        );
        Some(message)
    }

    /// Protects a message under the current keys, in fragments where it is too long for one packet.
    pub(crate) fn seal(
        &mut self,
        shared: &mut Shared,
        exchange: ExchangeType,
        response: bool,
        message_id: u32,
        mut payloads: Vec<Payload>,
    ) -> Option<Outbound> {
        wire::sort(exchange, response, &mut payloads);
        let summary = |payloads: &[Payload]| wire::summary(exchange, response, message_id, payloads);
        log!(shared, self, Enc, 1, "generating {}", summary(&payloads));
        let header = self.header(exchange, response, message_id);
        let (first, plaintext) = wire::write_payloads(&payloads);
        let Some(keys) = self.keys.as_deref() else {
            log!(shared, self, Ike, 1, "no keys to protect {}", summary(&payloads));
            return None;
        };
        let whole = wire::sealed_len(keys, plaintext.len());
        let limit = max_message(
            self.config
                .as_ref()
                .map(|config| config.fragmentation)
                .unwrap_or_default(),
            self.peer.fragmentation,
            shared.settings.fragment_size,
            self.remote.is_ipv6(),
            shared.needs_marker(self.local, self.remote),
        );
        let sealed = match limit {
            Some(max) if whole > max => wire::seal_fragments(keys, &header, first, &plaintext, max),
            _ => wire::seal(keys, &header, first, &plaintext).map(|packet| vec![packet]),
        };
        let packets = match sealed {
            Ok(packets) => packets,
            Err(error) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "protecting {} failed: {error}",
                    summary(&payloads)
                );
                self.destroy();
                return None;
            }
        };
        if packets.len() > 1 {
            let count = packets.len();
            log!(
                shared,
                self,
                Enc,
                1,
                "splitting IKE message ({whole} bytes) into {count} fragments"
            );
            if let Some(tally) = &mut shared.tally {
                tally.fragments_out += count as u64;
            }
            for number in 1..=count {
                // seal_fragments makes at most 65535.
                let (number, count) = (number as u16, count as u16);
                log!(
                    shared,
                    self,
                    Enc,
                    1,
                    "generating {}",
                    wire::fragment_summary(exchange, response, message_id, number, count)
                );
            }
        }
        self.count_message(shared, exchange, response, Direction::Out);
        Some(Outbound {
            header,
            first,
            plaintext,
            packets,
        })
    }

    /// The header of a message of ours; the codec fills in length and first payload.
    pub(crate) fn header(&self, exchange: ExchangeType, response: bool, message_id: u32) -> Header {
        let mut flags = Flags::empty();
        flags.set(Flags::INITIATOR, self.role == Role::Initiator);
        flags.set(Flags::RESPONSE, response);
        Header {
            spi_i: IkeSpi(self.spi_i),
            spi_r: IkeSpi(self.spi_r),
            next_payload: PayloadType::NONE,
            version: 0x20,
            exchange,
            flags,
            message_id,
            length: 0,
        }
    }

    /// The IKE_SA_INIT request that made this IKE_SA came again.
    pub(crate) fn repeat_init_response(&mut self, shared: &mut Shared, digest: &[u8; 20]) {
        count_repeated_request(shared);
        if let Standing::Repeated(response) = self.window.standing(0, digest) {
            let response = response.to_vec();
            // It goes to where the request first came from, whoever repeats that, and wherever the peer seems to be since.
            let moved = self.begun_at().is_some_and(|begun| begun != self.remote.ip());
            if moved || !self.window.may_repeat(shared.now) {
                return;
            }
            log!(
                shared,
                self,
                Ike,
                1,
                "received retransmit of request with ID 0, retransmitting response"
            );
            count_repeated_response(shared);
            self.transmit(shared, response);
        }
    }

    pub(crate) fn transmit(&mut self, shared: &mut Shared, packets: Vec<Vec<u8>>) {
        self.transmit_on(shared, (self.local, self.remote), packets);
    }

    /// Sends by an own address and one of the peer that need not be those of the IKE_SA.
    pub(crate) fn transmit_on(
        &mut self,
        shared: &mut Shared,
        (local, remote): (SocketAddr, SocketAddr),
        packets: Vec<Vec<u8>>,
    ) {
        for octets in packets {
            log!(
                shared,
                self,
                Net,
                1,
                "sending packet: from {} to {} ({} bytes)",
                endpoint(local),
                endpoint(remote),
                octets.len()
            );
            let non_esp_marker = shared.needs_marker(local, remote);
            shared.out.transmit(Transmit {
                local,
                remote,
                non_esp_marker,
                dscp: self.dscp(),
                octets,
            });
        }
        self.rest_keepalive(shared);
    }

    /// Keeps the mapping of a NAT in front of us alive (RFC 3948, 4).
    pub(crate) fn send_keepalive(&mut self, shared: &mut Shared) {
        log!(
            shared,
            self,
            Ike,
            2,
            "sending keep alive to {}",
            endpoint(self.remote)
        );
        shared.out.transmit(Transmit {
            local: self.local,
            remote: self.remote,
            non_esp_marker: false,
            dscp: self.dscp(),
            octets: vec![0xff],
        });
        self.rest_keepalive(shared);
    }

    fn dscp(&self) -> u8 {
        self.config.as_ref().map_or(0, |config| config.dscp)
    }

    /// Waits with the next keepalive, since something was sent, or stops them.
    pub(crate) fn rest_keepalive(&mut self, shared: &Shared) {
        self.natt.keepalive = if self.natt.local && self.is_established() {
            Timer::after(shared.now, shared.settings.keep_alive)
        } else {
            Timer::OFF
        };
    }
}

/// A request came again.
pub(crate) fn count_repeated_request(shared: &mut Shared) {
    if let Some(tally) = &mut shared.tally {
        tally.repeated_requests += 1;
    }
}

/// A stored response goes out again.
pub(crate) fn count_repeated_response(shared: &mut Shared) {
    if let Some(tally) = &mut shared.tally {
        tally.retransmitted_responses += 1;
    }
}
