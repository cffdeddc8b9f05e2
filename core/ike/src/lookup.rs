//! From a datagram to its IKE_SA.

use std::collections::{BTreeMap, BTreeSet};

/// The Endpoint's key of an IKE_SA: its unique number.
pub(crate) type SaKey = u32;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    by_spi: BTreeMap<u64, SaKey>,
    /// By the first half of the digest; the IKE_SA knows the whole.
    by_init: BTreeMap<u64, SaKey>,
    /// By what connections of the same peer have in common.
    by_config: BTreeSet<(u32, SaKey)>,
    /// By inbound SPIs of CHILD_SAs. They are the kernel's, and need not differ at different addresses.
    by_child: BTreeMap<u32, SaKey>,
}

impl Lookup {
    /// The IKE_SA with this SPI of ours.
    pub(crate) fn by_spi(&self, spi: u64) -> Option<SaKey> {
        self.by_spi.get(&spi).copied()
    }

    /// The IKE_SA that the IKE_SA_INIT request made whose digest has this [half].
    pub(crate) fn by_init(&self, half: u64) -> Option<SaKey> {
        self.by_init.get(&half).copied()
    }

    pub(crate) fn add_spi(&mut self, spi: u64, key: SaKey) {
        self.by_spi.insert(spi, key);
    }

    pub(crate) fn remove_spi(&mut self, spi: u64) {
        self.by_spi.remove(&spi);
    }

    pub(crate) fn add_init(&mut self, half: u64, key: SaKey) {
        self.by_init.insert(half, key);
    }

    pub(crate) fn remove_init(&mut self, half: u64, key: SaKey) {
        if self.by_init(half) == Some(key) {
            self.by_init.remove(&half);
        }
    }

    /// The IKE_SAs whose connections have this fingerprint.
    pub(crate) fn by_config(&self, fingerprint: u32) -> impl Iterator<Item = SaKey> {
        let range = (fingerprint, SaKey::MIN)..=(fingerprint, SaKey::MAX);
        self.by_config.range(range).map(|(_, key)| *key)
    }

    /// An IKE_SA has another connection; 0 is none.
    pub(crate) fn move_config(&mut self, key: SaKey, from: u32, to: u32) {
        self.by_config.remove(&(from, key));
        if to != 0 {
            self.by_config.insert((to, key));
        }
    }

    /// The IKE_SA that probably has the CHILD_SA with this inbound SPI.
    pub(crate) fn by_child(&self, spi: u32) -> Option<SaKey> {
        self.by_child.get(&spi).copied()
    }

    pub(crate) fn add_child(&mut self, spi: u32, key: SaKey) {
        self.by_child.insert(spi, key);
    }

    pub(crate) fn remove_child(&mut self, spi: u32) {
        self.by_child.remove(&spi);
    }

    /// Whether nothing is left: an Endpoint without IKE_SAs leaks none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_spi.is_empty()
            && self.by_init.is_empty()
            && self.by_config.is_empty()
            && self.by_child.is_empty()
    }
}

/// Enough of a digest to find an IKE_SA by; whether it is the same is for the IKE_SA to compare.
pub(crate) fn half(digest: &[u8; 20]) -> u64 {
    digest.first_chunk().map_or(0, |half| u64::from_be_bytes(*half))
}
