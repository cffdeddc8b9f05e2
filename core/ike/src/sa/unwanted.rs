//! What this end does not want any more: SAs that it has decided to close, and CHILD_SAs that were wanted and not yet made.
//!
//! To close takes a request, which may have to wait, and meanwhile either end may replace the SA, lose its peer, or want it
//! again. So the decision is a mark on the SA rather than the request alone: it passes on to what replaces the SA, and what
//! has it is neither restarted nor taken for something that is there.

use std::sync::Arc;

use config::connection::ChildConfig;

use crate::child::ChildState;
use crate::endpoint::Initiate;
use crate::output::CommandId;
use crate::rare::Rare;
use crate::sa::{IkeSa, IkeSaState};
use crate::shared::{Again, Shared, Wish};
use crate::task::Task;

/// A CHILD_SA that is wanted, and the command that waits for it.
pub(crate) type Wanted = (Arc<ChildConfig>, Option<CommandId>);

impl IkeSa {
    /// Closes the IKE_SA as soon as the window lets it, for good.
    pub(crate) fn close(&mut self, shared: &mut Shared, command: Option<CommandId>) {
        self.unwanted = true;
        self.reauthenticate = false;
        self.enqueue(shared, Task::DeleteIke(command));
    }

    /// Closes a CHILD_SA as soon as the window lets it, and whatever replaces it until then.
    pub(crate) fn close_when_possible(&mut self, shared: &mut Shared, id: u32, command: Option<CommandId>) {
        if let Some(child) = self.child_mut(id) {
            child.unwanted = true;
        }
        for creation in [&mut self.creating, &mut self.answering].into_iter().flatten() {
            creation.unwanted |= creation.rekeys() == Some(id);
        }
        // The peer has replaced it already.
        let successor = self.child_mut(id).and_then(|child| child.successor);
        if let Some(successor) = successor.and_then(|id| self.child_mut(id.get())) {
            successor.unwanted = true;
        }
        self.enqueue(shared, Task::DeleteChild(id, command));
    }

    /// A CHILD_SA replaces another: if that was to be closed, this one is, and commands wait for it.
    pub(crate) fn pass_on_unwanted(&mut self, old: u32, new: u32) {
        if !self.child_mut(old).is_some_and(|child| child.unwanted) {
            return;
        }
        if let Some(child) = self.child_mut(new) {
            child.unwanted = true;
        }
        for task in self.tasks.iter_mut() {
            if let Task::DeleteChild(id, _) = task
                && *id == old
            {
                *id = new;
            }
        }
    }

    /// Queues the end of those CHILD_SAs that became unwanted while they were made.
    pub(crate) fn queue_unwanted(&mut self) {
        if self.unwanted || !self.children.iter().any(|child| child.unwanted) {
            return;
        }
        let queued: Vec<u32> = self
            .tasks
            .iter()
            .filter_map(|task| match task {
                Task::DeleteChild(id, _) => Some(*id),
                _ => None,
            })
            .collect();
        let unwanted = self.children.iter().filter(|child| {
            let rests = child.state == ChildState::Installed && child.successor.is_none();
            child.unwanted && rests && !queued.contains(&child.unique_id)
        });
        let tasks: Vec<Task> = unwanted
            .map(|child| Task::DeleteChild(child.unique_id, None))
            .collect();
        self.tasks.extend(tasks);
    }

    /// Gives up CHILD_SAs that are wanted and not yet made. One that the peer may have made already is closed when it is
    /// there.
    pub(crate) fn give_up_wanted(&mut self, gone: impl Fn(&ChildConfig) -> bool) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        if let Some(creation) = &mut self.creating
            && let Some(config) = creation.makes_new().filter(|config| gone(config))
            && !creation.unwanted
        {
            creation.unwanted = true;
            wanted.push((config, creation.command.take()));
        }
        let mut give_up = |task: Task| match task {
            Task::CreateChild(config, command) if gone(&config) => {
                wanted.push((config, command));
                None
            }
            other => Some(other),
        };
        let tasks = std::mem::take(&mut *self.tasks).into_iter();
        self.tasks = Rare::from(
            tasks
                .filter_map(&mut give_up)
                .collect::<std::collections::VecDeque<_>>(),
        );
        let later = std::mem::take(&mut *self.later).into_iter();
        let later = later.filter_map(|(when, task)| Some((when, give_up(task)?)));
        self.later = Rare::from(later.collect::<Vec<_>>());
        wanted
    }

    /// The CHILD_SAs that an IKE_SA is being established for; nothing waits for it any more.
    pub(crate) fn take_all_wanted(&mut self) -> Vec<Wanted> {
        let first = self.initiate.as_ref().and_then(|what| what.child.clone());
        let mut wanted: Vec<Wanted> = Vec::new();
        wanted.extend(first.map(|child| (child, self.command.take())));
        wanted.extend(self.give_up_wanted(|_| true));
        wanted
    }

    /// A CHILD_SA is not wanted any more that is not yet made. What else the IKE_SA is established for is wanted of another.
    pub(crate) fn give_up_named(&mut self, shared: &mut Shared, child: &str, given_up: &mut Vec<Wanted>) {
        use IkeSaState as S;
        let connects = matches!(self.state, S::Created | S::Connecting);
        let what = self.initiate.as_deref().filter(|_| connects).cloned();
        let is_first = |what: &Initiate| what.child.as_ref().is_some_and(|first| first.name == child);
        let Some(mut what) = what.filter(is_first) else {
            given_up.extend(self.give_up_wanted(|config| config.name == child));
            return;
        };
        let wanted = self.take_all_wanted().into_iter();
        let (gone, mut others): (Vec<_>, Vec<_>) = wanted.partition(|(config, _)| config.name == child);
        given_up.extend(gone);
        if !others.is_empty() {
            let (first, command) = others.remove(0);
            what.child = Some(first);
            shared.wishes.push(Wish::Reinitiate(Box::new(Again {
                what,
                command,
                children: others,
                instead_of: None,
                luggage: None,
                addresses: Vec::new(),
            })));
        }
        self.destroy_silently(shared, None);
    }

    /// Whether a CHILD_SA is there, being made or wanted, and none of that is going to be closed.
    pub(crate) fn has_use(&self) -> bool {
        let is_new = |creation: &crate::exchange::creation::Creation| {
            creation.makes_new().is_some() && !creation.unwanted
        };
        let later = self.later.iter().map(|(_, task)| task);
        self.children.iter().any(|child| child.stays())
            || self.creating.as_deref().is_some_and(is_new)
            || self.answering.as_deref().is_some_and(is_new)
            || self
                .tasks
                .iter()
                .chain(later)
                .any(|task| matches!(task, Task::CreateChild(..)))
    }
}
