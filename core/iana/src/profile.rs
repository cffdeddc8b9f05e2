//! The two generations of multiple key exchanges and the numbers that tell them apart.

use crate::exchange::ExchangeType;
use crate::notify::NotifyType;
use crate::transform::KeyExchangeMethod;

/// Which generation of IKE_INTERMEDIATE and IKE_FOLLOWUP_KE an IKE_SA speaks.
///
/// Nothing on the wire says so: the selected proposal decides (see [`Profile::of_methods`]), or the connection pins it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// strongSwan 6.0dr1 to 6.0dr13: private code points, unchained IntAuth, Kyber and its contemporaries.
    Draft,
    /// The same with Kyber of NIST's second round, which 6.0dr3 has where its liboqs is of its own day. It is never guessed.
    DraftRound2,
    /// RFC 9242 and RFC 9370: chained IntAuth with message ID, ML-KEM.
    #[default]
    Rfc,
}

impl Profile {
    /// The profile of a selected proposal with these additional key exchanges.
    ///
    /// The draft applies if a private-use KEM of 6.0dr3 (1050 to 1075) is among them and nothing newer is.
    pub fn of_methods(methods: impl IntoIterator<Item = KeyExchangeMethod>) -> Self {
        let mut draft = false;
        for method in methods {
            if method.is_draft_kem() {
                draft = true;
            } else if method.is_newer_than_draft() {
                return Self::Rfc;
            }
        }
        if draft { Self::Draft } else { Self::Rfc }
    }

    /// The profile of the drafts with a generation of Kyber, as `kyber_generation` names it.
    pub fn of_kyber_generation(name: &str) -> Option<Self> {
        match name {
            "round2" => Some(Self::DraftRound2),
            "round3" => Some(Self::Draft),
            _ => None,
        }
    }

    /// What implements a key exchange method of the wire, by the number that plugins offer it under.
    pub const fn implementation(self, method: KeyExchangeMethod) -> KeyExchangeMethod {
        match (self, method) {
            (Self::DraftRound2, KeyExchangeMethod::KYBER_L1) => KeyExchangeMethod::KYBER_L1_ROUND2,
            (Self::DraftRound2, KeyExchangeMethod::KYBER_L3) => KeyExchangeMethod::KYBER_L3_ROUND2,
            (Self::DraftRound2, KeyExchangeMethod::KYBER_L5) => KeyExchangeMethod::KYBER_L5_ROUND2,
            _ => method,
        }
    }

    /// The exchange that carries additional key exchanges after CREATE_CHILD_SA.
    pub const fn followup_exchange(self) -> ExchangeType {
        match self {
            Self::Draft | Self::DraftRound2 => ExchangeType::IKE_FOLLOWUP_KE_DRAFT,
            Self::Rfc => ExchangeType::IKE_FOLLOWUP_KE,
        }
    }

    /// The notify that links CREATE_CHILD_SA and IKE_FOLLOWUP_KE.
    pub const fn additional_key_exchange(self) -> NotifyType {
        match self {
            Self::Draft | Self::DraftRound2 => NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT,
            Self::Rfc => NotifyType::ADDITIONAL_KEY_EXCHANGE,
        }
    }

    /// The answer to an IKE_FOLLOWUP_KE that belongs to nothing.
    pub const fn state_not_found(self) -> NotifyType {
        match self {
            Self::Draft | Self::DraftRound2 => NotifyType::STATE_NOT_FOUND_DRAFT,
            Self::Rfc => NotifyType::STATE_NOT_FOUND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_kem_alone_selects_the_draft_and_anything_newer_the_rfc() {
        use KeyExchangeMethod as Ke;
        assert_eq!(Profile::of_methods([]), Profile::Rfc);
        assert_eq!(Profile::of_methods([Ke::ECP_384]), Profile::Rfc);
        assert_eq!(Profile::of_methods([Ke::KYBER_L3, Ke::ECP_384]), Profile::Draft);
        assert_eq!(Profile::of_methods([Ke::KYBER_L3, Ke::ML_KEM_768]), Profile::Rfc);
        assert_eq!(Profile::of_methods([Ke::ML_KEM_768]), Profile::Rfc);
        assert_eq!(Profile::of_methods([Ke::BIKE_L1, Ke::HQC_L5]), Profile::Draft);
        assert_eq!(Profile::of_methods([Ke::KYBER_L3, Ke::SNTRUP_761]), Profile::Rfc);
    }
}
