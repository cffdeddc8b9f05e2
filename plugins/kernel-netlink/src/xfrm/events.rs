//! Listens for limits that are reached, packets that meet traps, peers that move, and SAs that somebody else moves.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use netlink_packet_core::NetlinkPayload;
use netlink_packet_xfrm::XfrmMessage;
use netlink_packet_xfrm::constants::{
    XFRMNLGRP_ACQUIRE, XFRMNLGRP_EXPIRE, XFRMNLGRP_MAPPING, XFRMNLGRP_MIGRATE,
};
use netlink_packet_xfrm::state::GetDumpMessage;
use netlink_sys::protocols::NETLINK_XFRM;
use nix::poll::PollTimeout;
use nix::sys::eventfd::EventFd;
use plugin_api::kernel::{KernelEvent, KernelMigration};
use plugin_api::log::{CONTROL, DIAGNOSE, Group};
use plugin_api::{Host, PluginError};

use super::migration;
use super::refusal::refused;
use super::sad::{self, Sad};
use crate::connection::{self, Connection, Protocol};
use crate::listener::{Drained, Listening, Worker};

/// How long to wait before a look at everything that failed is tried again.
const RETRY: Duration = Duration::from_millis(100);

struct Listener {
    host: Arc<dyn Host>,
    listening: Listening,
    connection: Arc<Connection<XfrmMessage>>,
    sad: Arc<Mutex<Sad>>,
    /// Messages were lost, and nobody has looked since.
    stale: bool,
}

/// Starts the thread; from the return on nothing goes unnoticed.
///
/// # Errors
///
/// If the system refuses a socket or a thread.
pub(super) fn start(
    host: Arc<dyn Host>,
    connection: Arc<Connection<XfrmMessage>>,
    sad: Arc<Mutex<Sad>>,
    room: u32,
) -> Result<Worker, PluginError> {
    let groups = [
        XFRMNLGRP_ACQUIRE,
        XFRMNLGRP_EXPIRE,
        XFRMNLGRP_MAPPING,
        XFRMNLGRP_MIGRATE,
    ];
    let groups = groups.iter().fold(0, |mask, group| mask | 1 << (group - 1));
    let listening = Listening::open(NETLINK_XFRM, groups, room)
        .map_err(|error| refused("listening for events of IPsec", &error.into()))?;
    let listener = Listener {
        host,
        listening,
        connection,
        sad,
        stale: false,
    };
    Worker::start("netlink-xfrm", move |stop| listener.run(stop))
}

impl Listener {
    fn run(mut self, stop: &EventFd) {
        loop {
            let timeout = if self.stale {
                PollTimeout::try_from(RETRY).unwrap_or(PollTimeout::ZERO)
            } else {
                PollTimeout::NONE
            };
            let outcome = match self.listening.wait(stop, timeout) {
                Ok(true) => return,
                Ok(false) => self.drain(),
                Err(errno) => Err(errno.into()),
            };
            if let Err(error) = outcome {
                let text = format!("listening for events of IPsec failed: {error}, stopping");
                self.host.log(Group::Knl, CONTROL, &text);
                return;
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        let (mut events, mut migrations) = (Vec::new(), Vec::new());
        let sad = &self.sad;
        let drained = self.listening.drain(|octets| {
            if let Some(NetlinkPayload::InnerMessage(message)) = connection::parse(octets) {
                let mut sad = sad.lock().unwrap_or_else(PoisonError::into_inner);
                events.extend(event(&mut sad, &message));
                if let XfrmMessage::Migrate(message) = &message {
                    migrations.extend(migration::migration(message));
                }
            }
        })?;
        events.into_iter().for_each(|event| self.tell(event));
        migrations
            .into_iter()
            .for_each(|migration| self.tell_migration(migration));
        if drained == Drained::Lost || self.stale {
            self.resynchronize();
        }
        Ok(())
    }

    /// Compares what is with what the daemon has been told.
    #[allow(clippy::disallowed_methods)] // the kernel counts by this clock
    fn resynchronize(&mut self) {
        // The lock is held meanwhile, or an SA that comes in between would seem to have gone.
        let mut sad = self.sad.lock().unwrap_or_else(PoisonError::into_inner);
        let all = XfrmMessage::GetDumpSa(GetDumpMessage::default());
        let states = match self.connection.dump(&all) {
            Ok(states) => states,
            Err(error) => {
                let text = format!("listing SAs failed, trying again: {error}");
                self.host.log(Group::Knl, DIAGNOSE, &text);
                self.stale = true;
                return;
            }
        };
        self.stale = false;
        let infos: Vec<_> = states
            .into_iter()
            .filter_map(|mut message| {
                message.wipe();
                match message {
                    XfrmMessage::AddSa(state) => Some(state.user_sa_info),
                    _ => None,
                }
            })
            .collect();
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let events = sad.missed(&infos, now);
        drop(sad);
        let text = "events of IPsec came too fast, looked at all SAs again";
        self.host.log(Group::Knl, DIAGNOSE, text);
        events.into_iter().for_each(|event| self.tell(event));
    }

    fn tell(&self, event: KernelEvent) {
        let text = match &event {
            KernelEvent::Expire { spi, hard, .. } => {
                let limit = if *hard { "hard" } else { "soft" };
                format!("SA with SPI {spi:08x} reached its {limit} limit")
            }
            KernelEvent::Acquire { reqid, src, dst } => {
                format!("received a XFRM_MSG_ACQUIRE for {src} === {dst} with reqid {{{reqid}}}")
            }
            KernelEvent::Mapping { spi, endpoint, .. } => {
                format!("packets of the SA with SPI {spi:08x} come from {endpoint}")
            }
            KernelEvent::Roam { .. } => String::new(),
        };
        self.host.log(Group::Knl, DIAGNOSE, &text);
        self.host.kernel_event(event);
    }

    fn tell_migration(&self, migration: KernelMigration) {
        let KernelMigration { reqid, from, to, .. } = &migration;
        let text = format!(
            "received a XFRM_MSG_MIGRATE from {} - {} to {} - {} with reqid {{{reqid}}}",
            from.0, from.1, to.0, to.1
        );
        self.host.log(Group::Knl, DIAGNOSE, &text);
        self.host.kernel_migrated(migration);
    }
}

fn event(sad: &mut Sad, message: &XfrmMessage) -> Option<KernelEvent> {
    match message {
        XfrmMessage::Expire(message) => sad.expire(&message.expire.state, message.expire.hard != 0),
        XfrmMessage::Acquire(message) => sad.acquire(message),
        XfrmMessage::Mapping(message) => Some(sad::mapping(message)),
        _ => None,
    }
}
