//! What an IKE_SA wants of the others, done when it has handled its input.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use config::identity::Identity;
use crypto::int_auth::Role;

use crate::alert::Alert;
use crate::endpoint::{Endpoint, same_peer};
use crate::extension::redirect::{Luggage, Redirects};
use crate::lookup::SaKey;
use crate::output::CommandError;
use crate::rare::Rare;
use crate::sa::{IkeSa, IkeSaState};
use crate::shared::{Again, Shared, Wish, log, log_plain};
use crate::task::Task;

impl Endpoint {
    pub(super) fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Reinitiate(again) => {
                let Some((again, finds_way)) = self.brought_up_to_date(*again) else {
                    return;
                };
                let Again {
                    what,
                    command,
                    children,
                    instead_of,
                    luggage,
                    addresses,
                } = again;
                self.start(what, command, finds_way, |sa, shared| {
                    if let Some(command) = command {
                        shared.out.command_moved(command, sa.unique_id);
                    }
                    if let Some(Luggage { followed, tasks }) = luggage {
                        sa.redirects = Rare::from(Redirects::after(followed));
                        sa.tasks.extend(tasks);
                    }
                    let children = children.into_iter();
                    sa.tasks
                        .extend(children.map(|(config, command)| Task::CreateChild(config, command)));
                    sa.tasks.extend(instead_of.map(Task::Retire));
                    sa.instead_of = instead_of;
                    sa.given.before = addresses;
                });
            }
            Wish::Trap(what) => {
                let child = what.child.as_deref();
                let current = self.shared.connections.current(&what.peer, child);
                if current.is_some_and(|(peer, _)| same_peer(&peer, &what.peer)) {
                    self.install_trap_for(&what, None);
                }
            }
            Wish::Retire(old) => self.with_sa(old, |sa, shared| sa.close(shared, None)),
            Wish::RetryReauthentication(old) => self.with_sa(old, IkeSa::retry_reauthentication),
            Wish::Join(sa) => {
                let key = sa.unique_id;
                self.insert(key, *sa);
                self.with_sa(key, IkeSa::start_next_task);
            }
            Wish::Inherit(heir, estate) => {
                if self.sas.contains_key(&heir) {
                    self.with_sa(heir, |sa, shared| {
                        sa.inherit(shared, *estate);
                        sa.start_next_task(shared);
                    });
                } else {
                    estate.dissolve(&mut self.shared);
                }
            }
            Wish::Redundant(key) => self.with_sa(key, |sa, shared| sa.be_redundant(shared)),
            Wish::HandOver(old) => {
                if let Some((local, remote)) = self.shared.established.get(old).cloned() {
                    self.take_over(&local, &remote);
                }
                self.with_sa(old, IkeSa::answer_delete);
            }
            Wish::TakeOver(local, remote) => self.take_over(&local, &remote),
            Wish::Admit {
                config,
                local,
                remote,
                newcomer,
            } => {
                let Some(new) = self.sas.get(&newcomer) else {
                    return;
                };
                let (address, instead_of) = (new.sa.remote, new.sa.instead_of);
                let stays = |key: SaKey| {
                    let sa = self.sas.get(&key).map(|entry| &entry.sa);
                    // From the same address the peer may be authenticating again.
                    sa.is_some_and(|sa| {
                        Some(key) != instead_of
                            && sa.remote != address
                            && sa.config.as_ref().is_some_and(|own| same_peer(own, &config))
                    })
                };
                let kept = self.between(&local, &remote, newcomer).into_iter().any(stays);
                self.with_sa(newcomer, |sa, shared| sa.on_admission(shared, !kept));
            }
            Wish::InitialContact {
                local,
                remote,
                except,
            } => {
                // A peer that was restarted will not delete what it had rekeyed either.
                for key in self.superseded_between(&local, &remote) {
                    self.with_sa(key, |sa, _| sa.destroy());
                }
                for key in self.between(&local, &remote, except) {
                    self.with_sa(key, |sa, shared| {
                        log!(
                            shared,
                            sa,
                            Ike,
                            1,
                            "destroying duplicate IKE_SA for peer '{remote}', received INITIAL_CONTACT"
                        );
                        sa.alert(shared, Alert::UniqueReplace);
                        sa.destroy();
                    });
                }
            }
            Wish::PeerDead {
                local,
                remote,
                address,
            } => {
                for key in self.superseded_between(&local, &remote) {
                    self.with_sa(key, |sa, _| {
                        if sa.remote.ip() == address {
                            sa.destroy();
                        }
                    });
                }
            }
            Wish::Replace {
                config,
                local,
                remote,
                except,
                instead_of,
            } => {
                let Some(new) = self.sas.get(&except) else { return };
                let address = new.sa.remote;
                let initiator = new.sa.role == Role::Initiator;
                for key in self.between(&local, &remote, except) {
                    self.with_sa(key, |sa, shared| {
                        use IkeSaState as S;
                        let stands = matches!(sa.state, S::Established | S::Rekeying);
                        if stands && sa.config.as_ref().is_some_and(|own| same_peer(own, &config)) {
                            if Some(sa.unique_id) == instead_of || initiator && sa.remote == address {
                                return;
                            }
                            if sa.remote == address {
                                return sa.suspect_reauthentication(shared, &remote);
                            }
                            log!(
                                shared,
                                sa,
                                Ike,
                                1,
                                "deleting duplicate IKE_SA for peer '{remote}' due to uniqueness policy"
                            );
                            sa.alert(shared, Alert::UniqueReplace);
                            sa.close(shared, None);
                        }
                    });
                }
            }
        }
    }

    /// What is to be established anew, by what its connection is now, and whether the way to its peer has to be found first;
    /// nothing if the connection has gone.
    fn brought_up_to_date(&mut self, mut again: Again) -> Option<(Again, bool)> {
        let first = again.what.child.take().map(|child| (child, again.command.take()));
        let (mut wanted, mut lost) = (Vec::new(), Vec::new());
        let mut peer = None;
        for (child, command) in first.into_iter().chain(std::mem::take(&mut again.children)) {
            match self.shared.connections.current(&again.what.peer, Some(&child)) {
                Some((now, Some(child))) => {
                    peer = peer.or(Some(now));
                    wanted.push((child, command));
                }
                _ => lost.push((child, command)),
            }
        }
        let childless = wanted.is_empty() && lost.is_empty();
        if childless {
            peer = self
                .shared
                .connections
                .current(&again.what.peer, None)
                .map(|(peer, _)| peer);
        }
        for (child, _) in &lost {
            let name = &child.name;
            log_plain!(
                self.shared,
                Cfg,
                1,
                "CHILD_SA '{name}' is not configured any more, not restarted"
            );
        }
        self.fail(lost);
        let Some(peer) = peer else {
            let name = again.what.peer.name.clone();
            log_plain!(
                self.shared,
                Cfg,
                1,
                "connection '{name}' was removed, not established anew"
            );
            let tasks = again.luggage.into_iter().flat_map(|luggage| luggage.tasks);
            for command in again
                .command
                .into_iter()
                .chain(tasks.filter_map(|task| task.command()))
            {
                self.shared.out.command_done(command, Err(CommandError::Failed));
            }
            return None;
        };
        let elsewhere = !same_peer(&peer, &again.what.peer);
        if elsewhere {
            let what = &mut again.what;
            what.local.set_port(peer.local_port);
            what.remote = SocketAddr::new(nowhere(what.remote.ip()), peer.remote_port);
        }
        again.what.peer = peer;
        if !wanted.is_empty() {
            let (child, command) = wanted.remove(0);
            (again.what.child, again.command) = (Some(child), command);
        }
        again.children = wanted;
        Some((again, elsewhere))
    }

    fn take_over(&mut self, local: &Arc<Identity>, remote: &Arc<Identity>) {
        let Shared {
            overlapping,
            established,
            ..
        } = &self.shared;
        let between = |key: &&SaKey| {
            let ends = established.get(**key);
            ends.is_some_and(|(own, peer)| own == local && peer == remote)
        };
        for key in overlapping.iter().filter(between).copied().collect::<Vec<_>>() {
            self.with_sa(key, |sa, shared| {
                sa.take_over(shared);
            });
        }
    }

    /// The established IKE_SAs between two identities that use the same family of addresses as the one left out.
    fn between(&self, local: &Arc<Identity>, remote: &Arc<Identity>, except: SaKey) -> Vec<SaKey> {
        let family = |key| self.sas.get(&key).map(|entry| entry.sa.remote.is_ipv4());
        let own = family(except);
        let ends = (local.clone(), remote.clone());
        let same = self.shared.established.between(&ends);
        same.filter(|key| *key != except && family(*key) == own).collect()
    }

    /// The IKE_SAs between two identities that have a successor already.
    fn superseded_between(&self, local: &Arc<Identity>, remote: &Arc<Identity>) -> Vec<SaKey> {
        let ends = (local.clone(), remote.clone());
        self.shared.superseded.between(&ends).collect()
    }
}

/// The address of a peer whose address is to be found.
fn nowhere(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
