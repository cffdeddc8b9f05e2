//! `redirect`: send clients to another gateway (RFC 5685).

use config::connection::Host;
use config::identity::{Identity, Match};
use config::selector;
use control::vici::Message;
use iana::TrafficSelector;
use ike::IkeSaInfo;
use plugin_api::log::Group;

use super::{Answer, success};
use crate::run::Daemon;

/// Whom to send; all that is given has to match.
pub(super) struct Selector<'a> {
    ike: Option<&'a str>,
    ike_id: Option<u32>,
    peer_ip: Option<TrafficSelector>,
    peer_id: Option<Identity>,
}

impl<'a> Selector<'a> {
    pub(super) fn of(request: &'a Message) -> Result<Self, String> {
        let ike_id = request.get_str("ike-id").map(|text| {
            text.parse()
                .map_err(|_| format!("ike-id = {text} is not a number"))
        });
        let peer_ip = request
            .get_str("peer-ip")
            .map(|text| selector::addresses_of(text).ok_or("invalid peer IP selector"));
        let peer_id = request.get_octets("peer-id").map(|octets| {
            let text = std::str::from_utf8(octets).ok().filter(|text| !text.is_empty());
            text.map(Identity::parse).ok_or("invalid peer identity selector")
        });
        let selector = Self {
            ike: request.get_str("ike"),
            ike_id: ike_id.transpose()?,
            peer_ip: peer_ip.transpose()?,
            peer_id: peer_id.transpose()?,
        };
        match selector.words() {
            Some(_) => Ok(selector),
            None => Err("missing redirect selector".into()),
        }
    }

    /// As the log has it.
    fn words(&self) -> Option<String> {
        let by_name = || self.ike.map(|name| format!("IKE_SA '{name}'"));
        let by_id = || self.ike_id.map(|id| format!("IKE_SA #{id}"));
        let by_address = || self.peer_ip.as_ref().map(|ip| format!("IKE_SAs with src {ip}"));
        let by_identity = || self.peer_id.as_ref().map(|id| format!("IKE_SAs with ID '{id}'"));
        by_name().or_else(by_id).or_else(by_address).or_else(by_identity)
    }

    pub(super) fn matches(&self, sa: &IkeSaInfo) -> bool {
        let address = TrafficSelector::host(sa.remote.ip());
        self.ike.is_none_or(|name| name == &*sa.name)
            && self.ike_id.is_none_or(|id| id == sa.unique_id)
            && self.peer_ip.as_ref().is_none_or(|ip| ip.covers(&address))
            && self.peer_id.as_ref().is_none_or(|pattern| {
                let own = sa.remote_id.as_ref();
                own.is_some_and(|own| own.matches(pattern) != Match::No)
            })
    }
}

impl Daemon {
    /// `redirect`: `gateway`, and `ike`, `ike-id`, `peer-ip` or `peer-id`. Only clients that announced support are
    /// sent, and counted.
    pub(super) fn redirect(&mut self, request: &Message) -> Answer {
        let gateway = request.get_str("gateway").filter(|gateway| !gateway.is_empty());
        let gateway = gateway.ok_or("missing target gateway")?;
        let gateway: Host = selector::gateway(gateway).ok_or("unsupported gateway identity")?;
        let selector = Selector::of(request)?;
        let words = selector.words().unwrap_or_default();
        let quoted = match (selector.ike, selector.ike_id) {
            (None, None) => gateway.to_string(),
            _ => format!("'{gateway}'"),
        };
        self.logger
            .log(Group::Cfg, 1, format!("vici redirect {words} to {quoted}"));
        let sas: Vec<u32> = self
            .endpoint
            .ike_sas()
            .filter(|sa| sa.established.is_some() && selector.matches(sa))
            .map(|sa| sa.unique_id)
            .collect();
        let now = self.now();
        let mut matches = 0;
        for sa in sas {
            matches += usize::from(self.endpoint.redirect(now, sa, &gateway));
        }
        let mut answer = if matches > 0 {
            success()
        } else {
            super::failure("no matching SAs to redirect found")
        };
        answer.push_value("matches", matches);
        Ok(answer)
    }
}
