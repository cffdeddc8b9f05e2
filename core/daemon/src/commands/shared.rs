//! `load-shared`, `unload-shared` and `get-shared`: secrets that are loaded over vici.

use config::identity::Identity;
use config::octets;
use config::secret::{SecretKind, SharedSecret};
use control::vici::Message;
use plugin_api::log::Group;

use super::{Answer, success};
use crate::run::Daemon;

impl Daemon {
    /// `load-shared`: `type`, `data`, `owners` (everybody, if there are none) and `id`, by which it is replaced and
    /// unloaded.
    pub(super) fn load_shared(&mut self, request: &Message) -> Answer {
        let kind = request.get_str("type").ok_or("shared key type missing")?;
        let kind = self::kind(kind).ok_or_else(|| format!("invalid shared key type: {kind}"))?;
        let secret = request.get_octets("data").filter(|data| !data.is_empty());
        let secret = SharedSecret::new(secret.ok_or("shared key data missing")?.to_vec());
        let id = request.get_str("id").filter(|id| !id.is_empty());
        let owners = request.get_list("owners").unwrap_or_default();
        let owners: Vec<String> = owners.iter().map(|owner| octets::hold(owner)).collect();
        let quoted = owners.iter().map(|owner| format!("'{}'", octets::shown(owner)));
        let quoted: Vec<String> = quoted.collect();
        let whose = if quoted.is_empty() {
            "'%any'".to_owned()
        } else {
            quoted.join(", ")
        };
        let named = id.map(|id| format!(" with id '{id}'")).unwrap_or_default();
        let text = format!("loaded {kind} shared key{named} for: {whose}");
        let owners = owners
            .iter()
            .map(|owner| Identity::read(owner))
            .collect::<Result<_, _>>();
        let owners = owners.map_err(|why| format!("parsing shared key owners failed: {why}"))?;
        let secrets = self.endpoint.secrets_mut();
        secrets.insert_loaded(id, kind, owners, secret);
        self.logger.log(Group::Cfg, 1, text);
        Ok(success())
    }

    /// `unload-shared`: `id`. That there is none is no failure.
    pub(super) fn unload_shared(&mut self, request: &Message) -> Answer {
        let id = request.get_str("id").ok_or("unique identifier missing")?;
        if self.endpoint.secrets_mut().remove_loaded(id) {
            let text = format!("unloaded shared key with id '{id}'");
            self.logger.log(Group::Cfg, 1, text);
        }
        Ok(success())
    }

    /// `get-shared`: the ids of all that have one.
    pub(super) fn get_shared(&mut self) -> Message {
        Message::new().list("keys", self.endpoint.secrets_mut().loaded_names())
    }
}

fn kind(text: &str) -> Option<SecretKind> {
    let kinds = [
        SecretKind::Ike,
        SecretKind::Eap,
        SecretKind::Xauth,
        SecretKind::Ntlm,
        SecretKind::Ppk,
    ];
    let named = |kind: &SecretKind| kind.to_string().eq_ignore_ascii_case(text);
    kinds.into_iter().find(named)
}
