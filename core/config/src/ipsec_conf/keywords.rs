//! The keywords that sections may have.

use crate::spelling;

/// Whether a keyword is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    /// It was one, and is ignored with a warning.
    Deprecated,
    No,
}

pub(super) const SETUP: &[&str] = &["charondebug", "uniqueids", "cachecrls", "strictcrlpolicy"];

const DEPRECATED_SETUP: &[&str] = &[
    "interfaces",
    "dumpdir",
    "charonstart",
    "plutostart",
    "klipsdebug",
    "plutodebug",
    "prepluto",
    "postpluto",
    "plutostderrlog",
    "fragicmp",
    "packetdefault",
    "hidetos",
    "overridemtu",
    "crlcheckinterval",
    "nocrsend",
    "nat_traversal",
    "keep_alive",
    "force_keepalive",
    "virtual_private",
    "pkcs11module",
    "pkcs11initargs",
    "pkcs11keepstate",
    "pkcs11proxy",
];

/// Keywords of a conn that have no left and right form.
pub(super) const CONN: &[&str] = &[
    "auto",
    "keyexchange",
    "type",
    "ike",
    "esp",
    "ah",
    "authby",
    "ikelifetime",
    "lifetime",
    "keylife",
    "rekeymargin",
    "margintime",
    "rekeyfuzz",
    "keyingtries",
    "lifebytes",
    "marginbytes",
    "lifepackets",
    "marginpackets",
    "rekey",
    "reauth",
    "mobike",
    "fragmentation",
    "forceencaps",
    "dpdaction",
    "dpddelay",
    "dpdtimeout",
    "closeaction",
    "compress",
    "installpolicy",
    "sha256_96",
    "tfc",
    "reqid",
    "replay_window",
    "mark",
    "mark_in",
    "mark_out",
    "inactivity",
    "ikedscp",
    "aggressive",
    "modeconfig",
    "xauth",
    "xauth_identity",
    "eap_identity",
    "aaa_identity",
    "mediation",
    "mediated_by",
    "me_peerid",
    "profile",
    "kyber_generation",
    "also",
];

/// Keywords of a conn that come as left… and right….
pub(super) const SIDES: &[&str] = &[
    "",
    "id",
    "id2",
    "subnet",
    "subnetwithin",
    "protoport",
    "sourceip",
    "dns",
    "auth",
    "auth2",
    "cert",
    "cert2",
    "sigkey",
    "rsasigkey",
    "ca",
    "ca2",
    "certpolicy",
    "groups",
    "groups2",
    "sendcert",
    "firewall",
    "hostaccess",
    "updown",
    "allowany",
    "ikeport",
];

const DEPRECATED_CONN: &[&str] = &["pfs", "pfsgroup", "eap", "leftnexthop", "rightnexthop"];

pub(super) fn setup(key: &str) -> Known {
    known(SETUP.contains(&key), DEPRECATED_SETUP.contains(&key))
}

pub(super) fn conn(key: &str) -> Known {
    let side = key.strip_prefix("left").or_else(|| key.strip_prefix("right"));
    let is_known = CONN.contains(&key) || side.is_some_and(|rest| SIDES.contains(&rest));
    known(is_known, DEPRECATED_CONN.contains(&key))
}

fn known(yes: bool, deprecated: bool) -> Known {
    match (yes, deprecated) {
        (true, _) => Known::Yes,
        (_, true) => Known::Deprecated,
        _ => Known::No,
    }
}

/// What to write in place of a deprecated keyword.
pub(super) fn instead(key: &str) -> Option<&'static str> {
    match key {
        "pfs" | "pfsgroup" => Some("perfect forward secrecy is had by a DH group in esp="),
        "eap" => Some("a method of EAP is set by leftauth= and rightauth="),
        _ => None,
    }
}

/// Whether the keyword is set to a list of selectors.
pub(super) fn is_subnet(key: &str) -> bool {
    let side = key.strip_prefix("left").or_else(|| key.strip_prefix("right"));
    matches!(side, Some("subnet" | "subnetwithin"))
}

/// Keywords that say whom the connection is with, how they prove it, by which algorithms, and which packets are protected.
/// A connection without one is open to more than its author wanted.
const GUARDS: &[&str] = &[
    "also",
    "authby",
    "keyexchange",
    "type",
    "ike",
    "esp",
    "ah",
    "profile",
    "kyber_generation",
    "eap_identity",
];

/// The same of keywords that come as left… and right….
const GUARDS_OF_SIDES: &[&str] = &[
    "",
    "id",
    "id2",
    "subnet",
    "subnetwithin",
    "protoport",
    "auth",
    "auth2",
    "cert",
    "cert2",
    "sigkey",
    "rsasigkey",
    "ca",
    "ca2",
    "certpolicy",
    "groups",
    "groups2",
];

/// The keyword that guards the connection and that an unknown one is a misspelling of: in another case, or with at most
/// two mistakes, of which a short keyword has one.
pub(super) fn guard_like(key: &str) -> Option<String> {
    let lower = key.to_ascii_lowercase();
    let sides = sides(GUARDS_OF_SIDES);
    let guards = GUARDS.iter().map(|name| (*name).to_owned()).chain(sides);
    let near = spelling::nearest(&lower, guards)?;
    // Two mistakes make any short word of any other.
    let is_near = near.len() > 4 || spelling::distance(&lower, &near) < 2;
    is_near.then_some(near)
}

/// The keyword that was probably meant.
pub(super) fn nearest(key: &str, known: &[&str]) -> Option<String> {
    if matches!(key, "ikev1" | "ikev2") {
        return Some(format!("keyexchange={key}"));
    }
    spelling::nearest(
        key,
        known.iter().map(|name| (*name).to_owned()).chain(sides(SIDES)),
    )
}

fn sides(rests: &'static [&'static str]) -> impl Iterator<Item = String> {
    rests
        .iter()
        .flat_map(|rest| [format!("left{rest}"), format!("right{rest}")])
}
