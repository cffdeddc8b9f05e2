//! Certificate revocation lists (RFC 5280, 5).

use std::sync::Arc;

use config::identity::Identity;
use x509_parser::asn1_rs::Any;
use x509_parser::extensions::{CRLDistributionPoints, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificate::{name, unsigned};
use crate::{Error, Uri, armor, extensions};

const DELTA: &str = "2.5.29.27";
const FRESHEST: &str = "2.5.29.46";
const WHAT: &str = "X.509 revocation list";

/// A revocation list, without what it revokes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crl {
    /// The list.
    pub der: Arc<[u8]>,
    /// Whose it is.
    pub issuer: Identity,
    /// Its number, without a zero in front of others; none if it has none.
    pub number: Vec<u8>,
    /// The number of the list to which it is an addition.
    pub base: Option<Vec<u8>>,
    /// When it was made, in seconds since 1970.
    pub this_update: i64,
    /// When the next comes, in seconds since 1970.
    pub next_update: Option<i64>,
    /// The id of the key that signed it.
    pub authority_key: Vec<u8>,
    /// Where additions are.
    pub freshest: Vec<Uri>,
}

/// A certificate that is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// Its number, without a zero in front of others.
    pub serial: Vec<u8>,
    /// When it was revoked, in seconds since 1970.
    pub when: i64,
    /// Why (RFC 5280, 5.3.1); 0 is unspecified.
    pub reason: u8,
}

impl Crl {
    /// Reads DER or PEM.
    ///
    /// # Errors
    ///
    /// If it is no revocation list.
    pub fn parse(octets: &[u8]) -> Result<Self, Error> {
        let (_, der) = armor::open(octets, &["X509 CRL"], "a revocation list")?;
        let parsed = parse(&der)?;
        let mut crl = Self {
            der: parsed.as_raw().into(),
            issuer: name(parsed.issuer().as_raw()),
            number: Vec::new(),
            base: None,
            this_update: parsed.last_update().timestamp(),
            next_update: parsed.next_update().map(|time| time.timestamp()),
            authority_key: Vec::new(),
            freshest: Vec::new(),
        };
        for extension in parsed.extensions() {
            crl.read(extension)?;
        }
        Ok(crl)
    }

    fn read(&mut self, extension: &X509Extension<'_>) -> Result<(), Error> {
        let error = |error: &dyn std::fmt::Display| {
            Error::form(WHAT, format!("its extension {}: {error}", extension.oid))
        };
        match extension.parsed_extension() {
            ParsedExtension::ParseError { error: why } => return Err(error(why)),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key = id
                    .key_identifier
                    .as_ref()
                    .map_or_else(Vec::new, |id| id.0.to_vec());
            }
            ParsedExtension::CRLNumber(number) => self.number = number.to_bytes_be(),
            _ => match extension.oid.to_id_string().as_str() {
                DELTA => {
                    let (_, number) = Any::from_der(extension.value).map_err(|why| error(&why))?;
                    self.base = Some(unsigned(number.data).to_vec());
                }
                FRESHEST => {
                    let (_, points) =
                        CRLDistributionPoints::from_der(extension.value).map_err(|why| error(&why))?;
                    self.freshest = points.iter().flat_map(extensions::uris).collect();
                }
                _ => {}
            },
        }
        Ok(())
    }

    /// What it revokes.
    pub fn revoked(&self) -> Vec<Revoked> {
        // It has been read before.
        let Ok(parsed) = parse(&self.der) else {
            return Vec::new();
        };
        let revoked = parsed.iter_revoked_certificates();
        revoked
            .map(|it| Revoked {
                serial: unsigned(it.raw_serial()).to_vec(),
                when: it.revocation_date.timestamp(),
                reason: it.reason_code().map_or(0, |(_, code)| code.0),
            })
            .collect()
    }

    /// Whether the other is about the same certificates.
    pub(crate) fn succeeds(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.authority_key == other.authority_key
            && self.base.is_some() == other.base.is_some()
    }

    /// Whether it was made after the other: by its number, or by its time if one has no number.
    pub(crate) fn is_newer_than(&self, other: &Self) -> bool {
        if self.number.is_empty() || other.number.is_empty() {
            return self.this_update > other.this_update;
        }
        let rank = |crl: &Self| (crl.number.len(), crl.number.clone());
        rank(self) > rank(other)
    }
}

fn parse(der: &[u8]) -> Result<CertificateRevocationList<'_>, Error> {
    let parsed = CertificateRevocationList::from_der(der);
    parsed.map(|(_, crl)| crl).map_err(|error| Error::form(WHAT, error))
}
