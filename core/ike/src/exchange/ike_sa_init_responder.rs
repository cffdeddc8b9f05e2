//! IKE_SA_INIT as responder: choosing a proposal, answering the public value.

use std::sync::Arc;

use config::connection::PeerConfig;
use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, Protocol};
use plugin_api::Secret;
use wire::payload::{Ke, Nonce, Payload};

use crate::alert::Alert;
use crate::connections::{self, Refused};
use crate::error::Error;
use crate::exchange::ike_sa_init::{push_vendor_id, signature_hashes};
use crate::exchange::{Phase, find};
use crate::names::Fit;
use crate::output::Job;
use crate::proposals;
use crate::sa::{IkeSa, IkeSaState, Inbound};
use crate::shared::{Shared, log};
use crate::tally::Direction;

/// Configured proposals that a line names at most, and of how many they are taken, so that what a stranger makes the daemon
/// write does not grow with the number of connections.
const MAX_SHOWN: usize = 4;
const MAX_CONSIDERED: usize = 64;

impl IkeSa {
    /// An IKE_SA_INIT request that passed the Endpoint's limits and cookies.
    pub(crate) fn on_init_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        self.transition_to(IkeSaState::connect);
        self.window.take_on();
        log!(
            shared,
            self,
            Enc,
            1,
            "parsed {}",
            wire::summary(ExchangeType::IKE_SA_INIT, false, 0, &inbound.payloads)
        );
        self.count_message(shared, ExchangeType::IKE_SA_INIT, false, Direction::In);
        self.learn(shared, &inbound.payloads);
        log!(
            shared,
            self,
            Ike,
            0,
            "{} is initiating an IKE_SA",
            self.remote.ip()
        );
        if let Err(error) = self.accept_init_request(shared, inbound) {
            if let Some(kind) = error.notify() {
                self.refuse_init(shared, kind, Vec::new());
            }
            self.destroy();
        }
    }

    fn accept_init_request(&mut self, shared: &mut Shared, inbound: Inbound) -> Result<(), Error> {
        let sa = find!(inbound.payloads, Payload::Sa(sa) => sa).ok_or(Error::Missing("SA"))?;
        let ke = find!(inbound.payloads, Payload::Ke(ke) => ke).ok_or(Error::Missing("KE"))?;
        let nonce = find!(inbound.payloads, Payload::Nonce(nonce) => nonce).ok_or(Error::Missing("Nonce"))?;
        let supplied = proposals::from_wire(sa, 0);
        let (config, proposal) = self.choose_config(shared, &supplied)?;
        self.use_init_config(config);
        let Some(method) = proposal.key_exchange() else {
            return Err(Error::NoProposalChosen);
        };
        if ke.method != method {
            let got = ke.method;
            log!(
                shared,
                self,
                Ike,
                1,
                "DH group {got} unacceptable, requesting {method}"
            );
            self.refuse_init(
                shared,
                NotifyType::INVALID_KE_PAYLOAD,
                method.0.to_be_bytes().to_vec(),
            );
            self.destroy();
            return Ok(());
        }
        self.use_proposal(shared, &proposal)?;
        self.natt.evaluate(
            shared,
            &inbound.payloads,
            (self.spi_i, 0),
            self.local,
            self.remote,
        );
        let exchange = self
            .key_exchange(shared, method)
            .ok_or(Error::Unsupported(method))?;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.nonce_i = nonce.data.clone();
            negotiation.init_request = inbound.octets;
        }
        self.phase = Phase::AnswerInit {
            proposal: Box::new(proposal),
            method,
        };
        shared.start_job(self.unique_id, Job::Respond(method, exchange, ke.data.clone()));
        Ok(())
    }

    /// The connection that is used until the peer is known, and what it selects.
    fn choose_config(
        &self,
        shared: &mut Shared,
        supplied: &[Proposal],
    ) -> Result<(Arc<PeerConfig>, Proposal), Error> {
        let (local, remote) = (self.local.ip(), self.remote.ip());
        let (strongswan, intermediate) = (self.peer.strongswan, self.peer.intermediate);
        let how = proposals::selection(shared, None, strongswan, intermediate, false);
        match connections::choose(shared, (local, remote), supplied, &how) {
            Ok(chosen) => Ok(chosen),
            Err(refused) => Err(self.log_refused(shared, supplied, refused)),
        }
    }

    fn log_refused(&self, shared: &mut Shared, supplied: &[Proposal], refused: Refused) -> Error {
        let (local, remote) = (self.local.ip(), self.remote.ip());
        let refused = match refused {
            Refused::Addresses(stale) => {
                let now = shared.now;
                // All of them, so no `any`.
                let wanted = stale
                    .iter()
                    .filter(|config| shared.names.want(config, now))
                    .count();
                if wanted > 0 {
                    Refused::NotYet
                } else {
                    Refused::Addresses(stale)
                }
            }
            other => other,
        };
        let (configured, reasons) = match refused {
            Refused::NotYet => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "ignoring IKE_SA_INIT from {remote}, the names of connections are being looked up"
                );
                return Error::NotYet;
            }
            Refused::Addresses(_) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "no IKE config found for {local}...{remote}, sending NO_PROPOSAL_CHOSEN"
                );
                return Error::NoProposalChosen;
            }
            Refused::Proposals { configured, reasons } => (configured, reasons),
        };
        shared.alert(Alert::ProposalMismatchIke);
        if !shared.describes_refusals {
            return Error::NoProposalChosen;
        }
        if reasons.private_skipped {
            log!(
                shared,
                self,
                Cfg,
                1,
                "an algorithm from private space would match, but peer implementation is unknown, skipped"
            );
        }
        if let Some(text) = proposals::lacking(&shared.registry, Protocol::IKE, &reasons.unimplemented) {
            log!(shared, self, Cfg, 1, "{text}");
        }
        if let Some(method) = costly(supplied) {
            log!(
                shared,
                self,
                Cfg,
                1,
                "{method} is accepted only by connections whose ike= or proposals name it, as it costs a responder much"
            );
        }
        let received = crypto::select::list(supplied, &shared.registry);
        log!(shared, self, Cfg, 1, "received proposals: {received}");
        let mut shown: Vec<Proposal> = Vec::new();
        let all = configured.iter().flat_map(|configured| &configured.0);
        for proposal in all.take(MAX_CONSIDERED) {
            if shown.iter().all(|known| known.transforms != proposal.transforms) {
                shown.push(proposal.clone());
            }
        }
        let more = shown.len().saturating_sub(MAX_SHOWN);
        shown.truncate(MAX_SHOWN);
        let mut text = crypto::select::list(&shown, &shared.registry);
        if more > 0 || configured.len() > MAX_CONSIDERED {
            text.push_str(", and more");
        }
        log!(shared, self, Cfg, 1, "configured proposals: {text}");
        log!(shared, self, Ike, 1, "received proposals unacceptable");
        Error::NoProposalChosen
    }

    /// How well a connection suits the addresses of both ends.
    pub(crate) fn fits_addresses(&self, shared: &Shared, config: &PeerConfig) -> Fit {
        shared.names.fit(config, self.local.ip(), self.remote.ip())
    }

    /// Parameters are taken from the configuration already, its name only once the peer is known.
    fn use_init_config(&mut self, config: Arc<PeerConfig>) {
        self.set_config(config);
    }

    /// An answer that keeps no state: unprotected, without an SPI of ours (RFC 7296, 1.5 and 2.21.1).
    fn refuse_init(&mut self, shared: &mut Shared, kind: NotifyType, data: Vec<u8>) {
        self.spi_r_in_error(|sa| {
            sa.send_init_message(shared, true, vec![Payload::status(kind, data)]);
        });
    }

    fn spi_r_in_error(&mut self, send: impl FnOnce(&mut Self)) {
        let spi_r = std::mem::take(&mut self.spi_r);
        send(self);
        self.spi_r = spi_r;
    }

    /// Derives keys and sends the response, now that the own public value is ready.
    pub(crate) fn on_init_answered(
        &mut self,
        shared: &mut Shared,
        proposal: &Proposal,
        method: KeyExchangeMethod,
        public: Vec<u8>,
        secret: &Secret,
    ) -> Result<(), Error> {
        let nonce = shared.nonce();
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.nonce_r = nonce.clone();
        }
        self.derive_initial(shared, secret)?;
        let mut payloads = vec![
            proposals::to_wire(std::slice::from_ref(proposal)),
            Payload::Ke(Ke { method, data: public }),
            Payload::Nonce(Nonce { data: nonce }),
        ];
        if self.natt.supported {
            let fake = self.fakes_nat(shared);
            let spis = (self.spi_i, self.spi_r);
            payloads.extend(self.natt.notifies(shared, spis, self.local, self.remote, fake));
        }
        self.log_nat(shared);
        if self.peer.fragmentation {
            self.push_fragmentation(&mut payloads);
        }
        if self.peer.signatures {
            payloads.push(signature_hashes(shared));
        }
        if self.peer.ppk {
            self.answer_use_ppk(shared, &mut payloads);
        }
        self.push_childless(&mut payloads);
        if proposal.has_additional() {
            payloads.push(Payload::status(
                NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED,
                Vec::new(),
            ));
        }
        payloads.push(Payload::status(NotifyType::MULTIPLE_AUTH_SUPPORTED, Vec::new()));
        // Who sent it wants it: which connection that is for turns out later, and may be in a CHILD_SA of it.
        let private = self.peer.strongswan || proposal.transforms.iter().any(|it| it.is_private());
        push_vendor_id(shared, &mut payloads, private);
        let response = self.send_init_message(shared, true, payloads);
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.init_response = response;
        }
        self.phase = Phase::AwaitRequest;
        Ok(())
    }

    /// The public value could not be answered: the peer's fault, or ours.
    pub(crate) fn on_init_failed(&mut self, shared: &mut Shared, error: &Error) {
        log!(
            shared,
            self,
            Ike,
            1,
            "applying key exchange public key failed: {error}"
        );
        if let Some(kind) = error.notify() {
            self.refuse_init(shared, kind, Vec::new());
        }
        self.destroy();
    }

    /// Whether the next request may be an IKE_INTERMEDIATE: key exchanges are pending (RFC 9242, 3.2).
    pub(crate) fn awaits_intermediate(&self) -> bool {
        matches!(self.phase, Phase::AwaitRequest) && !self.plan_is_empty()
    }

    /// Whether the next request may be an IKE_AUTH.
    pub(crate) fn awaits_auth(&self) -> bool {
        matches!(self.phase, Phase::AwaitRequest) && self.plan_is_empty()
    }
}

/// A key exchange of the peer's proposals that is accepted only where a configuration names it.
fn costly(supplied: &[Proposal]) -> Option<KeyExchangeMethod> {
    let transforms = supplied.iter().flat_map(|proposal| &proposal.transforms);
    let mut methods = transforms.filter(|transform| transform.kind.is_key_exchange());
    let costly = methods.find(|transform| crypto::proposal::is_costly(transform.id));
    costly.map(|transform| KeyExchangeMethod(transform.id))
}
