//! Octets that are almost a message: what is refused, what is overlooked, and what the peer is told.
#![allow(clippy::panic, reason = "helpers of tests may")]

use iana::{ExchangeType, NotifyType, PayloadType};
use wire::payload::{Payload, Proposal};
use wire::{Error, Flags, Header, IkeSpi, Packet, parse_datagram, parse_payloads};

fn header() -> Header {
    Header {
        spi_i: IkeSpi(0x1122_3344_5566_7788),
        spi_r: IkeSpi(2),
        next_payload: PayloadType::NONE,
        version: 0x20,
        exchange: ExchangeType::IKE_INTERMEDIATE,
        flags: Flags::INITIATOR,
        message_id: 1,
        length: 0,
    }
}

fn datagram(header: Header, next_payload: PayloadType, payloads: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    Header {
        next_payload,
        length: 28 + payloads.len() as u32,
        ..header
    }
    .write(&mut octets);
    octets.extend(payloads);
    octets
}

fn parse(next: PayloadType, payloads: &[u8]) -> Result<String, Error> {
    parse_datagram(&datagram(header(), next, payloads)).map(|packet| format!("{packet:?}"))
}

fn field<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Err(error @ Error::Field { field, .. }) => {
            assert_eq!(error.notify(), Some(NotifyType::INVALID_SYNTAX));
            field
        }
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("accepted"),
    }
}

/// A payload's body, read as the only one of its message.
fn payload(kind: PayloadType, body: &[u8]) -> Result<Payload, Error> {
    let mut octets = vec![0, 0];
    octets.extend((4 + body.len() as u16).to_be_bytes());
    octets.extend(body);
    parse_payloads(kind, &octets).map(|mut payloads| payloads.remove(0))
}

#[test]
fn what_has_no_right_header_gets_no_answer() {
    let good = datagram(header(), PayloadType::NONE, &[]);
    assert_eq!(Header::parse(&good).map(|header| header.length), Ok(28));
    let longer = [&good[..], &[0]].concat();
    let without_spi = datagram(
        Header {
            spi_i: IkeSpi(0),
            ..header()
        },
        PayloadType::NONE,
        &[],
    );
    for (octets, error) in [
        (&[][..], Error::NoHeader(0)),
        (&good[..27], Error::NoHeader(27)),
        (
            &longer,
            Error::Length {
                header: 28,
                datagram: 29,
            },
        ),
        (&without_spi, Error::ZeroSpi),
    ] {
        assert_eq!(error.notify(), None);
        assert_eq!(Header::parse(octets), Err(error));
    }
}

#[test]
fn only_a_higher_major_version_is_told_so() {
    let version =
        |version| parse_datagram(&datagram(Header { version, ..header() }, PayloadType::NONE, &[])).err();
    assert_eq!(
        version(0x2f),
        None,
        "a higher minor version is no reason (RFC 7296, 2.5)"
    );
    let higher = version(0x30).expect("refused");
    assert_eq!(higher.notify(), Some(NotifyType::INVALID_MAJOR_VERSION));
    assert_eq!(higher.to_string(), "IKE version 3.0");
    assert_eq!(version(0x10).expect("refused").notify(), None);
}

#[test]
fn spis_print_with_all_their_digits() {
    assert_eq!(IkeSpi(0xab).to_string(), "00000000000000ab");
    assert_eq!(wire::EspSpi(0xab).to_string(), "000000ab");
}

#[test]
fn the_encrypted_payload_is_the_last_and_the_only_one() {
    let sk = [33, 0, 0, 6, 1, 2];
    let octets = datagram(header(), PayloadType::SK, &sk);
    let Ok(Packet::Encrypted {
        inner_first,
        body_offset,
        body,
        before,
        ..
    }) = parse_datagram(&octets)
    else {
        panic!("not an encrypted message");
    };
    assert_eq!(
        (inner_first, body_offset, body, before.len()),
        (PayloadType::SA, 32, &[1, 2][..], 0)
    );
    assert_eq!(
        field(parse(PayloadType::SK, &[&sk[..], &[0, 0, 0, 4]].concat())),
        "octets after the last payload"
    );
    assert_eq!(parse_payloads(PayloadType::SK, &sk), Err(Error::MisplacedSk));
    assert_eq!(
        parse_payloads(PayloadType::SKF, &[0, 0, 0, 8, 0, 1, 0, 1]),
        Err(Error::MisplacedSk)
    );
}

#[test]
fn payloads_before_the_encrypted_one_belong_to_the_associated_data() {
    let octets = datagram(
        header(),
        PayloadType::VENDOR_ID,
        &[46, 0, 0, 5, 7, 33, 0, 0, 5, 9],
    );
    let Ok(Packet::Encrypted {
        body_offset,
        before,
        body,
        ..
    }) = parse_datagram(&octets)
    else {
        panic!("not an encrypted message");
    };
    assert_eq!((body_offset, before.len(), body), (37, 1, &[9][..]));
    let fragment = parse(
        PayloadType::VENDOR_ID,
        &[53, 0, 0, 5, 7, 33, 0, 0, 9, 0, 1, 0, 1, 9],
    );
    assert_eq!(fragment, Err(Error::MisplacedSk));
}

#[test]
fn fragment_numbers_count_from_one_to_the_total() {
    for (number, total) in [(0, 0), (0, 1), (2, 1), (255, 2)] {
        let skf = [33, 0, 0, 8, 0, number, 0, total];
        assert_eq!(field(parse(PayloadType::SKF, &skf)), "fragment number");
    }
    let octets = datagram(header(), PayloadType::SKF, &[33, 0, 0, 9, 0, 2, 0, 3, 77]);
    let Ok(Packet::Fragment {
        number,
        total,
        inner_first,
        body_offset,
        body,
        ..
    }) = parse_datagram(&octets)
    else {
        panic!("not a fragment");
    };
    assert_eq!((number, total, body_offset, body), (2, 3, 36, &[77][..]));
    assert_eq!(
        inner_first,
        PayloadType::NONE,
        "only the first fragment says what is inside"
    );
}

#[test]
fn the_chain_of_payloads_ends_where_the_message_does() {
    assert_eq!(
        field(parse(PayloadType::NONE, &[0])),
        "octets after the last payload"
    );
    assert_eq!(
        field(parse(PayloadType::VENDOR_ID, &[0, 0, 0, 3])),
        "payload length"
    );
    assert_eq!(
        parse(PayloadType::VENDOR_ID, &[0, 0, 0, 9, 1]),
        Err(Error::Truncated {
            offset: 32,
            missing: 4
        })
    );
    assert_eq!(
        parse(PayloadType::VENDOR_ID, &[43, 0, 0, 5, 1]),
        Err(Error::Truncated {
            offset: 33,
            missing: 1
        })
    );
}

#[test]
fn a_message_has_at_most_a_hundred_payloads() {
    let vendor_ids = |count: usize| {
        let mut octets = [43, 0, 0, 4].repeat(count);
        octets[(count - 1) * 4] = 0;
        parse_payloads(PayloadType::VENDOR_ID, &octets).map(|payloads| payloads.len())
    };
    assert_eq!(vendor_ids(100), Ok(100));
    assert_eq!(vendor_ids(101), Err(Error::TooManyPayloads(100)));
}

#[test]
fn the_critical_bit_counts_on_unknown_payloads_only() {
    let with_bit = |kind: u8| parse_payloads(PayloadType(kind), &[0, 0x80, 0, 5, 7]);
    assert!(matches!(with_bit(43).as_deref(), Ok([Payload::VendorId(_)])));
    let unknown = Payload::Unknown {
        kind: PayloadType(200),
        critical: true,
        data: vec![7],
    };
    assert_eq!(with_bit(200), Ok(vec![unknown]));
}

fn proposal(body: &[u8]) -> Result<Proposal, Error> {
    match payload(PayloadType::SA, body)? {
        Payload::Sa(mut sa) => Ok(sa.proposals.remove(0)),
        other => panic!("not an SA: {other:?}"),
    }
}

#[test]
fn proposals_with_something_unknown_are_kept_but_unusable() {
    let with_transform = |transform: &[u8]| {
        let mut body = vec![0, 0, 0, 8 + transform.len() as u8, 1, 1, 0, 1];
        body.extend(transform);
        proposal(&body).map(|proposal| (proposal.unusable, proposal.transforms[0]))
    };
    let (unusable, transform) = with_transform(&[0, 0, 0, 8, 1, 0, 0xff, 0xff]).expect("accepted");
    assert_eq!(
        (unusable, transform.id),
        (false, 0xffff),
        "unknown IDs do not match anyway"
    );
    let (unusable, transform) = with_transform(&[0, 0, 0, 8, 99, 0, 0, 1]).expect("accepted");
    assert_eq!((unusable, transform.kind.0), (true, 99), "an unknown type");
    let short = [0, 0, 0, 12, 1, 0, 0, 12, 0x80, 99, 0, 1];
    assert_eq!(
        with_transform(&short).map(|(unusable, _)| unusable),
        Ok(true),
        "an unknown attribute"
    );
    let long = [0, 0, 0, 14, 1, 0, 0, 12, 0, 99, 0, 2, 7, 7];
    assert_eq!(
        with_transform(&long).map(|(unusable, _)| unusable),
        Ok(true),
        "one with a length"
    );
    let twice = [0, 0, 0, 16, 1, 0, 0, 12, 0x80, 14, 1, 0, 0x80, 14, 0, 128];
    assert_eq!(
        with_transform(&twice).map(|(unusable, _)| unusable),
        Ok(true),
        "two key lengths"
    );
}

#[test]
fn proposals_say_truly_how_many_transforms_and_proposals_follow() {
    assert!(payload(PayloadType::SA, &[]).is_err());
    assert_eq!(field(proposal(&[1, 0, 0, 8, 1, 1, 0, 0])), "proposal chain");
    assert_eq!(field(proposal(&[0, 0, 0, 3, 1, 1, 0, 0])), "proposal length");
    assert!(matches!(
        proposal(&[2, 0, 0, 8, 1, 1, 0, 0]),
        Err(Error::Truncated { .. })
    ));
    assert!(matches!(
        proposal(&[0, 0, 0, 8, 1, 1, 9, 0]),
        Err(Error::Truncated { .. })
    ));
    let transform = [0, 0, 0, 8, 1, 0, 0, 12];
    let none_counted = [&[0, 0, 0, 16, 1, 1, 0, 0][..], &transform].concat();
    assert_eq!(field(proposal(&none_counted)), "octets after the last transform");
    let two_counted = [&[0, 0, 0, 16, 1, 1, 0, 2][..], &transform].concat();
    assert_eq!(field(proposal(&two_counted)), "transform chain");
    let after_the_last = [&[0, 0, 0, 8, 1, 1, 0, 0][..], &transform].concat();
    assert_eq!(field(proposal(&after_the_last)), "octets after the payload's end");
}

#[test]
fn unknown_traffic_selectors_are_left_out() {
    let v4 = [7, 6, 0, 16, 0, 80, 0, 80, 10, 0, 0, 1, 10, 0, 0, 9];
    let body = [&[2, 0, 0, 0, 99, 0, 0, 6, 1, 2][..], &v4].concat();
    let Ok(Payload::Ts(_, ts)) = payload(PayloadType::TS_I, &body) else {
        panic!("refused")
    };
    assert_eq!(ts.selectors.len(), 1);
    assert_eq!((ts.selectors[0].protocol, ts.selectors[0].start_port), (6, 80));
    let miscounted = [&[1, 0, 0, 0, 99, 0, 0, 6, 1, 2][..], &v4].concat();
    assert_eq!(
        field(payload(PayloadType::TS_I, &miscounted)),
        "octets after the payload's end"
    );
    let as_v6 = [&[1, 0, 0, 0, 8][..], &v4[1..]].concat();
    assert_eq!(field(payload(PayloadType::TS_I, &as_v6)), "selector length");
}

#[test]
fn a_delete_does_not_cost_more_memory_than_octets() {
    for body in [
        &[1, 0, 0, 1][..],
        &[1, 8, 0, 0],
        &[3, 0, 0xff, 0xff],
        &[3, 1, 0, 1, 7],
        &[9, 1, 0, 1, 7],
    ] {
        assert_eq!(
            field(payload(PayloadType::DELETE, body)),
            "number of SPIs",
            "{body:?}"
        );
    }
    assert!(matches!(
        payload(PayloadType::DELETE, &[3, 4, 0, 2, 1, 2, 3, 4]),
        Err(Error::Truncated { .. })
    ));
    assert!(payload(PayloadType::DELETE, &[3, 0, 0, 0]).is_ok());
}

#[test]
fn lengths_inside_payloads_are_checked() {
    assert_eq!(field(payload(PayloadType::NONCE, &[7; 15])), "nonce length");
    assert_eq!(field(payload(PayloadType::NONCE, &[7; 257])), "nonce length");
    assert!(payload(PayloadType::NONCE, &[7; 256]).is_ok());
    assert_eq!(field(payload(PayloadType::EAP, &[1, 0, 0, 6, 1])), "EAP length");
    assert!(matches!(
        payload(PayloadType::NOTIFY, &[0, 4, 0x40, 9, 1]),
        Err(Error::Truncated { .. })
    ));
    assert!(matches!(
        payload(PayloadType::CP, &[1, 0, 0, 0, 0, 1, 0, 5, 1]),
        Err(Error::Truncated { .. })
    ));
    assert!(matches!(
        payload(PayloadType::KE, &[0, 31, 0]),
        Err(Error::Truncated { .. })
    ));
}
