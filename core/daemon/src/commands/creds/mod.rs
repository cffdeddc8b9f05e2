//! Certificates, private keys and authorities: what is loaded over vici to authenticate with.

mod authorities;
mod certs;
mod keys;
#[cfg(test)]
mod tests;

use control::vici::Message;

use super::success;
use crate::run::Daemon;

pub(super) use authorities::file;

impl Daemon {
    /// `clear-creds`: everything that was loaded over vici to authenticate with. What files hold stays, and so do
    /// authorities with their certificates.
    pub(super) fn clear_creds(&mut self) -> Message {
        self.endpoint.secrets_mut().clear_loaded();
        self.credentials.clear();
        success()
    }
}
