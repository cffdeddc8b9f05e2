//! X25519 (RFC 8031) and the ECP groups (RFC 5903).
//!
//! AWS-LC keeps private keys and zeroizes them. Every exchange has a fresh one.

use aws_lc_rs::agreement::{Algorithm, ParsedPublicKey, PrivateKey, UnparsedPublicKey, agree};
use plugin_api::{ErrorKind, KeyExchange, PendingKeyExchange, PluginError, Secret};

/// What SEC 1 puts before an uncompressed point, and IKEv2 leaves out (RFC 5903, 7).
const UNCOMPRESSED: u8 = 4;

/// A Diffie-Hellman group on an elliptic curve.
#[derive(Clone, Copy)]
pub struct Agreement {
    algorithm: &'static Algorithm,
    /// Whether a public value is a point, x and y, instead of one coordinate.
    point: bool,
    public_value_len: usize,
}

impl Agreement {
    /// A curve whose public values are one coordinate of `len` octets.
    pub const fn montgomery(algorithm: &'static Algorithm, len: usize) -> Self {
        Self {
            algorithm,
            point: false,
            public_value_len: len,
        }
    }

    /// A curve whose public values are two coordinates of `len` octets each.
    pub const fn weierstrass(algorithm: &'static Algorithm, len: usize) -> Self {
        Self {
            algorithm,
            point: true,
            public_value_len: 2 * len,
        }
    }

    /// Goes on from a private key that is already there, a big-endian number (ECP) or octets (X25519): the public
    /// value, and what is needed to finish. Known answers are checked with it.
    ///
    /// # Errors
    ///
    /// [`InvalidArgument`](ErrorKind::InvalidArgument) for a key of the wrong length or range.
    pub fn with_private_key(
        &self,
        private: &[u8],
    ) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let private = PrivateKey::from_private_key(self.algorithm, private).map_err(|_| {
            PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{:?}: the private key has the wrong length or range",
                    self.algorithm
                ),
            )
        })?;
        Ok((
            self.public_value(&private)?,
            Box::new(Pending {
                group: *self,
                private,
            }),
        ))
    }

    fn generate(&self) -> Result<(Vec<u8>, PrivateKey), PluginError> {
        let private = PrivateKey::generate(self.algorithm).map_err(|_| {
            PluginError::new(
                ErrorKind::System,
                format!(
                    "{:?}: no private key could be made, the random generator failed",
                    self.algorithm
                ),
            )
        })?;
        Ok((self.public_value(&private)?, private))
    }

    fn public_value(&self, private: &PrivateKey) -> Result<Vec<u8>, PluginError> {
        let public = private.compute_public_key().map_err(|_| {
            PluginError::new(
                ErrorKind::System,
                format!("{:?}: no public value", self.algorithm),
            )
        })?;
        Ok(public.as_ref()[usize::from(self.point)..].to_vec())
    }

    /// The peer's public value as a point; those off the curve are refused (RFC 6989, 2.3).
    fn parse(&self, peer: &[u8]) -> Result<ParsedPublicKey, PluginError> {
        if peer.len() != self.public_value_len {
            return Err(PluginError::wrong_length(
                "public value",
                peer.len(),
                self.public_value_len,
            ));
        }
        let mut encoded = Vec::with_capacity(1 + peer.len());
        if self.point {
            encoded.push(UNCOMPRESSED);
        }
        encoded.extend_from_slice(peer);
        UnparsedPublicKey::new(self.algorithm, encoded)
            .try_into()
            .map_err(|_| self.refused())
    }

    fn agree(&self, private: &PrivateKey, peer: ParsedPublicKey) -> Result<Secret, PluginError> {
        agree(private, peer, self.refused(), |shared| {
            // A point of small order makes a secret that everybody knows (RFC 7748, 6.1). All octets are looked at.
            // The ECP groups have no such points, and x = 0 is one secret of many.
            if !self.point && shared.iter().fold(0, |all, octet| all | octet) == 0 {
                return Err(self.refused());
            }
            Ok(Secret::copy_of(shared))
        })
    }

    fn refused(&self) -> PluginError {
        PluginError::new(
            ErrorKind::InvalidPublicValue,
            format!("{:?}: the peer's public value is no valid point", self.algorithm),
        )
    }
}

impl KeyExchange for Agreement {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let (public, private) = self.generate()?;
        Ok((
            public,
            Box::new(Pending {
                group: *self,
                private,
            }),
        ))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let peer = self.parse(peer)?;
        let (public, private) = self.generate()?;
        let shared = self.agree(&private, peer)?;
        Ok((public, shared))
    }
}

struct Pending {
    group: Agreement,
    private: PrivateKey,
}

impl PendingKeyExchange for Pending {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        self.group.agree(&self.private, self.group.parse(peer)?)
    }
}
