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

/// The Kyber that a connection means, as the profile of the drafts that has it.
pub fn kyber_generation(text: &str) -> Option<Profile> {
    Profile::of_kyber_generation(text)
}

/// What `profile` and `kyber_generation` of a connection pin together.
///
/// # Errors
///
/// If there is no such Kyber in the profile.
pub fn pinned(profile: Option<Profile>, kyber: Option<Profile>) -> Result<Option<Profile>, &'static str> {
    match (profile, kyber) {
        (Some(Profile::Rfc), Some(_)) => {
            Err("kyber_generation belongs to the profile draft, but the connection has profile = rfc")
        }
        (profile, kyber) => Ok(kyber.or(profile)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kyber_is_of_the_drafts() {
        let (draft, round2) = (Some(Profile::Draft), Some(Profile::DraftRound2));
        assert_eq!(pinned(None, None), Ok(None));
        assert_eq!(pinned(draft, None), Ok(draft));
        assert_eq!(pinned(draft, round2), Ok(round2));
        assert_eq!(pinned(None, round2), Ok(round2));
        assert!(pinned(Some(Profile::Rfc), round2).is_err());
    }

    #[test]
    fn a_dscp_has_six_bits() {
        assert_eq!(
            [dscp("101110"), dscp("1"), dscp("000000")],
            [Some(46), Some(1), Some(0)]
        );
        assert_eq!([dscp("1000000"), dscp("+1"), dscp("46"), dscp("")], [None; 4]);
    }
}
