//! What many IKE_SAs have alike, kept once: algorithms, names, identities, and what configured proposals stand for.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use config::connection::ProposalList;
use config::identity::Identity;
use crypto::proposal::{DefaultStyle, Proposal, Purpose};
use crypto::registry::Registry;
use crypto::suite::{Suite, SuiteError};
use iana::Protocol;

/// How many selected proposals, and how many configured lists of them, are remembered. Which are selected is up to peers.
const MAX_PROPOSALS: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Common {
    chosen: Vec<Chosen>,
    of_children: Vec<Arc<Proposal>>,
    configured: RefCell<Vec<Configured>>,
    names: Interned<str>,
    identities: Interned<Identity>,
}

/// A selected proposal of an IKE_SA with its algorithms.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) proposal: Arc<Proposal>,
    pub(crate) suite: Arc<Suite>,
}

/// The proposals of a configuration, and what is wrong with them.
pub(crate) type Expanded = Arc<(Vec<Proposal>, Vec<String>)>;

#[derive(Debug)]
struct Configured {
    list: ProposalList,
    protocol: Protocol,
    style: DefaultStyle,
    purpose: Purpose,
    expanded: Expanded,
}

impl Common {
    /// The algorithms of a proposal.
    pub(crate) fn algorithms(
        &mut self,
        proposal: &Proposal,
        registry: &Registry,
    ) -> Result<Chosen, SuiteError> {
        if let Some(known) = self.chosen.iter().find(|known| *known.proposal == *proposal) {
            return Ok(known.clone());
        }
        let chosen = Chosen {
            suite: Suite::new(proposal, registry)?,
            proposal: Arc::new(proposal.clone()),
        };
        push_bounded(&mut self.chosen, chosen.clone());
        Ok(chosen)
    }

    /// A selected proposal of a CHILD_SA, without its SPI.
    pub(crate) fn child_proposal(&mut self, mut proposal: Proposal) -> Arc<Proposal> {
        proposal.spi = Vec::new();
        if let Some(known) = self.of_children.iter().find(|known| ***known == proposal) {
            return Arc::clone(known);
        }
        let proposal = Arc::new(proposal);
        push_bounded(&mut self.of_children, Arc::clone(&proposal));
        proposal
    }

    /// What a list in a configuration stands for.
    pub(crate) fn expand(
        &self,
        purpose: Purpose,
        list: &ProposalList,
        protocol: Protocol,
        style: DefaultStyle,
        registry: &Registry,
    ) -> Expanded {
        let mut configured = self.configured.borrow_mut();
        let same = |known: &&Configured| {
            known.list == *list && (known.protocol, known.style, known.purpose) == (protocol, style, purpose)
        };
        if let Some(known) = configured.iter().find(same) {
            return Arc::clone(&known.expanded);
        }
        let (entries, append) = (&list.entries, list.append_defaults);
        let expanded = Proposal::expand_for(purpose, entries, append, protocol, registry, style);
        let expanded = Arc::new(expanded);
        let known = Configured {
            list: list.clone(),
            protocol,
            style,
            purpose,
            expanded: Arc::clone(&expanded),
        };
        push_bounded(&mut configured, known);
        expanded
    }

    /// The name of a configuration.
    pub(crate) fn name(&mut self, name: &str) -> Arc<str> {
        self.names.get(name, |name| Arc::from(name))
    }

    /// An identity of this end.
    pub(crate) fn identity(&mut self, identity: Identity) -> Arc<Identity> {
        self.identities
            .get(&identity, |identity| Arc::new(identity.clone()))
    }
}

/// The oldest makes room.
fn push_bounded<T>(known: &mut Vec<T>, new: T) {
    if known.len() == MAX_PROPOSALS {
        known.remove(0);
    }
    known.push(new);
}

/// Values that are there once, as long as anybody has them.
#[derive(Debug)]
struct Interned<T: ?Sized> {
    known: BTreeSet<Arc<T>>,
    /// How many there may be until those that nobody has are looked for.
    limit: usize,
}

impl<T: Ord + ?Sized> Default for Interned<T> {
    fn default() -> Self {
        Self {
            known: BTreeSet::new(),
            limit: MAX_PROPOSALS,
        }
    }
}

impl<T: Ord + ?Sized> Interned<T> {
    fn get(&mut self, value: &T, make: impl FnOnce(&T) -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(value) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.limit {
            self.known.retain(|known| Arc::strong_count(known) > 1);
            self.limit = MAX_PROPOSALS.max(2 * self.known.len());
        }
        let new = make(value);
        self.known.insert(Arc::clone(&new));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_any_more_is_forgotten() {
        let mut common = Common::default();
        let kept = common.name("kept");
        for n in 0..10 * MAX_PROPOSALS {
            common.name(&format!("gone-{n}"));
        }
        assert!(common.names.known.len() <= MAX_PROPOSALS);
        assert!(Arc::ptr_eq(&kept, &common.name("kept")));
    }

    #[test]
    fn a_list_is_expanded_once_and_its_style_matters() {
        let common = Common::default();
        let registry = Registry::new();
        let list = ProposalList {
            entries: vec!["aes256gcm16-sha512-x25519".into(), "nonsense".into()],
            append_defaults: false,
        };
        let expand = |style| common.expand(Purpose::Accept, &list, Protocol::IKE, style, &registry);
        let (first, second) = (expand(DefaultStyle::Rfc), expand(DefaultStyle::Rfc));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!((first.0.len(), first.1.len()), (1, 2));
        assert!(!Arc::ptr_eq(&first, &expand(DefaultStyle::Draft)));
        for n in 0..2 * MAX_PROPOSALS {
            let list = ProposalList {
                entries: vec![n.to_string()],
                append_defaults: false,
            };
            common.expand(
                Purpose::Accept,
                &list,
                Protocol::IKE,
                DefaultStyle::Rfc,
                &registry,
            );
        }
        assert_eq!(common.configured.borrow().len(), MAX_PROPOSALS);
    }
}
