//! `redirect`: a command whose arguments are checked, and which the daemon cannot do yet.

use config::selector;
use control::vici::Message;

use super::Answer;
use crate::run::Daemon;

impl Daemon {
    /// `redirect`: `gateway`, and one of `ike`, `ike-id`, `peer-ip` and `peer-id`.
    pub(super) fn redirect(&self, request: &Message) -> Answer {
        request
            .get_str("gateway")
            .filter(|gateway| !gateway.is_empty())
            .ok_or("missing target gateway")?;
        let selectors = ["ike", "ike-id", "peer-ip", "peer-id"];
        if selectors.iter().all(|key| request.get_str(key).is_none()) {
            return Err("missing redirect selector".into());
        }
        if let Some(text) = request.get_str("peer-ip")
            && selector::addresses_of(text).is_none()
        {
            return Err("invalid peer IP selector".into());
        }
        Err("peers cannot be redirected yet (RFC 5685)".into())
    }
}
