//! Messages by exchange, the direction they go, and whether they ask or answer.

use iana::ExchangeType;

use super::Direction;

/// The exchanges there are. That of IKE_FOLLOWUP_KE has another number in the draft, and is the same.
const EXCHANGES: [(ExchangeType, &str); 6] = [
    (ExchangeType::IKE_SA_INIT, "IKE_SA_INIT"),
    (ExchangeType::IKE_INTERMEDIATE, "IKE_INTERMEDIATE"),
    (ExchangeType::IKE_AUTH, "IKE_AUTH"),
    (ExchangeType::CREATE_CHILD_SA, "CREATE_CHILD_SA"),
    (ExchangeType::IKE_FOLLOWUP_KE, "IKE_FOLLOWUP_KE"),
    (ExchangeType::INFORMATIONAL, "INFORMATIONAL"),
];

/// The messages of one exchange; repetitions are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flows {
    /// Requests received.
    pub requests_in: u64,
    /// Responses received.
    pub responses_in: u64,
    /// Requests sent.
    pub requests_out: u64,
    /// Responses sent.
    pub responses_out: u64,
}

/// The messages of every exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages([Flows; EXCHANGES.len()]);

impl Messages {
    /// Names of exchanges, and how many messages each has had.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Flows)> {
        EXCHANGES.iter().map(|(_, name)| *name).zip(self.0)
    }

    pub(super) fn add(&mut self, exchange: ExchangeType, response: bool, direction: Direction) {
        let exchange = match exchange {
            ExchangeType::IKE_FOLLOWUP_KE_DRAFT => ExchangeType::IKE_FOLLOWUP_KE,
            other => other,
        };
        let Some(at) = EXCHANGES.iter().position(|(known, _)| *known == exchange) else {
            return;
        };
        let flows = &mut self.0[at];
        let flow = match (direction, response) {
            (Direction::In, false) => &mut flows.requests_in,
            (Direction::In, true) => &mut flows.responses_in,
            (Direction::Out, false) => &mut flows.requests_out,
            (Direction::Out, true) => &mut flows.responses_out,
        };
        *flow += 1;
    }
}
