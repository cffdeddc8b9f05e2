//! Payloads, one kind a file.

mod auth;
mod cert;
mod cp;
mod delete;
mod eap;
mod id;
mod ke;
mod nonce;
mod notify;
mod sa;
mod ts;
mod vendor;

pub use auth::Auth;
pub use cert::{Cert, CertReq};
pub use cp::Cp;
pub use delete::Delete;
pub use eap::Eap;
pub use id::{Id, IdKind};
pub use ke::Ke;
pub use nonce::Nonce;
pub use notify::Notify;
pub use sa::{Proposal, Sa};
pub use ts::{Selector, Ts, TsKind};
pub use vendor::VendorId;

use iana::{NotifyType, PayloadType};

use crate::cursor::Cursor;
use crate::error::Error;

/// A payload of any kind.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Payload {
    Sa(Sa),
    Ke(Ke),
    Id(IdKind, Id),
    Cert(Cert),
    CertReq(CertReq),
    Auth(Auth),
    Nonce(Nonce),
    Notify(Notify),
    Delete(Delete),
    VendorId(VendorId),
    Ts(TsKind, Ts),
    Cp(Cp),
    Eap(Eap),
    /// Of a type nobody here knows; to be ignored unless critical (RFC 7296, 2.5).
    Unknown {
        kind: PayloadType,
        critical: bool,
        data: Vec<u8>,
    },
}

impl Payload {
    /// A notify that reports no error and concerns no SA.
    pub fn status(kind: NotifyType, data: Vec<u8>) -> Self {
        Self::Notify(Notify::status(kind, data))
    }

    /// Its type.
    pub fn kind(&self) -> PayloadType {
        match self {
            Self::Sa(_) => PayloadType::SA,
            Self::Ke(_) => PayloadType::KE,
            Self::Id(IdKind::Initiator, _) => PayloadType::ID_I,
            Self::Id(IdKind::Responder, _) => PayloadType::ID_R,
            Self::Cert(_) => PayloadType::CERT,
            Self::CertReq(_) => PayloadType::CERTREQ,
            Self::Auth(_) => PayloadType::AUTH,
            Self::Nonce(_) => PayloadType::NONCE,
            Self::Notify(_) => PayloadType::NOTIFY,
            Self::Delete(_) => PayloadType::DELETE,
            Self::VendorId(_) => PayloadType::VENDOR_ID,
            Self::Ts(TsKind::Initiator, _) => PayloadType::TS_I,
            Self::Ts(TsKind::Responder, _) => PayloadType::TS_R,
            Self::Cp(_) => PayloadType::CP,
            Self::Eap(_) => PayloadType::EAP,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// The critical bit counts on unknown types only, and is never set on known ones (RFC 7296, 3.2).
    pub(crate) fn is_critical(&self) -> bool {
        matches!(self, Self::Unknown { critical: true, .. })
    }

    pub(crate) fn parse(kind: PayloadType, critical: bool, mut body: Cursor<'_>) -> Result<Self, Error> {
        let payload = match kind {
            PayloadType::SA => Self::Sa(Sa::parse(&mut body)?),
            PayloadType::KE => Self::Ke(Ke::parse(&mut body)?),
            PayloadType::ID_I => Self::Id(IdKind::Initiator, Id::parse(&mut body)?),
            PayloadType::ID_R => Self::Id(IdKind::Responder, Id::parse(&mut body)?),
            PayloadType::CERT => Self::Cert(Cert::parse(&mut body)?),
            PayloadType::CERTREQ => Self::CertReq(CertReq::parse(&mut body)?),
            PayloadType::AUTH => Self::Auth(Auth::parse(&mut body)?),
            PayloadType::NONCE => Self::Nonce(Nonce::parse(&mut body)?),
            PayloadType::NOTIFY => Self::Notify(Notify::parse(&mut body)?),
            PayloadType::DELETE => Self::Delete(Delete::parse(&mut body)?),
            PayloadType::VENDOR_ID => Self::VendorId(VendorId::parse(&mut body)),
            PayloadType::TS_I => Self::Ts(TsKind::Initiator, Ts::parse(&mut body)?),
            PayloadType::TS_R => Self::Ts(TsKind::Responder, Ts::parse(&mut body)?),
            PayloadType::CP => Self::Cp(Cp::parse(&mut body)?),
            PayloadType::EAP => Self::Eap(Eap::parse(&mut body)?),
            _ => Self::Unknown {
                kind,
                critical,
                data: body.rest().to_vec(),
            },
        };
        if body.is_empty() {
            Ok(payload)
        } else {
            Err(Error::Field {
                field: "octets after the payload's end",
                offset: body.offset(),
            })
        }
    }

    pub(crate) fn write_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::Sa(payload) => payload.write(out),
            Self::Ke(payload) => payload.write(out),
            Self::Id(_, payload) => payload.write(out),
            Self::Cert(payload) => payload.write(out),
            Self::CertReq(payload) => payload.write(out),
            Self::Auth(payload) => payload.write(out),
            Self::Nonce(payload) => out.extend(&payload.data),
            Self::Notify(payload) => payload.write(out),
            Self::Delete(payload) => payload.write(out),
            Self::VendorId(payload) => out.extend(&payload.data),
            Self::Ts(_, payload) => payload.write(out),
            Self::Cp(payload) => payload.write(out),
            Self::Eap(payload) => payload.write(out),
            Self::Unknown { data, .. } => out.extend(data),
        }
    }
}
