//! A daemon within another program, around an Endpoint that is brought along: what tests put under load.
//!
//! It is the daemon's own loop with its sockets, pool and commands; what it lacks are files and the loading of plugins.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use config::settings::Settings;
use ike::Endpoint;
use plugin_api::{Control, Host, KernelIpsec, Listener};

use crate::addresses::VirtualAddresses;
use crate::bus::Bus;
use crate::host::DaemonHost;
use crate::input::{self, Input};
use crate::jobs::Pool;
use crate::kernel::Kernel;
use crate::log::Logger;
use crate::net::{Ports, Sockets};
use crate::run::{Daemon, Inputs};

/// What it is made of.
pub struct Parts {
    /// All IKE_SAs, with the settings that the daemon is to have; its ports are filled in.
    pub endpoint: Endpoint,
    /// The settings of the Endpoint.
    pub settings: ike::Settings,
    /// IPsec.
    pub backend: Arc<dyn KernelIpsec>,
    /// Makes control sockets, and who is told what happens.
    pub plugins: Box<MakePlugins>,
    /// Where control sockets go.
    pub directory: PathBuf,
}

/// From the daemon as plugins see it to what they bring.
pub type MakePlugins = dyn FnOnce(&Arc<dyn Host>) -> (Vec<Arc<dyn Control>>, Vec<Arc<dyn Listener>>);

/// It runs until it is stopped.
pub struct Embedded {
    /// The UDP port of IKE.
    pub port: u16,
    input: input::Sender,
    thread: JoinHandle<io::Result<()>>,
}

impl Embedded {
    /// Starts it on free ports.
    ///
    /// # Errors
    ///
    /// If sockets or threads cannot be had, in words.
    pub fn start(parts: Parts) -> Result<Self, String> {
        let ports = Ports {
            ike: 0,
            nat_t: 0,
            ipv4: true,
            ipv6: false,
            max_packet: 10_000,
            mark: None,
        };
        let sockets = Arc::new(Sockets::open(&ports).map_err(|error| error.to_string())?);
        let logger = Logger::start().map_err(|error| error.to_string())?;
        logger.set_sinks(Vec::new());
        let (input, received) = input::channel();
        let host = DaemonHost::new(Settings::default(), Arc::clone(&logger), input.clone());
        let host = Arc::new(host.with_piddir(&parts.directory));
        let (port, port_nat_t) = sockets.ports();
        let mut endpoint = parts.endpoint;
        endpoint.set_settings(ike::Settings {
            port,
            port_nat_t,
            ..parts.settings
        });
        let done = input.clone();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let pool = Pool::start(
            cores,
            Box::new(move |id, result| done.send(Input::Job(id, result))),
        );
        let (receiver, messages) = sockets
            .receive(Arc::clone(&parts.backend), Arc::clone(&logger))
            .map_err(|error| error.to_string())?;
        let mut daemon = Daemon::assemble(
            endpoint,
            parts.backend,
            sockets,
            pool.map_err(|error| error.to_string())?,
            Arc::clone(&host),
            logger,
            input.clone(),
        );
        let host = host as Arc<dyn Host>;
        let (controls, listeners) = (parts.plugins)(&host);
        daemon.bus = Bus::new(listeners);
        daemon.receiver = Some(receiver);
        for control in controls {
            let running = control.start(Arc::clone(&host));
            daemon.controls.push(running.map_err(|error| error.to_string())?);
        }
        daemon.apply_log_levels();
        let inputs = Inputs {
            input: received,
            messages,
        };
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(daemon.run(inputs, || {}))
        };
        let thread = std::thread::Builder::new().name("loop".into()).spawn(run);
        Ok(Self {
            port,
            input,
            thread: thread.map_err(|error| error.to_string())?,
        })
    }

    /// Ends it in order.
    ///
    /// # Errors
    ///
    /// If the loop ended in an error or a panic.
    pub fn stop(self) -> Result<(), String> {
        self.input.send(Input::Stopped);
        match self.thread.join() {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err("the loop panicked".into()),
        }
    }
}

impl Daemon {
    /// A daemon without plugins and files.
    pub(crate) fn assemble(
        endpoint: Endpoint,
        backend: Arc<dyn KernelIpsec>,
        sockets: Arc<Sockets>,
        pool: Pool,
        host: Arc<DaemonHost>,
        logger: Arc<Logger>,
        input: input::Sender,
    ) -> Self {
        let addresses = VirtualAddresses::new(Arc::clone(&host), Arc::clone(&logger));
        Self {
            endpoint,
            kernel: Kernel::new(backend, Arc::clone(&logger), addresses),
            sockets,
            pool,
            host,
            logger,
            bus: Bus::default(),
            operations: Default::default(),
            names: Default::default(),
            credentials: Default::default(),
            plugins: Default::default(),
            paths: crate::paths::Paths::of(Path::new("/usr/libexec/ipsec/charon")),
            legacy: Default::default(),
            supervisor: Default::default(),
            threads: 16,
            started: (Instant::now(), SystemTime::now()),
            input,
            controls: Default::default(),
            receiver: None,
        }
    }
}
