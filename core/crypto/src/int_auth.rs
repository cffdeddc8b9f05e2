//! IntAuth: the part of the AUTH octets that covers IKE_INTERMEDIATE (RFC 9242, 3.3, and the early draft of it).

use iana::Profile;
use plugin_api::{PluginError, Prf, Secret};

use crate::keymat;

/// Which end of an exchange or of an IKE_SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sends the request, or sent the first one.
    Initiator,
    /// Answers it.
    Responder,
}

impl Role {
    /// The role of the other end.
    pub const fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// Collects what AUTH says about the IKE_INTERMEDIATE exchanges.
#[derive(Clone, Debug)]
pub struct IntAuth {
    construction: Construction,
}

#[derive(Clone, Debug)]
enum Construction {
    /// strongSwan 6.0dr1 to 6.0dr13: a value for each message, in the order of the messages.
    Flat(Vec<u8>),
    /// RFC 9242: each value covers that of the same sender's message before it.
    Chained { initiator: Vec<u8>, responder: Vec<u8> },
}

impl IntAuth {
    /// Nothing collected yet.
    pub fn new(profile: Profile) -> Self {
        let construction = match profile {
            Profile::Draft | Profile::DraftRound2 => Construction::Flat(Vec::new()),
            Profile::Rfc => Construction::Chained {
                initiator: Vec::new(),
                responder: Vec::new(),
            },
        };
        Self { construction }
    }

    /// Adds a message: `octets` is its A | P, `sk_p` the sender's SK_p that was in force when it was sent.
    ///
    /// # Errors
    ///
    /// If the PRF fails; nothing is added then.
    pub fn add(
        &mut self,
        sender: Role,
        prf: &dyn Prf,
        sk_p: &Secret,
        octets: &[u8],
    ) -> Result<(), PluginError> {
        match (&mut self.construction, sender) {
            (Construction::Flat(values), _) => {
                values.extend_from_slice(keymat::prf(prf, sk_p.expose(), &[octets])?.expose());
            }
            (Construction::Chained { initiator: last, .. }, Role::Initiator)
            | (Construction::Chained { responder: last, .. }, Role::Responder) => {
                *last = keymat::prf(prf, sk_p.expose(), &[last, octets])?
                    .expose()
                    .to_vec();
            }
        }
        Ok(())
    }

    /// What to append to the AUTH octets, in every IKE_AUTH exchange the same; none if no IKE_INTERMEDIATE took place.
    pub fn finish(&self, first_auth_message_id: u32) -> Option<Vec<u8>> {
        let octets = match &self.construction {
            Construction::Flat(values) => values.clone(),
            Construction::Chained { initiator, .. } if initiator.is_empty() => Vec::new(),
            Construction::Chained { initiator, responder } => [
                initiator.as_slice(),
                responder,
                &first_auth_message_id.to_be_bytes(),
            ]
            .concat(),
        };
        (!octets.is_empty()).then_some(octets)
    }
}
