//! The SAs of a CHILD_SA: one of ESP or AH for each direction, and within that one of IPComp if packets are compressed.

use std::net::SocketAddr;
use std::time::Duration;

use crypto::int_auth::Role;
use crypto::keymat::ChildKeys;
use crypto::suite::ChildSuite;
use iana::{EncryptionAlgorithm, Protocol};
use plugin_api::Secret;
use plugin_api::kernel::{HwOffload, IPCOMP, SaId, SaLifetime, SaMode, SaOptions, SaParameters, UdpEncap};

use super::{ChildSa, integrity};
use crate::output::KernelOp;

impl ChildSa {
    pub(super) fn inbound(&self) -> SaId {
        SaId {
            src: self.ends.1,
            dst: self.ends.0,
            spi: self.spi_in,
            protocol: self.protocol,
        }
    }

    pub(super) fn outbound(&self) -> SaId {
        SaId {
            src: self.ends.0,
            dst: self.ends.1,
            spi: self.spi_out,
            protocol: self.protocol,
        }
    }

    /// Whether one of its SAs of ESP or AH has this SPI.
    pub(crate) fn has_sa(&self, protocol: Protocol, spi: u32) -> bool {
        self.protocol == protocol && (self.spi_in == spi || self.spi_out == spi)
    }

    fn id(&self, inbound: bool) -> SaId {
        if inbound { self.inbound() } else { self.outbound() }
    }

    /// The SA of IPComp of one direction, if packets are compressed.
    fn compression(&self, inbound: bool) -> Option<SaId> {
        let cpi = self.cpis.agreed(inbound);
        (cpi != 0).then(|| SaId {
            spi: cpi.into(),
            protocol: IPCOMP,
            ..self.id(inbound)
        })
    }

    /// How many SAs a direction has.
    pub(super) fn sas_of_direction(&self) -> usize {
        1 + usize::from(self.compression(true).is_some())
    }

    /// What removes the SAs of one direction, or gives back what is reserved.
    pub(super) fn sa_removal(&self, inbound: bool) -> Vec<KernelOp> {
        let mut ops = vec![KernelOp::DeleteSa(self.id(inbound))];
        if inbound {
            ops.extend(self.cpi_removal());
        } else {
            ops.extend(self.compression(false).map(KernelOp::DeleteSa));
        }
        ops
    }

    /// What moves the SAs of one direction. That of IPComp goes first, since the policies follow the other; it is never in UDP.
    pub(super) fn sa_moves(
        &self,
        inbound: bool,
        src: SocketAddr,
        dst: SocketAddr,
        encap: bool,
    ) -> Vec<KernelOp> {
        let id = self.id(inbound);
        let compression = self
            .compression(inbound)
            .filter(|_| (id.src, id.dst) != (src.ip(), dst.ip()));
        let inner = compression.map(|id| KernelOp::UpdateSa {
            id,
            src,
            dst,
            encap: false,
        });
        let outer = KernelOp::UpdateSa { id, src, dst, encap };
        inner.into_iter().chain([outer]).collect()
    }

    /// What installs the SAs, those of the inbound direction and those of the other.
    pub(super) fn sas(
        &self,
        suite: &ChildSuite,
        keys: ChildKeys,
        role: Role,
        lifetime: SaLifetime,
        replay_window: u32,
    ) -> [Vec<KernelOp>; 2] {
        let (mut from_initiator, mut from_responder) = (
            (keys.encryption_i, keys.integrity_i),
            (keys.encryption_r, keys.integrity_r),
        );
        if role == Role::Responder {
            std::mem::swap(&mut from_initiator, &mut from_responder);
        }
        [(true, from_responder), (false, from_initiator)].map(|(inbound, keys)| {
            let mut outer = self.outer_sa(suite, keys, lifetime, inbound);
            outer.replay_window = if inbound { replay_window } else { 0 };
            let inner = self.inner_sa(&mut outer);
            let both = inner.into_iter().chain([outer]);
            both.map(|sa| KernelOp::AddSa(Box::new(sa))).collect()
        })
    }

    fn outer_sa(
        &self,
        suite: &ChildSuite,
        (encryption_key, integrity_key): (Secret, Secret),
        lifetime: SaLifetime,
        inbound: bool,
    ) -> SaParameters {
        let numbers = self.selectors.numbers;
        SaParameters {
            id: self.id(inbound),
            inbound,
            reqid: self.reqid,
            mode: self.sa_mode(),
            src_ts: self.selectors.from(inbound).to_vec(),
            dst_ts: self.selectors.from(!inbound).to_vec(),
            encryption: suite.encryption,
            encryption_key,
            integrity: integrity::installed(suite.integrity, self.config.kernel.sha256_96),
            integrity_key,
            encap: self.encap.map(|(local, remote)| {
                let (src_port, dst_port) = if inbound { (remote, local) } else { (local, remote) };
                UdpEncap { src_port, dst_port }
            }),
            esn: suite.esn,
            replay_window: 0,
            // The inbound SA keeps the time for both.
            lifetime: if inbound {
                lifetime
            } else {
                SaLifetime {
                    soft_time: Duration::ZERO,
                    hard_time: Duration::ZERO,
                    ..lifetime
                }
            },
            tfc: if inbound { 0 } else { self.config.tfc },
            mark: numbers.sa_mark(&self.config.kernel, inbound),
            options: numbers.sa(&self.config.kernel, inbound),
        }
    }

    /// The SA of IPComp within another. It has the mode and the selectors; the other is around all of its packets.
    fn inner_sa(&self, outer: &mut SaParameters) -> Option<SaParameters> {
        let id = self.compression(outer.inbound)?;
        let inner = SaParameters {
            id,
            inbound: outer.inbound,
            reqid: outer.reqid,
            mode: outer.mode,
            src_ts: std::mem::take(&mut outer.src_ts),
            dst_ts: std::mem::take(&mut outer.dst_ts),
            encryption: EncryptionAlgorithm::NULL,
            encryption_key: Secret::default(),
            integrity: None,
            integrity_key: Secret::default(),
            encap: None,
            esn: false,
            replay_window: 0,
            lifetime: SaLifetime::default(),
            tfc: 0,
            mark: outer.mark,
            options: SaOptions {
                hw_offload: HwOffload::No,
                ..outer.options.clone()
            },
        };
        outer.mode = SaMode::Transport;
        Some(inner)
    }
}
