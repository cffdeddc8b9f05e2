//! IKE_SA_INIT as initiator (RFC 7296, 1.2): proposals, public values, nonces, what each end can do.

use std::sync::Arc;

use config::connection::Fragmentation;
use crypto::int_auth::IntAuth;
use crypto::keymat;
use crypto::proposal::Proposal;
use crypto::suite::Suite;
use iana::{ExchangeType, HashAlgorithm, KeyExchangeMethod, NotifyType};
use plugin_api::{PendingKeyExchange, Secret};
use wire::payload::{Ke, Nonce, Payload, VendorId};

use crate::error::Error;
use crate::exchange::{Offer, Phase, error_notify, find};
use crate::extension::redirect::Verdict;
use crate::output::Job;
use crate::proposals;
use crate::sa::peer::STRONGSWAN_VENDOR_ID;
use crate::sa::protect::Keys;
use crate::sa::{IkeSa, IkeSaState, Inbound};
use crate::shared::{Shared, log};
use crate::tally::Direction;

/// IKE_SA_INIT requests of one attempt, cookies and other groups included.
const MAX_INIT_TRIES: u32 = 5;

impl IkeSa {
    /// Starts to establish the IKE_SA.
    pub(crate) fn connect(&mut self, shared: &mut Shared) {
        let Some(config) = self.config.clone() else {
            return self.destroy();
        };
        self.transition_to(IkeSaState::connect);
        log!(
            shared,
            self,
            Ike,
            0,
            "initiating IKE_SA {} to {}",
            self.label(),
            self.remote.ip()
        );
        let (proposals, messages) = Arc::unwrap_or_clone(proposals::of_connection(shared, &config));
        for message in messages {
            log!(shared, self, Cfg, 1, "{message}");
        }
        let Some(method) = proposals.first().and_then(Proposal::key_exchange) else {
            log!(
                shared,
                self,
                Cfg,
                1,
                "connection '{}' ({}) has no usable IKE proposal, see its ike=",
                config.name,
                config.source
            );
            return self.destroy();
        };
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.nonce_i = shared.nonce();
        }
        self.make_init(shared, proposals, method);
    }

    fn make_init(&mut self, shared: &mut Shared, proposals: Vec<Proposal>, method: KeyExchangeMethod) {
        let Some(exchange) = self.key_exchange(shared, method) else {
            log!(shared, self, Ike, 1, "configured DH group {method} not supported");
            return self.destroy();
        };
        self.phase = Phase::MakeInit { proposals, method };
        shared.start_job(self.unique_id, Job::Initiate(method, exchange));
    }

    /// Sends the request, now that the own public value is ready.
    pub(crate) fn on_init_made(
        &mut self,
        shared: &mut Shared,
        mut proposals: Vec<Proposal>,
        method: KeyExchangeMethod,
        public: Vec<u8>,
        pending: Box<dyn PendingKeyExchange>,
    ) {
        for proposal in &mut proposals {
            proposal.promote_key_exchange(method);
        }
        let offer = Box::new(Offer {
            proposals,
            method,
            public,
        });
        self.send_init(shared, &offer);
        self.phase = Phase::AwaitInit { offer, pending };
    }

    fn send_init(&mut self, shared: &mut Shared, offer: &Offer) {
        let Some(mut negotiation) = self.negotiation.take() else {
            return;
        };
        negotiation.init_tries += 1;
        let mut payloads = Vec::new();
        if !negotiation.cookie.is_empty() {
            payloads.push(Payload::status(NotifyType::COOKIE, negotiation.cookie.clone()));
        }
        payloads.push(proposals::to_wire(&offer.proposals));
        payloads.push(Payload::Ke(Ke {
            method: offer.method,
            data: offer.public.clone(),
        }));
        payloads.push(Payload::Nonce(Nonce {
            data: negotiation.nonce_i.clone(),
        }));
        let fake = self.fakes_nat(shared);
        payloads.extend(
            self.natt
                .notifies(shared, (self.spi_i, 0), self.local, self.remote, fake),
        );
        self.push_fragmentation(&mut payloads);
        payloads.push(signature_hashes(shared));
        self.push_redirection(shared, &mut payloads);
        self.push_use_ppk(&mut payloads);
        if offer.proposals.iter().any(Proposal::has_additional) {
            payloads.push(Payload::status(
                NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED,
                Vec::new(),
            ));
        }
        let private = self.config.as_ref();
        let private = private.is_some_and(|config| proposals::uses_private(shared, config));
        push_vendor_id(shared, &mut payloads, private);
        negotiation.init_request = self.send_init_message(shared, false, payloads);
        self.negotiation = Some(negotiation);
    }

    /// Sends an IKE_SA_INIT message, which no key protects yet.
    pub(crate) fn send_init_message(
        &mut self,
        shared: &mut Shared,
        response: bool,
        mut payloads: Vec<Payload>,
    ) -> Vec<u8> {
        let exchange = ExchangeType::IKE_SA_INIT;
        wire::sort(exchange, response, &mut payloads);
        log!(
            shared,
            self,
            Enc,
            1,
            "generating {}",
            wire::summary(exchange, response, 0, &payloads)
        );
        self.count_message(shared, exchange, response, Direction::Out);
        let message = wire::write_plain(&self.header(exchange, response, 0), &payloads);
        self.transmit(shared, vec![message.clone()]);
        if response {
            self.window.answer(vec![message.clone()]);
        } else {
            self.window.sent(
                shared.now,
                &shared.settings.retransmit,
                exchange,
                vec![message.clone()],
            );
        }
        message
    }

    pub(crate) fn fakes_nat(&self, shared: &Shared) -> bool {
        shared.settings.force_udp_encap || self.config.as_ref().is_some_and(|config| config.encap)
    }

    pub(crate) fn push_fragmentation(&self, payloads: &mut Vec<Payload>) {
        if self
            .config
            .as_ref()
            .is_none_or(|config| config.fragmentation != Fragmentation::No)
        {
            payloads.push(Payload::status(NotifyType::FRAGMENTATION_SUPPORTED, Vec::new()));
        }
    }

    pub(crate) fn on_init_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        let Phase::AwaitInit { offer, pending } = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        match self.judge_redirect(shared, &inbound.payloads) {
            Verdict::GoOn => {}
            Verdict::Ignore => {
                self.phase = Phase::AwaitInit { offer, pending };
                return;
            }
            Verdict::Follow(gateway) => return self.redirect_init(shared, gateway),
        }
        if let Some(cookie) = find!(inbound.payloads, Payload::Notify(notify)
            if notify.kind == NotifyType::COOKIE => notify.data.clone())
        {
            log!(
                shared,
                self,
                Ike,
                2,
                "received COOKIE notify, repeating IKE_SA_INIT with it"
            );
            return self.repeat_init(shared, offer, pending, cookie);
        }
        if let Some(notify) = error_notify(&inbound.payloads) {
            if notify.kind == NotifyType::INVALID_KE_PAYLOAD
                && let Ok(wanted) = notify.data.as_slice().try_into()
            {
                return self.on_other_group(shared, *offer, KeyExchangeMethod(u16::from_be_bytes(wanted)));
            }
            log!(shared, self, Ike, 1, "received {} notify error", notify.kind);
            return self.destroy();
        }
        self.window.answered();
        if let Err(error) = self.accept_init_response(shared, &offer, pending, inbound) {
            log!(shared, self, Ike, 1, "IKE_SA_INIT response refused: {error}");
            self.destroy();
        }
    }

    fn repeat_init(
        &mut self,
        shared: &mut Shared,
        offer: Box<Offer>,
        pending: Box<dyn PendingKeyExchange>,
        cookie: Vec<u8>,
    ) {
        let Some(negotiation) = &mut self.negotiation else {
            return;
        };
        if negotiation.init_tries >= MAX_INIT_TRIES {
            log!(shared, self, Ike, 1, "giving up after {MAX_INIT_TRIES} retries");
            return self.destroy();
        }
        negotiation.cookie = cookie;
        self.window.withdraw();
        self.send_init(shared, &offer);
        self.phase = Phase::AwaitInit { offer, pending };
    }

    /// The peer wants another key exchange method of our proposals (RFC 7296, 1.3).
    fn on_other_group(&mut self, shared: &mut Shared, offer: Offer, wanted: KeyExchangeMethod) {
        let own = offer.method;
        log!(
            shared,
            self,
            Ike,
            1,
            "peer didn't accept DH group {own}, it requested {wanted}"
        );
        let Some(negotiation) = &mut self.negotiation else {
            return;
        };
        let again = negotiation.refused_method == Some(wanted) || wanted == own;
        negotiation.refused_method = Some(own);
        if negotiation.init_tries >= MAX_INIT_TRIES {
            log!(shared, self, Ike, 1, "giving up after {MAX_INIT_TRIES} retries");
            return self.destroy();
        }
        if again {
            log!(
                shared,
                self,
                Ike,
                1,
                "already retried with DH group {wanted}, ignore requested {wanted}"
            );
            return self.destroy();
        }
        if !offer
            .proposals
            .iter()
            .any(|proposal| proposal.offers(iana::TransformType::KE, wanted.0))
        {
            log!(
                shared,
                self,
                Ike,
                1,
                "requested key exchange method {wanted} not contained in any of our proposals"
            );
            return self.destroy();
        }
        self.window.withdraw();
        self.make_init(shared, offer.proposals, wanted);
    }

    fn accept_init_response(
        &mut self,
        shared: &mut Shared,
        offer: &Offer,
        pending: Box<dyn PendingKeyExchange>,
        inbound: Inbound,
    ) -> Result<(), Error> {
        self.spi_r = inbound.header.spi_r.0;
        if self.spi_r == 0 {
            return Err(Error::Missing("responder SPI"));
        }
        self.learn(shared, &inbound.payloads);
        let sa = find!(inbound.payloads, Payload::Sa(sa) => sa).ok_or(Error::Missing("SA"))?;
        let [proposal] = &proposals::from_wire(sa, 0)[..] else {
            return Err(Error::NoProposalChosen);
        };
        let config = self.config.clone().ok_or(Error::NoProposalChosen)?;
        let how = proposals::selection(shared, config.profile, self.peer.strongswan, true, false);
        proposals::check_ike_choice(shared, &config, &offer.proposals, proposal, &how)?;
        let ke = find!(inbound.payloads, Payload::Ke(ke) => ke).ok_or(Error::Missing("KE"))?;
        let nonce = find!(inbound.payloads, Payload::Nonce(nonce) => nonce).ok_or(Error::Missing("Nonce"))?;
        self.natt.evaluate(
            shared,
            &inbound.payloads,
            (self.spi_i, self.spi_r),
            inbound.local,
            inbound.remote,
        );
        self.use_proposal(shared, proposal)?;
        self.log_nat(shared);
        if ke.method != offer.method {
            return Err(Error::WrongKeyExchange {
                got: ke.method,
                expected: offer.method,
            });
        }
        if !self.plan_is_empty() && !self.peer.intermediate {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer didn't send INTERMEDIATE_EXCHANGE_SUPPORTED while accepting multiple key exchanges"
            );
            return Err(Error::NoProposalChosen);
        }
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.nonce_r = nonce.data.clone();
            negotiation.init_response = inbound.octets;
        }
        self.phase = Phase::FinishInit;
        shared.start_job(self.unique_id, Job::Finish(ke.method, pending, ke.data.clone()));
        Ok(())
    }

    /// Takes over what was selected: algorithms, profile, and the additional key exchanges to run.
    pub(crate) fn use_proposal(&mut self, shared: &mut Shared, proposal: &Proposal) -> Result<(), Error> {
        self.log_selected(shared, proposal);
        let chosen = shared
            .common
            .algorithms(proposal, &shared.registry)
            .map_err(|error| {
                log!(shared, self, Ike, 1, "{error}");
                Error::NoProposalChosen
            })?;
        let additional = proposal.additional_key_exchanges();
        self.profile = self.profile_shown(shared, additional.iter().map(|(_, method)| *method));
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.int_auth = Some(IntAuth::new(self.profile));
            negotiation.plan = additional.into();
        }
        self.suite = Some(chosen.suite);
        self.proposal = Some(chosen.proposal);
        Ok(())
    }

    pub(crate) fn plan_is_empty(&self) -> bool {
        self.negotiation
            .as_ref()
            .is_none_or(|negotiation| negotiation.plan.is_empty())
    }

    pub(crate) fn log_nat(&self, shared: &mut Shared) {
        if self.natt.local {
            log!(
                shared,
                self,
                Ike,
                1,
                "local host is behind NAT, sending keep alives"
            );
        }
        if self.natt.remote {
            log!(shared, self, Ike, 1, "remote host is behind NAT");
            // Scripts wait for that line as it is.
            if self.natt.fake {
                log!(
                    shared,
                    self,
                    Ike,
                    2,
                    "the peer may fake its NAT to have ESP in UDP, as this host does"
                );
            }
        }
        if self.natt.fake && !self.natt.local && !self.natt.remote {
            log!(
                shared,
                self,
                Ike,
                1,
                "faking NAT situation to enforce UDP encapsulation"
            );
        }
    }

    /// The secret of IKE_SA_INIT is there: the first generation of keys.
    pub(crate) fn derive_initial(&mut self, shared: &mut Shared, secret: &Secret) -> Result<(), Error> {
        let (Some(suite), Some(negotiation)) = (self.suite.clone(), &self.negotiation) else {
            return Err(Error::NoProposalChosen);
        };
        let (ni, nr) = (&negotiation.nonce_i, &negotiation.nonce_r);
        let sk = keymat::derive_initial(&suite, secret, ni, nr, self.spi_i, self.spi_r)?;
        self.use_keys(shared, &suite, sk)
    }

    pub(crate) fn use_keys(
        &mut self,
        _shared: &mut Shared,
        suite: &Arc<Suite>,
        sk: keymat::SkKeys,
    ) -> Result<(), Error> {
        self.keys = Some(Box::new(Keys::new(suite, sk, self.role)?));
        Ok(())
    }

    /// The initiator's next step once a generation of keys is there.
    pub(crate) fn on_init_finished(&mut self, shared: &mut Shared, secret: &Secret) -> Result<(), Error> {
        self.derive_initial(shared, secret)?;
        self.float(shared);
        self.next_step(shared);
        Ok(())
    }

    /// Goes on at port 4500 behind NATs, and with MOBIKE, whose peers may get behind one (RFC 4555, 3.3).
    fn float(&mut self, shared: &mut Shared) {
        let mobike = self.config.as_ref().is_some_and(|config| config.mobike);
        let natted = self.natt.local || self.natt.remote || self.natt.fake;
        if self.natt.supported && (natted || mobike) {
            let (mut local, mut remote) = (self.local, self.remote);
            if local.port() == shared.settings.port {
                local.set_port(shared.settings.port_nat_t);
            }
            if remote.port() == 500 {
                remote.set_port(4500);
            }
            self.announce_move(shared, local, remote);
            (self.local, self.remote) = (local, remote);
        }
    }
}

/// SHA-2 as far as plugins provide it; "identity" is for schemes that hash by themselves (RFC 8420).
pub(crate) fn signature_hashes(shared: &Shared) -> Payload {
    let hashes = [
        HashAlgorithm::SHA2_256,
        HashAlgorithm::SHA2_384,
        HashAlgorithm::SHA2_512,
    ];
    let data = hashes
        .into_iter()
        .filter(|hash| shared.registry.hasher(*hash).is_some())
        .chain([HashAlgorithm::IDENTITY])
        .flat_map(|hash| hash.0.to_be_bytes())
        .collect();
    Payload::status(NotifyType::SIGNATURE_HASH_ALGORITHMS, data)
}

/// Adds the vendor ID if it is always sent, or if private-use numbers are of no use without it.
pub(crate) fn push_vendor_id(shared: &Shared, payloads: &mut Vec<Payload>, private: bool) {
    let settings = &shared.settings;
    if settings.send_vendor_id || settings.announce_private && private {
        payloads.push(Payload::VendorId(VendorId {
            data: STRONGSWAN_VENDOR_ID.to_vec(),
        }));
    }
}
