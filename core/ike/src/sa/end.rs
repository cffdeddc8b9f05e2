//! The end of an IKE_SA.

use crate::event::Event;
use crate::output::{CommandError, KernelOp};
use crate::sa::IkeSa;
use crate::scripts::Farewell;
use crate::shared::{Shared, Wish};
use crate::task::Task;

impl IkeSa {
    /// Everything that has to be undone when the IKE_SA goes.
    pub(crate) fn clean_up(&mut self, shared: &mut Shared) {
        self.end_handshake(shared, false);
        // One that was rekeyed does not go down: its successor has taken over.
        let ends = shared.established.remove(self.unique_id);
        let in_office = ends.is_some();
        shared.superseded.remove(self.unique_id);
        shared.overlapping.remove(&self.unique_id);
        if let Some((local, remote)) = ends
            && !shared.overlapping.is_empty()
        {
            shared.wishes.push(Wish::TakeOver(local, remote));
        }
        let info = self.info();
        for child in self.children.iter().filter(|child| child.is_installed()) {
            shared
                .out
                .event(Event::ChildDown(Box::new(info.clone()), Box::new(child.info())));
        }
        let mut farewell = Farewell::of(shared, &info, std::mem::take(&mut self.children));
        self.leave_scripts(shared, &mut farewell);
        let mut ops: Vec<KernelOp> = Vec::new();
        if let Some(child) = self.phase.take_child() {
            ops.extend(child.remove());
            child.release(shared);
        }
        for mut creation in [self.creating.take(), self.answering.take()]
            .into_iter()
            .flatten()
        {
            if let Some(child) = creation.take_child() {
                ops.extend(child.remove());
                child.release(shared);
            }
            if let Some(command) = creation.command {
                shared.out.command_done(command, Err(CommandError::Failed));
            }
        }
        if !ops.is_empty() {
            shared.out.kernel(ops);
        }
        farewell.given = Some(self.give_back(shared));
        if in_office {
            shared.out.event(Event::IkeDown(Box::new(info)));
        }
        if let Some(heir) = self.rival.take() {
            shared.wishes.push(Wish::Redundant(heir));
        }
        if let Some(command) = self.command.take() {
            shared.out.command_done(command, Err(CommandError::Failed));
        }
        if let Some(old) = self.instead_of.take() {
            shared.wishes.push(Wish::RetryReauthentication(old));
        }
        self.tasks.extend(self.redirects.take_tasks());
        let active = self.active.take().map(|task| (*task, false));
        let later = self.later.drain(..).map(|(_, task)| task);
        let waiting = self.tasks.drain(..).chain(later).map(|task| (task, true));
        for (task, waiting) in active.into_iter().chain(waiting) {
            let Some(command) = task.command() else { continue };
            match task {
                Task::DeleteIke(_) | Task::DeleteChild(..) => farewell.commands.push(command),
                // What is under way reports by its creation.
                _ if waiting => shared.out.command_done(command, Err(CommandError::Failed)),
                _ => {}
            }
        }
        farewell.begin(shared);
    }
}
