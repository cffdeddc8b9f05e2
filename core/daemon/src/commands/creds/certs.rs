//! `load-cert`, `list-certs` and `flush-certs`.

use config::identity::Identity;
use control::vici::Message;
use credentials::{
    Certificate, Crl, CrlOutcome, Error, Flag, Item, Opaque, OpaqueKind, RawPublicKey,
};
use plugin_api::Reply;
use plugin_api::log::Group;

use super::super::message::Extra;
use super::super::page::Page;
use super::super::{Answer, success};
use crate::run::Daemon;

/// Types of certificates, as vici calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    X509,
    X509Crl,
    OcspResponse,
    X509Ac,
    PublicKey,
}

const KINDS: [(&str, Kind); 6] = [
    ("ANY", Kind::Any),
    ("X509", Kind::X509),
    ("X509_CRL", Kind::X509Crl),
    ("OCSP_RESPONSE", Kind::OcspResponse),
    ("X509_AC", Kind::X509Ac),
    ("PUBKEY", Kind::PublicKey),
];

const FLAGS: [(&str, Option<Flag>); 5] = [
    ("NONE", Some(Flag::None)),
    ("CA", Some(Flag::Ca)),
    ("AA", Some(Flag::Aa)),
    ("OCSP", Some(Flag::Ocsp)),
    ("ANY", None),
];

/// What types were called before flags had a key of their own.
const LEGACY: [(&str, Kind, Flag); 6] = [
    ("x509ca", Kind::X509, Flag::Ca),
    ("x509aa", Kind::X509, Flag::Aa),
    ("x509ocsp", Kind::X509, Flag::Ocsp),
    ("x509ac", Kind::X509Ac, Flag::None),
    ("x509crl", Kind::X509Crl, Flag::None),
    ("ocsp", Kind::OcspResponse, Flag::None),
];

fn named<T: Copy>(table: &[(&str, T)], text: &str) -> Option<T> {
    let found = table.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value)
}

fn name<T: PartialEq>(table: &[(&'static str, T)], value: &T) -> &'static str {
    let found = table.iter().find(|(_, known)| known == value);
    found.map_or("ANY", |(name, _)| name)
}

/// The type and flag of a request; a flag of `None` is any.
fn kind(request: &Message, default: &str) -> Result<(Kind, Option<Flag>), String> {
    let text = request
        .get_str("type")
        .or(Some(default).filter(|text| !text.is_empty()))
        .ok_or("certificate type missing")?;
    match named(&KINDS, text) {
        Some(Kind::X509) => {
            let flag = request
                .get_str("flag")
                .unwrap_or(if default.is_empty() { "NONE" } else { default });
            named(&FLAGS, flag)
                .map(|flag| (Kind::X509, flag))
                .ok_or_else(|| format!("invalid certificate flag '{flag}'"))
        }
        Some(kind) => Ok((kind, None)),
        None => {
            let legacy = LEGACY.iter().find(|(name, ..)| name.eq_ignore_ascii_case(text));
            legacy
                .map(|(_, kind, flag)| (*kind, Some(*flag)))
                .ok_or_else(|| format!("invalid certificate type '{text}'"))
        }
    }
}

impl Daemon {
    /// `load-cert`: `type`, for X.509 `flag`, and `data`.
    pub(in crate::commands) fn load_cert(&mut self, request: &Message) -> Answer {
        let (kind, flag) = kind(request, "")?;
        let data = request.get_octets("data").filter(|data| !data.is_empty());
        let data = data.ok_or("certificate data missing")?;
        let item = self.parse(kind, data)?;
        let text = format!("loaded certificate '{}'", item.subject());
        self.logger.log(Group::Cfg, 1, text);
        match item {
            Item::Crl(crl) => self.add_crl(crl)?,
            Item::X509(mut certificate) => {
                match flag {
                    Some(Flag::Ca) if !certificate.flags.ca => {
                        let text = "ca certificate lacks CA basic constraint, rejected";
                        self.logger.log(Group::Cfg, 1, format!("  {text}"));
                        return Err(text.into());
                    }
                    Some(Flag::Aa) => certificate.flags.aa = true,
                    Some(Flag::Ocsp) => certificate.flags.ocsp = true,
                    _ => {}
                }
                self.add(Item::X509(certificate))?;
            }
            item => self.add(item)?,
        }
        Ok(success())
    }

    /// Reads what was loaded. The log says what is wrong with it, and the answer no more than clients know.
    fn parse(&self, kind: Kind, data: &[u8]) -> Result<Item, String> {
        let parsed = match kind {
            Kind::Any => Err(Error::Armor("one of the types that are known")),
            Kind::X509 => Certificate::parse(data).map(Item::X509),
            Kind::X509Crl => Crl::parse(data).map(Item::Crl),
            Kind::OcspResponse => Opaque::parse(OpaqueKind::Ocsp, data).map(Item::Ocsp),
            Kind::X509Ac => Opaque::parse(OpaqueKind::Ac, data).map(Item::Ac),
            Kind::PublicKey => RawPublicKey::parse(data).map(Item::PublicKey),
        };
        parsed.map_err(|error| {
            let text = format!("parsing {} certificate failed", name(&KINDS, &kind));
            self.logger.log(Group::Cfg, 1, format!("{text}: {error}"));
            text
        })
    }

    /// Adds what was loaded, or what a connection brings.
    pub(in crate::commands) fn add(&mut self, item: Item) -> Result<(), String> {
        let added = self.credentials.add(item);
        added
            .map(drop)
            .map_err(|error| format!("adding certificate failed: {error}"))
    }

    fn add_crl(&mut self, crl: Crl) -> Result<(), String> {
        let number = hex(&crl.number);
        let outcome = self.credentials.add_crl(crl);
        let outcome = outcome.map_err(|error| format!("adding certificate failed: {error}"))?;
        let text = match outcome {
            CrlOutcome::Added => return Ok(()),
            CrlOutcome::Replaced(old) => {
                format!("  crl #{number} is newer - existing crl #{} replaced", hex(&old))
            }
            CrlOutcome::Retained(old) => {
                format!("  crl #{number} is not newer - existing crl #{} retained", hex(&old))
            }
        };
        self.logger.log(Group::Lib, 1, text);
        Ok(())
    }

    /// `list-certs`: those of a `type`, of X.509 those of a `flag`, and those that `subject` names.
    pub(in crate::commands) fn list_certs(&self, request: &Message, reply: &dyn Reply) -> Message {
        let (kind, flag) = match kind(request, "ANY") {
            Ok(filter) => filter,
            Err(error) => {
                self.logger.log(Group::Cfg, 1, error);
                return Message::new();
            }
        };
        let subject = request.get_str("subject").map(Identity::parse);
        let mut page = Page::of(request);
        for (place, item) in self.credentials.after(page.after) {
            let fits = match item {
                _ if kind == Kind::Any => true,
                Item::X509(certificate) => {
                    kind == Kind::X509 && flag.is_none_or(|flag| flag == certificate.flags.flag())
                }
                item => kind == kind_of(item),
            };
            if !fits || subject.as_ref().is_some_and(|subject| !item.is_of(subject)) {
                continue;
            }
            if !page.takes(place) {
                return page.full();
            }
            let key = item.key().and_then(|key| self.credentials.private_key(key));
            let event = describe(item, key.is_some());
            if !reply.event("list-cert", &event.encode_or_empty()) {
                break;
            }
        }
        Message::new()
    }

    /// `flush-certs`: what was fetched and is kept for a while, of a `type`. Nothing is fetched, so there is none.
    pub(in crate::commands) fn flush_certs(&self, request: &Message) -> Answer {
        kind(request, "ANY").map(|_| success())
    }
}

fn kind_of(item: &Item) -> Kind {
    match item {
        Item::PublicKey(_) => Kind::PublicKey,
        Item::X509(_) => Kind::X509,
        Item::Ac(_) => Kind::X509Ac,
        Item::Crl(_) => Kind::X509Crl,
        Item::Ocsp(_) => Kind::OcspResponse,
    }
}

fn describe(item: &Item, has_key: bool) -> Message {
    let mut out = Message::new().value("type", name(&KINDS, &kind_of(item)));
    if let Item::X509(certificate) = item {
        out.push_value("flag", name(&FLAGS, &Some(certificate.flags.flag())));
    }
    out.push_flag("has_privkey", has_key);
    out.octets("data", item.der())
}

/// `01:ff`.
pub(super) fn hex(octets: &[u8]) -> String {
    let digits: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    digits.join(":")
}
