//! One SA: what is kept of it while it carries nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};
use plugin_api::kernel::{SaParameters, SaUsage};
use plugin_api::{ErrorKind, PluginError};

use super::active::Active;
use super::current::{Current, Endpoints, NO_UDP};
use crate::esp::{self, Keys, Protection};
use crate::headers::Copying;
use crate::lifetime::{Carried, Lifetime, Verdict};
use crate::packet::Flow;
use crate::selectors::{Selector, Selectors};

/// What inbound and outbound SAs have in common. Most of a gateway's carry nothing most of the time, so what packets need
/// is not here, but in [`Active`].
pub struct Sa {
    /// The receiver's SPI.
    pub spi: u32,
    /// Ties it to its policies.
    pub reqid: u32,
    keys: Keys,
    /// Whether packets come in by it.
    pub inbound: bool,
    /// What goes from an inner header to the outer one and back.
    pub copying: Copying,
    /// Inbound: size of the replay window in packets.
    replay_window: u32,
    /// Limits.
    pub lifetime: Lifetime,
    current: ArcSwap<Current>,
    /// Inbound: what may come out of it, unless its policies say so.
    admitted: Option<Admitted>,
    active: OnceLock<Box<Active>>,
}

/// Which packets may come out of an SA.
enum Admitted {
    Between(Arc<Selectors>),
    /// From any of the first to any of the second.
    Any(Box<(Vec<Selector>, Vec<Selector>)>),
}

/// A sequence number to send with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The number, which is the IV's counter too: it never repeats under a key.
    pub number: u64,
    /// Whether the end is so near that the SA has to be rekeyed.
    pub near_end: bool,
}

impl Sa {
    /// An SA from the daemon's parameters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] if user space cannot do what is asked for.
    pub fn new(parameters: &SaParameters, now: Instant) -> Result<Self, PluginError> {
        let unsupported = |what: &str| Err(PluginError::new(ErrorKind::NotSupported, what));
        if parameters.id.protocol != iana::Protocol::ESP {
            return unsupported("user space IPsec knows ESP only, no AH; use esp= instead of ah=");
        }
        if parameters.mode != plugin_api::kernel::SaMode::Tunnel {
            return unsupported("user space IPsec knows tunnel mode only; set type=tunnel");
        }
        if parameters.mark.is_some() || parameters.options.set_mark.is_some() {
            return unsupported(
                "user space IPsec knows no marks; remove mark, mark_in, mark_out, set_mark_in and set_mark_out",
            );
        }
        if parameters.options.if_id != 0 {
            return unsupported("user space IPsec knows no interfaces; remove if_id_in and if_id_out");
        }
        let (src_port, dst_port) = parameters
            .encap
            .map_or((NO_UDP, NO_UDP), |encap| (encap.src_port, encap.dst_port));
        let src = SocketAddr::new(parameters.id.src, src_port);
        let dst = SocketAddr::new(parameters.id.dst, dst_port);
        let endpoints = Endpoints::of(parameters.inbound, src, dst);
        let keys = Keys::new(
            parameters.encryption,
            parameters.encryption_key.expose(),
            parameters.integrity,
            parameters.integrity_key.expose(),
            parameters.esn,
        )?;
        Ok(Self {
            spi: parameters.id.spi,
            reqid: parameters.reqid,
            keys,
            inbound: parameters.inbound,
            copying: Copying::from(&parameters.options),
            replay_window: if parameters.inbound {
                parameters.replay_window
            } else {
                0
            },
            lifetime: Lifetime::new(parameters.lifetime, now),
            current: ArcSwap::new(Current::new(endpoints, None)),
            admitted: Admitted::by(parameters),
            active: OnceLock::new(),
        })
    }

    /// What its packets need; it is made for the first.
    pub fn active(&self) -> &Active {
        self.active
            .get_or_init(|| Box::new(Active::new(self.replay_window)))
    }

    /// Whether sequence numbers have 64 bits.
    pub fn esn(&self) -> bool {
        self.keys.esn()
    }

    /// What is true of it at this moment.
    pub fn current(&self) -> Guard<Arc<Current>> {
        self.current.load()
    }

    /// Expands its keys, unless another thread has; whether this one did, so that it has to see to it that somebody looks
    /// [when it is idle](Self::rest).
    ///
    /// # Errors
    ///
    /// [`esp::Error::Key`] if the library refuses a key.
    pub fn wake(&self) -> Result<(Arc<Protection>, bool), esp::Error> {
        let mine = Arc::new(self.keys.expand()?);
        let before = self.current.rcu(|now| match now.protection() {
            Some(_) => Arc::clone(now),
            None => Current::new(now.endpoints(), Some(Arc::clone(&mine))),
        });
        Ok(match before.protection() {
            Some(others) => (Arc::clone(others), false),
            None => (mine, true),
        })
    }

    /// Where its packets go or come from.
    pub fn endpoints(&self) -> Endpoints {
        self.current().endpoints()
    }

    /// Counts an inner packet of `octets`, unless a hard limit forbids it.
    pub fn count(&self, octets: usize, now: Instant) -> Verdict {
        self.lifetime.count(&self.active().carried, octets, now)
    }

    /// What it carried.
    pub fn usage(&self, now: Instant) -> SaUsage {
        match self.active.get() {
            Some(active) => self.lifetime.usage(&active.carried, now),
            None => self.lifetime.usage(&Carried::default(), now),
        }
    }

    /// Forgets what it can compute again if it has carried nothing for `pause`, or else tells how long that will take.
    pub fn rest(&self, pause: Duration, now: Instant) -> Option<Duration> {
        let idle = self.usage(now).last_use.unwrap_or(pause);
        match pause.checked_sub(idle) {
            Some(left) if !left.is_zero() => Some(left),
            _ => {
                self.current.rcu(|now| Current::new(now.endpoints(), None));
                None
            }
        }
    }

    /// The outer destination address, by which the daemon knows the SA.
    pub fn dst(&self) -> IpAddr {
        let endpoints = self.endpoints();
        if self.inbound {
            endpoints.local.ip()
        } else {
            endpoints.remote.ip()
        }
    }

    /// The next sequence number, or none once all are used: they must not wrap (RFC 4303, 3.3.3).
    pub fn next_sequence(&self) -> Option<Sequence> {
        let last = if self.esn() {
            u64::MAX - 1
        } else {
            u64::from(u32::MAX)
        };
        let used = self.active().use_number(last)?;
        // A sixteenth of the space is minutes even at line rate: enough for a rekeying that needs several attempts.
        Some(Sequence {
            number: used + 1,
            near_end: used >= last - last / 16,
        })
    }

    /// Whether an inner packet may come out of the SA; none if its policies have to say.
    pub fn admits(&self, flow: &Flow) -> Option<bool> {
        let admitted = self.admitted.as_ref()?;
        Some(match admitted {
            Admitted::Between(selectors) => selectors.admit(flow, true),
            Admitted::Any(any) => {
                let (src_ts, dst_ts) = &**any;
                src_ts.iter().any(|selector| selector.admits_source(flow))
                    && dst_ts.iter().any(|selector| selector.admits_destination(flow))
            }
        })
    }

    /// Moves the SA.
    pub fn move_to(&self, endpoints: Endpoints) {
        let before = self
            .current
            .rcu(|now| Current::new(endpoints, now.protection().cloned()))
            .endpoints();
        if self.inbound {
            self.active().moved(before.local.ip(), endpoints.local.ip());
        }
    }

    /// Whether that was this host's address before the last move.
    pub fn was_at(&self, address: IpAddr) -> bool {
        self.active.get().is_some_and(|active| active.was_at(address))
    }

    #[cfg(test)]
    pub(super) fn skip_to(&self, sequence: u64) {
        self.active().skip_to(sequence);
    }
}

impl Admitted {
    fn by(parameters: &SaParameters) -> Option<Self> {
        if !parameters.inbound {
            return None;
        }
        let all = |selectors: &[_]| selectors.iter().map(Selector::from).collect();
        match (&*parameters.src_ts, &*parameters.dst_ts) {
            ([], _) | (_, []) => None,
            ([src], [dst]) => Some(Self::Between(Selectors::new(src, dst, true))),
            (src_ts, dst_ts) => Some(Self::Any(Box::new((all(src_ts), all(dst_ts))))),
        }
    }
}
