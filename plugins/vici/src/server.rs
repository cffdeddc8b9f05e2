//! The socket, the thread, and the clients.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use control::socket;
use plugin_api::log::{AUDIT, CONTROL, Group};
use plugin_api::{Control, Host, PluginError, Running};
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{self, Context};
use crate::hub::Hub;
use crate::settings::{Address, Settings};

/// How long clients may take to read their last messages when the daemon ends.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// The plugin.
pub struct Vici {
    hub: Arc<Hub>,
}

struct Server {
    host: Arc<dyn Host>,
    address: Address,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

enum Listening {
    Unix(std::os::unix::net::UnixListener),
    Tcp(std::net::TcpListener),
}

enum Acceptor {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Vici {
    /// Clients meet the daemon's events there.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }
}

impl Control for Vici {
    fn start(&self, host: Arc<dyn Host>) -> Result<Box<dyn Running>, PluginError> {
        let settings = Settings::of(&*host)?;
        let attempt = |what: &str| format!("{what} the vici socket {}", settings.address);
        let listening =
            Listening::on(&settings).map_err(|error| PluginError::system(attempt("opening"), &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| PluginError::system(attempt("serving"), &error))?;
        let (stop, stopped) = oneshot::channel();
        let (own, hub) = (Arc::clone(&host), Arc::clone(&self.hub));
        let thread = thread::Builder::new()
            .name("vici".into())
            .spawn(move || serve(&runtime, listening, &own, &hub, stopped))
            .map_err(|error| PluginError::system(attempt("starting a thread for"), &error))?;
        Ok(Box::new(Server {
            host,
            address: settings.address,
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
                .log(Group::Cfg, AUDIT, "the thread of the vici socket had panicked");
        }
        if let Address::Unix(path) = &self.address {
            let _ = fs::remove_file(path);
        }
    }
}

impl Listening {
    fn on(settings: &Settings) -> io::Result<Self> {
        match &settings.address {
            Address::Unix(path) => socket::listen(path, settings.owner).map(Self::Unix),
            Address::Tcp(address) => {
                let listener = std::net::TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
        }
    }

    fn accepting(self) -> io::Result<Acceptor> {
        match self {
            Self::Unix(listener) => UnixListener::from_std(listener).map(Acceptor::Unix),
            Self::Tcp(listener) => TcpListener::from_std(listener).map(Acceptor::Tcp),
        }
    }
}

fn serve(
    runtime: &Runtime,
    listening: Listening,
    host: &Arc<dyn Host>,
    hub: &Arc<Hub>,
    stopped: oneshot::Receiver<()>,
) {
    runtime.block_on(async {
        let acceptor = match listening.accepting() {
            Ok(acceptor) => acceptor,
            Err(error) => {
                let text = format!("serving the vici socket failed: {error}");
                return host.log(Group::Cfg, AUDIT, &text);
            }
        };
        let mut clients = JoinSet::new();
        tokio::select! {
            () = accept(&acceptor, host, hub, &mut clients) => {}
            _ = stopped => {}
        }
        drop(acceptor);
        // Whoever does not get everything by then sees the connection close.
        let _ = timeout(LAST_WORDS, async { while clients.join_next().await.is_some() {} }).await;
    });
}

async fn accept(acceptor: &Acceptor, host: &Arc<dyn Host>, hub: &Arc<Hub>, clients: &mut JoinSet<()>) {
    for id in 1.. {
        while clients.try_join_next().is_some() {}
        let context = Context {
            id,
            host: Arc::clone(host),
            hub: Arc::clone(hub),
        };
        let accepted = match acceptor {
            Acceptor::Unix(listener) => listener.accept().await.map(|(stream, _)| {
                let (reader, writer) = stream.into_split();
                clients.spawn(client::serve(context, reader, writer));
            }),
            Acceptor::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                let (reader, writer) = stream.into_split();
                clients.spawn(client::serve(context, reader, writer));
            }),
        };
        if let Err(error) = accepted {
            host.log(
                Group::Cfg,
                CONTROL,
                &format!("accepting a vici client failed: {error}"),
            );
            // Out of file descriptors, as a rule; trying again at once would only fill the log.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}
