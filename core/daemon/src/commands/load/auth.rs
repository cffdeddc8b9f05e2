//! `local…` and `remote…` of a connection: who the ends are, and how they prove it.

use config::authentication::{Constraint, Method};
use config::connection::{AuthClass, AuthConfig, NamedCertificate};
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
    // A peer of whom nothing is said may authenticate as it likes; this end by a signature.
    let mut auth = AuthConfig {
        class: if local { AuthClass::Pubkey } else { AuthClass::Any },
        ..AuthConfig::default()
    };
    for given in elements.iter().map(Given) {
        match given.key() {
            "auth" => {
                let method = given.text()?;
                // `secret` is a word of ipsec.conf.
                let is_theirs = method.trim().eq_ignore_ascii_case("secret");
                let method = Method::parse(method).ok().filter(|_| !is_theirs);
                let method = method.ok_or_else(|| given.invalid())?;
                auth.class = method.class;
                auth.constraints.extend(method.constraints);
            }
            "id" => auth.id = Some(given.identity()?).filter(|id| !id.is_any()),
            "round" => round = given.number()?,
            "eap_id" if !local => {
                let id = given.identity()?;
                auth.constraints
                    .extend((!id.is_any()).then_some(Constraint::EapIdentity(id)));
            }
            "eap_id" | "aaa_id" | "xauth_id" => notes.add(given.key(), given.identity()?.is_any()),
            "certs" => auth.certs.extend(many(&given, certificate, notes)?),
            "pubkeys" => auth.certs.extend(many(&given, public_key, notes)?),
            "groups" if !local => auth.constraints.extend(some(&given, Constraint::Groups)?),
            "cert_policy" if !local => auth.constraints.extend(some(&given, Constraint::CertPolicies)?),
            "cacerts" if !local => auth.cacerts.extend(many(&given, certificate, notes)?),
            "ca_id" if !local => {
                let id = given.identity()?;
                auth.constraints
                    .extend((!id.is_any()).then(|| Constraint::Authority(id.to_string())));
            }
            "revocation" if !local => {
                let demanded = given.word(|text| match text {
                    "strict" => Some(Some("GOOD")),
                    "ifuri" => Some(Some("SKIPPED")),
                    "relaxed" => Some(None),
                    _ => None,
                })?;
                auth.constraints.extend(demanded.map(Constraint::Revocation));
            }
            key if key.starts_with("cert") => auth.certs.push(section(&given, certificate, notes)?),
            key if !local && key.starts_with("cacert") => {
                auth.cacerts.push(section(&given, certificate, notes)?);
            }
            _ => return Err(given.unknown()),
        }
    }
    if let (true, None, Some(first)) = (local, &auth.id, auth.certs.first()) {
        let id = first.subject.clone();
        notes
            .lines
            .push(format!("  id not specified, defaulting to cert subject '{id}'"));
        auth.id = Some(id);
    }
    Ok((round, auth))
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

/// What a list demands, if it is not empty.
fn some(
    given: &Given<'_>,
    constraint: impl Fn(Vec<String>) -> Constraint,
) -> Result<Option<Constraint>, String> {
    let words: Vec<String> = given.list(|text| Some(text.to_owned()))?;
    Ok((!words.is_empty()).then(|| constraint(words)))
}
