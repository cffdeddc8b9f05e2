//! What comes after SAs that this end did not want to lose: `dpd_action` where the peer is dead, `close_action` where it
//! has deleted them.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::connection::{Action, ChildConfig, Host, PeerConfig};

use crate::endpoint::Initiate;
use crate::exchange::configuration::any_of_family;
use crate::exchange::creation::retry_delay;
use crate::rare::Rare;
use crate::sa::IkeSa;
use crate::sa::unwanted::Wanted;
use crate::shared::{Again, Shared, Wish, log};
use crate::task::Task;
use crate::timer::Timer;
use crypto::int_auth::Role;

/// Why SAs are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The peer does not answer any more.
    Dead,
    /// The peer has deleted them.
    Deleted,
}

impl Gone {
    fn action(self, child: &ChildConfig) -> Action {
        match self {
            Self::Dead => child.dpd_action,
            Self::Deleted => child.close_action,
        }
    }
}

impl IkeSa {
    /// The IKE_SA goes, and is established anew if any of its CHILD_SAs is to be, or one was wanted and not yet made.
    pub(crate) fn reestablish(&mut self, shared: &mut Shared, why: Gone) {
        // The gateway that it was sent to gets them, or nobody is to.
        if self.redirects.is_moving() || self.unwanted {
            return;
        }
        let lost: Vec<_> = self.children.iter().filter(|child| child.stays()).collect();
        for child in lost.iter().filter(|child| why.action(&child.config).traps()) {
            self.wish_trap(shared, &child.config);
        }
        let another = self.has_another(shared);
        let mut children: Vec<Wanted> = Vec::new();
        for child in &lost {
            // Another IKE_SA between the same ends has it anew, as after a reauthentication.
            let users = shared.reqids.users(&child.first_selectors);
            if another && users > 1 {
                continue;
            }
            let known = children
                .iter()
                .any(|(config, _)| config.name == child.config.name);
            if why.action(&child.config).starts() && !known {
                log!(shared, self, Ike, 1, "restarting CHILD_SA {}", child.config.name);
                children.push((Arc::clone(&child.config), None));
            }
        }
        children.extend(self.take_wanted());
        if children.is_empty() {
            return;
        }
        let Some(mut what) = self.what_to_restart() else {
            log!(
                shared,
                self,
                Ike,
                1,
                "unable to reestablish IKE_SA due to asymmetric setup"
            );
            // They fail with the IKE_SA.
            let tasks = children.into_iter();
            self.tasks
                .extend(tasks.map(|(config, command)| Task::CreateChild(config, command)));
            return;
        };
        let (first, command) = children.remove(0);
        what.child = Some(first);
        shared.wishes.push(Wish::Reinitiate(Box::new(Again {
            what,
            command,
            children,
            instead_of: None,
            luggage: None,
            addresses: self.given.own.clone(),
        })));
    }

    /// Connects once more, by the way that there is now: names may stand for other addresses, and routes leave from others.
    pub(crate) fn find_way(&mut self, shared: &mut Shared) {
        let Some(config) = self.config.clone() else {
            return self.destroy();
        };
        let to = self.redirects.gateway(self.remote.ip());
        // Where the configuration does not know the peer, a packet has named it.
        let to = to.or_else(|| (!self.has_known_peer()).then(|| Host::Address(self.remote.ip())));
        let there = match to {
            Some(gateway) => Arc::new(PeerConfig {
                remote_addrs: vec![gateway],
                ..PeerConfig::clone(&config)
            }),
            None => config,
        };
        self.finds_way = true;
        shared.out.resolve(self.unique_id, there);
    }

    /// The way is known; if there is none, the one of before may still be good, as where only the peer knew it.
    pub(crate) fn on_way_found(&mut self, shared: &mut Shared, found: Result<(IpAddr, IpAddr), String>) {
        match (found, &mut self.initiate) {
            (Ok((local, remote)), Some(what)) => {
                what.local.set_ip(local);
                what.remote.set_ip(remote);
                (self.local, self.remote) = (what.local, what.remote);
            }
            (Ok(_), None) => {}
            (Err(problem), Some(what)) if what.remote.ip().is_unspecified() => {
                log!(shared, self, Ike, 1, "{problem}, establishing IKE_SA failed");
                return self.destroy();
            }
            (Err(problem), _) => log!(shared, self, Ike, 2, "{problem}, using old addresses"),
        }
        self.connect(shared);
    }

    /// The CHILD_SAs that somebody wanted of this IKE_SA and that are not made yet.
    pub(super) fn take_wanted(&mut self) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        if let Some(creation) = &mut self.creating
            && !creation.unwanted
            && let Some(config) = creation.makes_new()
        {
            wanted.push((config, creation.command.take()));
        }
        let later = std::mem::take(&mut *self.later).into_iter().map(|(_, task)| task);
        let (create, others): (Vec<_>, Vec<_>) = std::mem::take(&mut *self.tasks)
            .into_iter()
            .chain(later)
            .partition(|task| matches!(task, Task::CreateChild(..)));
        self.tasks = Rare::from(VecDeque::from(others));
        wanted.extend(create.into_iter().filter_map(|task| match task {
            Task::CreateChild(config, command) => Some((config, command)),
            _ => None,
        }));
        wanted
    }

    /// Whether there is another IKE_SA between the same identities.
    pub(crate) fn has_another(&self, shared: &Shared) -> bool {
        let established = &shared.established;
        let own = established.get(self.unique_id);
        own.is_some_and(|own| established.between(own).any(|key| key != self.unique_id))
    }

    /// The peer has deleted a CHILD_SA.
    pub(crate) fn after_deletion(&mut self, shared: &mut Shared, config: &Arc<ChildConfig>) {
        if self.unwanted {
            return;
        }
        if config.close_action.traps() {
            self.wish_trap(shared, config);
        }
        if config.close_action.starts() {
            self.tasks.push_back(Task::CreateChild(Arc::clone(config), None));
        }
    }

    /// A CHILD_SA has reached its hard limit, and its rekeying has not come to anything. Both ends may notice at once; so
    /// the one that did not initiate the IKE_SA looks again a little later.
    pub(crate) fn recreate(&mut self, shared: &mut Shared, config: Arc<ChildConfig>) {
        log!(
            shared,
            self,
            Ike,
            1,
            "scheduling CHILD_SA recreate after hard expire"
        );
        let task = Task::CreateChild(config, None);
        match self.role {
            Role::Initiator => self.tasks.push_back(task),
            Role::Responder => {
                let when = Timer::at(shared.now + retry_delay(shared));
                self.later.push((when, task));
            }
        }
    }

    /// Whether a CHILD_SA of a configuration is there already, and stays.
    pub(crate) fn has_installed(&self, config: &Arc<ChildConfig>) -> bool {
        let mut children = self.children.iter();
        children.any(|child| child.stays() && child.config == *config)
    }

    /// Wishes the trap of a CHILD_SA that is gone.
    fn wish_trap(&self, shared: &mut Shared, child: &Arc<ChildConfig>) {
        let Some(mut what) = self.what_to_restart() else {
            return log!(
                shared,
                self,
                Cfg,
                1,
                "installing trap failed, remote address unknown"
            );
        };
        if !self.has_known_peer() {
            // Its packets name the peer, or it is refused.
            let any = any_of_family(what.remote.ip());
            let own = what.peer.local_addrs.iter().find_map(|host| match host {
                Host::Address(own) if own.is_ipv4() == any.is_ipv4() => Some(*own),
                _ => None,
            });
            what.remote.set_ip(any);
            what.local.set_ip(own.unwrap_or(any));
        }
        what.child = Some(Arc::clone(child));
        shared.wishes.push(Wish::Trap(Box::new(what)));
    }

    /// Whether the configuration says where the peer is.
    fn has_known_peer(&self) -> bool {
        let mut hosts = self.config.iter().flat_map(|config| &config.remote_addrs);
        hosts.any(|host| match host {
            Host::Address(address) => !address.is_unspecified(),
            Host::Name(_) => true,
            _ => false,
        })
    }

    /// What to establish in the place of this IKE_SA. An end that did not initiate it can where it knows the peer's address
    /// and needs nothing that only an initiator can ask for.
    fn what_to_restart(&self) -> Option<Initiate> {
        if let Some(mut what) = self.initiate.as_deref().cloned() {
            let own = self.paths.way_out.unwrap_or(self.local.ip());
            self.redirects.send_home(&mut what, own);
            return Some(what);
        }
        let peer = self.config.clone()?;
        let reachable = !self.natt.remote || self.has_known_peer();
        let symmetric = peer.vips.is_empty() && peer.pools.is_empty();
        (reachable && symmetric).then(|| Initiate {
            child: None,
            local: SocketAddr::new(self.paths.way_out.unwrap_or(self.local.ip()), peer.local_port),
            remote: SocketAddr::new(self.remote.ip(), peer.remote_port),
            peer,
        })
    }
}
