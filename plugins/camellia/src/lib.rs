//! Camellia in CBC, counter and CCM mode (RFC 5529), and its XCBC as strongSwan numbers it.
//!
//! In strongSwan it comes with `openssl` and `gcrypt`; here it has a plugin of its own.

use std::sync::Arc;

use ::camellia::{Camellia128, Camellia192, Camellia256};
use cipher::consts::{U8, U12, U16};
use iana::{EncryptionAlgorithm, IntegrityAlgorithm, PseudoRandomFunction};
use modes::{Cbc, Ccm, Ctr, Xcbc, XcbcPrf};
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "camellia", features: features }

/// What the plugin offers: all modes with keys of 128, 192 and 256 bits, XCBC with keys of 128 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let (cbc, ctr) = (
        EncryptionAlgorithm::CAMELLIA_CBC,
        EncryptionAlgorithm::CAMELLIA_CTR,
    );
    let (ccm_16, ccm_12, ccm_8) = (
        EncryptionAlgorithm::CAMELLIA_CCM_16,
        EncryptionAlgorithm::CAMELLIA_CCM_12,
        EncryptionAlgorithm::CAMELLIA_CCM_8,
    );
    vec![
        Feature::cipher(cbc, 16, Cbc::<Camellia128>::new()),
        Feature::cipher(cbc, 24, Cbc::<Camellia192>::new()),
        Feature::cipher(cbc, 32, Cbc::<Camellia256>::new()),
        Feature::cipher(ctr, 16, Ctr::<Camellia128>::new()),
        Feature::cipher(ctr, 24, Ctr::<Camellia192>::new()),
        Feature::cipher(ctr, 32, Ctr::<Camellia256>::new()),
        Feature::aead(ccm_16, 16, Ccm::<Camellia128, U16>::new()),
        Feature::aead(ccm_16, 24, Ccm::<Camellia192, U16>::new()),
        Feature::aead(ccm_16, 32, Ccm::<Camellia256, U16>::new()),
        Feature::aead(ccm_12, 16, Ccm::<Camellia128, U12>::new()),
        Feature::aead(ccm_12, 24, Ccm::<Camellia192, U12>::new()),
        Feature::aead(ccm_12, 32, Ccm::<Camellia256, U12>::new()),
        Feature::aead(ccm_8, 16, Ccm::<Camellia128, U8>::new()),
        Feature::aead(ccm_8, 24, Ccm::<Camellia192, U8>::new()),
        Feature::aead(ccm_8, 32, Ccm::<Camellia256, U8>::new()),
        Feature::prf(
            PseudoRandomFunction::CAMELLIA128_XCBC,
            XcbcPrf::<Camellia128>::new(),
        ),
        Feature::integrity(IntegrityAlgorithm::CAMELLIA_XCBC_96, Xcbc::<Camellia128>::new()),
    ]
}
