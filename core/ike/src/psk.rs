//! Keys for AUTH payloads, made of shared secrets (RFC 7296, 2.15).

use std::sync::Arc;

use config::secret::SharedSecret;
use crypto::suite::Suite;
use iana::PseudoRandomFunction;
use plugin_api::{PluginError, PrfKey};

/// How many are kept.
const MAX: usize = 16;

/// Those used last. Both ends of an IKE_SA, and often all peers, use the same.
#[derive(Default)]
pub(crate) struct PskKeys(Vec<Known>);

struct Known {
    secret: Arc<SharedSecret>,
    prf: PseudoRandomFunction,
    key: Arc<dyn PrfKey>,
}

impl PskKeys {
    /// The key made of a secret.
    ///
    /// # Errors
    ///
    /// If the PRF fails.
    pub(crate) fn get(
        &mut self,
        suite: &Suite,
        secret: &Arc<SharedSecret>,
    ) -> Result<Arc<dyn PrfKey>, PluginError> {
        let prf = suite.prf_id();
        let same = |known: &&Known| Arc::ptr_eq(&known.secret, secret) && known.prf == prf;
        if let Some(known) = self.0.iter().find(same) {
            return Ok(Arc::clone(&known.key));
        }
        let key: Arc<dyn PrfKey> = Arc::from(crypto::auth::psk_key(suite.prf(), secret.octets())?);
        if self.0.len() == MAX {
            self.0.remove(0);
        }
        self.0.push(Known {
            secret: Arc::clone(secret),
            prf,
            key: Arc::clone(&key),
        });
        Ok(key)
    }

    /// Secrets may go, and what was made of them goes too.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
