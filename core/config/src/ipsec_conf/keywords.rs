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

/// The keyword that was probably meant.
pub(super) fn nearest(key: &str, known: &[&str]) -> Option<String> {
    let sides = SIDES
        .iter()
        .flat_map(|rest| [format!("left{rest}"), format!("right{rest}")]);
    spelling::nearest(key, known.iter().map(|name| (*name).to_owned()).chain(sides))
}
