//! The additional key exchanges of a selected proposal, one after the other.

use iana::KeyExchangeMethod;
use plugin_api::Secret;

use crate::proposal::Proposal;

/// Which additional key exchange is next, and the secrets of those that are over.
///
/// They run by ascending transform type, whatever their order in the proposal (RFC 9370, 2.2.2).
#[derive(Debug, Default)]
pub struct KeyExchangePlan {
    steps: Vec<(u8, KeyExchangeMethod)>,
    done: usize,
    secrets: Vec<Secret>,
}

impl KeyExchangePlan {
    /// The additional key exchanges of a selected proposal; there may be none.
    pub fn new(selected: &Proposal) -> Self {
        Self {
            steps: selected.additional_key_exchanges(),
            done: 0,
            secrets: Vec::new(),
        }
    }

    /// Keeps SK(0), the secret of the key exchange of type 4, where keys are derived only at the end.
    pub fn begin(&mut self, secret: Secret) {
        self.secrets.insert(0, secret);
    }

    /// The next one, with its number from 1 to 7.
    pub fn next(&self) -> Option<(u8, KeyExchangeMethod)> {
        self.steps.get(self.done).copied()
    }

    /// How many are still to run.
    pub fn remaining(&self) -> usize {
        self.steps.len() - self.done
    }

    /// Whether there is none left.
    pub fn is_complete(&self) -> bool {
        self.remaining() == 0
    }

    /// The next one is over and its secret needed no longer: IKE_INTERMEDIATE derives keys at once.
    pub fn advance(&mut self) {
        self.done = self.steps.len().min(self.done + 1);
    }

    /// The next one is over; its secret is kept until all are.
    pub fn complete(&mut self, secret: Secret) {
        self.secrets.push(secret);
        self.advance();
    }

    /// SK(0) and the secrets of the additional key exchanges so far, in order.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }
}
