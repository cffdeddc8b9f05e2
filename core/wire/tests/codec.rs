//! The codec as a whole: recorded messages, round trips, and octets that are no message.
#![allow(clippy::panic, reason = "helpers of tests may")]

use iana::keyword::Transform;
use iana::{
    AuthMethod, CertificateEncoding, IdType, KeyExchangeMethod, NotifyType, PayloadType, Protocol,
    TransformType,
};
use proptest::collection::vec;
use proptest::prelude::*;
use wire::payload::{
    Auth, Cert, CertReq, Cp, Delete, Eap, Id, IdKind, Ke, Nonce, Notify, Payload, Proposal, Sa, Selector, Ts,
    TsKind, VendorId,
};
use wire::{Packet, parse_datagram, parse_payloads, write_payloads, write_plain};

const RECORDED: [&str; 4] = [
    include_str!("data/tunnel1-init-request.hex"),
    include_str!("data/tunnel1-init-response.hex"),
    include_str!("data/mlkem768-init-request.hex"),
    include_str!("data/mlkem768-init-response.hex"),
];

fn octets(hex: &str) -> Vec<u8> {
    let hex = hex.trim();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

fn plain(octets: &[u8]) -> wire::Message {
    match parse_datagram(octets).expect("a message") {
        Packet::Plain(message) => message,
        other => panic!("not a plain message: {other:?}"),
    }
}

#[test]
fn recorded_messages_are_written_as_they_were() {
    for hex in RECORDED {
        let recorded = octets(hex);
        let message = plain(&recorded);
        assert_eq!(
            wire::verify(
                message.header.exchange,
                message.header.is_response(),
                &message.payloads
            ),
            Ok(())
        );
        assert_eq!(write_plain(&message.header, &message.payloads), recorded);
    }
}

#[test]
fn the_seeds_first_message_has_three_proposals_and_prints_as_in_its_log() {
    let recorded = octets(RECORDED[0]);
    assert_eq!(recorded.len(), 724);
    let message = plain(&recorded);
    assert_eq!(
        wire::summary(message.header.exchange, false, 0, &message.payloads),
        "IKE_SA_INIT request 0 [ SA KE No N(NATD_S_IP) N(NATD_D_IP) N(FRAG_SUP) N(HASH_ALG) N(REDIR_SUP) N(IKE_INT_SUP) V ]"
    );
    let Payload::Sa(sa) = &message.payloads[0] else {
        panic!("no SA")
    };
    let texts: Vec<_> = sa.proposals.iter().map(list).collect();
    let rest = "2:4 2:8 2:5 2:6 2:7 2:2 4:31 4:1031 4:1032 4:1033 4:15 4:16 4:17 4:18 4:14";
    let cbc = "1:12/128 1:12/192 1:12/256 1:3 3:12 3:13 3:14 3:5 3:8 3:2";
    let gcm = "1:20/128 1:20/192 1:20/256 1:18/128 1:18/192 1:18/256 1:19/128 1:19/192 1:19/256";
    assert_eq!(
        texts,
        [
            "1:20/256 2:7 4:31 6:1051".to_owned(),
            format!("{cbc} {rest}"),
            format!("{gcm} {rest}")
        ]
    );
    assert!(
        sa.proposals
            .iter()
            .zip(1..)
            .all(|(proposal, number)| proposal.number == number)
    );
    assert!(
        sa.proposals
            .iter()
            .all(|proposal| proposal.protocol == Protocol::IKE && !proposal.unusable)
    );
    let names: Vec<_> = sa.proposals[0]
        .transforms
        .iter()
        .map(Transform::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "AES_GCM_16_256",
            "PRF_HMAC_SHA2_512",
            "CURVE_25519",
            "KE1_KYBER_L3"
        ]
    );
}

/// The transforms as `type:id/bits`.
fn list(proposal: &Proposal) -> String {
    let text = |transform: &Transform| match transform.key_bits {
        Some(bits) => format!("{}:{}/{bits}", transform.kind.0, transform.id),
        None => format!("{}:{}", transform.kind.0, transform.id),
    };
    proposal.transforms.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[test]
fn cut_or_changed_messages_never_panic_and_cuts_are_errors() {
    for hex in RECORDED {
        let recorded = octets(hex);
        for len in 0..recorded.len() {
            assert!(parse_datagram(&recorded[..len]).is_err(), "cut at {len}");
        }
        for at in 0..recorded.len() {
            for change in [1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff] {
                let mut changed = recorded.clone();
                changed[at] ^= change;
                if let Ok(Packet::Plain(message)) = parse_datagram(&changed) {
                    let _ = wire::verify(message.header.exchange, false, &message.payloads);
                    let _ = wire::summary(message.header.exchange, false, 0, &message.payloads);
                }
            }
        }
    }
}

fn transform() -> impl Strategy<Value = Transform> {
    (1u8..=12, any::<u16>(), proptest::option::of(any::<u16>())).prop_map(|(kind, id, key_bits)| Transform {
        kind: TransformType(kind),
        id,
        key_bits,
    })
}

fn proposal() -> impl Strategy<Value = Proposal> {
    (
        any::<u8>(),
        1u8..=3,
        vec(any::<u8>(), 0..9),
        vec(transform(), 0..40),
    )
        .prop_map(|(number, protocol, spi, transforms)| Proposal {
            number,
            protocol: Protocol(protocol),
            spi,
            transforms,
            unusable: false,
        })
}

fn selector() -> impl Strategy<Value = Selector> {
    let v4 = (any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(|(start, end)| (start.into(), end.into()));
    let v6 = (any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(start, end)| (start.into(), end.into()));
    (any::<u8>(), any::<u16>(), any::<u16>(), prop_oneof![v4, v6]).prop_map(
        |(protocol, start_port, end_port, (start, end))| Selector {
            protocol,
            start_port,
            end_port,
            start,
            end,
        },
    )
}

fn payload() -> impl Strategy<Value = Payload> {
    let data = || vec(any::<u8>(), 0..300);
    prop_oneof![
        vec(proposal(), 1..4).prop_map(|proposals| Payload::Sa(Sa { proposals })),
        (any::<u16>(), data()).prop_map(|(method, data)| Payload::Ke(Ke {
            method: KeyExchangeMethod(method),
            data
        })),
        (any::<bool>(), any::<u8>(), any::<[u8; 3]>(), data()).prop_map(
            |(initiator, kind, reserved, data)| {
                let whose = if initiator {
                    IdKind::Initiator
                } else {
                    IdKind::Responder
                };
                Payload::Id(
                    whose,
                    Id {
                        kind: IdType(kind),
                        reserved,
                        data,
                    },
                )
            }
        ),
        (any::<u8>(), data()).prop_map(|(kind, data)| Payload::Cert(Cert {
            encoding: CertificateEncoding(kind),
            data
        })),
        (any::<u8>(), data()).prop_map(|(kind, data)| Payload::CertReq(CertReq {
            encoding: CertificateEncoding(kind),
            data
        })),
        (any::<u8>(), data()).prop_map(|(method, data)| Payload::Auth(Auth {
            method: AuthMethod(method),
            data
        })),
        vec(any::<u8>(), 16..=256).prop_map(|data| Payload::Nonce(Nonce { data })),
        (any::<u8>(), vec(any::<u8>(), 0..9), any::<u16>(), data()).prop_map(
            |(protocol, spi, kind, data)| {
                Payload::Notify(Notify {
                    protocol,
                    spi,
                    kind: NotifyType(kind),
                    data,
                })
            }
        ),
        vec(any::<[u8; 4]>(), 0..20).prop_map(|spis| Payload::Delete(Delete {
            protocol: Protocol::ESP,
            spis: spis.into_iter().map(|spi| spi.to_vec()).collect(),
        })),
        data().prop_map(|data| Payload::VendorId(VendorId { data })),
        (any::<bool>(), vec(selector(), 0..20)).prop_map(|(initiator, selectors)| {
            let whose = if initiator {
                TsKind::Initiator
            } else {
                TsKind::Responder
            };
            Payload::Ts(whose, Ts { selectors })
        }),
        (any::<u8>(), vec((0u16..0x8000, data()), 0..5)).prop_map(|(kind, attributes)| Payload::Cp(Cp {
            kind: iana::attribute::ConfigurationType(kind),
            attributes: attributes
                .into_iter()
                .map(|(kind, value)| (iana::attribute::ConfigurationAttribute(kind), value))
                .collect(),
        })),
        (any::<u8>(), any::<u8>(), data()).prop_map(|(code, identifier, data)| Payload::Eap(Eap {
            code,
            identifier,
            data
        })),
        (200u8..=255, any::<bool>(), data()).prop_map(|(kind, critical, data)| Payload::Unknown {
            kind: PayloadType(kind),
            critical,
            data,
        }),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(payloads in vec(payload(), 0..10)) {
        let (first, written) = write_payloads(&payloads);
        prop_assert_eq!(parse_payloads(first, &written), Ok(payloads));
    }

    #[test]
    fn changed_payloads_never_panic(
        payloads in vec(payload(), 1..5),
        changes in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (first, mut written) = write_payloads(&payloads);
        for (at, value) in changes {
            let at = at.index(written.len());
            written[at] = value;
        }
        if let Some(cut) = cut {
            written.truncate(cut.index(written.len()));
        }
        if let Ok(payloads) = parse_payloads(first, &written) {
            let exchange = iana::ExchangeType::IKE_AUTH;
            let line = wire::summary(exchange, false, 0, &payloads);
            prop_assert!(line.len() < 2000, "{} octets of log line", line.len());
            let _ = wire::verify(exchange, false, &payloads);
            // What was read can be written, and means the same.
            let (again, octets) = write_payloads(&payloads);
            if payloads.iter().all(|payload| !matches!(payload, Payload::Sa(_))) {
                prop_assert_eq!(parse_payloads(again, &octets), Ok(payloads));
            }
        }
    }

    #[test]
    fn octets_of_any_kind_never_panic(mut datagram in vec(any::<u8>(), 0..400), first in any::<u8>()) {
        let _ = parse_payloads(PayloadType(first), &datagram);
        if datagram.len() >= 28 {
            let len = datagram.len() as u32;
            datagram[24..28].copy_from_slice(&len.to_be_bytes());
        }
        if let Ok(Packet::Plain(message)) = parse_datagram(&datagram) {
            let _ = wire::verify(message.header.exchange, message.header.is_response(), &message.payloads);
        }
    }

    #[test]
    fn sorting_loses_nothing_and_is_done_at_once(
        payloads in vec(payload(), 0..30),
        exchange in 34u8..=44,
        response in any::<bool>(),
    ) {
        let exchange = iana::ExchangeType(exchange);
        let mut sorted = payloads.clone();
        wire::sort(exchange, response, &mut sorted);
        let mut again = sorted.clone();
        wire::sort(exchange, response, &mut again);
        prop_assert_eq!(&again, &sorted);
        for payload in payloads {
            let at = sorted.iter().position(|other| *other == payload).expect("nothing is lost");
            sorted.remove(at);
        }
        prop_assert!(sorted.is_empty());
    }
}
