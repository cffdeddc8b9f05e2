//! What may want an operator: told to listeners, if there are any.

use crate::event::Event;
use crate::sa::IkeSa;
use crate::shared::Shared;

macro_rules! alerts {
    ($($(#[$doc:meta])* $name:ident $key:literal,)*) => {
        /// Something that may want an operator.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Alert { $($(#[$doc])* $name,)* }

        impl Alert {
            /// Its name in vici's event.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }
        }
    };
}

alerts! {
    /// The peer refuses this end's authentication, or this end has nothing to authenticate with.
    LocalAuthFailed "local-auth-failed",
    /// This end refuses the peer's authentication.
    PeerAuthFailed "peer-auth-failed",
    /// A peer does not answer the first message.
    PeerInitUnreachable "peer-init-unreachable",
    /// A message has SPIs that nobody has.
    InvalidIkeSpi "invalid-ike-spi",
    /// The header of a message cannot be read.
    ParseErrorHeader "parse-error-header",
    /// What follows the header cannot be read, or is not authentic.
    ParseErrorBody "parse-error-body",
    /// A request is sent again.
    RetransmitSend "retransmit-send",
    /// A request has been sent often enough.
    RetransmitSendTimeout "retransmit-send-timeout",
    /// A peer has not finished what it began.
    HalfOpenTimeout "half-open-timeout",
    /// No proposal for an IKE_SA is acceptable.
    ProposalMismatchIke "proposal-mismatch-ike",
    /// No proposal for a CHILD_SA is acceptable.
    ProposalMismatchChild "proposal-mismatch-child",
    /// The traffic selectors of a CHILD_SA are not acceptable.
    TsMismatch "ts-mismatch",
    /// A peer could not be given a virtual address.
    VipFailure "vip-failure",
    /// The kernel refuses a CHILD_SA.
    InstallChildSaFailed "install-child-sa-failed",
    /// An IKE_SA replaces another of the same peer.
    UniqueReplace "unique-replace",
    /// An IKE_SA stays, although its CHILD_SA failed.
    KeepOnChildSaFailure "keep-on-child-sa-failure",
    /// An IKE_SA was not renewed in time.
    IkeSaExpired "ike-sa-expired",
}

impl Shared {
    /// Tells of something that belongs to no IKE_SA.
    pub(crate) fn alert(&mut self, alert: Alert) {
        if self.watched {
            self.out.event(Event::Alert(alert, None));
        }
    }
}

impl IkeSa {
    /// Tells of something that happened to it.
    pub(crate) fn alert(&self, shared: &mut Shared, alert: Alert) {
        if shared.watched {
            let info = Some(Box::new(self.info()));
            shared.out.event(Event::Alert(alert, info));
        }
    }
}
