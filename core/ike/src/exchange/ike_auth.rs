//! IKE_AUTH (RFC 7296, 1.2 and 2.15): who both ends are, and the first CHILD_SA.

use std::sync::Arc;

use config::connection::{AuthClass, PeerConfig, UniquePolicy};
use config::identity::{Identity, Match};
use config::secret::SharedSecret;
use crypto::int_auth::Role;
use crypto::proposal::Proposal;
use iana::{AuthMethod, ExchangeType, NotifyType};
use plugin_api::Secret;
use wire::payload::{Auth, Id, IdKind, Payload};

use crate::alert::Alert;
use crate::auth::{self, Proof};
use crate::child::reservation::{Reserved, Wanted};
use crate::error::Error;
use crate::event::Event;
use crate::exchange::{AfterAuth, OfferedChild, Phase, find};
use crate::proposals;
use crate::sa::{IkeSa, IkeSaState, Inbound, KernelWork};
use crate::shared::{Shared, Wish, log};
use crate::task::Task;

/// Octets of an identity of a peer. Longer ones are not in use, and scripts and events cannot be given any number, least of all
/// once what is not text in them is written as such.
const MAX_IDENTITY: usize = 4096;

impl IkeSa {
    /// The initiator's request, once the SPI for the first CHILD_SA is there.
    pub(crate) fn send_auth(&mut self, shared: &mut Shared, reserved: Option<Reserved>) {
        if let Err(error) = self.try_send_auth(shared, reserved) {
            log!(shared, self, Ike, 1, "IKE_AUTH request failed: {error}");
            if let Some(reserved) = reserved {
                let ops = reserved.removal(self.remote.ip(), self.local.ip());
                shared.out.kernel(ops);
            }
            self.destroy();
        }
    }

    fn try_send_auth(&mut self, shared: &mut Shared, reserved: Option<Reserved>) -> Result<(), Error> {
        let Some(config) = self.config.clone() else {
            return Err(Error::AuthenticationFailed);
        };
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.auth_message_id = self.window.next_request();
        }
        let local_id = self.configured_id(&config);
        let remote_id = config.remote_auth.first().and_then(|auth| auth.id.clone());
        self.local_id = Some(Arc::new(local_id.clone()));
        self.remote_id = remote_id.clone().map(Arc::new);

        let id = id_payload(&local_id);
        let mut payloads = vec![Payload::Id(IdKind::Initiator, id.clone())];
        if let Some(remote_id) = remote_id.as_ref().filter(|id| !id.is_any()) {
            let unknown = shared
                .established
                .between(&(Arc::new(local_id.clone()), Arc::new(remote_id.clone())))
                .next()
                .is_none();
            if config.unique != UniquePolicy::Never && unknown {
                payloads.push(Payload::status(NotifyType::INITIAL_CONTACT, Vec::new()));
            }
            if !config.remote_auth.first().is_some_and(|auth| auth.loose_id) {
                payloads.push(Payload::Id(IdKind::Responder, id_payload(remote_id)));
            }
        }
        let other_id = remote_id.unwrap_or_else(Identity::any);
        let ends = (&local_id, &other_id);
        self.offer_ppk(shared, &config, ends, &id, &mut payloads)?;
        payloads.push(self.own_auth(shared, &config, &local_id, &other_id, &id)?);
        self.request_configuration(shared, &config, &mut payloads);
        let child = self.offer_child(shared, reserved, &mut payloads);
        self.push_mobike(shared, &config, &mut payloads);
        payloads.push(Payload::status(NotifyType::MULTIPLE_AUTH_SUPPORTED, Vec::new()));
        payloads.push(Payload::status(NotifyType::EAP_ONLY_AUTHENTICATION, Vec::new()));
        payloads.push(Payload::status(
            NotifyType::IKEV2_MESSAGE_ID_SYNC_SUPPORTED,
            Vec::new(),
        ));
        self.phase = Phase::AwaitAuth { child };
        self.request(shared, ExchangeType::IKE_AUTH, payloads);
        Ok(())
    }

    /// The identity this end has by its configuration; its address if none is named.
    fn configured_id(&self, config: &PeerConfig) -> Identity {
        config
            .local_auth
            .first()
            .and_then(|auth| auth.id.clone())
            .filter(|id| !id.is_any())
            .unwrap_or_else(|| Identity::address(self.local.ip()))
    }

    /// The own AUTH payload, and the line that says so.
    fn own_auth(
        &mut self,
        shared: &mut Shared,
        config: &PeerConfig,
        own: &Identity,
        peer: &Identity,
        id: &Id,
    ) -> Result<Payload, Error> {
        let psk = self.own_key(shared, config, own, peer)?;
        let data = self.auth_value(shared, self.role, id, &psk)?.expose().to_vec();
        log!(
            shared,
            self,
            Ike,
            1,
            "authentication of '{own}' (myself) with {}",
            AuthMethod::SHARED_KEY
        );
        Ok(Payload::Auth(Auth {
            method: AuthMethod::SHARED_KEY,
            data,
        }))
    }

    /// The shared key that this end authenticates with: the one that the peer has used, if it has authenticated already.
    pub(crate) fn own_key(
        &self,
        shared: &mut Shared,
        config: &PeerConfig,
        own: &Identity,
        peer: &Identity,
    ) -> Result<Arc<SharedSecret>, Error> {
        let rounds = &config.local_auth;
        let class = rounds.first().map_or(AuthClass::Any, |auth| auth.class);
        if !matches!(class, AuthClass::Psk | AuthClass::Any) {
            let name = &config.name;
            log!(
                shared,
                self,
                Ike,
                1,
                "{class} authentication is not supported, use leftauth=psk or local {{ auth = psk }} in '{name}'"
            );
            return Err(Error::AuthenticationFailed);
        }
        if rounds.len() > 1 {
            log!(
                shared,
                self,
                Ike,
                1,
                "connection '{}' ({}) has {} rounds of authentication for this end, only one is supported",
                config.name,
                config.source,
                rounds.len()
            );
            return Err(Error::AuthenticationFailed);
        }
        if let Some(used) = self.negotiation.as_ref().and_then(|own| own.peer_key.clone()) {
            return Ok(used);
        }
        if let Some(psk) = shared.secrets.ike_secrets(own, peer).into_iter().next() {
            // An initiator may not know yet who the peer is.
            if !peer.is_any() {
                self.log_unnamed(shared, own, peer);
            }
            return Ok(psk);
        }
        log!(shared, self, Ike, 1, "no shared key found for '{own}' - '{peer}'");
        self.alert(shared, Alert::LocalAuthFailed);
        Err(Error::AuthenticationFailed)
    }

    /// Says that a shared key is used which does not name the peer.
    fn log_unnamed(&self, shared: &mut Shared, own: &Identity, peer: &Identity) {
        if !shared.secrets.names(peer) {
            log!(
                shared,
                self,
                Cfg,
                1,
                "no shared key names '{peer}', using one that names '{own}' and not this peer"
            );
        }
    }

    /// The AUTH value of the end with `role`, made with a shared key (RFC 7296, 2.15).
    pub(crate) fn auth_value(
        &self,
        shared: &mut Shared,
        role: Role,
        id: &Id,
        psk: &Arc<SharedSecret>,
    ) -> Result<Secret, Error> {
        let (Some(suite), Some(sk), Some(negotiation)) = (&self.suite, self.sk(), &self.negotiation) else {
            return Err(Error::AuthenticationFailed);
        };
        let (message, nonce, sk_p) = match role {
            Role::Initiator => (&negotiation.init_request, &negotiation.nonce_r, &sk.sk_pi),
            Role::Responder => (&negotiation.init_response, &negotiation.nonce_i, &sk.sk_pr),
        };
        let int_auth = negotiation
            .int_auth
            .as_ref()
            .and_then(|int_auth| int_auth.finish(negotiation.auth_message_id));
        let prf = suite.prf();
        let octets = crypto::auth::signed_octets(message, nonce, prf, sk_p, &id.body(), int_auth.as_deref())?;
        let mut auth = Secret::zeroed(prf.output_len());
        let key = shared.psk_keys.get(suite, psk)?;
        key.compute(&[&octets], auth.expose_mut())?;
        Ok(auth)
    }

    pub(crate) fn on_auth_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        let Phase::AwaitAuth { child } = std::mem::replace(&mut self.phase, Phase::Idle) else {
            return;
        };
        let id = match self.verify_response(shared, &inbound) {
            Ok(id) => id,
            Err(error) => {
                self.phase = Phase::AwaitAuth { child };
                if !matches!(error, Error::Notified(_)) {
                    self.tell_failure(shared);
                }
                return self.destroy();
            }
        };
        self.remote_id = Some(Arc::new(id));
        self.check_unique_response(shared, child, inbound);
    }

    /// The responder is who it should be, and no other IKE_SA keeps this one out.
    pub(crate) fn finish_auth_response(
        &mut self,
        shared: &mut Shared,
        child: Option<Box<OfferedChild>>,
        inbound: &Inbound,
    ) {
        if !self.may_be_established(shared) {
            self.phase = Phase::AwaitAuth { child };
            self.tell_failure(shared);
            return self.destroy();
        }
        self.replace_older(shared);
        let lifetime = find!(inbound.payloads, Payload::Notify(notify)
            if notify.kind == NotifyType::AUTH_LIFETIME => notify.data.as_slice());
        let lifetime = lifetime.and_then(|data| data.try_into().ok());
        let mut auth_lifetime = lifetime.map(u32::from_be_bytes);
        self.establish(shared, &mut auth_lifetime);
        if let Some(gateway) = self.redirected_in_auth(shared, &inbound.payloads) {
            return self.redirect_auth(shared, child, gateway);
        }
        self.accept_configuration(shared, inbound);
        self.learn_addresses(&inbound.payloads, inbound.remote.ip());
        let is_mobike = |payload: &Payload| matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::MOBIKE_SUPPORTED);
        let then = AfterAuth {
            auth_lifetime,
            mobike: inbound.payloads.iter().any(is_mobike),
        };
        match child {
            Some(offered) => self.accept_child(shared, offered, inbound, then),
            None => self.after_auth(shared, then),
        }
    }

    /// Whether the response proves who the responder is.
    fn verify_response(&mut self, shared: &mut Shared, inbound: &Inbound) -> Result<Identity, Error> {
        let auth = find!(inbound.payloads, Payload::Auth(auth) => auth);
        let fatal = |kind: NotifyType| kind.is_error() && (auth.is_none() || !concerns_child(kind));
        if let Some(notify) = find!(inbound.payloads, Payload::Notify(notify) if fatal(notify.kind) => notify)
        {
            log!(shared, self, Ike, 1, "received {} notify error", notify.kind);
            if auth.is_none() {
                self.alert(shared, Alert::LocalAuthFailed);
            }
            return Err(Error::Notified(notify.kind));
        }
        let (Some(auth), Some(id)) = (
            auth,
            find!(inbound.payloads, Payload::Id(IdKind::Responder, id) => id),
        ) else {
            log!(shared, self, Ike, 1, "IKE_AUTH response lacks IDr or AUTH");
            return Err(Error::Missing("AUTH"));
        };
        let peer = self.peer_identity(shared, id)?;
        let Some(config) = self.config.clone() else {
            return Err(Error::AuthenticationFailed);
        };
        if let Some(wanted) = config.remote_auth.first().and_then(|auth| auth.id.as_ref())
            && peer.matches(wanted) == Match::No
        {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer authenticates as '{peer}', but '{wanted}' is required by rightid"
            );
            return Err(Error::AuthenticationFailed);
        }
        self.settle_ppk(shared, &inbound.payloads)?;
        let proof = self.verify_peer(shared, id, &peer, auth)?;
        self.judge(shared, &config, &[proof])?;
        self.confirm_ppk(shared);
        Ok(Arc::unwrap_or_clone(peer))
    }

    /// Who the peer says it is.
    fn peer_identity(&self, shared: &mut Shared, id: &Id) -> Result<Arc<Identity>, Error> {
        let octets = id.data.len();
        if octets > MAX_IDENTITY {
            log!(
                shared,
                self,
                Ike,
                1,
                "the peer's identity has {octets} octets, more than {MAX_IDENTITY}"
            );
            return Err(Error::AuthenticationFailed);
        }
        Ok(Arc::new(Identity::new(id.kind, id.data.clone())))
    }

    /// Whether what the peer has proved is what its connection demands.
    fn judge(
        &mut self,
        shared: &mut Shared,
        config: &Arc<PeerConfig>,
        proofs: &[Proof],
    ) -> Result<(), Error> {
        let unmet = match auth::judge(config, proofs) {
            Ok(authenticated) => {
                if let Some(negotiation) = &mut self.negotiation {
                    negotiation.authenticated = Some(authenticated);
                    negotiation.peer_key = proofs.first().map(|proof| Arc::clone(&proof.key));
                }
                return Ok(());
            }
            Err(unmet) => unmet,
        };
        if let auth::Unmet::Constraint(text) = &unmet {
            log!(shared, self, Cfg, 1, "{text}");
        }
        log!(
            shared,
            self,
            Cfg,
            1,
            "selected peer config '{}' unacceptable: {unmet}",
            config.name
        );
        self.alert(shared, Alert::PeerAuthFailed);
        Err(Error::AuthenticationFailed)
    }

    /// Whether the peer's AUTH payload was made with one of the keys shared with it.
    fn verify_peer(
        &mut self,
        shared: &mut Shared,
        id: &Id,
        peer: &Arc<Identity>,
        auth: &Auth,
    ) -> Result<Proof, Error> {
        if auth.method != AuthMethod::SHARED_KEY {
            let method = auth.method;
            log!(
                shared,
                self,
                Ike,
                1,
                "authentication of '{peer}' with {method} is not supported"
            );
            self.alert(shared, Alert::PeerAuthFailed);
            return Err(Error::AuthenticationFailed);
        }
        let own = self.local_id.clone().unwrap_or_else(|| Arc::new(Identity::any()));
        let keys = shared.secrets.ike_secrets(&own, peer);
        if keys.is_empty() {
            log!(shared, self, Ike, 1, "no shared key found for '{own}' - '{peer}'");
            self.alert(shared, Alert::PeerAuthFailed);
            return Err(Error::AuthenticationFailed);
        }
        let received = Secret::copy_of(&auth.data);
        for key in &keys {
            if self.auth_value(shared, self.role.other(), id, key)? == received {
                self.log_unnamed(shared, &own, peer);
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "authentication of '{peer}' with {} successful",
                    auth.method
                );
                return Ok(Proof {
                    class: AuthClass::Psk,
                    identity: Arc::clone(peer),
                    key: Arc::clone(key),
                });
            }
        }
        let (count, plural) = (keys.len(), if keys.len() == 1 { "" } else { "s" });
        log!(
            shared,
            self,
            Ike,
            1,
            "tried {count} shared key{plural} for '{own}' - '{peer}', but MAC mismatched"
        );
        self.alert(shared, Alert::PeerAuthFailed);
        Err(Error::AuthenticationFailed)
    }

    /// Tells a responder whose AUTH is refused; it believes the IKE_SA established (RFC 7296, 2.21.2).
    pub(crate) fn tell_failure(&mut self, shared: &mut Shared) {
        let notify = Payload::status(NotifyType::AUTHENTICATION_FAILED, Vec::new());
        self.request(shared, ExchangeType::INFORMATIONAL, vec![notify]);
    }

    /// The last check before an IKE_SA is established, whatever led here: the peer has proved what this very connection
    /// demands, and the selected proposal is one of the connection's own.
    fn may_be_established(&self, shared: &mut Shared) -> bool {
        let authenticated = self
            .negotiation
            .as_ref()
            .and_then(|own| own.authenticated.as_ref());
        let problem = match (&self.config, authenticated, &self.proposal) {
            (Some(config), Some(authenticated), Some(proposal)) if authenticated.is_for(config) => {
                if config.ppk_required && !self.ppk {
                    return self.bug(shared, "no PPK went into its keys");
                }
                if self.suits(shared, config, proposal) {
                    // What follows is not a stranger's any more.
                    shared.out.end_limit();
                    return true;
                }
                format!("it does not select {}", proposal.to_log(&shared.registry))
            }
            (Some(_), _, Some(_)) => "its peer has not proved what it demands".to_owned(),
            _ => "nothing was negotiated".to_owned(),
        };
        self.bug(shared, &problem)
    }

    fn bug(&self, shared: &mut Shared, problem: &str) -> bool {
        let label = self.label();
        log!(
            shared,
            self,
            Ike,
            0,
            "BUG: IKE_SA {label} is not established, its connection demands more: {problem}"
        );
        false
    }

    /// Whether a selected proposal is one that a connection itself would have selected, in the profile that is used.
    pub(super) fn suits(&self, shared: &Shared, config: &PeerConfig, proposal: &Proposal) -> bool {
        self.profile_suits(shared, config) && proposals::is_of_connection(shared, config, self.role, proposal)
    }

    /// Both ends are authenticated; see [`may_be_established`](Self::may_be_established).
    fn establish(&mut self, shared: &mut Shared, auth_lifetime: &mut Option<u32>) {
        self.transition_to(IkeSaState::establish);
        log!(
            shared,
            self,
            Ike,
            0,
            "IKE_SA {} established between {}",
            self.label(),
            self.ends()
        );
        self.schedule(shared, auth_lifetime);
        if let (Some(local), Some(remote)) = (&self.local_id, &self.remote_id) {
            shared
                .established
                .insert(self.unique_id, (local.clone(), remote.clone()));
        }
        if let Some(negotiation) = self.negotiation.take() {
            self.nonces = Some(Box::new((negotiation.nonce_i, negotiation.nonce_r)));
        }
        self.end_handshake(shared, true);
        shared.out.event(Event::IkeUp(Box::new(self.info())));
    }

    /// The rest of what the response said, after the CHILD_SA.
    pub(crate) fn after_auth(&mut self, shared: &mut Shared, then: AfterAuth) {
        if let Some(seconds) = then.auth_lifetime {
            self.on_auth_lifetime(shared, seconds);
        }
        if then.mobike && self.config.as_ref().is_some_and(|config| config.mobike) {
            self.peer.mobike = true;
            log!(shared, self, Ike, 1, "peer supports MOBIKE");
        }
        self.instead_of = None;
        if let Some(child) = self.deferred_child() {
            self.tasks
                .push_front(Task::CreateChild(child, self.command.take()));
        }
        if let Some(command) = self.command.take() {
            let up =
                self.initiate.as_ref().is_none_or(|what| what.child.is_none()) || !self.children.is_empty();
            let result = if up {
                Ok(())
            } else {
                Err(crate::output::CommandError::Failed)
            };
            shared.out.command_done(command, result);
        }
        self.start_next_task(shared);
    }

    pub(crate) fn on_auth_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        self.phase = Phase::Idle;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.auth_message_id = self.window.expected();
        }
        match self.accept_auth_request(shared, &inbound) {
            Ok((answer, initial_contact)) => {
                self.check_unique_request(shared, answer, initial_contact, inbound);
            }
            Err(error) => {
                let kind = error.notify().unwrap_or(NotifyType::AUTHENTICATION_FAILED);
                self.respond_notify(shared, ExchangeType::IKE_AUTH, kind, Vec::new());
                self.destroy();
            }
        }
    }

    /// The initiator is who it should be, and no other IKE_SA keeps this one out.
    pub(crate) fn finish_auth_request(
        &mut self,
        shared: &mut Shared,
        mut answer: Vec<Payload>,
        initial_contact: bool,
        inbound: &Inbound,
    ) {
        if !self.may_be_established(shared) {
            let kind = NotifyType::AUTHENTICATION_FAILED;
            self.respond_notify(shared, ExchangeType::IKE_AUTH, kind, Vec::new());
            return self.destroy();
        }
        self.establish_responder(shared, initial_contact);
        if let Some(redirect) = self.redirect_newcomer(shared) {
            answer.push(redirect);
            return self.send_auth_response(shared, answer);
        }
        if self.answer_configuration(shared, inbound, initial_contact, &mut answer) {
            self.answer_child(shared, answer, inbound);
        } else {
            self.send_auth_response(shared, answer);
        }
    }

    /// Verifies the initiator and answers with the own identity and AUTH.
    fn accept_auth_request(
        &mut self,
        shared: &mut Shared,
        inbound: &Inbound,
    ) -> Result<(Vec<Payload>, bool), Error> {
        let Some(id) = find!(inbound.payloads, Payload::Id(IdKind::Initiator, id) => id) else {
            log!(shared, self, Ike, 1, "IKE_AUTH request lacks IDi");
            return Err(Error::Missing("IDi"));
        };
        let Some(auth) = find!(inbound.payloads, Payload::Auth(auth) => auth) else {
            log!(shared, self, Ike, 1, "peer requested EAP, which is not supported");
            return Err(Error::AuthenticationFailed);
        };
        let peer = self.peer_identity(shared, id)?;
        let wanted = find!(inbound.payloads, Payload::Id(IdKind::Responder, id)
            => Identity::new(id.kind, id.data.clone()));
        let mut failure = Error::AuthenticationFailed;
        // What a peer has proved to one identity of this end need not be computed for each connection that has it. A
        // connection may refuse the peer's PPK, but all that do not mix the same one in, or all none.
        let mut verified: Vec<(Arc<Identity>, Result<Proof, Error>)> = Vec::new();
        let mut verb = "selected";
        for config in self.candidates(shared, &peer, wanted.as_ref()) {
            let own = shared.common.identity(self.own_id(&config, wanted.as_ref()));
            let known = verified.iter().find(|(known, _)| *known == own);
            let known = known.map(|(_, outcome)| outcome.clone());
            if matches!(known, Some(Err(_))) {
                continue;
            }
            self.use_config(shared, Arc::clone(&config));
            self.local_id = Some(Arc::clone(&own));
            self.remote_id = Some(Arc::clone(&peer));
            log!(shared, self, Cfg, 1, "{verb} peer config '{}'", config.name);
            verb = "switching to";
            let plain = match self.accept_ppk(shared, &config, &inbound.payloads) {
                Ok(plain) => plain,
                Err(error) => {
                    self.alert(shared, Alert::PeerAuthFailed);
                    failure = error;
                    continue;
                }
            };
            let proof = match known {
                Some(outcome) => outcome,
                None => {
                    let outcome = self.verify_peer(shared, id, &peer, plain.as_ref().unwrap_or(auth));
                    verified.push((own, outcome.clone()));
                    outcome
                }
            };
            match proof.and_then(|proof| self.judge(shared, &config, &[proof])) {
                Ok(()) => return self.answer_auth(shared, &config, &peer, inbound),
                Err(error) => failure = error,
            }
        }
        if verb != "selected" {
            log!(shared, self, Cfg, 1, "no alternative config found");
        }
        Err(failure)
    }

    /// The identity to answer with: the configured one, the one asked for if none is, or the address.
    pub(super) fn own_id(&self, config: &PeerConfig, wanted: Option<&Identity>) -> Identity {
        let configured = config
            .local_auth
            .first()
            .and_then(|auth| auth.id.clone())
            .filter(|id| !id.is_any());
        configured
            .or_else(|| wanted.filter(|id| !id.is_any()).cloned())
            .unwrap_or_else(|| Identity::address(self.local.ip()))
    }

    fn answer_auth(
        &mut self,
        shared: &mut Shared,
        config: &PeerConfig,
        peer: &Identity,
        inbound: &Inbound,
    ) -> Result<(Vec<Payload>, bool), Error> {
        self.check_childless(shared, config, &inbound.payloads)?;
        let own = self
            .local_id
            .clone()
            .unwrap_or_else(|| Arc::new(Identity::address(self.local.ip())));
        let id = id_payload(&own);
        let auth = self.own_auth(shared, config, &own, peer, &id)?;
        let initial_contact = inbound.payloads.iter().any(|payload| {
            matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::INITIAL_CONTACT)
        });
        self.peer.mobike = config.mobike
            && self.natt.supported
            && inbound.payloads.iter().any(|payload| {
                matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::MOBIKE_SUPPORTED)
            });
        self.learn_addresses(&inbound.payloads, inbound.remote.ip());
        let mut answer = vec![Payload::Id(IdKind::Responder, id), auth];
        if self.confirm_ppk(shared) {
            answer.push(Payload::status(NotifyType::PPK_IDENTITY, Vec::new()));
        }
        Ok((answer, initial_contact))
    }

    /// The responder's side of the establishment: older IKE_SAs of the same peer may have to go.
    fn establish_responder(&mut self, shared: &mut Shared, initial_contact: bool) {
        let (Some(config), Some(local), Some(remote)) =
            (self.config.clone(), self.local_id.clone(), self.remote_id.clone())
        else {
            return;
        };
        let except = self.unique_id;
        match config.unique {
            UniquePolicy::Never => {}
            _ if initial_contact => shared.wishes.push(Wish::InitialContact {
                local,
                remote,
                except,
            }),
            UniquePolicy::Replace => shared.wishes.push(Wish::Replace {
                config,
                local,
                remote,
                except,
                instead_of: None,
            }),
            UniquePolicy::No | UniquePolicy::Keep => {}
        }
        self.establish(shared, &mut None);
    }

    /// The responder's answer, once its CHILD_SA is installed or refused.
    pub(crate) fn send_auth_response(&mut self, shared: &mut Shared, mut answer: Vec<Payload>) {
        if let Some(seconds) = self.auth_lifetime(shared.now) {
            answer.push(Payload::status(
                NotifyType::AUTH_LIFETIME,
                seconds.to_be_bytes().to_vec(),
            ));
        }
        if self.peer.mobike
            && let Some(config) = self.config.clone()
        {
            self.push_mobike(shared, &config, &mut answer);
        }
        self.respond(shared, ExchangeType::IKE_AUTH, answer);
        if self.peer.mobike {
            log!(shared, self, Ike, 1, "peer supports MOBIKE");
        }
        self.start_next_task(shared);
    }

    /// The initiator asks the kernel for an SPI, unless the IKE_SA is to be childless.
    pub(crate) fn reserve_spi(&mut self, shared: &mut Shared) {
        match self.offers_child(shared) {
            Ok(true) => {}
            Ok(false) => return self.send_auth(shared, None),
            Err(_) => return self.destroy(),
        }
        self.phase = Phase::ReserveSpi;
        let child = self.initiate.as_ref().and_then(|what| what.child.as_deref());
        let wanted = child.map_or(Wanted::ESP, Wanted::of);
        self.reserve(shared, wanted, KernelWork::ReserveSpi);
    }
}

/// Whether an error in an IKE_AUTH response leaves the IKE_SA as it is; after any other the responder has none
/// (RFC 7296, 2.21.2 and 3.10.1).
fn concerns_child(kind: NotifyType) -> bool {
    matches!(
        kind,
        NotifyType::NO_PROPOSAL_CHOSEN
            | NotifyType::SINGLE_PAIR_REQUIRED
            | NotifyType::NO_ADDITIONAL_SAS
            | NotifyType::INTERNAL_ADDRESS_FAILURE
            | NotifyType::FAILED_CP_REQUIRED
            | NotifyType::TS_UNACCEPTABLE
            | NotifyType::INVALID_SELECTORS
    )
}

pub(crate) fn id_payload(identity: &Identity) -> Id {
    Id {
        kind: identity.kind,
        reserved: [0; 3],
        data: identity.data.clone(),
    }
}
