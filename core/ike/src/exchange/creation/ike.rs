//! The successor of an IKE_SA (RFC 7296, 1.3.2 and 2.8.2): it takes over the CHILD_SAs and everything else that stays.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crypto::int_auth::Role;
use crypto::keymat::{self, RekeyPrf, Rekeyed};
use crypto::proposal::Proposal;
use iana::{ExchangeType, NotifyType, Profile};
use wire::payload::{Payload, Sa};

use super::responder::Refusal;
use super::{Creation, IkeDraft, Subject, retry_delay};
use crate::child::{ChildSa, ChildState};
use crate::endpoint::Initiate;
use crate::error::Error;
use crate::event::{Event, IkeSaInfo};
use crate::exchange::configuration::Given;
use crate::output::{CommandError, CommandId};
use crate::proposals;
use crate::rare::Rare;
use crate::sa::{IkeSa, IkeSaState, KernelWork};
use crate::scripts::Farewell;
use crate::shared::{Shared, Wish, log};
use crate::tally::Counter;
use crate::task::Task;
use crate::timer::Timer;

/// How long a rekeyed IKE_SA waits for the peer's DELETE, and a redundant one.
const SUPERSEDED: Duration = Duration::from_secs(90);
const REDUNDANT: Duration = Duration::from_secs(30);

/// What an IKE_SA leaves to its successor.
pub(crate) struct Estate {
    pub(crate) children: Vec<ChildSa>,
    tasks: Rare<VecDeque<Task>>,
    initiate: Option<Box<Initiate>>,
    reauth_at: Option<Instant>,
    old: IkeSaInfo,
    given: Rare<Given>,
    /// Whether the successor is closed as soon as it is there.
    unwanted: bool,
}

impl IkeSa {
    /// Starts to replace this IKE_SA.
    pub(crate) fn rekey_ike(&mut self, shared: &mut Shared, command: Option<CommandId>) {
        let config = self.config.clone().filter(|_| self.state.rekey().is_ok());
        let Some(config) = config else {
            self.active = None;
            if let Some(command) = command {
                shared.out.command_done(command, Err(CommandError::NotFound));
            }
            return;
        };
        self.transition_to(IkeSaState::rekey);
        let draft = IkeDraft {
            unique_id: shared.next_ike_id(),
            spi: shared.random_spi(),
            redundant: false,
        };
        let (unique_id, spi) = (draft.unique_id, draft.spi.to_be_bytes().to_vec());
        let mut creation = Creation::new(Subject::Ike(draft), command);
        if self.is_changing_children() {
            log!(
                shared,
                self,
                Ike,
                1,
                "unable to rekey IKE_SA {} while its CHILD_SAs change",
                self.label()
            );
            return self.creation_failed(shared, creation);
        }
        let (name, remote) = (&self.name, self.remote.ip());
        log!(
            shared,
            self,
            Ike,
            0,
            "initiating IKE_SA {name}[{unique_id}] to {remote}"
        );
        let (offered, messages) = Arc::unwrap_or_clone(proposals::of_connection(shared, &config));
        for message in messages {
            log!(shared, self, Cfg, 1, "{message}");
        }
        creation.offered = offered
            .into_iter()
            .map(|proposal| Proposal {
                spi: spi.clone(),
                ..proposal
            })
            .collect();
        creation.nonce_i = shared.nonce();
        self.make_public(shared, Box::new(creation));
    }

    /// Whether a CHILD_SA is being made, replaced or deleted: then the IKE_SA is not to be rekeyed (RFC 7296, 2.25.2).
    pub(crate) fn is_changing_children(&self) -> bool {
        let settled = |child: &ChildSa| matches!(child.state, ChildState::Installed | ChildState::Deleted);
        let deletes = matches!(
            self.active.as_deref(),
            Some(Task::DeleteChild(..) | Task::WithdrawChild(..))
        );
        deletes
            || self.awaits_scripts()
            || !self.children.iter().all(settled)
            || self.creating.as_ref().is_some_and(|own| !own.is_ike())
            || self.answering.as_ref().is_some_and(|other| !other.is_ike())
    }

    /// Whether this end or the peer is replacing this IKE_SA, so that its CHILD_SAs have to stay as they are.
    pub(crate) fn is_being_replaced(&self) -> bool {
        let own = self
            .creating
            .as_ref()
            .is_some_and(|own| own.is_ike() && !own.is_redundant());
        own || self.answering.as_ref().is_some_and(|other| other.is_ike())
    }

    /// What the responder makes of a request to rekey the IKE_SA.
    pub(super) fn accept_ike_request(&mut self, shared: &mut Shared, sa: &Sa) -> Result<Creation, Refusal> {
        let own = self.creating.as_ref();
        if own.is_some_and(|own| own.is_ike() && own.is_past_first_response()) {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer initiated rekeying, but we did too and already went on"
            );
            return Err(Refusal::of(NotifyType::TEMPORARY_FAILURE));
        }
        if self.rival.is_some() || self.is_changing_children() {
            return Err(Refusal::of(NotifyType::TEMPORARY_FAILURE));
        }
        let Some(config) = self.config.clone() else {
            return Err(Refusal::of(NotifyType::TEMPORARY_FAILURE));
        };
        let mut supplied = proposals::from_wire(sa, 8);
        supplied.retain(|proposal| proposal.spi.iter().any(|octet| *octet != 0));
        let configured = match self.chooses_as(Role::Responder) {
            Role::Initiator => proposals::verified_for(shared, &config),
            Role::Responder => proposals::accepted_by(shared, &config),
        };
        let how = proposals::selection(shared, config.profile, self.peer.strongswan, true, false);
        let proposal = crypto::select::select(&configured.0, &supplied, &how).map_err(|reasons| {
            let refusal = crate::child::negotiate::Refusal::Proposals {
                configured: configured.0.clone(),
                reasons,
            };
            Refusal::of(self.log_refusal(shared, refusal, &supplied, (&[], &[])))
        })?;
        if proposal.key_exchange().is_none() {
            return Err(Refusal::of(NotifyType::NO_PROPOSAL_CHOSEN));
        }
        let draft = IkeDraft {
            unique_id: shared.next_ike_id(),
            spi: shared.random_spi(),
            redundant: false,
        };
        let mut creation = Creation::new(Subject::Ike(draft), None);
        creation.selected = Some(proposal);
        Ok(creation)
    }

    /// The role whose proposals count when the IKE_SA is replaced. One that this end has begun may have a costly key exchange
    /// of the defaults, which a responder would not accept; its peer may have no other.
    fn chooses_as(&self, role: Role) -> Role {
        let costly = |proposal: &Proposal| {
            let mut transforms = proposal.transforms.iter();
            transforms.any(|it| it.kind.is_key_exchange() && crypto::proposal::is_costly(it.id))
        };
        if self.proposal.as_deref().is_some_and(costly) {
            return Role::Initiator;
        }
        role
    }

    /// The last check before an IKE_SA is replaced, whatever led here: the proposal is one of the connection, and as many
    /// key exchanges were made as it has.
    fn check_successor(
        &self,
        shared: &mut Shared,
        role: Role,
        proposal: &Proposal,
        secrets: usize,
    ) -> Result<(), Error> {
        let additional = proposal.additional_key_exchanges().len();
        let role = self.chooses_as(role);
        let of_connection = |config| proposals::is_of_connection(shared, config, role, proposal);
        if secrets == 1 + additional && self.config.as_deref().is_some_and(of_connection) {
            return Ok(());
        }
        let selected = proposal.to_log(&shared.registry);
        log!(
            shared,
            self,
            Ike,
            0,
            "BUG: IKE_SA {} is not rekeyed by {secrets} key exchanges and {selected}, which is none of its proposals",
            self.label()
        );
        Err(Error::NoProposalChosen)
    }

    /// The new IKE_SA, with its keys; it is established, but has nothing yet.
    fn successor(&self, shared: &mut Shared, creation: &Creation, role: Role) -> Result<Self, Error> {
        let (Subject::Ike(draft), Some(proposal)) = (&creation.subject, &creation.selected) else {
            return Err(Error::NoProposalChosen);
        };
        let (Some(old_suite), Some(sk)) = (&self.suite, self.sk()) else {
            return Err(Error::NoProposalChosen);
        };
        let theirs = proposal.spi.as_slice().try_into().map(u64::from_be_bytes);
        let theirs = theirs.map_err(|_| Error::NoProposalChosen)?;
        let (spi_i, spi_r) = match role {
            Role::Initiator => (draft.spi, theirs),
            Role::Responder => (theirs, draft.spi),
        };
        let bare = Proposal {
            spi: Vec::new(),
            ..proposal.clone()
        };
        self.check_successor(shared, role, &bare, creation.secrets.len())?;
        let chosen = shared
            .common
            .algorithms(&bare, &shared.registry)
            .map_err(|error| {
                log!(shared, self, Ike, 1, "{error}");
                Error::NoProposalChosen
            })?;
        let keys = keymat::derive_rekeyed(
            &chosen.suite,
            &Rekeyed {
                old_prf: old_suite.prf(),
                old_sk_d: &sk.sk_d,
                secrets: &creation.secrets,
                ni: &creation.nonce_i,
                nr: &creation.nonce_r,
                spi_i,
                spi_r,
                rule: match self.profile {
                    Profile::Draft | Profile::DraftRound2 => RekeyPrf::Old,
                    Profile::Rfc => RekeyPrf::New,
                },
            },
        )?;
        let mut heir = Self::heir(self, shared.now, draft.unique_id, role, (spi_i, spi_r));
        heir.use_keys(shared, &chosen.suite, keys)?;
        heir.suite = Some(chosen.suite);
        heir.proposal = Some(chosen.proposal);
        Ok(heir)
    }

    /// The last secret is there, and the peer has the new IKE_SA already.
    pub(super) fn complete_ike_rekeying(&mut self, shared: &mut Shared, mut creation: Creation) {
        let mut heir = match self.successor(shared, &creation, Role::Initiator) {
            Ok(heir) => heir,
            Err(error) => {
                log!(shared, self, Ike, 1, "rekeying IKE_SA failed: {error}");
                return self.creation_failed(shared, creation);
            }
        };
        self.active = None;
        if let Some(command) = creation.command.take() {
            shared.out.command_done(command, Ok(()));
        }
        if creation.is_redundant() {
            heir.tasks.push_back(Task::DeleteIke(None));
        } else {
            let estate = self.bequeath(shared);
            heir.inherit(shared, estate);
            self.tasks.push_back(Task::DeleteIke(None));
        }
        shared.wishes.push(Wish::Join(Box::new(heir)));
        self.start_next_task(shared);
    }

    /// The last secret is there: the response goes out, and the new IKE_SA takes over unless this end makes one too.
    pub(super) fn answer_ike_rekeying(
        &mut self,
        shared: &mut Shared,
        creation: Box<Creation>,
        exchange: ExchangeType,
        payloads: Vec<Payload>,
    ) {
        let mut heir = match self.successor(shared, &creation, Role::Responder) {
            Ok(heir) => heir,
            Err(error) => return self.answer_failed(shared, creation, &error),
        };
        self.respond(shared, exchange, payloads);
        let own = self.creating.as_mut().filter(|own| own.is_ike());
        match own {
            Some(own) if !own.is_redundant() && !own.is_past_first_response() => {
                heir.undecided = true;
                own.rival = Some(creation.lowest_nonce().to_vec());
                self.rival = Some(heir.unique_id);
            }
            // Ours was found to be the one that stays.
            Some(own) if !own.is_redundant() => heir.be_redundant(shared),
            _ if self.state == IkeSaState::Rekeyed => heir.be_redundant(shared),
            _ => {
                let estate = self.bequeath(shared);
                heir.inherit(shared, estate);
                self.lifetime.superseded = Timer::after(shared.now, SUPERSEDED);
            }
        }
        shared.wishes.push(Wish::Join(Box::new(heir)));
        self.start_next_task(shared);
    }

    /// Gives the CHILD_SAs to the successor that the peer has made, if it has.
    pub(crate) fn adopt_rival(&mut self, shared: &mut Shared) -> bool {
        let Some(heir) = self.rival.take() else {
            return false;
        };
        let estate = self.bequeath(shared);
        shared.wishes.push(Wish::Inherit(heir, Box::new(estate)));
        self.lifetime.superseded = Timer::after(shared.now, SUPERSEDED);
        true
    }

    /// Parts with everything that its successor takes over.
    fn bequeath(&mut self, shared: &mut Shared) -> Estate {
        self.transition_to(IkeSaState::succeed);
        if let Some(ends) = shared.established.remove(self.unique_id) {
            shared.superseded.insert(self.unique_id, ends);
        }
        let closing: Vec<u32> = self
            .kernel_work
            .values()
            .filter_map(|work| match work {
                KernelWork::CloseByPeer(ids) => Some(ids),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        // What the peer is deleting right now is answered for here.
        let (staying, children) = std::mem::take(&mut self.children)
            .into_iter()
            .partition(|child: &ChildSa| closing.contains(&child.unique_id));
        self.children = staying;
        let mut tasks = std::mem::take(&mut self.tasks);
        tasks.extend(self.later.drain(..).map(|(_, task)| task));
        tasks.retain(|task| {
            if let Task::RekeyIke(Some(command)) = task {
                shared.out.command_done(*command, Ok(()));
            }
            !matches!(task, Task::RekeyIke(_) | Task::Liveness)
        });
        let reauth_at = self.lifetime.reauth.deadline();
        self.lifetime.stop();
        self.natt.keepalive = Timer::OFF;
        Estate {
            children,
            tasks,
            initiate: self.initiate.take(),
            reauth_at,
            old: self.info(),
            given: std::mem::take(&mut self.given),
            unwanted: self.unwanted,
        }
    }

    /// Takes over from the IKE_SA that it replaces.
    pub(crate) fn inherit(&mut self, shared: &mut Shared, estate: Estate) {
        self.undecided = false;
        self.children = estate.children;
        for child in &mut self.children {
            child.listed = false;
        }
        self.tasks = estate.tasks;
        self.initiate = estate.initiate;
        self.given = estate.given;
        self.unwanted = estate.unwanted;
        self.schedule(shared, &mut None);
        // It may have moved before its predecessor's CHILD_SAs were its own, or have to.
        self.update_children(shared);
        if self.mobike.moved {
            self.want_update();
        }
        log!(
            shared,
            self,
            Ike,
            0,
            "IKE_SA {} rekeyed between {}",
            self.label(),
            self.ends()
        );
        if let Some(at) = estate.reauth_at {
            self.keep_reauthentication(shared, at);
        }
        if let (Some(local), Some(remote)) = (&self.local_id, &self.remote_id) {
            let ends = (Arc::clone(local), Arc::clone(remote));
            shared.established.insert(self.unique_id, ends);
        }
        let (old, new) = (Box::new(estate.old), Box::new(self.info()));
        let counter = match self.role {
            Role::Initiator => Counter::IkeRekeyInit,
            Role::Responder => Counter::IkeRekeyResp,
        };
        self.count(shared, counter);
        shared.out.event(Event::IkeRekeyed(old, new));
    }

    /// The peer made it, and deletes it because another takes precedence.
    pub(crate) fn be_redundant(&mut self, shared: &Shared) {
        self.undecided = false;
        self.lifetime.superseded = Timer::after(shared.now, REDUNDANT);
    }

    /// The IKE_SA goes on, under the peer's successor if there is one; else it is rekeyed a little later.
    pub(super) fn ike_rekeying_failed(&mut self, shared: &mut Shared) {
        if self.adopt_rival(shared) || self.state != IkeSaState::Rekeying {
            return;
        }
        self.transition_to(IkeSaState::keep);
        let answering = self.answering.as_ref().is_some_and(|creation| creation.is_ike());
        if answering {
            return;
        }
        let delay = retry_delay(shared);
        self.lifetime.rekey = Timer::at(shared.now + delay);
        log!(
            shared,
            self,
            Ike,
            1,
            "IKE_SA rekeying failed, trying again in {} seconds",
            delay.as_secs()
        );
    }

    /// The peer does not rekey IKE_SAs.
    pub(super) fn reauthenticate_instead(&mut self, shared: &mut Shared, mut creation: Creation) {
        log!(
            shared,
            self,
            Ike,
            1,
            "peer seems to not support IKE rekeying, starting reauthentication"
        );
        self.active = None;
        self.discard(shared, &mut creation);
        self.transition_to(IkeSaState::keep);
        self.reauthenticate(shared);
    }
}

impl Estate {
    /// Nobody inherits.
    pub(crate) fn dissolve(self, shared: &mut Shared) {
        for child in self.children.iter().filter(|child| child.is_installed()) {
            let (ike, info) = (Box::new(self.old.clone()), Box::new(child.info()));
            shared.out.event(Event::ChildDown(ike, info));
        }
        let mut farewell = Farewell::of(shared, &self.old, self.children);
        for command in self.tasks.iter().filter_map(Task::command) {
            shared.out.command_done(command, Err(CommandError::NotFound));
        }
        if !self.given.dns.is_empty() {
            let ike = Box::new(self.old.clone());
            shared.out.event(Event::DnsServers(ike, false));
        }
        farewell.given = Some((self.given, self.old.remote_id.clone()));
        farewell.begin(shared);
        shared.out.event(Event::IkeDown(Box::new(self.old)));
    }
}

impl IkeSa {
    /// An IKE_SA that has everything of the old one that a rekeying does not change.
    fn heir(old: &Self, now: Instant, unique_id: u32, role: Role, (spi_i, spi_r): (u64, u64)) -> Self {
        let mut heir = Self::new(
            unique_id,
            role,
            now,
            0,
            old.local,
            old.remote,
            crate::exchange::Phase::Idle,
        );
        (heir.spi_i, heir.spi_r) = (spi_i, spi_r);
        heir.transition_to(IkeSaState::succeed_another);
        heir.lifetime.established = Some(now);
        heir.negotiation = None;
        heir.name = Arc::clone(&old.name);
        heir.config.clone_from(&old.config);
        heir.fingerprint = old.fingerprint;
        heir.origin = old.origin;
        heir.ppk = old.ppk;
        heir.inherit_if_ids(old);
        heir.redirects = Rare::from(old.redirects.inherited());
        heir.profile = old.profile;
        heir.natt = old.natt.clone();
        heir.mobike = old.mobike.clone();
        heir.paths = Rare::from(old.paths.inherited());
        heir.peer = old.peer.clone();
        heir.local_id.clone_from(&old.local_id);
        heir.remote_id.clone_from(&old.remote_id);
        heir
    }
}
