//! From the last secret to a CHILD_SA that takes its place among the others.

use std::num::NonZeroU32;
use std::sync::Arc;

use config::connection::ChildConfig;
use crypto::int_auth::Role;
use crypto::keymat;
use crypto::proposal::Proposal;
use crypto::suite::ChildSuite;
use iana::{Protocol, TrafficSelector};
use plugin_api::Secret;

use super::{Creation, Side, Subject};
use crate::alert::Alert;
use crate::child::{Agreed, ChildSa, Numbers, SendFrom};
use crate::error::Error;
use crate::event::Event;
use crate::output::{KernelOp, KernelResult};
use crate::proposals;
use crate::sa::{IkeSa, KernelWork};
use crate::shared::{Shared, log};
use crate::tally::Counter;

impl IkeSa {
    pub(crate) fn child_mut(&mut self, id: u32) -> Option<&mut ChildSa> {
        self.children.iter_mut().find(|child| child.unique_id == id)
    }

    /// The marks and ids of interfaces of a CHILD_SA: those of the one that it replaces, or of its trap.
    pub(crate) fn numbers(
        &mut self,
        shared: &mut Shared,
        config: &Arc<ChildConfig>,
        rekeys: Option<u32>,
    ) -> Numbers {
        let old = self.children.iter().find(|child| Some(child.unique_id) == rekeys);
        let known = old.map(|old| old.selectors.numbers);
        known
            .or_else(|| shared.policies.numbers_of(config))
            .unwrap_or_else(|| {
                let inherited = self.if_ids(shared);
                shared.chosen.numbers(config, inherited)
            })
    }

    /// What both ends have agreed on, with the keys made of it. Whatever led here, a CHILD_SA gets keys only by a proposal
    /// of its configuration, and of as many key exchanges as the proposal has; in IKE_AUTH, of none.
    pub(crate) fn keyed(
        &self,
        shared: &mut Shared,
        (config, proposal): (&ChildConfig, &Proposal),
        role: Role,
        secrets: Option<&[Secret]>,
        (ni, nr): (&[u8], &[u8]),
        (local_ts, remote_ts): (Vec<TrafficSelector>, Vec<TrafficSelector>),
    ) -> Result<Agreed, Error> {
        let in_ike_auth = secrets.is_none();
        let secrets = secrets.unwrap_or_default();
        let expected =
            usize::from(proposal.key_exchange().is_some()) + proposal.additional_key_exchanges().len();
        let profile = self.pinned_profile();
        if secrets.len() != expected
            || !proposals::is_of_child(shared, profile, config, proposal, in_ike_auth)
        {
            let selected = proposal.to_log(&shared.registry);
            log!(
                shared,
                self,
                Ike,
                0,
                "BUG: no CHILD_SA '{}' is made by {} key exchanges and {selected}, which is none of its proposals",
                config.name,
                secrets.len()
            );
            return Err(Error::NoProposalChosen);
        }
        let suite = ChildSuite::new(proposal).map_err(|_| Error::NoProposalChosen)?;
        if suite.protocol == Protocol::AH && self.natt.encap() {
            return Err(Error::AhInUdp);
        }
        let spi = proposal.spi.as_slice().try_into();
        let spi_out = spi.map(u32::from_be_bytes).map_err(|_| Error::NoProposalChosen)?;
        let (Some(ike), Some(sk)) = (&self.suite, self.sk()) else {
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

    /// Keys and parameters, once the last key exchange is done.
    pub(crate) fn install_created(
        &mut self,
        shared: &mut Shared,
        side: Side,
        creation: &mut Creation,
    ) -> Result<(), Error> {
        let role = match side {
            Side::Active => Role::Initiator,
            Side::Passive => Role::Responder,
        };
        let rekeys = creation.rekeys();
        let (Some(proposal), Subject::Child(draft)) = (&creation.selected, &mut creation.subject) else {
            return Err(Error::NoProposalChosen);
        };
        let nonces = (creation.nonce_i.as_slice(), creation.nonce_r.as_slice());
        let mut selectors = (
            std::mem::take(&mut draft.local_ts),
            std::mem::take(&mut draft.remote_ts),
        );
        let Some(child) = &mut draft.child else {
            return Err(Error::NoProposalChosen);
        };
        if side == Side::Active {
            let agreed = draft.transport.agreed;
            self.settle_mode(shared, child, &mut selectors.0, &mut selectors.1, agreed);
            self.settle_ipcomp(shared, child, draft.cpi)?;
        }
        let config = Arc::clone(&child.config);
        let agreed = self.keyed(
            shared,
            (&config, proposal),
            role,
            Some(&creation.secrets),
            nonces,
            selectors,
        )?;
        creation.secrets.clear();
        let numbers = self.numbers(shared, &child.config, rekeys);
        let send = match side {
            Side::Active => SendFrom::Now,
            Side::Passive if rekeys.is_some() => SendFrom::Later,
            Side::Passive => self.send_from(shared, &agreed, numbers),
        };
        let ops = child.install(shared, agreed, numbers, self.local, self.remote, send);
        let id = shared.start_kernel(self.unique_id, ops);
        self.kernel_work.insert(id, KernelWork::InstallCreated(side));
        Ok(())
    }

    /// The kernel has it: it takes its place among the others, and that of the one it replaces. Its number if it goes up,
    /// because it replaces none.
    pub(crate) fn take_in(
        &mut self,
        shared: &mut Shared,
        side: Side,
        mut child: ChildSa,
        rekeys: Option<u32>,
    ) -> Option<u32> {
        child.on_installed(shared.now);
        let (label, selectors) = (child.label(), child.list_selectors());
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
        if let Some(old) = old {
            self.pass_on_unwanted(old, id);
        }
        match old.and_then(|old| self.child_mut(old)) {
            Some(old) => {
                let old_info = old.info();
                // Both ends have made one. Ours is finished only if it is the one that stays.
                let other = old.successor.map(NonZeroU32::get);
                let (stays, redundant) = match (other, side) {
                    (Some(other), Side::Passive) => (other, Some(id)),
                    (_, _) => (id, other),
                };
                old.successor = NonZeroU32::new(stays);
                if let Some(redundant) = redundant.and_then(|id| self.child_mut(id)) {
                    redundant.successor = NonZeroU32::new(stays);
                }
                if redundant == Some(id) {
                    return None;
                }
                self.count(shared, Counter::ChildRekey);
                shared.out.event(Event::ChildRekeyed(
                    Box::new(self.info()),
                    Box::new(old_info),
                    Box::new(info),
                ));
                None
            }
            None => {
                // What it should have replaced has gone in the meantime.
                let ops = self.child_mut(id).map(ChildSa::start_sending).unwrap_or_default();
                self.run_kernel(shared, ops);
                shared
                    .out
                    .event(Event::ChildUp(Box::new(self.info()), Box::new(info)));
                Some(id)
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

    /// The successor of a CHILD_SA sends from now on, if it does not yet.
    pub(crate) fn switch_to_successor(&mut self, shared: &mut Shared, old: u32) {
        let successor = self.child_mut(old).and_then(|child| child.successor);
        let Some(child) = successor.and_then(|id| self.child_mut(id.get())) else {
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
            child.list_selectors()
        );
        log!(shared, self, Ike, 0, "{text}");
        self.run_kernel(shared, ops);
    }

    pub(crate) fn log_install_failed(&self, shared: &mut Shared, child: &ChildSa, result: &KernelResult) {
        let Err(failure) = result else { return };
        let what = if child.lacks_policies(result) {
            "IPsec policies (SPD)"
        } else {
            "IPsec SA (SAD)"
        };
        log!(
            shared,
            self,
            Ike,
            1,
            "unable to install {what} in kernel: {}",
            failure.error
        );
        self.alert(shared, Alert::InstallChildSaFailed);
    }
}
