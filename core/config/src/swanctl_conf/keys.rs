//! The keys of swanctl.conf, section by section, with the kind of value each has.

/// What a key is set to. Lists are lists in vici too, with commas between the items in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text, or one of some words.
    Text,
    /// yes or no.
    Flag,
    /// A number, decimal or with `0x`.
    Number,
    /// Seconds, or with the suffix s, m, h or d.
    Time,
    /// Octets, or with the suffix k, m or g.
    Amount,
    /// Items with commas.
    List,
    /// Names of files with commas; what is in them is sent.
    Files,
}

/// A key with its kind.
pub type Key = (&'static str, Kind);

/// A section of the file by what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// `connections.<name>`.
    Connection,
    /// `local<suffix>` in a connection.
    Local,
    /// `remote<suffix>` in a connection.
    Remote,
    /// `cert<suffix>` in an end, and `cacert<suffix>` in a remote one.
    Cert,
    /// `children` in a connection; what is in it has names of its own.
    Children,
    /// `children.<name>`.
    Child,
    /// `pools.<name>`.
    Pool,
    /// `authorities.<name>`.
    Authority,
    /// `secrets.ike<suffix>` and the like: what two share.
    Shared,
    /// `secrets.private<suffix>` and the like: what unlocks the key in a file.
    Unlock,
    /// `secrets.token<suffix>`.
    Token,
}

/// What sections of shared secrets begin with.
pub const SHARED: [&str; 5] = ["eap", "xauth", "ntlm", "ike", "ppk"];

/// What sections begin with that unlock files; the files are in directories of these names.
pub const UNLOCK: [&str; 5] = ["private", "rsa", "ecdsa", "pkcs8", "pkcs12"];

impl Section {
    /// The keys that it may have.
    pub fn keys(self) -> &'static [Key] {
        match self {
            Self::Connection => CONNECTION,
            Self::Local => LOCAL,
            Self::Remote => REMOTE,
            Self::Cert => CERT,
            Self::Children => &[],
            Self::Child => CHILD,
            Self::Pool => POOL,
            Self::Authority => AUTHORITY,
            Self::Shared => &[("secret", Kind::Text)],
            Self::Unlock => &[("file", Kind::Text), ("secret", Kind::Text)],
            Self::Token => TOKEN,
        }
    }

    /// The kind of a key; none if there is no such key here.
    pub fn kind(self, key: &str) -> Option<Kind> {
        let known = self.keys().iter().find(|(name, _)| *name == key);
        known.map(|(_, kind)| *kind).or_else(|| match self {
            // Any number of owners.
            Self::Shared if key.starts_with("id") => Some(Kind::Text),
            // Attributes without a name of their own have their number (RFC 7296, 3.15.1).
            Self::Pool if key.parse::<u16>().is_ok() => Some(Kind::List),
            _ => None,
        })
    }

    /// The names that sections in this one begin with.
    pub fn sections(self) -> &'static [&'static str] {
        match self {
            Self::Connection => &["local", "remote", "children"],
            Self::Local => &["cert"],
            Self::Remote => &["cert", "cacert"],
            _ => &[],
        }
    }

    /// What a section in this one is about; none if there can be none of that name.
    pub fn section(self, name: &str) -> Option<Self> {
        match self {
            Self::Connection if name == "children" => Some(Self::Children),
            Self::Connection if name.starts_with("local") => Some(Self::Local),
            Self::Connection if name.starts_with("remote") => Some(Self::Remote),
            Self::Local | Self::Remote if name.starts_with("cert") => Some(Self::Cert),
            Self::Remote if name.starts_with("cacert") => Some(Self::Cert),
            Self::Children => Some(Self::Child),
            _ => None,
        }
    }

    /// What a section of `secrets` is about; none if it begins with nothing that is known.
    pub fn secret(name: &str) -> Option<Self> {
        let begins = |kinds: &[&str]| kinds.iter().any(|kind| name.starts_with(kind));
        match () {
            () if begins(&SHARED) => Some(Self::Shared),
            () if begins(&UNLOCK) => Some(Self::Unlock),
            () if begins(&["token"]) => Some(Self::Token),
            () => None,
        }
    }
}

const CONNECTION: &[Key] = &[
    ("version", Kind::Number),
    ("local_addrs", Kind::List),
    ("remote_addrs", Kind::List),
    ("local_port", Kind::Number),
    ("remote_port", Kind::Number),
    ("proposals", Kind::List),
    ("vips", Kind::List),
    ("aggressive", Kind::Flag),
    ("pull", Kind::Flag),
    ("dscp", Kind::Text),
    ("encap", Kind::Flag),
    ("mobike", Kind::Flag),
    ("dpd_delay", Kind::Time),
    ("dpd_timeout", Kind::Time),
    ("profile", Kind::Text),
    ("kyber_generation", Kind::Text),
    ("fragmentation", Kind::Text),
    ("childless", Kind::Text),
    ("send_certreq", Kind::Flag),
    ("send_cert", Kind::Text),
    ("ocsp", Kind::Text),
    ("ppk_id", Kind::Text),
    ("ppk_required", Kind::Flag),
    ("keyingtries", Kind::Number),
    ("unique", Kind::Text),
    ("reauth_time", Kind::Time),
    ("rekey_time", Kind::Time),
    ("over_time", Kind::Time),
    ("rand_time", Kind::Time),
    ("pools", Kind::List),
    ("if_id_in", Kind::Text),
    ("if_id_out", Kind::Text),
    ("mediation", Kind::Flag),
    ("mediated_by", Kind::Text),
    ("mediation_peer", Kind::Text),
];

const LOCAL: &[Key] = &[
    ("round", Kind::Number),
    ("certs", Kind::Files),
    ("pubkeys", Kind::Files),
    ("auth", Kind::Text),
    ("id", Kind::Text),
    ("eap_id", Kind::Text),
    ("aaa_id", Kind::Text),
    ("xauth_id", Kind::Text),
];

const REMOTE: &[Key] = &[
    ("round", Kind::Number),
    ("certs", Kind::Files),
    ("pubkeys", Kind::Files),
    ("auth", Kind::Text),
    ("id", Kind::Text),
    ("eap_id", Kind::Text),
    ("aaa_id", Kind::Text),
    ("xauth_id", Kind::Text),
    ("groups", Kind::List),
    ("cert_policy", Kind::List),
    ("cacerts", Kind::Files),
    ("ca_id", Kind::Text),
    ("revocation", Kind::Text),
];

const CERT: &[Key] = &[
    ("file", Kind::Text),
    ("handle", Kind::Text),
    ("slot", Kind::Number),
    ("module", Kind::Text),
];

const CHILD: &[Key] = &[
    ("esp_proposals", Kind::List),
    ("ah_proposals", Kind::List),
    ("local_ts", Kind::List),
    ("remote_ts", Kind::List),
    ("sha256_96", Kind::Flag),
    ("rekey_time", Kind::Time),
    ("life_time", Kind::Time),
    ("rand_time", Kind::Time),
    ("rekey_bytes", Kind::Amount),
    ("life_bytes", Kind::Amount),
    ("rand_bytes", Kind::Amount),
    ("rekey_packets", Kind::Amount),
    ("life_packets", Kind::Amount),
    ("rand_packets", Kind::Amount),
    ("updown", Kind::Text),
    ("hostaccess", Kind::Flag),
    ("mode", Kind::Text),
    ("policies", Kind::Flag),
    ("policies_fwd_out", Kind::Flag),
    ("dpd_action", Kind::Text),
    ("start_action", Kind::Text),
    ("close_action", Kind::Text),
    ("ipcomp", Kind::Flag),
    ("inactivity", Kind::Time),
    ("reqid", Kind::Number),
    ("priority", Kind::Number),
    ("interface", Kind::Text),
    ("mark_in", Kind::Text),
    ("mark_out", Kind::Text),
    ("mark_in_sa", Kind::Flag),
    ("set_mark_in", Kind::Text),
    ("set_mark_out", Kind::Text),
    ("if_id_in", Kind::Text),
    ("if_id_out", Kind::Text),
    ("label", Kind::Text),
    ("label_mode", Kind::Text),
    ("per_cpu_sas", Kind::Text),
    ("tfc_padding", Kind::Text),
    ("replay_window", Kind::Number),
    ("hw_offload", Kind::Text),
    ("copy_df", Kind::Flag),
    ("copy_ecn", Kind::Flag),
    ("copy_dscp", Kind::Text),
    ("icmp", Kind::Flag),
];

const POOL: &[Key] = &[
    ("addrs", Kind::Text),
    ("address", Kind::List),
    ("dns", Kind::List),
    ("nbns", Kind::List),
    ("dhcp", Kind::List),
    ("netmask", Kind::List),
    ("server", Kind::List),
    ("subnet", Kind::List),
    ("p_cscf", Kind::List),
    ("split_include", Kind::List),
    ("split_exclude", Kind::List),
];

const AUTHORITY: &[Key] = &[
    ("cacert", Kind::Text),
    ("file", Kind::Text),
    ("handle", Kind::Text),
    ("slot", Kind::Number),
    ("module", Kind::Text),
    ("cert_uri_base", Kind::Text),
    ("crl_uris", Kind::List),
    ("ocsp_uris", Kind::List),
];

const TOKEN: &[Key] = &[
    ("handle", Kind::Text),
    ("slot", Kind::Number),
    ("module", Kind::Text),
    ("pin", Kind::Text),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_a_section() {
        assert_eq!(Section::Child.kind("life_time"), Some(Kind::Time));
        assert_eq!(Section::Connection.kind("life_time"), None);
        assert_eq!(Section::Remote.kind("cacerts"), Some(Kind::Files));
        assert_eq!(Section::Local.kind("cacerts"), None);
    }

    #[test]
    fn sections_are_known_by_what_they_begin_with() {
        assert_eq!(Section::Connection.section("local-2"), Some(Section::Local));
        assert_eq!(Section::Connection.section("child"), None);
        assert_eq!(Section::Children.section("net"), Some(Section::Child));
        assert_eq!(Section::Remote.section("cacert-old"), Some(Section::Cert));
        assert_eq!(Section::Local.section("cacert-old"), None);
        assert_eq!(Section::secret("ike-moon"), Some(Section::Shared));
        assert_eq!(Section::secret("pkcs12-1"), Some(Section::Unlock));
        assert_eq!(Section::secret("psk"), None);
    }

    #[test]
    fn owners_and_attributes_have_names_without_end() {
        assert_eq!(Section::Shared.kind("id-moon"), Some(Kind::Text));
        assert_eq!(Section::Pool.kind("28672"), Some(Kind::List));
        assert_eq!(Section::Pool.kind("ip"), None);
    }

    #[test]
    fn no_section_has_a_key_twice() {
        for section in [
            Section::Connection,
            Section::Local,
            Section::Remote,
            Section::Child,
            Section::Pool,
        ] {
            let keys = section.keys();
            for (index, (name, _)) in keys.iter().enumerate() {
                assert!(keys[..index].iter().all(|(known, _)| known != name), "{name}");
            }
        }
    }
}
