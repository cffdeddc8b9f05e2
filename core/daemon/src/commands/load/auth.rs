//! `local…` and `remote…` of a connection: who the ends are, and how they prove it.

use config::connection::{AuthClass, AuthConfig, NamedCertificate};
use config::identity::Identity;
use control::vici::Element;
use credentials::{Certificate, Error, Item, RawPublicKey};

use super::super::creds::file;
use super::Notes;
use super::values::Given;
use crate::privileges::hint;

/// A round of authentication, and its place among the others of its end.
pub(super) fn round(
    elements: &[Element],
    local: bool,
    notes: &mut Notes,
) -> Result<(u32, AuthConfig), String> {
    let mut round = 0;
    let mut auth = AuthConfig::default();
    for given in elements.iter().map(Given) {
        match given.key() {
            "auth" => auth.class = given.parsed(class)?,
            "id" => auth.id = Some(given.parsed(identity)?).filter(|id| !id.is_any()),
            "round" => round = given.number()?,
            "eap_id" | "aaa_id" | "xauth_id" => notes.add(given.key(), given.parsed(identity)?.is_any()),
            "certs" => auth.certs.extend(many(&given, certificate, notes)?),
            "pubkeys" => auth.certs.extend(many(&given, public_key, notes)?),
            "groups" | "cert_policy" if !local => notes.add(given.key(), given.list(Some)?.is_empty()),
            "cacerts" if !local => auth.cacerts.extend(many(&given, certificate, notes)?),
            "ca_id" if !local => notes.add(given.key(), given.parsed(identity)?.is_any()),
            "revocation" if !local => {
                let relaxed = given.parsed(|text| match text {
                    "strict" | "ifuri" => Some(false),
                    "relaxed" => Some(true),
                    _ => None,
                })?;
                notes.add(given.key(), relaxed);
            }
            key if key.starts_with("cert") => auth.certs.push(section(&given, certificate, notes)?),
            key if !local && key.starts_with("cacert") => {
                auth.cacerts.push(section(&given, certificate, notes)?);
            }
            _ => return Err(given.unknown()),
        }
    }
    notes.add("auth", auth.class == AuthClass::Psk);
    if let (true, None, Some(first)) = (local, &auth.id, auth.certs.first()) {
        let id = first.subject.clone();
        notes
            .lines
            .push(format!("  id not specified, defaulting to cert subject '{id}'"));
        auth.id = Some(id);
    }
    Ok((round, auth))
}

fn identity(text: &str) -> Option<Identity> {
    Some(Identity::parse(text))
}

/// Reads a certificate or public key.
type Read = fn(&[u8]) -> Result<Item, Error>;

fn certificate(octets: &[u8]) -> Result<Item, Error> {
    Certificate::parse(octets).map(Box::new).map(Item::X509)
}

fn public_key(octets: &[u8]) -> Result<Item, Error> {
    RawPublicKey::parse(octets).map(Item::PublicKey)
}

/// The items of a list; these are no text.
fn many(given: &Given<'_>, read: Read, notes: &mut Notes) -> Result<Vec<NamedCertificate>, String> {
    let Element::List(key, items) = given.0 else {
        return Err(given.invalid());
    };
    let one = |(number, octets): (usize, &Vec<u8>)| match read(octets) {
        Ok(item) => Ok(named(item, notes)),
        Err(error) => {
            let within = &notes.within;
            let line = format!("item {} of {within}{key}: {error}", number + 1);
            notes.lines.push(line);
            Err(given.invalid())
        }
    };
    items.iter().enumerate().map(one).collect()
}

/// A section with the `file` that the certificate is in.
fn section(given: &Given<'_>, read: Read, notes: &mut Notes) -> Result<NamedCertificate, String> {
    let (mut path, mut handle) = (None, None);
    for given in given.section()?.iter().map(Given) {
        match given.key() {
            "file" => path = Some(given.text()?),
            "handle" => handle = Some(given.text()?),
            "slot" => drop(given.number::<u32>()?),
            "module" => drop(given.text()?),
            _ => return Err(given.unknown()),
        }
    }
    let key = given.key();
    let path = match (path, handle) {
        (None, None) => return Err(format!("handle or file path missing: {key}, config discarded")),
        (Some(_), Some(_)) => return Err(format!("handle and file path given: {key}, config discarded")),
        (None, Some(_)) => Err("certificates on tokens are not supported".to_owned()),
        (Some(path), None) => Ok(path),
    };
    let item = path.and_then(|path| {
        let octets =
            file(path).map_err(|error| format!("reading '{path}' failed: {error}{}", hint(&error)))?;
        read(&octets).map_err(|error| format!("'{path}': {error}"))
    });
    item.map(|item| named(item, notes)).map_err(|why| {
        notes.lines.push(format!("{}{key}: {why}", notes.within));
        format!("unable to load certificate: {key}, config discarded")
    })
}

fn named(item: Item, notes: &mut Notes) -> NamedCertificate {
    let named = NamedCertificate {
        subject: item.subject(),
        der: item.der().into(),
    };
    notes.credentials.push(item);
    named
}

fn class(text: &str) -> Option<AuthClass> {
    // What a signature has to be made with comes after the kind of key, or alone.
    const KEYS: [&str; 8] = [
        "pubkey", "rsa", "ecdsa", "ed25519", "ed448", "bliss", "sha", "ike:",
    ];
    match text {
        "any" => Some(AuthClass::Any),
        "psk" => Some(AuthClass::Psk),
        "eap" => Some(AuthClass::Eap),
        _ if text.starts_with("eap-") => Some(AuthClass::Eap),
        _ if KEYS.iter().any(|key| text.starts_with(key)) => Some(AuthClass::Pubkey),
        _ => None,
    }
}
