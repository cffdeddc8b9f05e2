//! Numbers and names of IKEv2, one registry a module, without dependencies.
//!
//! Every registry is a newtype over the integer of the wire: values nobody registered stay representable, print
//! as their number, and never fail to parse. Beside IANA's numbers stand the private-use ones of strongSwan 6.0dr3.

mod registry;

pub mod attribute;
pub mod auth;
pub mod exchange;
pub mod identity;
pub mod keyword;
pub mod notify;
pub mod payload;
pub mod profile;
pub mod selector;
pub mod transform;

pub use auth::{AuthMethod, CertificateEncoding, HashAlgorithm};
pub use exchange::ExchangeType;
pub use identity::IdType;
pub use notify::{IpcompTransform, NotifyType};
pub use payload::PayloadType;
pub use profile::Profile;
pub use selector::{IpProtocol, TrafficSelector, TrafficSelectorType};
pub use transform::{
    EncryptionAlgorithm, ExtendedSequenceNumbers, IntegrityAlgorithm, KeyExchangeMethod, Protocol,
    PseudoRandomFunction, TransformType,
};
