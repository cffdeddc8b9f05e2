//! A CHILD_SA that CREATE_CHILD_SA and IKE_FOLLOWUP_KE make (RFC 7296, 1.3; RFC 9370, 2.2.4): what both ends keep
//! until the last key exchange is done.

use std::collections::VecDeque;
use std::sync::Arc;

use config::connection::ChildConfig;
use crypto::int_auth::Role;
use crypto::keymat;
use crypto::proposal::Proposal;
use crypto::suite::ChildSuite;
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, TrafficSelector};
use plugin_api::{PendingKeyExchange, Secret};
use wire::payload::{Notify, Payload};

use crate::child::{Agreed, ChildSa, ChildState, SendFrom};
use crate::error::Error;
use crate::event::Event;
use crate::exchange::find;
use crate::output::{CommandError, CommandId, KernelOp, KernelResult};
use crate::sa::{IkeSa, Inbound, KernelWork};
use crate::shared::{Shared, log};

/// Which end asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Active,
    Passive,
}

/// See the module. An end has one of its own at most and one of its peer's, because windows are one.
pub(crate) struct Creation {
    pub(crate) config: Arc<ChildConfig>,
    /// The CHILD_SA that it replaces.
    pub(crate) rekeys: Option<u32>,
    /// Exists from the moment its SPI is reserved.
    pub(crate) child: Option<ChildSa>,
    pub(crate) offered: Vec<Proposal>,
    pub(crate) selected: Option<Proposal>,
    pub(crate) local_ts: Vec<TrafficSelector>,
    pub(crate) remote_ts: Vec<TrafficSelector>,
    pub(crate) nonce_i: Vec<u8>,
    pub(crate) nonce_r: Vec<u8>,
    /// Of the key exchanges so far, in order.
    pub(crate) secrets: Vec<Secret>,
    /// Additional key exchanges still to be run: number and method.
    pub(crate) plan: VecDeque<(u8, KeyExchangeMethod)>,
    /// What ties the next IKE_FOLLOWUP_KE to it.
    pub(crate) link: Vec<u8>,
    pub(crate) step: Step,
    /// The method that the peer wants instead of the one offered first.
    pub(crate) wanted: Option<KeyExchangeMethod>,
    pub(crate) command: Option<CommandId>,
}

/// What it awaits.
pub(crate) enum Step {
    /// An SPI (kernel).
    ReserveSpi,
    /// The own public value (job).
    MakePublic(KeyExchangeMethod),
    /// The response to CREATE_CHILD_SA.
    AwaitResponse(Option<(KeyExchangeMethod, Box<dyn PendingKeyExchange>)>),
    /// The own public value for IKE_FOLLOWUP_KE (job).
    MakeAdditional(u8, KeyExchangeMethod),
    /// The response to IKE_FOLLOWUP_KE.
    AwaitFollowup(u8, KeyExchangeMethod, Box<dyn PendingKeyExchange>),
    /// The secret (job).
    Finish,
    /// The SAs (kernel).
    Install,

    /// Responder: the answer to the public value (job), of an additional key exchange with its number.
    Answer(Option<u8>, KeyExchangeMethod, Vec<u8>),
    /// Responder: the next IKE_FOLLOWUP_KE.
    AwaitRequest,
    /// Responder: the SAs (kernel), then this response.
    AnswerInstall(ExchangeType, Vec<Payload>),
}

impl Creation {
    pub(crate) fn new(config: Arc<ChildConfig>, rekeys: Option<u32>, command: Option<CommandId>) -> Self {
        Self {
            config,
            rekeys,
            child: None,
            offered: Vec::new(),
            selected: None,
            local_ts: Vec::new(),
            remote_ts: Vec::new(),
            nonce_i: Vec::new(),
            nonce_r: Vec::new(),
            secrets: Vec::new(),
            plan: VecDeque::new(),
            link: Vec::new(),
            step: Step::ReserveSpi,
            wanted: None,
            command,
        }
    }

    /// Whether the peer's first response has been acted upon, so that a collision would have shown.
    pub(crate) fn is_past_first_response(&self) -> bool {
        !self.nonce_r.is_empty()
    }

    /// The lower of both nonces; of two exchanges that rekey the same SA the one with the lowest loses (RFC 7296,
    /// 2.8.1).
    pub(crate) fn lowest_nonce(&self) -> &[u8] {
        self.nonce_i.as_slice().min(self.nonce_r.as_slice())
    }
}

impl IkeSa {
    pub(crate) fn child_mut(&mut self, id: u32) -> Option<&mut ChildSa> {
        self.children.iter_mut().find(|child| child.unique_id == id)
    }

    /// What both ends have agreed on, with the keys made of it.
    pub(crate) fn keyed(
        &self,
        proposal: &Proposal,
        role: Role,
        secrets: &[Secret],
        (ni, nr): (&[u8], &[u8]),
        (local_ts, remote_ts): (Vec<TrafficSelector>, Vec<TrafficSelector>),
    ) -> Result<Agreed, Error> {
        let suite = ChildSuite::new(proposal).map_err(|_| Error::NoProposalChosen)?;
        let spi = proposal.spi.as_slice().try_into();
        let spi_out = spi.map(u32::from_be_bytes).map_err(|_| Error::NoProposalChosen)?;
        let (Some(ike), Some(sk)) = (&self.suite, &self.sk) else {
            return Err(Error::NoProposalChosen);
        };
        let keys = keymat::derive_child(ike.prf(), &suite, &sk.sk_d, secrets, ni, nr)?;
        Ok(Agreed {
            proposal: proposal.clone(),
            suite,
            keys,
            role,
            spi_out,
            local_ts,
            remote_ts,
            encap: self.natt.encap(),
        })
    }

    pub(crate) fn log_selected(&self, shared: &mut Shared, proposal: &Proposal) {
        let chosen = proposal.to_log(&shared.registry);
        log!(shared, self, Cfg, 1, "selected proposal: {chosen}");
    }

    /// Keys and parameters, once the last key exchange is done.
    pub(crate) fn install_created(
        &mut self,
        shared: &mut Shared,
        side: Side,
        creation: &mut Creation,
    ) -> Result<(), Error> {
        let (role, send) = match side {
            Side::Active => (Role::Initiator, SendFrom::Now),
            Side::Passive if creation.rekeys.is_some() => (Role::Responder, SendFrom::Later),
            Side::Passive => (Role::Responder, SendFrom::Now),
        };
        let (Some(proposal), Some(child)) = (&creation.selected, &mut creation.child) else {
            return Err(Error::NoProposalChosen);
        };
        let nonces = (creation.nonce_i.as_slice(), creation.nonce_r.as_slice());
        let selectors = (
            std::mem::take(&mut creation.local_ts),
            std::mem::take(&mut creation.remote_ts),
        );
        let agreed = self.keyed(proposal, role, &creation.secrets, nonces, selectors)?;
        creation.secrets.clear();
        let ops = child.install(shared, agreed, self.local, self.remote, send);
        let id = shared.start_kernel(self.unique_id, ops);
        self.kernel_work.insert(id, KernelWork::InstallCreated(side));
        Ok(())
    }

    /// The kernel has it: it takes its place among the others, and that of the one it replaces.
    pub(crate) fn take_in(
        &mut self,
        shared: &mut Shared,
        side: Side,
        mut child: ChildSa,
        rekeys: Option<u32>,
    ) {
        child.on_installed(shared.now);
        let (label, selectors) = (child.label(), child.selectors());
        let (spi_in, spi_out) = (child.spi_in, child.spi_out);
        let old = rekeys.filter(|id| self.children.iter().any(|child| child.unique_id == *id));
        let established = format!(
            "CHILD_SA {label} established with SPIs {spi_in:08x}_i {spi_out:08x}_o and TS {selectors}"
        );
        match (old, side) {
            (None, _) => log!(shared, self, Ike, 0, "{established}"),
            (Some(_), Side::Active) => {
                log!(shared, self, Ike, 0, "inbound {established}");
                log!(shared, self, Ike, 0, "outbound {established}");
            }
            (Some(_), Side::Passive) => log!(shared, self, Ike, 0, "inbound {established}"),
        }
        let info = child.info();
        let id = child.unique_id;
        self.children.push(child);
        match old.and_then(|old| self.child_mut(old)) {
            Some(old) => {
                let redundant = old.successor.replace(id);
                let old_info = old.info();
                if let Some(redundant) = redundant.and_then(|id| self.child_mut(id)) {
                    redundant.successor = Some(id);
                }
                shared.out.event(Event::ChildRekeyed(
                    Box::new(self.info()),
                    Box::new(old_info),
                    Box::new(info),
                ));
            }
            None => {
                // What it should have replaced has gone in the meantime.
                let ops = self.child_mut(id).map(ChildSa::start_sending).unwrap_or_default();
                self.run_kernel(shared, ops);
                shared
                    .out
                    .event(Event::ChildUp(Box::new(self.info()), Box::new(info)));
            }
        }
    }

    /// Kernel operations whose failure only the log learns of.
    pub(crate) fn run_kernel(&mut self, shared: &mut Shared, ops: Vec<KernelOp>) {
        if !ops.is_empty() {
            let id = shared.start_kernel(self.unique_id, ops);
            self.kernel_work.insert(id, KernelWork::Unattended);
        }
    }

    /// Gives back what a creation that came to nothing has reserved.
    pub(crate) fn discard(&mut self, shared: &mut Shared, creation: &mut Creation) {
        if let Some(child) = creation.child.take() {
            self.run_kernel(shared, child.remove());
            child.release(shared);
        }
        if let Some(command) = creation.command.take() {
            shared.out.command_done(command, Err(CommandError::Failed));
        }
    }

    /// The successor of a CHILD_SA sends from now on, if it does not yet.
    pub(crate) fn switch_to_successor(&mut self, shared: &mut Shared, old: u32) {
        let successor = self.child_mut(old).and_then(|child| child.successor);
        let Some(child) = successor.and_then(|id| self.child_mut(id)) else {
            return;
        };
        let ops = child.start_sending();
        if ops.is_empty() {
            return;
        }
        let text = format!(
            "outbound CHILD_SA {} established with SPIs {:08x}_i {:08x}_o and TS {}",
            child.label(),
            child.spi_in,
            child.spi_out,
            child.selectors()
        );
        log!(shared, self, Ike, 0, "{text}");
        self.run_kernel(shared, ops);
    }

    pub(crate) fn log_install_failed(&self, shared: &mut Shared, child: &ChildSa, result: &KernelResult) {
        let Err(failure) = result else { return };
        let what = if failure.completed < child.sa_count() {
            "IPsec SA (SAD)"
        } else {
            "IPsec policies (SPD)"
        };
        log!(
            shared,
            self,
            Ike,
            1,
            "unable to install {what} in kernel: {}",
            failure.error
        );
    }

    /// A CHILD_SA whose rekeying failed goes on, and is tried again a little later.
    pub(crate) fn retry_rekeying(&mut self, shared: &mut Shared, id: u32) {
        let delay = std::time::Duration::from_secs(RETRY)
            - shared.random_below(std::time::Duration::from_secs(RETRY_JITTER));
        let now = shared.now;
        let Some(child) = self.child_mut(id) else { return };
        if child.state != ChildState::Rekeying {
            return;
        }
        if child.successor.is_some() {
            // The peer has rekeyed it, and will delete it.
            return child.transition_to(ChildState::succeed);
        }
        child.transition_to(ChildState::keep);
        child.timer = crate::timer::Timer::at(now + delay);
        log!(
            shared,
            self,
            Ike,
            1,
            "CHILD_SA rekeying failed, trying again in {} seconds",
            delay.as_secs()
        );
    }
}

/// Seconds after which a failed rekeying is tried again, and how many fewer it may be.
const RETRY: u64 = 15;
const RETRY_JITTER: u64 = 10;

/// The notify that ties an IKE_FOLLOWUP_KE to what went before.
pub(crate) fn link(kind: NotifyType, link: &[u8]) -> Payload {
    Payload::Notify(Notify::status(kind, link.to_vec()))
}

/// The link that a message carries.
pub(crate) fn link_of(inbound: &Inbound, kind: NotifyType) -> Option<&[u8]> {
    find!(inbound.payloads, Payload::Notify(notify) if notify.kind == kind => notify.data.as_slice())
}
