//! What the values of a `conn` section have to look like.

use super::conn::ends;
use crate::authentication::Method;
use crate::connection::SelectorSpec;
use crate::identity::Identity;
use crate::kernel::Mark;
use crate::words::{dscp, kyber_generation, profile};
use crate::{octets, selector, time};

/// Checks a value.
///
/// # Errors
///
/// With what was expected, or what is wrong with the value.
pub(super) fn check(key: &str, value: &str) -> Result<(), String> {
    let one_of = |known: &[&str]| match known.contains(&value) {
        true => Ok(()),
        false => Err(format!("expected one of {}", known.join(", "))),
    };
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
            "reject",
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
        "xauth" => one_of(&["client", "server"]),
        "dpdaction" | "closeaction" => one_of(&["none", "clear", "hold", "restart"]),
        "fragmentation" => one_of(&["yes", "accept", "force", "no"]),
        "kyber_generation" if kyber_generation(value).is_none() => one_of(&["round3", "round2"]),
        "profile" if profile(value).is_none() => one_of(&["draft", "rfc"]),
        "rekey" | "reauth" | "mobike" | "forceencaps" | "compress" | "installpolicy" | "sha256_96"
        | "aggressive" | "mediation" | "leftfirewall" | "rightfirewall" | "lefthostaccess"
        | "righthostaccess" | "leftallowany" | "rightallowany" => one_of(&["yes", "no"]),
        "leftauth" | "rightauth" | "leftauth2" | "rightauth2" => Method::parse(value)
            .map(drop)
            .map_err(|unknown| format!("expected {unknown}")),
        "left" | "right" => ends(value).map(drop),
        "leftid" | "rightid" | "leftid2" | "rightid2" | "eap_identity" | "aaa_identity" => {
            id(value).map(drop)
        }
        _ => check_measure(key, value),
    }
}

/// Checks the value of a key that is set to a number, a time, proposals or selectors.
fn check_measure(key: &str, value: &str) -> Result<(), String> {
    let expected = |is: bool, what: &str| match is {
        true => Ok(()),
        false => Err(format!("expected {what}")),
    };
    let number = || value.parse::<u64>().is_ok();
    let small = || value.parse::<u32>().is_ok();
    match key {
        "ike" | "esp" | "ah" => expected(!is_strict_about_nothing(value), "proposals before '!'"),
        "ikelifetime" | "lifetime" | "keylife" | "rekeymargin" | "margintime" | "dpddelay" | "dpdtimeout"
        | "inactivity" => expected(time::parse(value).is_some(), "a time like 30s, 20m, 3h or 1d"),
        "rekeyfuzz" => expected(percent(value).is_some(), "a percentage like 100%"),
        "keyingtries" => expected(value == "%forever" || number(), "a number"),
        "lifebytes" | "marginbytes" | "lifepackets" | "marginpackets" => expected(number(), "a number"),
        "reqid" => expected(small(), "a number of up to 32 bits"),
        "replay_window" => expected(value == "-1" || small(), "a number of up to 32 bits"),
        "tfc" => expected(value == "%mtu" || small(), "a number of up to 32 bits, or %mtu"),
        "mark" | "mark_in" | "mark_out" => {
            expected(Mark::parse(value).is_ok(), "value[/mask], %unique or %unique-dir")
        }
        "leftsubnet" | "rightsubnet" | "leftsubnetwithin" | "rightsubnetwithin" => subnets(value).map(drop),
        "leftsourceip" | "rightsourceip" => {
            let good = |text: &str| {
                let name = text.strip_prefix('%').is_some_and(|name| !name.is_empty());
                name || selector::addresses_of(text).is_some()
            };
            expected(
                items(value).all(good) && items(value).next().is_some(),
                "%config, the name of a pool like %rw, a subnet, a range or an address",
            )
        }
        "leftprotoport" | "rightprotoport" => selector::protocol_and_ports(value).map(drop),
        "leftikeport" | "rightikeport" => expected(value.parse::<u16>().is_ok(), "a port"),
        "ikedscp" => expected(dscp(value).is_some(), "six binary digits"),
        _ => Ok(()),
    }
}

/// Whether an identity has the leading `%`.
pub(super) fn is_loose(text: &str) -> bool {
    let rest = text.strip_prefix('%');
    rest.is_some_and(|rest| !matches!(rest, "any" | "any4" | "any6" | "identity"))
}

/// An identity; a leading `%` lets the peer have other identities of its certificate.
pub(super) fn id(text: &str) -> Result<Identity, String> {
    match text {
        "%any4" | "%identity" => Ok(Identity::any()),
        _ if is_loose(text) => Identity::read(&text[1..]),
        _ => Identity::read(text),
    }
}

/// The selectors of a list, and what is wrong with those that are none, which are skipped as strongSwan does: the tunnel
/// is for the others.
///
/// # Errors
///
/// If no selector is left.
pub(super) fn subnets(text: &str) -> Result<(Vec<SelectorSpec>, Vec<String>), String> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for item in items(text) {
        match selector::one(item) {
            Ok(selector) => good.push(selector),
            Err(why) => bad.push(format!("{}, skipped: {why}", octets::shown(item))),
        }
    }
    match (good.is_empty(), bad.len()) {
        (false, _) => Ok((good, bad)),
        (true, 0) => Err("expected a subnet, range or address like 10.1.0.0/16".to_owned()),
        (true, 1) => selector::one(items(text).next().unwrap_or_default()).map(|_| (good, bad)),
        (true, _) => Err("none of them is a subnet, range or address like 10.1.0.0/16".to_owned()),
    }
}

pub(super) fn percent(text: &str) -> Option<u64> {
    text.strip_suffix('%')
        .unwrap_or(text)
        .trim_end()
        .parse()
        .ok()
        .filter(|percent| *percent <= 1000)
}

/// The items of a comma list.
pub(super) fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// A list that excludes the built-in proposals and names no others; it must not stand for them.
fn is_strict_about_nothing(text: &str) -> bool {
    let list = text.trim().strip_suffix('!');
    list.is_some_and(|list| list.split(',').all(|entry| entry.trim().is_empty()))
}
