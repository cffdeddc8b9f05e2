//! What waits for a client to read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Most octets that wait for one client: two of the largest messages, or some thousand lines of the log.
pub const MAX_WAITING: usize = 1 << 20;

/// How few octets wait before more of a listing is asked for.
const DRAINED: usize = 64 << 10;

/// The end that packets go in; the daemon's loop may hold it.
#[derive(Clone)]
pub struct Sender {
    packets: UnboundedSender<Vec<u8>>,
    gauge: Arc<Gauge>,
}

/// The end that the client's connection is fed from.
pub struct Receiver {
    packets: UnboundedReceiver<Vec<u8>>,
    gauge: Arc<Gauge>,
}

#[derive(Default)]
struct Gauge {
    waiting: AtomicUsize,
    overflown: AtomicBool,
    overflow: Notify,
    drained: Notify,
}

/// A queue.
pub fn queue() -> (Sender, Receiver) {
    let (sender, receiver) = unbounded_channel();
    let gauge = Arc::new(Gauge::default());
    let own = Arc::clone(&gauge);
    (
        Sender {
            packets: sender,
            gauge: own,
        },
        Receiver {
            packets: receiver,
            gauge,
        },
    )
}

impl Sender {
    /// Adds a framed packet; `false` says that nobody will ever read it.
    pub fn send(&self, packet: Vec<u8>) -> bool {
        let gauge = &self.gauge;
        if gauge.overflown.load(Ordering::Relaxed) {
            return false;
        }
        let len = packet.len();
        if gauge.waiting.fetch_add(len, Ordering::Relaxed) + len > MAX_WAITING {
            gauge.overflown.store(true, Ordering::Relaxed);
            gauge.overflow.notify_one();
            return false;
        }
        self.packets.send(packet).is_ok()
    }

    /// Waits until hardly anything waits any more.
    pub async fn drained(&self) {
        while self.gauge.waiting.load(Ordering::Relaxed) > DRAINED {
            self.gauge.drained.notified().await;
        }
    }

    /// Waits until more than [`MAX_WAITING`] octets would wait.
    pub async fn overflow(&self) {
        self.gauge.overflow.notified().await;
    }
}

impl Receiver {
    /// The next packet; none when no sender is left.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let packet = self.packets.recv().await?;
        let waited = self.gauge.waiting.fetch_sub(packet.len(), Ordering::Relaxed);
        if waited - packet.len() <= DRAINED {
            // Whoever waits next finds it so, if nobody waits now.
            self.gauge.drained.notify_one();
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_is_bounded_and_what_was_read_waits_no_more() {
        let (sender, mut receiver) = queue();
        let packet = vec![0; 512 << 10];
        for _ in 0..1_000 {
            assert!(sender.send(packet.clone()));
            assert!(receiver.next().await.is_some());
        }
        let taken = (0..1_000).take_while(|_| sender.send(packet.clone())).count();
        assert_eq!(taken, MAX_WAITING / packet.len());
        sender.overflow().await;
    }

    #[test]
    fn a_client_that_has_gone_is_noticed() {
        let (sender, receiver) = queue();
        drop(receiver);
        assert!(!sender.send(vec![1]));
    }
}
