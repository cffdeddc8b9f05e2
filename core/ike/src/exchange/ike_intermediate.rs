//! IKE_INTERMEDIATE (RFC 9242), one additional key exchange a round (RFC 9370).

use std::fmt::Display;

use crypto::int_auth::Role;
use crypto::keymat;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType};
use plugin_api::{PendingKeyExchange, Secret};
use wire::payload::{Ke, Payload};

use crate::error::Error;
use crate::exchange::{Phase, error_notify, find};
use crate::output::Job;
use crate::sa::{IkeSa, Inbound, Outbound};
use crate::shared::{Shared, log};

impl IkeSa {
    /// The initiator's next step when a generation of keys is there: another key exchange, or IKE_AUTH.
    pub(crate) fn next_step(&mut self, shared: &mut Shared) {
        let next = self.negotiation.as_mut().and_then(|negotiation| {
            let next = negotiation.plan.pop_front();
            negotiation.last_additional = next.or(negotiation.last_additional);
            next
        });
        let Some((number, method)) = next else {
            return self.reserve_spi(shared);
        };
        let Some(exchange) = self.key_exchange(shared, method) else {
            log!(
                shared,
                self,
                Ike,
                1,
                "negotiated key exchange method {method} not supported"
            );
            return self.destroy();
        };
        self.phase = Phase::MakeAdditional { number, method };
        shared.start_job(self.unique_id, Job::Initiate(method, exchange));
    }

    /// Sends the request, now that the own public value is ready.
    pub(crate) fn on_additional_made(
        &mut self,
        shared: &mut Shared,
        number: u8,
        method: KeyExchangeMethod,
        public: Vec<u8>,
        pending: Box<dyn PendingKeyExchange>,
    ) -> Result<(), Error> {
        let payloads = vec![Payload::Ke(Ke { method, data: public })];
        if let Some(request) = self.request(shared, ExchangeType::IKE_INTERMEDIATE, payloads) {
            self.cover_outbound(Role::Initiator, &request)?;
            self.phase = Phase::AwaitIntermediate {
                number,
                method,
                pending,
            };
        }
        Ok(())
    }

    pub(crate) fn on_intermediate_response(&mut self, shared: &mut Shared, inbound: Inbound) {
        let Phase::AwaitIntermediate {
            number,
            method,
            pending,
        } = std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            return;
        };
        if let Err(error) = self.accept_intermediate_response(shared, method, pending, inbound) {
            self.log_additional_failed(shared, number, method, error);
            self.destroy();
        }
    }

    /// Says which of the additional key exchanges failed.
    pub(crate) fn log_additional_failed(
        &self,
        shared: &mut Shared,
        number: u8,
        method: KeyExchangeMethod,
        error: impl Display,
    ) {
        let name = shared.registry.method_name(method);
        log!(
            shared,
            self,
            Ike,
            1,
            "additional key exchange {number} ({name}) failed: {error}"
        );
        self.log_generation(shared, method);
    }

    fn accept_intermediate_response(
        &mut self,
        shared: &mut Shared,
        method: KeyExchangeMethod,
        pending: Box<dyn PendingKeyExchange>,
        inbound: Inbound,
    ) -> Result<(), Error> {
        if let Some(notify) = error_notify(&inbound.payloads) {
            return Err(Error::Notified(notify.kind));
        }
        let data = key_exchange_data(&inbound, method)?;
        self.cover_inbound(Role::Responder, &inbound)?;
        self.phase = Phase::FinishAdditional;
        shared.start_job(self.unique_id, Job::Finish(method, pending, data));
        Ok(())
    }

    /// The secret of an additional key exchange is there: the next generation of keys, and the next step.
    pub(crate) fn on_additional_finished(
        &mut self,
        shared: &mut Shared,
        secret: &Secret,
    ) -> Result<(), Error> {
        self.derive_next(shared, secret)?;
        self.next_step(shared);
        Ok(())
    }

    pub(crate) fn on_intermediate_request(&mut self, shared: &mut Shared, inbound: Inbound) {
        if let Err(error) = self.accept_intermediate_request(shared, &inbound) {
            self.fail_intermediate(shared, &error);
        }
    }

    fn accept_intermediate_request(&mut self, shared: &mut Shared, inbound: &Inbound) -> Result<(), Error> {
        let next = self
            .negotiation
            .as_ref()
            .and_then(|negotiation| negotiation.plan.front().copied());
        let Some((_, method)) = next else {
            return Err(Error::Missing("KE"));
        };
        let data = key_exchange_data(inbound, method)?;
        let exchange = self
            .key_exchange(shared, method)
            .ok_or(Error::Unsupported(method))?;
        self.cover_inbound(Role::Initiator, inbound)?;
        self.phase = Phase::AnswerAdditional { method };
        shared.start_job(self.unique_id, Job::Respond(method, exchange, data));
        Ok(())
    }

    /// The ciphertext is there: the response goes out under the old keys, then the next generation takes over.
    pub(crate) fn on_additional_answered(
        &mut self,
        shared: &mut Shared,
        method: KeyExchangeMethod,
        public: Vec<u8>,
        secret: &Secret,
    ) -> Result<(), Error> {
        let payloads = vec![Payload::Ke(Ke { method, data: public })];
        let id = self.window.expected();
        let Some(response) = self.seal(shared, ExchangeType::IKE_INTERMEDIATE, true, id, payloads) else {
            return Ok(());
        };
        self.cover_outbound(Role::Responder, &response)?;
        self.send_response(shared, response);
        self.derive_next(shared, secret)?;
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.last_additional = negotiation.plan.pop_front();
        }
        self.phase = Phase::AwaitRequest;
        Ok(())
    }

    /// Tells the peer that its key exchange cannot be used, and forgets the IKE_SA.
    pub(crate) fn fail_intermediate(&mut self, shared: &mut Shared, error: &Error) {
        let which = self
            .negotiation
            .as_ref()
            .and_then(|negotiation| negotiation.plan.front().copied());
        if let Some((number, method)) = which {
            self.log_additional_failed(shared, number, method, error);
        }
        let kind = error.notify().unwrap_or(NotifyType::NO_PROPOSAL_CHOSEN);
        self.respond_notify(shared, ExchangeType::IKE_INTERMEDIATE, kind, Vec::new());
        self.destroy();
    }

    /// The peer goes on to IKE_AUTH although a key exchange is due that both ends agreed on: without its secret there must be
    /// no IKE_SA.
    pub(crate) fn refuse_early_auth(&mut self, shared: &mut Shared) {
        let next = self.negotiation.as_ref();
        let Some((number, method)) = next.and_then(|negotiation| negotiation.plan.front().copied()) else {
            return;
        };
        let error = Error::Skipped(number, shared.registry.method_name(method));
        log!(shared, self, Ike, 1, "IKE_AUTH request refused: {error}");
        let kind = error.notify().unwrap_or(NotifyType::INVALID_SYNTAX);
        self.respond_notify(shared, ExchangeType::IKE_AUTH, kind, Vec::new());
        self.destroy();
    }

    fn derive_next(&mut self, shared: &mut Shared, secret: &Secret) -> Result<(), Error> {
        let (Some(suite), Some(sk), Some(negotiation)) = (self.suite.clone(), self.sk(), &self.negotiation)
        else {
            return Err(Error::NoProposalChosen);
        };
        let (ni, nr) = (&negotiation.nonce_i, &negotiation.nonce_r);
        let next = keymat::derive_next(&suite, &sk.sk_d, secret, ni, nr, self.spi_i, self.spi_r)?;
        self.use_keys(shared, &suite, next)
    }

    fn cover_inbound(&mut self, sender: Role, message: &Inbound) -> Result<(), Error> {
        self.cover(
            sender,
            &wire::int_auth_octets(&message.header, message.first, &message.plaintext),
        )
    }

    fn cover_outbound(&mut self, sender: Role, message: &Outbound) -> Result<(), Error> {
        self.cover(
            sender,
            &wire::int_auth_octets(&message.header, message.first, &message.plaintext),
        )
    }

    /// IntAuth covers a message under the keys that protect it.
    fn cover(&mut self, sender: Role, octets: &[u8]) -> Result<(), Error> {
        let (Some(suite), Some(keys), Some(negotiation)) = (&self.suite, &self.keys, &mut self.negotiation)
        else {
            return Ok(());
        };
        let sk_p = match sender {
            Role::Initiator => &keys.sk.sk_pi,
            Role::Responder => &keys.sk.sk_pr,
        };
        if let Some(int_auth) = &mut negotiation.int_auth {
            int_auth.add(sender, suite.prf(), sk_p, octets)?;
        }
        Ok(())
    }
}

/// The data of the KE payload, which must be of the negotiated method.
fn key_exchange_data(inbound: &Inbound, expected: KeyExchangeMethod) -> Result<Vec<u8>, Error> {
    let ke = find!(inbound.payloads, Payload::Ke(ke) => ke).ok_or(Error::Missing("KE"))?;
    if ke.method != expected {
        return Err(Error::WrongKeyExchange {
            got: ke.method,
            expected,
        });
    }
    Ok(ke.data.clone())
}
