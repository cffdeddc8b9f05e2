//! Datagrams as they come in: to their IKE_SA, or through limits and cookies to a new one.

use std::net::SocketAddr;
use std::time::Instant;

use iana::{ExchangeType, NotifyType, PayloadType};
use wire::payload::{Notify, Payload};
use wire::{Flags, Header, IkeSpi, Packet};

use crate::admission::{Block, Demand, Origin, Topic};
use crate::alert::Alert;
use crate::endpoint::Endpoint;
use crate::exchange::find;
use crate::lookup::{SaKey, half};
use crate::output::Transmit;
use crate::sa::{IkeSa, Inbound};
use crate::shared::{Shared, endpoint, log_plain};
use crate::tally::Counter;

/// Proposals and transforms of an IKE_SA_INIT that are looked at. The longest lists in use have a quarter of them.
const MAX_PROPOSALS: usize = 64;
const MAX_TRANSFORMS: usize = 255;

/// Lines and octets of them that one message of a stranger may cause.
const LINES: (usize, usize) = (64, 8192);

/// Logs a line about what a stranger sends, which belongs to no IKE_SA, unless there were too many lately.
macro_rules! complain {
    ($endpoint:expr, $topic:ident, $group:ident, $($arg:tt)+) => {
        {
            let mark = $endpoint.shared.out.len();
            log_plain!($endpoint.shared, $group, 1, $($arg)+);
            $endpoint.restrain(Topic::$topic, mark);
        }
    };
}

impl Endpoint {
    /// A datagram came in on an IKE socket; a non-ESP marker is stripped already.
    pub fn handle_datagram(&mut self, now: Instant, local: SocketAddr, remote: SocketAddr, octets: &[u8]) {
        self.shared.now = now;
        let header = match Header::parse(octets) {
            Ok(header) => header,
            Err(_) => {
                complain!(
                    self,
                    Header,
                    Net,
                    "received invalid IKE header from {} - ignored",
                    remote.ip()
                );
                self.shared.count(None, Counter::Invalid);
                self.shared.alert(Alert::ParseErrorHeader);
                return;
            }
        };
        if header.version >> 4 > 2 {
            return self.refuse_version(local, remote, &header);
        }
        if header.version >> 4 < 2 || !is_known(header.exchange) {
            log_plain!(
                self.shared,
                Net,
                2,
                "received {} message of IKE version {} from {}, ignored",
                header.exchange,
                header.version >> 4,
                endpoint(remote)
            );
            return;
        }
        if header.exchange == ExchangeType::IKE_SA_INIT && !header.is_response() {
            return self.handle_init(local, remote, &header, octets);
        }
        // The SPI that this end chose is the one of its original role (RFC 7296, 3.1).
        let own = if header.is_initiator() {
            header.spi_r
        } else {
            header.spi_i
        };
        match self.lookup.by_spi(own.0) {
            Some(key) => {
                if self.is_begun_by_stranger(key) {
                    self.shared.out.limit_lines(LINES);
                }
                // What this end initiates is written whole, because whoever initiates it wants to know.
                let restrained = self.is_begun_by_stranger(key) || self.is_established(key);
                self.shared.unproved = Some(Topic::Other);
                let mark = self.shared.out.len();
                self.with_sa(key, |sa, shared| {
                    sa.handle_datagram(shared, local, remote, octets)
                });
                self.shared.out.end_limit();
                if let Some(topic) = self.shared.unproved.take().filter(|_| restrained) {
                    self.restrain(topic, mark);
                }
            }
            None => {
                log_plain!(
                    self.shared,
                    Net,
                    2,
                    "received {} message for unknown IKE_SA {own} from {}, ignored",
                    header.exchange,
                    endpoint(remote)
                );
                self.shared.count(None, Counter::InvalidSpi);
                self.shared.alert(Alert::InvalidIkeSpi);
            }
        }
    }

    fn handle_init(&mut self, local: SocketAddr, remote: SocketAddr, header: &Header, octets: &[u8]) {
        if header.message_id != 0 || !header.is_initiator() || header.spi_r != IkeSpi(0) {
            return;
        }
        let digest = self.shared.sha1(&[octets]);
        if let Some(key) = self.lookup.by_init(half(&digest)) {
            return self.with_sa(key, |sa, shared| sa.repeat_init_response(shared, &digest));
        }
        if self.is_over_limits(remote) {
            return;
        }
        let message = match wire::parse_datagram(octets) {
            Ok(Packet::Plain(message)) => message,
            Ok(_) => return,
            Err(error) => {
                let from = endpoint(remote);
                complain!(
                    self,
                    Init,
                    Enc,
                    "IKE_SA_INIT request from {from} does not parse: {error}"
                );
                self.shared.count(None, Counter::Invalid);
                self.shared.alert(Alert::ParseErrorBody);
                return self.refuse_malformed(local, remote, header, &error);
            }
        };
        if let Err(error) = wire::verify(ExchangeType::IKE_SA_INIT, false, &message.payloads) {
            let from = endpoint(remote);
            complain!(
                self,
                Init,
                Enc,
                "IKE_SA_INIT request from {from}: message verification failed: {error}"
            );
            self.shared.count(None, Counter::Invalid);
            return self.refuse_malformed(local, remote, header, &error);
        }
        let Some(origin) = self.origin(local, remote, header, &message.payloads) else {
            return;
        };
        if self.redirects_init(local, remote, header, &message.payloads) {
            return;
        }
        if is_too_long(&message.payloads) {
            let from = endpoint(remote);
            complain!(
                self,
                Init,
                Enc,
                "IKE_SA_INIT request from {from} has more than {MAX_PROPOSALS} proposals or {MAX_TRANSFORMS} transforms"
            );
            self.shared.count(None, Counter::Invalid);
            let kind = NotifyType::NO_PROPOSAL_CHOSEN;
            return send_stateless(&mut self.shared, local, remote, header, kind, Vec::new());
        }
        let inbound = Inbound {
            header: header.clone(),
            first: header.next_payload,
            plaintext: Vec::new(),
            payloads: message.payloads,
            octets: octets.to_vec(),
            local,
            remote,
        };
        self.begin(inbound, digest, origin);
    }

    /// Takes back what was written about a datagram that proved nothing, if there were many lately.
    fn restrain(&mut self, topic: Topic, mark: usize) {
        match self.admission.lines(topic).take(self.shared.now) {
            None => self.shared.out.retract_lines(mark),
            Some(0) => {}
            Some(refused) => {
                log_plain!(
                    self.shared,
                    Net,
                    1,
                    "left out the lines about {refused} datagrams of strangers before this one"
                );
            }
        }
    }

    /// Takes an IKE_SA_INIT on. While many are refused, their lines are written of few.
    fn begin(&mut self, inbound: Inbound, digest: [u8; 20], origin: Origin) {
        let now = self.shared.now;
        let (local, remote) = (inbound.local, inbound.remote);
        let described = self.admission.refusals.has_room(now);
        let mark = self.shared.out.len();
        self.shared.describes_refusals = described;
        let key = self.shared.next_ike_id();
        let sa = IkeSa::responder(
            &mut self.shared,
            key,
            local,
            remote,
            inbound.header.spi_i.0,
            digest,
        );
        self.insert_begun(key, sa, origin);
        self.log_received(key, local, remote, inbound.octets.len());
        self.with_sa(key, |sa, shared| sa.on_init_request(shared, inbound));
        if self.has(key) {
            return;
        }
        match self.admission.refusals.take(now) {
            None => self.shared.out.retract_lines(mark),
            Some(0) => {}
            Some(more) => {
                log_plain!(
                    self.shared,
                    Ike,
                    1,
                    "left out the lines about {more} refused IKE_SA_INIT requests before this one"
                );
            }
        }
    }

    fn log_received(&mut self, key: SaKey, local: SocketAddr, remote: SocketAddr, len: usize) {
        self.with_sa(key, |sa, shared| {
            crate::shared::log!(
                shared,
                sa,
                Net,
                1,
                "received packet: from {} to {} ({len} bytes)",
                endpoint(remote),
                endpoint(local)
            );
        });
    }

    /// Whether too much is under way for another IKE_SA_INIT; nothing is answered then.
    fn is_over_limits(&mut self, remote: SocketAddr) -> bool {
        let settings = &self.shared.settings;
        let (address, half_open) = (remote.ip(), self.admission.half_open());
        let exceeds = |count: usize, limit: usize| limit > 0 && count >= limit;
        if settings.initiator_only {
            log_plain!(
                self.shared,
                Net,
                2,
                "ignoring IKE_SA setup from {address}, charon.initiator_only is set"
            );
            return true;
        }
        if exceeds(half_open, settings.init_limit_half_open) {
            let limit = settings.init_limit_half_open;
            complain!(
                self,
                Limits,
                Net,
                "ignoring IKE_SA setup from {address}, half open IKE_SA count of {half_open} exceeds limit of {limit}"
            );
            return true;
        }
        if exceeds(self.job_load, settings.init_limit_job_load) {
            let (load, limit) = (self.job_load, settings.init_limit_job_load);
            complain!(
                self,
                Limits,
                Net,
                "ignoring IKE_SA setup from {address}, job load of {load} exceeds limit of {limit}"
            );
            return true;
        }
        let block = Block::of(address);
        if settings.dos_protection && self.admission.is_blocked(settings, self.shared.now, block) {
            complain!(
                self,
                Limits,
                Net,
                "ignoring IKE_SA setup from {address}, peer too aggressive"
            );
            return true;
        }
        if exceeds(self.shared.established.len(), settings.ikesa_limit) {
            let limit = settings.ikesa_limit;
            complain!(
                self,
                Limits,
                Net,
                "ignoring IKE_SA setup from {address}, charon.ikesa_limit of {limit} is reached"
            );
            return true;
        }
        false
    }

    /// Where an IKE_SA_INIT comes from. If a cookie is demanded and no good one came, one is sent, and nothing kept.
    fn origin(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        header: &Header,
        payloads: &[Payload],
    ) -> Option<Origin> {
        let (settings, now) = (&self.shared.settings, self.shared.now);
        let block = Block::of(remote.ip());
        let mut origin = Origin { block, proven: false };
        if !settings.dos_protection {
            return Some(origin);
        }
        let demand = self.admission.demand(settings, now, block);
        let of_all = self.cookies.demanded(now, demand == Demand::CookieOfAll);
        let spi_i = header.spi_i.0;
        let cookie = find!(payloads, Payload::Notify(notify)
            if notify.kind == NotifyType::COOKIE => &notify.data);
        if let Some(cookie) = cookie {
            origin.proven = self.cookies.check(&self.shared, cookie, remote.ip(), spi_i);
            if let Some(tally) = &mut self.shared.tally {
                tally.cookies_verified += u64::from(origin.proven);
                tally.cookies_refused += u64::from(!origin.proven);
            }
        }
        if origin.proven || !of_all && demand == Demand::Nothing {
            return Some(origin);
        }
        log_plain!(self.shared, Net, 2, "demanding a cookie of {}", endpoint(remote));
        if let Some(tally) = &mut self.shared.tally {
            tally.cookies += 1;
        }
        let cookie = self.cookies.make(&mut self.shared, remote.ip(), spi_i);
        send_stateless(
            &mut self.shared,
            local,
            remote,
            header,
            NotifyType::COOKIE,
            cookie,
        );
        None
    }

    fn refuse_malformed(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        header: &Header,
        error: &wire::Error,
    ) {
        let data = error.critical_type().map(|kind| vec![kind.0]).unwrap_or_default();
        if let Some(kind) = error.notify() {
            send_stateless(&mut self.shared, local, remote, header, kind, data);
        }
    }

    fn refuse_version(&mut self, local: SocketAddr, remote: SocketAddr, header: &Header) {
        let (major, minor) = (header.version >> 4, header.version & 15);
        complain!(
            self,
            Version,
            Net,
            "received unsupported IKE version {major}.{minor} from {}, sending INVALID_MAJOR_VERSION",
            remote.ip()
        );
        // Answering responses would let two ends answer each other for ever.
        if !header.is_response() && header.spi_r == IkeSpi(0) {
            let kind = NotifyType::INVALID_MAJOR_VERSION;
            send_stateless(&mut self.shared, local, remote, header, kind, Vec::new());
        }
    }
}

fn is_too_long(payloads: &[Payload]) -> bool {
    let proposals = find!(payloads, Payload::Sa(sa) => &sa.proposals[..]).unwrap_or_default();
    let transforms: usize = proposals.iter().map(|proposal| proposal.transforms.len()).sum();
    proposals.len() > MAX_PROPOSALS || transforms > MAX_TRANSFORMS
}

/// Answers without keeping anything, and not at all if the answer were longer than its request.
pub(crate) fn send_stateless(
    shared: &mut Shared,
    local: SocketAddr,
    remote: SocketAddr,
    request: &Header,
    kind: NotifyType,
    data: Vec<u8>,
) {
    let header = Header {
        spi_i: request.spi_i,
        spi_r: IkeSpi(0),
        next_payload: PayloadType::NONE,
        version: 0x20,
        exchange: request.exchange,
        flags: Flags::RESPONSE,
        message_id: request.message_id,
        length: 0,
    };
    let octets = wire::write_plain(&header, &[Payload::Notify(Notify::status(kind, data))]);
    if octets.len() > request.length as usize {
        return;
    }
    let non_esp_marker = shared.needs_marker(local, remote);
    shared.out.transmit(Transmit {
        local,
        remote,
        non_esp_marker,
        dscp: 0,
        octets,
    });
}

fn is_known(exchange: ExchangeType) -> bool {
    matches!(
        exchange,
        ExchangeType::IKE_SA_INIT
            | ExchangeType::IKE_AUTH
            | ExchangeType::CREATE_CHILD_SA
            | ExchangeType::INFORMATIONAL
            | ExchangeType::IKE_INTERMEDIATE
            | ExchangeType::IKE_FOLLOWUP_KE
            | ExchangeType::IKE_FOLLOWUP_KE_DRAFT
    )
}
