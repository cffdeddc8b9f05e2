//! The keys that protect an IKE_SA's messages, as the codec wants them.

use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::sync::Arc;

use config::connection::Fragmentation;
use crypto::keymat::SkKeys;
use crypto::suite::{ProtectionKey, Suite};
use plugin_api::{PluginError, Secret};
use wire::{ProtectError, Protection};

use crypto::int_auth::Role;

/// One generation of keys, both directions.
pub(crate) struct Keys {
    /// What they are made of.
    pub(crate) sk: SkKeys,
    suite: Arc<Suite>,
    role: Role,
    /// Ready for use: a key schedule is ten times as long as its key, and takes less time than a message, so that an
    /// IKE_SA has them only while it exchanges something.
    outbound: OnceCell<Box<ProtectionKey>>,
    inbound: OnceCell<Box<ProtectionKey>>,
    /// Messages and fragments sealed so far; as an explicit IV it never repeats under one key (RFC 5282, 3.1).
    sealed: Cell<u64>,
}

impl Keys {
    /// From key material, seen by the end that had this role when the IKE_SA was made.
    pub(crate) fn new(suite: &Arc<Suite>, sk: SkKeys, role: Role) -> Result<Self, PluginError> {
        let keys = Self {
            sk,
            suite: Arc::clone(suite),
            role,
            outbound: OnceCell::new(),
            inbound: OnceCell::new(),
            sealed: Cell::new(0),
        };
        // What fails, fails now.
        keys.outbound()?;
        keys.inbound()?;
        Ok(keys)
    }

    /// Nothing is exchanged for now, and both ends are authenticated.
    pub(crate) fn rest(&mut self) {
        self.outbound.take();
        self.inbound.take();
        self.sk.sk_pi = Secret::default();
        self.sk.sk_pr = Secret::default();
    }

    fn outbound(&self) -> Result<&ProtectionKey, PluginError> {
        self.ready(&self.outbound, self.role)
    }

    fn inbound(&self) -> Result<&ProtectionKey, PluginError> {
        self.ready(&self.inbound, self.role.other())
    }

    /// The key of what the end with the role `from` sends.
    fn ready<'a>(
        &self,
        key: &'a OnceCell<Box<ProtectionKey>>,
        from: Role,
    ) -> Result<&'a ProtectionKey, PluginError> {
        if let Some(key) = key.get() {
            return Ok(key);
        }
        let (sk_e, sk_a) = match from {
            Role::Initiator => (&self.sk.sk_ei, &self.sk.sk_ai),
            Role::Responder => (&self.sk.sk_er, &self.sk.sk_ar),
        };
        let made = self.suite.protect(sk_e.expose(), sk_a.expose())?;
        Ok(key.get_or_init(|| Box::new(made)))
    }
}

/// Lengths are those of the sending direction; both have the same algorithms. A key that cannot be made has none, and its
/// use fails.
impl Protection for Keys {
    fn iv_len(&self) -> usize {
        self.outbound().map_or(0, |key| match key {
            ProtectionKey::Aead(key) => key.iv_len(),
            ProtectionKey::Classic { cipher, .. } => cipher.iv_len(),
        })
    }

    fn icv_len(&self) -> usize {
        self.outbound().map_or(0, |key| match key {
            ProtectionKey::Aead(key) => key.tag_len(),
            ProtectionKey::Classic { tag_len, .. } => *tag_len,
        })
    }

    fn block(&self) -> usize {
        self.outbound().map_or(1, |key| match key {
            ProtectionKey::Aead(_) => 1,
            ProtectionKey::Classic { cipher, .. } => cipher.block_len(),
        })
    }

    fn seal(&self, message: &mut [u8], body: usize, _id: u32, _fragment: u16) -> Result<(), ProtectError> {
        let key = self.outbound().map_err(|_| ProtectError)?;
        let count = self.sealed.get().checked_add(1).ok_or(ProtectError)?;
        self.sealed.set(count);
        let (iv_len, icv_len) = (self.iv_len(), self.icv_len());
        let (sealed, icv) = split_last(message, icv_len)?;
        let (before, body) = sealed.split_at_mut_checked(body).ok_or(ProtectError)?;
        let (iv, data) = body.split_at_mut_checked(iv_len).ok_or(ProtectError)?;
        match key {
            ProtectionKey::Aead(key) => {
                write_counter(iv, count);
                key.seal(iv, before, data, icv).map_err(|_| ProtectError)
            }
            ProtectionKey::Classic {
                cipher, integrity, ..
            } => {
                write_counter(iv, count);
                if cipher.block_len() > 1 {
                    // An encrypted counter is as unpredictable as CBC needs it (NIST SP 800-38A, appendix C). In counter mode
                    // the counter itself is unique (RFC 5930, 2.1).
                    cipher.encrypt(&vec![0; iv_len], iv).map_err(|_| ProtectError)?;
                }
                cipher.encrypt(iv, data).map_err(|_| ProtectError)?;
                integrity.sign(&[before, iv, data], icv).map_err(|_| ProtectError)
            }
        }
    }

    fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, ProtectError> {
        let key = self.inbound().map_err(|_| ProtectError)?;
        let (iv_len, icv_len) = (self.iv_len(), self.icv_len());
        let end = message.len().checked_sub(icv_len).ok_or(ProtectError)?;
        let (sealed, icv) = split_last(message, icv_len)?;
        let (before, rest) = sealed.split_at_mut_checked(body).ok_or(ProtectError)?;
        let (iv, data) = rest.split_at_mut_checked(iv_len).ok_or(ProtectError)?;
        match key {
            ProtectionKey::Aead(key) => key.open(iv, before, data, icv).map_err(|_| ProtectError)?,
            ProtectionKey::Classic {
                cipher, integrity, ..
            } => {
                integrity
                    .verify(&[before, iv, data], icv)
                    .map_err(|_| ProtectError)?;
                if data.is_empty() || data.len() % cipher.block_len() != 0 {
                    return Err(ProtectError);
                }
                cipher.decrypt(iv, data).map_err(|_| ProtectError)?;
            }
        }
        Ok(body + iv_len..end)
    }
}

fn split_last(message: &mut [u8], len: usize) -> Result<(&mut [u8], &mut [u8]), ProtectError> {
    let at = message.len().checked_sub(len).ok_or(ProtectError)?;
    Ok(message.split_at_mut(at))
}

/// The counter in the last octets of an IV, the rest zero.
fn write_counter(iv: &mut [u8], count: u64) {
    iv.fill(0);
    for (octet, value) in iv.iter_mut().rev().zip(count.to_be_bytes().into_iter().rev()) {
        *octet = value;
    }
}

/// Largest IKE message that may be sent unfragmented (RFC 7383, 2.5), or none if fragments are not to be used.
pub(crate) fn max_message(
    how: Fragmentation,
    peer_supports: bool,
    fragment_size: usize,
    ipv6: bool,
    marker: bool,
) -> Option<usize> {
    let use_fragments = match how {
        Fragmentation::Yes => peer_supports,
        Fragmentation::Force => true,
        Fragmentation::No | Fragmentation::Accept => false,
    };
    let size = match (fragment_size, ipv6) {
        (0, false) => 576,
        (0, true) => 1280,
        (size, _) => size,
    };
    let (ip, udp, marker) = (if ipv6 { 40 } else { 20 }, 8, if marker { 4 } else { 0 });
    // Below this no payload would fit next to the headers; the codec needs room for at least one octet.
    use_fragments.then(|| size.saturating_sub(ip + udp + marker).max(128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_message_is_that_of_the_seed() {
        let max = |size, ipv6, marker| max_message(Fragmentation::Yes, true, size, ipv6, marker);
        assert_eq!(max(1480, false, true), Some(1448));
        assert_eq!(max(1280, false, true), Some(1248));
        assert_eq!(max(1280, false, false), Some(1252));
        assert_eq!(max(0, false, true), Some(544));
        assert_eq!(max_message(Fragmentation::Yes, false, 1280, false, true), None);
        assert_eq!(
            max_message(Fragmentation::Force, false, 1280, false, true),
            Some(1248)
        );
        assert_eq!(max_message(Fragmentation::Accept, true, 1280, false, true), None);
    }
}
