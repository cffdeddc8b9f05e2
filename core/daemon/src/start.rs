//! From the command line to the loop: first privileges, settings, log, plugins, sockets, remaining privileges, in this order.

mod setup;

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use config::options::Options;
use config::settings::{Settings, truth};
use crypto::registry::Registry;
use iana::HashAlgorithm;
use ike::Endpoint;
use plugin_api::log::Group;
use plugin_api::{KernelIpsec, Random, RandomQuality};

use crate::addresses::VirtualAddresses;
use crate::args;
use crate::bus::Bus;
use crate::commands::names::Names;
use crate::commands::{Operations, load_secrets};
use crate::controls::Controls;
use crate::host::DaemonHost;
use crate::input::{self, Input};
use crate::jobs::Pool;
use crate::kernel::Kernel;
use crate::loaded::{self, LoadedPlugins};
use crate::log::{Logger, targets, this_is_the_loop, thread_number};
use crate::net::{Ports, Sockets};
use crate::options::ike_settings;
use crate::pages;
use crate::pidfile::PidFile;
use crate::privileges::{self, Limited, Privileges};
use crate::randomness::ReadAhead;
use crate::run::{Daemon, Inputs};
use crate::supervisor::Supervisor;
use crate::{plugins, sys};

use setup::{Read, Setup};

/// Why the daemon did not start.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// The reason.
    pub message: String,
}

impl Failure {
    /// strongswan.conf cannot be used.
    const SETTINGS: u8 = 64;
    /// Anything else.
    const INITIALIZATION: u8 = 66;

    fn new(message: impl ToString) -> Self {
        Self {
            code: Self::INITIALIZATION,
            message: message.to_string(),
        }
    }
}

/// Starts, runs until a signal, and cleans up.
///
/// # Errors
///
/// See [`Failure`]; the reason is in the log too.
pub fn charon(options: args::Options) -> Result<(), Failure> {
    let limited = Limited::new();
    this_is_the_loop();
    let started = (Instant::now(), SystemTime::now());
    // Before anything else may be given that number.
    let ready = options.ready_fd.map(|fd| {
        sys::take_fd(fd).map_err(|error| Failure {
            code: 1,
            message: format!("--ready-fd {fd}: {error}"),
        })
    });
    let ready = ready.transpose()?;
    let mut setup = Setup::read(options.log.program)?;
    let privileges = limited.keep(setup.account.clone());
    // The first thread besides this one.
    let logger = Logger::start().map_err(|error| Failure::new(format!("no thread for the log: {error}")))?;
    abort_on_panic(Arc::clone(&logger));
    let result = setup.open_log(&options.log, &logger).and_then(|()| {
        let start = Start {
            setup,
            options,
            privileges,
            ready,
            started,
        };
        start.run(&logger)
    });
    if let Err(failure) = &result {
        logger.log(
            Group::Dmn,
            0,
            format!("initialization failed: {}", failure.message),
        );
    }
    logger.flush();
    result
}

/// The parts of a start.
struct Start {
    setup: Setup,
    options: args::Options,
    privileges: Privileges,
    ready: Option<OwnedFd>,
    started: (Instant, SystemTime),
}

impl Start {
    fn run(self, logger: &Arc<Logger>) -> Result<(), Failure> {
        for problem in &self.privileges.problems {
            logger.log(Group::Dmn, 1, problem);
        }
        PidFile::check(&self.setup.paths.pid_file()).map_err(Failure::new)?;
        let (input, inputs) = input::channel();
        let host = DaemonHost::new(self.setup.settings.clone(), Arc::clone(logger), input.clone());
        let host = Arc::new(host.with_piddir(&self.setup.paths.pid));
        let result = self.serve(logger, &host, (input, inputs));
        // After the back end for IPsec, whose routes it removes; also when the start fails.
        host.release_kernel_net();
        result
    }

    fn serve(
        self,
        logger: &Arc<Logger>,
        host: &Arc<DaemonHost>,
        (input, inputs): (input::Sender, input::Receiver),
    ) -> Result<(), Failure> {
        let settings = &self.setup.settings;
        let (parsed, problems) = &self.setup.parsed;
        Read::report(&self.setup.findings, logger);
        for problem in problems {
            logger.log(Group::Cfg, 1, problem);
        }
        let paths = self.setup.paths.clone();
        let program = self.options.log.program;
        let mut plugins =
            loaded::load(program, settings, &paths.plugins, host, logger).map_err(Failure::new)?;
        logger.log(
            Group::Lib,
            1,
            format!("loaded plugins: {}", plugins.names().join(" ")),
        );
        let registry = std::mem::take(&mut plugins.registry);
        let Requirements { backend, random } = requirements(&plugins, &registry, settings)?;

        // The ports come before the kernel is touched: another daemon may be at work.
        let ports = ports(settings, parsed)?;
        let sockets = Arc::new(Sockets::open(&ports).map_err(Failure::new)?);
        sockets
            .prepare(backend.as_ref())
            .into_iter()
            .for_each(|problem| logger.log(Group::Net, 1, problem));
        let addresses = VirtualAddresses::new(Arc::clone(host), Arc::clone(logger));
        let kernel = Kernel::new(Arc::clone(&backend), Arc::clone(logger), addresses)
            .with_demands(plugins.kernel_demands.take());
        logger.log(Group::Knl, 1, plugins.kernel_ipsec_choice());

        let ike_settings = ike_settings(parsed, sockets.ports(), kernel.features());
        let randomness = Box::new(ReadAhead::new(random));
        let mut endpoint = Endpoint::new(ike_settings, Arc::new(registry), randomness, Instant::now());
        if plugins.has("counters") || plugins.has("metrics") {
            endpoint.start_tally();
        }
        if let Ok(loaded) = load_secrets(&paths.secrets(settings), logger) {
            endpoint.secrets_mut().replace_file_secrets(loaded.secrets);
        }

        let threads = parsed.threads;
        logger.log(Group::Job, 1, format!("spawning {threads} worker threads"));
        let controls = Controls::start(&plugins.controls, host, logger).map_err(Failure::new)?;
        let pool = crypto_pool(&input)?;
        let observer = input.clone();
        logger.set_observer(Box::new(move |record| {
            observer.send(Input::Log(Box::new(record.clone())))
        }));
        let (receiver, messages) = sockets
            .receive(backend, Arc::clone(logger))
            .map_err(|error| Failure::new(format!("no thread to receive: {error}")))?;

        let supervisor = Supervisor::find(program)
            .map_err(|error| Failure::new(format!("NOTIFY_SOCKET names no socket: {error}")))?;

        let mut daemon = Daemon {
            endpoint,
            kernel,
            sockets,
            pool,
            host: Arc::clone(host),
            logger: Arc::clone(logger),
            bus: Bus::new(std::mem::take(&mut plugins.listeners)),
            operations: Operations::default(),
            names: Names::default(),
            credentials: credentials::Store::default(),
            plugins,
            paths,
            legacy: self.options.log.clone(),
            supervisor,
            threads,
            started: self.started,
            input,
            controls,
            receiver: Some(receiver),
        };
        daemon.endpoint.set_local_addresses(daemon.listening_addresses());
        daemon.configure_payloads();
        daemon.apply_log_levels();
        let account = self.privileges.account();
        let note = |note| logger.log(Group::Dmn, 1, note);
        let _pid_file = PidFile::create(&self.setup.paths.pid_file(), account, note).map_err(Failure::new)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("no event loop: {error}")))?;
        // Last, because a failed start needs these privileges to remove its files and sockets.
        self.give_up_privileges(logger)?;
        let ready = self.ready;
        let announce = move || {
            if let Some(ready) = ready {
                // Whoever waited may have gone.
                let _ = std::fs::File::from(ready).write_all(b"\n");
            }
            // Clients that waited for the daemon come at once, and need some of it.
            tokio::spawn(async {
                tokio::time::sleep(pages::IDLE_AFTER).await;
                pages::give_back_code();
            });
        };
        let result = runtime.block_on(daemon.run(
            Inputs {
                input: inputs,
                messages,
            },
            announce,
        ));
        result.map_err(Failure::new)
    }

    fn give_up_privileges(&self, logger: &Logger) -> Result<(), Failure> {
        self.privileges.give_up().map_err(Failure::new)?;
        if let Some(account) = self.privileges.account() {
            let [read, written] = self.setup.files();
            for problem in privileges::out_of_reach(account, &read, &written) {
                logger.log(Group::Dmn, 1, problem);
            }
        }
        Ok(())
    }
}

/// What the daemon cannot do without.
struct Requirements {
    backend: Arc<dyn KernelIpsec>,
    random: Arc<dyn Random>,
}

fn requirements(
    plugins: &LoadedPlugins,
    registry: &Registry,
    settings: &Settings,
) -> Result<Requirements, Failure> {
    let backend = plugins.kernel_ipsec.clone();
    let random = registry.random(RandomQuality::Strong);
    // NAT detection and cookies are made with it.
    let hasher = registry.hasher(HashAlgorithm::SHA1);
    let needed = [
        (backend.is_some(), "CUSTOM:kernel-ipsec", "kernel-libipsec"),
        (random.is_some(), "RNG:RNG_STRONG", "random"),
        (hasher.is_some(), "HASHER:HASH_SHA1", "sha1"),
    ];
    if let (Some(backend), Some(random), Some(_)) = (backend, random, hasher) {
        return Ok(Requirements { backend, random });
    }
    let missing = || needed.iter().filter(|(there, ..)| !there);
    let features: Vec<_> = missing().map(|(_, feature, _)| *feature).collect();
    let providers: Vec<_> = missing().map(|(.., plugin)| *plugin).collect();
    Err(Failure::new(format!(
        "no loaded plugin offers {}, the reasons are in the log; {}",
        features.join(" and "),
        plugins::advice(settings, &providers)
    )))
}

fn crypto_pool(input: &input::Sender) -> Result<Pool, Failure> {
    let done = input.clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Pool::start(
        cores,
        Box::new(move |id, result| done.send(Input::Job(id, result))),
    )
    .map_err(|error| Failure::new(format!("no threads for the crypto pool: {error}")))
}

const FWMARK: &str = "charon.plugins.socket-default.fwmark";

fn ports(settings: &Settings, options: &Options) -> Result<Ports, Failure> {
    let allowed = |key: &str| {
        settings
            .get(&format!("charon.plugins.socket-default.{key}"))
            .and_then(truth)
    };
    let mark = settings.get(FWMARK).filter(|text| !text.is_empty());
    let mark = mark.map(|text| {
        let read = plugin_api::mark(text).map(|(mark, _)| mark);
        read.ok_or_else(|| Failure {
            code: Failure::SETTINGS,
            message: format!("{FWMARK} = {text}: is not of the form mark[/mask]"),
        })
    });
    Ok(Ports {
        ike: options.port,
        nat_t: options.port_nat_t,
        ipv4: allowed("use_ipv4").unwrap_or(true),
        ipv6: allowed("use_ipv6").unwrap_or(true),
        max_packet: options.max_packet,
        mark: mark.transpose()?,
    })
}

/// A panic in the loop leaves a half-updated table of SAs, which is worse than a restart. Panics elsewhere fail what
/// they happened in.
fn abort_on_panic(logger: Arc<Logger>) {
    std::panic::set_hook(Box::new(move |panic| {
        let in_loop = thread_number() == 0;
        let consequence = if in_loop {
            "the daemon aborts"
        } else {
            "its current task fails"
        };
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("unnamed");
        logger.log(
            Group::Dmn,
            0,
            format!("BUG: thread '{name}': {panic}; {consequence}"),
        );
        if in_loop {
            logger.flush();
            std::process::abort();
        }
    }));
}

impl Daemon {
    /// Reads strongswan.conf again; nothing has changed if that fails.
    pub(crate) fn try_reload(&mut self) -> Result<(), String> {
        let Read { settings, findings } = Read::of(&self.paths, self.legacy.program)?;
        let (sinks, problems) = targets::open(&settings, &self.legacy, None);
        self.logger.set_sinks(sinks);
        problems
            .into_iter()
            .for_each(|problem| self.logger.log(Group::Dmn, 0, problem));
        Read::report(&findings, &self.logger);
        let (options, problems) = Options::from_settings(&settings);
        problems
            .into_iter()
            .for_each(|problem| self.logger.log(Group::Cfg, 1, problem));
        self.endpoint.set_settings(ike_settings(
            &options,
            self.sockets.ports(),
            self.kernel.features(),
        ));
        self.host.set_settings(settings);
        self.configure_payloads();
        self.apply_log_levels();
        Ok(())
    }
}
