//! Both ends replace the same SA at once (RFC 7296, 2.8.1; RFC 9370, 2.2.4): whose exchange stays is decided when the
//! first response shows all four nonces.

use super::{Creation, Step, Subject};
use crate::child::ChildState;
use crate::sa::IkeSa;
use crate::shared::{Shared, Wish, log};
use crate::task::Task;

impl IkeSa {
    /// What becomes of our exchange now that the peer has answered; nothing is left of it if the peer's stays.
    pub(super) fn settle_collision(
        &mut self,
        shared: &mut Shared,
        mut creation: Box<Creation>,
    ) -> Option<Box<Creation>> {
        if !self.lost_collision(&creation) {
            self.abandon_rival(shared, &creation);
            return Some(creation);
        }
        let what = creation.what();
        log!(
            shared,
            self,
            Ike,
            1,
            "peer is rekeying the same {what}, its exchange takes precedence"
        );
        match &mut creation.subject {
            Subject::Child(_) => {
                self.yield_child(shared, *creation);
                None
            }
            Subject::Ike(draft) if creation.plan.is_empty() => {
                // The peer has made it already, and leaves it to us to delete it.
                draft.redundant = true;
                self.adopt_rival(shared);
                Some(creation)
            }
            Subject::Ike(_) => {
                self.yield_ike(shared, *creation);
                None
            }
        }
    }

    /// Whether the peer replaces the same SA, and its exchange is the one that stays.
    fn lost_collision(&self, creation: &Creation) -> bool {
        let under_way = || {
            let answering = self.answering.as_ref()?;
            creation.is_rival_of(answering).then(|| answering.lowest_nonce())
        };
        let rival = creation.rival.as_deref().or_else(under_way);
        rival.is_some_and(|rival| creation.lowest_nonce() < rival)
    }

    /// Ours is the one that stays: the peer will not go on with its own, or deletes what it has made.
    fn abandon_rival(&mut self, shared: &mut Shared, creation: &Creation) {
        let same = |answering: &mut Box<Creation>| {
            creation.is_rival_of(answering) && matches!(answering.step, Step::AwaitRequest)
        };
        if let Some(mut rival) = self.answering.take_if(same) {
            self.discard(shared, &mut rival);
        }
        if creation.is_ike()
            && let Some(heir) = self.rival.take()
        {
            shared.wishes.push(Wish::Redundant(heir));
        }
    }

    /// The peer's CHILD_SA stays: what ours made is redundant, and ours to delete.
    fn yield_child(&mut self, shared: &mut Shared, mut creation: Creation) {
        if let Some(command) = creation.command.take() {
            shared.out.command_done(command, Ok(()));
        }
        let spi = creation.child_mut().map(|child| child.spi_in);
        let selected = creation.selected.as_ref().map(|proposal| proposal.protocol);
        let made = selected.filter(|_| creation.plan.is_empty());
        self.active = None;
        self.discard(shared, &mut creation);
        let old = creation.rekeys().and_then(|id| self.child_mut(id));
        if let Some(old) = old.filter(|old| old.successor.is_some() && old.state.succeed().is_ok()) {
            old.transition_to(ChildState::succeed);
        }
        if let (Some(protocol), Some(spi)) = (made, spi) {
            self.tasks.push_front(Task::WithdrawChild(protocol, spi));
        }
        self.start_next_task(shared);
    }

    /// The peer's IKE_SA stays, or will: ours was not finished, so nobody has to delete it.
    fn yield_ike(&mut self, shared: &mut Shared, mut creation: Creation) {
        if let Some(command) = creation.command.take() {
            shared.out.command_done(command, Ok(()));
        }
        self.active = None;
        if !self.adopt_rival(shared) {
            self.transition_to(crate::sa::IkeSaState::keep);
        }
        self.start_next_task(shared);
    }
}
