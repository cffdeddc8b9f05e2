//! SAs and policies of the Linux kernel (XFRM), by netlink.
//!
//! [`Xfrm`] is what the daemon sees. [`sa`], [`policy`] and [`selector`] make messages, [`algorithms`] knows names; [`spd`] is
//! the table of policies and their users, [`sad`] that of SAs and what the daemon was told about them; [`events`] listens;
//! [`install`] has the kernel do it, [`tried`] asks what it can compute, [`offload`] hands both to network devices, and [`bypass`] exempts ports.
//! The kernel decrypts and encrypts by itself, so no packet passes here.

mod algorithms;
mod bypass;
mod demands;
mod events;
mod install;
mod migration;
mod offload;
mod policy;
mod probe;
mod refusal;
mod routes;
mod sa;
mod sad;
mod selector;
mod socket;
mod spd;
mod tried;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use iana::Protocol;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_xfrm::XfrmMessage as Message;
use netlink_packet_xfrm::constants::IPSEC_PROTO_ANY;
use netlink_packet_xfrm::policy::{
    FlushMessage as FlushPolicies, NewSpdInfoMessage, SpdHThresh, SpdInfoAttrs,
};
use netlink_packet_xfrm::state::{FlushMessage as FlushSas, ModifyMessage};
use netlink_sys::protocols::NETLINK_XFRM;
use plugin_api::kernel::{
    IPCOMP, KernelFeatures, PolicyAction, PolicyParameters, ReceivedEsp, SaId, SaParameters, SaUsage,
};
use plugin_api::log::{CONTROL, DIAGNOSE, Group};
use plugin_api::{ErrorKind, Host, KernelIpsec, PluginError};

use crate::connection::{self, Connection};
use crate::listener::Worker;
use crate::settings::XfrmSettings;
use bypass::Port;
use install::one_of;
use refusal::refused;
use routes::PolicyRoutes;
use sad::Sad;
use spd::{Change, Outcome, Side, Spd};

pub use demands::Demands;
pub use tried::Tried;

impl connection::Protocol for Message {
    const NUMBER: isize = NETLINK_XFRM;

    fn wipe(&mut self) {
        if let Self::AddSa(state) | Self::UpdateSa(state) = self {
            sa::wipe_all(&mut state.nlas);
        }
    }
}

/// The kernel's IPsec. Its thread ends and its routes go when it is dropped.
pub struct Xfrm {
    host: Arc<dyn Host>,
    connection: Arc<Connection<Message>>,
    settings: XfrmSettings,
    sad: Arc<Mutex<Sad>>,
    policies: Mutex<Policies>,
    _worker: Worker,
}

struct Policies {
    spd: Spd,
    routes: PolicyRoutes,
    interfaces: Interfaces,
    /// Ports that pass.
    ports: Vec<Port>,
}

/// The indices of the interfaces that installed policies are for, which may be gone when the policies go.
type Interfaces = HashMap<spd::Key, i32>;

impl Xfrm {
    /// Asks the kernel whether it has ESP, and listens for its events, all in the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] if it has none. If a setting is invalid, or the system has no netlink socket or thread
    /// for us.
    pub fn new(host: Arc<dyn Host>) -> Result<Self, PluginError> {
        let settings = XfrmSettings::read(&*host)?;
        let connection = open()?;
        let text = match probe::probe(&connection, settings.spi_range.1)? {
            true => "the kernel has ESP for IPv4 and IPv6",
            false => "the kernel has ESP for IPv4 only; load its module esp6 if it has one",
        };
        host.log(Group::Knl, CONTROL, text);
        Self::start(host, settings, connection)
    }

    /// As [`new`](Self::new), for a kernel that may do no more than hold policies and report packets that meet traps.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), but for the lack of ESP.
    pub fn without_esp(host: Arc<dyn Host>) -> Result<Self, PluginError> {
        let settings = XfrmSettings::read(&*host)?;
        Self::start(host, settings, open()?)
    }

    fn start(
        host: Arc<dyn Host>,
        settings: XfrmSettings,
        connection: Connection<Message>,
    ) -> Result<Self, PluginError> {
        let connection = Arc::new(connection);
        let sad = Arc::<Mutex<Sad>>::default();
        let worker = events::start(
            Arc::clone(&host),
            Arc::clone(&connection),
            Arc::clone(&sad),
            settings.receive_buffer_size,
        )?;
        let policies = Policies {
            spd: Spd::default(),
            routes: PolicyRoutes::new(Arc::clone(&host)),
            interfaces: Interfaces::new(),
            ports: Vec::new(),
        };
        let xfrm = Self {
            host,
            connection,
            settings,
            sad,
            policies: Mutex::new(policies),
            _worker: worker,
        };
        xfrm.set_acquire_expires();
        xfrm.set_hash_thresholds();
        Ok(xfrm)
    }

    /// How long the kernel waits for an SA that it has asked for before it asks again.
    fn set_acquire_expires(&self) {
        let path = "/proc/sys/net/core/xfrm_acq_expires";
        if let Err(error) = std::fs::write(path, self.settings.acquire_expires.to_string()) {
            // A container may not write there, and the default is 30 seconds.
            let text = format!(
                "unable to write {path} = {}: {error}",
                self.settings.acquire_expires
            );
            self.host.log(Group::Knl, DIAGNOSE, &text);
        }
    }

    fn set_hash_thresholds(&self) {
        let [v4, v6] = self
            .settings
            .hash_thresholds
            .map(|bits| bits.map(|(lbits, rbits)| SpdHThresh { lbits, rbits }));
        let mut message = NewSpdInfoMessage::default();
        message.nlas.extend(v4.map(SpdInfoAttrs::SpdIpv4HThresh));
        message.nlas.extend(v6.map(SpdInfoAttrs::SpdIpv6HThresh));
        if message.nlas.is_empty() {
            return;
        }
        if let Err(refusal) = self.connection.ask(Message::NewSpdInfo(message), 0) {
            let text = format!("setting charon.plugins.kernel-netlink.spdh_thresh failed: {refusal}");
            self.host.log(Group::Knl, CONTROL, &text);
        }
    }

    fn sad(&self) -> MutexGuard<'_, Sad> {
        self.sad.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn policies(&self) -> MutexGuard<'_, Policies> {
        self.policies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, attempt: impl std::fmt::Display, message: Message, flags: u16) -> Result<(), PluginError> {
        self.connection
            .ask(message, flags)
            .map(drop)
            .map_err(|refusal| refused(attempt, &refusal))
    }

    fn state(&self, id: &SaId, mark: Option<(u32, u32)>) -> Result<ModifyMessage, PluginError> {
        let attempt = || format!("asking for the SA with SPI {:08x}", id.spi);
        let answer = self
            .connection
            .ask(Message::GetSa(sa::named(id, mark)), 0)
            .map_err(|refusal| refused(attempt(), &refusal))?;
        let state = answer.into_iter().find_map(|message| match message {
            Message::AddSa(state) => Some(state),
            _ => None,
        });
        state.ok_or_else(|| {
            PluginError::new(
                ErrorKind::System,
                format!("{}: the kernel says nothing that makes sense", attempt()),
            )
        })
    }

    /// When a packet met one of the policies of an SA, in seconds since 1970. Kernels before 6.2 do not keep that by SA.
    fn policies_used(&self, sa: &sad::Installed) -> Option<u64> {
        let named: Vec<_> = {
            let policies = self.policies();
            let keys = policies.spd.keys(sa.reqid, Side::of_sa(sa.inbound));
            let index = |key: &spd::Key| policies.interfaces.get(key).copied().unwrap_or(0);
            keys.iter().map(|key| policy::named(key, index(key))).collect()
        };
        let used = named.into_iter().filter_map(|named| {
            let answer = self.connection.ask(Message::GetPolicy(named), 0).ok()?;
            answer.into_iter().find_map(|message| match message {
                Message::AddPolicy(policy) => Some(policy.user_policy_info.lifetime_cur.use_time),
                _ => None,
            })
        });
        used.max().filter(|used| *used > 0)
    }

    /// Has the kernel drop packets that need an SA while it is replaced, or not any more. It would ask for another one, and
    /// lose packets until that is given up, minutes later.
    fn hold_policies(&self, reqid: u32, ends: spd::Ends, hold: bool) {
        let mut policies = self.policies();
        let Policies { spd, interfaces, .. } = &mut *policies;
        for (key, mut policy) in spd.outbound(reqid, ends) {
            if hold {
                policy.action = PolicyAction::Drop;
            }
            if let Err(error) = self.apply(interfaces, &key, Change::Update(policy)) {
                let text = format!("a policy cannot wait for its SA: {error}");
                self.host.log(Group::Knl, CONTROL, &text);
            }
        }
    }

    fn move_policies(&self, reqid: u32, old: spd::Ends, new: spd::Ends, side: Side) {
        let mut policies = self.policies();
        let Policies {
            spd,
            routes,
            interfaces,
            ..
        } = &mut *policies;
        for moved in spd.relocate(reqid, old, new, side) {
            if let Err(error) = self.apply(interfaces, &moved.key, moved.change) {
                let text = format!("a policy cannot follow its SA: {error}");
                self.host.log(Group::Knl, CONTROL, &text);
            }
            for (before, now) in moved.pairs {
                routes.add(&now);
                routes.remove(&before);
            }
        }
    }
}

fn open() -> Result<Connection<Message>, PluginError> {
    Connection::open().map_err(|error| match error.raw_os_error() {
        Some(libc::EPROTONOSUPPORT) => PluginError::new(
            ErrorKind::NotSupported,
            "the kernel has no IPsec; load its module xfrm_user if it has one",
        ),
        _ => PluginError::system("opening a netlink socket for IPsec", &error),
    })
}

impl Drop for Xfrm {
    fn drop(&mut self) {
        let mut policies = self.policies();
        policies.routes.clear();
        for message in policies.ports.drain(..).flat_map(Port::remove) {
            // A flush may have taken it.
            let _ = self.connection.ask(Message::DeletePolicy(message), 0);
        }
    }
}

impl KernelIpsec for Xfrm {
    fn features(&self) -> KernelFeatures {
        KernelFeatures {
            require_udp_encap: false,
            tfc: true,
            marks: true,
            interfaces: true,
            hw_offload: true,
        }
    }

    fn knows(&self, protocol: Protocol) -> bool {
        match protocol {
            Protocol::AH | IPCOMP => tried::knows(&self.connection, self.settings.spi_range.1, protocol),
            _ => protocol == Protocol::ESP,
        }
    }

    fn allocate_spi(&self, src: IpAddr, dst: IpAddr, protocol: Protocol) -> Result<u32, PluginError> {
        let (min, max) = match protocol {
            IPCOMP => sa::CPIS,
            _ => self.settings.spi_range,
        };
        let message = sa::allocate(src, dst, protocol, (min, max));
        let answer = self
            .connection
            .ask(Message::AllocSpi(message), 0)
            .map_err(|refusal| match refusal.error.raw_os_error() {
                Some(libc::ENOENT) if protocol == IPCOMP => PluginError::new(
                    ErrorKind::System,
                    format!("no CPI is free between {min:#x} and {max:#x}"),
                ),
                Some(libc::ENOENT) => PluginError::new(
                    ErrorKind::System,
                    format!(
                        "no SPI is free between {min:#x} and {max:#x}; widen charon.spi_min and charon.spi_max"
                    ),
                ),
                _ => refused("reserving an SPI", &refusal),
            })?;
        let spi = answer.iter().find_map(|message| match message {
            // The kernel has always answered with what it made.
            Message::AddSa(state) => Some(state.user_sa_info.id.spi),
            Message::AllocSpi(state) => Some(state.spi_info.info.id.spi),
            _ => None,
        });
        spi.ok_or_else(|| PluginError::new(ErrorKind::System, "reserving an SPI: the kernel names none"))
    }

    fn add_sa(&self, parameters: &SaParameters) -> Result<(), PluginError> {
        let attempts = offload::of_sa(&*self.host, parameters)?;
        // Before the kernel can say anything about it.
        let mut sad = self.sad();
        let asked = sad.answers(parameters);
        one_of(attempts, |offload| self.install_sa(parameters, asked, offload))?;
        self.check_offload(parameters)?;
        sad.add(parameters);
        Ok(())
    }

    fn update_sa(&self, id: &SaId, src: SocketAddr, dst: SocketAddr, encap: bool) -> Result<(), PluginError> {
        let mut sad = self.sad();
        let Some(installed) = sad.get(id).copied() else {
            return Err(PluginError::new(
                ErrorKind::NotFound,
                format!("there is no SA with SPI {:08x}", id.spi),
            ));
        };
        let new_id = SaId {
            src: src.ip(),
            dst: dst.ip(),
            ..id.clone()
        };
        let (at, old) = match self.state(id, installed.mark) {
            // The kernel may have moved it for somebody else, and the daemon follows.
            Err(error) if error.kind == ErrorKind::NotFound && id.dst != new_id.dst => {
                let state = self.state(&new_id, installed.mark).map_err(|_| error)?;
                (&new_id, state)
            }
            state => (id, state?),
        };
        let mut moved = sa::relocated(old.clone(), src, dst, encap, installed.inbound)?;
        if sa::is_offloaded(&moved) {
            let local = if installed.inbound { dst.ip() } else { src.ip() };
            sa::move_to_device(&mut moved, offload::device(&*self.host, local));
        }
        let mut old = Message::AddSa(old);
        let attempt = format!("moving the SA with SPI {:08x}", id.spi);
        let flags = NLM_F_CREATE | NLM_F_EXCL;
        let remove = || self.ask(&attempt, Message::DeleteSa(sa::named(at, installed.mark)), 0);
        let (side, ends) = (Side::of_sa(installed.inbound), (id.src, id.dst));
        // That of IPComp goes ahead of the one around it, which the policies follow. They hold packets until then.
        let goes_ahead = id.protocol == IPCOMP;
        let move_policies = || {
            if ends != (new_id.src, new_id.dst) && !goes_ahead {
                self.move_policies(installed.reqid, ends, (new_id.src, new_id.dst), side);
            }
        };
        if at.dst != new_id.dst {
            // Both fit into the kernel, so that a packet always finds an SA for the policy that it meets.
            connection::Protocol::wipe(&mut old);
            self.ask(&attempt, Message::AddSa(moved), flags)?;
            if goes_ahead && !installed.inbound {
                self.hold_policies(installed.reqid, ends, true);
            }
            sad.relocate(id, &new_id);
            drop(sad);
            move_policies();
            return remove();
        }
        if !installed.inbound {
            self.hold_policies(installed.reqid, ends, true);
        }
        let outcome = remove().and_then(|()| {
            self.ask(&attempt, Message::AddSa(moved), flags).inspect_err(|_| {
                // Where it was it still may serve.
                let restored = self.connection.ask(old.clone(), flags);
                if let Err(refusal) = restored {
                    let text = format!("{attempt}: it cannot be restored either: {refusal}");
                    self.host.log(Group::Knl, CONTROL, &text);
                }
            })
        });
        connection::Protocol::wipe(&mut old);
        if outcome.is_ok() {
            sad.relocate(id, &new_id);
            drop(sad);
            move_policies();
        }
        let holds_on = goes_ahead || ends != (new_id.src, new_id.dst);
        if !installed.inbound && (outcome.is_err() || !holds_on) {
            self.hold_policies(installed.reqid, ends, false);
        }
        outcome
    }

    #[allow(clippy::disallowed_methods)] // the kernel counts by this clock
    fn query_sa(&self, id: &SaId) -> Result<SaUsage, PluginError> {
        let installed = self.sad().get(id).copied();
        let mut state = self.state(id, installed.and_then(|installed| installed.mark))?;
        sa::wipe_all(&mut state.nlas);
        let (mut usage, last_used) = sa::usage(&state);
        if usage.packets > 0 {
            let last_used =
                last_used.or_else(|| installed.and_then(|installed| self.policies_used(&installed)));
            let now = SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default();
            usage.last_use = last_used.map(|last| now.saturating_sub(Duration::from_secs(last)));
        }
        Ok(usage)
    }

    fn delete_sa(&self, id: &SaId) -> Result<(), PluginError> {
        let mut sad = self.sad();
        let mark = sad.get(id).and_then(|installed| installed.mark);
        sad.remove(id);
        let attempt = format!("removing the SA with SPI {:08x}", id.spi);
        self.ask(attempt, Message::DeleteSa(sa::named(id, mark)), 0)
    }

    fn flush_sas(&self) -> Result<(), PluginError> {
        let mut sad = self.sad();
        let message = FlushSas {
            protocol: IPSEC_PROTO_ANY,
        };
        match self.connection.ask(Message::FlushSa(message), 0) {
            Ok(_) => {}
            Err(refusal) if refusal.error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(refusal) => return Err(refused("removing all SAs", &refusal)),
        }
        sad.clear();
        Ok(())
    }

    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        let mut policies = self.policies();
        let Policies {
            spd,
            routes,
            interfaces,
            ..
        } = &mut *policies;
        let Outcome {
            key,
            change,
            turnover,
        } = spd.add(policy);
        if let Err(error) = self.apply(interfaces, &key, change) {
            spd.remove(policy);
            return Err(error);
        }
        if let Some(new) = turnover {
            routes.add(&new);
        }
        Ok(())
    }

    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        let mut policies = self.policies();
        let Policies {
            spd,
            routes,
            interfaces,
            ..
        } = &mut *policies;
        let outcome = spd.remove(policy).ok_or_else(|| {
            PluginError::new(
                ErrorKind::NotFound,
                format!(
                    "no policy for {} === {} with reqid {}",
                    policy.src_ts, policy.dst_ts, policy.reqid
                ),
            )
        })?;
        if let Some(gone) = &outcome.turnover {
            routes.remove(gone);
        }
        self.apply(interfaces, &outcome.key, outcome.change)
    }

    fn flush_policies(&self) -> Result<(), PluginError> {
        let mut policies = self.policies();
        policies.spd.clear();
        policies.routes.clear();
        policies.interfaces.clear();
        match self
            .connection
            .ask(Message::FlushPolicy(FlushPolicies::default()), 0)
        {
            Ok(_) => {}
            Err(refusal) if refusal.error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(refusal) => return Err(refused("removing all policies", &refusal)),
        }
        // Those are of the sockets, not of connections.
        policies
            .ports
            .iter()
            .try_for_each(|port| self.install_port(*port))
    }

    fn bypass_socket(&self, socket: RawFd, ipv6: bool) -> Result<(), PluginError> {
        if self.settings.port_bypass {
            let port = Port::of(socket, ipv6)
                .map_err(|error| PluginError::system("asking a socket for its port", &error))?;
            let mut policies = self.policies();
            self.install_port(port)?;
            policies.ports.push(port);
            return Ok(());
        }
        socket::bypass(socket, ipv6).map_err(|error| refused("setting a policy of the socket", &error.into()))
    }

    fn enable_udp_decap(&self, socket: RawFd, _ipv6: bool, port: u16) -> Result<(), PluginError> {
        socket::decapsulate(socket)
            .map_err(|error| refused(format!("setting UDP_ENCAP on UDP port {port}"), &error.into()))
    }

    /// The kernel decrypts by itself; what comes here it has not recognized as ESP.
    fn receive_esp(&self, _received: &ReceivedEsp, _packets: &mut [u8]) {}
}
