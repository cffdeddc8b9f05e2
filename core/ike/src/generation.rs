//! Which revision of a KEM a number of the wire means. NIST's second and third rounds have different Kybers under the same
//! numbers, and nothing that peers send tells them apart.

use std::sync::Arc;

use config::connection::PeerConfig;
use iana::{KeyExchangeMethod, Profile};
use plugin_api::KeyExchange;

use crate::sa::IkeSa;
use crate::shared::{Shared, log};

/// The profile of a connection that speaks the drafts, whether it pins one or not.
fn of_connection(shared: &Shared, config: Option<&PeerConfig>) -> Profile {
    config
        .and_then(|config| config.profile)
        .unwrap_or(shared.settings.draft)
}

/// What the first KEM among the configured methods lacks that loaded plugins have only in another revision than the one
/// that a connection means.
pub(crate) fn missing(
    shared: &Shared,
    config: &PeerConfig,
    mut methods: impl Iterator<Item = KeyExchangeMethod>,
) -> Option<String> {
    let profile = of_connection(shared, Some(config));
    let has = |method| shared.registry.key_exchange(method).is_some();
    let method = methods.find(|method| {
        let second = Profile::DraftRound2.implementation(*method);
        let either = second != *method && (has(*method) || has(second));
        either && !has(profile.implementation(*method))
    })?;
    let (generation, round, plugin) = match profile {
        Profile::DraftRound2 => ("round2", "second", "kyber-round2"),
        Profile::Draft | Profile::Rfc => ("round3", "third", "oqs"),
    };
    Some(format!(
        "kyber_generation = {generation} needs {method} of NIST's {round} round, which the plugin '{plugin}' brings"
    ))
}

impl IkeSa {
    /// What implements a method, in the revision that the connection means.
    pub(crate) fn key_exchange(
        &self,
        shared: &Shared,
        method: KeyExchangeMethod,
    ) -> Option<Arc<dyn KeyExchange>> {
        let profile = of_connection(shared, self.config.as_deref());
        shared.registry.key_exchange(profile.implementation(method))
    }

    /// The profile that additional key exchanges show, unless the connection pins one.
    pub(crate) fn profile_shown(
        &self,
        shared: &Shared,
        methods: impl IntoIterator<Item = KeyExchangeMethod>,
    ) -> Profile {
        self.pinned_profile()
            .unwrap_or_else(|| match Profile::of_methods(methods) {
                Profile::Rfc => Profile::Rfc,
                Profile::Draft | Profile::DraftRound2 => shared.settings.draft,
            })
    }

    /// Whether another connection than the one so far would have used this profile.
    pub(crate) fn profile_suits(&self, shared: &Shared, config: &PeerConfig) -> bool {
        match config.profile {
            Some(pinned) => pinned == self.profile,
            None => [Profile::Rfc, shared.settings.draft].contains(&self.profile),
        }
    }

    /// Says which Kyber this end computes, where the peer's may be another.
    pub(crate) fn log_generation(&self, shared: &mut Shared, method: KeyExchangeMethod) {
        let here = of_connection(shared, self.config.as_deref());
        if Profile::DraftRound2.implementation(method) == method {
            return;
        }
        let (here, there, other) = match here {
            Profile::DraftRound2 => ("second", "third", "round3"),
            Profile::Draft | Profile::Rfc => ("third", "second", "round2"),
        };
        log!(
            shared,
            self,
            Ike,
            1,
            "{method} is Kyber of NIST's {here} round here; if the peer has the {there} round's, \
             set kyber_generation = {other}"
        );
    }
}
