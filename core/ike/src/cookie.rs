//! Stateless cookies against floods of IKE_SA_INIT (RFC 7296, 2.6).

use std::net::IpAddr;
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;

use crate::shared::Shared;

/// How long a cookie is accepted, and how long they are demanded after the threshold was last exceeded.
const LIFETIME: Duration = Duration::from_secs(10);
/// Makes and checks cookies.
pub(crate) struct Cookies {
    origin: Instant,
    secret: [u8; 16],
    previous: [u8; 16],
    /// When the secret was made.
    since: Instant,
    demanded_until: Option<Instant>,
}

impl Cookies {
    pub(crate) fn new(shared: &mut Shared) -> Self {
        Self {
            origin: shared.now,
            secret: shared.random(),
            previous: shared.random(),
            since: shared.now,
            demanded_until: None,
        }
    }

    /// Whether an IKE_SA_INIT needs a cookie now, given that a threshold is or is not exceeded.
    pub(crate) fn demanded(&mut self, now: Instant, exceeded: bool) -> bool {
        if exceeded {
            self.demanded_until = Some(now + LIFETIME);
        }
        self.demanded_until.is_some_and(|until| now < until)
    }

    /// A cookie for this address and SPI.
    pub(crate) fn make(&mut self, shared: &mut Shared, address: IpAddr, spi_i: u64) -> Vec<u8> {
        // By time, since a flood of requests could make any number of cookies while an honest peer's is on its way.
        if shared.now.saturating_duration_since(self.since) >= LIFETIME {
            self.previous = self.secret;
            self.secret = shared.random();
            self.since = shared.now;
        }
        let time = self.seconds(shared.now).to_be_bytes();
        compose(shared, address, spi_i, time, &self.secret)
    }

    /// Whether the cookie was made here, for this address and SPI, a short while ago.
    pub(crate) fn check(&self, shared: &Shared, cookie: &[u8], address: IpAddr, spi_i: u64) -> bool {
        let Some((time, _)) = cookie.split_first_chunk::<4>() else {
            return false;
        };
        let age = self.seconds(shared.now).wrapping_sub(u32::from_be_bytes(*time));
        u64::from(age) <= LIFETIME.as_secs()
            && [&self.secret, &self.previous].into_iter().any(|secret| {
                compose(shared, address, spi_i, *time, secret)
                    .ct_eq(cookie)
                    .into()
            })
    }

    fn seconds(&self, now: Instant) -> u32 {
        // Wraps after 136 years; ages are computed modulo that.
        now.saturating_duration_since(self.origin).as_secs() as u32
    }
}

fn compose(shared: &Shared, address: IpAddr, spi_i: u64, time: [u8; 4], secret: &[u8; 16]) -> Vec<u8> {
    let address = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let digest = shared.sha1(&[&address, &spi_i.to_be_bytes(), &time, secret]);
    [&time[..], &digest].concat()
}
