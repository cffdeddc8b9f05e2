//! What of an IKE_SA is counted.

use std::sync::Arc;

use iana::ExchangeType;

use crate::sa::{IkeSa, UNNAMED};
use crate::shared::Shared;
use crate::tally::{Counter, Direction};

impl IkeSa {
    /// Counts something for its connection.
    pub(crate) fn count(&self, shared: &mut Shared, counter: Counter) {
        shared.count(configured(&self.name), counter);
    }

    /// Counts a whole message; repetitions are none.
    pub(crate) fn count_message(
        &mut self,
        shared: &mut Shared,
        exchange: ExchangeType,
        response: bool,
        direction: Direction,
    ) {
        if let Some(tally) = &mut shared.tally {
            let what = (exchange, response, direction);
            tally.message(
                configured(&self.name),
                what,
                self.handshake.as_deref_mut(),
                shared.now,
            );
        }
    }

    /// The attempt to establish it is over, if it is not already.
    pub(crate) fn end_handshake(&mut self, shared: &mut Shared, established: bool) {
        if let (Some(handshake), Some(tally)) = (self.handshake.take(), &mut shared.tally) {
            let proposal = self.proposal.as_deref();
            tally
                .establishing
                .end(&handshake, proposal, shared.now, established);
        }
    }
}

/// Only names of the configuration are counted by: how many there are is not up to peers.
fn configured(name: &Arc<str>) -> Option<&Arc<str>> {
    (name.as_ref() != UNNAMED).then_some(name)
}
