//! Private keys that a password locks: PKCS#8 (RFC 5958), PEM as OpenSSL once wrote it (RFC 1421), and PKCS#12
//! containers (RFC 7292).

use config::secret::SharedSecret;
use p12_keystore::Pkcs12Archive;
use pkcs8::der::{Decode, pem};
use pkcs8::{EncryptedPrivateKeyInfoRef, pkcs5};

mod traditional;

use traditional::Traditional;

/// Why something stays locked.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// Another password may open it.
    #[error("the password does not fit")]
    Password,
    /// No password opens it.
    #[error("{0}")]
    Form(String),
}

/// A key that has to be unlocked.
pub(super) enum Locked {
    Pkcs8(Vec<u8>),
    Traditional(Traditional),
    /// It says that it is locked, and is none of both.
    Broken(String),
}

/// A key as DER, with its type where that is known.
type Opened = (Option<&'static str>, SharedSecret);

/// What is in a file if it is a locked key; none if it is something else.
pub(super) fn locked(content: &[u8]) -> Option<Locked> {
    if EncryptedPrivateKeyInfoRef::from_der(content).is_ok() {
        return Some(Locked::Pkcs8(content.to_vec()));
    }
    blocks(std::str::from_utf8(content).ok()?).find_map(|text| {
        if text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Some(match pem::decode_vec(text.as_bytes()) {
                Ok((_, der)) => Locked::Pkcs8(der),
                Err(error) => Locked::Broken(format!("it is no PEM: {error}")),
            });
        }
        match Traditional::parse(text)? {
            Ok(found) => Some(Locked::Traditional(found)),
            Err(problem) => Some(Locked::Broken(problem)),
        }
    })
}

/// The PEM in a text: OpenSSL writes the parameters of a curve before the key.
fn blocks(mut text: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        text = &text[text.find("-----BEGIN ")?..];
        let end = text.find("-----END ").map_or(text.len(), |end| {
            let line = text[end..].find('\n');
            line.map_or(text.len(), |line| end + line + 1)
        });
        let (block, rest) = text.split_at(end);
        text = rest;
        Some(block)
    })
}

impl Locked {
    /// Opens it.
    pub(super) fn open(&self, password: &[u8]) -> Result<Opened, Error> {
        match self {
            Self::Pkcs8(der) => Ok((None, pkcs8_key(der, password)?)),
            Self::Traditional(key) => key.open(password),
            Self::Broken(problem) => Err(Error::Form(problem.clone())),
        }
    }
}

fn pkcs8_key(der: &[u8], password: &[u8]) -> Result<SharedSecret, Error> {
    let unknown = |error: &dyn std::fmt::Display| {
        Error::Form(format!(
            "it is encrypted in a way that is not supported ({error}); openssl pkcs8 -topk8 -v2 aes-256-cbc writes it in another"
        ))
    };
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|error| unknown(&error))?;
    match info.decrypt(password) {
        Ok(key) => Ok(SharedSecret::new(key.as_bytes().to_vec())),
        Err(pkcs8::Error::EncryptedPrivateKey(
            error @ (pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs5::Error::NoPbes1CryptSupport
            | pkcs5::Error::AlgorithmParametersInvalid { .. }),
        )) => Err(unknown(&error)),
        // What comes out is no padding, or no key.
        Err(_) => Err(Error::Password),
    }
}

/// What is in a PKCS#12 container.
pub(super) struct Container {
    /// Certificates with their flag.
    pub(super) certificates: Vec<(&'static str, Vec<u8>)>,
    pub(super) keys: Vec<SharedSecret>,
}

/// Opens a PKCS#12 container.
pub(super) fn container(content: &[u8], password: &[u8]) -> Result<Container, Error> {
    let password = std::str::from_utf8(password).map_err(|_| Error::Password)?;
    let archive = Pkcs12Archive::from_pkcs12(content, password).map_err(|error| match error {
        p12_keystore::error::Error::MacError(_) => Error::Password,
        error => Error::Form(format!("it is no PKCS#12 container that can be read: {error}")),
    })?;
    let keys = archive.keys.iter();
    let own: Vec<&[u8]> = keys
        .filter_map(|bag| bag.local_key_id.as_ref())
        .map(|id| id.0.as_slice())
        .collect();
    let certificate = |bag: &p12_keystore::CertificateBag| {
        // A key's certificate has the id of the key; the others are those of its issuers.
        let id = bag.local_key_id.as_deref();
        let flag = if id.is_some_and(|id| own.contains(&id)) {
            "NONE"
        } else {
            "CA"
        };
        (flag, bag.cert.as_der().to_vec())
    };
    let keys = archive.keys.iter();
    Ok(Container {
        certificates: archive.certs.iter().map(certificate).collect(),
        keys: keys
            .map(|bag| SharedSecret::new(bag.key.as_der().to_vec()))
            .collect(),
    })
}

#[cfg(test)]
mod tests;
