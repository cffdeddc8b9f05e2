//! A responder on a host of its own, and the load generator on another, with a cable between them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crypto::registry::Registry;
use xtask::netns::{Namespace, Network};

use crate::bench::Bench;
use crate::hosts::{Daemon, Kind, Options};
use crate::load::{self, Generator};
use crate::usage;

/// The responder's address.
pub(crate) const MOON: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 2);
/// The generator's.
pub(crate) const CAROL: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 3);

/// Settings of a responder whose strangers all come from one address.
pub(crate) const TRUSTING: &str = "dos_protection = no";
/// Settings of the walk-through: private-use algorithms, long messages.
pub(crate) const LONG: &str = "send_vendor_id = yes\n max_packet = 30000\n fragment_size = 1480";

/// See the module.
pub(crate) struct Field {
    /// The responder.
    pub(crate) daemon: Daemon,
    /// Who loads it.
    pub(crate) generator: Generator,
    /// The responder's host.
    pub(crate) moon: Arc<Namespace>,
    /// The generator's host.
    pub(crate) carol: Arc<Namespace>,
}

impl Field {
    /// A responder that takes these proposals, alone on the last processor if there is more than one.
    ///
    /// # Errors
    ///
    /// Without root, or if a daemon does not start.
    pub(crate) fn new(
        bench: &Bench,
        registry: &Arc<Registry>,
        kind: Kind,
        proposals: &[String],
        settings: &str,
    ) -> Result<Self, String> {
        let Network { moon, carol } = Network::new()?;
        let hosts = (Arc::new(moon), Arc::new(carol));
        Self::on(bench, registry, kind, proposals, settings, hosts)
    }

    /// The same on hosts that are joined by something else.
    ///
    /// # Errors
    ///
    /// See above.
    pub(crate) fn on(
        bench: &Bench,
        registry: &Arc<Registry>,
        kind: Kind,
        proposals: &[String],
        settings: &str,
        (moon, carol): (Arc<Namespace>, Arc<Namespace>),
    ) -> Result<Self, String> {
        let settings = format!("{LONG}\n {settings}");
        let options = Options {
            settings,
            ..Options::default()
        };
        let conf = load::gateway(proposals);
        Self::configured(bench, registry, kind, &options, &conf, (moon, carol))
    }

    /// The same with a swanctl.conf and options of its own.
    ///
    /// # Errors
    ///
    /// See above.
    pub(crate) fn configured(
        bench: &Bench,
        registry: &Arc<Registry>,
        kind: Kind,
        options: &Options,
        conf: &str,
        (moon, carol): (Arc<Namespace>, Arc<Namespace>),
    ) -> Result<Self, String> {
        let daemon = Daemon::start(bench, kind, &moon, options)?;
        daemon.configure(conf)?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        if cpus > 1 {
            usage::pin_all(daemon.pid(), &[cpus - 1])?;
        }
        Ok(Self {
            generator: Generator::new(registry, &carol, CAROL, MOON, (bench.seed, 1))?,
            daemon,
            moon,
            carol,
        })
    }

    /// The responder's time on a processor so far.
    ///
    /// # Errors
    ///
    /// If it has ended.
    pub(crate) fn responder_time(&self) -> Result<Duration, String> {
        usage::processor_time(self.daemon.pid()).map_err(|error| format!("{error}\n{}", self.daemon.said()))
    }
}
