//! Payloads octet by octet, as the sections of RFC 7296 draw them.

use iana::attribute::{ConfigurationAttribute, ConfigurationType};
use iana::keyword::Transform;
use iana::{
    EncryptionAlgorithm, ExtendedSequenceNumbers, IdType, KeyExchangeMethod, NotifyType, Protocol,
    TransformType,
};
use wire::payload::{Cp, Delete, Id, IdKind, Ke, Notify, Payload, Proposal, Sa, Selector, Ts, TsKind};
use wire::{parse_payloads, write_payloads};

/// Checks that the payload is written so, behind its generic header, and read again.
#[track_caller]
fn assert_layout(payload: Payload, body: &[u8]) {
    let (first, octets) = write_payloads(std::slice::from_ref(&payload));
    assert_eq!(first, payload.kind());
    assert_eq!(octets[..4], [0, 0, 0, 4 + body.len() as u8]);
    assert_eq!(octets[4..], *body);
    assert_eq!(parse_payloads(first, &octets), Ok(vec![payload]));
}

#[test]
fn a_proposal_for_esp_has_its_spi_and_marks_its_last_transform() {
    let proposal = Proposal {
        number: 1,
        protocol: Protocol::ESP,
        spi: vec![0xc1, 0xc2, 0xc3, 0xc4],
        transforms: vec![
            Transform::encryption(EncryptionAlgorithm::AES_GCM_16, Some(256)),
            Transform::new(TransformType::ESN, ExtendedSequenceNumbers::NO_EXT_SEQ.0),
        ],
        unusable: false,
    };
    let body = [
        0, 0, 0, 32, 1, 3, 4, 2, 0xc1, 0xc2, 0xc3, 0xc4, // the proposal
        3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 1, 0, // AES-GCM with a key of 256 bits
        0, 0, 0, 8, 5, 0, 0, 0, // no extended sequence numbers
    ];
    assert_layout(
        Payload::Sa(Sa {
            proposals: vec![proposal],
        }),
        &body,
    );
}

#[test]
fn deletes_count_their_spis() {
    assert_layout(
        Payload::Delete(Delete {
            protocol: Protocol::IKE,
            spis: Vec::new(),
        }),
        &[1, 0, 0, 0],
    );
    let spis = vec![vec![1, 2, 3, 4], vec![5, 6, 7, 8]];
    let body = [3, 4, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
    assert_layout(
        Payload::Delete(Delete {
            protocol: Protocol::ESP,
            spis,
        }),
        &body,
    );
}

#[test]
fn notifies_name_the_sa_they_are_about() {
    let lifetime = Notify::status(NotifyType::AUTH_LIFETIME, vec![0, 0, 0x0d, 0x31]);
    assert_layout(Payload::Notify(lifetime), &[0, 0, 0x40, 0x13, 0, 0, 0x0d, 0x31]);
    let rekey = Notify {
        protocol: Protocol::ESP.0,
        spi: vec![9, 8, 7, 6],
        kind: NotifyType::REKEY_SA,
        data: Vec::new(),
    };
    assert_layout(Payload::Notify(rekey), &[3, 4, 0x40, 0x09, 9, 8, 7, 6]);
}

#[test]
fn traffic_selectors_have_16_or_40_octets() {
    let any = |start: &str, end: &str| Selector {
        protocol: 0,
        start_port: 0,
        end_port: 65535,
        start: start.parse().expect("address"),
        end: end.parse().expect("address"),
    };
    let v4 = Ts {
        selectors: vec![any("10.3.0.0", "10.3.255.255")],
    };
    let body = [
        1, 0, 0, 0, 7, 0, 0, 16, 0, 0, 0xff, 0xff, 10, 3, 0, 0, 10, 3, 255, 255,
    ];
    assert_layout(Payload::Ts(TsKind::Initiator, v4), &body);
    let v6 = Ts {
        selectors: vec![any("fec0::", "fec0::ffff")],
    };
    let mut body = vec![1, 0, 0, 0, 8, 0, 0, 40, 0, 0, 0xff, 0xff, 0xfe, 0xc0];
    body.extend([0; 14]);
    body.extend([0xfe, 0xc0]);
    body.extend([0; 12]);
    body.extend([0xff, 0xff]);
    assert_layout(Payload::Ts(TsKind::Responder, v6), &body);
}

#[test]
fn the_reserved_octets_of_an_identity_are_kept_for_auth() {
    let id = Id {
        kind: IdType::FQDN,
        reserved: [1, 2, 3],
        data: b"moon".to_vec(),
    };
    assert_eq!(id.body(), [2, 1, 2, 3, b'm', b'o', b'o', b'n']);
    assert_layout(Payload::Id(IdKind::Responder, id.clone()), &id.body());
}

#[test]
fn the_remaining_payloads_are_as_drawn() {
    let ke = Ke {
        method: KeyExchangeMethod::KYBER_L3,
        data: vec![0xaa; 3],
    };
    assert_layout(Payload::Ke(ke), &[0x04, 0x1b, 0, 0, 0xaa, 0xaa, 0xaa]);
    let attributes = vec![
        (ConfigurationAttribute::INTERNAL_IP4_ADDRESS, vec![10, 3, 0, 1]),
        (ConfigurationAttribute::INTERNAL_IP4_DNS, Vec::new()),
    ];
    let cp = Cp {
        kind: ConfigurationType::REPLY,
        attributes,
    };
    assert_layout(
        Payload::Cp(cp),
        &[2, 0, 0, 0, 0, 1, 0, 4, 10, 3, 0, 1, 0, 3, 0, 0],
    );
}
