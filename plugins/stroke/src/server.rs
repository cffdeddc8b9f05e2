//! The socket, the thread, and the clients.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use control::stroke::Request;
use control::{frame, socket};
use plugin_api::log::{AUDIT, CONTROL, Group};
use plugin_api::{Control, Host, PluginError, Running};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::command::{Answering, Error};
use crate::daemon::Lost;
use crate::settings::Settings;

/// How long a client may take to say what it wants.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long clients may take to read their last lines when the daemon ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The plugin.
pub struct Stroke;

struct Server {
    host: Arc<dyn Host>,
    socket: PathBuf,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Control for Stroke {
    fn start(&self, host: Arc<dyn Host>) -> Result<Box<dyn Running>, PluginError> {
        let settings = Settings::of(&*host)?;
        let path = settings.socket.clone();
        let attempt = |what: &str| format!("{what} the stroke socket '{}'", path.display());
        let listener = socket::listen(&settings.socket, settings.owner)
            .map_err(|error| PluginError::system(attempt("opening"), &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| PluginError::system(attempt("serving"), &error))?;
        let (stop, stopped) = oneshot::channel();
        let own = Arc::clone(&host);
        let thread = thread::Builder::new()
            .name("stroke".into())
            .spawn(move || serve(&runtime, listener, &own, settings, stopped))
            .map_err(|error| PluginError::system(attempt("starting a thread for"), &error))?;
        Ok(Box::new(Server {
            host,
            socket: path,
            stop,
            thread,
        }))
    }
}

impl Running for Server {
    fn stop(self: Box<Self>) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            self.host
                .log(Group::Cfg, AUDIT, "the thread of the stroke socket had panicked");
        }
        let _ = fs::remove_file(&self.socket);
    }
}

fn serve(
    runtime: &Runtime,
    listener: std::os::unix::net::UnixListener,
    host: &Arc<dyn Host>,
    settings: Settings,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                return host.log(
                    Group::Cfg,
                    AUDIT,
                    &format!("serving the stroke socket failed: {error}"),
                );
            }
        };
        let mut clients = JoinSet::new();
        tokio::select! {
            () = accept(&listener, host, Arc::new(settings), &mut clients) => {}
            _ = stopped => {}
        }
        drop(listener);
        // Whoever does not get everything by then sees the connection close.
        let _ = timeout(LAST_WORDS, async { while clients.join_next().await.is_some() {} }).await;
    });
}

/// Takes clients as long as there is room for another.
async fn accept(
    listener: &UnixListener,
    host: &Arc<dyn Host>,
    settings: Arc<Settings>,
    clients: &mut JoinSet<()>,
) {
    let room = Arc::new(Semaphore::new(settings.max_concurrent));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (host, settings) = (Arc::clone(host), Arc::clone(&settings));
                clients.spawn(async move {
                    client(stream, &host, &settings).await;
                    drop(place);
                });
            }
            Err(error) => {
                host.log(
                    Group::Cfg,
                    CONTROL,
                    &format!("accepting a stroke client failed: {error}"),
                );
                // Out of file descriptors, as a rule; trying again at once would only fill the log.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn client(mut stream: UnixStream, host: &Arc<dyn Host>, settings: &Settings) {
    let log = |line: &str| host.log(Group::Cfg, CONTROL, line);
    let (mut reader, writer) = stream.split();
    let packet = match timeout(REQUEST_TIME, receive(&mut reader)).await {
        Ok(Ok(Some(packet))) => packet,
        // Nothing was asked.
        Ok(Ok(None)) => return,
        Ok(Err(error)) => return log(&format!("reading a stroke request failed: {error}")),
        Err(_) => return log("a stroke client did not say what it wants, closing its connection"),
    };
    let request = match Request::decode(&packet) {
        Ok(request) => request,
        Err(error) => return log(&format!("invalid stroke request: {error}")),
    };
    let answering = Answering::new(host, settings, writer);
    let result = tokio::select! {
        result = answering.answer(&request) => result,
        // Then the daemon is told with the next event that nobody listens.
        () = gone(&mut reader) => return,
    };
    match result {
        Ok(()) => {}
        Err(Error::Client(error)) if error.kind() == io::ErrorKind::TimedOut => {
            log("a stroke client does not read its answer, closing its connection");
        }
        Err(Error::Daemon(Lost::TooSlow)) => {
            log("a stroke client does not read its answer fast enough, closing its connection");
        }
        // It went away, or the daemon does.
        Err(Error::Client(_) | Error::Daemon(Lost::Gone)) => {}
        Err(Error::Daemon(Lost::Malformed)) => log("BUG: the answer to a stroke request is no message"),
        Err(Error::Encoding(error)) => log(&format!("a stroke request does not fit into a command: {error}")),
    }
}

/// Reads one packet; memory grows with what comes, not with what was announced.
async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; 4];
    if stream.read_exact(&mut prefix[..1]).await.is_err() {
        return Ok(None);
    }
    stream.read_exact(&mut prefix[1..]).await?;
    let len =
        frame::check_length(prefix).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut packet = Vec::new();
    stream.take(len as u64).read_to_end(&mut packet).await?;
    if packet.len() < len {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(Some(packet))
    }
}

/// Waits until the client has closed its end; what else it says is not listened to.
async fn gone(stream: &mut (impl AsyncRead + Unpin)) {
    let mut ignored = [0; 256];
    while stream.read(&mut ignored).await.is_ok_and(|octets| octets > 0) {}
}
