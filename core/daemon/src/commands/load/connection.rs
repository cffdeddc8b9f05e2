//! A connection of swanctl.conf, as `load-conn` has it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::connection::{
    AuthClass, AuthConfig, Childless, Fragmentation, Host, IkeLifetime, IkeVersion, PeerConfig, ProposalList,
    UniquePolicy, VICI,
};
use config::demand::{self, Demand};
use config::kernel::Number;
use config::selector;
use config::words::{dscp, kyber_generation, pinned, profile};
use control::vici::{Element, parse_int};

use super::Notes;
use super::values::{self, Given};
use super::{auth, child};

/// What has been said about the times of an IKE_SA.
#[derive(Default)]
struct Times {
    reauth: Option<Duration>,
    rekey: Option<Duration>,
    over: Option<Duration>,
    rand: Option<Duration>,
}

impl Times {
    /// What has not been said follows from the rest.
    fn lifetime(&self) -> IkeLifetime {
        const REKEY: Duration = Duration::from_secs(4 * 3600);
        let reauth = self.reauth.unwrap_or_default();
        let default = if reauth.is_zero() { REKEY } else { Duration::ZERO };
        let rekey = self.rekey.unwrap_or(default);
        let over = self.over.unwrap_or_else(|| seconds(reauth.max(rekey) / 10));
        let shorter = [reauth, rekey].into_iter().filter(|time| !time.is_zero()).min();
        let half = seconds(shorter.unwrap_or_default() / 2);
        IkeLifetime {
            reauth,
            rekey,
            over,
            jitter: self.rand.unwrap_or_else(|| over.min(half)),
        }
    }
}

fn seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs())
}

/// The defaults of swanctl.conf.
fn defaults(name: &str) -> PeerConfig {
    PeerConfig {
        name: name.to_owned(),
        version: IkeVersion::Any,
        local_addrs: vec![Host::Any],
        remote_addrs: vec![Host::Any],
        local_port: 500,
        remote_port: 500,
        proposals: ProposalList {
            entries: Vec::new(),
            append_defaults: true,
        },
        local_auth: Vec::new(),
        remote_auth: Vec::new(),
        children: Vec::new(),
        lifetime: IkeLifetime::default(),
        keying_tries: Some(1),
        unique: UniquePolicy::No,
        mobike: true,
        fragmentation: Fragmentation::Yes,
        dpd_delay: Duration::ZERO,
        encap: false,
        childless: Childless::Allow,
        ppk_id: None,
        ppk_required: false,
        dscp: 0,
        vips: Vec::new(),
        pools: Vec::new(),
        dns_wanted: Vec::new(),
        dns: Vec::new(),
        if_ids: [Number::default(); 2],
        profile: None,
        source: VICI.to_owned(),
    }
}

/// A connection. The keys that are understood but change nothing are noted.
pub(super) fn connection(name: &str, elements: &[Element], notes: &mut Notes) -> Result<PeerConfig, String> {
    let mut peer = defaults(name);
    let mut times = Times::default();
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    let mut kyber = None;
    for given in values::given(elements) {
        match given.key() {
            "version" => {
                peer.version = given.parsed(version)?;
                if peer.version == IkeVersion::V1 {
                    notes.demand(given.key(), Demand::Ikev1);
                }
            }
            "local_addrs" => peer.local_addrs = hosts(&given)?,
            "remote_addrs" => peer.remote_addrs = hosts(&given)?,
            "local_port" => peer.local_port = given.number()?,
            "remote_port" => peer.remote_port = given.number()?,
            "proposals" => {
                peer.proposals = ProposalList {
                    entries: given.list(|text| Some(text.to_owned()))?,
                    append_defaults: false,
                }
            }
            "vips" => peer.vips = given.list(|text| text.parse::<IpAddr>().ok())?,
            "pools" => peer.pools = given.list(|text| Some(text.to_owned()))?,
            "dscp" => peer.dscp = given.parsed(dscp)?,
            "encap" => peer.encap = given.yes()?,
            "mobike" => peer.mobike = given.yes()?,
            "dpd_delay" => peer.dpd_delay = given.time()?,
            "fragmentation" => peer.fragmentation = given.word(fragmentation)?,
            "childless" => peer.childless = given.word(childless)?,
            "keyingtries" => peer.keying_tries = Some(given.number_or_all_ones()?).filter(|tries| *tries > 0),
            "unique" => peer.unique = given.word(unique)?,
            "profile" => peer.profile = Some(given.word(profile)?),
            "kyber_generation" => kyber = Some(given.word(kyber_generation)?),
            "reauth_time" => times.reauth = Some(given.time()?),
            "rekey_time" => times.rekey = Some(given.time()?),
            "over_time" => times.over = Some(given.time()?),
            "rand_time" => times.rand = Some(given.time()?),
            "mediation" if !given.yes()? => {}
            // IKEv1 alone has a use for them.
            "aggressive" | "pull" => drop(given.yes()?),
            "dpd_timeout" => drop(given.time()?),
            "send_certreq" => notes.add(given.key(), given.yes()?),
            "send_cert" => {
                let known = ["ifasked", "always", "never"];
                let asked = given.word(|text| known.contains(&text).then_some(text == "ifasked"))?;
                notes.add(given.key(), asked);
            }
            "ocsp" => {
                let known = ["reply", "request", "both", "never"];
                let reply = given.word(|text| known.contains(&text).then_some(text == "reply"))?;
                notes.add(given.key(), reply);
            }
            "ppk_required" => peer.ppk_required = given.yes()?,
            "ppk_id" => {
                let id = given.identity()?;
                peer.ppk_id = Some(id).filter(|id| !id.is_any());
            }
            "if_id_in" => peer.if_ids[0] = given.parsed(Number::parse)?,
            "if_id_out" => peer.if_ids[1] = given.parsed(Number::parse)?,
            "children" => {
                for given in given.section()?.iter().map(Given) {
                    notes.within = format!("children.{}.", given.key());
                    let child = Arc::new(child::child(given.key(), given.section()?, notes)?);
                    peer.children.retain(|other| other.name != child.name);
                    peer.children.push(child);
                }
                notes.within.clear();
            }
            key if key.starts_with("local") || key.starts_with("remote") => {
                let own = key.starts_with("local");
                notes.within = format!("{key}.");
                let round = auth::round(given.section()?, own, notes)?;
                notes.within.clear();
                if own { &mut local } else { &mut remote }.push(round);
            }
            _ => return Err(given.unknown()),
        }
    }
    if let Some((key, demand)) = demand::unmet(&peer, &notes.demands) {
        return Err(format!("{}: {key}, config discarded", demand.reason()));
    }
    peer.profile = pinned(peer.profile, kyber).map_err(|why| format!("{why}, config discarded"))?;
    peer.lifetime = times.lifetime();
    peer.local_auth = in_order(local, AuthClass::Pubkey);
    peer.remote_auth = in_order(remote, AuthClass::Any);
    Ok(peer)
}

/// The rounds of an end; one of this class if nothing was said.
fn in_order(mut rounds: Vec<(u32, AuthConfig)>, class: AuthClass) -> Vec<AuthConfig> {
    rounds.sort_by_key(|(round, _)| *round);
    if rounds.is_empty() {
        let auth = AuthConfig {
            class,
            ..AuthConfig::default()
        };
        rounds.push((0, auth));
    }
    rounds.into_iter().map(|(_, auth)| auth).collect()
}

fn hosts(given: &Given<'_>) -> Result<Vec<Host>, String> {
    let hosts = given.list_or(|text| selector::host(text.trim()).map_err(Some))?;
    Ok(if hosts.is_empty() { vec![Host::Any] } else { hosts })
}

fn version(text: &str) -> Option<IkeVersion> {
    Some(match parse_int(text)? {
        0 => IkeVersion::Any,
        1 => IkeVersion::V1,
        2 => IkeVersion::V2,
        _ => return None,
    })
}

fn fragmentation(text: &str) -> Option<Fragmentation> {
    Some(match text {
        "accept" => Fragmentation::Accept,
        "force" => Fragmentation::Force,
        _ => match control::vici::parse_bool(text)? {
            true => Fragmentation::Yes,
            false => Fragmentation::No,
        },
    })
}

fn childless(text: &str) -> Option<Childless> {
    Some(match text {
        "allow" => Childless::Allow,
        "prefer" => Childless::Prefer,
        "never" => Childless::Never,
        "force" => Childless::Force,
        _ => return None,
    })
}

fn unique(text: &str) -> Option<UniquePolicy> {
    Some(match text {
        "never" => UniquePolicy::Never,
        "no" => UniquePolicy::No,
        "keep" => UniquePolicy::Keep,
        "replace" => UniquePolicy::Replace,
        _ => return None,
    })
}
