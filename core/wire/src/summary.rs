//! Messages in a line, as the log has them: `IKE_SA_INIT request 0 [ SA KE No N(NATD_S_IP) V ]`.

use std::fmt::Write;

use iana::ExchangeType;

use crate::payload::Payload;

/// Payloads that are listed at most; a message may have more, a log line should not.
const MAX_LISTED: usize = 60;

/// A message and its payloads.
pub fn summary(exchange: ExchangeType, response: bool, message_id: u32, payloads: &[Payload]) -> String {
    let mut line = start(exchange, response, message_id);
    for payload in payloads.iter().take(MAX_LISTED) {
        line.push(' ');
        push(&mut line, payload);
    }
    if payloads.len() > MAX_LISTED {
        line.push_str(" ...");
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

fn push(line: &mut String, payload: &Payload) {
    // Writing to a String cannot fail.
    let _ = match payload {
        Payload::Notify(notify) => match notify.kind.short_name() {
            Some(name) => write!(line, "N({name})"),
            None => write!(line, "N({})", notify.kind.0),
        },
        Payload::Cp(cp) => {
            let names: Vec<_> = cp
                .attributes
                .iter()
                .take(MAX_LISTED)
                .map(|(attribute, _)| attribute.to_string())
                .collect();
            write!(line, "{}({})", cp.kind, names.join(" "))
        }
        Payload::Eap(eap) => match (eap.code, eap.data.first()) {
            (1, kind) => write!(line, "EAP/REQ/{}", kind.copied().unwrap_or(0)),
            (2, kind) => write!(line, "EAP/RES/{}", kind.copied().unwrap_or(0)),
            (3, _) => write!(line, "EAP/SUCC"),
            _ => write!(line, "EAP/FAIL"),
        },
        other => write!(line, "{}", other.kind()),
    };
}
