//! What the daemon says of itself, asked when somebody wants to know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use control::Verb;
use control::vici::Message;
use plugin_api::{Host, Reply};
use tokio::sync::oneshot;

/// IKE_SAs that the daemon looks at between two of its other tasks.
const PAGE: usize = 64;

/// The daemon at one time, or nearly so: it goes on between pages.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The answer to `get-metrics`.
    pub metrics: Message,
    /// What CHILD_SAs have carried, by their unique numbers: one that goes to the successor of its IKE_SA meanwhile is
    /// listed again.
    pub traffic: BTreeMap<u32, Traffic>,
}

/// What a CHILD_SA has carried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The connection's name.
    pub ike: String,
    /// The CHILD_SA's name in it.
    pub child: String,
    /// Octets received and sent.
    pub octets: [u64; 2],
    /// Packets received and sent.
    pub packets: [u64; 2],
}

/// Asks for everything, with at most so many CHILD_SAs.
///
/// # Errors
///
/// Why the daemon cannot say, in its words.
pub async fn snapshot(host: &dyn Host, max_child_sas: usize) -> Result<Snapshot, String> {
    let (metrics, _) = ask(host, Verb::GetMetrics, &Message::new(), 0).await?;
    let mut traffic = BTreeMap::new();
    let mut request = Message::new().value("page", PAGE);
    while traffic.len() < max_child_sas {
        let (answer, events) = ask(host, Verb::ListTraffic, &request, max_child_sas - traffic.len()).await?;
        for event in events {
            let Ok(event) = Message::decode(&event) else {
                continue;
            };
            traffic.insert(number(&event, "uniqueid") as u32, Traffic::of(&event));
        }
        let Some(next) = answer.get_str("next") else { break };
        request = Message::new().value("page", PAGE).value("after", next);
    }
    Ok(Snapshot { metrics, traffic })
}

impl Traffic {
    fn of(event: &Message) -> Self {
        let text = |key: &str| event.get_str(key).unwrap_or_default().to_owned();
        Self {
            ike: text("ike"),
            child: text("child"),
            octets: ["bytes-in", "bytes-out"].map(|key| number(event, key)),
            packets: ["packets-in", "packets-out"].map(|key| number(event, key)),
        }
    }
}

/// A number of a message; 0 if there is none.
pub(crate) fn number(message: &Message, path: &str) -> u64 {
    message
        .get_str(path)
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}

/// The answer to a command, and at most so many of the events that come with it.
async fn ask(
    host: &dyn Host,
    verb: Verb,
    request: &Message,
    max_events: usize,
) -> Result<(Message, Vec<Vec<u8>>), String> {
    let octets = request.encode().map_err(|error| format!("{verb}: {error}"))?;
    let (done, ended) = oneshot::channel();
    let answer = Arc::new(Answer {
        max_events,
        events: Mutex::default(),
        done: Mutex::new(Some(done)),
    });
    host.submit(verb.name(), &octets, Arc::clone(&answer) as Arc<dyn Reply>);
    let octets = ended.await.map_err(|_| "the daemon is ending".to_owned())?;
    let message = Message::decode(&octets).map_err(|error| format!("{verb}: {error}"))?;
    if let Some(error) = message.get_str("errmsg") {
        return Err(error.to_owned());
    }
    Ok((message, std::mem::take(&mut *lock(&answer.events))))
}

struct Answer {
    max_events: usize,
    events: Mutex<Vec<Vec<u8>>>,
    done: Mutex<Option<oneshot::Sender<Vec<u8>>>>,
}

impl Reply for Answer {
    fn event(&self, _name: &str, message: &[u8]) -> bool {
        let mut events = lock(&self.events);
        if events.len() < self.max_events {
            events.push(message.to_vec());
        }
        events.len() < self.max_events
    }

    fn done(&self, message: &[u8]) {
        if let Some(done) = lock(&self.done).take() {
            // A scraper that has gone needs no answer.
            let _ = done.send(message.to_vec());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that panics runs under it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
