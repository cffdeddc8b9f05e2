//! `load-key`, `unload-key`, `get-keys` and `load-token`.

use config::identity::Identity;
use control::vici::Message;
use credentials::{KeyId, KeyKind, PrivateKey};
use iana::IdType;
use plugin_api::log::Group;

use super::super::{Answer, success};
use crate::run::Daemon;

impl Daemon {
    /// `load-key`: `type` and `data`; its `id`.
    pub(in crate::commands) fn load_key(&mut self, request: &Message) -> Answer {
        let name = request.get_str("type").ok_or("key type missing")?;
        let (name, kind) = match name.to_ascii_lowercase().as_str() {
            "any" => ("ANY", None),
            "rsa" => ("RSA", Some(KeyKind::Rsa)),
            "ecdsa" => ("ECDSA", Some(KeyKind::Ecdsa)),
            "ed25519" => ("ED25519", Some(KeyKind::Ed25519)),
            "ed448" => ("ED448", Some(KeyKind::Ed448)),
            _ => return Err(format!("invalid key type: {name}")),
        };
        let data = request.get_octets("data").filter(|data| !data.is_empty());
        let key = PrivateKey::parse(kind, data.ok_or("key data missing")?).map_err(|error| {
            let text = format!("parsing {name} private key failed");
            self.logger.log(Group::Cfg, 1, format!("{text}: {error}"));
            text
        })?;
        let id = id(&key.public.id);
        self.credentials
            .add_key(key)
            .map_err(|error| format!("adding private key failed: {error}"))?;
        self.logger
            .log(Group::Cfg, 1, format!("loaded {name} private key"));
        Ok(success().value("id", id))
    }

    /// `load-token`: a key that never leaves where it is. There is nothing here to talk with such places.
    #[expect(clippy::unused_self, reason = "all commands are called alike")]
    pub(in crate::commands) fn load_token(&mut self, request: &Message) -> Answer {
        request.get_str("handle").ok_or("keyid missing")?;
        Err("loading private key from token failed: keys on PKCS#11 tokens and in TPMs are not supported, \
             load it from a file (load-key)"
            .into())
    }

    /// `unload-key`: `id`.
    pub(in crate::commands) fn unload_key(&mut self, request: &Message) -> Answer {
        let id = request.get_str("id").ok_or("key id missing")?;
        // It is written as those of identities are.
        let octets = Identity::parse(&format!("keyid:#{id}"));
        if octets.kind != IdType::KEY_ID || !self.credentials.remove_key(&octets.data) {
            return Err("key not found".into());
        }
        let text = format!("unloaded private key with id {id}");
        self.logger.log(Group::Cfg, 1, text);
        Ok(success())
    }

    /// `get-keys`: the ids of all private keys.
    pub(in crate::commands) fn get_keys(&self) -> Message {
        Message::new().list("keys", self.credentials.keys().map(id))
    }
}

fn id(id: &KeyId) -> String {
    id.iter().map(|octet| format!("{octet:02x}")).collect()
}
