//! `rekey`: replace CHILD_SAs or IKE_SAs, or reauthenticate the latter. The command only starts it.

use control::vici::Message;
use ike::IkeSaInfo;
use plugin_api::log::Group;

use super::message::Extra;
use super::terminate::{Target, by_selector, by_stroke_name, describe};
use super::{Answer, success};
use crate::run::Daemon;

impl Daemon {
    pub(super) fn rekey(&mut self, request: &Message) -> Answer {
        let sas: Vec<IkeSaInfo> = self.endpoint.ike_sas().collect();
        // Stroke has logged its request itself.
        let targets = if request.is("stroke") {
            by_stroke_name(&sas, request.get_str("name").unwrap_or_default())
        } else {
            self.logger.log(Group::Cfg, 1, describe("rekey", request));
            by_selector("rekey", &sas, request)?
        };
        if targets.is_empty() {
            return Ok(super::failure_with(
                "no matching SAs to rekey found",
                &["matches"],
            ));
        }
        let reauth = request.is("reauth");
        let now = self.now();
        for target in &targets {
            match *target {
                Target::Child(child, _) => self.endpoint.rekey_child(now, None, child),
                Target::Ike(sa) if reauth => self.endpoint.reauthenticate(now, sa),
                Target::Ike(sa) => self.endpoint.rekey_ike(now, None, sa),
            }
        }
        let mut answer = success();
        answer.push_value("matches", targets.len());
        Ok(answer)
    }
}
