//! What this end wants next of an IKE_SA; it waits here, because the window is one.

use crate::output::CommandId;

/// An intention that needs a request of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Delete the IKE_SA.
    DeleteIke(Option<CommandId>),
    /// Delete the CHILD_SA of this unique number.
    DeleteChild(u32, Option<CommandId>),
    /// Replace the CHILD_SA of this unique number.
    RekeyChild(u32, Option<CommandId>),
    /// Make a CHILD_SA; under way already when it becomes a task.
    CreateChild,
    /// Delete a CHILD_SA, by its inbound SPI, that the peer installed and this end could not.
    WithdrawChild(u32),
    /// See whether the peer lives.
    Liveness,
}

impl Task {
    /// The name in lists of tasks.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DeleteIke(_) => "IKE_DELETE",
            Self::DeleteChild(..) | Self::WithdrawChild(_) => "CHILD_DELETE",
            Self::RekeyChild(..) => "CHILD_REKEY",
            Self::CreateChild => "CHILD_CREATE",
            Self::Liveness => "IKE_DPD",
        }
    }
}
