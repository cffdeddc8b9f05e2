//! Messages in a line, as the log has them: `IKE_SA_INIT request 0 [ SA KE No N(NATD_S_IP) V ]`.

use std::fmt::{self, Write};

use iana::ExchangeType;

use crate::payload::{Cp, Eap, Payload};

/// Payloads and attributes that are listed at most; a message may have more, a log line should not.
const MAX_LISTED: usize = 60;

/// A message and its payloads.
pub fn summary(exchange: ExchangeType, response: bool, message_id: u32, payloads: &[Payload]) -> String {
    let mut line = start(exchange, response, message_id);
    let mut room = MAX_LISTED;
    for payload in payloads {
        if room == 0 {
            line.push_str(" ...");
            break;
        }
        room -= 1;
        line.push(' ');
        // Writing to a String cannot fail.
        let _ = push(&mut line, payload, &mut room);
    }
    line.push_str(" ]");
    line
}

/// A fragment of a message.
pub fn fragment_summary(
    exchange: ExchangeType,
    response: bool,
    message_id: u32,
    number: u16,
    total: u16,
) -> String {
    format!("{} EF({number}/{total}) ]", start(exchange, response, message_id))
}

fn start(exchange: ExchangeType, response: bool, message_id: u32) -> String {
    let direction = if response { "response" } else { "request" };
    format!("{exchange} {direction} {message_id} [")
}

fn push(line: &mut String, payload: &Payload, room: &mut usize) -> fmt::Result {
    match payload {
        Payload::Notify(notify) => match notify.kind.short_name() {
            Some(name) => write!(line, "N({name})"),
            None => write!(line, "N({})", notify.kind.0),
        },
        Payload::Cp(cp) => push_cp(line, cp, room),
        Payload::Eap(eap) => push_eap(line, eap),
        other => write!(line, "{}", other.kind()),
    }
}

fn push_cp(line: &mut String, cp: &Cp, room: &mut usize) -> fmt::Result {
    write!(line, "{}(", cp.kind)?;
    for (index, (attribute, _)) in cp.attributes.iter().enumerate() {
        let blank = if index == 0 { "" } else { " " };
        if *room == 0 {
            write!(line, "{blank}...")?;
            break;
        }
        *room -= 1;
        write!(line, "{blank}{attribute}")?;
    }
    line.write_char(')')
}

fn push_eap(line: &mut String, eap: &Eap) -> fmt::Result {
    match eap.code {
        Eap::REQUEST => line.write_str("EAP/REQ")?,
        Eap::RESPONSE => line.write_str("EAP/RES")?,
        Eap::SUCCESS => return line.write_str("EAP/SUCC"),
        Eap::FAILURE => return line.write_str("EAP/FAIL"),
        code => return write!(line, "EAP/({code})"),
    }
    match (eap.type_name(), eap.data.first()) {
        (Some(name), _) => write!(line, "/{name}"),
        (None, Some(number)) => write!(line, "/({number})"),
        (None, None) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Delete, Notify};
    use iana::attribute::{ConfigurationAttribute, ConfigurationType};
    use iana::{NotifyType, PayloadType, Protocol};

    fn notify(kind: u16) -> Payload {
        Payload::Notify(Notify::status(NotifyType(kind), Vec::new()))
    }

    fn list(payloads: &[Payload]) -> String {
        summary(ExchangeType::INFORMATIONAL, true, 3, payloads)
    }

    #[test]
    fn messages_print_as_in_the_log() {
        assert_eq!(list(&[]), "INFORMATIONAL response 3 [ ]");
        let delete = Payload::Delete(Delete {
            protocol: Protocol::IKE,
            spis: Vec::new(),
        });
        let unknown = Payload::Unknown {
            kind: PayloadType(200),
            critical: false,
            data: Vec::new(),
        };
        assert_eq!(
            list(&[notify(43), notify(50205), notify(54321), delete, unknown]),
            "INFORMATIONAL response 3 [ N(TEMP_FAIL) N(ADD_KE) N(54321) D (200) ]"
        );
        assert_eq!(
            fragment_summary(ExchangeType::IKE_INTERMEDIATE, false, 1, 1, 12),
            "IKE_INTERMEDIATE request 1 [ EF(1/12) ]"
        );
    }

    #[test]
    fn configuration_payloads_list_their_attributes() {
        let attributes = [
            ConfigurationAttribute::INTERNAL_IP4_ADDRESS,
            ConfigurationAttribute::INTERNAL_IP4_DNS,
        ];
        let cp = |kind, attributes: &[ConfigurationAttribute]| {
            let attributes = attributes
                .iter()
                .map(|attribute| (*attribute, Vec::new()))
                .collect();
            list(&[Payload::Cp(Cp { kind, attributes })])
        };
        let line = cp(ConfigurationType::REQUEST, &attributes);
        assert_eq!(line, "INFORMATIONAL response 3 [ CPRQ(ADDR DNS) ]");
        assert_eq!(
            cp(ConfigurationType::ACK, &[]),
            "INFORMATIONAL response 3 [ CPA() ]"
        );
    }

    #[test]
    fn eap_payloads_name_code_and_method() {
        let eap = |code, data: &[u8]| {
            Payload::Eap(Eap {
                code,
                identifier: 9,
                data: data.to_vec(),
            })
        };
        let payloads = [
            eap(1, &[1]),
            eap(2, &[26, 0]),
            eap(1, &[99]),
            eap(2, &[]),
            eap(3, &[]),
            eap(4, &[]),
            eap(7, &[]),
        ];
        assert_eq!(
            list(&payloads),
            "INFORMATIONAL response 3 \
             [ EAP/REQ/ID EAP/RES/MSCHAPV2 EAP/REQ/(99) EAP/RES EAP/SUCC EAP/FAIL EAP/(7) ]"
        );
    }

    #[test]
    fn a_line_has_an_end_whatever_the_message() {
        let line = list(&vec![notify(54321); 100]);
        assert_eq!(line.matches("N(54321)").count(), MAX_LISTED);
        assert!(line.ends_with("N(54321) ... ]"), "{line}");
        let attributes = vec![(ConfigurationAttribute(30000), Vec::new()); 10_000];
        let cp = Payload::Cp(Cp {
            kind: ConfigurationType::SET,
            attributes,
        });
        let line = list(&vec![cp; 100]);
        assert!(line.len() < 1000, "{line}");
        assert!(line.ends_with("(30000) ...) ... ]"), "{line}");
    }
}
