//! KEMs against other implementations, in both roles.

use plugin_api::{KeyExchange, PendingKeyExchange, PluginError, Secret, testing};
use pqcrypto_traits::kem::{Ciphertext, PublicKey, SharedSecret};

use crate::{algorithms, key_exchange};

/// A KEM by PQClean.
macro_rules! pqclean {
    ($name:ident, $package:ident, $module:ident) => {
        mod $module {
            use super::*;

            pub(super) struct $name;

            struct Pending($package::$module::SecretKey);

            impl KeyExchange for $name {
                fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
                    let (public, secret) = $package::$module::keypair();
                    Ok((public.as_bytes().to_vec(), Box::new(Pending(secret))))
                }

                fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
                    let public = PublicKey::from_bytes(peer).expect("a public key");
                    let (shared, ciphertext) = $package::$module::encapsulate(&public);
                    Ok((
                        ciphertext.as_bytes().to_vec(),
                        Secret::copy_of(shared.as_bytes()),
                    ))
                }
            }

            impl PendingKeyExchange for Pending {
                fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
                    let ciphertext = Ciphertext::from_bytes(peer).expect("a ciphertext");
                    let shared = $package::$module::decapsulate(&ciphertext, &self.0);
                    Ok(Secret::copy_of(shared.as_bytes()))
                }
            }
        }
    };
}

pqclean!(Other, pqcrypto_kyber, kyber512);
pqclean!(Other, pqcrypto_kyber, kyber768);
pqclean!(Other, pqcrypto_kyber, kyber1024);
pqclean!(Other, pqcrypto_hqc, hqc128);
pqclean!(Other, pqcrypto_hqc, hqc192);
pqclean!(Other, pqcrypto_hqc, hqc256);

/// Streamlined NTRU Prime by a crate of that name.
struct Sntrup;

struct PendingSntrup(sntrup761::DecapsulationKey);

fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("randomness");
    seed
}

impl KeyExchange for Sntrup {
    fn initiate(&self) -> Result<(Vec<u8>, Box<dyn PendingKeyExchange>), PluginError> {
        let (public, secret) = sntrup761::generate_key_from_seed(seed());
        Ok((public.as_ref().to_vec(), Box::new(PendingSntrup(secret))))
    }

    fn respond(&self, peer: &[u8]) -> Result<(Vec<u8>, Secret), PluginError> {
        let public = sntrup761::EncapsulationKey::try_from(peer).expect("a public key");
        let (ciphertext, shared) = public.encapsulate_deterministic(seed());
        Ok((ciphertext.as_ref().to_vec(), Secret::copy_of(shared.as_ref())))
    }
}

impl PendingKeyExchange for PendingSntrup {
    fn finish(self: Box<Self>, peer: &[u8]) -> Result<Secret, PluginError> {
        let ciphertext = sntrup761::Ciphertext::try_from(peer).expect("a ciphertext");
        Ok(Secret::copy_of(self.0.decapsulate(&ciphertext).as_ref()))
    }
}

#[test]
fn oqs_agrees_with_other_implementations_in_both_roles() {
    let algorithms = algorithms();
    // HQC is PQClean's in liboqs too, so that only the revision is compared; no other crate has that.
    let others: [(&str, &dyn KeyExchange); 7] = [
        ("KYBER_L1", &kyber512::Other),
        ("KYBER_L3", &kyber768::Other),
        ("KYBER_L5", &kyber1024::Other),
        ("HQC_L1", &hqc128::Other),
        ("HQC_L3", &hqc192::Other),
        ("HQC_L5", &hqc256::Other),
        ("SNTRUP_761", &Sntrup),
    ];
    for (name, other) in others {
        let ours = key_exchange(&algorithms["oqs"], name);
        testing::agree(&*ours, other);
        testing::agree(other, &*ours);
    }
}

#[test]
fn frodo_agrees_with_oqs_in_both_roles() {
    let algorithms = algorithms();
    for name in [
        "FRODO_AES_L1",
        "FRODO_AES_L3",
        "FRODO_AES_L5",
        "FRODO_SHAKE_L1",
        "FRODO_SHAKE_L3",
        "FRODO_SHAKE_L5",
    ] {
        let frodo = key_exchange(&algorithms["frodo"], name);
        let oqs = key_exchange(&algorithms["oqs"], name);
        testing::agree(&*frodo, &*oqs);
        testing::agree(&*oqs, &*frodo);
    }
}
