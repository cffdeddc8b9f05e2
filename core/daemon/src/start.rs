//! From the command line to the loop: settings, log, plugins, sockets, privileges, in this order.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use config::options::Options;
use config::settings::Settings;
use crypto::registry::Registry;
use iana::HashAlgorithm;
use ike::Endpoint;
use plugin_api::log::Group;
use plugin_api::{Host, KernelIpsec, Random, RandomQuality, Running};

use crate::addresses::VirtualAddresses;
use crate::args;
use crate::bus::Bus;
use crate::commands::names::Names;
use crate::commands::{Operations, load_secrets};
use crate::host::DaemonHost;
use crate::input::{self, Input};
use crate::jobs::Pool;
use crate::kernel::Kernel;
use crate::loaded::{self, LoadedControl, LoadedPlugins};
use crate::log::{Logger, targets, this_is_the_loop, thread_number};
use crate::net::{Ports, Sockets};
use crate::options::{ike_settings, truth};
use crate::pages;
use crate::paths::Paths;
use crate::pidfile::PidFile;
use crate::privileges::{self, Account};
use crate::product;
use crate::randomness::ReadAhead;
use crate::run::{Daemon, Inputs};
use crate::sys;

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
    let _ = nix::sys::prctl::set_dumpable(false);
    let logger = Logger::start().map_err(|error| Failure::new(format!("no thread for the log: {error}")))?;
    abort_on_panic(Arc::clone(&logger));
    let result = run(options, ready, &logger, started);
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

fn run(
    options: args::Options,
    ready: Option<OwnedFd>,
    logger: &Arc<Logger>,
    started: (Instant, SystemTime),
) -> Result<(), Failure> {
    let executable = std::env::current_exe().map_err(|error| Failure::new(format!("where am I? {error}")))?;
    let mut paths = Paths::of(&executable);
    let settings = load_settings(&paths.strongswan_conf()).map_err(|message| {
        logger.set_sinks(targets::open(&Settings::default(), &options.log).0);
        Failure {
            code: Failure::SETTINGS,
            message,
        }
    })?;
    paths.apply(&settings);
    let (sinks, problems) = targets::open(&settings, &options.log);
    logger.set_sinks(sinks);
    let system = product::system();
    let (name, version) = (product::NAME, product::VERSION);
    let host_system = format!("{} {}, {}", system.name, system.release, system.machine);
    logger.log(
        Group::Dmn,
        1,
        format!("Starting IKE charon daemon ({name} {version}, {host_system})"),
    );
    problems
        .into_iter()
        .for_each(|problem| logger.log(Group::Dmn, 0, problem));

    let pid_file = paths.pid_file();
    PidFile::check(&pid_file).map_err(Failure::new)?;
    let (parsed, problems) = Options::from_settings(&settings);
    problems
        .into_iter()
        .for_each(|problem| logger.log(Group::Cfg, 1, problem));

    let (input, inputs) = input::channel();
    let host = DaemonHost::new(settings.clone(), Arc::clone(logger), input.clone());
    let host = Arc::new(host.with_piddir(&paths.pid));
    let mut plugins = loaded::load(&settings, &paths.plugins, &host, logger).map_err(Failure::new)?;
    logger.log(
        Group::Lib,
        1,
        format!("loaded plugins: {}", plugins.names().join(" ")),
    );
    let registry = std::mem::take(&mut plugins.registry);
    let Requirements { backend, random } = requirements(&plugins, &registry)?;

    // The ports come before the kernel is touched: another daemon may be at work.
    let ports = ports(&settings, &parsed);
    let sockets = Arc::new(Sockets::open(&ports).map_err(Failure::new)?);
    sockets
        .prepare(backend.as_ref())
        .into_iter()
        .for_each(|problem| logger.log(Group::Net, 1, problem));
    let addresses = VirtualAddresses::new(Arc::clone(&host), Arc::clone(logger));
    let kernel = Kernel::new(Arc::clone(&backend), Arc::clone(logger), addresses);
    logger.log(Group::Knl, 1, plugins.kernel_ipsec_choice());

    let ike_settings = ike_settings(&parsed, sockets.ports(), kernel.features());
    let randomness = Box::new(ReadAhead::new(random));
    let mut endpoint = Endpoint::new(ike_settings, Arc::new(registry), randomness, Instant::now());
    if plugins.has("counters") || plugins.has("metrics") {
        endpoint.start_tally();
    }
    if let Ok(secrets) = load_secrets(&paths.secrets(&settings), logger) {
        endpoint.secrets_mut().replace_file_secrets(secrets);
    }

    let threads = parsed.threads;
    logger.log(Group::Job, 1, format!("spawning {threads} worker threads"));
    let controls = start_controls_and_drop_privileges(&parsed, &plugins.controls, &host, logger)?;
    let done = input.clone();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pool = Pool::start(
        cores,
        Box::new(move |id, result| done.send(Input::Job(id, result))),
    )
    .map_err(|error| Failure::new(format!("no threads for the crypto pool: {error}")))?;
    let observer = input.clone();
    logger.set_observer(Box::new(move |record| {
        observer.send(Input::Log(Box::new(record.clone())))
    }));
    let (receiver, messages) = sockets
        .receive(backend, Arc::clone(logger))
        .map_err(|error| Failure::new(format!("no thread to receive: {error}")))?;

    let mut daemon = Daemon {
        endpoint,
        kernel,
        sockets,
        pool,
        host: Arc::clone(&host),
        logger: Arc::clone(logger),
        bus: Bus::new(std::mem::take(&mut plugins.listeners)),
        operations: Operations::default(),
        names: Names::default(),
        credentials: credentials::Store::default(),
        plugins,
        paths,
        legacy: options.log,
        threads,
        started,
        input,
        controls,
        receiver: Some(receiver),
    };
    daemon.endpoint.set_local_addresses(daemon.listening_addresses());
    daemon.configure_payloads();
    daemon.apply_log_levels();
    let _pid_file =
        PidFile::create(&pid_file, |note| logger.log(Group::Dmn, 1, note)).map_err(Failure::new)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no event loop: {error}")))?;
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
    // After the back end for IPsec, whose routes it removes.
    host.release_kernel_net();
    result.map_err(Failure::new)
}

fn load_settings(path: &Path) -> Result<Settings, String> {
    match Settings::load(path) {
        Ok(settings) => Ok(settings),
        Err(_) if !path.exists() => Ok(Settings::default()),
        Err(error) => Err(format!("invalid config file '{}': {error}", path.display())),
    }
}

/// What the daemon cannot do without.
struct Requirements {
    backend: Arc<dyn KernelIpsec>,
    random: Arc<dyn Random>,
}

fn requirements(plugins: &LoadedPlugins, registry: &Registry) -> Result<Requirements, Failure> {
    let missing = |feature, plugins| {
        Failure::new(format!(
            "no plugin offers {feature}; add {plugins} to charon.load in strongswan.conf, or see in the log why it was \
             not loaded"
        ))
    };
    let backend = plugins.kernel_ipsec.clone();
    let backend =
        backend.ok_or_else(|| missing("CUSTOM:kernel-ipsec", "kernel-libipsec or kernel-netlink"))?;
    let random = registry.random(RandomQuality::Strong);
    let random = random.ok_or_else(|| missing("RNG:RNG_STRONG", "random"))?;
    // NAT detection and cookies are made with it.
    if registry.hasher(HashAlgorithm::SHA1).is_none() {
        return Err(missing("HASHER:HASH_SHA1", "sha1"));
    }
    Ok(Requirements { backend, random })
}

fn ports(settings: &Settings, options: &Options) -> Ports {
    let allowed = |key: &str| {
        settings
            .get(&format!("charon.plugins.socket-default.{key}"))
            .and_then(truth)
    };
    Ports {
        ike: options.port,
        nat_t: options.port_nat_t,
        ipv4: allowed("use_ipv4").unwrap_or(true),
        ipv6: allowed("use_ipv6").unwrap_or(true),
        max_packet: options.max_packet,
    }
}

/// Sockets of control plugins are made by whoever may give them to another user; else the plugins' threads, which
/// inherit what this thread has left, come after privileges are gone.
fn start_controls_and_drop_privileges(
    options: &Options,
    controls: &[LoadedControl],
    host: &Arc<DaemonHost>,
    logger: &Arc<Logger>,
) -> Result<Vec<Box<dyn Running>>, Failure> {
    let (account, problems) = Account::look_up(options.user.as_deref(), options.group.as_deref());
    let start = || {
        let mut running = Vec::new();
        for LoadedControl {
            plugin,
            critical,
            control,
        } in controls
        {
            match control.start(Arc::clone(host) as Arc<dyn Host>) {
                Ok(started) => running.push(started),
                Err(error) => {
                    let text = format!("plugin '{plugin}' cannot be started: {error}");
                    if *critical {
                        return Err(Failure::new(text));
                    }
                    logger.log(Group::Lib, 1, text);
                }
            }
        }
        Ok(running)
    };
    let drop_privileges = || privileges::drop_privileges(&account);
    let (running, more) = if account.changes() {
        let running = start()?;
        (running, drop_privileges())
    } else {
        let problems = drop_privileges();
        (start()?, problems)
    };
    problems
        .into_iter()
        .chain(more)
        .for_each(|problem| logger.log(Group::Dmn, 1, problem));
    Ok(running)
}

/// A panic in the loop leaves a half-updated table of SAs, which is worse than a restart. Panics elsewhere fail what
/// they happened in.
fn abort_on_panic(logger: Arc<Logger>) {
    std::panic::set_hook(Box::new(move |panic| {
        let in_loop = thread_number() == 0;
        let consequence = if in_loop {
            "the daemon aborts"
        } else {
            "what it worked at fails"
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
        let settings = load_settings(&self.paths.strongswan_conf())?;
        let (sinks, problems) = targets::open(&settings, &self.legacy);
        self.logger.set_sinks(sinks);
        problems
            .into_iter()
            .for_each(|problem| self.logger.log(Group::Dmn, 0, problem));
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
