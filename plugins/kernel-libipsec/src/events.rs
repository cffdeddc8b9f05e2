//! What the daemon is told without asking.

use iana::{Protocol, TrafficSelector};
use plugin_api::Host;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::{CONTROL, DIAGNOSE, Group};

use crate::packet::Flow;
use crate::sad::Sa;
use crate::spd::Treatment;

/// A limit of an SA was reached.
pub(crate) fn expire(host: &dyn Host, sa: &Sa, hard: bool) {
    let limit = if hard { "hard" } else { "soft" };
    host.log(
        Group::Esp,
        DIAGNOSE,
        &format!("SA with SPI {:08x} reached its {limit} limit", sa.spi),
    );
    host.kernel_event(KernelEvent::Expire {
        protocol: Protocol::ESP,
        spi: sa.spi,
        dst: sa.dst(),
        hard,
    });
}

/// A packet met a trap.
pub(crate) fn acquire(host: &dyn Host, treatment: &Treatment, flow: &Flow) {
    let selector = |address, port: Option<u16>| TrafficSelector {
        protocol: flow.protocol,
        start_port: port.unwrap_or(0),
        end_port: port.unwrap_or(u16::MAX),
        ..TrafficSelector::host(address)
    };
    host.log(
        Group::Esp,
        CONTROL,
        &format!(
            "could not find an outbound IPsec SA for reqid {{{}}}, dropping packet and triggering acquire",
            treatment.reqid
        ),
    );
    host.kernel_event(KernelEvent::Acquire {
        reqid: treatment.reqid,
        src: selector(flow.src, flow.ports.map(|(src, _)| src)),
        dst: selector(flow.dst, flow.ports.map(|(_, dst)| dst)),
    });
}
