//! The random generator behind HQC's response files: SHAKE256 of seed and a domain, squeezed as needed.

use shake::{ExtendableOutput, Shake256, Shake256Reader, Update, XofReader};

/// The generator; equal seeds make equal octets.
pub(crate) struct HqcGenerator(Shake256Reader);

impl HqcGenerator {
    pub(crate) fn new(seed: &[u8; 48]) -> Self {
        Self(Shake256::default().chain(seed).chain([1]).finalize_xof())
    }

    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        self.0.read(out);
    }
}
