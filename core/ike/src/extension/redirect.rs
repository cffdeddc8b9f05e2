//! Redirection (RFC 5685): a gateway sends its clients to another one, as they come or while they are there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::connection::{Host, PeerConfig};
use config::selector::is_name;
use crypto::int_auth::Role;
use iana::{ExchangeType, NotifyType};
use wire::Header;
use wire::payload::Payload;

use crate::endpoint::{Endpoint, Initiate};
use crate::exchange::{OfferedChild, find};
use crate::output::CommandError;
use crate::rare::{Empty, Rare};
use crate::receive::send_stateless;
use crate::sa::{IkeSa, IkeSaState};
use crate::shared::{Again, Shared, Wish, log, log_plain};
use crate::task::Task;
use crate::timer::Timer;

/// How often a client lets itself be redirected within the period, or else it would go in circles (RFC 5685, 10).
const MAX_REDIRECTS: u32 = 5;
const LOOP_DETECT_PERIOD: Duration = Duration::from_secs(300);

/// What a gateway is named by (RFC 5685, 7.2).
const IPV4: u8 = 1;
const IPV6: u8 = 2;
const FQDN: u8 = 3;

/// Where this end sends clients that come anew and understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// The gateway, by its address or name.
    pub gateway: Host,
    /// Only clients that have authenticated, in IKE_AUTH; otherwise all, in IKE_SA_INIT.
    pub authenticated: bool,
}

impl Redirection {
    /// Whether a client at this address of ours has yet to go there.
    fn concerns(&self, local: IpAddr) -> bool {
        self.gateway != Host::Address(local)
    }
}

/// The data of REDIRECT and REDIRECTED_FROM; the nonce is that of the request, in IKE_SA_INIT.
fn encode(gateway: &Host, nonce: &[u8]) -> Option<Vec<u8>> {
    let (kind, name) = match gateway {
        Host::Address(IpAddr::V4(v4)) => (IPV4, v4.octets().to_vec()),
        Host::Address(IpAddr::V6(v6)) => (IPV6, v6.octets().to_vec()),
        Host::Name(name) if is_name(name) => (FQDN, name.as_bytes().to_vec()),
        _ => return None,
    };
    let len = u8::try_from(name.len()).ok()?;
    Some([&[kind, len], &name[..], nonce].concat())
}

/// The gateway that the data names, and the nonce behind it.
fn decode(data: &[u8]) -> Option<(Host, &[u8])> {
    let (&[kind, len], rest) = data.split_first_chunk()?;
    let (name, nonce) = rest.split_at_checked(usize::from(len))?;
    let gateway = match kind {
        IPV4 => Host::Address(Ipv4Addr::from(<[u8; 4]>::try_from(name).ok()?).into()),
        IPV6 => Host::Address(Ipv6Addr::from(<[u8; 16]>::try_from(name).ok()?).into()),
        FQDN => Host::Name(
            std::str::from_utf8(name)
                .ok()
                .filter(|name| is_name(name))?
                .to_owned(),
        ),
        _ => return None,
    };
    Some((gateway, nonce))
}

/// Of an IKE_SA as client: where it was sent, and by whom.
#[derive(Debug, Default)]
pub(crate) struct Redirects {
    followed: Followed,
    /// Where to it is on its way, and since when in its life.
    pending: Option<(Host, Moment)>,
    /// Another IKE_SA is being established with the gateway it was sent to.
    moving: bool,
}

/// What the next gateway's IKE_SA knows too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Followed {
    count: u32,
    since: Option<Instant>,
    /// The gateway that sent it here.
    from: Option<IpAddr>,
    /// The own address and the peer's by the configuration, to go back to.
    home: Option<(SocketAddr, SocketAddr)>,
}

/// When a REDIRECT came.
#[derive(Debug)]
enum Moment {
    /// Instead of an answer to IKE_SA_INIT.
    Init,
    /// With the answer to IKE_AUTH; the tasks are for the next gateway.
    Auth(Vec<Task>),
    /// To an established IKE_SA.
    Established,
}

/// What a client takes along to the gateway it was sent to.
pub(crate) struct Luggage {
    pub(crate) followed: Followed,
    pub(crate) tasks: Vec<Task>,
}

impl Followed {
    /// Whether one more may be followed.
    fn admit(&mut self, now: Instant) -> bool {
        let recent = |since| now.saturating_duration_since(since) < LOOP_DETECT_PERIOD;
        if !self.since.is_some_and(recent) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        self.count <= MAX_REDIRECTS
    }
}

impl Empty for Redirects {
    fn empty() -> &'static Self {
        static NOWHERE: Redirects = Redirects {
            followed: Followed {
                count: 0,
                since: None,
                from: None,
                home: None,
            },
            pending: None,
            moving: false,
        };
        &NOWHERE
    }

    fn is_empty(&self) -> bool {
        let Followed {
            count,
            since,
            from,
            home,
        } = &self.followed;
        let followed = *count > 0 || since.is_some() || from.is_some() || home.is_some();
        !followed && self.pending.is_none() && !self.moving
    }
}

impl Redirects {
    /// Of an IKE_SA that goes on where another was sent.
    pub(crate) fn after(followed: Followed) -> Self {
        Self {
            followed,
            ..Self::default()
        }
    }

    /// Of the successor of a rekeyed IKE_SA.
    pub(crate) fn inherited(&self) -> Self {
        Self::after(self.followed.clone())
    }

    /// What is established anew goes where the configuration leads, from the own address in use if it is there already.
    pub(crate) fn send_home(&self, what: &mut Initiate, local: IpAddr) {
        match self.followed.home {
            Some(home) => (what.local, what.remote) = home,
            None => what.local.set_ip(local),
        }
    }

    /// Where it was sent, if it does not go where the configuration leads.
    pub(crate) fn gateway(&self, remote: IpAddr) -> Option<Host> {
        self.followed.home.is_some().then_some(Host::Address(remote))
    }

    /// Whether another IKE_SA is being established in its place.
    pub(crate) fn is_moving(&self) -> bool {
        self.moving
    }

    /// What waits for the next gateway, when there will be none.
    pub(crate) fn take_tasks(&mut self) -> Vec<Task> {
        match self.pending.take() {
            Some((_, Moment::Auth(tasks))) => tasks,
            _ => Vec::new(),
        }
    }
}

/// What is to be made of an IKE_SA_INIT response with a REDIRECT.
pub(crate) enum Verdict {
    /// It has none, or none that concerns us.
    GoOn,
    /// It is forged, or good for nothing: a true one may still come.
    Ignore,
    /// It is to be followed.
    Follow(Host),
}

impl IkeSa {
    /// The initiator's announcement; who was redirected names the gateway that did it instead.
    pub(crate) fn push_redirection(&self, shared: &Shared, payloads: &mut Vec<Payload>) {
        if !shared.settings.follow_redirects {
            return;
        }
        let from = self.redirects.followed.from.map(Host::Address);
        payloads.push(match from.and_then(|from| encode(&from, &[])) {
            Some(from) => Payload::status(NotifyType::REDIRECTED_FROM, from),
            None => Payload::status(NotifyType::REDIRECT_SUPPORTED, Vec::new()),
        });
    }

    /// What the responder learns of it.
    pub(crate) fn learn_redirection(&mut self, shared: &mut Shared, kind: NotifyType, data: &[u8]) {
        self.peer.redirection = true;
        if kind == NotifyType::REDIRECTED_FROM
            && let Some((from, _)) = decode(data)
        {
            log!(shared, self, Ike, 1, "client got redirected from {from}");
        }
    }

    /// Nobody has authenticated an IKE_SA_INIT response; only who has seen the request knows its nonce.
    pub(crate) fn judge_redirect(&self, shared: &mut Shared, payloads: &[Payload]) -> Verdict {
        let Some(data) = redirect_in(payloads) else {
            return Verdict::GoOn;
        };
        let nonce = self.negotiation.as_ref().map(|own| own.nonce_i.as_slice());
        let problem = match decode(data) {
            _ if !shared.settings.follow_redirects => "although charon.follow_redirects = no",
            None => "with a gateway that is neither an address nor a name",
            Some((_, received)) if Some(received) != nonce => "without our nonce",
            Some((gateway, _)) => return Verdict::Follow(gateway),
        };
        log!(shared, self, Ike, 1, "received REDIRECT {problem}, ignored");
        if payloads.iter().any(|payload| matches!(payload, Payload::Sa(_))) {
            Verdict::GoOn
        } else {
            Verdict::Ignore
        }
    }

    /// Starts over with the gateway that an IKE_SA_INIT response names.
    pub(crate) fn redirect_init(&mut self, shared: &mut Shared, gateway: Host) {
        self.window.withdraw();
        if !self.follow(shared, gateway, Moment::Init) {
            self.destroy();
        }
    }

    /// The gateway that an authenticated IKE_AUTH response names: the peer has made no CHILD_SA.
    pub(crate) fn redirected_in_auth(&self, shared: &mut Shared, payloads: &[Payload]) -> Option<Host> {
        let data = redirect_in(payloads)?;
        let gateway = decode(data).map(|(gateway, _)| gateway);
        if gateway.is_none() {
            log!(shared, self, Ike, 1, "received invalid REDIRECT notify");
        }
        gateway
    }

    /// Leaves the gateway that has just been authenticated, with everything that was wanted of it.
    pub(crate) fn redirect_auth(
        &mut self,
        shared: &mut Shared,
        child: Option<Box<OfferedChild>>,
        gateway: Host,
    ) {
        if let Some(offered) = child {
            shared.out.kernel(offered.child.remove());
            offered.child.release(shared);
        }
        let tasks = std::mem::take(&mut *self.tasks).into();
        if !self.follow(shared, gateway, Moment::Auth(tasks)) {
            self.give_up_redirect(shared);
        }
    }

    /// A REDIRECT in an INFORMATIONAL request.
    pub(crate) fn on_redirect_request(&mut self, shared: &mut Shared, payloads: &[Payload]) {
        let Some(data) = redirect_in(payloads) else {
            return;
        };
        let Some((gateway, _)) = decode(data) else {
            log!(shared, self, Ike, 1, "received invalid REDIRECT notify");
            return;
        };
        use IkeSaState as S;
        let is_client = self.origin == Role::Initiator && self.initiate.is_some();
        if !is_client || !matches!(self.state, S::Established | S::Rekeying) || self.redirects.moving {
            let (label, state) = (self.label(), self.state);
            log!(
                shared,
                self,
                Ike,
                1,
                "IKE_SA {label} in state {state} cannot be redirected to {gateway}, ignored"
            );
            return;
        }
        self.follow(shared, gateway, Moment::Established);
    }

    /// Asks for the way to a gateway.
    fn follow(&mut self, shared: &mut Shared, gateway: Host, moment: Moment) -> bool {
        log!(shared, self, Ike, 1, "redirected to {gateway}");
        let refusal = if !shared.settings.follow_redirects {
            Some("charon.follow_redirects = no".to_owned())
        } else if self.redirects.pending.is_some() {
            Some("another redirect is being followed".to_owned())
        } else if !self.redirects.followed.admit(shared.now) {
            let seconds = LOOP_DETECT_PERIOD.as_secs();
            Some(format!(
                "only {MAX_REDIRECTS} are followed within {seconds} seconds"
            ))
        } else {
            None
        };
        if let Some(why) = refusal {
            log!(shared, self, Ike, 1, "redirect to {gateway} not followed: {why}");
            if let Moment::Auth(tasks) = moment {
                self.tasks.extend(tasks);
            }
            return false;
        }
        let Some(config) = self.config.clone() else {
            return false;
        };
        let there = PeerConfig {
            remote_addrs: vec![gateway.clone()],
            ..PeerConfig::clone(&config)
        };
        self.redirects.pending = Some((gateway, moment));
        shared.out.resolve(self.unique_id, Arc::new(there));
        true
    }

    /// The way to the gateway is known, or there is none.
    pub(crate) fn on_resolved(&mut self, shared: &mut Shared, found: Result<(IpAddr, IpAddr), String>) {
        if std::mem::take(&mut self.finds_way) {
            return self.on_way_found(shared, found);
        }
        let Some((gateway, moment)) = self.redirects.pending.take() else {
            return;
        };
        let way = match (found, self.initiate.as_deref().cloned()) {
            (Ok(way), Some(what)) => Ok((way, what)),
            (Ok(_), None) => Err("nobody initiated it".to_owned()),
            (Err(problem), _) => Err(problem),
        };
        let ((local, remote), mut what) = match way {
            Ok(way) => way,
            Err(problem) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "redirect to {gateway} not possible: {problem}"
                );
                return match moment {
                    Moment::Init => self.destroy(),
                    Moment::Auth(tasks) => {
                        self.tasks.extend(tasks);
                        self.give_up_redirect(shared);
                    }
                    Moment::Established => {}
                };
            }
        };
        let home = (what.local, what.remote);
        let mut followed = self.redirects.followed.clone();
        followed.home = followed.home.or(Some(home));
        followed.from = Some(self.remote.ip());
        what.local.set_ip(local);
        what.remote.set_ip(remote);
        let stays = matches!(moment, Moment::Established);
        let (command, children, tasks) = match moment {
            Moment::Init => {
                self.redirects = Rare::from(Redirects::after(followed));
                self.initiate = Some(Box::new(what));
                self.start_over(shared);
                return self.connect(shared);
            }
            Moment::Auth(tasks) => (self.command.take(), Vec::new(), tasks),
            Moment::Established => {
                let installed = self.children.iter().filter(|child| child.stays());
                let mut configs = installed.map(|child| Arc::clone(&child.config));
                what.child = configs.next();
                (None, configs.map(|config| (config, None)).collect(), Vec::new())
            }
        };
        // What works goes on until the other gateway has it.
        self.redirects.moving = stays;
        shared.wishes.push(Wish::Reinitiate(Box::new(Again {
            what,
            command,
            children,
            instead_of: stays.then_some(self.unique_id),
            luggage: Some(Luggage { followed, tasks }),
            addresses: self.given.own.clone(),
        })));
        if !stays {
            self.enqueue(shared, Task::DeleteIke(None));
        }
    }

    /// The gateway made no CHILD_SA, and there is no other: nothing keeps the IKE_SA.
    fn give_up_redirect(&mut self, shared: &mut Shared) {
        if let Some(command) = self.command.take() {
            shared.out.command_done(command, Err(CommandError::Failed));
        }
        self.tasks.push_front(Task::DeleteIke(None));
        self.start_next_task(shared);
    }

    /// The gateway that it was sent to did not take it. Whether it was sent to one.
    pub(crate) fn stays_after_redirect(&mut self, shared: &mut Shared) -> bool {
        if !std::mem::take(&mut self.redirects.moving) {
            return false;
        }
        log!(
            shared,
            self,
            Ike,
            1,
            "redirecting IKE_SA {} failed, staying with {}",
            self.label(),
            self.remote.ip()
        );
        true
    }

    /// Goes back to where the configuration leads, if the gateway that it was sent to does not answer.
    pub(crate) fn return_home(&mut self, shared: &mut Shared) -> bool {
        let Some((local, remote)) = self.redirects.followed.home.take() else {
            return false;
        };
        let Some(what) = &mut self.initiate else {
            return false;
        };
        (what.local, what.remote) = (local, remote);
        self.redirects.followed.from = None;
        log!(
            shared,
            self,
            Ike,
            1,
            "gateway {} does not answer, going back to {}",
            self.remote.ip(),
            remote.ip()
        );
        true
    }

    /// Whether this end may redirect the peer, or why not (RFC 5685, 5: only the original responder redirects).
    fn redirectable(&self) -> Result<(), &'static str> {
        if self.origin != Role::Responder {
            Err("we are its client")
        } else if !self.peer.redirection {
            Err("the client did not announce that it understands redirection")
        } else if !matches!(self.state, IkeSaState::Established | IkeSaState::Rekeying) {
            Err("it is not established")
        } else {
            Ok(())
        }
    }

    /// Sends the peer to another gateway, or says why it cannot be.
    pub(crate) fn redirect(&mut self, shared: &mut Shared, gateway: Host) -> bool {
        match self.redirectable() {
            Ok(()) => {
                self.enqueue(shared, Task::Redirect(Box::new(gateway)));
                true
            }
            Err(why) => {
                let label = self.label();
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "unable to redirect IKE_SA {label} to {gateway}: {why}"
                );
                false
            }
        }
    }

    pub(crate) fn send_redirect(&mut self, shared: &mut Shared, gateway: &Host) {
        let Some(data) = encode(gateway, &[]) else {
            self.active = None;
            return;
        };
        log!(shared, self, Ike, 0, "redirecting peer to {gateway}");
        let notify = Payload::status(NotifyType::REDIRECT, data);
        self.request(shared, ExchangeType::INFORMATIONAL, vec![notify]);
    }

    /// The peer knows; if it does not delete the IKE_SA when it has another, this end does.
    pub(crate) fn on_redirect_answered(&mut self, shared: &Shared) {
        let time = shared.settings.half_open_timeout;
        let leave = Timer::after(shared.now, time);
        self.later.push((leave, Task::DeleteIke(None)));
    }

    /// Sends a client that has authenticated on to the gateway for all that come, if there is one.
    pub(crate) fn redirect_newcomer(&mut self, shared: &mut Shared) -> Option<Payload> {
        let to = shared
            .settings
            .redirection
            .clone()
            .filter(|to| to.authenticated && to.concerns(self.local.ip()))?;
        let data = encode(&to.gateway, &[]).filter(|_| self.peer.redirection)?;
        log!(shared, self, Ike, 0, "redirecting peer to {}", to.gateway);
        self.on_redirect_answered(shared);
        Some(Payload::status(NotifyType::REDIRECT, data))
    }
}

impl Endpoint {
    /// Sends the peer of an IKE_SA to another gateway; whether it can be.
    pub fn redirect(&mut self, now: Instant, unique_id: u32, gateway: &Host) -> bool {
        self.shared.now = now;
        let mut sent = false;
        self.with_sa(unique_id, |sa, shared| {
            sent = sa.redirect(shared, gateway.clone())
        });
        sent
    }

    /// The own address and the peer's that [`Output::Resolve`](crate::Output::Resolve) asked for, or why there are none.
    pub fn handle_resolved(&mut self, now: Instant, unique_id: u32, found: Result<(IpAddr, IpAddr), String>) {
        self.shared.now = now;
        self.with_sa(unique_id, |sa, shared| sa.on_resolved(shared, found));
    }

    /// Sends a client on that comes anew, if they all go elsewhere; nothing is kept of it.
    pub(crate) fn redirects_init(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        header: &Header,
        payloads: &[Payload],
    ) -> bool {
        let to = self.shared.settings.redirection.as_ref();
        let Some(to) = to.filter(|to| !to.authenticated && to.concerns(local.ip())) else {
            return false;
        };
        let understands = |kind| matches!(kind, NotifyType::REDIRECT_SUPPORTED | NotifyType::REDIRECTED_FROM);
        let nonce = find!(payloads, Payload::Nonce(nonce) => &nonce.data);
        let announced = find!(payloads, Payload::Notify(notify) if understands(notify.kind) => ());
        let data = nonce
            .zip(announced)
            .and_then(|(nonce, ())| encode(&to.gateway, nonce));
        let Some(data) = data else { return false };
        let gateway = to.gateway.clone();
        log_plain!(
            self.shared,
            Ike,
            1,
            "redirecting {} to {gateway}, which initiates an IKE_SA",
            remote.ip()
        );
        let kind = NotifyType::REDIRECT;
        send_stateless(&mut self.shared, local, remote, header, kind, data);
        true
    }
}

fn redirect_in(payloads: &[Payload]) -> Option<&[u8]> {
    find!(payloads, Payload::Notify(notify) if notify.kind == NotifyType::REDIRECT => notify.data.as_slice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_named_by_addresses_and_names() {
        for (text, kind, len) in [
            ("192.0.2.9", IPV4, 4),
            ("2001:db8::9", IPV6, 16),
            ("gw2.example.com", FQDN, 15),
        ] {
            let host = config::selector::gateway(text).expect(text);
            let data = encode(&host, &[7; 32]).expect(text);
            assert_eq!((data[0], usize::from(data[1])), (kind, len));
            assert_eq!(decode(&data), Some((host, &[7; 32][..])));
        }
        for text in ["", "%any", "10.0.0.0/8", "a b", "-x", &"x".repeat(254)] {
            assert_eq!(config::selector::gateway(text), None, "{text}");
        }
    }

    #[test]
    fn data_that_names_no_gateway_is_refused() {
        let good = encode(&Host::Name("gw".into()), &[]).expect("data");
        assert!(decode(&good).is_some());
        for len in 0..good.len() {
            assert_eq!(decode(&good[..len]), None, "{len} octets");
        }
        for bad in [
            &[0, 2, b'g', b'w'][..],
            &[4, 2, b'g', b'w'],
            &[IPV4, 3, 1, 2, 3],
            &[IPV6, 4, 1, 2, 3, 4],
            &[FQDN, 0],
            &[FQDN, 2, b'g', 0],
            &[FQDN, 2, b'g', b'\n'],
            &[FQDN, 2, 0xc3, 0x28],
        ] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn five_are_followed_within_five_minutes() {
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let start = Instant::now();
        let mut followed = Followed::default();
        let admitted = (0..9).filter(|_| followed.admit(start)).count();
        assert_eq!(admitted, 5);
        assert!(!followed.admit(start + LOOP_DETECT_PERIOD - Duration::from_secs(1)));
        assert!(followed.admit(start + LOOP_DETECT_PERIOD));
    }
}
