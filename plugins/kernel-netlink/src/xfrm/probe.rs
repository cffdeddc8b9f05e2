//! Whether the kernel has ESP.
//!
//! It reserves SPIs without, and takes policies; only an SA tells. So one is installed between loopback addresses, which
//! makes the kernel load its modules as well, and removed at once; should the daemon die in between, it expires.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use iana::{EncryptionAlgorithm, IntegrityAlgorithm, Protocol};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_xfrm::XfrmMessage;
use plugin_api::kernel::{SaId, SaLifetime, SaMode, SaOptions, SaParameters};
use plugin_api::{ErrorKind, PluginError, Secret};

use super::refusal::refused;
use super::sa;
use crate::connection::{Connection, Refusal};

/// Whether there is ESP for IPv6, too.
///
/// # Errors
///
/// [`ErrorKind::NotSupported`] if there is none for IPv4.
pub(super) fn probe(connection: &Connection<XfrmMessage>, spi: u32) -> Result<bool, PluginError> {
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    has_esp(connection, v4, spi)?.map_err(|refusal| {
        PluginError::new(
            ErrorKind::NotSupported,
            format!("the kernel has no ESP ({refusal}); load its module esp4 if it has one"),
        )
    })?;
    Ok(has_esp(connection, v6, spi)?.is_ok())
}

fn has_esp(
    connection: &Connection<XfrmMessage>,
    address: IpAddr,
    spi: u32,
) -> Result<Result<(), Refusal>, PluginError> {
    let mut last = None;
    // The kernel tells a missing algorithm before missing ESP, so there is a second one. It looks longer for a missing one
    // than for others, each time, and fewer kernels are without these first.
    for (encryption, len, integrity) in [
        (
            EncryptionAlgorithm::AES_CBC,
            16,
            Some(IntegrityAlgorithm::HMAC_SHA2_256_128),
        ),
        (EncryptionAlgorithm::AES_GCM_16, 20, None),
    ] {
        let id = named(address, spi, Protocol::ESP);
        let probe = trial(id, encryption, len, integrity);
        let message = XfrmMessage::AddSa(sa::install(&probe, false)?);
        match connection.ask(message, NLM_F_CREATE | NLM_F_EXCL) {
            Ok(_) => {
                // It would expire anyway.
                let _ = connection.ask(XfrmMessage::DeleteSa(sa::named(&probe.id, None)), 0);
                return Ok(Ok(()));
            }
            Err(refusal) => match refusal.error.raw_os_error() {
                Some(libc::EEXIST) => return Ok(Ok(())),
                Some(libc::EPERM) => return Err(refused("asking the kernel for ESP", &refusal)),
                // Of ESP itself, for any algorithm.
                Some(libc::EPROTONOSUPPORT) => return Ok(Err(refusal)),
                _ => last = Some(refusal),
            },
        }
    }
    let none = || std::io::Error::from_raw_os_error(libc::EPROTONOSUPPORT).into();
    Ok(Err(last.unwrap_or_else(none)))
}

/// The SA between loopback addresses that is tried.
pub(super) fn named(address: IpAddr, spi: u32, protocol: Protocol) -> SaId {
    SaId {
        src: address,
        dst: address,
        spi,
        protocol,
    }
}

/// An SA that carries nothing, with keys of zeros: `key_len` octets of key and salt.
pub(super) fn trial(
    id: SaId,
    encryption: EncryptionAlgorithm,
    key_len: usize,
    integrity: Option<IntegrityAlgorithm>,
) -> SaParameters {
    let lengths = integrity.and_then(IntegrityAlgorithm::key_and_tag_len);
    SaParameters {
        id,
        inbound: true,
        reqid: 0,
        mode: SaMode::Tunnel,
        src_ts: Vec::new(),
        dst_ts: Vec::new(),
        encryption,
        encryption_key: Secret::zeroed(key_len),
        integrity,
        integrity_key: Secret::zeroed(lengths.map_or(0, |(key_len, _)| key_len)),
        encap: None,
        esn: false,
        replay_window: 0,
        lifetime: SaLifetime {
            hard_time: Duration::from_secs(2),
            ..SaLifetime::default()
        },
        tfc: 0,
        mark: None,
        options: SaOptions::default(),
    }
}
