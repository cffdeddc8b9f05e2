//! A `conn` section: checked, and made a connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::keywords::{self, Known};
use super::{Auto, Conn, Problem, Settings, unknown};
use crate::authentication::{Constraint, Method};
use crate::connection::{
    Action, AuthClass, AuthConfig, ChildConfig, ChildLifetime, Childless, Fragmentation, Host, IkeLifetime,
    IkeVersion, Limit, Mode, PeerConfig, ProposalList, SelectorSpec, UniquePolicy,
};
use crate::identity::Identity;
use crate::kernel::{KernelOptions, Mark, Number};
use crate::{selector, time};

/// Why a section makes no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    text: String,
}

/// A connection, and what is to be said about how it was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Converted {
    /// The connection, with one CHILD_SA of the same name.
    pub peer: PeerConfig,
    /// Lines for the log, with their levels.
    pub messages: Vec<(i8, String)>,
}

/// Checks keywords and values; problems are collected, not thrown.
pub(super) fn check(name: &str, settings: Settings, place: &str, problems: &mut Vec<Problem>) -> Conn {
    let (mut plain, mut places) = (BTreeMap::new(), BTreeMap::new());
    for (key, (value, place)) in settings {
        match keywords::conn(&key) {
            Known::Yes => {}
            Known::Deprecated => {
                problems.push(Problem::warning(format!(
                    "# deprecated keyword '{key}' in conn '{name}' ({place})"
                )));
                continue;
            }
            Known::No => {
                problems.push(Problem::warning(unknown(&key, &place, keywords::CONN)));
                continue;
            }
        }
        if let Err(expected) = check_value(&key, &value) {
            let shown = value.escape_debug();
            problems.push(Problem::fatal(format!(
                "# bad value: {key}={shown} ({place}: expected {expected})"
            )));
            problems.push(Problem::warning(format!("  bad argument value in conn '{name}'")));
        }
        places.insert(key.clone(), place);
        plain.insert(key, value);
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

/// What a value has to look like, if it does not.
fn check_value(key: &str, value: &str) -> Result<(), String> {
    let one_of = |known: &[&str]| {
        if known.contains(&value) {
            Ok(())
        } else {
            Err(format!("one of {}", known.join(", ")))
        }
    };
    let number = || value.parse::<u64>().map(drop).map_err(|_| "a number".to_owned());
    match key {
        "auto" => one_of(&["ignore", "add", "route", "start"]),
        "keyexchange" => one_of(&["ike", "ikev1", "ikev2"]),
        "type" => one_of(&[
            "tunnel",
            "transport",
            "transport_proxy",
            "passthrough",
            "pass",
            "drop",
        ]),
        "authby" => one_of(&[
            "psk",
            "secret",
            "pubkey",
            "rsa",
            "rsasig",
            "ecdsa",
            "ecdsasig",
            "never",
            "xauthpsk",
            "xauthrsasig",
        ]),
        "ike" | "esp" if is_strict_about_nothing(value) => Err("proposals before '!'".to_owned()),
        "leftauth" | "rightauth" | "leftauth2" | "rightauth2" => Method::parse(value)
            .map(drop)
            .map_err(|unknown| unknown.to_string()),
        "xauth" => one_of(&["client", "server"]),
        "dpdaction" | "closeaction" => one_of(&["none", "clear", "hold", "restart"]),
        "fragmentation" => one_of(&["yes", "accept", "force", "no"]),
        "rekey" | "reauth" | "mobike" | "forceencaps" | "compress" | "installpolicy" | "sha256_96"
        | "aggressive" | "leftfirewall" | "rightfirewall" | "lefthostaccess" | "righthostaccess"
        | "leftallowany" | "rightallowany" => one_of(&["yes", "no"]),
        "ikelifetime" | "lifetime" | "keylife" | "rekeymargin" | "margintime" | "dpddelay" | "dpdtimeout"
        | "inactivity" => time::parse(value)
            .map(drop)
            .ok_or_else(|| "a time like 30s, 20m, 3h or 1d".to_owned()),
        "rekeyfuzz" => percent(value)
            .map(drop)
            .ok_or_else(|| "a percentage like 100%".to_owned()),
        "keyingtries" if value == "%forever" => Ok(()),
        "keyingtries" | "lifebytes" | "marginbytes" | "lifepackets" | "marginpackets" | "reqid" => number(),
        "replay_window" if value == "-1" => Ok(()),
        "replay_window" => number(),
        "tfc" if value == "%mtu" => Ok(()),
        "tfc" => number(),
        "mark" | "mark_in" | "mark_out" => Mark::parse(value)
            .map(drop)
            .map_err(|_| "value[/mask], %unique or %unique-dir".to_owned()),
        "leftsubnet" | "rightsubnet" | "leftsubnetwithin" | "rightsubnetwithin" => {
            selector::list(value).map(drop)
        }
        "leftsourceip" | "rightsourceip" => {
            let good = |text: &str| {
                let name = text.strip_prefix('%').is_some_and(|name| !name.is_empty());
                name || selector::addresses_of(text).is_some()
            };
            if items(value).all(good) && items(value).next().is_some() {
                Ok(())
            } else {
                Err("%config, the name of a pool like %rw, a subnet, a range or an address".to_owned())
            }
        }
        "leftprotoport" | "rightprotoport" => selector::protocol_and_ports(value).map(drop),
        "leftikeport" | "rightikeport" => value.parse::<u16>().map(drop).map_err(|_| "a port".to_owned()),
        "ikedscp" => u8::from_str_radix(value, 2)
            .ok()
            .filter(|dscp| *dscp < 64)
            .map(drop)
            .ok_or_else(|| "six binary digits".to_owned()),
        _ => Ok(()),
    }
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

fn percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')
        .unwrap_or(text)
        .trim_end()
        .parse()
        .ok()
        .filter(|percent| *percent <= 1000)
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
            return Err(Error {
                text: unknown(key, source, keywords::CONN),
            });
        }
        check_value(key, value).map_err(|expected| Error {
            text: format!("bad value {key}={value}, expected {expected}"),
        })?;
    }
    let mut messages = Vec::new();
    let (local, remote) = sides(settings, is_local, allow_swap, &mut messages);
    let conn = Reader {
        settings,
        local,
        remote,
    };
    let peer = conn.peer(name, source, uniqueids)?;
    Ok(Converted { peer, messages })
}

/// The hosts that `left` or `right` names, and whether any other will do too: a name or address behind a `%` only says
/// whom to initiate to.
fn ends(text: &str) -> (Vec<Host>, bool) {
    let preferred = text.strip_prefix('%').filter(|_| {
        let host = selector::host(text);
        !matches!(host, Host::Any | Host::Any4 | Host::Any6)
    });
    (selector::hosts(preferred.unwrap_or(text)), preferred.is_some())
}

/// Which side is this host: `left`, unless only `right` has an address of ours.
fn sides(
    settings: &BTreeMap<String, String>,
    is_local: &dyn Fn(IpAddr) -> bool,
    allow_swap: bool,
    messages: &mut Vec<(i8, String)>,
) -> (&'static str, &'static str) {
    let is_ours = |side: &str| {
        let hosts = settings.get(side).map(|text| ends(text).0).unwrap_or_default();
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

struct Reader<'a> {
    settings: &'a BTreeMap<String, String>,
    local: &'static str,
    remote: &'static str,
}

impl Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }

    fn side(&self, side: &str, key: &str) -> Option<&str> {
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

    fn peer(&self, name: &str, source: &str, uniqueids: &str) -> Result<PeerConfig, Error> {
        let hosts = |side: &str| {
            let Some(text) = self.side(side, "") else {
                return vec![Host::Any];
            };
            let (mut hosts, any) = ends(text);
            if any || self.yes(&format!("{side}allowany"), false) {
                hosts.extend(["0.0.0.0/0", "::/0"].map(selector::host));
            }
            hosts
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
            local_addrs: hosts(self.local),
            remote_addrs: hosts(self.remote),
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
            dscp: self
                .get("ikedscp")
                .and_then(|dscp| u8::from_str_radix(dscp, 2).ok())
                .unwrap_or(0),
            vips: self.vips()?,
            pools: self.pools(name)?,
            dns_wanted: self.dns_wanted()?,
            dns: self.dns()?,
            if_ids: [Number::default(); 2],
            profile: None,
            source: source.to_owned(),
        })
    }

    /// The addresses that this end asks for.
    fn vips(&self) -> Result<Vec<IpAddr>, Error> {
        let key = format!("{}sourceip", self.local);
        let vip = |text: &str| {
            match text {
            "%config" | "%config4" | "%cfg" | "%modeconfig" | "%modecfg" => Ok([0; 4].into()),
            "%config6" => Ok([0; 16].into()),
            _ => text.parse().map_err(|_| Error {
                text: format!(
                    "bad value {key}={text}, expected %config, %config4, %config6 or an address, as this end asks for one"
                ),
            }),
        }
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(vip).collect())
    }

    /// The pools that the peer is given addresses of.
    fn pools(&self, name: &str) -> Result<Vec<String>, Error> {
        let key = format!("{}sourceip", self.remote);
        let pool = |text: &str| match text {
            "%config" | "%config4" | "%config6" | "%cfg" | "%modeconfig" | "%modecfg" => Ok(name.to_owned()),
            "%dhcp" | "%radius" => Err(Error {
                text: format!("{key}={text} is not supported, give addresses or the name of a pool"),
            }),
            _ => Ok(text.strip_prefix('%').unwrap_or(text).to_owned()),
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(pool).collect())
    }

    /// The DNS servers that this end asks for.
    fn dns_wanted(&self) -> Result<Vec<IpAddr>, Error> {
        let key = format!("{}dns", self.local);
        let server = |text: &str| {
            match text {
            "%config" | "%config4" => Ok([0; 4].into()),
            "%config6" => Ok([0; 16].into()),
            _ => text.parse().map_err(|_| Error {
                text: format!("bad value {key}={text}, expected %config4, %config6 or an address, as this end asks for it"),
            }),
        }
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(server).collect())
    }

    /// The DNS servers that the peer is told of.
    fn dns(&self) -> Result<Vec<IpAddr>, Error> {
        let key = format!("{}dns", self.remote);
        let server = |text: &str| {
            text.parse().map_err(|_| Error {
                text: format!("bad value {key}={text}, expected an address, as the peer is told of it"),
            })
        };
        self.get(&key)
            .map_or(Ok(Vec::new()), |text| items(text).map(server).collect())
    }

    /// How an end authenticates: the first round, and the second if there is one.
    fn rounds(&self, side: &str) -> Result<Vec<AuthConfig>, Error> {
        let authby = self.get("authby").unwrap_or("pubkey");
        let xauth = authby.starts_with("xauth");
        let first = match self.side(side, "auth").unwrap_or(authby) {
            "xauthpsk" => "psk",
            "xauthrsasig" | "rsasig" => "rsa",
            "ecdsasig" => "ecdsa",
            word => word,
        };
        let mut rounds = vec![self.round(side, first, "")?];
        let by_xauth = (self.get("xauth") == Some("server")) == (side == self.remote);
        let second = self
            .side(side, "auth2")
            .or((xauth && by_xauth).then_some("xauth"));
        match second {
            Some(word) => rounds.push(self.round(side, word, "2")?),
            None => self.refuse_lone_second(side)?,
        }
        Ok(rounds)
    }

    /// What is said of a second round that does not exist must not be lost.
    fn refuse_lone_second(&self, side: &str) -> Result<(), Error> {
        if side != self.remote {
            return Ok(());
        }
        let keys = ["id2", "cert2", "ca2", "groups2"];
        match keys.iter().find(|key| self.side(side, key).is_some()) {
            Some(key) => Err(Error {
                text: format!(
                    "{side}{key}= is about a second round of authentication, but {side}auth2= is missing"
                ),
            }),
            None => Ok(()),
        }
    }

    fn round(&self, side: &str, word: &str, number: &str) -> Result<AuthConfig, Error> {
        let key = format!("{side}auth{number}");
        let method = Method::parse(word).map_err(|why| Error {
            text: format!("bad value {key}={word}, expected {why}"),
        })?;
        // A leading % lets the peer have other identities of its certificate.
        let id = self.side(side, &format!("id{number}")).map(|text| {
            Identity::parse(
                text.strip_prefix('%')
                    .filter(|rest| *rest != "any")
                    .unwrap_or(text),
            )
        });
        let constraints = if side == self.remote {
            [method.constraints, self.constraints(side, number, method.class)].concat()
        } else {
            Vec::new()
        };
        Ok(AuthConfig {
            class: method.class,
            id: id.filter(|id| !id.is_any()),
            constraints,
            ..AuthConfig::default()
        })
    }

    /// What the peer has to satisfy in a round besides how it authenticates.
    fn constraints(&self, side: &str, number: &str, class: AuthClass) -> Vec<Constraint> {
        let get = |key: &str| self.side(side, key).filter(|text| !text.is_empty());
        let numbered = |key: &str| get(&format!("{key}{number}"));
        let list = |text: &str| items(text).map(str::to_owned).collect();
        let mut constraints = Vec::new();
        constraints.extend(numbered("cert").map(|file| Constraint::Certificate(file.to_owned())));
        constraints.extend(numbered("ca").map(|ca| Constraint::Authority(ca.to_owned())));
        constraints.extend(numbered("groups").map(|groups| Constraint::Groups(list(groups))));
        if number.is_empty() {
            // Old files say where a public key is, not which.
            let keys = ["sigkey", "rsasigkey"].into_iter().filter_map(get);
            let keys = keys.filter(|key| !key.starts_with('%'));
            constraints.extend(keys.map(|key| Constraint::Certificate(key.to_owned())));
            constraints.extend(get("certpolicy").map(|policies| Constraint::CertPolicies(list(policies))));
        }
        if class == AuthClass::Eap
            && let Some(id) = self.get("eap_identity")
        {
            let id = Identity::parse(id.strip_prefix("%identity").unwrap_or(id));
            constraints.extend((!id.is_any()).then_some(Constraint::EapIdentity(id)));
        }
        constraints
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
                Some("drop") => Mode::Drop,
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

    fn selectors(&self, side: &str) -> Result<Vec<SelectorSpec>, Error> {
        let restriction = self.side(side, "protoport").map(selector::protocol_and_ports);
        let restriction = restriction.transpose().map_err(|text| Error { text })?;
        let subnets = self
            .side(side, "subnet")
            .or_else(|| self.side(side, "subnetwithin"));
        let mut selectors = match subnets {
            Some(text) => selector::list(text).map_err(|text| Error { text })?,
            None => vec![SelectorSpec::DYNAMIC],
        };
        if let Some((protocol, ports)) = restriction {
            for selector in &mut selectors {
                match selector {
                    SelectorSpec::Dynamic {
                        protocol: p,
                        ports: q,
                    } => (*p, *q) = (protocol, ports),
                    SelectorSpec::Fixed(fixed) => {
                        (fixed.protocol, fixed.start_port, fixed.end_port) = (protocol, ports.0, ports.1);
                    }
                }
            }
        }
        Ok(selectors)
    }
}

/// The items of a comma list.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A list that excludes the built-in proposals and names no others; it must not stand for them.
fn is_strict_about_nothing(text: &str) -> bool {
    let list = text.trim().strip_suffix('!');
    list.is_some_and(|list| list.split(',').all(|entry| entry.trim().is_empty()))
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
