//! Childless IKE_SAs (RFC 6023): IKE_AUTH makes none, and the first CHILD_SA, if any, comes by CREATE_CHILD_SA.

use std::sync::Arc;

use config::connection::{ChildConfig, Childless, PeerConfig};
use iana::NotifyType;
use wire::payload::{Payload, TsKind};

use crate::error::Error;
use crate::sa::IkeSa;
use crate::shared::{Shared, log};

impl IkeSa {
    fn childless(&self) -> Childless {
        self.config
            .as_ref()
            .map(|config| config.childless)
            .unwrap_or_default()
    }

    fn wanted_child(&self) -> Option<&Arc<ChildConfig>> {
        self.initiate.as_ref()?.child.as_ref()
    }

    /// The responder says that it accepts them.
    pub(crate) fn push_childless(&self, payloads: &mut Vec<Payload>) {
        if self.childless() != Childless::Never {
            payloads.push(Payload::status(NotifyType::CHILDLESS_IKEV2_SUPPORTED, Vec::new()));
        }
    }

    /// Whether the initiator leaves the CHILD_SA that is wanted for later.
    fn defers_child(&self) -> bool {
        self.peer.childless && matches!(self.childless(), Childless::Prefer | Childless::Force)
    }

    /// The CHILD_SA that was left for later.
    pub(crate) fn deferred_child(&self) -> Option<Arc<ChildConfig>> {
        self.wanted_child()
            .filter(|_| self.defers_child() && self.children.is_empty())
            .cloned()
    }

    /// Whether the initiator offers a CHILD_SA in IKE_AUTH.
    ///
    /// # Errors
    ///
    /// If it would have to offer none, and the peer does not accept that.
    pub(crate) fn offers_child(&self, shared: &mut Shared) -> Result<bool, Error> {
        let wanted = self.wanted_child().is_some();
        if !self.peer.childless && (!wanted || self.childless() == Childless::Force) {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer does not support childless IKE_SA initiation"
            );
            return Err(Error::Childless);
        }
        Ok(wanted && !self.defers_child())
    }

    /// Whether the responder takes an IKE_AUTH request that asks for a CHILD_SA, or does not.
    pub(crate) fn check_childless(
        &self,
        shared: &mut Shared,
        config: &PeerConfig,
        payloads: &[Payload],
    ) -> Result<(), Error> {
        let of_child = |payload: &Payload| {
            matches!(
                payload,
                Payload::Sa(_) | Payload::Ts(TsKind::Initiator | TsKind::Responder, _)
            )
        };
        let problem = match (config.childless, payloads.iter().any(of_child)) {
            (Childless::Never, false) => "peer tried to initiate a childless IKE_SA",
            (Childless::Force, true) => "peer did not initiate a childless IKE_SA",
            _ => return Ok(()),
        };
        let name = &config.name;
        log!(shared, self, Ike, 1, "{problem}, see childless of '{name}'");
        Err(Error::Childless)
    }
}
