//! Default proposals, as octets where a peer's trace shows them.

use iana::{KeyExchangeMethod, Protocol, TransformType};
use plugin_api::Feature;

use super::algorithms::registry;
use super::trace::Trace;
use crate::select::list;
use crate::{DefaultStyle, NullKeyExchange, Proposal, Registry};

/// An SA payload without its generic header (RFC 7296, 3.3).
fn encode(proposals: &[Proposal]) -> Vec<u8> {
    let mut sa = Vec::new();
    for (place, proposal) in proposals.iter().enumerate() {
        let mut body = proposal.spi.clone();
        for (place, transform) in proposal.transforms.iter().enumerate() {
            let more = if place + 1 == proposal.transforms.len() {
                0
            } else {
                3
            };
            let bits = transform.key_bits.map(u16::to_be_bytes);
            let attribute = bits
                .map(|[high, low]| vec![0x80, 14, high, low])
                .unwrap_or_default();
            let [high, low] = transform.id.to_be_bytes();
            let len = u8::try_from(8 + attribute.len()).expect("short");
            body.extend([more, 0, 0, len, transform.kind.0, 0, high, low]);
            body.extend(attribute);
        }
        let more = if place + 1 == proposals.len() { 0 } else { 2 };
        let len = u16::try_from(8 + body.len()).expect("short").to_be_bytes();
        let counts = [proposal.spi.len(), proposal.transforms.len()].map(|it| u8::try_from(it).expect("few"));
        sa.extend([more, 0, len[0], len[1], proposal.number, proposal.protocol.0]);
        sa.extend(counts);
        sa.extend(body);
    }
    sa
}

fn expand(text: &str, protocol: Protocol, registry: &Registry) -> Vec<Proposal> {
    let (proposals, messages) =
        Proposal::expand(&[text.to_owned()], true, protocol, registry, DefaultStyle::Draft);
    assert_eq!(messages, Vec::<String>::new());
    proposals
}

#[test]
fn the_first_message_of_the_trace_has_our_proposals_to_the_octet() {
    let registry = registry();
    let trace = Trace::draft();
    let request = trace.packet(34, false, 0);
    assert_eq!(request.len(), 724);
    let sa = &request[28..];
    let len = usize::from(u16::from_be_bytes([sa[2], sa[3]]));
    let proposals = expand("aes256gcm16-sha512-x25519-ke1_kyber3", Protocol::IKE, &registry);
    assert_eq!(encode(&proposals), sa[4..len]);
    assert_eq!(len, 504);
    assert_eq!(
        proposals.iter().map(|it| it.transforms.len()).collect::<Vec<_>>(),
        [4, 25, 24]
    );
}

#[test]
fn the_proposals_for_esp_have_the_lengths_of_the_trace_with_and_without_key_exchange() {
    let registry = registry();
    let proposals = expand("aes256gcm16-sha512-x25519-ke1_kyber3", Protocol::ESP, &registry);
    let mut with_spi = proposals.clone();
    for proposal in &mut with_spi {
        proposal.spi = vec![1, 2, 3, 4];
    }
    assert_eq!(encode(&with_spi).len() + 4, 196);
    let without: Vec<_> = with_spi.iter().map(Proposal::without_key_exchanges).collect();
    assert_eq!(encode(&without).len() + 4, 180);
    assert_eq!(
        list(&without, &registry),
        "ESP:AES_GCM_16_256/NO_EXT_SEQ, \
         ESP:AES_CBC_128/AES_CBC_192/AES_CBC_256/HMAC_SHA2_256_128/HMAC_SHA2_384_192/HMAC_SHA2_512_256\
         /HMAC_SHA1_96/AES_XCBC_96/NO_EXT_SEQ, \
         ESP:AES_GCM_16_128/AES_GCM_16_192/AES_GCM_16_256"
    );
    let trace = Trace::draft();
    for (message_id, expected) in [(2, &without), (3, &with_spi)] {
        let exchange = if message_id == 2 { 35 } else { 36 };
        let payloads = trace.payloads(exchange, false, message_id);
        let sa = payloads
            .iter()
            .find(|(kind, _)| *kind == 33)
            .map(|(_, body)| body.clone());
        let mut expected = expected.clone();
        let spi = sa.as_ref().map(|sa| sa[8..12].to_vec()).expect("an SA payload");
        expected
            .iter_mut()
            .for_each(|proposal| proposal.spi = spi.clone());
        assert_eq!(sa, Some(encode(&expected)));
    }
}

#[test]
fn the_defaults_of_the_rfc_style_are_what_plugins_implement() {
    let registry = registry();
    let rfc = |protocol| {
        list(
            &Proposal::defaults(protocol, &registry, DefaultStyle::Rfc),
            &registry,
        )
    };
    assert_eq!(
        rfc(Protocol::IKE),
        "IKE:AES_CBC_128/AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_512/PRF_HMAC_SHA2_256\
         /CURVE_25519/ECP_256/MODP_3072, \
         IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/PRF_HMAC_SHA2_256/CURVE_25519/ECP_256/MODP_3072"
    );
    assert_eq!(
        rfc(Protocol::ESP),
        "ESP:AES_CBC_128/AES_CBC_192/AES_CBC_256/HMAC_SHA2_256_128/HMAC_SHA2_384_192/HMAC_SHA2_512_256\
         /HMAC_SHA1_96/AES_XCBC_96/CURVE_25519/ECP_256/MODP_3072/MODP_NONE/NO_EXT_SEQ, \
         ESP:AES_GCM_16_128/AES_GCM_16_192/AES_GCM_16_256/CURVE_25519/ECP_256/MODP_3072/MODP_NONE/NO_EXT_SEQ"
    );
    for proposal in Proposal::defaults(Protocol::IKE, &registry, DefaultStyle::Rfc) {
        assert!(
            proposal
                .transforms
                .iter()
                .all(|it| registry.implements(Protocol::IKE, *it))
        );
    }
    assert_eq!(
        Proposal::defaults(Protocol::IKE, &Registry::new(), DefaultStyle::Rfc),
        []
    );
}

#[test]
fn the_defaults_of_the_draft_style_do_not_depend_on_plugins() {
    let empty = Registry::new();
    for protocol in [Protocol::IKE, Protocol::ESP, Protocol::AH] {
        assert_eq!(
            Proposal::defaults(protocol, &empty, DefaultStyle::Draft),
            Proposal::defaults(protocol, &registry(), DefaultStyle::Draft)
        );
    }
    let ike = Proposal::defaults(Protocol::IKE, &empty, DefaultStyle::Draft);
    assert!(ike[0].offers(TransformType::KE, KeyExchangeMethod::NTRU_192.0));
    assert_eq!(
        list(
            &Proposal::defaults(Protocol::AH, &empty, DefaultStyle::Draft),
            &empty
        ),
        "AH:HMAC_SHA2_256_128/HMAC_SHA2_384_192/HMAC_SHA2_512_256/HMAC_SHA1_96/AES_XCBC_96/NO_EXT_SEQ"
    );
}

/// Weak groups, those nobody vouches for, and KEMs, which belong behind a group: who wants them writes so.
#[test]
fn what_must_be_asked_for_is_in_no_default_proposal() {
    use KeyExchangeMethod as Ke;
    let unasked = [
        Ke::MODP_768,
        Ke::MODP_1024,
        Ke::MODP_1536,
        Ke::MODP_1024_160,
        Ke::MODP_2048_224,
        Ke::MODP_2048_256,
        Ke::ML_KEM_512,
        Ke::ML_KEM_768,
        Ke::ML_KEM_1024,
        Ke::ECP_192,
    ];
    let mut registry = registry();
    for method in unasked.into_iter().chain([Ke::MODP_8192, Ke::CURVE_448]) {
        let exchange = NullKeyExchange::new(1, 32, 32);
        let feature = Feature::key_exchange(method.0, &method.to_string(), "", exchange);
        registry.add("all", feature.name, &feature.implementation);
    }
    for protocol in [Protocol::IKE, Protocol::ESP, Protocol::AH] {
        for style in [DefaultStyle::Draft, DefaultStyle::Rfc] {
            for proposal in Proposal::defaults(protocol, &registry, style) {
                assert!(!proposal.has_additional());
                assert!(unasked.iter().all(|it| !proposal.offers(TransformType::KE, it.0)));
            }
        }
    }
    let rfc = Proposal::defaults(Protocol::IKE, &registry, DefaultStyle::Rfc);
    let strong = [Ke::MODP_8192, Ke::CURVE_448];
    assert!(strong.iter().all(|it| rfc[0].offers(TransformType::KE, it.0)));
}
