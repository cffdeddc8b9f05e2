//! Key exchanges without plugins: the calls of the libraries, as little around them as there can be.

use aws_lc_rs::{agreement, kem};
use frodo_kem_rs::Algorithm as Frodo;
use ml_kem::kem::{Ciphertext, Decapsulate, Key};
use ml_kem::{B32, FromSeed, KeyExport, MlKem512, MlKem768, MlKem1024, Seed};
use oqs::kem::Algorithm as Oqs;
use pqcrypto_traits::kem as pq;

/// Three calls of a library. A secret key is used once, and dropped with that.
pub(crate) trait Bare {
    /// What is sent to the responder.
    type Public: AsRef<[u8]>;
    /// What is kept until the answer.
    type Secret;
    /// The answer.
    type Answer: AsRef<[u8]>;
    /// What both know then, which is not looked at.
    type Shared;

    /// A key pair.
    fn initiate(&self) -> Option<(Self::Public, Self::Secret)>;
    /// An answer to it.
    fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)>;
    /// What becomes of the answer.
    fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared>;
}

/// Something to be done with a library, whichever it is.
pub(crate) trait Visit {
    /// What comes of it.
    type Output;
    /// Does it.
    fn with<B: Bare>(self, library: &str, bare: &B) -> Self::Output;
}

/// Calls `visit` with the library behind a plugin's method; nothing if there is none that this program can call by itself.
pub(crate) fn visit<V: Visit>(plugin: &str, method: &str, visit: V) -> Option<V::Output> {
    macro_rules! pqcrypto {
        ($($name:literal => $krate:ident::$module:ident,)+) => {
            match method {
                $($name => {
                    struct Here;
                    impl Bare for Here {
                        type Public = Octets<$krate::$module::PublicKey>;
                        type Secret = $krate::$module::SecretKey;
                        type Answer = Octets<$krate::$module::Ciphertext>;
                        type Shared = $krate::$module::SharedSecret;
                        fn initiate(&self) -> Option<(Self::Public, Self::Secret)> {
                            let (public, secret) = $krate::$module::keypair();
                            Some((Octets(public, pq::PublicKey::as_bytes), secret))
                        }
                        fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)> {
                            let public = pq::PublicKey::from_bytes(public).ok()?;
                            let (shared, answer) = $krate::$module::encapsulate(&public);
                            Some((Octets(answer, pq::Ciphertext::as_bytes), shared))
                        }
                        fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared> {
                            let answer = pq::Ciphertext::from_bytes(answer).ok()?;
                            Some($krate::$module::decapsulate(&answer, &secret))
                        }
                    }
                    Some(visit.with(stringify!($krate), &Here))
                })+
                _ => None,
            }
        };
    }
    match plugin {
        "aws-lc" => match method {
            "ML_KEM_512" => Some(visit.with("aws-lc-rs", &AwsKem(&kem::ML_KEM_512))),
            "ML_KEM_768" => Some(visit.with("aws-lc-rs", &AwsKem(&kem::ML_KEM_768))),
            "ML_KEM_1024" => Some(visit.with("aws-lc-rs", &AwsKem(&kem::ML_KEM_1024))),
            "CURVE_25519" => Some(visit.with("aws-lc-rs", &AwsX25519)),
            _ => None,
        },
        "ml" => match method {
            "ML_KEM_512" => Some(visit.with("ml-kem", &RustCrypto::<MlKem512>::default())),
            "ML_KEM_768" => Some(visit.with("ml-kem", &RustCrypto::<MlKem768>::default())),
            "ML_KEM_1024" => Some(visit.with("ml-kem", &RustCrypto::<MlKem1024>::default())),
            _ => None,
        },
        "curve25519" if method == "CURVE_25519" => Some(visit.with("x25519-dalek", &Dalek)),
        "oqs" => {
            let kem = oqs::kem::Kem::new(liboqs(method)?).ok()?;
            Some(visit.with("oqs", &kem))
        }
        "frodo" => Some(visit.with("frodo-kem-rs", &frodo(method)?)),
        "ntru" => pqcrypto! {
            "NTRU_HPS_L1" => pqcrypto_ntru::ntruhps2048509,
            "NTRU_HPS_L3" => pqcrypto_ntru::ntruhps2048677,
            "NTRU_HPS_L5" => pqcrypto_ntru::ntruhps4096821,
            "NTRU_HRSS_L3" => pqcrypto_ntru::ntruhrss701,
        },
        "saber" => pqcrypto! {
            "SABER_L1" => pqcrypto_saber::lightsaber,
            "SABER_L3" => pqcrypto_saber::saber,
            "SABER_L5" => pqcrypto_saber::firesaber,
        },
        _ => None,
    }
}

#[rustfmt::skip] // one line a KEM
fn liboqs(method: &str) -> Option<Oqs> {
    Some(match method {
        "KYBER_L1" => Oqs::Kyber512,
        "KYBER_L3" => Oqs::Kyber768,
        "KYBER_L5" => Oqs::Kyber1024,
        "BIKE_L1" => Oqs::BikeL1,
        "BIKE_L3" => Oqs::BikeL3,
        "BIKE_L5" => Oqs::BikeL5,
        "FRODO_AES_L1" => Oqs::FrodoKem640Aes,
        "FRODO_AES_L3" => Oqs::FrodoKem976Aes,
        "FRODO_AES_L5" => Oqs::FrodoKem1344Aes,
        "FRODO_SHAKE_L1" => Oqs::FrodoKem640Shake,
        "FRODO_SHAKE_L3" => Oqs::FrodoKem976Shake,
        "FRODO_SHAKE_L5" => Oqs::FrodoKem1344Shake,
        "HQC_L1" => Oqs::Hqc128,
        "HQC_L3" => Oqs::Hqc192,
        "HQC_L5" => Oqs::Hqc256,
        "SNTRUP_761" => Oqs::NtruPrimeSntrup761,
        _ => return None,
    })
}

fn frodo(method: &str) -> Option<Frodo> {
    Some(match method {
        "FRODO_AES_L1" => Frodo::EphemeralFrodoKem640Aes,
        "FRODO_AES_L3" => Frodo::EphemeralFrodoKem976Aes,
        "FRODO_AES_L5" => Frodo::EphemeralFrodoKem1344Aes,
        "FRODO_SHAKE_L1" => Frodo::EphemeralFrodoKem640Shake,
        "FRODO_SHAKE_L3" => Frodo::EphemeralFrodoKem976Shake,
        "FRODO_SHAKE_L5" => Frodo::EphemeralFrodoKem1344Shake,
        _ => return None,
    })
}

/// A library's type, and how to see its octets.
pub(crate) struct Octets<T>(T, fn(&T) -> &[u8]);

impl<T> AsRef<[u8]> for Octets<T> {
    fn as_ref(&self) -> &[u8] {
        (self.1)(&self.0)
    }
}

impl Bare for oqs::kem::Kem {
    type Public = oqs::kem::PublicKey;
    type Secret = oqs::kem::SecretKey;
    type Answer = oqs::kem::Ciphertext;
    type Shared = oqs::kem::SharedSecret;

    fn initiate(&self) -> Option<(Self::Public, Self::Secret)> {
        self.keypair().ok()
    }

    fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)> {
        self.encapsulate(self.public_key_from_bytes(public)?).ok()
    }

    fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared> {
        self.decapsulate(&secret, self.ciphertext_from_bytes(answer)?)
            .ok()
    }
}

struct AwsKem(&'static kem::Algorithm<kem::AlgorithmId>);

impl Bare for AwsKem {
    type Public = Octets<kem::EncapsulationKeyBytes<'static>>;
    type Secret = kem::DecapsulationKey<kem::AlgorithmId>;
    type Answer = kem::Ciphertext<'static>;
    type Shared = kem::SharedSecret;

    fn initiate(&self) -> Option<(Self::Public, Self::Secret)> {
        let secret = kem::DecapsulationKey::generate(self.0).ok()?;
        let public = secret.encapsulation_key().ok()?.key_bytes().ok()?;
        Some((Octets(public, |public| public.as_ref()), secret))
    }

    fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)> {
        kem::EncapsulationKey::new(self.0, public)
            .ok()?
            .encapsulate()
            .ok()
    }

    fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared> {
        secret.decapsulate(kem::Ciphertext::from(answer)).ok()
    }
}

/// The responder of a Diffie-Hellman exchange makes a key pair and agrees, both in one call.
struct AwsX25519;

impl Bare for AwsX25519 {
    type Public = agreement::PublicKey;
    type Secret = agreement::PrivateKey;
    type Answer = agreement::PublicKey;
    type Shared = [u8; 32];

    fn initiate(&self) -> Option<(Self::Public, Self::Secret)> {
        let secret = agreement::PrivateKey::generate(&agreement::X25519).ok()?;
        Some((secret.compute_public_key().ok()?, secret))
    }

    fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)> {
        let (own, secret) = self.initiate()?;
        Some((own, self.finish(secret, public)?))
    }

    fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared> {
        let peer = agreement::UnparsedPublicKey::new(&agreement::X25519, answer);
        agreement::agree(&secret, peer, (), |shared| {
            <[u8; 32]>::try_from(shared).map_err(|_| ())
        })
        .ok()
    }
}

struct Dalek;

impl Bare for Dalek {
    type Public = x25519_dalek::PublicKey;
    type Secret = x25519_dalek::StaticSecret;
    type Answer = x25519_dalek::PublicKey;
    type Shared = x25519_dalek::SharedSecret;

    fn initiate(&self) -> Option<(Self::Public, Self::Secret)> {
        let mut octets = [0; 32];
        getrandom::fill(&mut octets).ok()?;
        let secret = x25519_dalek::StaticSecret::from(octets);
        Some((x25519_dalek::PublicKey::from(&secret), secret))
    }

    fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)> {
        let (own, secret) = self.initiate()?;
        Some((own, self.finish(secret, public)?))
    }

    fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared> {
        let peer = <[u8; 32]>::try_from(answer).ok()?;
        Some(secret.diffie_hellman(&x25519_dalek::PublicKey::from(peer)))
    }
}

impl Bare for Frodo {
    type Public = Octets<frodo_kem_rs::EncryptionKey>;
    type Secret = frodo_kem_rs::DecryptionKey;
    type Answer = Octets<frodo_kem_rs::Ciphertext>;
    type Shared = frodo_kem_rs::SharedSecret;

    fn initiate(&self) -> Option<(Self::Public, Self::Secret)> {
        let mut seed = vec![0; self.params().key_seed_length];
        getrandom::fill(&mut seed).ok()?;
        let (public, secret) = self.generate_keypair_from_seed(&seed).ok()?;
        Some((Octets(public, frodo_kem_rs::EncryptionKey::value), secret))
    }

    fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)> {
        let public = self.encryption_key_from_bytes(public).ok()?;
        let mut message = vec![0; self.params().message_length];
        getrandom::fill(&mut message).ok()?;
        let (answer, shared) = self.encapsulate(&public, &message, []).ok()?;
        Some((Octets(answer, frodo_kem_rs::Ciphertext::value), shared))
    }

    fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared> {
        let answer = self.ciphertext_from_bytes(answer).ok()?;
        Some(self.decapsulate(&secret, &answer).ok()?.0)
    }
}

struct RustCrypto<P>(std::marker::PhantomData<P>);

impl<P> Default for RustCrypto<P> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

macro_rules! rust_crypto {
    ($($set:ident),+) => {$(
        impl Bare for RustCrypto<$set> {
            type Public = Key<<$set as ml_kem::kem::Kem>::EncapsulationKey>;
            type Secret = <$set as ml_kem::kem::Kem>::DecapsulationKey;
            type Answer = Ciphertext<$set>;
            type Shared = ml_kem::kem::SharedKey<$set>;

            fn initiate(&self) -> Option<(Self::Public, Self::Secret)> {
                let mut seed = Seed::default();
                getrandom::fill(&mut seed).ok()?;
                let (secret, public) = <$set as FromSeed>::from_seed(&seed);
                Some((public.to_bytes(), secret))
            }

            fn respond(&self, public: &[u8]) -> Option<(Self::Answer, Self::Shared)> {
                type Public = <$set as ml_kem::kem::Kem>::EncapsulationKey;
                let key = Public::new(<&Key<Public>>::try_from(public).ok()?).ok()?;
                let mut message = B32::default();
                getrandom::fill(&mut message).ok()?;
                Some(key.encapsulate_deterministic(&message))
            }

            fn finish(&self, secret: Self::Secret, answer: &[u8]) -> Option<Self::Shared> {
                Some(secret.decapsulate(<&Ciphertext<$set>>::try_from(answer).ok()?))
            }
        }
    )+};
}

rust_crypto!(MlKem512, MlKem768, MlKem1024);
