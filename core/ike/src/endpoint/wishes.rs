//! What an IKE_SA wants of the others, done when it has handled its input.

use config::identity::Identity;

use crate::alert::Alert;
use crate::endpoint::{Endpoint, same_peer};
use crate::lookup::SaKey;
use crate::sa::IkeSa;
use crate::shared::{Again, Shared, Wish, log};
use crate::task::Task;

impl Endpoint {
    pub(super) fn fulfil(&mut self, wish: Wish) {
        match wish {
            Wish::Reinitiate(again) => {
                let Again {
                    what,
                    command,
                    children,
                    instead_of,
                    addresses,
                } = *again;
                self.start(what, command, |sa| {
                    let children = children.into_iter();
                    sa.tasks
                        .extend(children.map(|(config, command)| Task::CreateChild(config, command)));
                    sa.tasks.extend(instead_of.map(Task::Retire));
                    sa.instead_of = instead_of;
                    sa.given.before = addresses;
                });
            }
            Wish::Trap(what) => self.install_trap_for(&what, None),
            Wish::Retire(old) => self.with_sa(old, |sa, shared| sa.enqueue(shared, Task::DeleteIke(None))),
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
                if let Some((local, remote)) = self.shared.established.get(&old).cloned() {
                    self.take_over(&local, &remote);
                }
                self.with_sa(old, IkeSa::answer_delete);
            }
            Wish::TakeOver(local, remote) => self.take_over(&local, &remote),
            Wish::InitialContact {
                local,
                remote,
                except,
            } => {
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
            Wish::Replace {
                config,
                local,
                remote,
                except,
            } => {
                let address = self.sas.get(&except).map(|entry| entry.sa.remote);
                for key in self.between(&local, &remote, except) {
                    self.with_sa(key, |sa, shared| {
                        if sa.config.as_ref().is_some_and(|own| same_peer(own, &config)) {
                            if Some(sa.remote) == address {
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
                            sa.reauthenticate = false;
                            sa.enqueue(shared, Task::DeleteIke(None));
                        }
                    });
                }
            }
        }
    }

    fn take_over(&mut self, local: &Identity, remote: &Identity) {
        let Shared {
            overlapping,
            established,
            ..
        } = &self.shared;
        let between = |key: &&SaKey| {
            let ends = established.get(key);
            ends.is_some_and(|(own, peer)| own == local && peer == remote)
        };
        for key in overlapping.iter().filter(between).copied().collect::<Vec<_>>() {
            self.with_sa(key, |sa, shared| {
                sa.take_over(shared);
            });
        }
    }

    /// The established IKE_SAs between two identities, one left out.
    fn between(&self, local: &Identity, remote: &Identity, except: SaKey) -> Vec<SaKey> {
        self.shared
            .established
            .iter()
            .filter(|(key, (own, peer))| **key != except && own == local && peer == remote)
            .map(|(key, _)| *key)
            .collect()
    }
}
