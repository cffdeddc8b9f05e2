//! A `conn` section: checked, and made a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::keywords::{self, Known};
use super::values::{items, percent, subnets};
use super::{Auto, Conn, Problem, Settings, unknown, values};
use crate::connection::{
    Action, ChildConfig, ChildLifetime, Childless, Fragmentation, Host, IkeLifetime, IkeVersion, Limit, Mode,
    PeerConfig, ProposalList, SelectorSpec, UniquePolicy,
};
use crate::demand::{self, Demand};
use crate::kernel::{Ah, EspBeside, KernelOptions, Mark, Number};
use crate::words::{dscp, kyber_generation, pinned, profile};
use crate::{octets, selector, time};

/// Why a section makes no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    /// The keyword that is to blame, if it is one alone.
    pub key: Option<String>,
    pub(super) text: String,
}

impl Error {
    pub(super) fn of(key: &str, text: String) -> Self {
        let key = Some(key.to_owned());
        Self { key, text }
    }
}

/// A connection, and what is to be said about how it was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The connection, with one CHILD_SA of the same name.
    pub peer: PeerConfig,
    /// Lines for the log, with their levels.
    pub messages: Vec<(i8, String)>,
}

/// Octets of the name of a connection: vici's messages have no longer ones.
const MAX_NAME: usize = 255;

/// Checks keywords and values; problems are collected, not thrown.
pub(super) fn check(name: &str, settings: Settings, place: &str, problems: &mut Vec<Problem>) -> Conn {
    if name.len() > MAX_NAME {
        problems.push(Problem::fatal(format!(
            "# the name of a connection has {} octets, at most {MAX_NAME} are possible ({place})",
            name.len()
        )));
    }
    let (mut plain, mut places) = (BTreeMap::new(), BTreeMap::new());
    for (key, (value, place)) in settings {
        if !is_keyword(name, &key, &place, problems) {
            continue;
        }
        check_value(name, &key, &value, &place, problems);
        places.insert(key.clone(), place);
        plain.insert(key, value);
    }
    for (key, demand) in demands(&plain) {
        let (value, place) = (octets::shown(&plain[&key]), &places[&key]);
        let reason = demand.reason();
        problems.push(Problem::fatal(format!(
            "# unsupported: {key}={value} ({place}: {reason})"
        )));
    }
    if plain.contains_key("ah") && plain.contains_key("esp") {
        problems.push(Problem::fatal(format!(
            "# can't have both 'ah' and 'esp' options ({place})"
        )));
    }
    for side in ["left", "right"] {
        let firewall = plain
            .get(&format!("{side}firewall"))
            .is_some_and(|value| value == "yes");
        if firewall && plain.contains_key(&format!("{side}updown")) {
            problems.push(Problem::fatal(format!(
                "# cannot have both {side}firewall and {side}updown ({place})"
            )));
        }
    }
    let auto = match plain.get("auto").map(String::as_str) {
        Some("add") => Auto::Add,
        Some("route") => Auto::Route,
        Some("start") => Auto::Start,
        _ => Auto::Ignore,
    };
    Conn {
        name: name.to_owned(),
        settings: plain,
        places,
        source: place.to_owned(),
        auto,
    }
}

/// Whether a keyword is one that counts. A misspelt one that would guard the connection costs the connection: without it
/// more peers, or packets of others, might pass than the file says.
fn is_keyword(name: &str, key: &str, place: &str, problems: &mut Vec<Problem>) -> bool {
    match keywords::conn(key) {
        Known::Yes => return true,
        Known::Deprecated => {
            problems.push(Problem::warning(format!(
                "# deprecated keyword '{key}' in conn '{name}' ({place})"
            )));
            problems.extend(keywords::instead(key).map(|hint| Problem::warning(format!("  {hint}"))));
        }
        Known::No => match keywords::guard_like(key) {
            Some(guard) => problems.push(Problem::fatal(format!(
                "# unknown keyword '{}' ({place}, did you mean '{guard}'? The connection is not loaded, because this keyword may restrict it)",
                octets::shown(key)
            ))),
            None => problems.push(Problem::error(unknown(key, place, keywords::CONN))),
        },
    }
    false
}

fn check_value(name: &str, key: &str, value: &str, place: &str, problems: &mut Vec<Problem>) {
    if let Err(why) = values::check(key, value) {
        let shown = octets::shown(value);
        problems.push(Problem::fatal(format!(
            "# bad value: {key}={shown} ({place}: {why})"
        )));
        problems.push(Problem::warning(format!("  bad argument value in conn '{name}'")));
    } else if keywords::is_subnet(key)
        && let Ok((_, bad)) = subnets(value)
    {
        let bad = bad
            .iter()
            .map(|bad| format!("# bad subnet: {key}={bad} ({place})"));
        problems.extend(bad.map(Problem::error));
    }
}

/// What the keywords demand that cannot be done, unless the connection is a shunt, which negotiates nothing.
fn demands(settings: &BTreeMap<String, String>) -> Vec<(String, Demand)> {
    let shunt = |kind: &String| matches!(kind.as_str(), "passthrough" | "pass" | "drop" | "reject");
    if settings.get("type").is_some_and(shunt) {
        return Vec::new();
    }
    let demand = |key: &str, value: &str| match key {
        "keyexchange" if value == "ikev1" => Some(Demand::Ikev1),
        "mediation" if value == "no" => None,
        "mediation" | "mediated_by" | "me_peerid" => Some(Demand::Mediation),
        _ => None,
    };
    let demands = settings
        .iter()
        .filter_map(|(key, value)| demand(key, value).map(|demand| (key.clone(), demand)));
    demands.collect()
}

/// The policy of a value of `uniqueids`.
pub(super) fn unique_policy(text: &str) -> Option<UniquePolicy> {
    Some(match text {
        "yes" | "replace" => UniquePolicy::Replace,
        "no" => UniquePolicy::No,
        "never" => UniquePolicy::Never,
        "keep" => UniquePolicy::Keep,
        _ => return None,
    })
}

/// A connection from the keywords of its section. The ends are swapped if `right` is this host.
///
/// # Errors
///
/// For a value that cannot be used; what it is and what was expected is in the text.
pub fn to_peer_config(
    name: &str,
    settings: &BTreeMap<String, String>,
    source: &str,
    uniqueids: &str,
    is_local: &dyn Fn(IpAddr) -> bool,
    allow_swap: bool,
) -> Result<Converted, Error> {
    for (key, value) in settings {
        if keywords::conn(key) != Known::Yes {
            return Err(Error::of(key, unknown(key, source, keywords::CONN)));
        }
        values::check(key, value)
            .map_err(|why| Error::of(key, format!("bad value {key}={}, {why}", octets::shown(value))))?;
    }
    let mut messages = Vec::new();
    let (local, remote) = sides(settings, is_local, allow_swap, &mut messages);
    let conn = Reader {
        settings,
        local,
        remote,
    };
    let peer = conn.peer(name, source, uniqueids)?;
    let demands = demands(settings);
    if let Some((key, demand)) = demand::unmet(&peer, &demands) {
        return Err(Error::of(
            key,
            format!("{key}={}: {}", settings[key], demand.reason()),
        ));
    }
    messages.extend(conn.skipped());
    Ok(Converted { peer, messages })
}

/// Keywords that are set to something that has no effect yet, but that the connection is no less safe without.
pub fn without_effect(
    settings: &BTreeMap<String, String>,
    is_local: &dyn Fn(IpAddr) -> bool,
    allow_swap: bool,
) -> Vec<String> {
    let (local, remote) = sides(settings, is_local, allow_swap, &mut Vec::new());
    let is_idle = |key: &str, value: &str| match key {
        "tfc" => value == "%mtu",
        "aaa_identity" => true,
        _ => match (key.strip_prefix(local), key.strip_prefix(remote)) {
            (Some("sendcert"), _) | (_, Some("sendcert")) => value != "ifasked",
            // Of the other end they are demands, which no peer meets.
            (Some(rest), _) => CREDENTIALS.contains(&rest),
            _ => false,
        },
    };
    let settings = settings.iter().filter(|(key, value)| is_idle(key, value));
    settings.map(|(key, _)| key.clone()).collect()
}

/// What an end proves who it is with, if not with a pre-shared key.
const CREDENTIALS: [&str; 9] = [
    "cert",
    "cert2",
    "sigkey",
    "rsasigkey",
    "ca",
    "ca2",
    "groups",
    "groups2",
    "certpolicy",
];

/// The hosts that `left` or `right` names, and whether any other will do too: a name or address behind a `%` only says
/// whom to initiate to.
///
/// # Errors
///
/// For what looks like an address but is not one.
pub(super) fn ends(text: &str) -> Result<(Vec<Host>, bool), String> {
    let preferred = text.strip_prefix('%').filter(|_| {
        let host = selector::host(text);
        !matches!(host, Ok(Host::Any | Host::Any4 | Host::Any6))
    });
    let hosts = selector::hosts(preferred.unwrap_or(text))?;
    Ok((hosts, preferred.is_some()))
}

/// Which side is this host: `left`, unless only `right` has an address of ours.
fn sides(
    settings: &BTreeMap<String, String>,
    is_local: &dyn Fn(IpAddr) -> bool,
    allow_swap: bool,
    messages: &mut Vec<(i8, String)>,
) -> (&'static str, &'static str) {
    let is_ours = |side: &str| {
        let ends = settings.get(side).and_then(|text| ends(text).ok());
        let (hosts, _) = ends.unwrap_or_default();
        hosts
            .iter()
            .any(|host| matches!(host, Host::Address(address) if is_local(*address)))
    };
    let (left, right) = (is_ours("left"), is_ours("right"));
    if right && !left && allow_swap {
        messages.push((2, "left is other host, swapping ends".to_owned()));
        return ("right", "left");
    }
    if !left && !right {
        messages.push((
            1,
            "left nor right host is our side, assuming left=local".to_owned(),
        ));
    }
    ("left", "right")
}

pub(super) struct Reader<'a> {
    settings: &'a BTreeMap<String, String>,
    pub(super) local: &'static str,
    pub(super) remote: &'static str,
}

impl Reader<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    pub(super) fn side(&self, side: &str, key: &str) -> Option<&str> {
        self.get(&format!("{side}{key}"))
    }

    fn yes(&self, key: &str, default: bool) -> bool {
        self.get(key).map_or(default, |value| value == "yes")
    }

    fn time(&self, keys: [&str; 2], default: u64) -> Duration {
        let value = keys.iter().find_map(|key| self.get(key));
        value
            .and_then(time::parse)
            .unwrap_or(Duration::from_secs(default))
    }

    fn count(&self, key: &str) -> u64 {
        self.get(key).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// What is said of selectors that are skipped.
    fn skipped(&self) -> Vec<(i8, String)> {
        let lists = self.settings.iter().filter(|(key, _)| keywords::is_subnet(key));
        let bad = lists.flat_map(|(_, value)| subnets(value).unwrap_or_default().1);
        bad.map(|bad| (1, format!("invalid subnet: {bad}"))).collect()
    }

    fn peer(&self, name: &str, source: &str, uniqueids: &str) -> Result<PeerConfig, Error> {
        let hosts = |side: &str| {
            let Some(text) = self.side(side, "") else {
                return Ok(vec![Host::Any]);
            };
            let bad = |why| Error::of(side, format!("bad value {side}={}, {why}", octets::shown(text)));
            let (mut hosts, any) = ends(text).map_err(bad)?;
            if any || self.yes(&format!("{side}allowany"), false) {
                hosts.extend(["0.0.0.0/0", "::/0"].into_iter().flat_map(selector::host));
            }
            Ok(hosts)
        };
        let port = |side: &str| {
            self.side(side, "ikeport")
                .and_then(|port| port.parse().ok())
                .unwrap_or(500)
        };
        let dpd = self.get("dpdaction").is_some_and(|action| action != "none");
        Ok(PeerConfig {
            name: name.to_owned(),
            version: match self.get("keyexchange") {
                Some("ikev1") => IkeVersion::V1,
                Some("ikev2") => IkeVersion::V2,
                _ => IkeVersion::Any,
            },
            local_addrs: hosts(self.local)?,
            remote_addrs: hosts(self.remote)?,
            local_port: port(self.local),
            remote_port: port(self.remote),
            proposals: proposals(self.get("ike")),
            local_auth: self.rounds(self.local)?,
            remote_auth: self.rounds(self.remote)?,
            children: vec![Arc::new(self.child(name)?)],
            lifetime: self.ike_lifetime(),
            keying_tries: match self.get("keyingtries") {
                None => Some(3),
                Some("%forever" | "0") => None,
                Some(number) => Some(number.parse().unwrap_or(u32::MAX)),
            },
            unique: unique_policy(uniqueids).unwrap_or(UniquePolicy::Replace),
            mobike: self.yes("mobike", true),
            fragmentation: match self.get("fragmentation") {
                Some("no") => Fragmentation::No,
                Some("accept") => Fragmentation::Accept,
                Some("force") => Fragmentation::Force,
                _ => Fragmentation::Yes,
            },
            dpd_delay: if dpd {
                self.time(["dpddelay"; 2], 30)
            } else {
                Duration::ZERO
            },
            encap: self.yes("forceencaps", false),
            childless: Childless::Allow,
            ppk_id: None,
            ppk_required: false,
            dscp: self.get("ikedscp").and_then(dscp).unwrap_or(0),
            vips: self.vips()?,
            pools: self.pools(name)?,
            dns_wanted: self.dns_wanted()?,
            dns: self.dns()?,
            if_ids: [Number::default(); 2],
            profile: pinned(
                self.get("profile").and_then(profile),
                self.get("kyber_generation").and_then(kyber_generation),
            )
            .map_err(|text| Error::of("kyber_generation", text.to_owned()))?,
            source: source.to_owned(),
        })
    }

    /// The addresses that this end asks for.
    fn vips(&self) -> Result<Vec<IpAddr>, Error> {
        let key = format!("{}sourceip", self.local);
        let vip = |text: &str| match text {
            "%config" | "%cfg" | "%modeconfig" | "%modecfg" => Ok(self.any_vip()),
            "%config4" => Ok([0; 4].into()),
            "%config6" => Ok([0; 16].into()),
            _ => text.parse().map_err(|_| {
                let expected = "expected %config, %config4, %config6 or an address, as this end asks for one";
                Error::of(&key, format!("bad value {key}={text}, {expected}"))
            }),
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(vip).collect())
    }

    /// Any address of the family that the own subnets have, or the peer's, or else the own address.
    fn any_vip(&self) -> IpAddr {
        let family = |text: &str| match text.contains('.') {
            true => IpAddr::from([0; 4]),
            false => IpAddr::from([0; 16]),
        };
        let subnets = [self.local, self.remote].map(|side| self.subnets(side));
        if let Some(subnets) = subnets.into_iter().flatten().next() {
            return family(subnets);
        }
        let own = self.side(self.local, "").unwrap_or_default();
        let first = own.split(',').next().unwrap_or_default();
        let is_v6 = first.contains(':') || first.trim() == "%any6";
        if is_v6 {
            IpAddr::from([0; 16])
        } else {
            IpAddr::from([0; 4])
        }
    }

    /// The pools that the peer is given addresses of.
    fn pools(&self, name: &str) -> Result<Vec<String>, Error> {
        let key = format!("{}sourceip", self.remote);
        let pool = |text: &str| match text {
            "%config" | "%config4" | "%config6" | "%cfg" | "%modeconfig" | "%modecfg" => Ok(name.to_owned()),
            "%dhcp" | "%radius" => Err(Error::of(
                &key,
                format!("{key}={text} is not supported, give addresses or the name of a pool"),
            )),
            _ => Ok(text.strip_prefix('%').unwrap_or(text).to_owned()),
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(pool).collect())
    }

    /// The DNS servers that this end asks for.
    fn dns_wanted(&self) -> Result<Vec<IpAddr>, Error> {
        let key = format!("{}dns", self.local);
        let server = |text: &str| match text {
            "%config" | "%config4" => Ok([0; 4].into()),
            "%config6" => Ok([0; 16].into()),
            _ => text.parse().map_err(|_| {
                let expected = "expected %config4, %config6 or an address, as this end asks for it";
                Error::of(&key, format!("bad value {key}={text}, {expected}"))
            }),
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(server).collect())
    }

    /// The DNS servers that the peer is told of.
    fn dns(&self) -> Result<Vec<IpAddr>, Error> {
        let key = format!("{}dns", self.remote);
        let server = |text: &str| {
            text.parse().map_err(|_| {
                let expected = "expected an address, as the peer is told of it";
                Error::of(&key, format!("bad value {key}={text}, {expected}"))
            })
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(server).collect())
    }

    fn margin(&self) -> (Duration, Duration) {
        let margin = self.time(["rekeymargin", "margintime"], 9 * 60);
        let fuzz = self.get("rekeyfuzz").and_then(percent).unwrap_or(100);
        (
            margin,
            Duration::from_secs(margin.as_secs().saturating_mul(fuzz) / 100),
        )
    }

    fn ike_lifetime(&self) -> IkeLifetime {
        let (over, jitter) = self.margin();
        if !self.yes("rekey", true) {
            return IkeLifetime {
                over,
                jitter,
                ..IkeLifetime::default()
            };
        }
        let soft = self.time(["ikelifetime"; 2], 3 * 3600).saturating_sub(over);
        match self.yes("reauth", true) {
            true => IkeLifetime {
                reauth: soft,
                rekey: Duration::ZERO,
                over,
                jitter,
            },
            false => IkeLifetime {
                reauth: Duration::ZERO,
                rekey: soft,
                over,
                jitter,
            },
        }
    }

    fn child_lifetime(&self) -> ChildLifetime {
        let (margin, jitter) = self.margin();
        let fuzz = self.get("rekeyfuzz").and_then(percent).unwrap_or(100);
        let life = self.time(["lifetime", "keylife"], 3600);
        let rekeys = self.yes("rekey", true);
        let amount = |life: &str, margin: &str| {
            let (life, margin) = (self.count(life), self.count(margin));
            let rekey = if rekeys { life.saturating_sub(margin) } else { 0 };
            Limit {
                rekey,
                life,
                jitter: margin.saturating_mul(fuzz) / 100,
            }
        };
        ChildLifetime {
            time: Limit {
                rekey: if rekeys {
                    life.saturating_sub(margin)
                } else {
                    Duration::ZERO
                },
                life,
                jitter,
            },
            octets: amount("lifebytes", "marginbytes"),
            packets: amount("lifepackets", "marginpackets"),
        }
    }

    fn child(&self, name: &str) -> Result<ChildConfig, Error> {
        let action = |key: &str| match self.get(key) {
            Some("hold") => Action::Trap,
            Some("restart") => Action::Start,
            _ => Action::None,
        };
        let firewall = self.side(self.local, "firewall") == Some("yes");
        let updown = self.side(self.local, "updown").map(str::to_owned);
        let mark = |key: &str| self.get(key).and_then(|text| Mark::parse(text).ok()).flatten();
        let kernel = KernelOptions {
            marks: ["mark_in", "mark_out"].map(|key| mark(key).or(mark("mark"))),
            sha256_96: self.yes("sha256_96", false),
            ah: self.get("ah").map(|_| Ah {
                proposals: proposals(self.get("ah")),
                esp: EspBeside::No,
            }),
            ipcomp: self.yes("compress", false),
            ..KernelOptions::default()
        };
        Ok(ChildConfig {
            name: name.to_owned(),
            proposals: proposals(self.get("esp")),
            local_ts: self.selectors(self.local)?,
            remote_ts: self.selectors(self.remote)?,
            mode: match self.get("type") {
                Some("transport" | "transport_proxy") => Mode::Transport,
                Some("passthrough" | "pass") => Mode::Pass,
                Some("drop" | "reject") => Mode::Drop,
                _ => Mode::Tunnel,
            },
            lifetime: self.child_lifetime(),
            updown: updown.or_else(|| firewall.then(|| "ipsec _updown iptables".to_owned())),
            host_access: self.side(self.local, "hostaccess") == Some("yes"),
            start_action: match self.get("auto") {
                Some("route") => Action::Trap,
                Some("start") => Action::Start,
                _ => Action::None,
            },
            dpd_action: action("dpdaction"),
            close_action: action("closeaction"),
            policies: self.yes("installpolicy", true),
            reqid: u32::try_from(self.count("reqid")).unwrap_or(0),
            replay_window: self.get("replay_window").and_then(|window| window.parse().ok()),
            inactivity: self.time(["inactivity"; 2], 0),
            tfc: u32::try_from(self.count("tfc")).unwrap_or(0),
            kernel,
        })
    }

    fn subnets(&self, side: &str) -> Option<&str> {
        self.side(side, "subnet").or(self.side(side, "subnetwithin"))
    }

    fn selectors(&self, side: &str) -> Result<Vec<SelectorSpec>, Error> {
        let of = |key: &str| {
            let key = format!("{side}{key}");
            move |why: String| Error::of(&key, format!("{key}: {why}"))
        };
        let restriction = self.side(side, "protoport").map(selector::protocol_and_ports);
        let restriction = restriction.transpose().map_err(of("protoport"))?;
        let mut selectors = match self.subnets(side) {
            Some(text) => subnets(text).map_err(of("subnet"))?.0,
            None => vec![SelectorSpec::DYNAMIC],
        };
        if let Some(restriction) = restriction {
            selectors
                .iter_mut()
                .for_each(|selector| restrict(selector, restriction));
        }
        Ok(selectors)
    }
}

/// Restricts a selector that has no protocol or ports of its own.
fn restrict(selector: &mut SelectorSpec, (protocol, ports): (u8, (u16, u16))) {
    match selector {
        SelectorSpec::Dynamic {
            protocol: own,
            ports: own_ports,
        } if (*own, *own_ports) == (0, (0, u16::MAX)) => (*own, *own_ports) = (protocol, ports),
        SelectorSpec::Fixed(fixed) if fixed.protocol == 0 && fixed.all_ports() => {
            (fixed.protocol, fixed.start_port, fixed.end_port) = (protocol, ports.0, ports.1);
        }
        _ => {}
    }
}

/// A comma list; the built-in proposals follow unless it ends in `!`.
fn proposals(text: Option<&str>) -> ProposalList {
    let text = text.unwrap_or_default().trim();
    let (list, strict) = match text.strip_suffix('!') {
        Some(list) => (list, true),
        None => (text, false),
    };
    let entries = list
        .split(',')
        .map(|entry| entry.trim().to_owned())
        .filter(|entry| !entry.is_empty())
        .collect();
    ProposalList {
        entries,
        append_defaults: !strict,
    }
}
