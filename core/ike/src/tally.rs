//! What an Endpoint counts if it is asked to: messages by exchange, for all and by connection, and how establishing goes.

mod establishing;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use iana::ExchangeType;

use crate::alert::Alert;

pub(crate) use establishing::Handshake;
pub use establishing::{BOUNDS, Durations, Ended, Establishing, Phase};
pub use messages::{Flows, Messages};

/// Connections with counters of their own; what further ones do is in the global counters only.
const MAX_CONNECTIONS: usize = 16_384;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident $key:literal,)*) => {
        /// Something that is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $name,)* }

        impl Counter {
            /// All, in the order in which they are listed.
            pub const ALL: [Self; [$($key),*].len()] = [$(Self::$name),*];

            /// Its key in answers of vici.
            pub fn key(self) -> &'static str {
                match self { $(Self::$name => $key,)* }
            }
        }
    };
}

counters! {
    /// IKE_SAs rekeyed by this end.
    IkeRekeyInit "ike-rekey-init",
    /// IKE_SAs rekeyed by the peer.
    IkeRekeyResp "ike-rekey-resp",
    /// CHILD_SAs rekeyed.
    ChildRekey "child-rekey",
    /// Messages that do not parse, or are not authentic.
    Invalid "invalid",
    /// Messages whose SPIs nobody has.
    InvalidSpi "invalid-spi",
    /// IKE_SA_INIT requests received.
    IkeInitInReq "ike-init-in-req",
    /// IKE_SA_INIT responses received.
    IkeInitInResp "ike-init-in-resp",
    /// IKE_SA_INIT requests sent.
    IkeInitOutReq "ike-init-out-req",
    /// IKE_SA_INIT responses sent.
    IkeInitOutResp "ike-init-out-resp",
    /// IKE_AUTH requests received.
    IkeAuthInReq "ike-auth-in-req",
    /// IKE_AUTH responses received.
    IkeAuthInResp "ike-auth-in-resp",
    /// IKE_AUTH requests sent.
    IkeAuthOutReq "ike-auth-out-req",
    /// IKE_AUTH responses sent.
    IkeAuthOutResp "ike-auth-out-resp",
    /// CREATE_CHILD_SA requests received.
    CreateChildInReq "create-child-in-req",
    /// CREATE_CHILD_SA responses received.
    CreateChildInResp "create-child-in-resp",
    /// CREATE_CHILD_SA requests sent.
    CreateChildOutReq "create-child-out-req",
    /// CREATE_CHILD_SA responses sent.
    CreateChildOutResp "create-child-out-resp",
    /// INFORMATIONAL requests received.
    InfoInReq "info-in-req",
    /// INFORMATIONAL responses received.
    InfoInResp "info-in-resp",
    /// INFORMATIONAL requests sent.
    InfoOutReq "info-out-req",
    /// INFORMATIONAL responses sent.
    InfoOutResp "info-out-resp",
}

/// Which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    In,
    Out,
}

impl Counter {
    /// That of a message; the exchanges between IKE_SA_INIT and IKE_AUTH have none.
    fn of_message(exchange: ExchangeType, response: bool, direction: Direction) -> Option<Self> {
        use Counter as C;
        let four = match exchange {
            ExchangeType::IKE_SA_INIT => [
                C::IkeInitInReq,
                C::IkeInitInResp,
                C::IkeInitOutReq,
                C::IkeInitOutResp,
            ],
            ExchangeType::IKE_AUTH => [
                C::IkeAuthInReq,
                C::IkeAuthInResp,
                C::IkeAuthOutReq,
                C::IkeAuthOutResp,
            ],
            ExchangeType::CREATE_CHILD_SA => [
                C::CreateChildInReq,
                C::CreateChildInResp,
                C::CreateChildOutReq,
                C::CreateChildOutResp,
            ],
            ExchangeType::INFORMATIONAL => [C::InfoInReq, C::InfoInResp, C::InfoOutReq, C::InfoOutResp],
            _ => return None,
        };
        let index = usize::from(response) + 2 * usize::from(direction == Direction::Out);
        Some(four[index])
    }
}

/// A value for every counter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters([u64; Counter::ALL.len()]);

impl Counters {
    /// The value of one.
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Keys and values, in the order in which they are listed.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Counter::ALL
            .into_iter()
            .map(|counter| (counter.key(), self.get(counter)))
    }

    fn add(&mut self, counter: Counter) {
        self.0[counter as usize] += 1;
    }
}

/// What was counted so far.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Of all connections, and of messages that belong to none.
    pub global: Counters,
    /// By the configuration's name of the connection.
    pub connections: BTreeMap<Arc<str>, Counters>,
    /// Attempts to establish IKE_SAs.
    pub establishing: Establishing,
    /// Whole messages by exchange; what resets the counters leaves these.
    pub messages: Messages,
    /// Requests sent again.
    pub retransmitted_requests: u64,
    /// Responses sent again because the request came again.
    pub retransmitted_responses: u64,
    /// Requests that came again, of which some are still in work and have no response yet.
    pub repeated_requests: u64,
    /// Fragments received.
    pub fragments_in: u64,
    /// Fragments sent for the first time.
    pub fragments_out: u64,
    /// Cookies demanded.
    pub cookies: u64,
    /// Cookies that came back and are ours.
    pub cookies_verified: u64,
    /// Cookies that came and are not, or are too old.
    pub cookies_refused: u64,
    /// How often there was something that may want an operator.
    pub alerts: Alerts,
}

/// A number for every kind of alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alerts([u64; Alert::ALL.len()]);

impl Alerts {
    /// Names and numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let number = |alert: Alert| (alert.key(), self.0[alert as usize]);
        Alert::ALL.into_iter().map(number)
    }

    pub(crate) fn add(&mut self, alert: Alert) {
        self.0[alert as usize] += 1;
    }
}

impl Tally {
    /// Counts something of a connection, or of none that is known.
    pub(crate) fn count(&mut self, connection: Option<&Arc<str>>, counter: Counter) {
        self.global.add(counter);
        let Some(name) = connection else { return };
        if let Some(counters) = self.connections.get_mut(name) {
            counters.add(counter);
        } else if self.connections.len() < MAX_CONNECTIONS {
            self.connections.entry(Arc::clone(name)).or_default().add(counter);
        }
    }

    /// Counts a whole message, and times its exchange if that belongs to an attempt to establish an IKE_SA.
    pub(crate) fn message(
        &mut self,
        connection: Option<&Arc<str>>,
        (exchange, response, direction): (ExchangeType, bool, Direction),
        handshake: Option<&mut Handshake>,
        now: Instant,
    ) {
        if let Some(counter) = Counter::of_message(exchange, response, direction) {
            self.count(connection, counter);
        }
        self.messages.add(exchange, response, direction);
        if let Some(handshake) = handshake {
            self.establishing.message(handshake, exchange, response, now);
        }
    }
}
