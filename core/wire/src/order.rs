//! The order in which payloads are sent, by exchange and direction.
//!
//! RFC 7296 leaves the order free (section 2.5 asks only that any be accepted); this one is charon's, so that messages
//! and log lines look alike.

use iana::{ExchangeType, NotifyType, PayloadType};

use crate::payload::Payload;

/// What stands at one place of the order.
enum Place {
    /// Payloads of a type; of notifies those without a place of their own.
    Kind(PayloadType),
    /// Notifies of a type.
    Notify(NotifyType),
}

use NotifyType as N;
use PayloadType as P;
use Place::{Kind, Notify};

const INIT_REQUEST: &[Place] = &[
    Notify(N::COOKIE),
    Kind(P::SA),
    Kind(P::KE),
    Kind(P::NONCE),
    Notify(N::NAT_DETECTION_SOURCE_IP),
    Notify(N::NAT_DETECTION_DESTINATION_IP),
    Kind(P::NOTIFY),
    Kind(P::VENDOR_ID),
];
const INIT_RESPONSE: &[Place] = &[
    Kind(P::SA),
    Kind(P::KE),
    Kind(P::NONCE),
    Notify(N::NAT_DETECTION_SOURCE_IP),
    Notify(N::NAT_DETECTION_DESTINATION_IP),
    Notify(N::HTTP_CERT_LOOKUP_SUPPORTED),
    Kind(P::CERTREQ),
    Kind(P::NOTIFY),
    Kind(P::VENDOR_ID),
];
const AUTH_REQUEST: &[Place] = &[
    Kind(P::ID_I),
    Kind(P::CERT),
    Notify(N::INITIAL_CONTACT),
    Notify(N::HTTP_CERT_LOOKUP_SUPPORTED),
    Kind(P::CERTREQ),
    Kind(P::ID_R),
    Kind(P::AUTH),
    Kind(P::EAP),
    Kind(P::CP),
    Notify(N::IPCOMP_SUPPORTED),
    Notify(N::USE_TRANSPORT_MODE),
    Notify(N::ESP_TFC_PADDING_NOT_SUPPORTED),
    Notify(N::NON_FIRST_FRAGMENTS_ALSO),
    Kind(P::SA),
    Kind(P::TS_I),
    Kind(P::TS_R),
    Notify(N::MOBIKE_SUPPORTED),
    Notify(N::ADDITIONAL_IP4_ADDRESS),
    Notify(N::ADDITIONAL_IP6_ADDRESS),
    Notify(N::NO_ADDITIONAL_ADDRESSES),
    Kind(P::NOTIFY),
    Kind(P::VENDOR_ID),
];
const AUTH_RESPONSE: &[Place] = &[
    Kind(P::ID_R),
    Kind(P::CERT),
    Kind(P::AUTH),
    Kind(P::EAP),
    Kind(P::CP),
    Notify(N::IPCOMP_SUPPORTED),
    Notify(N::USE_TRANSPORT_MODE),
    Notify(N::ESP_TFC_PADDING_NOT_SUPPORTED),
    Notify(N::NON_FIRST_FRAGMENTS_ALSO),
    Kind(P::SA),
    Kind(P::TS_I),
    Kind(P::TS_R),
    Notify(N::AUTH_LIFETIME),
    Notify(N::MOBIKE_SUPPORTED),
    Notify(N::ADDITIONAL_IP4_ADDRESS),
    Notify(N::ADDITIONAL_IP6_ADDRESS),
    Notify(N::NO_ADDITIONAL_ADDRESSES),
    Kind(P::NOTIFY),
    Kind(P::VENDOR_ID),
];
const CREATE_CHILD_REQUEST: &[Place] = &[
    Notify(N::REKEY_SA),
    Notify(N::IPCOMP_SUPPORTED),
    Notify(N::USE_TRANSPORT_MODE),
    Notify(N::ESP_TFC_PADDING_NOT_SUPPORTED),
    Notify(N::NON_FIRST_FRAGMENTS_ALSO),
    Kind(P::SA),
    Kind(P::NONCE),
    Kind(P::KE),
    Kind(P::TS_I),
    Kind(P::TS_R),
    Kind(P::NOTIFY),
];
const CREATE_CHILD_RESPONSE: &[Place] = &[
    Notify(N::IPCOMP_SUPPORTED),
    Notify(N::USE_TRANSPORT_MODE),
    Notify(N::ESP_TFC_PADDING_NOT_SUPPORTED),
    Notify(N::NON_FIRST_FRAGMENTS_ALSO),
    Kind(P::SA),
    Kind(P::NONCE),
    Kind(P::KE),
    Kind(P::TS_I),
    Kind(P::TS_R),
    Notify(N::ADDITIONAL_TS_POSSIBLE),
    Kind(P::NOTIFY),
    Notify(N::ADDITIONAL_KEY_EXCHANGE),
    Notify(N::ADDITIONAL_KEY_EXCHANGE_DRAFT),
];
const ADDITIONAL_KE: &[Place] = &[Kind(P::KE), Kind(P::NOTIFY)];
const INFORMATIONAL: &[Place] = &[
    Notify(N::UPDATE_SA_ADDRESSES),
    Notify(N::NAT_DETECTION_SOURCE_IP),
    Notify(N::NAT_DETECTION_DESTINATION_IP),
    Notify(N::COOKIE2),
    Kind(P::NOTIFY),
    Kind(P::DELETE),
    Kind(P::CP),
];

fn places(exchange: ExchangeType, response: bool) -> &'static [Place] {
    match (exchange, response) {
        (ExchangeType::IKE_SA_INIT, false) => INIT_REQUEST,
        (ExchangeType::IKE_SA_INIT, true) => INIT_RESPONSE,
        (ExchangeType::IKE_AUTH, false) => AUTH_REQUEST,
        (ExchangeType::IKE_AUTH, true) => AUTH_RESPONSE,
        (ExchangeType::CREATE_CHILD_SA, false) => CREATE_CHILD_REQUEST,
        (ExchangeType::CREATE_CHILD_SA, true) => CREATE_CHILD_RESPONSE,
        (
            ExchangeType::IKE_INTERMEDIATE
            | ExchangeType::IKE_FOLLOWUP_KE
            | ExchangeType::IKE_FOLLOWUP_KE_DRAFT,
            _,
        ) => ADDITIONAL_KE,
        _ => INFORMATIONAL,
    }
}

/// Brings the payloads of a message into the order of sending.
///
/// Those that share a place keep the order they have; those without a place come last.
pub fn sort(exchange: ExchangeType, response: bool, payloads: &mut [Payload]) {
    let places = places(exchange, response);
    payloads.sort_by_cached_key(|payload| place_of(places, payload));
}

fn place_of(places: &[Place], payload: &Payload) -> usize {
    let own = match payload {
        Payload::Notify(notify) => places
            .iter()
            .position(|place| matches!(place, Notify(kind) if *kind == notify.kind)),
        _ => None,
    };
    own.or_else(|| {
        places
            .iter()
            .position(|place| matches!(place, Kind(kind) if *kind == payload.kind()))
    })
    .unwrap_or(places.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Auth, Cp, Delete, Id, IdKind, Ke, Nonce, Sa, Ts, TsKind, VendorId};
    use crate::summary;
    use iana::attribute::ConfigurationType;
    use iana::{AuthMethod, IdType, KeyExchangeMethod, Protocol};

    fn payload(name: &str) -> Payload {
        let data = Vec::new();
        match name {
            "SA" => Payload::Sa(Sa {
                proposals: Vec::new(),
            }),
            "KE" => Payload::Ke(Ke {
                method: KeyExchangeMethod::CURVE_25519,
                data,
            }),
            "No" => Payload::Nonce(Nonce { data }),
            "AUTH" => Payload::Auth(Auth {
                method: AuthMethod::SHARED_KEY,
                data,
            }),
            "D" => Payload::Delete(Delete {
                protocol: Protocol::IKE,
                spis: Vec::new(),
            }),
            "V" => Payload::VendorId(VendorId { data }),
            "CPRQ()" => Payload::Cp(Cp {
                kind: ConfigurationType::REQUEST,
                attributes: Vec::new(),
            }),
            "IDi" | "IDr" => {
                let whose = if name == "IDi" {
                    IdKind::Initiator
                } else {
                    IdKind::Responder
                };
                Payload::Id(
                    whose,
                    Id {
                        kind: IdType::FQDN,
                        reserved: [0; 3],
                        data,
                    },
                )
            }
            "TSi" => Payload::Ts(
                TsKind::Initiator,
                Ts {
                    selectors: Vec::new(),
                },
            ),
            "TSr" => Payload::Ts(
                TsKind::Responder,
                Ts {
                    selectors: Vec::new(),
                },
            ),
            notify => {
                let short = notify.strip_prefix("N(").and_then(|name| name.strip_suffix(')'));
                let kind = *NotifyType::ALL
                    .iter()
                    .find(|kind| kind.short_name() == short)
                    .expect("a notify");
                Payload::Notify(crate::payload::Notify::status(kind, data))
            }
        }
    }

    /// The payloads start turned round.
    #[test]
    fn messages_get_the_order_of_charons_log() {
        use ExchangeType as E;
        let natd = "SA KE No N(NATD_S_IP) N(NATD_D_IP)";
        let lines = [
            (E::IKE_SA_INIT, false, format!("N(COOKIE) {natd} N(REDIR_SUP) V")),
            (
                E::IKE_SA_INIT,
                true,
                format!("{natd} N(HTTP_CERT_LOOK) N(MULT_AUTH) V"),
            ),
            (
                E::IKE_AUTH,
                false,
                "IDi N(INIT_CONTACT) IDr AUTH CPRQ() N(USE_TRANSP) SA TSi TSr \
                 N(MOBIKE_SUP) N(ADD_4_ADDR) N(ADD_6_ADDR) N(EAP_ONLY)"
                    .into(),
            ),
            (
                E::IKE_AUTH,
                true,
                "IDr AUTH SA TSi TSr N(AUTH_LFT) N(MOBIKE_SUP) N(ADD_4_ADDR)".into(),
            ),
            (
                E::CREATE_CHILD_SA,
                false,
                "N(REKEY_SA) SA No KE TSi TSr N(MULT_AUTH) V".into(),
            ),
            (
                E::CREATE_CHILD_SA,
                true,
                "SA No KE TSi TSr N(ADD_TS_POSS) N(MULT_AUTH) N(ADD_KE)".into(),
            ),
            (E::IKE_INTERMEDIATE, false, "KE N(MULT_AUTH)".into()),
            (E::IKE_FOLLOWUP_KE, false, "KE N(ADD_KE)".into()),
            (E::IKE_FOLLOWUP_KE_DRAFT, true, "KE N(ADD_KE)".into()),
            (
                E::INFORMATIONAL,
                false,
                "N(UPD_SA_ADDR) N(NATD_S_IP) N(NATD_D_IP) N(COOKIE2) N(AUTH_LFT) D CPRQ() V".into(),
            ),
        ];
        for (exchange, response, line) in lines {
            let mut payloads: Vec<_> = line.split(' ').rev().map(payload).collect();
            sort(exchange, response, &mut payloads);
            let sorted = summary(exchange, response, 0, &payloads);
            assert!(sorted.ends_with(&format!("[ {line} ]")), "{sorted}");
        }
    }

    #[test]
    fn payloads_of_one_place_keep_their_order() {
        let line = "SA KE No N(NATD_S_IP) N(NATD_D_IP) N(FRAG_SUP) N(HASH_ALG) N(REDIR_SUP) N(IKE_INT_SUP) V";
        let mut payloads: Vec<_> = line.split(' ').map(payload).collect();
        payloads.rotate_left(5);
        sort(ExchangeType::IKE_SA_INIT, false, &mut payloads);
        let sorted = summary(ExchangeType::IKE_SA_INIT, false, 0, &payloads);
        assert_eq!(sorted, format!("IKE_SA_INIT request 0 [ {line} ]"));
    }

    #[test]
    fn both_generations_of_the_link_come_last() {
        for kind in [
            NotifyType::ADDITIONAL_KEY_EXCHANGE,
            NotifyType::ADDITIONAL_KEY_EXCHANGE_DRAFT,
        ] {
            let link = Payload::Notify(crate::payload::Notify::status(kind, vec![0x42]));
            let mut payloads = vec![link.clone(), payload("N(MULT_AUTH)"), payload("SA")];
            sort(ExchangeType::CREATE_CHILD_SA, true, &mut payloads);
            assert_eq!(payloads.last(), Some(&link));
        }
    }
}
