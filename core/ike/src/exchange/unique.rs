//! Whether an IKE_SA may stand beside others between the same identities, once both ends have authenticated.

use std::sync::Arc;

use config::connection::UniquePolicy;
use iana::{ExchangeType, NotifyType};
use wire::payload::Payload;

use super::{OfferedChild, Phase};
use crate::alert::Alert;
use crate::sa::{IkeSa, Inbound};
use crate::shared::{Shared, Wish, log};

/// What goes on when the others have been asked.
pub(crate) enum Unchecked {
    /// The responder's answer.
    Request {
        answer: Vec<Payload>,
        inbound: Box<Inbound>,
    },
    /// What the initiator makes of the response.
    Response {
        child: Option<Box<OfferedChild>>,
        inbound: Box<Inbound>,
    },
}

impl IkeSa {
    /// Whether the policy is to keep the IKE_SA that there is between the same identities.
    fn may_be_kept_out(&self, shared: &Shared) -> bool {
        let keeps = self
            .config
            .as_ref()
            .is_some_and(|config| config.unique == UniquePolicy::Keep);
        let (Some(local), Some(remote)) = (self.local_id.clone(), self.remote_id.clone()) else {
            return false;
        };
        let ends = (local, remote);
        let mut same = shared.established.between(&ends);
        keeps && same.any(|key| key != self.unique_id)
    }

    fn ask_others(&mut self, shared: &mut Shared, unchecked: Unchecked) {
        let (Some(config), Some(local), Some(remote)) =
            (self.config.clone(), self.local_id.clone(), self.remote_id.clone())
        else {
            return self.destroy();
        };
        self.phase = Phase::CheckUnique(unchecked);
        shared.wishes.push(Wish::Admit {
            config,
            local,
            remote,
            newcomer: self.unique_id,
        });
    }

    /// The initiator has authenticated. Its INITIAL_CONTACT says that what there is is of no use to it.
    pub(crate) fn check_unique_request(
        &mut self,
        shared: &mut Shared,
        answer: Vec<Payload>,
        initial_contact: bool,
        inbound: Inbound,
    ) {
        if !initial_contact && self.may_be_kept_out(shared) {
            let inbound = Box::new(inbound);
            return self.ask_others(shared, Unchecked::Request { answer, inbound });
        }
        self.finish_auth_request(shared, answer, initial_contact, &inbound);
    }

    /// The responder has authenticated.
    pub(crate) fn check_unique_response(
        &mut self,
        shared: &mut Shared,
        child: Option<Box<OfferedChild>>,
        inbound: Inbound,
    ) {
        if self.may_be_kept_out(shared) {
            let inbound = Box::new(inbound);
            return self.ask_others(shared, Unchecked::Response { child, inbound });
        }
        self.finish_auth_response(shared, child, &inbound);
    }

    /// The others have been asked: there is one that stays alone, or there is none.
    pub(crate) fn on_admission(&mut self, shared: &mut Shared, admitted: bool) {
        let unchecked = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::CheckUnique(unchecked) => unchecked,
            other => {
                self.phase = other;
                return;
            }
        };
        if !admitted {
            log!(
                shared,
                self,
                Ike,
                1,
                "cancelling IKE_SA setup due to uniqueness policy"
            );
            self.alert(shared, Alert::UniqueKeep);
        }
        match (unchecked, admitted) {
            (Unchecked::Request { answer, inbound }, true) => {
                self.finish_auth_request(shared, answer, false, &inbound);
            }
            (Unchecked::Request { .. }, false) => {
                let kind = NotifyType::AUTHENTICATION_FAILED;
                self.respond_notify(shared, ExchangeType::IKE_AUTH, kind, Vec::new());
                self.destroy();
            }
            (Unchecked::Response { child, inbound }, true) => {
                self.finish_auth_response(shared, child, &inbound);
            }
            (Unchecked::Response { child, .. }, false) => {
                self.phase = Phase::AwaitAuth { child };
                self.tell_failure(shared);
                self.destroy();
            }
        }
    }

    /// An initiator replaces older ones with the same peer elsewhere. What there is with it at the same address is for
    /// the responder to judge: of two ends that initiate at once, both would delete the other's.
    pub(crate) fn replace_older(&self, shared: &mut Shared) {
        let (Some(config), Some(local), Some(remote)) = (&self.config, &self.local_id, &self.remote_id)
        else {
            return;
        };
        if config.unique == UniquePolicy::Replace {
            shared.wishes.push(Wish::Replace {
                config: Arc::clone(config),
                local: Arc::clone(local),
                remote: Arc::clone(remote),
                except: self.unique_id,
                instead_of: self.instead_of,
            });
        }
    }
}
