//! Two namespaces, a cable, and a back end with a UDP socket in each: what the daemon would be around the plugin.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use charon_kernel_libipsec::backend::Libipsec;
use charon_kernel_libipsec::drops::Reason;
use iana::{EncryptionAlgorithm, Protocol, TrafficSelector};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use plugin_api::kernel::{
    CopyDscp, Direction, KernelEvent, PolicyAction, PolicyParameters, PolicyPriority, ReceivedEsp, SaId,
    SaLifetime, SaMode, SaOptions, SaParameters, SaUsage, UdpEncap,
};
use plugin_api::log::Group;
use plugin_api::{Host, KernelIpsec, KernelNet, Reply, Secret};

pub(crate) type Side = usize;
pub(crate) const CAROL: Side = 0;
pub(crate) const MOON: Side = 1;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What to install on both sides.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tunnel {
    pub(crate) generation: u32,
    pub(crate) lifetime: SaLifetime,
    pub(crate) moons_view_of_carol: Option<IpAddr>,
    pub(crate) copy_dscp: CopyDscp,
    /// Whether everything goes into the tunnel, the peer's outer address included.
    pub(crate) everything: bool,
}

#[derive(Default)]
struct Daemon {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    events: Vec<KernelEvent>,
    taken: usize,
    last: Option<(SocketAddr, SocketAddr, Vec<u8>)>,
    /// DSCP and ECN that the last packet had on its way.
    last_tos: u8,
    /// Whether a router on the way is congested and says so.
    congested: bool,
}

impl Host for Daemon {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }

    fn log(&self, group: Group, level: i8, message: &str) {
        self.state
            .lock()
            .unwrap()
            .lines
            .push(format!("{group}{level} {message}"));
        self.changed.notify_all();
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, event: KernelEvent) {
        self.state.lock().expect("no panic before").events.push(event);
        self.changed.notify_all();
    }

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

/// A thread that lives in a namespace; what it starts lives there too.
struct Namespace {
    file: std::fs::File,
}

impl Namespace {
    fn new() -> Self {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a namespace of its own");
            std::fs::File::open("/proc/thread-self/ns/net").expect("its file")
        });
        Self {
            file: made.join().expect("a namespace"),
        }
    }

    fn spawn<T: Send + 'static>(&self, run: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let file = self.file.try_clone().expect("a copy");
        thread::spawn(move || {
            setns(file, CloneFlags::CLONE_NEWNET).expect("the namespace");
            run()
        })
    }

    fn ip(&self, arguments: &str) {
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let output = self.spawn(move || {
            let output = Command::new("ip")
                .args(&arguments)
                .output()
                .expect("the ip command");
            (output.status.success(), arguments, output.stderr)
        });
        let (success, arguments, stderr) = output.join().expect("run");
        assert!(success, "ip {arguments:?}: {}", String::from_utf8_lossy(&stderr));
    }
}

struct Machine {
    namespace: Namespace,
    daemon: Arc<Daemon>,
    backend: Arc<Libipsec>,
    receivers: Mutex<Vec<Receiver>>,
}

struct Receiver {
    socket: Arc<UdpSocket>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, SeqCst);
        let port = self.socket.local_addr().expect("bound").port();
        // Its own datagram wakes the thread.
        let _ = self.socket.send_to(
            &[0xff],
            self.socket.local_addr().unwrap_or_else(|_| ([0; 4], port).into()),
        );
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the receiver");
        }
    }
}

/// Receives a datagram with its sender and the DSCP and ECN of its header; or several, of equal length but the last, with
/// that length.
pub(crate) fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> nix::Result<(usize, SocketAddr, u8, usize)> {
    use std::os::fd::AsRawFd;
    let mut control = nix::cmsg_space!(u8, i32);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let message = recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let tos = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4Tos(tos) => Some(tos),
        _ => None,
    });
    let segment = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::UdpGroSegments(octets) => usize::try_from(octets).ok(),
        _ => None,
    });
    let sender = message.address.expect("a sender");
    let sender = SocketAddr::new(sender.ip().into(), sender.port());
    Ok((
        message.bytes,
        sender,
        tos.unwrap_or(0),
        segment.unwrap_or(message.bytes),
    ))
}

pub(crate) struct World {
    hosts: [Machine; 2],
}

impl World {
    /// Two hosts, or none without root.
    pub(crate) fn new(name: &str) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{name} needs root");
            println!("{name}: skipped, it needs root for network namespaces");
            return None;
        }
        let namespaces = [Namespace::new(), Namespace::new()];
        use std::os::fd::AsRawFd;
        let moon = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            namespaces[MOON].file.as_raw_fd()
        );
        namespaces[CAROL].ip(&format!("link add eth0 type veth peer name eth0 netns {moon}"));
        for (side, namespace) in namespaces.iter().enumerate() {
            namespace.ip("link set lo up");
            namespace.ip(&format!("addr add {}/24 dev eth0", outer(side)));
            namespace.ip("link set eth0 up");
        }
        let hosts = namespaces.map(|namespace| {
            let daemon = Arc::new(Daemon::default());
            let own = Arc::clone(&daemon);
            let backend = namespace
                .spawn(move || Libipsec::new(own).expect("a TUN device"))
                .join()
                .expect("started");
            Machine {
                namespace,
                daemon,
                backend: Arc::new(backend),
                receivers: Mutex::default(),
            }
        });
        let world = Self { hosts };
        for side in [CAROL, MOON] {
            let namespace = &world.hosts[side].namespace;
            let device = world.hosts[side].backend.device();
            namespace.ip(&format!("addr add {}/32 dev {device}", inner(side)));
            namespace.ip(&format!(
                "route add {}/16 dev {device} src {}",
                network(1 - side),
                inner(side)
            ));
            let (own, peers) = (inner_v6(side), network_v6(1 - side));
            namespace.ip(&format!("addr add {own}/128 dev {device} nodad"));
            namespace.ip(&format!("route add {peers}/32 dev {device} src {own}"));
            world.open_socket(side, 4500);
        }
        Some(world)
    }

    pub(crate) fn inner_address(&self, side: Side) -> IpAddr {
        inner(side)
    }

    pub(crate) fn inner_address_v6(&self, side: Side) -> IpAddr {
        inner_v6(side)
    }

    /// Packets that a side's back end handed to its kernel.
    pub(crate) fn handed_over(&self, side: Side) -> u64 {
        let device = self.hosts[side].backend.device();
        let path = format!("/sys/class/net/{device}/statistics/rx_packets");
        let shown = self.within(side, move || {
            // Of the network namespace of whoever mounts it.
            let script = format!("mount -t sysfs none /sys && cat {path}");
            Command::new("unshare").args(["-m", "sh", "-c", &script]).output()
        });
        let shown = shown.expect("unshare");
        let text = String::from_utf8_lossy(&shown.stdout);
        text.trim()
            .parse()
            .unwrap_or_else(|error| panic!("{error}: {shown:?}"))
    }

    /// What an operator does who lets the peer's own packets run into the tunnel.
    pub(crate) fn route_peer_into_tunnel(&self, side: Side) {
        let machine = &self.hosts[side];
        machine.namespace.ip(&format!(
            "route add {}/32 dev {}",
            outer(1 - side),
            machine.backend.device()
        ));
    }

    pub(crate) fn backend(&self, side: Side) -> &Libipsec {
        &self.hosts[side].backend
    }

    pub(crate) fn within<T: Send + 'static>(
        &self,
        side: Side,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        self.spawn(side, run).join().expect("run")
    }

    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        side: Side,
        run: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.hosts[side].namespace.spawn(run)
    }

    pub(crate) fn ping(&self, from: Side, to: Side) -> bool {
        let target = inner(to).to_string();
        // The counters of ping itself are enough: -c 3 fails if none comes back.
        let run = move || {
            Command::new("ping")
                .args(["-c", "3", "-i", "0.05", "-W", "5", &target])
                .output()
        };
        match self.within(from, run) {
            Ok(output) => output.status.success(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("no ping command here; UDP has passed");
                true
            }
            Err(error) => panic!("ping: {error}"),
        }
    }

    /// Gives a side's back end a socket, and the back end what the socket receives.
    fn open_socket(&self, side: Side, port: u16) -> u16 {
        use std::os::fd::AsRawFd;
        let host = &self.hosts[side];
        let address = SocketAddr::new(outer(side), port);
        let socket = Arc::new(self.within(side, move || UdpSocket::bind(address).expect("a socket")));
        setsockopt(&socket, sockopt::IpRecvTos, &true).expect("an option");
        setsockopt(&socket, sockopt::UdpGroSegment, &true).expect("an option");
        let local = socket.local_addr().expect("bound");
        host.backend
            .enable_udp_decap(socket.as_raw_fd(), false, 4500)
            .expect("taken");
        let stop = Arc::new(AtomicBool::new(false));
        let (own, backend, daemon, stopped) = (
            Arc::clone(&socket),
            Arc::clone(&host.backend),
            Arc::clone(&host.daemon),
            Arc::clone(&stop),
        );
        let thread = thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok((len, remote, mut tos, segment)) = receive(&own, &mut buffer) {
                if stopped.load(SeqCst) {
                    return;
                }
                let mut state = daemon.state.lock().expect("no panic before");
                let last = buffer[..len].chunks(segment.max(1)).next_back();
                state.last = last.map(|last| (local, remote, last.to_vec()));
                state.last_tos = tos;
                if state.congested {
                    tos |= 0b11;
                }
                drop(state);
                let received = ReceivedEsp {
                    local,
                    remote,
                    tos,
                    segment,
                };
                backend.receive_esp(&received, &mut buffer[..len]);
            }
        });
        host.receivers.lock().expect("no panic before").push(Receiver {
            socket,
            stop,
            thread: Some(thread),
        });
        local.port()
    }

    /// Lets a side send from another port, as a NAT would after it forgot.
    pub(crate) fn move_socket(&self, side: Side) -> u16 {
        self.open_socket(side, 0)
    }

    /// A router on the way to a side is congested, and says so instead of dropping.
    pub(crate) fn congest(&self, side: Side) {
        let mut state = self.hosts[side].daemon.state.lock().expect("no panic before");
        state.congested = true;
    }

    /// DSCP and ECN of the last outer header that came to a side.
    pub(crate) fn last_tos(&self, side: Side) -> u8 {
        self.hosts[side]
            .daemon
            .state
            .lock()
            .expect("no panic before")
            .last_tos
    }

    pub(crate) fn last_packet(&self, side: Side) -> (SocketAddr, SocketAddr, Vec<u8>) {
        self.hosts[side]
            .daemon
            .state
            .lock()
            .unwrap()
            .last
            .clone()
            .expect("a packet")
    }

    pub(crate) fn install(&self, tunnel: Tunnel) {
        for side in [CAROL, MOON] {
            let backend = &self.hosts[side].backend;
            for from in [CAROL, MOON] {
                backend.add_sa(&sa(side, from, &tunnel)).expect("installed");
            }
            for direction in [Direction::In, Direction::Out] {
                backend
                    .add_policy(&policy(side, direction, &tunnel))
                    .expect("installed");
                backend
                    .add_policy(&policy_v6(side, direction, &tunnel))
                    .expect("installed");
            }
        }
    }

    pub(crate) fn uninstall(&self, tunnel: Tunnel) {
        for side in [CAROL, MOON] {
            let backend = &self.hosts[side].backend;
            for direction in [Direction::In, Direction::Out] {
                backend
                    .delete_policy(&policy(side, direction, &tunnel))
                    .expect("there");
                backend
                    .delete_policy(&policy_v6(side, direction, &tunnel))
                    .expect("there");
            }
            for from in [CAROL, MOON] {
                backend.delete_sa(&sa(side, from, &tunnel).id).expect("there");
            }
        }
    }

    pub(crate) fn install_trap(&self, side: Side) {
        let mut trap = policy(side, Direction::Out, &Tunnel::default());
        (trap.priority, trap.spi) = (PolicyPriority::Routed, 0);
        self.hosts[side].backend.add_policy(&trap).expect("installed");
    }

    /// Tells a side that its peer sends from another port now.
    pub(crate) fn follow(&self, side: Side, port: u16) {
        let (own, peer) = (
            SocketAddr::new(outer(side), 4500),
            SocketAddr::new(outer(1 - side), port),
        );
        let backend = &self.hosts[side].backend;
        let outbound = sa(side, side, &Tunnel::default()).id;
        backend.update_sa(&outbound, own, peer, true).expect("moved");
        let inbound = sa(side, 1 - side, &Tunnel::default()).id;
        backend.update_sa(&inbound, peer, own, true).expect("moved");
    }

    /// What the SA that carries packets from `from` carried, as `side` counts.
    pub(crate) fn usage(&self, side: Side, from: Side) -> SaUsage {
        self.usage_of(side, from, 0)
    }

    pub(crate) fn usage_of(&self, side: Side, from: Side, generation: u32) -> SaUsage {
        let id = sa(
            side,
            from,
            &Tunnel {
                generation,
                ..Tunnel::default()
            },
        )
        .id;
        self.hosts[side].backend.query_sa(&id).expect("an SA")
    }

    pub(crate) fn events(&self, side: Side) -> Vec<KernelEvent> {
        self.hosts[side]
            .daemon
            .state
            .lock()
            .expect("no panic before")
            .events
            .clone()
    }

    /// The next event that was not taken yet.
    pub(crate) fn next_event(&self, side: Side) -> KernelEvent {
        self.wait_until(side, |state| {
            let event = state.events.get(state.taken).cloned()?;
            state.taken += 1;
            Some(event)
        })
    }

    pub(crate) fn wait_for(&self, side: Side, wanted: impl Fn(&KernelEvent) -> bool) {
        self.wait_until(side, |state| state.events.iter().any(&wanted).then_some(()));
    }

    /// Waits for the first packet dropped for a reason: each reason's first has a log line.
    pub(crate) fn wait_for_drop(&self, side: Side, reason: Reason) {
        let drops = self.hosts[side].backend.drops();
        self.wait_until(side, |_| (drops.total(reason) > 0).then_some(()));
    }

    pub(crate) fn log_has(&self, side: Side, text: &str) -> bool {
        self.hosts[side]
            .daemon
            .state
            .lock()
            .unwrap()
            .lines
            .iter()
            .any(|line| line.contains(text))
    }

    pub(crate) fn logs(&self) -> String {
        let side = |side: Side| {
            self.hosts[side]
                .daemon
                .state
                .lock()
                .expect("no panic before")
                .lines
                .join("\n  ")
        };
        format!("carol:\n  {}\nmoon:\n  {}", side(CAROL), side(MOON))
    }

    fn wait_until<T>(&self, side: Side, mut found: impl FnMut(&mut State) -> Option<T>) -> T {
        let daemon = &self.hosts[side].daemon;
        let mut state = daemon.state.lock().expect("no panic before");
        let end = Instant::now() + TIMEOUT;
        loop {
            if let Some(found) = found(&mut state) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "nothing came; lines: {:?}, events: {:?}",
                state.lines,
                state.events
            );
            state = daemon
                .changed
                .wait_timeout(state, left)
                .expect("no panic before")
                .0;
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for host in &self.hosts {
            host.receivers.lock().expect("no panic before").clear();
            assert_eq!(
                Arc::strong_count(&host.backend),
                1,
                "dropping it stops its threads"
            );
        }
    }
}

fn outer(side: Side) -> IpAddr {
    [192, 168, 0, 3 - side as u8].into()
}

fn network(side: Side) -> IpAddr {
    [10, 3 - 2 * side as u8, 0, 0].into()
}

fn inner(side: Side) -> IpAddr {
    [10, 3 - 2 * side as u8, 0, 1].into()
}

fn network_v6(side: Side) -> IpAddr {
    IpAddr::from([0xfd00, side as u16 + 1, 0, 0, 0, 0, 0, 0])
}

fn inner_v6(side: Side) -> IpAddr {
    IpAddr::from([0xfd00, side as u16 + 1, 0, 0, 0, 0, 0, 1])
}

fn sa(side: Side, from: Side, tunnel: &Tunnel) -> SaParameters {
    let generation = tunnel.generation as u8;
    let mut src_ts = TrafficSelector::subnet(network(from), 16);
    if let (MOON, CAROL, Some(address)) = (side, from, tunnel.moons_view_of_carol) {
        src_ts = TrafficSelector::subnet(address, 16);
    }
    SaParameters {
        id: SaId {
            src: outer(from),
            dst: outer(1 - from),
            spi: 0xc000_0000 + from as u32 + 2 * tunnel.generation,
            protocol: Protocol::ESP,
        },
        inbound: side != from,
        reqid: 1,
        mode: SaMode::Tunnel,
        src_ts: vec![src_ts, TrafficSelector::subnet(network_v6(from), 32)],
        dst_ts: vec![
            TrafficSelector::subnet(network(1 - from), 16),
            TrafficSelector::subnet(network_v6(1 - from), 32),
        ],
        encryption: EncryptionAlgorithm::AES_GCM_16,
        encryption_key: Secret::new(vec![from as u8 + 2 * generation; 36]),
        integrity: None,
        integrity_key: Secret::default(),
        encap: Some(UdpEncap {
            src_port: 4500,
            dst_port: 4500,
        }),
        esn: tunnel.generation == 1,
        replay_window: 1024,
        lifetime: tunnel.lifetime,
        tfc: 0,
        mark: None,
        options: SaOptions {
            copy_dscp: tunnel.copy_dscp,
            ..SaOptions::default()
        },
    }
}

fn policy_v6(side: Side, direction: Direction, tunnel: &Tunnel) -> PolicyParameters {
    let from = if direction == Direction::Out {
        side
    } else {
        1 - side
    };
    PolicyParameters {
        src_ts: TrafficSelector::subnet(network_v6(from), 32),
        dst_ts: TrafficSelector::subnet(network_v6(1 - from), 32),
        ..policy(side, direction, tunnel)
    }
}

fn policy(side: Side, direction: Direction, tunnel: &Tunnel) -> PolicyParameters {
    let from = if direction == Direction::Out {
        side
    } else {
        1 - side
    };
    if tunnel.everything && direction == Direction::Out {
        let all = TrafficSelector::subnet([0; 4].into(), 0);
        let narrow = policy(
            side,
            direction,
            &Tunnel {
                everything: false,
                ..*tunnel
            },
        );
        return PolicyParameters {
            src_ts: all.clone(),
            dst_ts: all,
            ..narrow
        };
    }
    PolicyParameters {
        direction,
        src_ts: TrafficSelector::subnet(network(from), 16),
        dst_ts: TrafficSelector::subnet(network(1 - from), 16),
        action: PolicyAction::Protect,
        priority: PolicyPriority::Default,
        src: outer(from),
        dst: outer(1 - from),
        reqid: 1,
        spi: sa(side, from, tunnel).id.spi,
        mode: SaMode::Tunnel,
        mark: None,
        options: Default::default(),
    }
}
