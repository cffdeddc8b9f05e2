#![allow(clippy::disallowed_methods)] // limits in time need time

use std::sync::mpsc::{Receiver, Sender, channel};

use plugin_api::Reply;
use plugin_api::kernel::{KernelEvent, KernelNet, SaLifetime};
use plugin_api::log::Group;

use super::*;
use crate::sad::tests::{parameters, sa};

/// A daemon that is told of limits.
struct Daemon(Mutex<Sender<(u32, bool)>>);

impl Host for Daemon {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        false
    }

    fn log(&self, _group: Group, _level: i8, _message: &str) {}

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, event: KernelEvent) {
        if let KernelEvent::Expire { spi, hard, .. } = event {
            let sender = self.0.lock().expect("no panic before");
            // The test may have ended.
            let _ = sender.send((spi, hard));
        }
    }

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

fn timer() -> (Timer, Receiver<(u32, bool)>) {
    let (sender, told) = channel();
    let host = Arc::new(Daemon(Mutex::new(sender)));
    (Timer::start(host).expect("a thread"), told)
}

fn with_limits(spi: u32, soft: u64, hard: u64) -> Arc<Sa> {
    let mut parameters = parameters(spi, true);
    parameters.lifetime = SaLifetime {
        soft_time: Duration::from_millis(soft),
        hard_time: Duration::from_millis(hard),
        ..SaLifetime::default()
    };
    sa(&parameters)
}

fn next(told: &Receiver<(u32, bool)>) -> (u32, bool) {
    told.recv_timeout(Duration::from_secs(10))
        .expect("a limit is reached")
}

#[test]
fn the_soft_limit_comes_first_and_the_earlier_sa_before_the_later() {
    let (timer, told) = timer();
    let (later, earlier) = (with_limits(1, 200, 300), with_limits(2, 50, 100));
    // As if it had waited for long already when an earlier one comes.
    timer.watch(&later);
    timer.watch(&earlier);
    let all: Vec<_> = (0..4).map(|_| next(&told)).collect();
    assert_eq!(all, [(2, false), (2, true), (1, false), (1, true)]);
    assert!(earlier.lifetime.is_dead() && later.lifetime.is_dead());
}

#[test]
fn a_hard_limit_before_the_soft_one_leaves_nothing_to_rekey() {
    let (timer, told) = timer();
    let (odd, last) = (with_limits(1, 100, 50), with_limits(2, 150, 0));
    timer.watch(&odd);
    timer.watch(&last);
    assert_eq!((next(&told), next(&told)), ((1, true), (2, false)));
}

#[test]
fn what_is_forgotten_or_gone_reaches_no_limit() {
    let (timer, told) = timer();
    let (forgotten, gone, last) = (
        with_limits(1, 50, 60),
        with_limits(2, 50, 60),
        with_limits(3, 100, 0),
    );
    for sa in [&forgotten, &gone, &last] {
        timer.watch(sa);
    }
    timer.forget(&forgotten);
    drop(gone);
    assert_eq!(next(&told), (3, false));
    assert!(!forgotten.lifetime.is_dead());
    assert_eq!(timer.queue.lock().entries.len(), 0);
}

#[test]
fn pauses_are_looked_at_in_rounds() {
    let (timer, _told) = timer();
    let (one, other) = (sa(&parameters(1, false)), sa(&parameters(2, false)));
    let start = timer.queue.start;
    timer.watch_pause(&one, start);
    timer.watch_pause(&other, start + ROUND / 2);
    let times: Vec<_> = timer
        .queue
        .lock()
        .entries
        .iter()
        .map(|entry| (entry.time(), entry.due()))
        .collect();
    assert_eq!(times, [(PAUSE + ROUND, Due::Pause); 2]);
    // A packet comes in the middle, so that it is not idle for long enough.
    one.wake().expect("a key that is taken");
    one.count(1, start + PAUSE);
    let queue = &timer.queue;
    let host = plugin_api::testing::Recorder::default();
    queue.fire(&host, &one, Due::Pause, start + PAUSE + ROUND);
    assert!(one.current().protection().is_some());
    let last = queue.lock().entries.last().map(Entry::time);
    assert_eq!(last, Some(2 * PAUSE + ROUND));
    queue.fire(&host, &one, Due::Pause, start + 2 * PAUSE + ROUND);
    assert!(one.current().protection().is_none());
}
