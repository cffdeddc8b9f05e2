//! Post-quantum preshared keys (RFC 8784): a secret of both ends that is mixed into the keys, as long as the rest may be
//! broken one day.
//!
//! SK_d, SK_pi and SK_pr change before AUTH is computed, so that all that authenticates works with whatever they are.

use std::sync::Arc;

use config::connection::PeerConfig;
use config::identity::{Identity, Match};
use config::secret::SharedSecret;
use crypto::keymat;
use iana::NotifyType;
use plugin_api::Secret;
use wire::payload::{Auth, Id, Payload};

use crate::alert::Alert;
use crate::error::Error;
use crate::exchange::find;
use crate::sa::IkeSa;
use crate::shared::{Shared, log};

/// The only type of PPK_ID that is used: a fixed octet string (RFC 8784, 5.1).
const PPK_ID_FIXED: u8 = 2;

/// A key that is mixed in.
#[derive(Debug)]
pub(crate) struct Mixed {
    id: Identity,
    /// SK_d, SK_pi and SK_pr without it.
    before: [Secret; 3],
}

/// The identity in a PPK_IDENTITY notify. Text stands for what configurations mean by it.
fn decode(data: &[u8]) -> Option<Identity> {
    let (&kind, id) = data.split_first()?;
    if kind != PPK_ID_FIXED || id.is_empty() {
        return None;
    }
    let printable = |octet: &u8| octet.is_ascii_graphic() || *octet == b' ';
    let text = std::str::from_utf8(id).ok().filter(|_| id.iter().all(printable));
    Some(match text {
        Some(text) => Identity::parse(text),
        None => Identity::new(iana::IdType::KEY_ID, id.to_vec()),
    })
}

fn identity_in(payloads: &[Payload]) -> Option<&[u8]> {
    find!(payloads, Payload::Notify(notify) if notify.kind == NotifyType::PPK_IDENTITY => notify.data.as_slice())
}

impl IkeSa {
    /// The initiator says that it may use one.
    pub(crate) fn push_use_ppk(&self, payloads: &mut Vec<Payload>) {
        let uses = |config: &Arc<PeerConfig>| config.ppk_id.is_some() || config.ppk_required;
        if self.config.as_ref().is_some_and(uses) {
            payloads.push(Payload::status(NotifyType::USE_PPK, Vec::new()));
        }
    }

    /// The responder says so too if the initiator did, and it has any.
    pub(crate) fn answer_use_ppk(&mut self, shared: &Shared, payloads: &mut Vec<Payload>) {
        let required = self.config.as_ref().is_some_and(|config| config.ppk_required);
        self.peer.ppk &= required || shared.secrets.has_ppk();
        if self.peer.ppk {
            payloads.push(Payload::status(NotifyType::USE_PPK, Vec::new()));
        }
    }

    /// Mixes the initiator's key in, and says which it is. Where it is not required, AUTH without it goes along.
    pub(crate) fn offer_ppk(
        &mut self,
        shared: &mut Shared,
        config: &PeerConfig,
        (own, peer): (&Identity, &Identity),
        id: &Id,
        payloads: &mut Vec<Payload>,
    ) -> Result<(), Error> {
        let problem = match (&config.ppk_id, self.peer.ppk) {
            (Some(ppk_id), true) => {
                let Some(key) = self.find_ppk(shared, config, ppk_id)? else {
                    return Ok(());
                };
                if !config.ppk_required {
                    let plain = self.plain_auth(shared, config, (own, peer), id)?;
                    payloads.push(Payload::status(NotifyType::NO_PPK_AUTH, plain));
                }
                let data = [&[PPK_ID_FIXED], &ppk_id.data[..]].concat();
                payloads.push(Payload::status(NotifyType::PPK_IDENTITY, data));
                return self.mix_ppk(ppk_id.clone(), &key);
            }
            (_, false) => "peer does not support PPK",
            (None, true) => "no PPK_ID configured",
        };
        if !config.ppk_required {
            return Ok(());
        }
        log!(shared, self, Cfg, 1, "PPK required but {problem}");
        self.alert(shared, Alert::LocalAuthFailed);
        Err(Error::AuthenticationFailed)
    }

    /// AUTH for a responder that does not have the key.
    fn plain_auth(
        &self,
        shared: &mut Shared,
        config: &PeerConfig,
        (own, peer): (&Identity, &Identity),
        id: &Id,
    ) -> Result<Vec<u8>, Error> {
        let psk = self.own_key(shared, config, own, peer)?;
        Ok(self.auth_value(shared, self.role, id, &psk)?.expose().to_vec())
    }

    /// The key of an identity; none is an error only where one is required.
    fn find_ppk(
        &self,
        shared: &mut Shared,
        config: &PeerConfig,
        ppk_id: &Identity,
    ) -> Result<Option<Arc<SharedSecret>>, Error> {
        let key = shared.secrets.ppk(ppk_id);
        if key.is_some() {
            return Ok(key);
        }
        if config.ppk_required {
            log!(
                shared,
                self,
                Cfg,
                1,
                "PPK required but no PPK found for '{ppk_id}'"
            );
            return Err(Error::AuthenticationFailed);
        }
        log!(
            shared,
            self,
            Cfg,
            1,
            "no PPK for '{ppk_id}' found, ignored because PPK is not required"
        );
        Ok(None)
    }

    /// What the initiator has mixed in is mixed in here too. Where it cannot be and need not be, this is the AUTH to
    /// verify in place of the one made with it (RFC 8784, 3).
    pub(crate) fn accept_ppk(
        &mut self,
        shared: &mut Shared,
        config: &PeerConfig,
        payloads: &[Payload],
    ) -> Result<Option<Auth>, Error> {
        self.unmix_ppk();
        let received = identity_in(payloads).filter(|_| self.peer.ppk).and_then(decode);
        let Some(ppk_id) = received else {
            if !config.ppk_required {
                return Ok(None);
            }
            let problem = if self.peer.ppk {
                "no PPK_IDENTITY received"
            } else {
                "peer does not support PPK"
            };
            log!(shared, self, Cfg, 1, "PPK required but {problem}");
            return Err(Error::AuthenticationFailed);
        };
        if let Some(wanted) = &config.ppk_id
            && ppk_id.matches(wanted) == Match::No
        {
            log!(
                shared,
                self,
                Cfg,
                1,
                "received PPK_ID '{ppk_id}', but require '{wanted}'"
            );
            return Err(Error::AuthenticationFailed);
        }
        if let Some(key) = self.find_ppk(shared, config, &ppk_id)? {
            self.mix_ppk(ppk_id, &key)?;
            return Ok(None);
        }
        let plain = find!(payloads, Payload::Notify(notify)
            if notify.kind == NotifyType::NO_PPK_AUTH => notify.data.clone());
        let method = find!(payloads, Payload::Auth(auth) => auth.method);
        if let (Some(data), Some(method)) = (plain, method) {
            log!(shared, self, Cfg, 1, "no PPK available, using NO_PPK_AUTH notify");
            return Ok(Some(Auth { method, data }));
        }
        log!(
            shared,
            self,
            Ike,
            1,
            "peer requires the PPK for '{ppk_id}', load it as secrets.ppk<suffix>"
        );
        Err(Error::AuthenticationFailed)
    }

    /// Whether the responder has mixed in what the initiator did; if not, AUTH is verified without.
    pub(crate) fn settle_ppk(&mut self, shared: &mut Shared, payloads: &[Payload]) -> Result<(), Error> {
        let own = self.negotiation.as_ref().and_then(|own| own.ppk.as_ref());
        let Some(ppk_id) = own.map(|own| own.id.clone()) else {
            return Ok(());
        };
        if identity_in(payloads).is_some() {
            return Ok(());
        }
        self.unmix_ppk();
        let required = self.config.as_ref().is_some_and(|config| config.ppk_required);
        if required {
            log!(
                shared,
                self,
                Cfg,
                1,
                "PPK required but peer didn't use PPK for PPK_ID '{ppk_id}'"
            );
            self.alert(shared, Alert::PeerAuthFailed);
            return Err(Error::AuthenticationFailed);
        }
        log!(shared, self, Cfg, 1, "peer didn't use PPK for PPK_ID '{ppk_id}'");
        Ok(())
    }

    /// The peer has proved that it has it too.
    pub(crate) fn confirm_ppk(&mut self, shared: &mut Shared) -> bool {
        let mixed = self.negotiation.as_ref().and_then(|own| own.ppk.as_ref());
        self.ppk = mixed.is_some();
        if let Some(mixed) = mixed {
            log!(shared, self, Cfg, 1, "using PPK for PPK_ID '{}'", mixed.id);
        }
        self.ppk
    }

    fn mix_ppk(&mut self, id: Identity, key: &SharedSecret) -> Result<(), Error> {
        self.unmix_ppk();
        let (Some(suite), Some(keys), Some(negotiation)) =
            (&self.suite, &mut self.keys, &mut self.negotiation)
        else {
            return Err(Error::AuthenticationFailed);
        };
        let before = keymat::mix_ppk(suite.prf(), key.octets(), &mut keys.sk)?;
        negotiation.ppk = Some(Mixed { id, before });
        Ok(())
    }

    fn unmix_ppk(&mut self) {
        let mixed = self.negotiation.as_mut().and_then(|own| own.ppk.take());
        if let (Some(mixed), Some(keys)) = (mixed, &mut self.keys) {
            let sk = &mut keys.sk;
            [sk.sk_d, sk.sk_pi, sk.sk_pr] = mixed.before;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_text_as_configurations_write_it_or_octets() {
        for (data, id) in [
            (&b"\x02carol@example.com"[..], "carol@example.com"),
            (b"\x02ppk-1", "ppk-1"),
            (b"\x02\x01\xff", "@#01ff"),
        ] {
            assert_eq!(decode(data), Some(Identity::parse(id)), "{data:?}");
        }
        for bad in [&b""[..], b"\x02", b"\x01opaque", b"\x00x"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
