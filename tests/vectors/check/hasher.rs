//! Hash functions: the vectors of NIST.

use iana::HashAlgorithm;
use plugin_api::{ErrorKind, Hasher};

use super::{fails_with, records};

/// Runs all vectors of the function; how many there were.
pub fn hasher(algorithm: HashAlgorithm, hasher: &dyn Hasher) -> usize {
    let mut count = 0;
    for record in records(include_str!("../sha.txt")) {
        if record.text("Hash").map(|name| format!("HASH_{name}")).as_deref() != algorithm.name() {
            continue;
        }
        let repeat = record
            .text("Repeat")
            .map_or(1, |text| text.parse().expect("a number"));
        let message = record.required("Msg").repeat(repeat);
        let digest = record.required("MD");
        assert_eq!(hasher.output_len(), digest.len(), "{algorithm}");
        let mut out = vec![0; digest.len()];
        for cut in [0, message.len() / 3, message.len()] {
            let (head, tail) = message.split_at(cut);
            hasher.hash(&[head, &[], tail], &mut out).expect("hashing");
            assert_eq!(
                out,
                digest,
                "{algorithm} of {} octets, cut after {cut}",
                message.len()
            );
        }
        let short = hasher.hash(&[&message], &mut out[1..]);
        fails_with(ErrorKind::InvalidArgument, short, "room for a shorter digest");
        count += 1;
    }
    count
}
