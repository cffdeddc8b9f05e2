//! Shared secrets, by the identities that share them.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::identity::{Identity, Match};

/// What a secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SecretKind {
    Ike,
    Eap,
    Xauth,
    Ntlm,
    Ppk,
}

impl fmt::Display for SecretKind {
    /// As in `loaded IKE secret for moon`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ike => "IKE",
            Self::Eap => "EAP",
            Self::Xauth => "XAUTH",
            Self::Ntlm => "NTLM",
            Self::Ppk => "PPK",
        })
    }
}

/// A secret: zeroized on drop, never printed.
pub struct SharedSecret(Zeroizing<Vec<u8>>);

impl SharedSecret {
    /// Takes the octets over.
    pub fn new(octets: Vec<u8>) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<secret of {} octets>", self.0.len())
    }
}

/// Where a secret came from, which decides what replaces it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    File,
    /// A control socket, with the name it was given.
    Control(Option<String>),
}

#[derive(Debug)]
struct Entry {
    kind: SecretKind,
    owners: Vec<Identity>,
    secret: Arc<SharedSecret>,
    source: Source,
}

/// All shared secrets.
#[derive(Debug, Default)]
pub struct SecretStore {
    entries: Vec<Entry>,
}

/// A secret as a file has it: what for, whose, and the octets.
pub type FileSecret = (SecretKind, Vec<Identity>, SharedSecret);

impl SecretStore {
    /// Adds a secret as if it came from a file.
    pub fn insert(&mut self, kind: SecretKind, owners: Vec<Identity>, secret: SharedSecret) {
        self.entries.push(Entry {
            kind,
            owners,
            secret: Arc::new(secret),
            source: Source::File,
        });
    }

    /// Replaces all secrets of files at once; those of control sockets stay.
    pub fn replace_file_secrets(&mut self, secrets: Vec<FileSecret>) {
        self.entries.retain(|entry| entry.source != Source::File);
        for (kind, owners, secret) in secrets {
            self.insert(kind, owners, secret);
        }
    }

    /// Adds a secret of a control socket. One with a name takes the place of the earlier one.
    pub fn insert_loaded(
        &mut self,
        name: Option<&str>,
        kind: SecretKind,
        owners: Vec<Identity>,
        secret: SharedSecret,
    ) {
        if let Some(name) = name {
            self.remove_loaded(name);
        }
        self.entries.push(Entry {
            kind,
            owners,
            secret: Arc::new(secret),
            source: Source::Control(name.map(str::to_owned)),
        });
    }

    /// Removes a secret of a control socket; whether there was one of that name.
    pub fn remove_loaded(&mut self, name: &str) -> bool {
        let before = self.entries.len();
        self.entries
            .retain(|entry| !matches!(&entry.source, Source::Control(Some(own)) if own == name));
        self.entries.len() < before
    }

    /// Removes all secrets of control sockets.
    pub fn clear_loaded(&mut self) {
        self.entries.retain(|entry| entry.source == Source::File);
    }

    /// The names of all secrets that have one.
    pub fn loaded_names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match &entry.source {
            Source::Control(name) => name.as_deref(),
            Source::File => None,
        })
    }

    /// The post-quantum preshared key of an identity: the best fit, and of equal ones the last loaded.
    pub fn ppk(&self, id: &Identity) -> Option<Arc<SharedSecret>> {
        let keys = self.entries.iter().filter(|entry| entry.kind == SecretKind::Ppk);
        let fitting = keys
            .map(|entry| (entry.names(id), entry))
            .filter(|(naming, _)| naming.fits());
        let best = fitting.max_by_key(|(naming, _)| *naming);
        best.map(|(_, entry)| Arc::clone(&entry.secret))
    }

    /// Whether there is any post-quantum preshared key.
    pub fn has_ppk(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == SecretKind::Ppk)
    }

    /// The secrets to try between two identities: all of the best class there is, the last loaded first.
    ///
    /// How a secret names the other end decides, then how it names this one. Secrets of a lower class are never tried
    /// beside it: with them, whoever knows the key of a group or of another peer could authenticate as this peer. A secret
    /// without owners fits every pair.
    pub fn ike_secrets(&self, me: &Identity, other: &Identity) -> Vec<Arc<SharedSecret>> {
        let ranked = |entry: &Entry| {
            let rank = (entry.names(other), entry.names(me));
            (rank.0.fits() || rank.1.fits()).then_some(rank)
        };
        let best = self.ike_entries().filter_map(ranked).max();
        let tried = self
            .ike_entries()
            .rev()
            .filter(|entry| best.is_some() && ranked(entry) == best);
        tried.map(|entry| Arc::clone(&entry.secret)).collect()
    }

    /// Whether an IKE secret names this identity, or fits anyone.
    pub fn names(&self, other: &Identity) -> bool {
        self.ike_entries().any(|entry| entry.names(other).fits())
    }

    fn ike_entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.kind == SecretKind::Ike)
    }
}

impl Entry {
    /// How well the owners fit an identity.
    fn names(&self, id: &Identity) -> Naming {
        if self.owners.is_empty() {
            return Naming::of(Match::Any, 0);
        }
        let owners = self.owners.iter();
        let fits = owners.map(|owner| Naming::of(id.matches(owner), owner.specificity()));
        fits.max().unwrap_or(Naming::of(Match::No, 0))
    }
}

/// How well a secret names an identity. Of two patterns that fit, the one that leaves less open is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Naming(Match, u128);

impl Naming {
    fn of(how: Match, specificity: u128) -> Self {
        match how {
            Match::Wildcard => Self(how, specificity),
            _ => Self(how, 0),
        }
    }

    fn fits(self) -> bool {
        self.0 != Match::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(entries: &[(&str, &str)]) -> SecretStore {
        let mut store = SecretStore::default();
        for (owners, secret) in entries {
            let owners = owners.split_whitespace().map(Identity::parse).collect();
            store.insert(
                SecretKind::Ike,
                owners,
                SharedSecret::new(secret.as_bytes().to_vec()),
            );
        }
        store
    }

    fn secrets(store: &SecretStore, me: &str, other: &str) -> Vec<String> {
        store
            .ike_secrets(&Identity::parse(me), &Identity::parse(other))
            .iter()
            .map(|secret| String::from_utf8_lossy(secret.octets()).into_owned())
            .collect()
    }

    #[test]
    fn one_of_two_selectors_is_enough() {
        let store = store(&[("moon.strongswan.org carol@strongswan.org", "psk")]);
        let (moon, carol) = ("moon.strongswan.org", "carol.strongswan.org");
        assert_eq!(secrets(&store, carol, moon), ["psk"]);
        assert!(store.names(&Identity::parse(moon)));
        assert_eq!(secrets(&store, moon, carol), ["psk"]);
        assert!(!store.names(&Identity::parse(carol)), "carol@ is another name");
        assert!(secrets(&store, "dave", "sun").is_empty());
    }

    #[test]
    fn a_secret_that_names_the_peer_beats_all_others() {
        let store = store(&[
            ("", "anyone"),
            ("*.strongswan.org", "some"),
            ("*.dept.strongswan.org", "few"),
            ("me", "mine"),
            ("moon.strongswan.org", "moon"),
        ]);
        for (peer, tried) in [
            ("moon.strongswan.org", "moon"),
            ("sun.strongswan.org", "some"),
            ("sun.dept.strongswan.org", "few"),
            ("sun.example.org", "anyone"),
        ] {
            assert_eq!(secrets(&store, "me", peer), [tried], "{peer}");
        }
    }

    #[test]
    fn the_secret_of_one_peer_is_never_tried_for_another() {
        let store = store(&[("moon carol", "A"), ("moon dave", "B"), ("moon", "C")]);
        assert_eq!(secrets(&store, "moon", "carol"), ["A"]);
        assert_eq!(secrets(&store, "moon", "dave"), ["B"]);
        let own = SecretStore::default();
        assert!(secrets(&own, "moon", "carol").is_empty());
    }

    #[test]
    fn a_smaller_network_beats_a_larger_one() {
        let store = store(&[
            ("10.0.0.0/8", "large"),
            ("10.1.0.0/16", "small"),
            ("10.1.0.0-10.1.0.9", "tiny"),
            ("10.1.0.0-10.1.0.15", "more"),
            ("2001:db8::1-2001:db8::9", "six"),
            ("2001:db8::/32", "all of six"),
        ]);
        assert_eq!(secrets(&store, "moon", "10.2.0.1"), ["large"]);
        assert_eq!(secrets(&store, "moon", "10.1.1.1"), ["small"]);
        assert_eq!(secrets(&store, "moon", "10.1.0.5"), ["tiny"]);
        assert_eq!(secrets(&store, "moon", "10.1.0.10"), ["more"]);
        assert_eq!(secrets(&store, "moon", "2001:db8::5"), ["six"]);
    }

    #[test]
    fn a_distinguished_name_with_fewer_wildcards_beats_one_with_more() {
        let (any, of_a) = ("C=CH, O=*, CN=*", "C=CH, O=A, CN=*");
        let mut store = SecretStore::default();
        for (owner, secret) in [(of_a, "A"), (any, "any")] {
            let secret = SharedSecret::new(secret.into());
            store.insert(SecretKind::Ike, vec![Identity::parse(owner)], secret);
        }
        assert_eq!(secrets(&store, "moon", "C=CH, O=A, CN=carol"), ["A"]);
        assert_eq!(secrets(&store, "moon", "C=CH, O=B, CN=carol"), ["any"]);
    }

    #[test]
    fn of_equals_the_last_loaded_comes_first() {
        let store = store(&[("moon carol", "old"), ("moon carol", "new"), ("carol", "half")]);
        assert_eq!(secrets(&store, "moon", "carol"), ["new", "old"]);
    }

    #[test]
    fn a_ppk_is_found_by_its_identity_and_is_no_ike_secret() {
        let mut store = SecretStore::default();
        assert!(!store.has_ppk());
        for (owners, secret) in [
            (&["*.example.com"][..], "some"),
            (&["gw.example.com"], "gw"),
            (&["ppk-1"], "one"),
        ] {
            let owners = owners.iter().map(|owner| Identity::parse(owner)).collect();
            store.insert(SecretKind::Ppk, owners, SharedSecret::new(secret.into()));
        }
        let find = |id: &str| {
            let key = store.ppk(&Identity::parse(id))?;
            Some(String::from_utf8_lossy(key.octets()).into_owned())
        };
        assert_eq!(find("gw.example.com").as_deref(), Some("gw"));
        assert_eq!(find("x.example.com").as_deref(), Some("some"));
        assert_eq!(find("ppk-1").as_deref(), Some("one"));
        assert_eq!(find("ppk-2"), None);
        assert!(store.has_ppk() && secrets(&store, "gw.example.com", "ppk-1").is_empty());
        store.insert(
            SecretKind::Ppk,
            vec![Identity::parse("ppk-1")],
            SharedSecret::new(b"newer".to_vec()),
        );
        let newer = store
            .ppk(&Identity::parse("ppk-1"))
            .map(|key| key.octets().to_vec());
        assert_eq!(newer.as_deref(), Some(&b"newer"[..]));
    }

    #[test]
    fn reading_files_again_keeps_the_secrets_of_control_sockets() {
        let mut store = store(&[("a", "old")]);
        store.insert_loaded(
            Some("ike-1"),
            SecretKind::Ike,
            vec![Identity::parse("a")],
            SharedSecret::new(b"named".to_vec()),
        );
        let new = (
            SecretKind::Ike,
            vec![Identity::parse("a")],
            SharedSecret::new(b"new".to_vec()),
        );
        store.replace_file_secrets(vec![new]);
        assert_eq!(secrets(&store, "a", "b"), ["new", "named"]);
        assert!(store.remove_loaded("ike-1") && !store.remove_loaded("ike-1"));
        assert_eq!(secrets(&store, "a", "b"), ["new"]);
        assert_eq!(store.loaded_names().count(), 0);
    }
}
