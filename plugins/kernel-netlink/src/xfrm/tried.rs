//! Which algorithms the kernel has. It loads the modules of those that an SA asks for, and says nowhere which there are, so each
//! is tried once, as in [`probe`](super::probe).

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use iana::{EncryptionAlgorithm, IntegrityAlgorithm, Protocol};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_xfrm::XfrmMessage;
use plugin_api::kernel::{IPCOMP, SaId};
use plugin_api::{ErrorKind, Host, KernelAlgorithms, PluginError};

use super::refusal::refused;
use super::{algorithms, probe, sa};
use crate::connection::Connection;
use crate::settings::XfrmSettings;

/// See the module.
pub struct Tried {
    host: Arc<dyn Host>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The connection and the SPI of the SAs that are tried; made for the first.
    means: Option<(Connection<XfrmMessage>, u32)>,
    known: HashMap<Combination, bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Combination {
    protocol: Protocol,
    encryption: EncryptionAlgorithm,
    key_len: u16,
    integrity: Option<IntegrityAlgorithm>,
}

impl Tried {
    /// Nothing is tried yet.
    pub fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            state: Mutex::default(),
        }
    }

    /// Whether the kernel takes an SA with these algorithms. One that cannot be asked is taken to have what it has a name for.
    fn takes(&self, combination: Combination) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = state.known.get(&combination) {
            return *known;
        }
        let lacks = |error: &PluginError| error.kind == ErrorKind::NotSupported;
        let takes = match self.ask(&mut state, combination) {
            Ok(()) => true,
            Err(error) if lacks(&error) => false,
            // It may be able to tell next time.
            Err(_) => return true,
        };
        state.known.insert(combination, takes);
        takes
    }

    fn ask(&self, state: &mut State, combination: Combination) -> Result<(), PluginError> {
        let (connection, spi) = match state.means.take() {
            Some(means) => means,
            None => (super::open()?, XfrmSettings::read(&*self.host)?.spi_range.1),
        };
        let result = tried(&connection, spi, combination);
        state.means = Some((connection, spi));
        result
    }
}

fn tried(
    connection: &Connection<XfrmMessage>,
    spi: u32,
    combination: Combination,
) -> Result<(), PluginError> {
    let Combination {
        protocol,
        encryption,
        key_len,
        integrity,
    } = combination;
    let id: SaId = probe::named(Ipv4Addr::LOCALHOST.into(), spi, protocol);
    let key_len = usize::from(key_len) + encryption.salt_len();
    let parameters = probe::trial(id, encryption, key_len, integrity);
    let message = XfrmMessage::AddSa(sa::install(&parameters, false)?);
    connection
        .ask(message, NLM_F_CREATE | NLM_F_EXCL)
        .map_err(|refusal| refused("trying an SA", &refusal))?;
    // It would expire anyway.
    let _ = connection.ask(XfrmMessage::DeleteSa(sa::named(&parameters.id, None)), 0);
    Ok(())
}

/// Whether the kernel has AH, or IPComp with DEFLATE, at all: without it, no SA can be installed, though SPIs are reserved.
pub(super) fn knows(connection: &Connection<XfrmMessage>, spi: u32, protocol: Protocol) -> bool {
    let (spi, integrity) = match protocol {
        IPCOMP => (sa::CPIS.1, None),
        _ => (spi, Some(IntegrityAlgorithm::HMAC_SHA2_256_128)),
    };
    let combination = Combination {
        protocol,
        encryption: EncryptionAlgorithm::NULL,
        key_len: 0,
        integrity,
    };
    // Another reason says nothing of the protocol, and what comes of it is told by the SA itself.
    tried(connection, spi, combination).map_or_else(|error| error.kind != ErrorKind::NotSupported, |()| true)
}

impl KernelAlgorithms for Tried {
    fn encrypts(&self, encryption: EncryptionAlgorithm, key_len: u16) -> bool {
        algorithms::has_encryption(encryption)
            && self.takes(Combination {
                protocol: Protocol::ESP,
                encryption,
                key_len,
                integrity: None,
            })
    }

    fn authenticates(&self, protocol: Protocol, integrity: IntegrityAlgorithm) -> bool {
        algorithms::has_integrity(integrity)
            && self.takes(Combination {
                protocol,
                encryption: EncryptionAlgorithm::NULL,
                key_len: 0,
                integrity: Some(integrity),
            })
    }
}
