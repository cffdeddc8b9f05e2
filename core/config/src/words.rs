//! Values that the connections of both front ends have, read in one place.

use iana::Profile;

/// The DSCP of IKE packets in binary digits, six at most.
pub fn dscp(text: &str) -> Option<u8> {
    let digits = text.bytes().all(|digit| matches!(digit, b'0' | b'1'));
    let dscp = u8::from_str_radix(text, 2).ok().filter(|_| digits);
    dscp.filter(|dscp| *dscp < 64)
}

/// The generation of the wire format of several key exchanges that a connection is pinned to.
pub fn profile(text: &str) -> Option<Profile> {
    match text {
        "draft" => Some(Profile::Draft),
        "rfc" => Some(Profile::Rfc),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dscp_has_six_bits() {
        assert_eq!(
            [dscp("101110"), dscp("1"), dscp("000000")],
            [Some(46), Some(1), Some(0)]
        );
        assert_eq!([dscp("1000000"), dscp("+1"), dscp("46"), dscp("")], [None; 4]);
    }
}
