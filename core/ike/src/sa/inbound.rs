//! Messages of the peer: the window, protection, fragments, and which exchange a message belongs to.

use std::net::SocketAddr;

use iana::{ExchangeType, NotifyType, PayloadType};
use wire::payload::Payload;
use wire::{Header, IkeSpi, Packet};

use crate::admission::Topic;
use crate::alert::Alert;
use crate::sa::fragment::Added;
use crate::sa::outbound::{count_repeated_request, count_repeated_response};
use crate::sa::window::Standing;
use crate::sa::{IkeSa, IkeSaState};
use crate::shared::{Shared, endpoint, log};
use crate::tally::{Counter, Direction};
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
                self.count(shared, Counter::Invalid);
                shared.alert(Alert::ParseErrorBody);
                return;
            }
        };
        let header = packet.header().clone();
        if header.is_initiator() == (self.role == Role::Initiator) || !self.has_spis(&header) {
            shared.count(None, Counter::InvalidSpi);
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
        if header.is_response() && !self.window.awaits(header.message_id, header.exchange) {
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
        let mut digest = None;
        if !header.is_response() {
            digest = self.takes_request(shared, &packet, octets, (local, remote));
            if digest.is_none() {
                return;
            }
        }
        let is_whole = matches!(packet, Packet::Encrypted { .. });
        let Some(inbound) = self.unprotect(shared, packet, octets, digest, (local, remote)) else {
            return;
        };
        if let Some(negotiation) = self
            .negotiation
            .as_mut()
            .filter(|_| !inbound.header.is_response())
        {
            negotiation.request_octets = if is_whole { octets.len() } else { 0 };
        }
        self.handle_message(shared, inbound);
    }

    fn has_spis(&self, header: &Header) -> bool {
        let IkeSpi(spi_i) = header.spi_i;
        let IkeSpi(spi_r) = header.spi_r;
        // The responder's SPI becomes known by the first response; until then errors carry zero.
        let spi_r_fits = spi_r == self.spi_r || self.role == Role::Initiator && self.spi_r == 0;
        spi_i == self.spi_i && spi_r_fits
    }

    /// The digest of a request that is the next one, or of its first fragment; a repeated one gets the stored response.
    fn takes_request(
        &mut self,
        shared: &mut Shared,
        packet: &Packet<'_>,
        octets: &[u8],
        path: (SocketAddr, SocketAddr),
    ) -> Option<[u8; 20]> {
        let id = packet.header().message_id;
        // Of a fragmented request the first fragment stands for the whole.
        let is_later_fragment = matches!(packet, Packet::Fragment { number, .. } if *number != 1);
        let digest = if is_later_fragment {
            [0; 20]
        } else {
            shared.sha1(&[octets])
        };
        match self.window.standing(id, &digest) {
            Standing::New => Some(digest),
            Standing::InProgress => {
                log!(
                    shared,
                    self,
                    Ike,
                    2,
                    "received request with ID {id} again while it is processed, ignored"
                );
                if !is_later_fragment {
                    count_repeated_request(shared);
                }
                None
            }
            Standing::Repeated(_) if is_later_fragment => None,
            Standing::Repeated(response) => {
                let response = response.to_vec();
                count_repeated_request(shared);
                if !self.may_repeat(shared.now, path.1.ip(), octets.len()) {
                    let from = endpoint(path.1);
                    log!(
                        shared,
                        self,
                        Ike,
                        2,
                        "received retransmit of request with ID {id} from {from}, not answered there or not so often"
                    );
                    return None;
                }
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "received retransmit of request with ID {id}, retransmitting response"
                );
                shared.unproved = None;
                count_repeated_response(shared);
                self.transmit_on(shared, path, response);
                None
            }
            Standing::Stale { expected } => {
                shared.unproved = Some(Topic::OutOfTurn);
                if is_later_fragment {
                    let from = path.1.ip();
                    self.window.credit_fragment(shared.now, id, from, octets.len());
                }
                let level = if is_later_fragment { 2 } else { 1 };
                log!(
                    shared,
                    self,
                    Ike,
                    level,
                    "received message ID {id}, expected {expected}, ignored"
                );
                None
            }
        }
    }

    /// Verifies, decrypts, and puts fragments together.
    fn unprotect(
        &mut self,
        shared: &mut Shared,
        packet: Packet<'_>,
        octets: &[u8],
        digest: Option<[u8; 20]>,
        (local, remote): (SocketAddr, SocketAddr),
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
        let Some(keys) = self.keys.as_deref() else {
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
            shared.unproved = Some(Topic::Forged);
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
            self.count(shared, Counter::Invalid);
            shared.alert(Alert::ParseErrorBody);
            return None;
        };
        self.lifetime.last_inbound = shared.now;
        shared.unproved = None;
        // Only now, as anyone who has seen the SPIs could have the digest of another message noted.
        let is_first = !matches!(fragment, Some((number, _)) if number != 1);
        if let Some(digest) = digest.filter(|_| is_first) {
            self.window.note(digest);
        }
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
    pub(crate) fn suspect_key_exchange(&self, shared: &mut Shared) {
        let last = self
            .negotiation
            .as_ref()
            .and_then(|negotiation| negotiation.last_additional);
        if let Some((number, method)) = last {
            let name = shared.registry.method_name(method);
            log!(
                shared,
                self,
                Ike,
                1,
                "additional key exchange {number} ({name}) may have given different secrets on both ends"
            );
            self.log_generation(shared, method);
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
        log!(
            shared,
            self,
            Enc,
            1,
            "parsed {}",
            wire::fragment_summary(header.exchange, response, header.message_id, number, total)
        );
        if let Some(tally) = &mut shared.tally {
            tally.fragments_in += 1;
        }
        let overhead = self.keys.as_deref().map_or(0, |keys| wire::sealed_len(keys, 0));
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
        log!(
            shared,
            self,
            Enc,
            1,
            "parsed {}",
            wire::summary(exchange, response, inbound.header.message_id, &inbound.payloads)
        );
        if !response {
            self.request_path = Some(Box::new((inbound.local, inbound.remote)));
        }
        if let Err(error) = wire::verify(exchange, response, &inbound.payloads) {
            return self.on_malformed(shared, &inbound.header, &error);
        }
        self.count_message(shared, exchange, response, Direction::In);
        if response {
            self.on_response_path(shared, (inbound.local, inbound.remote));
            return self.handle_response(shared, inbound);
        }
        self.follow_mapping(shared, inbound.remote);
        // A responder follows its peer to where the first protected message came from (RFC 7296, 2.23).
        if self.state == IkeSaState::Connecting && self.role == Role::Responder && self.keys.is_some() {
            self.announce_move(shared, inbound.local, inbound.remote);
            (self.local, self.remote) = (inbound.local, inbound.remote);
        }
        self.handle_request(shared, inbound);
    }

    fn handle_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        let exchange = inbound.header.exchange;
        // The peer has had the answer to its last request, and can receive by what that made.
        self.take_over(shared);
        match exchange {
            ExchangeType::IKE_INTERMEDIATE if self.awaits_intermediate() => {
                self.take_on();
                self.on_intermediate_request(shared, inbound);
            }
            ExchangeType::IKE_AUTH if self.awaits_auth() => {
                self.take_on();
                self.on_auth_request(shared, inbound);
            }
            ExchangeType::IKE_AUTH if self.awaits_intermediate() => {
                self.take_on();
                self.refuse_early_auth(shared);
            }
            ExchangeType::INFORMATIONAL if self.is_established() => {
                self.take_on();
                self.on_informational_request(shared, inbound);
            }
            ExchangeType::CREATE_CHILD_SA if self.is_established() => {
                self.take_on();
                self.on_creation_request(shared, inbound);
            }
            ExchangeType::IKE_FOLLOWUP_KE | ExchangeType::IKE_FOLLOWUP_KE_DRAFT if self.is_established() => {
                self.take_on();
                self.on_followup_request(shared, inbound);
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
        self.window.take_on();
    }

    fn handle_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        match inbound.header.exchange {
            ExchangeType::IKE_SA_INIT => self.on_init_response(shared, inbound),
            exchange => {
                self.window.answered();
                match exchange {
                    ExchangeType::IKE_INTERMEDIATE => self.on_intermediate_response(shared, inbound),
                    ExchangeType::IKE_AUTH => self.on_auth_response(shared, inbound),
                    ExchangeType::CREATE_CHILD_SA
                    | ExchangeType::IKE_FOLLOWUP_KE
                    | ExchangeType::IKE_FOLLOWUP_KE_DRAFT => self.on_creation_response(shared, inbound),
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
        self.count(shared, Counter::Invalid);
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
}

fn direction(header: &Header) -> &'static str {
    if header.is_response() {
        "response"
    } else {
        "request"
    }
}
