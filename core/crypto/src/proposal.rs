//! Proposals: what one side would accept, and what was chosen of it.
//!
//! Parsing is in `parse.rs`, the lists offered without configuration in `defaults.rs`, the choice in `select.rs`.

use std::fmt;

use iana::keyword::Transform;
use iana::{EncryptionAlgorithm, KeyExchangeMethod, Protocol, TransformType};

pub use crate::check::ListError;
use crate::registry::Registry;
use crate::{defaults, parse};

/// A proposal: alternatives for each transform type, in the order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its number within the SA payload, counted from 1.
    pub number: u8,
    /// What it is for.
    pub protocol: Protocol,
    /// The sender's SPI: none in IKE_SA_INIT, eight octets for an IKE_SA being rekeyed, four for ESP and AH.
    pub spi: Vec<u8>,
    /// The transforms; ours are in the order in which they are sent: ENCR, INTEG, PRF, KE, additional KEs, ESN.
    pub transforms: Vec<Transform>,
}

/// Which default proposals are offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultStyle {
    /// Those of strongSwan 6.0dr3, for IKE to the octet: algorithms are listed whether or not a plugin implements them.
    Draft,
    /// Those of strongSwan 6.0.6, as far as plugins implement them.
    #[default]
    Rfc,
    /// What either of them offers, to be accepted of a peer.
    Either,
}

/// What configured proposals are expanded for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To be offered, as initiator: of what the configuration names only what is implemented.
    #[default]
    Offer,
    /// To be listed, as they are written.
    List,
    /// To be compared with what a peer chose of what was offered. Weak algorithms may be chosen only where the configuration
    /// names them, not of the defaults, which list them because the peers of [`DefaultStyle::Draft`] do.
    Verify,
    /// To be compared with the proposals of a peer, which chooses what this end has to compute. Key exchanges that cost a
    /// responder far more than the peer are accepted only where the configuration names them, not as defaults.
    Accept,
}

/// Why a string is no proposal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposalError {
    /// A keyword that neither the daemon nor a plugin knows.
    #[error("algorithm '{0}' not recognized")]
    NotRecognized(String),
    /// Neither a PRF nor an integrity algorithm that stands for one.
    #[error("a PRF algorithm is mandatory in IKE proposals")]
    NoPrf,
    /// No key exchange method.
    #[error("a DH group is mandatory in IKE proposals")]
    NoKeyExchange,
    /// No encryption algorithm.
    #[error("an encryption algorithm is mandatory in {0} proposals")]
    NoEncryption(Protocol),
    /// Ciphers with and without authentication, which need different integrity transforms.
    #[error(
        "classic and combined-mode (AEAD) encryption algorithms can't be contained in the same {0} proposal"
    )]
    MixedEncryption(Protocol),
    /// A cipher without authentication alone.
    #[error(
        "an integrity algorithm is mandatory in {0} proposals with classic (non-AEAD) encryption algorithms"
    )]
    NoIntegrity(Protocol),
    /// AH without integrity algorithm.
    #[error("an integrity algorithm is mandatory in AH proposals")]
    NoIntegrityForAh,
}

impl Proposal {
    /// A proposal from its keywords: `aes256gcm16-sha512-x25519-ke1_kyber3`.
    ///
    /// # Errors
    ///
    /// A [`ProposalError`] that says which keyword is unknown or what is missing.
    pub fn parse(text: &str, protocol: Protocol, registry: &Registry) -> Result<Self, ProposalError> {
        parse::proposal(text, protocol, registry)
    }

    /// What is offered where nothing is configured: without AEADs first, then with AEADs; numbered from 1.
    pub fn defaults(protocol: Protocol, registry: &Registry, style: DefaultStyle) -> Vec<Self> {
        numbered(defaults::proposals(protocol, registry, style))
    }

    /// The proposals of a configuration, numbered from 1, and what to log about those skipped.
    ///
    /// An entry is one proposal or several with commas between; `default` stands for the defaults, and nothing
    /// configured is the same as `default`.
    pub fn expand(
        entries: &[String],
        append_defaults: bool,
        protocol: Protocol,
        registry: &Registry,
        style: DefaultStyle,
    ) -> (Vec<Self>, Vec<String>) {
        Self::expand_for(
            Purpose::Offer,
            entries,
            append_defaults,
            protocol,
            registry,
            style,
        )
    }

    /// The same for a purpose.
    pub fn expand_for(
        purpose: Purpose,
        entries: &[String],
        append_defaults: bool,
        protocol: Protocol,
        registry: &Registry,
        style: DefaultStyle,
    ) -> (Vec<Self>, Vec<String>) {
        let defaults = || {
            let mut proposals = defaults::proposals(protocol, registry, style);
            for proposal in &mut proposals {
                proposal.transforms.retain(|transform| match purpose {
                    Purpose::Offer | Purpose::List => true,
                    Purpose::Verify => !is_weak(*transform),
                    Purpose::Accept => !is_weak(*transform) && !names_costly(*transform),
                });
            }
            proposals
        };
        let mut proposals = Vec::new();
        let mut messages = Vec::new();
        for text in entries.iter().flat_map(|entry| entry.split(',')).map(str::trim) {
            if text.eq_ignore_ascii_case("default") {
                proposals.extend(defaults());
                continue;
            }
            match parse::proposal(text, protocol, registry) {
                // A responder compares with all that is configured, so that it can tell what is missing here.
                Ok(proposal) if matches!(purpose, Purpose::Accept | Purpose::List) => {
                    proposals.push(proposal)
                }
                Ok(proposal) => proposals.extend(proposal.implemented_part(registry)),
                Err(error) => {
                    messages.push(error.to_string());
                    messages.push(format!("skipped invalid proposal string: {text}"));
                }
            }
        }
        if append_defaults || entries.is_empty() {
            proposals.extend(defaults());
        }
        (numbered(proposals), messages)
    }

    /// The same without what neither a plugin nor the back end for SAs implements; none if it takes something that is needed.
    pub(crate) fn implemented_part(mut self, registry: &Registry) -> Option<Self> {
        let kinds: Vec<TransformType> = self.transforms.iter().map(|transform| transform.kind).collect();
        let protocol = self.protocol;
        self.transforms
            .retain(|transform| registry.implements(protocol, *transform));
        kinds
            .into_iter()
            .all(|kind| self.transform(kind).is_some())
            .then_some(self)
    }

    /// The first transform of a type.
    pub fn transform(&self, kind: TransformType) -> Option<Transform> {
        self.transforms
            .iter()
            .copied()
            .find(|transform| transform.kind == kind)
    }

    /// The key exchange method of type 4, the first if there are several; none for NONE.
    pub fn key_exchange(&self) -> Option<KeyExchangeMethod> {
        let method = KeyExchangeMethod(self.transform(TransformType::KE)?.id);
        (method != KeyExchangeMethod::NONE).then_some(method)
    }

    /// The additional key exchanges with their numbers from 1 to 7, ascending, the first alternative of each; NONE is
    /// left out.
    pub fn additional_key_exchanges(&self) -> Vec<(u8, KeyExchangeMethod)> {
        let chosen = |number| {
            let transform = self.transform(TransformType::additional_ke(number)?)?;
            Some((number, KeyExchangeMethod(transform.id)))
        };
        (1..=7)
            .filter_map(chosen)
            .filter(|(_, method)| *method != KeyExchangeMethod::NONE)
            .collect()
    }

    /// Whether an additional key exchange is among the alternatives.
    pub fn has_additional(&self) -> bool {
        self.transforms.iter().any(|transform| {
            transform.kind.additional_ke_number().is_some() && transform.id != KeyExchangeMethod::NONE.0
        })
    }

    /// The same without any key exchange: for the CHILD_SA that IKE_AUTH creates.
    pub fn without_key_exchanges(&self) -> Self {
        let mut proposal = self.clone();
        proposal
            .transforms
            .retain(|transform| !transform.kind.is_key_exchange());
        proposal
    }

    /// Moves a method to the front of those of type 4, because it is the one in the KE payload.
    pub fn promote_key_exchange(&mut self, method: KeyExchangeMethod) {
        let is_ke = |transform: &Transform| transform.kind == TransformType::KE;
        let wanted = |transform: &Transform| is_ke(transform) && transform.id == method.0;
        let first = self.transforms.iter().position(is_ke);
        let found = self.transforms.iter().position(wanted);
        if let (Some(first), Some(found)) = (first, found) {
            self.transforms[first..=found].rotate_right(1);
        }
    }

    /// Whether an alternative is among the transforms, whatever its key length.
    pub fn offers(&self, kind: TransformType, id: u16) -> bool {
        self.transforms
            .iter()
            .any(|transform| transform.kind == kind && transform.id == id)
    }

    /// The proposal as log lines show it: `IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/CURVE_25519/KE1_KYBER_L3`.
    pub fn to_log(&self, registry: &Registry) -> String {
        let names = self
            .in_log_order()
            .into_iter()
            .map(|transform| registry.transform_name(&transform));
        format!("{}:{}", self.protocol, names.collect::<Vec<_>>().join("/"))
    }

    fn in_log_order(&self) -> Vec<Transform> {
        let mut transforms = self.transforms.clone();
        transforms.sort_by_key(|transform| log_rank(transform.kind));
        transforms
    }
}

impl fmt::Display for Proposal {
    /// As [`Proposal::to_log`], with numbers for the methods that only a plugin can name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .in_log_order()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        write!(f, "{}:{}", self.protocol, names.join("/"))
    }
}

/// Whether a key exchange method costs a responder so much that a peer may demand it only where it is configured: the
/// MODP groups above 4096 bits (64 ms of a processor for MODP_8192, against 0.1 ms for Curve25519).
pub fn is_costly(method: u16) -> bool {
    [KeyExchangeMethod::MODP_6144, KeyExchangeMethod::MODP_8192].contains(&KeyExchangeMethod(method))
}

fn names_costly(transform: Transform) -> bool {
    transform.kind.is_key_exchange() && is_costly(transform.id)
}

/// Whether an encryption algorithm of the defaults is accepted only where it is configured.
fn is_weak(transform: Transform) -> bool {
    transform.kind == TransformType::ENCR
        && EncryptionAlgorithm(transform.id) == EncryptionAlgorithm::TRIPLE_DES_CBC
}

/// Where log lines and the matching of types put a type: by number, but INTEG before PRF.
pub(crate) fn log_rank(kind: TransformType) -> u8 {
    match kind {
        TransformType::INTEG => TransformType::PRF.0,
        TransformType::PRF => TransformType::INTEG.0,
        kind => kind.0,
    }
}

/// Where a sent proposal has a type: as in log lines, but ESN last.
pub(crate) fn wire_rank(kind: TransformType) -> u8 {
    if kind == TransformType::ESN {
        u8::MAX
    } else {
        log_rank(kind)
    }
}

fn numbered(mut proposals: Vec<Proposal>) -> Vec<Proposal> {
    proposals.truncate(u8::MAX.into());
    for (number, proposal) in (1..=u8::MAX).zip(&mut proposals) {
        proposal.number = number;
    }
    proposals
}
