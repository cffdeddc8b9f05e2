//! Which connections an IKE_AUTH request may be for, now that the identities are known.

use std::sync::Arc;

use config::connection::PeerConfig;
use config::identity::{Identity, Match};

use crate::names::Fit;
use crate::sa::IkeSa;
use crate::shared::{Shared, log};

impl IkeSa {
    /// Connections between these addresses and identities that accept the selected proposal, best match first.
    pub(super) fn candidates(
        &self,
        shared: &mut Shared,
        peer: &Identity,
        wanted: Option<&Identity>,
    ) -> Vec<Arc<PeerConfig>> {
        log!(
            shared,
            self,
            Cfg,
            1,
            "looking for peer configs matching {}[{}]...{}[{peer}]",
            self.local.ip(),
            wanted.map_or_else(|| "%any".to_owned(), Identity::to_string),
            self.remote.ip()
        );
        let mut candidates: Vec<((Match, Fit), Arc<PeerConfig>)> = Vec::new();
        let (mut others, mut stale) = (None, Vec::new());
        for config in shared.connections.all() {
            let fit = self.fits_addresses(shared, config);
            if fit == Fit::Stale {
                stale.push(Arc::clone(config));
            }
            if !matches!(fit, Fit::Yes(_)) {
                continue;
            }
            let remote_match = config
                .remote_auth
                .first()
                .and_then(|auth| auth.id.as_ref())
                .map_or(Match::Any, |pattern| peer.matches(pattern));
            let local_fits = wanted.is_none_or(|wanted| {
                let own = self.own_id(config, None);
                wanted.is_any() || own.matches(wanted) != Match::No || wanted.matches(&own) != Match::No
            });
            if remote_match == Match::No || !local_fits {
                continue;
            }
            let accepted = self
                .proposal
                .as_ref()
                .is_some_and(|it| self.suits(shared, config, it));
            if accepted {
                candidates.push(((remote_match, fit), Arc::clone(config)));
            } else {
                others = others.or(Some(config));
            }
        }
        if let (Some(other), Some(selected)) = (others.cloned(), self.proposal.clone()) {
            let selected = selected.to_log(&shared.registry);
            log!(
                shared,
                self,
                Cfg,
                1,
                "ignore candidate '{}' without matching IKE proposal, {selected} was selected",
                other.name
            );
        }
        if candidates.is_empty() {
            let now = shared.now;
            for config in &stale {
                shared.names.want(config, now);
            }
            log!(shared, self, Cfg, 1, "no matching peer config found");
        }
        // Stable, so that the order of the configuration decides among equals.
        candidates.sort_by(|(a, _), (b, _)| b.cmp(a));
        candidates.into_iter().map(|(_, config)| config).collect()
    }
}
