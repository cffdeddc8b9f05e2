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

    /// The post-quantum preshared key of an identity, the best fit of those there are.
    pub fn ppk(&self, id: &Identity) -> Option<Arc<SharedSecret>> {
        let fit = |entry: &Entry| match entry.owners.is_empty() {
            true => Match::Any,
            false => entry
                .owners
                .iter()
                .map(|owner| id.matches(owner))
                .max()
                .unwrap_or(Match::No),
        };
        // Of equals the first, as with the others.
        let keys = self
            .entries
            .iter()
            .rev()
            .filter(|entry| entry.kind == SecretKind::Ppk);
        let best = keys
            .map(|entry| (fit(entry), entry))
            .filter(|(fit, _)| *fit != Match::No)
            .max_by_key(|(fit, _)| *fit);
        best.map(|(_, entry)| Arc::clone(&entry.secret))
    }

    /// Whether there is any post-quantum preshared key.
    pub fn has_ppk(&self) -> bool {
        self.entries.iter().any(|entry| entry.kind == SecretKind::Ppk)
    }

    /// The secrets shared between two identities, the best first: by how well they fit the other, then the own one.
    /// One that fits either is enough, and one without owners fits everybody.
    pub fn ike_secrets(&self, me: &Identity, other: &Identity) -> Vec<Arc<SharedSecret>> {
        let mut fitting: Vec<((Match, Match), &Entry)> = self
            .entries
            .iter()
            .filter(|entry| entry.kind == SecretKind::Ike)
            .filter_map(|entry| {
                let best = |id: &Identity| {
                    if entry.owners.is_empty() {
                        return Match::Any;
                    }
                    entry
                        .owners
                        .iter()
                        .map(|owner| id.matches(owner))
                        .max()
                        .unwrap_or(Match::No)
                };
                let rank = (best(other), best(me));
                (rank != (Match::No, Match::No)).then_some((rank, entry))
            })
            .collect();
        fitting.sort_by(|(a, _), (b, _)| b.cmp(a));
        fitting
            .into_iter()
            .map(|(_, entry)| Arc::clone(&entry.secret))
            .collect()
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
        assert_eq!(
            secrets(&store, "carol.strongswan.org", "moon.strongswan.org"),
            ["psk"]
        );
        assert_eq!(
            secrets(&store, "moon.strongswan.org", "carol.strongswan.org"),
            ["psk"]
        );
        assert!(secrets(&store, "dave", "sun").is_empty());
    }

    #[test]
    fn the_best_match_of_the_other_comes_first() {
        let store = store(&[
            ("", "anyone"),
            ("*.strongswan.org", "some"),
            ("moon.strongswan.org", "moon"),
        ]);
        assert_eq!(
            secrets(&store, "carol", "moon.strongswan.org"),
            ["moon", "some", "anyone"]
        );
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
        assert_eq!(secrets(&store, "a", "b"), ["named", "new"]);
        assert!(store.remove_loaded("ike-1") && !store.remove_loaded("ike-1"));
        assert_eq!(secrets(&store, "a", "b"), ["new"]);
        assert_eq!(store.loaded_names().count(), 0);
    }
}
