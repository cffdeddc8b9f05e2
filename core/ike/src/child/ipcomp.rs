//! Compression of packets before they are encrypted: IPComp (RFC 7296, 2.22; RFC 3173), by DEFLATE alone (RFC 2394).
//!
//! The initiator names the CPI that it takes compressed packets by, and the responder its own if it agrees. The CHILD_SA does
//! without compression if the responder does not.

use std::num::NonZeroU16;

use config::connection::ChildConfig;
use iana::{IpcompTransform, NotifyType};
use plugin_api::kernel::{IPCOMP, SaId};
use wire::payload::{Notify, Payload};

use super::ChildSa;
use super::reservation::Reserved;
use crate::error::Error;
use crate::output::KernelOp;
use crate::sa::IkeSa;
use crate::shared::{Shared, log};

/// The CPIs of a CHILD_SA: the one that was reserved for what comes in, and the peer's, once both ends agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cpis {
    pub(super) inbound: Option<NonZeroU16>,
    pub(super) outbound: Option<NonZeroU16>,
}

impl Cpis {
    /// What is reserved; the peer has not agreed yet.
    pub(super) fn of(reserved: Reserved) -> Self {
        Self {
            inbound: reserved.cpi,
            outbound: None,
        }
    }

    /// Both, if packets are compressed.
    pub(super) fn both(self) -> Option<(u16, u16)> {
        Some((self.inbound?.get(), self.outbound?.get()))
    }

    /// The CPI of one direction, if packets are compressed; 0 is none.
    pub(super) fn agreed(self, inbound: bool) -> u16 {
        let agreed = self.both();
        agreed.map_or(0, |(own, peers)| if inbound { own } else { peers })
    }
}

impl ChildSa {
    /// The notify that offers compression, or agrees to it.
    pub(crate) fn ipcomp_notify(&self) -> Option<Payload> {
        let cpi = self.cpis.inbound?.get().to_be_bytes();
        let data = [cpi[0], cpi[1], IpcompTransform::DEFLATE.0];
        Some(Payload::Notify(Notify::status(
            NotifyType::IPCOMP_SUPPORTED,
            data.to_vec(),
        )))
    }

    /// The responder agrees to what the peer has offered, if there is a CPI for it.
    pub(crate) fn agree_to_compress(&mut self, peers: Option<NonZeroU16>) {
        self.cpis.outbound = peers.filter(|_| self.cpis.inbound.is_some());
    }

    /// Packets are not compressed; what gives back the CPI that was reserved.
    pub(crate) fn drop_cpi(&mut self) -> Vec<KernelOp> {
        let ops = self.cpi_removal();
        self.cpis = Cpis::default();
        ops
    }

    /// What gives back the CPI that was reserved.
    pub(super) fn cpi_removal(&self) -> Vec<KernelOp> {
        let reserved = self.cpis.inbound.map(|cpi| {
            KernelOp::DeleteSa(SaId {
                spi: cpi.get().into(),
                protocol: IPCOMP,
                ..self.inbound()
            })
        });
        reserved.into_iter().collect()
    }
}

impl IkeSa {
    /// The CPI by which the peer takes packets that DEFLATE has compressed, if a message names one.
    pub(crate) fn peers_cpi(&self, shared: &mut Shared, payloads: &[Payload]) -> Option<NonZeroU16> {
        let offers = || {
            payloads.iter().filter_map(|payload| match payload {
                Payload::Notify(notify) if notify.kind == NotifyType::IPCOMP_SUPPORTED => {
                    let [high, low, transform] = notify.data[..] else {
                        return None;
                    };
                    Some((u16::from_be_bytes([high, low]), IpcompTransform(transform)))
                }
                _ => None,
            })
        };
        if let Some((_, other)) = offers().find(|(_, transform)| *transform != IpcompTransform::DEFLATE) {
            log!(
                shared,
                self,
                Ike,
                1,
                "received IPCOMP_SUPPORTED notify with a transform ID we don't support {other}"
            );
        }
        let deflate = offers().find(|(_, transform)| *transform == IpcompTransform::DEFLATE);
        deflate.and_then(|(cpi, _)| NonZeroU16::new(cpi))
    }

    /// The same, unless the configuration does not want compression.
    pub(crate) fn wanted_cpi(
        &self,
        shared: &mut Shared,
        config: &ChildConfig,
        payloads: &[Payload],
    ) -> Option<NonZeroU16> {
        let cpi = self.peers_cpi(shared, payloads)?;
        if !config.kernel.ipcomp {
            let kind = NotifyType::IPCOMP_SUPPORTED;
            log!(
                shared,
                self,
                Ike,
                1,
                "received {kind} notify but IPComp is disabled, ignoring"
            );
            return None;
        }
        Some(cpi)
    }

    /// What an initiator makes of the answer.
    pub(crate) fn settle_ipcomp(
        &self,
        shared: &mut Shared,
        child: &mut ChildSa,
        peers: Option<NonZeroU16>,
    ) -> Result<(), Error> {
        match (child.cpis.inbound, peers) {
            (Some(_), Some(peers)) => child.agree_to_compress(Some(peers)),
            (Some(_), None) => {
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "peer didn't accept our proposed IPComp transforms, IPComp is disabled"
                );
                shared.out.kernel(child.drop_cpi());
            }
            (None, Some(_)) => return Err(Error::IpcompUnasked),
            (None, None) => {}
        }
        Ok(())
    }
}
