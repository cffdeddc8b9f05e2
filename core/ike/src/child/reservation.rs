//! What the kernel reserves for the inbound half of a CHILD_SA before that is negotiated: an SPI, and a CPI if packets may be
//! compressed. The CPI comes first; without one the CHILD_SA does without compression.

use std::net::IpAddr;
use std::num::NonZeroU16;

use config::connection::ChildConfig;
use iana::Protocol;
use plugin_api::kernel::{IPCOMP, SaId};

use crate::exchange::creation::Side;
use crate::lookup::SaKey;
use crate::output::{KernelAnswer, KernelId, KernelOp, KernelResult};
use crate::sa::{IkeSa, KernelWork};
use crate::shared::{Shared, log};

/// What an exchange needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// ESP or AH.
    pub(crate) protocol: Protocol,
    /// Whether packets may be compressed.
    pub(crate) ipcomp: bool,
}

impl Wanted {
    /// Of a CHILD_SA that is not compressed.
    pub(crate) const ESP: Self = Self {
        protocol: Protocol::ESP,
        ipcomp: false,
    };

    /// What the initiator of a CHILD_SA needs. There is one SPI for all proposals, of the protocol of the first.
    pub(crate) fn of(config: &ChildConfig) -> Self {
        Self {
            protocol: match config.kernel.prefers_ah() {
                true => Protocol::AH,
                false => Protocol::ESP,
            },
            ipcomp: config.kernel.ipcomp,
        }
    }
}

/// What the kernel has reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) protocol: Protocol,
    pub(crate) spi: u32,
    pub(crate) cpi: Option<NonZeroU16>,
}

/// A reservation that the kernel is working at, for packets from `src` to `dst`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    src: IpAddr,
    dst: IpAddr,
    protocol: Protocol,
    /// Whether the CPI is what the kernel is working at.
    awaits_cpi: bool,
    cpi: Option<NonZeroU16>,
}

impl Reserved {
    /// What gives it back, for packets from `src` to `dst`.
    pub(crate) fn removal(self, src: IpAddr, dst: IpAddr) -> Vec<KernelOp> {
        let spi = (self.protocol, self.spi);
        let cpi = self.cpi.map(|cpi| (IPCOMP, u32::from(cpi.get())));
        let named = |(protocol, spi)| {
            KernelOp::DeleteSa(SaId {
                src,
                dst,
                spi,
                protocol,
            })
        };
        [spi].into_iter().chain(cpi).map(named).collect()
    }
}

impl Shared {
    /// Asks for what the inbound half of a CHILD_SA needs, for packets from `src` to `dst`.
    pub(crate) fn reserve(&mut self, owner: SaKey, src: IpAddr, dst: IpAddr, wanted: Wanted) -> KernelId {
        let reservation = Reservation {
            src,
            dst,
            protocol: wanted.protocol,
            awaits_cpi: wanted.ipcomp,
            cpi: None,
        };
        self.go_on_reserving(owner, reservation)
    }

    fn go_on_reserving(&mut self, owner: SaKey, reservation: Reservation) -> KernelId {
        let Reservation { src, dst, .. } = reservation;
        let protocol = match reservation.awaits_cpi {
            true => IPCOMP,
            false => reservation.protocol,
        };
        let id = self.start_kernel(owner, vec![KernelOp::AllocateSpi { src, dst, protocol }]);
        self.reservations.insert(id, reservation);
        id
    }

    /// Gives back what has been reserved for an IKE_SA that has gone.
    pub(crate) fn abandon(&mut self, reservation: Reservation, result: &KernelResult) {
        let Reservation { src, dst, .. } = reservation;
        let number = number(result);
        let cpi = reservation.cpi.map(|cpi| (IPCOMP, cpi.get().into())).into_iter();
        let last = number.map(|number| (reservation.working_at(), number));
        let ops: Vec<_> = cpi
            .chain(last)
            .map(|(protocol, spi)| {
                KernelOp::DeleteSa(SaId {
                    src,
                    dst,
                    spi,
                    protocol,
                })
            })
            .collect();
        if !ops.is_empty() {
            self.out.kernel(ops);
        }
    }
}

impl Reservation {
    fn working_at(&self) -> Protocol {
        if self.awaits_cpi { IPCOMP } else { self.protocol }
    }
}

impl IkeSa {
    /// Asks for what the inbound half of a CHILD_SA needs; `work` goes on with it.
    pub(crate) fn reserve(&mut self, shared: &mut Shared, wanted: Wanted, work: KernelWork) {
        let id = shared.reserve(self.unique_id, self.remote.ip(), self.local.ip(), wanted);
        self.kernel_work.insert(id, work);
    }

    /// The kernel has reserved something, or could not.
    pub(crate) fn on_reserved(
        &mut self,
        shared: &mut Shared,
        id: KernelId,
        mut reservation: Reservation,
        result: &KernelResult,
    ) {
        let Some(work) = self.kernel_work.remove(&id) else {
            return shared.abandon(reservation, result);
        };
        if let Err(failure) = result {
            let text = match reservation.awaits_cpi {
                true => format!(
                    "unable to allocate a CPI from kernel, IPComp disabled: {}",
                    failure.error
                ),
                false => format!("unable to allocate SPI from kernel: {}", failure.error),
            };
            log!(shared, self, Ike, 1, "{text}");
        }
        let number = number(result);
        if reservation.awaits_cpi {
            let cpi = number.and_then(|number| u16::try_from(number).ok());
            reservation.cpi = cpi.and_then(NonZeroU16::new);
            reservation.awaits_cpi = false;
            let id = shared.go_on_reserving(self.unique_id, reservation);
            self.kernel_work.insert(id, work);
            return;
        }
        if number.is_none() {
            shared.abandon(reservation, result);
        }
        let Reservation { protocol, cpi, .. } = reservation;
        let reserved = number.map(|spi| Reserved { protocol, spi, cpi });
        match work {
            KernelWork::ReserveSpi => self.on_spi_reserved(shared, reserved),
            KernelWork::ReserveCreated(Side::Active) => self.on_creation_spi(shared, reserved),
            KernelWork::ReserveCreated(Side::Passive) => self.on_answer_spi(shared, reserved),
            _ => {}
        }
    }
}

/// The SPI or CPI of an answer.
fn number(result: &KernelResult) -> Option<u32> {
    match result.as_deref() {
        Ok([KernelAnswer::Spi(number)]) => Some(*number),
        _ => None,
    }
}
