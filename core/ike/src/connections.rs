//! The connections of an Endpoint, and which of them an IKE_SA_INIT may be for.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use config::connection::{ChildConfig, Host, PeerConfig, VICI};
use crypto::proposal::Proposal;
use crypto::select::{NoMatch, Selection};
use iana::Profile;

use crate::common::Expanded;
use crate::endpoint::is_of;
use crate::names::{Fit, Names};
use crate::proposals;
use crate::shared::Shared;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    all: Vec<Arc<PeerConfig>>,
    /// Made when it is first asked for after a change, so that a request costs the same however many connections there are.
    table: OnceCell<Table>,
}

/// See [`Connections::fitting`].
struct Fitting<'a> {
    groups: Vec<(u32, &'a Group)>,
    unknown: bool,
    stale: Vec<Arc<PeerConfig>>,
}

/// Connections by what an IKE_SA_INIT tells of them: addresses and proposals.
#[derive(Debug)]
struct Table {
    groups: Vec<Group>,
    /// The groups whose peer has one of a few addresses.
    by_remote: BTreeMap<IpAddr, Vec<usize>>,
    /// All other groups.
    others: Vec<usize>,
}

/// Connections with equal addresses and proposals.
#[derive(Debug)]
struct Group {
    /// The first of them.
    config: Arc<PeerConfig>,
    /// What they accept of a peer.
    accepted: OnceCell<Expanded>,
}

impl Connections {
    /// All of them, in the order in which they were added.
    pub(crate) fn all(&self) -> &[Arc<PeerConfig>] {
        &self.all
    }

    /// The same, to be changed.
    pub(crate) fn edit(&mut self) -> &mut Vec<Arc<PeerConfig>> {
        self.table.take();
        &mut self.all
    }

    /// What a connection is by now, and one of its CHILD_SAs; nothing if it has gone. Those of ipsec.conf may have it from
    /// another with the same settings for the peer.
    pub(crate) fn current(
        &self,
        peer: &PeerConfig,
        child: Option<&ChildConfig>,
    ) -> Option<(Arc<PeerConfig>, Option<Arc<ChildConfig>>)> {
        let Some(child) = child else {
            let found = self.all.iter().find(|known| is_of(known, peer))?;
            return Some((Arc::clone(found), None));
        };
        let of_file = |known: &&Arc<PeerConfig>| known.source != VICI && peer.source != VICI;
        let own = self.all.iter().filter(|known| is_of(known, peer));
        own.chain(self.all.iter().filter(of_file)).find_map(|known| {
            let found = known.children.iter().find(|it| it.name == child.name)?;
            Some((Arc::clone(known), Some(Arc::clone(found))))
        })
    }

    /// The groups that suit these addresses, the best first, and of equal ones the first; whether there may be more, once
    /// names are known; and those that would, if names stood for other addresses.
    fn fitting(&self, names: &Names, local: IpAddr, remote: IpAddr) -> Fitting<'_> {
        let table = self.table.get_or_init(|| Table::new(&self.all));
        let exact = table
            .by_remote
            .get(&remote)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut places: Vec<usize> = table.others.iter().chain(exact).copied().collect();
        places.sort_unstable();
        let (mut unknown, mut stale) = (false, Vec::new());
        let mut fitting = Vec::new();
        for group in places.into_iter().map(|place| &table.groups[place]) {
            match names.fit(&group.config, local, remote) {
                Fit::Yes(fit) => fitting.push((fit, group)),
                Fit::Unknown => unknown = true,
                Fit::Stale => stale.push(Arc::clone(&group.config)),
                Fit::No => {}
            }
        }
        fitting.sort_by_key(|(fit, _)| std::cmp::Reverse(*fit));
        Fitting {
            groups: fitting,
            unknown,
            stale,
        }
    }
}

impl Table {
    fn new(all: &[Arc<PeerConfig>]) -> Self {
        let mut table = Self {
            groups: Vec::new(),
            by_remote: BTreeMap::new(),
            others: Vec::new(),
        };
        let mut known = HashSet::new();
        for config in all {
            let addresses = (&config.local_addrs, &config.remote_addrs);
            if !known.insert((config.version, addresses, &config.proposals, config.profile)) {
                continue;
            }
            let place = table.groups.len();
            table.groups.push(Group {
                config: Arc::clone(config),
                accepted: OnceCell::new(),
            });
            let address = |host: &Host| match host {
                Host::Address(address) => Some(*address),
                _ => None,
            };
            let addresses: Option<Vec<IpAddr>> = config.remote_addrs.iter().map(address).collect();
            match addresses {
                Some(mut addresses) => {
                    addresses.sort_unstable();
                    addresses.dedup();
                    for address in addresses {
                        table.by_remote.entry(address).or_default().push(place);
                    }
                }
                None => table.others.push(place),
            }
        }
        table
    }
}

/// Why an IKE_SA_INIT is for no connection.
pub(crate) enum Refused {
    /// No connection is between these addresses; these would be if their names stood for others.
    Addresses(Vec<Arc<PeerConfig>>),
    /// It is not known yet what the names in connections stand for.
    NotYet,
    /// None of those between these addresses has such proposals.
    Proposals {
        configured: Vec<Expanded>,
        reasons: NoMatch,
    },
}

/// The connection that an IKE_SA_INIT between these addresses is taken to be for until the peer is known, and what it
/// selects of the peer's proposals.
///
/// Which connection it really is for depends on identities that the peer has not sent yet. So of connections that suit the
/// addresses equally well, one whose additional key exchanges the peer offers goes first: another would leave them out for
/// all, and the one that demands them could not be used.
pub(crate) fn choose(
    shared: &Shared,
    (local, remote): (IpAddr, IpAddr),
    supplied: &[Proposal],
    how: &Selection<'_>,
) -> Result<(Arc<PeerConfig>, Proposal), Refused> {
    let Fitting {
        groups: fitting,
        unknown,
        stale,
    } = shared.connections.fitting(&shared.names, local, remote);
    if fitting.is_empty() {
        return Err(if unknown {
            Refused::NotYet
        } else {
            Refused::Addresses(stale)
        });
    }
    let (mut configured, mut reasons) = (Vec::new(), NoMatch::default());
    for equals in fitting.chunk_by(|(one, _), (other, _)| one == other) {
        let mut chosen = None;
        for (_, group) in equals {
            let accepted = group
                .accepted
                .get_or_init(|| proposals::accepted_by(shared, &group.config));
            let how = Selection {
                require_distinct: group.config.profile != Some(Profile::Draft),
                ..*how
            };
            match crypto::select::select(&accepted.0, supplied, &how) {
                Ok(proposal) if proposal.has_additional() => {
                    return Ok((Arc::clone(&group.config), proposal));
                }
                Ok(proposal) => chosen = chosen.or(Some((group, proposal))),
                Err(no_match) => {
                    configured.push(Arc::clone(accepted));
                    reasons.private_skipped |= no_match.private_skipped;
                    for transform in no_match.unimplemented {
                        if !reasons.unimplemented.contains(&transform) {
                            reasons.unimplemented.push(transform);
                        }
                    }
                }
            }
        }
        if let Some((group, proposal)) = chosen {
            return Ok((Arc::clone(&group.config), proposal));
        }
    }
    Err(Refused::Proposals { configured, reasons })
}
