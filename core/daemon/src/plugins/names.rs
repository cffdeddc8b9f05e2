//! strongSwan's plugins by name, and what does their work here.

use config::spelling;

/// What does the work of a plugin that a list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Plugins of ours, in the order of preference. As many of them are loaded as are installed.
    Plugins(&'static [&'static str]),
    /// The daemon or a command itself, as this says.
    BuiltIn(&'static str),
    /// Nothing, for this reason.
    Nothing(&'static str),
}

use Work::{BuiltIn, Nothing, Plugins};

/// A library with all of cryptography. What is taken of ours is what strongSwan's wrappers of such libraries register.
const LIBRARY: Work = Plugins(&[
    "aws-lc",
    "aes",
    "sha2",
    "sha1",
    "md5",
    "random",
    "gmp",
    "curve25519",
    "curve448",
    "brainpool",
    "ecp-low",
    "ml",
    "hmac",
    "gcm",
    "ctr",
    "ccm",
    "chapoly",
    "cmac",
    "des",
    "blowfish",
    "camellia",
]);

const EAP: Work = Nothing("EAP is not supported");
const FETCHER: Work = Nothing("the daemon fetches neither CRLs nor OCSP responses");
const IKEV1: Work = Nothing("XAuth belongs to IKEv1, which the daemon does not speak");
const KEY_FORMAT: Work = Nothing("keys in this format are not read; convert them to PEM");
const DATABASE: Work = Nothing("there is no access to databases");
const TOKEN: Work = Nothing("private keys in tokens and agents are not supported");
const TNC: Work = Nothing("Trusted Network Connect is not supported");
const OTHER_SYSTEM: Work = Nothing("it belongs to another operating system");
const CERTIFICATES: Work = Nothing("no peer is authenticated by certificate, so there is nothing to check");
const ABSENT: Work = Nothing("it has no counterpart");

/// A row of [`TABLE`].
type Row = (&'static str, Work);

/// All names, in alphabetical order. A plugin that is installed under a name is loaded in any case; the row says what comes with
/// it, or takes its place.
#[rustfmt::skip] // one line a name
const TABLE: &[Row] = &[
    ("acert", Nothing("attribute certificates are stored, but not evaluated")),
    ("addrblock", CERTIFICATES),
    ("aes", Plugins(&["aes"])),
    ("aesni", Plugins(&["aws-lc", "aes", "gcm", "ctr", "ccm", "xcbc", "cmac"])),
    ("af-alg", Plugins(&["aes", "sha2", "sha1", "md5", "hmac", "gcm", "ctr", "ccm", "xcbc", "des", "camellia"])),
    ("agent", TOKEN),
    ("android-dns", OTHER_SYSTEM),
    ("android-log", OTHER_SYSTEM),
    ("attr", Plugins(&["attr"])),
    ("attr-sql", DATABASE),
    ("aws-lc", Plugins(&["aws-lc"])),
    ("bliss", Nothing("BLISS signatures are not supported")),
    ("blowfish", Plugins(&["blowfish"])),
    ("botan", LIBRARY),
    ("brainpool", Plugins(&["brainpool"])),
    ("bypass-lan", Nothing("use a connection with mode = pass for the local network")),
    ("camellia", Plugins(&["camellia"])),
    ("ccm", Plugins(&["ccm"])),
    ("certexpire", ABSENT),
    ("chapoly", Plugins(&["aws-lc", "chapoly"])),
    ("cmac", Plugins(&["cmac"])),
    ("connmark", ABSENT),
    ("constraints", CERTIFICATES),
    ("counters", Plugins(&["counters"])),
    ("coupling", CERTIFICATES),
    ("ctr", Plugins(&["ctr"])),
    ("curl", FETCHER),
    ("curve25519", Plugins(&["curve25519"])),
    ("curve448", Plugins(&["curve448"])),
    ("des", Plugins(&["des"])),
    ("dhcp", Nothing("virtual IPs come from pools")),
    ("dnscert", FETCHER),
    ("dnskey", KEY_FORMAT),
    ("drbg", BuiltIn("random numbers come from the operating system's generator")),
    ("duplicheck", BuiltIn("duplicate IKE_SAs are handled as `unique` says")),
    ("eap-aka", EAP),
    ("eap-aka-3gpp", EAP),
    ("eap-aka-3gpp2", EAP),
    ("eap-dynamic", EAP),
    ("eap-gtc", EAP),
    ("eap-identity", EAP),
    ("eap-md5", EAP),
    ("eap-mschapv2", EAP),
    ("eap-peap", EAP),
    ("eap-radius", EAP),
    ("eap-sim", EAP),
    ("eap-sim-file", EAP),
    ("eap-sim-pcsc", EAP),
    ("eap-simaka-pseudonym", EAP),
    ("eap-simaka-reauth", EAP),
    ("eap-simaka-sql", EAP),
    ("eap-tls", EAP),
    ("eap-tnc", EAP),
    ("eap-ttls", EAP),
    ("ecp-low", Plugins(&["ecp-low"])),
    ("error-notify", Nothing("vici reports errors by the event `alert`")),
    ("ext-auth", Nothing("no script is asked whether a peer may connect")),
    ("farp", ABSENT),
    ("files", FETCHER),
    ("fips-prf", Nothing("only EAP-SIM and EAP-AKA use it, which are not supported")),
    ("forecast", ABSENT),
    ("frodo", Plugins(&["frodo"])),
    ("gcm", Plugins(&["gcm"])),
    ("gcrypt", Plugins(&["aes", "sha2", "sha1", "md5", "random", "gmp", "curve25519", "hmac", "ctr", "des", "blowfish", "camellia"])),
    ("gmp", Plugins(&["gmp"])),
    ("ha", Nothing("state is not synchronized with another gateway")),
    ("hmac", Plugins(&["hmac"])),
    ("ipseckey", FETCHER),
    ("kdf", BuiltIn("the daemon derives keys itself")),
    ("kernel-iph", OTHER_SYSTEM),
    ("kernel-libipsec", Plugins(&["kernel-libipsec"])),
    ("kernel-netlink", Plugins(&["kernel-netlink"])),
    ("kernel-pfkey", Plugins(&["kernel-netlink"])),
    ("kernel-pfroute", OTHER_SYSTEM),
    ("kernel-wfp", OTHER_SYSTEM),
    ("keychain", OTHER_SYSTEM),
    ("kyber-round2", Plugins(&["kyber-round2"])),
    ("ldap", FETCHER),
    ("led", ABSENT),
    ("load-tester", Nothing("`cargo xtask bench` measures the daemon under load")),
    ("lookip", Nothing("vici lists virtual IPs, and reports them by events")),
    ("md4", Nothing("only EAP-MSCHAPv2 uses it, which is not supported")),
    ("md5", Plugins(&["md5"])),
    ("medcli", ABSENT),
    ("medsrv", ABSENT),
    ("metrics", Plugins(&["metrics"])),
    ("mgf1", Nothing("only RSA-PSS and BLISS signatures use it, which are not supported")),
    ("ml", Plugins(&["ml"])),
    ("mysql", DATABASE),
    ("newhope", Nothing("NewHope is not supported")),
    ("nonce", Plugins(&["nonce"])),
    ("ntru", Plugins(&["ntru"])),
    ("openssl", LIBRARY),
    ("openxpki", FETCHER),
    ("oqs", Plugins(&["frodo", "oqs", "kyber-round2", "ntru", "saber", "sike"])),
    ("osx-attr", OTHER_SYSTEM),
    ("p-cscf", Nothing("P-CSCF attributes are not requested")),
    ("padlock", Plugins(&["aws-lc", "aes", "sha1", "random"])),
    ("pem", BuiltIn("the daemon and swanctl read PEM files themselves")),
    ("pgp", KEY_FORMAT),
    ("pkcs1", BuiltIn("the daemon reads RSA keys itself")),
    ("pkcs11", TOKEN),
    ("pkcs12", BuiltIn("swanctl reads PKCS#12 files itself")),
    ("pkcs7", Nothing("PKCS#7 containers are not read")),
    ("pkcs8", BuiltIn("the daemon and swanctl read PKCS#8 keys themselves")),
    ("pubkey", BuiltIn("the daemon reads raw public keys itself")),
    ("radattr", EAP),
    ("random", Plugins(&["random"])),
    ("rc2", BuiltIn("swanctl decrypts PKCS#12 files itself")),
    ("rdrand", Plugins(&["random"])),
    ("resolve", Plugins(&["resolve"])),
    ("revocation", CERTIFICATES),
    ("saber", Plugins(&["saber"])),
    ("save-keys", Nothing("keys are never written to files")),
    ("selinux", Nothing("security labels are not supported")),
    ("sha1", Plugins(&["sha1"])),
    ("sha2", Plugins(&["sha2"])),
    ("sha3", BuiltIn("KEMs bring their own SHA-3")),
    ("sike", Plugins(&["sike"])),
    ("smp", Nothing("use vici")),
    ("socket-default", Plugins(&["socket-default"])),
    ("socket-dynamic", Plugins(&["socket-default"])),
    ("socket-win", OTHER_SYSTEM),
    ("soup", FETCHER),
    ("sql", DATABASE),
    ("sqlite", DATABASE),
    ("sshkey", KEY_FORMAT),
    ("stroke", Plugins(&["stroke"])),
    ("systime-fix", CERTIFICATES),
    ("test-vectors", Nothing("known answers are tested when the plugins are built")),
    ("tnc-ifmap", TNC),
    ("tnc-imc", TNC),
    ("tnc-imv", TNC),
    ("tnc-pdp", TNC),
    ("tnc-tnccs", TNC),
    ("tnccs-11", TNC),
    ("tnccs-20", TNC),
    ("tnccs-dynamic", TNC),
    ("tpm", TOKEN),
    ("uci", OTHER_SYSTEM),
    ("unbound", FETCHER),
    ("unity", Nothing("it belongs to IKEv1, which the daemon does not speak")),
    ("updown", Plugins(&["updown"])),
    ("vici", Plugins(&["vici"])),
    ("whitelist", Nothing("no list says which peers may connect")),
    ("winhttp", OTHER_SYSTEM),
    ("wolfssl", LIBRARY),
    ("x509", BuiltIn("the daemon reads certificates and CRLs itself")),
    ("xauth-eap", IKEV1),
    ("xauth-generic", IKEV1),
    ("xauth-noauth", IKEV1),
    ("xauth-pam", IKEV1),
    ("xcbc", Plugins(&["xcbc"])),
];

/// Plugins that only lists of ours name: a list with one of them knows what `oqs` does not bring along.
const OURS: [&str; 2] = ["saber", "sike"];

/// Whether a list was written for this daemon, and not for strongSwan.
pub(super) fn is_ours<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|name| OURS.contains(&name))
}

/// What does the work of a plugin, if its name is known.
pub(super) fn work(name: &str) -> Option<Work> {
    let found = TABLE.binary_search_by_key(&name, |(known, _)| known).ok()?;
    Some(TABLE[found].1)
}

/// The known name that an unknown one is nearest to. Of short names two letters are too much of a difference, unless they begin
/// alike.
pub(super) fn nearest(name: &str) -> Option<String> {
    let near = spelling::nearest(name, TABLE.iter().map(|(known, _)| (*known).to_owned()))?;
    let alike = name.len() > 4 || name.chars().next() == near.chars().next();
    alike.then_some(near)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_table_is_in_order_and_names_only_plugins_that_it_knows() {
        assert!(TABLE.is_sorted_by(|(one, _), (other, _)| one < other));
        for (name, work) in TABLE {
            if let Plugins(plugins) = work {
                assert!(
                    plugins.iter().all(|plugin| self::work(plugin).is_some()),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn every_plugin_of_this_tree_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        for entry in std::fs::read_dir(folder).expect("the folder of plugins") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            if path.join("Cargo.toml").exists() {
                assert!(work(&name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn short_names_have_suggestions_that_begin_alike() {
        assert_eq!(nearest("hmca").as_deref(), Some("hmac"));
        assert_eq!(nearest("opnssl").as_deref(), Some("openssl"));
        assert_eq!(nearest("bad"), None);
    }

    #[test]
    fn a_list_with_plugins_that_strongswan_lacks_is_ours() {
        assert!(is_ours(["oqs", "saber"].into_iter()));
        assert!(!is_ours(["ntru", "oqs", "frodo"].into_iter()));
        assert!(is_ours(super::super::DEFAULT_LOAD.split_whitespace()));
    }
}
