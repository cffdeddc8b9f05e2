//! IKE_SA_INIT as responder: choosing a proposal, answering the public value.

use std::cmp::Reverse;
use std::sync::Arc;

use config::connection::PeerConfig;
use crypto::proposal::Proposal;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, Protocol, TransformType};
use plugin_api::Secret;
use wire::payload::{Ke, Nonce, Payload};

use crate::alert::Alert;
use crate::error::Error;
use crate::exchange::ike_sa_init::{push_vendor_id, signature_hashes, status};
use crate::exchange::{Phase, find};
use crate::names::Fit;
use crate::output::Job;
use crate::proposals;
use crate::sa::{IkeSa, IkeSaState, Inbound};
use crate::shared::{Shared, log};
use crate::tally::Direction;

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
        let supplied = proposals::from_wire(sa, Protocol::IKE, 0);
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
        let exchange = shared
            .registry
            .key_exchange(method)
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

    /// The connection that suits these addresses best and has a proposal in common with the peer; of equals the first.
    fn choose_config(
        &self,
        shared: &mut Shared,
        supplied: &[Proposal],
    ) -> Result<(Arc<PeerConfig>, Proposal), Error> {
        let fitting = shared.connections.iter().filter_map(|config| {
            let fit = self.fits_addresses(shared, config);
            (fit != Fit::No).then(|| (fit, Arc::clone(config)))
        });
        let mut candidates: Vec<_> = fitting.collect();
        // Stable, so that the order of the configuration decides among equals.
        candidates.sort_by_key(|(fit, _)| Reverse(*fit));
        let unknown = candidates.iter().any(|(fit, _)| *fit == Fit::Unknown);
        candidates.retain(|(fit, _)| *fit != Fit::Unknown);
        if candidates.is_empty() && unknown {
            log!(
                shared,
                self,
                Ike,
                1,
                "ignoring IKE_SA_INIT from {}, the names of connections are being looked up",
                self.remote.ip()
            );
            return Err(Error::NotYet);
        }
        if candidates.is_empty() {
            let (local, remote) = (self.local.ip(), self.remote.ip());
            log!(
                shared,
                self,
                Ike,
                1,
                "no IKE config found for {local}...{remote}, sending NO_PROPOSAL_CHOSEN"
            );
            return Err(Error::NoProposalChosen);
        }
        let mut refused = Vec::new();
        for (_, config) in candidates {
            let configured = proposals::of_connection(shared, &config);
            let how = proposals::selection(shared, self.peer.strongswan, self.peer.intermediate, false);
            match crypto::select::select(&configured.0, supplied, &how) {
                Ok(proposal) => return Ok((config, proposal)),
                Err(no_match) => {
                    if no_match.private_skipped {
                        log!(
                            shared,
                            self,
                            Cfg,
                            1,
                            "an algorithm from private space would match, but peer implementation is unknown, skipped"
                        );
                    }
                    refused.push(configured);
                }
            }
        }
        let received = crypto::select::list(supplied, &shared.registry);
        log!(shared, self, Cfg, 1, "received proposals: {received}");
        for (n, configured) in refused.iter().enumerate() {
            let configured = crypto::select::list(&configured.0, &shared.registry);
            log!(shared, self, Cfg, 1, "configured proposals: {configured}");
            if n + 1 < refused.len() {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "no matching proposal found, trying alternative config"
                );
            }
        }
        log!(shared, self, Ike, 1, "received proposals unacceptable");
        shared.alert(Alert::ProposalMismatchIke);
        Err(Error::NoProposalChosen)
    }

    /// How well a connection suits the addresses of both ends.
    pub(crate) fn fits_addresses(&self, shared: &Shared, config: &PeerConfig) -> Fit {
        shared.names.fit(config, self.local.ip(), self.remote.ip())
    }

    /// Parameters are taken from the configuration already, its name only once the peer is known.
    fn use_init_config(&mut self, config: Arc<PeerConfig>) {
        self.set_config(config);
    }

    /// An answer that keeps no state: unprotected, without an SPI of ours (wire.md, error reactions).
    fn refuse_init(&mut self, shared: &mut Shared, kind: NotifyType, data: Vec<u8>) {
        self.spi_r_in_error(|sa| {
            sa.send_init_message(shared, true, vec![status(kind, data)]);
        });
    }

    fn spi_r_in_error(&mut self, send: impl FnOnce(&mut Self)) {
        let spi_r = std::mem::take(&mut self.spi_r);
        send(self);
        self.spi_r = spi_r;
    }

    /// The own public value is there: keys, and the response.
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
            payloads.push(status(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED, Vec::new()));
        }
        payloads.push(status(NotifyType::MULTIPLE_AUTH_SUPPORTED, Vec::new()));
        push_vendor_id(shared, &mut payloads);
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

/// Whether a configuration accepts a proposal that was selected by another one.
pub(crate) fn accepts_proposal(shared: &Shared, config: &PeerConfig, proposal: &Proposal) -> bool {
    let configured = proposals::of_connection(shared, config);
    configured.0.iter().any(|own| {
        proposal
            .transforms
            .iter()
            .all(|transform| own.transforms.contains(transform) || transform.kind == TransformType::INTEG)
    })
}
