//! What this end wants next of an IKE_SA; it waits here, because the window is one.

use std::sync::Arc;

use config::connection::{ChildConfig, Host};
use iana::Protocol;

use crate::output::CommandId;

/// An intention that needs a request of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Task {
    /// Delete the IKE_SA.
    DeleteIke(Option<CommandId>),
    /// Delete the CHILD_SA of this unique number.
    DeleteChild(u32, Option<CommandId>),
    /// Replace the CHILD_SA of this unique number.
    RekeyChild(u32, Option<CommandId>),
    /// Replace the IKE_SA.
    RekeyIke(Option<CommandId>),
    /// Make a CHILD_SA.
    CreateChild(Arc<ChildConfig>, Option<CommandId>),
    /// Delete a CHILD_SA, by its inbound SPI, that the peer installed and this end could not.
    WithdrawChild(Protocol, u32),
    /// Send the peer to another gateway.
    Redirect(Box<Host>),
    /// See whether the peer lives.
    Liveness,
    /// Tell the peer of addresses that changed (RFC 4555, 3.5 and 3.6).
    UpdateAddresses,
    /// See whether the peer is where it says (RFC 4555, 3.7).
    ReturnRoutability,
    /// Nothing but the established IKE_SA is wanted.
    Report(CommandId),
    /// Delete the IKE_SA of this unique number, which this one has taken the place of by authenticating again.
    Retire(u32),
}

impl Task {
    /// The command that waits for it.
    pub(crate) fn command(&self) -> Option<CommandId> {
        match self {
            Self::DeleteIke(command)
            | Self::DeleteChild(_, command)
            | Self::RekeyChild(_, command)
            | Self::RekeyIke(command)
            | Self::CreateChild(_, command) => *command,
            Self::Report(command) => Some(*command),
            Self::WithdrawChild(..)
            | Self::Redirect(_)
            | Self::Liveness
            | Self::UpdateAddresses
            | Self::ReturnRoutability
            | Self::Retire(_) => None,
        }
    }

    /// Whether it makes a CHILD_SA of this configuration.
    pub(crate) fn makes(&self, name: &str) -> bool {
        matches!(self, Self::CreateChild(config, _) if config.name == name)
    }

    /// Whether it is about the peer itself, and changes no SA of both ends.
    pub(crate) fn is_about_peer(&self) -> bool {
        matches!(
            self,
            Self::Liveness | Self::UpdateAddresses | Self::ReturnRoutability
        )
    }

    /// The name in lists of tasks.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::DeleteIke(_) => "IKE_DELETE",
            Self::Report(_) => "IKE_ESTABLISH",
            Self::Retire(_) => "IKE_REAUTH_COMPLETE",
            Self::DeleteChild(..) | Self::WithdrawChild(..) => "CHILD_DELETE",
            Self::RekeyChild(..) => "CHILD_REKEY",
            Self::RekeyIke(_) => "IKE_REKEY",
            Self::CreateChild(..) => "CHILD_CREATE",
            Self::Redirect(_) => "IKE_REDIRECT",
            Self::Liveness => "IKE_DPD",
            Self::UpdateAddresses | Self::ReturnRoutability => "IKE_MOBIKE",
        }
    }
}
