//! The states of an IKE_SA.

use crate::transitions::states;

states! {
    /// Where an IKE_SA stands.
    pub enum IkeSaState {
        /// It exists, nothing was sent.
        Created "CREATED",
        /// It is being negotiated.
        Connecting "CONNECTING",
        /// Both ends are authenticated.
        Established "ESTABLISHED",
        /// It is in use, and its successor is being negotiated.
        Rekeying "REKEYING",
        /// Its successor has taken over; it is there to be deleted.
        Rekeyed "REKEYED",
        /// We asked the peer to delete it.
        Deleting "DELETING",
        /// It is gone as soon as the input is handled.
        Destroying "DESTROYING",
    }
    events {
        /// The first message goes out or came in.
        connect: Created | Connecting => Connecting;
        /// The peer proved who it is.
        establish: Connecting => Established;
        /// It takes over from one that was rekeyed.
        succeed_another: Created => Established;
        /// This end wants a successor.
        rekey: Established => Rekeying;
        /// The attempt failed.
        keep: Established | Rekeying => Established;
        /// The successor takes over.
        succeed: Established | Rekeying => Rekeyed;
        /// This end wants it gone, and tells the peer.
        delete: Established | Rekeying | Rekeyed | Deleting => Deleting;
        /// It failed, was deleted, or its time is over.
        destroy: Created | Connecting | Established | Rekeying | Rekeyed | Deleting | Destroying => Destroying;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connecting_ike_sa_becomes_established() {
        for state in IkeSaState::ALL {
            assert_eq!(
                state.establish().is_ok(),
                *state == IkeSaState::Connecting,
                "{state}"
            );
        }
    }

    #[test]
    fn the_graph_is_the_one_of_the_documentation() {
        let architecture = include_str!("../../../../ARCHITECTURE.md");
        for line in IkeSaState::dot().lines() {
            assert!(architecture.contains(line), "ARCHITECTURE.md lacks: {line}");
        }
    }
}
