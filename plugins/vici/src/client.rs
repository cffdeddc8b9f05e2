//! One client: its requests in order, one at a time, and what it is told in between.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use control::packet::{Packet, PacketType};
use control::vici::Message;
use control::{Error, Verb, frame};
use plugin_api::log::{CONTROL, DIAGNOSE, Group};
use plugin_api::{Host, Reply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::hub::Hub;
use crate::queue::{Receiver, Sender, queue};

/// How long a client may not read at all while something waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Elements of a page.
const PAGE: usize = 64;

/// What a connection needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) id: u64,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) hub: Arc<Hub>,
}

impl Context {
    fn log(&self, level: i8, text: &str) {
        if self.host.log_enabled(Group::Cfg, level) {
            self.host.log(Group::Cfg, level, text);
        }
    }
}

/// Serves a client until it goes, or is too slow.
pub(crate) async fn serve(
    context: Context,
    reader: impl AsyncRead + Send + Unpin,
    writer: impl AsyncWrite + Send + Unpin,
) {
    let id = context.id;
    let (sender, receiver) = queue();
    context.hub.join(id, sender.clone());
    context.log(DIAGNOSE, &format!("vici client {id} connected"));
    let (packets, requests) = mpsc::channel(1);
    tokio::select! {
        () = read(&context, reader, packets) => {}
        () = answer(&context, requests, &sender) => {}
        slow = write(writer, receiver) => if slow {
            context.log(CONTROL, &format!("vici client {id} does not read, closing its connection"));
        },
        () = sender.overflow() => {
            let text = format!("vici client {id} does not read fast enough, closing its connection");
            context.log(CONTROL, &text);
        }
    }
    // Commands under way learn with their next event that nobody listens.
    context.hub.leave(id);
    context.log(DIAGNOSE, &format!("vici client {id} disconnected"));
}

/// Reads packets until the client closes its end. One that waits to be answered holds up the next.
async fn read(context: &Context, mut stream: impl AsyncRead + Unpin, packets: mpsc::Sender<Vec<u8>>) {
    loop {
        match receive(&mut stream).await {
            Ok(Some(packet)) => {
                if packets.send(packet).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                let text = match error.get_ref().and_then(|error| error.downcast_ref::<Error>()) {
                    Some(Error::TooLong(len)) => {
                        format!(
                            "vici message length {len} exceeds {} bytes limit, ignored",
                            frame::MAX_LEN
                        )
                    }
                    _ => format!("reading from vici client {} failed: {error}", context.id),
                };
                return context.log(CONTROL, &text);
            }
        }
    }
}

/// Reads one packet; memory grows with what comes, not with what was announced.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; 4];
    if stream.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut prefix[1..]).await?;
    let len =
        frame::check_length(prefix).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut packet = Vec::new();
    stream.take(len as u64).read_to_end(&mut packet).await?;
    if packet.len() < len {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some(packet))
}

/// Writes what waits. Whether it ended because the client does not read.
async fn write(mut stream: impl AsyncWrite + Unpin, mut packets: Receiver) -> bool {
    while let Some(packet) = packets.next().await {
        let mut rest = &packet[..];
        while !rest.is_empty() {
            // The time starts anew with everything that gets through.
            match timeout(PATIENCE, stream.write(rest)).await {
                Ok(Ok(written)) if written > 0 => rest = &rest[written..],
                Ok(_) => return false,
                Err(_) => return true,
            }
        }
    }
    false
}

async fn answer(context: &Context, mut requests: mpsc::Receiver<Vec<u8>>, sender: &Sender) {
    let id = context.id;
    while let Some(octets) = requests.recv().await {
        let packet = match Packet::decode(&octets) {
            Ok(packet) => packet,
            Err(Error::PacketType(kind)) => {
                context.log(CONTROL, &format!("unsupported vici operation: {kind}"));
                continue;
            }
            Err(error) => {
                context.log(CONTROL, &format!("vici client {id} sent no packet: {error}"));
                continue;
            }
        };
        let name = &packet.name;
        match packet.kind {
            PacketType::CmdRequest => run(context, name, &packet.message, sender).await,
            PacketType::EventRegister => {
                let known = context.hub.register(id, name);
                if !known {
                    context.log(CONTROL, &format!("vici client {id} invalid registration: {name}"));
                }
                confirm(sender, known);
            }
            PacketType::EventUnregister => confirm(sender, context.hub.unregister(id, name)),
            kind => context.log(CONTROL, &format!("unsupported vici operation: {}", kind as u8)),
        }
    }
}

fn confirm(sender: &Sender, known: bool) {
    let kind = if known {
        PacketType::EventConfirm
    } else {
        PacketType::EventUnknown
    };
    send(sender, kind, Vec::new());
}

/// Hands a command to the daemon, and waits for its end. A long listing comes page by page, the next when the client has
/// read most of the last.
async fn run(context: &Context, verb: &str, message: &[u8], sender: &Sender) {
    let known = Verb::from_name(verb);
    // The names of stroke's commands are reserved, so that a newer daemon's are not open to clients of an older plugin.
    if known.map_or(verb.starts_with("stroke-"), |verb| !verb.is_for_clients()) {
        return unknown(context, verb, sender);
    }
    let request = known
        .is_some_and(Verb::is_paged)
        .then(|| Message::decode(message).ok())
        .flatten();
    let Some(mut request) = request else {
        // The daemon ends; so will the connection.
        let Some(response) = submit(context, verb, message).await else {
            return;
        };
        return respond(context, verb, response, sender);
    };
    // Pages are between us and the daemon.
    request
        .elements
        .retain(|element| !["page", "after"].contains(&element.name()));
    let mut page = request.clone().value("page", PAGE);
    loop {
        let Ok(octets) = page.encode() else {
            return unknown(context, verb, sender);
        };
        let Some(response) = submit(context, verb, &octets).await else {
            return;
        };
        let answer = Message::decode(&response).unwrap_or_default();
        let Some(next) = answer.get_str("next") else {
            return respond(context, verb, response, sender);
        };
        page = request.clone().value("page", PAGE).value("after", next);
        sender.drained().await;
    }
}

/// The daemon's answer to a command.
async fn submit(context: &Context, verb: &str, message: &[u8]) -> Option<Vec<u8>> {
    let (done, ended) = oneshot::channel();
    let answer = Answer {
        id: context.id,
        hub: Arc::clone(&context.hub),
        done: Mutex::new(Some(done)),
    };
    context.host.submit(verb, message, Arc::new(answer));
    ended.await.ok()
}

fn respond(context: &Context, verb: &str, response: Vec<u8>, sender: &Sender) {
    let is_unknown =
        Message::decode(&response).is_ok_and(|message| message.get_bool("unknown") == Some(true));
    if is_unknown {
        return unknown(context, verb, sender);
    }
    if !send(sender, PacketType::CmdResponse, response) {
        context.log(CONTROL, &format!("the answer to vici command {verb} is lost"));
    }
}

fn unknown(context: &Context, verb: &str, sender: &Sender) {
    context.log(
        CONTROL,
        &format!("vici client {} invalid request: {verb}", context.id),
    );
    send(sender, PacketType::CmdUnknown, Vec::new());
}

fn send(sender: &Sender, kind: PacketType, message: Vec<u8>) -> bool {
    let packet = Packet::new(kind, "", message).encode();
    packet
        .and_then(|packet| frame::frame(&packet))
        .is_ok_and(|octets| sender.send(octets))
}

/// Where the daemon's answer goes.
struct Answer {
    id: u64,
    hub: Arc<Hub>,
    done: Mutex<Option<oneshot::Sender<Vec<u8>>>>,
}

impl Reply for Answer {
    fn event(&self, name: &str, message: &[u8]) -> bool {
        self.hub.tell(self.id, name, message)
    }

    fn done(&self, message: &[u8]) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(done) = done {
            // A client that has gone needs no answer.
            let _ = done.send(message.to_vec());
        }
    }
}
