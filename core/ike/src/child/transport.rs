//! Transport mode (RFC 7296, 1.3.1), also through NATs (RFC 7296, 2.23.1).
//!
//! The initiator asks, and either end may leave it at tunnel mode. Behind a NAT the ends write addresses into traffic
//! selectors that the other does not see them by. The responder puts those it sees in their place before it looks for a
//! configuration, and writes what it was sent into its answer; the initiator does the same with the answer.

use std::net::IpAddr;

use config::connection::{ChildConfig, Mode};
use iana::{NotifyType, TrafficSelector};
use wire::payload::Payload;

use crate::child::ChildSa;
use crate::child::negotiate::{Choice, Refusal};
use crate::sa::IkeSa;
use crate::shared::{Shared, log};

/// Selectors of one end, with the addresses that stand for `dynamic`.
type End<'a> = (&'a [TrafficSelector], &'a [IpAddr]);

/// What a responder answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Transport {
    /// Transport mode it is.
    pub(crate) agreed: bool,
    /// The addresses, ours and its own, that the initiator wrote, if they are not those that we see.
    written: Option<(IpAddr, IpAddr)>,
}

impl Transport {
    /// The mode of a CHILD_SA.
    pub(crate) fn mode(&self, config: &ChildConfig) -> Mode {
        match config.mode {
            Mode::Transport if !self.agreed => Mode::Tunnel,
            mode => mode,
        }
    }

    /// Own selectors and the peer's as the initiator wrote them.
    pub(crate) fn as_written(
        &self,
        local_ts: &[TrafficSelector],
        remote_ts: &[TrafficSelector],
    ) -> (Vec<TrafficSelector>, Vec<TrafficSelector>) {
        match self.written {
            Some((local, remote)) => (substitute(local_ts, local), substitute(remote_ts, remote)),
            None => (local_ts.to_vec(), remote_ts.to_vec()),
        }
    }
}

impl IkeSa {
    /// Chooses a configuration for a request, which may be one for transport mode.
    pub(crate) fn choose_mode(
        &self,
        payloads: &[Payload],
        ours: End<'_>,
        theirs: End<'_>,
        choose: impl Fn(End<'_>, End<'_>) -> Result<Choice, Refusal>,
    ) -> Result<Choice, Refusal> {
        let asked = is_in(payloads);
        if asked
            && self.natt.encap()
            && let (Some(local), Some(remote)) = (single_host(ours.0), single_host(theirs.0))
        {
            let seen = (
                substitute(ours.0, self.local.ip()),
                substitute(theirs.0, self.remote.ip()),
            );
            if let Ok(mut choice) = choose((&seen.0, ours.1), (&seen.1, theirs.1))
                && choice.config.mode == Mode::Transport
            {
                choice.transport = Transport {
                    agreed: true,
                    written: Some((local, remote)),
                };
                return Ok(choice);
            }
        }
        let mut choice = choose(ours, theirs)?;
        choice.transport.agreed = asked && choice.config.mode == Mode::Transport;
        Ok(choice)
    }

    /// What an initiator makes of the answer's mode and selectors.
    pub(crate) fn settle_mode(
        &self,
        shared: &mut Shared,
        child: &mut ChildSa,
        local_ts: &mut Vec<TrafficSelector>,
        remote_ts: &mut Vec<TrafficSelector>,
        agreed: bool,
    ) {
        if child.mode != Mode::Transport {
            return;
        }
        if !agreed {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer does not want transport mode, using tunnel mode"
            );
            child.mode = Mode::Tunnel;
        } else if self.natt.encap() && single_host(local_ts).is_some() && single_host(remote_ts).is_some() {
            *local_ts = substitute(local_ts, self.local.ip());
            *remote_ts = substitute(remote_ts, self.remote.ip());
        }
    }
}

/// Whether transport mode is asked for or agreed to.
pub(crate) fn is_in(payloads: &[Payload]) -> bool {
    payloads.iter().any(
        |payload| matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::USE_TRANSPORT_MODE),
    )
}

/// The one address that all selectors are of.
fn single_host(selectors: &[TrafficSelector]) -> Option<IpAddr> {
    let address = selectors.first()?.start;
    selectors
        .iter()
        .all(|selector| selector.is_host(address))
        .then_some(address)
}

/// The same protocols and ports of another host.
fn substitute(selectors: &[TrafficSelector], address: IpAddr) -> Vec<TrafficSelector> {
    selectors
        .iter()
        .map(|selector| TrafficSelector {
            start: address,
            end: address,
            ..selector.clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_substituted_and_ports_stay() {
        let mut http = TrafficSelector::host([192, 0, 2, 1].into());
        (http.protocol, http.start_port, http.end_port) = (6, 80, 80);
        assert_eq!(
            single_host(std::slice::from_ref(&http)),
            Some([192, 0, 2, 1].into())
        );
        let there = substitute(std::slice::from_ref(&http), [198, 51, 100, 1].into());
        assert_eq!(single_host(&there), Some([198, 51, 100, 1].into()));
        assert_eq!(
            (there[0].protocol, there[0].start_port, there[0].end_port),
            (6, 80, 80)
        );
    }

    #[test]
    fn only_one_host_is_one_host() {
        let one = TrafficSelector::host([192, 0, 2, 1].into());
        let other = TrafficSelector::host([192, 0, 2, 2].into());
        assert_eq!(single_host(&[]), None);
        assert_eq!(single_host(&[one, other]), None);
        assert_eq!(
            single_host(&[TrafficSelector::subnet([192, 0, 2, 0].into(), 24)]),
            None
        );
    }
}
