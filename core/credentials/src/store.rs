//! What has been loaded: certificates, keys and authorities.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use config::identity::{Identity, Match};
use pkcs8::der::{Decode, Header, SliceReader, Tag};

use crate::{Certificate, Crl, Error, Flag, KeyId, MAX_OCTETS, PrivateKey, PublicKey, RawPublicKey, armor};

/// How many certificates and lists are kept; more are a mistake of whoever loads them.
const MAX_ITEMS: usize = 1 << 16;

/// How many private keys are kept.
const MAX_KEYS: usize = 1 << 12;

/// How many authorities there are.
const MAX_AUTHORITIES: usize = 1 << 12;

/// Something that is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A public key without a certificate.
    PublicKey(RawPublicKey),
    /// An X.509 certificate.
    X509(Certificate),
    /// An attribute certificate.
    Ac(Opaque),
    /// A revocation list.
    Crl(Crl),
    /// A response of OCSP.
    Ocsp(Opaque),
}

/// What is kept without being understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque {
    /// All of it.
    pub der: Vec<u8>,
}

/// What something that is not understood claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueKind {
    /// An attribute certificate (RFC 5755).
    Ac,
    /// A response of OCSP (RFC 6960).
    Ocsp,
}

impl Opaque {
    /// Reads DER or PEM, and no more of it than that it is one SEQUENCE.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn parse(kind: OpaqueKind, octets: &[u8]) -> Result<Self, Error> {
        let (labels, what): (&[&str], _) = match kind {
            OpaqueKind::Ac => (&["ATTRIBUTE CERTIFICATE"], "attribute certificate"),
            OpaqueKind::Ocsp => (&[], "OCSP response"),
        };
        let (_, der) = armor::open(octets, labels, what)?;
        let header = SliceReader::new(&der)
            .and_then(|mut reader| Ok((Header::decode(&mut reader)?, reader)))
            .map_err(|error| Error::form(what, error))?;
        let (header, reader) = header;
        if header.tag() != Tag::Sequence || header.length() != pkcs8::der::Reader::remaining_len(&reader) {
            return Err(Error::form(what, "it is not one SEQUENCE"));
        }
        Ok(Self { der: der.to_vec() })
    }
}

impl Item {
    /// All of it in DER.
    pub fn der(&self) -> &[u8] {
        match self {
            Self::PublicKey(key) => &key.der,
            Self::X509(certificate) => &certificate.der,
            Self::Crl(crl) => &crl.der,
            Self::Ac(opaque) | Self::Ocsp(opaque) => &opaque.der,
        }
    }

    /// Whose it is; nobody's if it is not understood.
    pub fn subject(&self) -> Identity {
        match self {
            Self::PublicKey(key) => key.subject(),
            Self::X509(certificate) => certificate.subject.clone(),
            Self::Crl(crl) => crl.issuer.clone(),
            Self::Ac(_) | Self::Ocsp(_) => Identity::any(),
        }
    }

    /// Its key.
    pub fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::PublicKey(key) => Some(&key.key),
            Self::X509(certificate) => Some(&certificate.key),
            _ => None,
        }
    }

    /// Whether an identity names it.
    pub fn is_of(&self, pattern: &Identity) -> bool {
        match self {
            Self::X509(certificate) => certificate.matches(pattern) > Match::No,
            Self::PublicKey(key) if key.key.is(pattern) => true,
            _ => self.subject().matches(pattern) > Match::No,
        }
    }

    /// Its place among the others: the order of listings.
    fn group(&self) -> u32 {
        match self {
            Self::PublicKey(_) => 0,
            Self::X509(certificate) => match certificate.flags.flag() {
                Flag::None => 1,
                Flag::Ca => 2,
                Flag::Aa => 3,
                Flag::Ocsp => 4,
            },
            Self::Ac(_) => 5,
            Self::Crl(_) => 6,
            Self::Ocsp(_) => 7,
        }
    }
}

/// A certification authority, and what is known of it besides its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its name.
    pub name: String,
    /// Its certificate.
    pub certificate: Certificate,
    /// Where its revocation lists are.
    pub crl_uris: Vec<String>,
    /// Who can be asked for the status of certificates.
    pub ocsp_uris: Vec<String>,
    /// Where certificates are, by their hashes (RFC 7296, 3.6).
    pub cert_uri_base: Option<String>,
}

/// What became of a revocation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CrlOutcome {
    /// There was none of this issuer.
    Added,
    /// It is newer than this number's, which is gone.
    Replaced(Vec<u8>),
    /// This number's is as new or newer, and stays.
    Retained(Vec<u8>),
}

struct Entry {
    item: Arc<Item>,
    /// Whether it was loaded for itself.
    loaded: bool,
    /// How many authorities have it.
    authorities: usize,
}

/// Everything there is to authenticate with certificates and keys.
#[derive(Default)]
pub struct Store {
    /// By their places in listings: the group, and in it the newest first.
    items: BTreeMap<u32, Entry>,
    places: HashMap<Vec<u8>, u32>,
    /// How many have come since there was nothing.
    count: u32,
    /// The newest first.
    keys: Vec<PrivateKey>,
    authorities: Vec<Authority>,
}

/// Places of a group.
const GROUP: u32 = 1 << 29;

impl Store {
    /// Adds something that is loaded for itself. What is there already stays as it is.
    ///
    /// # Errors
    ///
    /// If there is too much already.
    pub fn add(&mut self, item: Item) -> Result<Arc<Item>, Error> {
        let place = self.place(item)?;
        let entry = self.items.get_mut(&place);
        entry
            .map(|entry| {
                entry.loaded = true;
                Arc::clone(&entry.item)
            })
            .ok_or(Error::Full(MAX_ITEMS))
    }

    /// Adds a revocation list, unless there is a newer one of its issuer; an older one goes.
    ///
    /// # Errors
    ///
    /// If there is too much already.
    pub fn add_crl(&mut self, crl: Crl) -> Result<CrlOutcome, Error> {
        let same = self.items.iter().find_map(|(place, entry)| match &*entry.item {
            Item::Crl(other) if crl.succeeds(other) => Some((*place, other.clone())),
            _ => None,
        });
        let outcome = match same {
            None => CrlOutcome::Added,
            Some((_, other)) if !crl.is_newer_than(&other) => return Ok(CrlOutcome::Retained(other.number)),
            Some((place, other)) => {
                self.remove(place);
                CrlOutcome::Replaced(other.number)
            }
        };
        self.add(Item::Crl(crl)).map(|_| outcome)
    }

    fn place(&mut self, item: Item) -> Result<u32, Error> {
        if let Some(place) = self.places.get(item.der()) {
            return Ok(*place);
        }
        if self.items.len() >= MAX_ITEMS {
            return Err(Error::Full(MAX_ITEMS));
        }
        if self.count == GROUP - 1 {
            self.renumber();
        }
        self.count += 1;
        let place = item.group() * GROUP + (GROUP - self.count);
        self.places.insert(item.der().to_vec(), place);
        let item = Arc::new(item);
        let entry = Entry {
            item,
            loaded: false,
            authorities: 0,
        };
        self.items.insert(place, entry);
        Ok(place)
    }

    /// Counts from one again; a listing under way may then miss something.
    fn renumber(&mut self) {
        let items = std::mem::take(&mut self.items);
        self.places.clear();
        self.count = 0;
        for (_, entry) in items.into_iter().rev() {
            self.count += 1;
            let place = entry.item.group() * GROUP + (GROUP - self.count);
            self.places.insert(entry.item.der().to_vec(), place);
            self.items.insert(place, entry);
        }
    }

    fn remove(&mut self, place: u32) {
        if let Some(entry) = self.items.remove(&place) {
            self.places.remove(entry.item.der());
        }
    }

    /// All that there is after a place, with its own: public keys, certificates of end entities, issuers, those of
    /// attributes, responders of OCSP, attribute certificates, revocation lists, responses of OCSP; of each the newest
    /// first.
    pub fn after(&self, place: u32) -> impl Iterator<Item = (u32, &Item)> {
        let after = (std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded);
        self.items
            .range(after)
            .map(|(place, entry)| (*place, &*entry.item))
    }

    /// Adds a private key; one that is there already is replaced.
    ///
    /// # Errors
    ///
    /// If there are too many already.
    pub fn add_key(&mut self, key: PrivateKey) -> Result<(), Error> {
        self.keys.retain(|other| other.public.id != key.public.id);
        if self.keys.len() >= MAX_KEYS {
            return Err(Error::Full(MAX_KEYS));
        }
        self.keys.insert(0, key);
        Ok(())
    }

    /// Removes a private key; whether there was one.
    pub fn remove_key(&mut self, id: &[u8]) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.public.id != id);
        self.keys.len() < before
    }

    /// The ids of the private keys, the newest first.
    pub fn keys(&self) -> impl Iterator<Item = &KeyId> {
        self.keys.iter().map(|key| &key.public.id)
    }

    /// The private key of a public one.
    pub fn private_key(&self, public: &PublicKey) -> Option<&PrivateKey> {
        self.keys.iter().find(|key| key.public.id == public.id)
    }

    /// Adds an authority; the old one of its name goes.
    ///
    /// # Errors
    ///
    /// If there is too much already; the old one stays.
    pub fn put_authority(&mut self, authority: Authority) -> Result<(), Error> {
        let new = self.authorities.iter().all(|other| other.name != authority.name);
        if new && self.authorities.len() >= MAX_AUTHORITIES {
            return Err(Error::Full(MAX_AUTHORITIES));
        }
        let place = self.place(Item::X509(authority.certificate.clone()))?;
        if let Some(entry) = self.items.get_mut(&place) {
            entry.authorities += 1;
        }
        self.take_authority(&authority.name);
        self.authorities.push(authority);
        Ok(())
    }

    /// Removes an authority.
    pub fn take_authority(&mut self, name: &str) -> Option<Authority> {
        let at = self.authorities.iter().position(|other| other.name == name)?;
        let authority = self.authorities.remove(at);
        if let Some(&place) = self.places.get(&authority.certificate.der[..])
            && let Some(entry) = self.items.get_mut(&place)
        {
            entry.authorities -= 1;
            if entry.authorities == 0 && !entry.loaded {
                self.remove(place);
            }
        }
        Some(authority)
    }

    /// The authorities, in the order in which they came.
    pub fn authorities(&self) -> &[Authority] {
        &self.authorities
    }

    /// Forgets everything but the authorities and their certificates.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.items.retain(|_, entry| {
            entry.loaded = false;
            entry.authorities > 0
        });
        let items = &self.items;
        self.places.retain(|_, place| items.contains_key(place));
        if self.items.is_empty() {
            self.count = 0;
        }
    }
}

const _: () = assert!(MAX_OCTETS <= u16::MAX as usize, "an item has to fit into a value of vici");
