//! Which payloads a message may and must have, by exchange and direction (RFC 7296, 1.2 to 1.5).

use iana::attribute::ConfigurationAttribute;
use iana::{ExchangeType, NotifyType, PayloadType};

use crate::error::Error;
use crate::payload::Payload;

/// How often a payload may occur, and whether it must.
struct Rule {
    payload: PayloadType,
    min: usize,
    max: usize,
    /// Its presence makes up for missing mandatory ones: an error instead of an answer, EAP instead of AUTH.
    sufficient: bool,
}

const fn rule(payload: PayloadType, min: usize, max: usize) -> Rule {
    Rule {
        payload,
        min,
        max,
        sufficient: false,
    }
}

const fn sufficient(payload: PayloadType, max: usize) -> Rule {
    Rule {
        payload,
        min: 0,
        max,
        sufficient: true,
    }
}

use PayloadType as P;

/// Notifies and vendor IDs of one message.
const MANY: usize = 20;

const INIT_REQUEST: &[Rule] = &[
    rule(P::SA, 1, 1),
    rule(P::KE, 1, 1),
    rule(P::NONCE, 1, 1),
    rule(P::NOTIFY, 0, MANY),
    rule(P::VENDOR_ID, 0, MANY),
];
const INIT_RESPONSE: &[Rule] = &[
    rule(P::SA, 1, 1),
    rule(P::KE, 1, 1),
    rule(P::NONCE, 1, 1),
    sufficient(P::NOTIFY, MANY),
    rule(P::CERTREQ, 0, MANY),
    rule(P::VENDOR_ID, 0, MANY),
];
const AUTH_REQUEST: &[Rule] = &[
    sufficient(P::EAP, 1),
    sufficient(P::AUTH, 1),
    rule(P::NOTIFY, 0, MANY),
    rule(P::ID_I, 0, 1),
    rule(P::CERT, 0, 8),
    rule(P::CERTREQ, 0, MANY),
    rule(P::ID_R, 0, 1),
    rule(P::SA, 0, 1),
    rule(P::TS_I, 0, 1),
    rule(P::TS_R, 0, 1),
    rule(P::CP, 0, 1),
    rule(P::VENDOR_ID, 0, MANY),
];
const AUTH_RESPONSE: &[Rule] = &[
    sufficient(P::NOTIFY, MANY),
    sufficient(P::EAP, 1),
    sufficient(P::AUTH, 1),
    rule(P::CERT, 0, 8),
    rule(P::ID_R, 0, 1),
    rule(P::SA, 0, 1),
    rule(P::TS_I, 0, 1),
    rule(P::TS_R, 0, 1),
    rule(P::CP, 0, 1),
    rule(P::VENDOR_ID, 0, MANY),
];
const INTERMEDIATE_REQUEST: &[Rule] = &[rule(P::KE, 0, 1), rule(P::NOTIFY, 0, MANY)];
const INTERMEDIATE_RESPONSE: &[Rule] = &[rule(P::KE, 0, 1), sufficient(P::NOTIFY, MANY)];
const FOLLOWUP_REQUEST: &[Rule] = &[rule(P::KE, 1, 1), rule(P::NOTIFY, 0, MANY)];
const FOLLOWUP_RESPONSE: &[Rule] = &[rule(P::KE, 1, 1), sufficient(P::NOTIFY, MANY)];
const CREATE_CHILD_REQUEST: &[Rule] = &[
    rule(P::SA, 1, 1),
    rule(P::NONCE, 1, 1),
    rule(P::KE, 0, 1),
    rule(P::TS_I, 0, 1),
    rule(P::TS_R, 0, 1),
    rule(P::NOTIFY, 0, MANY),
    rule(P::CP, 0, 1),
    rule(P::VENDOR_ID, 0, MANY),
];
const CREATE_CHILD_RESPONSE: &[Rule] = &[
    rule(P::SA, 1, 1),
    rule(P::NONCE, 1, 1),
    sufficient(P::NOTIFY, MANY),
    rule(P::KE, 0, 1),
    rule(P::TS_I, 0, 1),
    rule(P::TS_R, 0, 1),
    rule(P::CP, 0, 1),
    rule(P::VENDOR_ID, 0, MANY),
];
const INFORMATIONAL: &[Rule] = &[
    rule(P::NOTIFY, 0, MANY),
    rule(P::DELETE, 0, MANY),
    rule(P::CP, 0, 1),
    rule(P::VENDOR_ID, 0, MANY),
];

fn rules(exchange: ExchangeType, response: bool) -> Option<&'static [Rule]> {
    Some(match (exchange, response) {
        (ExchangeType::IKE_SA_INIT, false) => INIT_REQUEST,
        (ExchangeType::IKE_SA_INIT, true) => INIT_RESPONSE,
        (ExchangeType::IKE_AUTH, false) => AUTH_REQUEST,
        (ExchangeType::IKE_AUTH, true) => AUTH_RESPONSE,
        (ExchangeType::IKE_INTERMEDIATE, false) => INTERMEDIATE_REQUEST,
        (ExchangeType::IKE_INTERMEDIATE, true) => INTERMEDIATE_RESPONSE,
        (ExchangeType::IKE_FOLLOWUP_KE | ExchangeType::IKE_FOLLOWUP_KE_DRAFT, false) => FOLLOWUP_REQUEST,
        (ExchangeType::IKE_FOLLOWUP_KE | ExchangeType::IKE_FOLLOWUP_KE_DRAFT, true) => FOLLOWUP_RESPONSE,
        (ExchangeType::CREATE_CHILD_SA, false) => CREATE_CHILD_REQUEST,
        (ExchangeType::CREATE_CHILD_SA, true) => CREATE_CHILD_RESPONSE,
        (ExchangeType::INFORMATIONAL, _) => INFORMATIONAL,
        _ => return None,
    })
}

/// Checks a message against the rules of its exchange.
///
/// # Errors
///
/// For payloads unknown but critical, unexpected, surplus or missing, for notify data and configuration attributes of a
/// wrong length, and for an exchange without rules.
pub fn verify(exchange: ExchangeType, response: bool, payloads: &[Payload]) -> Result<(), Error> {
    let rules = rules(exchange, response).ok_or(Error::UnknownExchange(exchange))?;
    // First, because whatever else is wrong may be due to what is not understood.
    for payload in payloads {
        if let Payload::Unknown {
            kind, critical: true, ..
        } = payload
        {
            return Err(Error::UnknownCritical(*kind));
        }
    }
    for payload in payloads {
        let kind = payload.kind();
        let is_known = !matches!(payload, Payload::Unknown { .. });
        if is_known && !rules.iter().any(|rule| rule.payload == kind) {
            return Err(Error::Unexpected {
                payload: kind,
                exchange,
            });
        }
        if let Payload::Notify(notify) = payload {
            verify_notify(notify.kind, notify.data.len())?;
        }
        if let Payload::Cp(cp) = payload {
            for (kind, value) in &cp.attributes {
                verify_attribute(*kind, value.len())?;
            }
        }
    }
    let mut missing = None;
    let mut is_sufficient = false;
    for rule in rules {
        let count = payloads
            .iter()
            .filter(|payload| payload.kind() == rule.payload)
            .count();
        if count > rule.max {
            return Err(Error::Unexpected {
                payload: rule.payload,
                exchange,
            });
        }
        if count < rule.min {
            missing = missing.or(Some(rule.payload));
        }
        is_sufficient |= rule.sufficient && count > 0;
    }
    match missing {
        Some(payload) if !is_sufficient => Err(Error::Missing { payload, exchange }),
        _ => Ok(()),
    }
}

fn verify_notify(kind: NotifyType, len: usize) -> Result<(), Error> {
    let fits = match kind {
        NotifyType::INVALID_KE_PAYLOAD => len == 2,
        NotifyType::NAT_DETECTION_SOURCE_IP | NotifyType::NAT_DETECTION_DESTINATION_IP => len == 20,
        NotifyType::INVALID_SYNTAX | NotifyType::INVALID_MAJOR_VERSION | NotifyType::NO_PROPOSAL_CHOSEN => {
            len == 0
        }
        NotifyType::COOKIE => (1..=64).contains(&len),
        NotifyType::ADDITIONAL_IP4_ADDRESS | NotifyType::AUTH_LIFETIME => len == 4,
        NotifyType::ADDITIONAL_IP6_ADDRESS => len == 16,
        NotifyType::IPCOMP_SUPPORTED => len == 3,
        NotifyType::SIGNATURE_HASH_ALGORITHMS => len.is_multiple_of(2),
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Error::NotifyData { kind, len })
    }
}

/// Without a value an attribute asks (RFC 7296, 3.15.1). An IPv6 address comes with the length of its prefix; some peers
/// leave that out.
fn verify_attribute(kind: ConfigurationAttribute, len: usize) -> Result<(), Error> {
    use ConfigurationAttribute as A;
    let fits = match kind {
        A::INTERNAL_IP4_ADDRESS
        | A::INTERNAL_IP4_NETMASK
        | A::INTERNAL_IP4_DNS
        | A::INTERNAL_IP4_NBNS
        | A::INTERNAL_IP4_DHCP
        | A::P_CSCF_IP4 => matches!(len, 0 | 4),
        A::INTERNAL_IP6_ADDRESS => matches!(len, 0 | 16 | 17),
        A::INTERNAL_IP6_DNS | A::INTERNAL_IP6_DHCP | A::P_CSCF_IP6 => matches!(len, 0 | 16),
        A::INTERNAL_IP4_SUBNET => matches!(len, 0 | 8),
        A::INTERNAL_IP6_SUBNET => matches!(len, 0 | 17),
        A::SUPPORTED_ATTRIBUTES => len.is_multiple_of(2),
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Error::AttributeValue { kind, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Cp, Ke, Nonce, Notify, Sa};
    use iana::KeyExchangeMethod;
    use iana::attribute::ConfigurationType;

    fn init() -> Vec<Payload> {
        vec![
            Payload::Sa(Sa {
                proposals: Vec::new(),
            }),
            Payload::Ke(Ke {
                method: KeyExchangeMethod::CURVE_25519,
                data: vec![0; 32],
            }),
            Payload::Nonce(Nonce { data: vec![0; 32] }),
        ]
    }

    #[test]
    fn a_missing_payload_is_an_error_unless_a_notify_makes_up_for_it() {
        let exchange = ExchangeType::IKE_SA_INIT;
        assert_eq!(verify(exchange, false, &init()), Ok(()));
        assert_eq!(
            verify(exchange, false, &init()[..2]),
            Err(Error::Missing {
                payload: PayloadType::NONCE,
                exchange
            })
        );
        let error = [Payload::Notify(Notify::status(
            NotifyType::NO_PROPOSAL_CHOSEN,
            Vec::new(),
        ))];
        assert_eq!(verify(exchange, true, &error), Ok(()));
        assert!(verify(exchange, false, &error).is_err());
    }

    #[test]
    fn surplus_and_unexpected_payloads_are_errors() {
        let exchange = ExchangeType::IKE_SA_INIT;
        let mut twice = init();
        twice.extend(init());
        assert_eq!(
            verify(exchange, false, &twice),
            Err(Error::Unexpected {
                payload: PayloadType::SA,
                exchange
            })
        );
        assert!(verify(ExchangeType::IKE_INTERMEDIATE, false, &init()).is_err());
    }

    #[test]
    fn only_critical_unknown_payloads_are_errors() {
        let unknown = |critical| {
            let kind = PayloadType(200);
            let mut payloads = init();
            payloads.push(Payload::Unknown {
                kind,
                critical,
                data: Vec::new(),
            });
            verify(ExchangeType::IKE_SA_INIT, false, &payloads)
        };
        assert_eq!(unknown(false), Ok(()));
        assert_eq!(unknown(true), Err(Error::UnknownCritical(PayloadType(200))));
    }

    #[test]
    fn notify_data_of_a_wrong_length_is_an_error() {
        let notify = |kind, len| {
            let mut payloads = init();
            payloads.push(Payload::Notify(Notify::status(kind, vec![0; len])));
            verify(ExchangeType::IKE_SA_INIT, false, &payloads)
        };
        assert_eq!(notify(NotifyType::COOKIE, 64), Ok(()));
        assert!(notify(NotifyType::COOKIE, 65).is_err());
        assert!(notify(NotifyType::COOKIE, 0).is_err());
        assert!(notify(NotifyType::NAT_DETECTION_SOURCE_IP, 16).is_err());
        assert!(notify(NotifyType::INVALID_KE_PAYLOAD, 4).is_err());
    }

    #[test]
    fn a_configuration_attribute_of_a_wrong_length_is_an_error() {
        let configuration = |kind, len| {
            let cp = Payload::Cp(Cp {
                kind: ConfigurationType::REQUEST,
                attributes: vec![(kind, vec![0; len])],
            });
            verify(ExchangeType::INFORMATIONAL, false, &[cp])
        };
        for len in 0..20 {
            let address = configuration(ConfigurationAttribute::INTERNAL_IP4_ADDRESS, len);
            assert_eq!(address.is_ok(), [0, 4].contains(&len), "{len} octets");
            let address = configuration(ConfigurationAttribute::INTERNAL_IP6_ADDRESS, len);
            assert_eq!(address.is_ok(), [0, 16, 17].contains(&len), "{len} octets");
            assert_eq!(configuration(ConfigurationAttribute(999), len), Ok(()));
        }
        let error = configuration(ConfigurationAttribute::INTERNAL_IP4_DNS, 5).expect_err("five octets");
        assert_eq!(error.notify(), Some(NotifyType::INVALID_SYNTAX));
    }

    #[test]
    fn an_unknown_critical_payload_is_told_before_anything_else() {
        let mut payloads = init();
        payloads.extend(init());
        payloads.push(Payload::Unknown {
            kind: PayloadType(200),
            critical: true,
            data: Vec::new(),
        });
        let error = verify(ExchangeType::IKE_INTERMEDIATE, false, &payloads).expect_err("critical");
        assert_eq!(error, Error::UnknownCritical(PayloadType(200)));
        assert_eq!(error.notify(), Some(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD));
        assert_eq!(error.critical_type(), Some(PayloadType(200)));
    }

    #[test]
    fn an_unknown_exchange_is_met_with_silence() {
        let error = verify(ExchangeType(240), false, &init()).expect_err("unknown");
        assert_eq!(error, Error::UnknownExchange(ExchangeType(240)));
        assert_eq!(error.notify(), None);
    }

    #[test]
    fn twenty_notifies_are_enough() {
        let notifies = |count| vec![Payload::Notify(Notify::status(NotifyType(50000), Vec::new())); count];
        let exchange = ExchangeType::INFORMATIONAL;
        assert_eq!(verify(exchange, false, &notifies(20)), Ok(()));
        assert_eq!(
            verify(exchange, false, &notifies(21)),
            Err(Error::Unexpected {
                payload: PayloadType::NOTIFY,
                exchange
            })
        );
    }

    #[test]
    fn both_numbers_of_ike_followup_ke_need_a_key_exchange_or_a_notify_in_its_place() {
        for exchange in [ExchangeType::IKE_FOLLOWUP_KE, ExchangeType::IKE_FOLLOWUP_KE_DRAFT] {
            let refusal = [Payload::Notify(Notify::status(
                NotifyType::STATE_NOT_FOUND,
                Vec::new(),
            ))];
            let missing = Err(Error::Missing {
                payload: PayloadType::KE,
                exchange,
            });
            assert_eq!(verify(exchange, false, &refusal), missing);
            assert_eq!(verify(exchange, true, &[]), missing);
            assert_eq!(verify(exchange, true, &refusal), Ok(()));
        }
    }
}
