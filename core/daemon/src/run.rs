//! The loop: waits for inputs, feeds the state machine, and does what it says, in order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use ike::{Endpoint, Event, JobId, JobResult, Output, ScriptRun};
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{ErrorKind, Host};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::bus::Bus;
use crate::commands::Operations;
use crate::commands::names::Names;
use crate::commands::sas::Describe;
use crate::controls::Controls;
use crate::host::DaemonHost;
use crate::input::{self, Command, Input};
use crate::jobs::{Pool, Submitted};
use crate::kernel::Kernel;
use crate::loaded::LoadedPlugins;
use crate::log::Logger;
use crate::log::targets::Legacy;
use crate::net::{Inbox, Message, Receiver, Sockets};
use crate::paths::Paths;
use crate::scripts::{self, When};
use crate::sources::Sources;
use crate::supervisor::Supervisor;
use crate::turn::Turn;

/// The running daemon. Only the loop's thread touches it.
pub struct Daemon {
    pub(crate) endpoint: Endpoint,
    pub(crate) kernel: Kernel,
    pub(crate) sockets: Arc<Sockets>,
    pub(crate) pool: Pool,
    pub(crate) host: Arc<DaemonHost>,
    pub(crate) logger: Arc<Logger>,
    pub(crate) bus: Bus,
    pub(crate) operations: Operations,
    /// What names in connections stand for.
    pub(crate) names: Names,
    /// Certificates, private keys and authorities.
    pub(crate) credentials: credentials::Store,
    pub(crate) plugins: LoadedPlugins,
    pub(crate) paths: Paths,
    pub(crate) legacy: Legacy,
    pub(crate) supervisor: Supervisor,
    /// `charon.threads`, which is only reported.
    pub(crate) threads: usize,
    pub(crate) started: (Instant, SystemTime),
    /// For threads that answer to the loop.
    pub(crate) input: input::Sender,
    /// Control plugins.
    pub(crate) controls: Controls,
    pub(crate) receiver: Option<Receiver>,
}

/// What the loop waits for, besides time and signals.
pub struct Inputs {
    /// Everything but datagrams.
    pub input: input::Receiver,
    /// IKE messages that came where ESP does.
    pub messages: mpsc::Receiver<Message<Vec<u8>>>,
}

impl Daemon {
    /// Runs until a signal says to stop. `ready` is called once signals are handled.
    ///
    /// # Errors
    ///
    /// If signals cannot be handled or sockets not be watched.
    pub async fn run(mut self, mut inputs: Inputs, ready: impl FnOnce()) -> std::io::Result<()> {
        let mut hangup = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut inbox = Inbox::open(Arc::clone(&self.sockets))?;
        self.endpoint.set_looks_names_up(true);
        // Whoever waits for the start finds in the log what it was like.
        self.logger.flush();
        ready();
        self.supervisor.ready();
        scripts::run(&self.host.settings(), When::Start, &self.logger, || {});
        let (mut stopping, mut turn) = (false, Turn::default());
        let input = &mut inputs.input;
        loop {
            self.drain();
            let commands_wait = turn.commands_wait(Instant::now());
            if commands_wait.is_none()
                && !turn.is_idle()
                && let Some(command) = input.commands.try_next()
            {
                self.run_command(&command, &mut turn);
                see_what_came().await;
                continue;
            }
            let wakeup = self.next_wakeup().into_iter().chain(commands_wait).min();
            tokio::select! {
                // What peers wait for comes before what clients wait for, within limits: see `turn`.
                biased;
                _ = terminate.recv() => {
                    self.logger.log(Group::Dmn, 1, "SIGTERM received, shutting down");
                    if !self.stop(&mut stopping) { break; }
                }
                _ = interrupt.recv() => {
                    self.logger.log(Group::Dmn, 1, "SIGINT received, shutting down");
                    if !self.stop(&mut stopping) { break; }
                }
                _ = hangup.recv() => {
                    self.logger.log(Group::Dmn, 1, "signal of type SIGHUP received. Reloading configuration");
                    // What went wrong is in the log.
                    let _ = self.reload_settings();
                }
                Some(input) = input.others.recv() => {
                    if matches!(input, Input::Stopped) { break; }
                    turn.other();
                    self.handle(input);
                }
                at = inbox.wait() => {
                    turn.other();
                    self.receive(&mut inbox, at);
                    // Those who come by the thread take turns with all others.
                    if let Ok(message) = inputs.messages.try_recv() {
                        self.drain();
                        self.handle_message(message.local, message.remote, &message.octets);
                    }
                }
                Some(message) = inputs.messages.recv() => {
                    turn.other();
                    self.refresh_listeners();
                    self.handle_message(message.local, message.remote, &message.octets);
                }
                Some(command) = input.commands.next(), if commands_wait.is_none() => {
                    self.run_command(&command, &mut turn);
                    see_what_came().await;
                }
                () = sleep_until(wakeup) => {}
            }
            self.handle_timers();
        }
        self.bus.shutdown();
        self.endpoint.shutdown(Instant::now());
        self.drain();
        while self.endpoint.awaits_scripts() {
            tokio::select! {
                biased;
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                Some(input) = input.others.recv() => {
                    if let Input::ScriptDone(number) = input {
                        self.script_done(number);
                    }
                }
                () = sleep_until(self.next_wakeup()) => self.handle_timers(),
            }
            self.drain();
        }
        self.shut_down();
        Ok(())
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        Instant::now()
    }

    /// What sections of SAs are made with.
    pub(crate) fn describe(&self) -> Describe<'_> {
        Describe {
            registry: self.endpoint.registry(),
            now: self.now(),
            kernel: self.kernel.backend().as_ref(),
        }
    }

    /// Tells the state machine which lines anybody reads.
    pub(crate) fn apply_log_levels(&mut self) {
        let streamed = self.operations.loglevel();
        let logger = &self.logger;
        self.endpoint
            .set_log_levels(|group| logger.level(group).max(streamed));
    }

    /// The addresses that peers may reach this host by.
    pub(crate) fn listening_addresses(&self) -> Vec<IpAddr> {
        let Some(Ok(addresses)) = self.host.kernel_net().map(|net| net.addresses()) else {
            return Vec::new();
        };
        let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let usable = addresses
            .into_iter()
            .filter(|own| own.up && !own.loopback && !own.is_virtual);
        usable
            .map(|own| own.address)
            .filter(|ip| !link_local(ip))
            .collect()
    }

    /// Does what the state machine wants, to the end.
    pub(crate) fn drain(&mut self) {
        let mut sources = None;
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    if let Err(error) = self.sockets.send(&transmit) {
                        let text = format!("sending to {} failed: {error}", transmit.remote);
                        self.logger.log(Group::Net, 1, text);
                    }
                }
                Output::Job(id, job) => match self.pool.submit(id, job, self.endpoint.beneficiary(id)) {
                    Submitted::Done(result) => self.job_done(id, result),
                    Submitted::Queued => {}
                    Submitted::Overload(id) => self.endpoint.handle_overload(Instant::now(), id),
                },
                Output::Kernel(id, ops) => {
                    // It may change addresses and routes.
                    sources = None;
                    let result = self.kernel.execute(ops);
                    self.endpoint.handle_kernel_done(Instant::now(), id, result);
                }
                Output::FindSources(id, destinations) => {
                    let sources = sources.get_or_insert_with(|| Sources::new(self.host.kernel_net()));
                    let found = sources.find(&destinations);
                    self.endpoint.handle_sources(Instant::now(), id, &found);
                }
                Output::Event(Event::Scripts(run)) => self.run_scripts(&run),
                Output::Event(event) => {
                    let describe = Describe {
                        registry: self.endpoint.registry(),
                        now: Instant::now(),
                        kernel: self.kernel.backend().as_ref(),
                    };
                    self.bus.event(&event, describe);
                }
                Output::CommandDone(id, result) => self.command_done(id, result),
                Output::CommandMoved(id, sa) => self.operations.moved(id, sa),
                Output::Resolve(sa, peer) => self.find_way(sa, &peer),
                Output::Log(line) => {
                    self.operations.log(&line);
                    self.logger.write(line);
                }
            }
        }
        for id in self.endpoint.take_abandoned_jobs() {
            self.pool.forget(id);
        }
        self.endpoint.set_job_load(self.pool.load().0);
    }

    fn run_scripts(&mut self, run: &ScriptRun) {
        let net = self.host.kernel_net();
        let interface = |remote| {
            net.as_ref()
                .and_then(|net| net.next_hop(remote, None).ok())
                .map(|hop| hop.interface)
        };
        if !self.bus.run_scripts(run, &interface) {
            self.endpoint.handle_scripts_done(Instant::now(), run.id);
        }
    }

    fn script_done(&mut self, number: u64) {
        if let Some(run) = self.bus.script_done(number) {
            self.endpoint.handle_scripts_done(Instant::now(), run);
        }
    }

    fn handle(&mut self, input: Input) {
        self.refresh_listeners();
        match input {
            Input::Job(id, result) => self.job_done(id, result),
            Input::Kernel(event) => {
                if event == (KernelEvent::Roam { address: true }) {
                    self.endpoint.set_local_addresses(self.listening_addresses());
                }
                let moved = matches!(event, KernelEvent::Roam { .. });
                if moved {
                    // Routes into tunnels are from these.
                    self.kernel.addresses.follow_routes();
                }
                self.endpoint.handle_kernel_event(Instant::now(), event);
                if moved {
                    self.move_traps();
                }
            }
            Input::Migrated(migration) => self.endpoint.handle_migration(Instant::now(), &migration),
            Input::Resolved(operation, names) => self.resolved(operation, &names),
            Input::WayFound(sa, peer, names) => self.way_found(sa, &peer, &names),
            Input::Named(name, addresses) => self.name_resolved(&name, addresses),
            Input::Log(record) => self.bus.log(&record),
            Input::ScriptDone(number) => self.script_done(number),
            // The loop looks for it.
            Input::Stopped => {}
        }
    }

    fn job_done(&mut self, id: JobId, result: JobResult) {
        if let Err(error) = &result
            && error.kind == ErrorKind::Panicked
        {
            self.logger
                .log(Group::Lib, 0, format!("BUG in a plugin: {error}"));
        }
        self.endpoint.handle_done(Instant::now(), id, result);
    }

    fn run_command(&mut self, command: &Command, turn: &mut Turn) {
        let began = Instant::now();
        self.refresh_listeners();
        self.command(&command.verb, &command.message, &command.reply);
        self.drain();
        let now = Instant::now();
        turn.command_took(now.saturating_duration_since(began), now);
    }

    /// Receives at once what has come, as much as fits in a batch.
    fn receive(&mut self, inbox: &mut Inbox, at: usize) {
        self.refresh_listeners();
        let (kernel, logger) = (Arc::clone(self.kernel.backend()), Arc::clone(&self.logger));
        inbox.take(at, kernel.as_ref(), &logger, |message| {
            self.handle_message(message.local, message.remote, message.octets);
            self.drain();
        });
        let dropped = self.sockets.take_dropped();
        if dropped > 0 {
            let text = format!("dropped {dropped} IKE messages that came faster than they could be handled");
            self.logger.log(Group::Net, 1, text);
        }
    }

    fn handle_message(&mut self, local: SocketAddr, remote: SocketAddr, octets: &[u8]) {
        self.endpoint
            .handle_datagram(Instant::now(), local, remote, octets);
    }

    fn handle_timers(&mut self) {
        let now = Instant::now();
        if self.endpoint.poll_timeout().is_some_and(|(when, _)| when <= now) {
            self.endpoint.handle_timeout(now);
        }
        if self.operations.deadline().is_some_and(|when| when <= now) {
            self.expire_operations(now);
        }
        self.look_up_wanted_names(now);
        if self.names.deadline().is_some_and(|when| when <= now) {
            self.look_up_names(now);
        }
        if self.logger.deadline().is_some_and(|when| when <= now) {
            self.logger.give_up();
        }
    }

    fn next_wakeup(&self) -> Option<Instant> {
        [
            self.endpoint.poll_timeout().map(|(when, _)| when),
            self.operations.deadline(),
            self.names.deadline(),
            self.logger.deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Clients come and go; asking costs less than a message about it would.
    fn refresh_listeners(&mut self) {
        self.bus.refresh();
        self.endpoint.set_watched(self.bus.is_watched());
        self.endpoint.set_scripts(self.bus.patience());
        let wanted = self.bus.wants("log");
        if self.logger.observe(wanted) {
            self.apply_log_levels();
        }
    }

    /// Starts the scripts that come before the end. There is nothing to wait for if there are none, or if somebody cannot
    /// wait for them and asks again.
    fn stop(&self, stopping: &mut bool) -> bool {
        let input = self.input.clone();
        let stopped = move || input.send(Input::Stopped);
        self.supervisor.stopping();
        !std::mem::replace(stopping, true)
            && scripts::run(&self.host.settings(), When::Stop, &self.logger, stopped)
    }

    fn shut_down(mut self) {
        self.operations.abandon();
        // Answers come before the end of those who wait for them.
        self.logger.flush();
        self.logger.give_up();
        self.controls.stop();
        drop(self.receiver.take());
        self.kernel.flush();
        // Listeners end with their last scripts.
        self.bus = Bus::default();
    }
}

/// Has the runtime look for datagrams and signals, which it does only when there is nothing else to do; while clients ask
/// without a pause there always is.
async fn see_what_came() {
    tokio::task::yield_now().await;
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}
