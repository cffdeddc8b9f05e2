//! The port, the thread, and HTTP: one request a connection, few connections at a time, each with a deadline.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use plugin_api::log::{AUDIT, CONTROL, DIAGNOSE, Group};
use plugin_api::{Control, Host, PluginError, Running};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::collect::snapshot;
use crate::exposition;
use crate::settings::Settings;

/// Connections at a time; others wait to be accepted.
pub const CLIENTS: usize = 8;

/// How long a client may take to send its request.
const REQUEST: Duration = Duration::from_secs(5);

/// How long the daemon may take to answer, which it does between datagrams.
const ANSWER: Duration = Duration::from_secs(10);

/// How long a connection may last: a client that reads slowly gets less than everything.
const CONNECTION: Duration = Duration::from_secs(30);

/// Octets of a request's line and headers, of which nothing is looked at but the line.
const HEAD: usize = 8 << 10;

/// The plugin.
pub struct Metrics;

struct Server {
    host: Arc<dyn Host>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// What connections share.
struct Shared {
    host: Arc<dyn Host>,
    settings: Settings,
    /// One at a time asks the daemon.
    asking: Mutex<()>,
}

impl Control for Metrics {
    fn start(&self, host: Arc<dyn Host>) -> Result<Box<dyn Running>, PluginError> {
        let settings = Settings::of(&*host)?;
        let attempt = |what: &str| {
            format!(
                "{what} {} for metrics (charon.plugins.metrics.listen)",
                settings.listen
            )
        };
        let listening =
            bind(settings.listen).map_err(|error| PluginError::system(attempt("opening"), &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| PluginError::system(attempt("serving"), &error))?;
        let bound = listening.local_addr().unwrap_or(settings.listen);
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared {
            host: Arc::clone(&host),
            settings,
            asking: Mutex::new(()),
        });
        let thread = thread::Builder::new()
            .name("metrics".into())
            .spawn(move || serve(&runtime, listening, &shared, stopped))
            .map_err(|error| PluginError::system(attempt("starting a thread for"), &error))?;
        host.log(
            Group::Dmn,
            CONTROL,
            &format!("metrics are served at http://{bound}/metrics"),
        );
        Ok(Box::new(Server { host, stop, thread }))
    }
}

impl Running for Server {
    fn stop(self: Box<Self>) {
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            self.host
                .log(Group::Dmn, AUDIT, "the thread that serves metrics had panicked");
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let listener = StdListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve(runtime: &Runtime, listening: StdListener, shared: &Arc<Shared>, stopped: oneshot::Receiver<()>) {
    runtime.block_on(async {
        let listener = match TcpListener::from_std(listening) {
            Ok(listener) => listener,
            Err(error) => {
                let text = format!("serving metrics failed: {error}");
                return shared.host.log(Group::Dmn, AUDIT, &text);
            }
        };
        // Connections end with the daemon, at whatever they are.
        tokio::select! {
            () = accept(&listener, shared) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let (places, mut clients) = (Arc::new(Semaphore::new(CLIENTS)), JoinSet::new());
    loop {
        while clients.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(shared);
                clients.spawn(async move {
                    converse(stream, &shared).await;
                    drop(place);
                });
            }
            Err(error) => {
                let text = format!("accepting a client for metrics failed: {error}");
                shared.host.log(Group::Dmn, CONTROL, &text);
                // Out of file descriptors, as a rule; trying again at once would only fill the log.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Reads one request and answers it.
async fn converse(stream: TcpStream, shared: &Arc<Shared>) {
    let service = service_fn(|request| respond(request, Arc::clone(shared)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .keep_alive(false)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let problem = match timeout(CONNECTION, pin!(connection)).await {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it does not read".to_owned(),
    };
    if shared.host.log_enabled(Group::Dmn, DIAGNOSE) {
        let text = format!("a client for metrics got no or not all of an answer: {problem}");
        shared.host.log(Group::Dmn, DIAGNOSE, &text);
    }
}

type Answer = Response<Full<Bytes>>;

async fn respond(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, Infallible> {
    let path = request.uri().path();
    if path != "/metrics" {
        return Ok(plain(StatusCode::NOT_FOUND, "there is nothing but /metrics here"));
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "GET it");
        put(&mut refusal, ALLOW, "GET, HEAD");
        return Ok(refusal);
    }
    let asked = timeout(ANSWER, async {
        let _turn = shared.asking.lock().await;
        snapshot(&*shared.host, shared.settings.max_child_sas).await
    });
    let snapshot = match asked.await {
        Ok(Ok(snapshot)) => snapshot,
        Ok(Err(error)) => return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, &error)),
        Err(_) => return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy")),
    };
    Ok(match exposition::encode(snapshot) {
        Ok(text) => {
            let mut answer = Response::new(Full::from(text));
            put(&mut answer, CONTENT_TYPE, exposition::CONTENT_TYPE);
            answer
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    })
}

fn plain(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::from(format!("{text}\n")));
    *answer.status_mut() = status;
    put(&mut answer, CONTENT_TYPE, "text/plain; charset=utf-8");
    answer
}

fn put(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer
        .headers_mut()
        .insert(name, hyper::header::HeaderValue::from_static(value));
}
