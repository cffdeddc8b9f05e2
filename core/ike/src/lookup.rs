//! From a datagram to its IKE_SA, and how many are half open.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// The Endpoint's key of an IKE_SA: its unique number.
pub(crate) type SaKey = u32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    by_spi: BTreeMap<u64, SaKey>,
    by_init: BTreeMap<[u8; 20], SaKey>,
    half_open: BTreeMap<IpAddr, usize>,
    half_open_total: usize,
}

impl Lookup {
    /// The IKE_SA with this SPI of ours.
    pub(crate) fn by_spi(&self, spi: u64) -> Option<SaKey> {
        self.by_spi.get(&spi).copied()
    }

    /// The IKE_SA that the IKE_SA_INIT request with this digest made.
    pub(crate) fn by_init(&self, digest: &[u8; 20]) -> Option<SaKey> {
        self.by_init.get(digest).copied()
    }

    pub(crate) fn add_spi(&mut self, spi: u64, key: SaKey) {
        self.by_spi.insert(spi, key);
    }

    pub(crate) fn remove_spi(&mut self, spi: u64) {
        self.by_spi.remove(&spi);
    }

    pub(crate) fn add_init(&mut self, digest: [u8; 20], key: SaKey) {
        self.by_init.insert(digest, key);
    }

    pub(crate) fn remove_init(&mut self, digest: &[u8; 20]) {
        self.by_init.remove(digest);
    }

    pub(crate) fn add_half_open(&mut self, address: IpAddr) {
        *self.half_open.entry(address).or_default() += 1;
        self.half_open_total += 1;
    }

    pub(crate) fn remove_half_open(&mut self, address: IpAddr) {
        if let Some(count) = self.half_open.get_mut(&address) {
            *count -= 1;
            self.half_open_total -= 1;
            if *count == 0 {
                self.half_open.remove(&address);
            }
        }
    }

    pub(crate) fn half_open_of(&self, address: IpAddr) -> usize {
        self.half_open.get(&address).copied().unwrap_or(0)
    }

    pub(crate) fn half_open(&self) -> usize {
        self.half_open_total
    }

    /// Whether nothing is left: an Endpoint without IKE_SAs leaks none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_spi.is_empty() && self.by_init.is_empty() && self.half_open_total == 0
    }
}
