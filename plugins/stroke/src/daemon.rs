//! Commands to the daemon, and their answers as they come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use control::Verb;
use control::vici::Message;
use plugin_api::{Host, Reply};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Most octets of events that wait for a client. The daemon lists all SAs at once, so it is many: a hundred thousand of
/// them fit while their text is made.
const MAX_WAITING: usize = 128 << 20;

/// A command under way. Dropping it tells the daemon that nobody listens any more.
pub struct Call {
    receiver: UnboundedReceiver<Item>,
    gauge: Arc<Gauge>,
}

/// What the daemon says of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A streamed event.
    Event(String, Message),
    /// The end, and how it ended.
    Done(Message),
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The client did not read as fast as events came.
    TooSlow,
    /// The daemon said what is no message.
    Malformed,
    /// The daemon ends.
    Gone,
}

enum Item {
    Event(String, Vec<u8>),
    Done(Vec<u8>),
}

#[derive(Default)]
struct Gauge {
    waiting: AtomicUsize,
    overflown: AtomicBool,
}

struct Receipt {
    sender: UnboundedSender<Item>,
    gauge: Arc<Gauge>,
}

impl Call {
    /// Hands a command to the daemon.
    pub fn submit(host: &dyn Host, verb: Verb, message: &Message) -> Result<Self, control::Error> {
        let octets = message.encode()?;
        let (sender, receiver) = unbounded_channel();
        let gauge = Arc::new(Gauge::default());
        host.submit(
            verb.name(),
            &octets,
            Arc::new(Receipt {
                sender,
                gauge: Arc::clone(&gauge),
            }),
        );
        Ok(Self { receiver, gauge })
    }

    /// What the daemon says next.
    ///
    /// # Errors
    ///
    /// If nothing can come any more.
    pub async fn next(&mut self) -> Result<Answer, Lost> {
        let item = self.receiver.recv().await.ok_or(Lost::Gone)?;
        if self.gauge.overflown.load(Ordering::Relaxed) {
            return Err(Lost::TooSlow);
        }
        let decode = |octets: &[u8]| Message::decode(octets).map_err(|_| Lost::Malformed);
        match item {
            Item::Event(name, octets) => {
                self.gauge.waiting.fetch_sub(octets.len(), Ordering::Relaxed);
                Ok(Answer::Event(name, decode(&octets)?))
            }
            Item::Done(octets) => Ok(Answer::Done(decode(&octets)?)),
        }
    }

    /// Skips events and waits for the end.
    ///
    /// # Errors
    ///
    /// If nothing can come any more.
    pub async fn done(&mut self) -> Result<Message, Lost> {
        loop {
            if let Answer::Done(message) = self.next().await? {
                return Ok(message);
            }
        }
    }
}

impl Reply for Receipt {
    fn event(&self, name: &str, message: &[u8]) -> bool {
        if self.sender.is_closed() || self.gauge.overflown.load(Ordering::Relaxed) {
            return false;
        }
        if self.gauge.waiting.fetch_add(message.len(), Ordering::Relaxed) + message.len() > MAX_WAITING {
            self.gauge.overflown.store(true, Ordering::Relaxed);
            return false;
        }
        self.sender
            .send(Item::Event(name.to_owned(), message.to_owned()))
            .is_ok()
    }

    fn done(&self, message: &[u8]) {
        // A client that has gone needs no answer.
        let _ = self.sender.send(Item::Done(message.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> (Call, Receipt) {
        let (sender, receiver) = unbounded_channel();
        let gauge = Arc::new(Gauge::default());
        (
            Call {
                receiver,
                gauge: Arc::clone(&gauge),
            },
            Receipt { sender, gauge },
        )
    }

    #[tokio::test]
    async fn events_come_in_order_before_the_end() {
        let (mut call, receipt) = call();
        let event = Message::new().value("n", 1);
        assert!(receipt.event("one", &event.encode().unwrap()));
        receipt.done(b"");
        assert_eq!(call.next().await, Ok(Answer::Event("one".into(), event)));
        assert_eq!(call.next().await, Ok(Answer::Done(Message::new())));
        drop(receipt);
        assert_eq!(call.next().await, Err(Lost::Gone));
    }

    #[test]
    fn the_daemon_learns_that_nobody_listens() {
        let (call, receipt) = call();
        assert!(receipt.event("e", b""));
        drop(call);
        assert!(!receipt.event("e", b""));
        receipt.done(b"");
    }

    #[tokio::test]
    async fn what_waits_is_bounded() {
        let (mut call, receipt) = call();
        let octets = vec![0; 512 << 10];
        let taken = (0..1_000).take_while(|_| receipt.event("e", &octets)).count();
        assert_eq!(taken, MAX_WAITING / octets.len());
        receipt.done(b"");
        assert_eq!(call.next().await, Err(Lost::TooSlow));
    }
}
