//! The integrity algorithm of SAs, where it is not the negotiated one.

use iana::IntegrityAlgorithm;

/// The algorithm that SAs get. Peers that follow a draft truncate HMAC_SHA2_256 to 96 bits under the number of the one with
/// 128 bits, so that only the configuration can tell.
pub(super) fn installed(
    negotiated: Option<IntegrityAlgorithm>,
    sha256_96: bool,
) -> Option<IntegrityAlgorithm> {
    match negotiated {
        Some(IntegrityAlgorithm::HMAC_SHA2_256_128) if sha256_96 => {
            Some(IntegrityAlgorithm::HMAC_SHA2_256_96)
        }
        negotiated => negotiated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hmac_sha2_256_is_truncated_and_only_where_it_is_configured() {
        use IntegrityAlgorithm as Integ;
        let long = Some(Integ::HMAC_SHA2_256_128);
        assert_eq!(installed(long, true), Some(Integ::HMAC_SHA2_256_96));
        assert_eq!(installed(long, false), long);
        for other in [None, Some(Integ::HMAC_SHA1_96), Some(Integ::HMAC_SHA2_512_256)] {
            assert_eq!(installed(other, true), other);
        }
    }
}
