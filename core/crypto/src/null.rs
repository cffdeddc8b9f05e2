//! A key exchange without security, for simulations.

use std::sync::atomic::{AtomicU64, Ordering};

use plugin_api::{ErrorKind, KeyExchange, PendingKeyExchange, PluginError, Secret};

/// Instant and reproducible, and WITHOUT ANY SECURITY: the secret follows from the two public values.
///
/// It costs nothing and has the lengths of whatever it stands for, so that simulations of many handshakes, of
/// fragmentation and of loss run fast and the same each time.
#[derive(Debug)]
pub struct NullKeyExchange {
    seed: u64,
    calls: AtomicU64,
    initiator_len: usize,
    responder_len: usize,
    secret_len: usize,
}

impl NullKeyExchange {
    /// A key exchange whose public values have these lengths in octets, and its secrets 32.
    pub const fn new(seed: u64, initiator_len: usize, responder_len: usize) -> Self {
        Self {
            seed,
            calls: AtomicU64::new(0),
            initiator_len,
            responder_len,
            secret_len: 32,
        }
    }

    /// The same with secrets of another length.
    pub const fn with_secret_len(self, secret_len: usize) -> Self {
        Self { secret_len, ..self }
    }

    fn public_value(&self, len: usize) -> Vec<u8> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        octets(mix(self.seed ^ mix(call)), len)
    }
}

impl KeyExchange for NullKeyExchange {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let public = self.public_value(self.initiator_len);
        let pending = Pending {
            public: public.clone(),
            peer_len: self.responder_len,
            secret_len: self.secret_len,
        };
        Ok((public, Box::new(pending)))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        check_len(peer, self.initiator_len)?;
        let public = self.public_value(self.responder_len);
        let secret = secret(peer, &public, self.secret_len);
        Ok((public, secret))
    }
}

struct Pending {
    public: Vec<u8>,
    peer_len: usize,
    secret_len: usize,
}

impl PendingKeyExchange for Pending {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        check_len(peer, self.peer_len)?;
        Ok(secret(&self.public, peer, self.secret_len))
    }
}

fn check_len(peer: &[u8], expected: usize) -> Result<(), PluginError> {
    if peer.len() == expected {
        return Ok(());
    }
    let message = format!("public value has {} octets instead of {expected}", peer.len());
    Err(PluginError::new(ErrorKind::InvalidPublicValue, message))
}

fn secret(initiator: &[u8], responder: &[u8], len: usize) -> Secret {
    let absorb = |state: u64, octet: &u8| mix(state ^ u64::from(*octet));
    Secret::new(octets(initiator.iter().chain(responder).fold(0, absorb), len))
}

fn octets(seed: u64, len: usize) -> Vec<u8> {
    let words = (1..).map(|word: u64| mix(seed.wrapping_add(word)).to_be_bytes());
    words.flatten().take(len).collect()
}

/// A bijection of 64 bits that looks random (the finalizer of SplitMix64).
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
