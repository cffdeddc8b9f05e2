//! Messages in and out: protection, fragments, the window, and which exchange a message belongs to.

use std::net::SocketAddr;

use iana::{ExchangeType, NotifyType, PayloadType};
use wire::payload::{Notify, Payload};
use wire::{Flags, Header, IkeSpi, Packet};

use crate::output::Transmit;
use crate::sa::fragment::Added;
use crate::sa::protect::max_message;
use crate::sa::window::Standing;
use crate::sa::{IkeSa, IkeSaState};
use crate::shared::{Shared, endpoint, log};
use crate::timer::Timer;
use crypto::int_auth::Role;

/// A message of the peer, authenticated unless it is an IKE_SA_INIT.
pub(crate) struct Inbound {
    pub(crate) header: Header,
    pub(crate) first: PayloadType,
    /// The payloads' octets as they were before encryption.
    pub(crate) plaintext: Vec<u8>,
    pub(crate) payloads: Vec<Payload>,
    /// The datagram itself, of an IKE_SA_INIT: AUTH covers it.
    pub(crate) octets: Vec<u8>,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// A message of ours before protection, for IntAuth (RFC 9242, 3.3.2).
pub(crate) struct Outbound {
    pub(crate) header: Header,
    pub(crate) first: PayloadType,
    pub(crate) plaintext: Vec<u8>,
    pub(crate) packets: Vec<Vec<u8>>,
}

impl IkeSa {
    /// A datagram whose SPIs are this IKE_SA's.
    pub(crate) fn handle_datagram(
        &mut self,
        shared: &mut Shared,
        local: SocketAddr,
        remote: SocketAddr,
        octets: &[u8],
    ) {
        let packet = match wire::parse_datagram(octets) {
            Ok(packet) => packet,
            Err(error) => {
                log!(
                    shared,
                    self,
                    Enc,
                    1,
                    "message from {} does not parse: {error}",
                    endpoint(remote)
                );
                return;
            }
        };
        let header = packet.header().clone();
        if header.is_initiator() == (self.role == Role::Initiator) || !self.has_spis(&header) {
            return;
        }
        log!(
            shared,
            self,
            Net,
            1,
            "received packet: from {} to {} ({} bytes)",
            endpoint(remote),
            endpoint(local),
            octets.len()
        );
        if header.is_response() {
            if !self.window.awaits(header.message_id, header.exchange) {
                let id = header.message_id;
                log!(
                    shared,
                    self,
                    Ike,
                    2,
                    "received response with message ID {id} nobody waits for, ignored"
                );
                return;
            }
        } else if !self.takes_request(shared, &packet, octets) {
            return;
        }
        let Some(inbound) = self.unprotect(shared, packet, octets, local, remote) else {
            return;
        };
        self.handle_message(shared, inbound);
    }

    fn has_spis(&self, header: &Header) -> bool {
        let IkeSpi(spi_i) = header.spi_i;
        let IkeSpi(spi_r) = header.spi_r;
        // The responder's SPI becomes known by the first response; until then errors carry zero.
        let spi_r_fits = spi_r == self.spi_r || self.role == Role::Initiator && self.spi_r == 0;
        spi_i == self.spi_i && spi_r_fits
    }

    /// Whether a request is the next one; a repeated one gets the stored response.
    fn takes_request(&mut self, shared: &mut Shared, packet: &Packet<'_>, octets: &[u8]) -> bool {
        let id = packet.header().message_id;
        // Of a fragmented request the first fragment stands for the whole.
        let is_later_fragment = matches!(packet, Packet::Fragment { number, .. } if *number != 1);
        let digest = if is_later_fragment {
            [0; 20]
        } else {
            shared.sha1(&[octets])
        };
        if id == self.window.expected() && !is_later_fragment {
            self.request_digest = digest;
        }
        match self.window.standing(id, &digest) {
            Standing::New => true,
            Standing::InProgress => {
                log!(
                    shared,
                    self,
                    Ike,
                    2,
                    "received request with ID {id} again while it is processed, ignored"
                );
                false
            }
            Standing::Repeated(_) if is_later_fragment => false,
            Standing::Repeated(response) => {
                let response = response.to_vec();
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "received retransmit of request with ID {id}, retransmitting response"
                );
                self.transmit(shared, response);
                false
            }
            Standing::Stale { expected } => {
                let level = if is_later_fragment { 2 } else { 1 };
                log!(
                    shared,
                    self,
                    Ike,
                    level,
                    "received message ID {id}, expected {expected}, ignored"
                );
                false
            }
        }
    }

    /// Verifies, decrypts, and puts fragments together.
    fn unprotect(
        &mut self,
        shared: &mut Shared,
        packet: Packet<'_>,
        octets: &[u8],
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<Inbound> {
        let header = packet.header().clone();
        let (first, body_offset, fragment) = match packet {
            Packet::Plain(message) => {
                if header.exchange != ExchangeType::IKE_SA_INIT {
                    log!(
                        shared,
                        self,
                        Ike,
                        2,
                        "received unprotected {} message, ignored",
                        header.exchange
                    );
                    return None;
                }
                let payloads = message.payloads;
                let first = header.next_payload;
                let octets = octets.to_vec();
                return Some(Inbound {
                    header,
                    first,
                    plaintext: Vec::new(),
                    payloads,
                    octets,
                    local,
                    remote,
                });
            }
            Packet::Encrypted {
                inner_first,
                body_offset,
                ..
            } => (inner_first, body_offset, None),
            Packet::Fragment {
                inner_first,
                number,
                total,
                body_offset,
                ..
            } => (inner_first, body_offset, Some((number, total))),
        };
        if header.exchange == ExchangeType::IKE_SA_INIT {
            return None;
        }
        let Some(keys) = &self.keys else {
            log!(
                shared,
                self,
                Ike,
                1,
                "found encrypted message, but no keys available"
            );
            return None;
        };
        let mut message = octets.to_vec();
        let Ok(content) = wire::open(keys, &mut message, body_offset) else {
            log!(shared, self, Enc, 1, "integrity check failed");
            let direction = direction(&header);
            let (exchange, id) = (header.exchange, header.message_id);
            log!(
                shared,
                self,
                Ike,
                1,
                "{exchange} {direction} with message ID {id} processing failed"
            );
            self.suspect_key_exchange(shared);
            return None;
        };
        self.lifetime.last_inbound = shared.now;
        let (first, plaintext) = match fragment {
            None => (first, content),
            Some((number, total)) => self.reassemble(shared, &header, number, total, first, content)?,
        };
        let payloads = match wire::parse_payloads(first, &plaintext) {
            Ok(payloads) => payloads,
            Err(error) => {
                self.on_malformed(shared, &header, &error);
                return None;
            }
        };
        Some(Inbound {
            header,
            first,
            plaintext,
            payloads,
            octets: Vec::new(),
            local,
            remote,
        })
    }

    /// A corrupted ciphertext of a KEM goes unnoticed until the first message under the keys made with it.
    fn suspect_key_exchange(&self, shared: &mut Shared) {
        let last = self
            .negotiation
            .as_ref()
            .and_then(|negotiation| negotiation.last_additional);
        if let Some((number, method)) = last {
            log!(
                shared,
                self,
                Ike,
                1,
                "additional key exchange {number} ({method}) may have given different secrets on both ends"
            );
        }
    }

    fn reassemble(
        &mut self,
        shared: &mut Shared,
        header: &Header,
        number: u16,
        total: u16,
        first: PayloadType,
        content: Vec<u8>,
    ) -> Option<(PayloadType, Vec<u8>)> {
        let response = header.is_response();
        let summary = wire::fragment_summary(header.exchange, response, header.message_id, number, total);
        log!(shared, self, Enc, 1, "parsed {summary}");
        let overhead = self.keys.as_ref().map_or(0, |keys| wire::sealed_len(keys, 0));
        let max = shared.settings.max_packet;
        let reassembly = if response {
            &mut self.responses
        } else {
            &mut self.requests
        };
        match reassembly.add(header.message_id, number, total, first, content, max) {
            Added::Complete(first, whole) => {
                let octets = overhead + whole.len();
                log!(
                    shared,
                    self,
                    Enc,
                    1,
                    "received fragment #{number} of {total}, reassembled fragmented IKE message ({octets} bytes)"
                );
                return Some((first, whole));
            }
            Added::Waiting => {
                log!(
                    shared,
                    self,
                    Enc,
                    1,
                    "received fragment #{number} of {total}, waiting for complete IKE message"
                );
            }
            Added::Duplicate => {
                log!(shared, self, Enc, 1, "received duplicate fragment #{number}");
            }
            Added::Stale => {
                log!(
                    shared,
                    self,
                    Enc,
                    1,
                    "received fragment #{number} of {total}, but the total was larger before"
                );
            }
            Added::TooMany => {
                log!(shared, self, Enc, 1, "maximum fragment count exceeded");
            }
            Added::TooLong => {
                log!(
                    shared,
                    self,
                    Enc,
                    1,
                    "fragmented IKE message is too large, charon.max_packet = {max} allows no more"
                );
            }
        }
        None
    }

    /// A message that is whole and, unless it is an IKE_SA_INIT, authentic.
    fn handle_message(&mut self, shared: &mut Shared, inbound: Inbound) {
        let (exchange, response) = (inbound.header.exchange, inbound.header.is_response());
        let summary = wire::summary(exchange, response, inbound.header.message_id, &inbound.payloads);
        log!(shared, self, Enc, 1, "parsed {summary}");
        if let Err(error) = wire::verify(exchange, response, &inbound.payloads) {
            return self.on_malformed(shared, &inbound.header, &error);
        }
        if response {
            return self.handle_response(shared, inbound);
        }
        // A responder follows its peer to where the first protected message came from (RFC 7296, 2.23).
        if self.state == IkeSaState::Connecting && self.role == Role::Responder && self.keys.is_some() {
            (self.local, self.remote) = (inbound.local, inbound.remote);
        }
        self.handle_request(shared, inbound);
    }

    fn handle_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        let exchange = inbound.header.exchange;
        match exchange {
            ExchangeType::IKE_INTERMEDIATE if self.awaits_intermediate() => {
                self.take_on();
                self.on_intermediate_request(shared, inbound);
            }
            ExchangeType::IKE_AUTH if self.awaits_auth() => {
                self.take_on();
                self.on_auth_request(shared, inbound);
            }
            ExchangeType::INFORMATIONAL if self.is_established() => {
                self.take_on();
                self.on_informational_request(shared, inbound);
            }
            ExchangeType::CREATE_CHILD_SA if self.is_established() => {
                self.take_on();
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "peer wants another CHILD_SA or a rekeying, sending NO_ADDITIONAL_SAS"
                );
                self.respond_notify(shared, exchange, NotifyType::NO_ADDITIONAL_SAS, Vec::new());
            }
            ExchangeType::IKE_FOLLOWUP_KE | ExchangeType::IKE_FOLLOWUP_KE_DRAFT if self.is_established() => {
                self.take_on();
                self.respond_notify(shared, exchange, self.profile.state_not_found(), Vec::new());
            }
            _ => {
                let state = self.state;
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "ignoring {exchange} request in IKE_SA state {state}"
                );
            }
        }
    }

    /// From here on the request is answered, and its repetitions are recognised.
    fn take_on(&mut self) {
        self.window.take_on(self.request_digest);
    }

    fn handle_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        match inbound.header.exchange {
            ExchangeType::IKE_SA_INIT => self.on_init_response(shared, inbound),
            exchange => {
                self.window.answered();
                match exchange {
                    ExchangeType::IKE_INTERMEDIATE => self.on_intermediate_response(shared, inbound),
                    ExchangeType::IKE_AUTH => self.on_auth_response(shared, inbound),
                    _ => self.on_informational_response(shared, inbound),
                }
                if self.state != IkeSaState::Destroying {
                    self.start_next_task(shared);
                }
            }
        }
    }

    /// An authentic message that breaks the rules (RFC 7296, 2.21.3).
    fn on_malformed(&mut self, shared: &mut Shared, header: &Header, error: &wire::Error) {
        let (exchange, id, direction) = (header.exchange, header.message_id, direction(header));
        log!(shared, self, Enc, 1, "message verification failed: {error}");
        log!(
            shared,
            self,
            Ike,
            1,
            "{exchange} {direction} with message ID {id} processing failed"
        );
        if exchange == ExchangeType::IKE_SA_INIT {
            return;
        }
        if header.is_response() {
            return self.destroy();
        }
        self.take_on();
        if let Some(kind) = error.critical_type() {
            let data = vec![kind.0];
            return self.respond_notify(shared, exchange, NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, data);
        }
        self.respond_notify(shared, exchange, NotifyType::INVALID_SYNTAX, Vec::new());
        self.destroy();
    }

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

    /// Sends a sealed response and stores it for repetition.
    pub(crate) fn send_response(&mut self, shared: &mut Shared, message: Outbound) {
        self.transmit(shared, message.packets.clone());
        self.window.answer(message.packets);
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
        self.transmit(shared, message.packets.clone());
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
        let summary = wire::summary(exchange, response, message_id, &payloads);
        log!(shared, self, Enc, 1, "generating {summary}");
        let header = self.header(exchange, response, message_id);
        let (first, plaintext) = wire::write_payloads(&payloads);
        let Some(keys) = &self.keys else {
            log!(shared, self, Ike, 1, "no keys to protect {summary}");
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
                log!(shared, self, Ike, 1, "protecting {summary} failed: {error}");
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
            for number in 1..=count {
                // seal_fragments makes at most 65535.
                let (number, count) = (number as u16, count as u16);
                let summary = wire::fragment_summary(exchange, response, message_id, number, count);
                log!(shared, self, Enc, 1, "generating {summary}");
            }
        }
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
        if let Standing::Repeated(response) = self.window.standing(0, digest) {
            let response = response.to_vec();
            log!(
                shared,
                self,
                Ike,
                1,
                "received retransmit of request with ID 0, retransmitting response"
            );
            self.transmit(shared, response);
        }
    }

    pub(crate) fn transmit(&mut self, shared: &mut Shared, packets: Vec<Vec<u8>>) {
        for octets in packets {
            log!(
                shared,
                self,
                Net,
                1,
                "sending packet: from {} to {} ({} bytes)",
                endpoint(self.local),
                endpoint(self.remote),
                octets.len()
            );
            let non_esp_marker = shared.needs_marker(self.local, self.remote);
            shared.out.transmit(Transmit {
                local: self.local,
                remote: self.remote,
                non_esp_marker,
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
            octets: vec![0xff],
        });
        self.rest_keepalive(shared);
    }

    fn rest_keepalive(&mut self, shared: &Shared) {
        self.natt.keepalive = if self.natt.local && self.is_established() {
            Timer::after(shared.now, shared.settings.keep_alive)
        } else {
            Timer::OFF
        };
    }
}

fn direction(header: &Header) -> &'static str {
    if header.is_response() {
        "response"
    } else {
        "request"
    }
}
