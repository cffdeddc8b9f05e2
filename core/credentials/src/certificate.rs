//! X.509 certificates (RFC 5280).

use std::sync::Arc;

use config::identity::{Identity, Match};
use iana::IdType;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::{Error, PublicKey, armor, extensions, sha1};

/// What a certificate is for, as it says itself and as whoever loaded it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// It issues others (basicConstraints).
    pub ca: bool,
    /// It issues attribute certificates.
    pub aa: bool,
    /// It signs responses of OCSP.
    pub ocsp: bool,
    /// It signs revocation lists.
    pub crl_sign: bool,
    /// It authenticates servers.
    pub server_auth: bool,
    /// It authenticates clients.
    pub client_auth: bool,
    /// It is for IKE, as some clients demand.
    pub ike_intermediate: bool,
    /// It logs on to Windows.
    pub smartcard_logon: bool,
    /// Issuer and subject are one, and so are their keys as far as the certificate names them. The signature has not been
    /// checked.
    pub self_signed: bool,
}

/// By what certificates are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flag {
    /// That of an end entity.
    None,
    /// That of an issuer.
    Ca,
    /// That of an issuer of attribute certificates.
    Aa,
    /// That of a responder of OCSP.
    Ocsp,
}

impl Flags {
    /// What the certificate is for most of all.
    pub fn flag(self) -> Flag {
        match self {
            Self { ca: true, .. } => Flag::Ca,
            Self { aa: true, .. } => Flag::Aa,
            Self { ocsp: true, .. } => Flag::Ocsp,
            _ => Flag::None,
        }
    }
}

/// Where a revocation list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// Its address.
    pub uri: String,
    /// Who issues it, if that is somebody else.
    pub issuer: Option<Identity>,
}

/// A certificate policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its OID, dotted.
    pub oid: String,
    /// Where the statement of its practice is.
    pub cps: Option<String>,
    /// A note for users.
    pub notice: Option<String>,
}

/// A certificate, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The certificate.
    pub der: Arc<[u8]>,
    /// Whose it is.
    pub subject: Identity,
    /// Whose signature it has.
    pub issuer: Identity,
    /// Its number, without a zero in front of others.
    pub serial: Vec<u8>,
    /// From when it is valid, in seconds since 1970.
    pub not_before: i64,
    /// Until when it is valid, in seconds since 1970.
    pub not_after: i64,
    /// The key that is certified.
    pub key: PublicKey,
    /// What it is for.
    pub flags: Flags,
    /// Other names of the subject.
    pub alt_names: Vec<Identity>,
    /// Where lists are that may revoke it.
    pub crl_uris: Vec<Uri>,
    /// Who can be asked whether it is revoked.
    pub ocsp_uris: Vec<String>,
    /// How many issuers may be between it and an end entity.
    pub path_len: Option<u32>,
    /// Names that those it issues may have.
    pub permitted: Vec<Identity>,
    /// Names that those it issues may not have.
    pub excluded: Vec<Identity>,
    /// Policies under which it was issued.
    pub policies: Vec<Policy>,
    /// Policies of the issuer with those of the subject that are as good.
    pub policy_mappings: Vec<(String, String)>,
    /// After how many certificates a policy is needed.
    pub explicit_policy: Option<u32>,
    /// After how many certificates policies are no longer mapped.
    pub inhibit_mapping: Option<u32>,
    /// After how many certificates anyPolicy is none.
    pub inhibit_any: Option<u32>,
    /// The id of the key that signed it.
    pub authority_key: Option<Vec<u8>>,
    /// The id of its key.
    pub subject_key: Option<Vec<u8>>,
}

const WHAT: &str = "X.509 certificate";

impl Certificate {
    /// Reads DER or PEM.
    ///
    /// # Errors
    ///
    /// If it is no certificate, one with an extension that cannot be read, or with a key that is not supported.
    pub fn parse(octets: &[u8]) -> Result<Self, Error> {
        let labels = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];
        let (_, der) = armor::open(octets, &labels, "a certificate")?;
        // What OpenSSL writes after a trusted certificate is not signed.
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|error| Error::form(WHAT, error))?;
        let mut certificate = Self {
            der: parsed.as_raw().into(),
            subject: name(parsed.subject().as_raw()),
            issuer: name(parsed.issuer().as_raw()),
            serial: unsigned(parsed.raw_serial()).to_vec(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
            key: PublicKey::from_info(parsed.public_key().raw)?,
            flags: Flags::default(),
            alt_names: Vec::new(),
            crl_uris: Vec::new(),
            ocsp_uris: Vec::new(),
            path_len: None,
            permitted: Vec::new(),
            excluded: Vec::new(),
            policies: Vec::new(),
            policy_mappings: Vec::new(),
            explicit_policy: None,
            inhibit_mapping: None,
            inhibit_any: None,
            authority_key: None,
            subject_key: None,
        };
        for extension in parsed.extensions() {
            extensions::read(&mut certificate, extension)?;
        }
        certificate.flags.self_signed = certificate.subject == certificate.issuer
            && (certificate.authority_key.is_none()
                || certificate.authority_key == certificate.subject_key);
        Ok(certificate)
    }

    /// How well a name, a key or the number of the certificate fits it.
    pub fn matches(&self, pattern: &Identity) -> Match {
        if pattern.kind == IdType::KEY_ID {
            let data = pattern.data.as_slice();
            let named = self.subject_key.as_deref() == Some(data)
                || self.key.is(pattern)
                || self.serial == data
                || sha1(&self.der) == data;
            if named {
                return Match::Exact;
            }
        }
        let names = std::iter::once(&self.subject).chain(&self.alt_names);
        names
            .map(|name| name.matches(pattern))
            .max()
            .unwrap_or(Match::No)
    }
}

/// A distinguished name in DER.
pub(crate) fn name(der: &[u8]) -> Identity {
    Identity::new(IdType::DER_ASN1_DN, der.to_vec())
}

/// A number without the zero that keeps it positive.
pub(crate) fn unsigned(number: &[u8]) -> &[u8] {
    match number {
        [0, rest @ ..] if !rest.is_empty() => rest,
        _ => number,
    }
}
