//! Key exchanges by which IKE_SAs are made.

use crate::hosts::Kind;

/// What precedes them.
const ALGORITHMS: &str = "aes256gcm16-sha512";

/// Those of the walk-through, and as many as there can be.
pub(crate) const TUNNEL2: &str = "x25519-ke1_kyber3-ke2_ntrup3-ke3_saber3";
pub(crate) const TUNNEL3: &str = "modp3072-ke1_frodoa3-ke2_sike3";
pub(crate) const SEVEN: &str =
    "x25519-ke1_kyber1-ke2_ntrup1-ke3_saber1-ke4_bike1-ke5_sntrup761-ke6_ecp256-ke7_kyber3";

/// The one that both implementations have, and that is compared most.
pub(crate) const HYBRID: &str = "x25519-ke1_mlkem768";

/// KEMs of the drafts' profile, as an additional key exchange.
const DRAFT: [&str; 26] = [
    "kyber1", "kyber3", "kyber5", "ntrup1", "ntrup3", "ntrup5", "ntrur3", "saber1", "saber3", "saber5",
    "frodoa1", "frodoa3", "frodoa5", "frodos1", "frodos3", "frodos5", "bike1", "bike3", "bike5", "hqc1",
    "hqc3", "hqc5", "sike1", "sike2", "sike3", "sike5",
];

/// All that handshakes are made with.
pub(crate) fn all(quick: bool) -> Vec<String> {
    if quick {
        return ["x25519", HYBRID, "x25519-ke1_kyber3", TUNNEL2, TUNNEL3]
            .map(str::to_owned)
            .to_vec();
    }
    let alone = ["x25519", "ecp256", "modp3072", "mlkem768"].map(str::to_owned);
    let ml_kem = ["mlkem512", "mlkem768", "mlkem1024", "sntrup761"];
    let additional = ml_kem.iter().chain(&DRAFT);
    let additional = additional.map(|keyword| format!("x25519-ke1_{keyword}"));
    let many = [TUNNEL2, TUNNEL3, SEVEN].map(str::to_owned);
    alone.into_iter().chain(additional).chain(many).collect()
}

/// The whole proposal.
pub(crate) fn proposal(exchanges: &str) -> String {
    format!("{ALGORITHMS}-{exchanges}")
}

/// Whether an implementation has all of them.
pub(crate) fn offered_by(kind: Kind, exchanges: &str) -> bool {
    let known = |exchange: &str| match kind {
        Kind::Ours => true,
        Kind::StrongSwan { version, .. } => {
            let classic = ["x25519", "ecp256", "ecp384", "modp3072"].contains(&exchange);
            classic || exchange.starts_with("mlkem") && version == "6.1.0"
        }
    };
    let additional = exchanges.contains("-ke1_");
    let rfc9370 = match kind {
        Kind::Ours => true,
        Kind::StrongSwan { version, .. } => !version.starts_with("5."),
    };
    (rfc9370 || !additional)
        && exchanges
            .split('-')
            .map(|exchange| exchange.rsplit('_').next().unwrap_or(exchange))
            .all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strongswan_has_ml_kem_and_no_kem_of_the_drafts() {
        let theirs: Kind = "strongswan-6.1.0".parse().unwrap();
        let older: Kind = "strongswan-5.9.8".parse().unwrap();
        assert!(offered_by(theirs, HYBRID) && offered_by(theirs, "x25519"));
        assert!(!offered_by(theirs, "x25519-ke1_kyber3") && !offered_by(theirs, TUNNEL2));
        assert!(offered_by(older, "x25519") && !offered_by(older, "x25519-ke1_ecp384"));
        assert!(offered_by(Kind::Ours, TUNNEL3));
    }
}
