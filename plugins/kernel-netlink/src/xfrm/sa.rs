//! Messages about SAs.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use iana::Protocol;
use netlink_packet_xfrm::constants::{
    AF_INET, AF_INET6, IPPROTO_AH, IPPROTO_COMP, IPPROTO_ESP, UDP_ENCAP_ESPINUDP, XFRM_INF,
    XFRM_MODE_TRANSPORT, XFRM_MODE_TUNNEL, XFRM_SA_XFLAG_DONT_ENCAP_DSCP, XFRM_STATE_AF_UNSPEC,
    XFRM_STATE_ALIGN4, XFRM_STATE_DECAP_DSCP, XFRM_STATE_ESN, XFRM_STATE_NOECN, XFRM_STATE_NOPMTUDISC,
};
use netlink_packet_xfrm::state::{AllocSpiMessage, DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{
    Address, EncapTmpl, Id, LifetimeConfig, Mark, ReplayEsn, UserSaId, UserSaInfo, UserSpiInfo, XfrmAttrs,
};
use plugin_api::kernel::{IPCOMP, SaId, SaLifetime, SaMode, SaOptions, SaParameters, SaUsage, UdpEncap};
use plugin_api::{ErrorKind, PluginError};

use super::algorithms;
use super::selector::{Endpoints, Selector};

/// The widest window that a kernel keeps (XFRMA_REPLAY_ESN_MAX).
pub(super) const MAX_WINDOW: u32 = 4096;
/// The window of a kernel that has to have one.
const DEFAULT_WINDOW: u32 = 32;
/// Sequence numbers left out when an SA that sends is made anew, more than what it may send in between.
const SEQUENCE_GAP: u32 = 4096;

/// The CPIs that are negotiated: those below are well-known, those above for private use (RFC 3173, 3.3).
pub(super) const CPIS: (u32, u32) = (0x100, 0xefff);

/// Reserves an SPI, or a CPI.
pub(super) fn allocate(src: IpAddr, dst: IpAddr, protocol: Protocol, range: (u32, u32)) -> AllocSpiMessage {
    let info = UserSaInfo {
        saddr: Address::from_ip(&src),
        id: Id {
            daddr: Address::from_ip(&dst),
            spi: 0,
            proto: protocol_number(protocol),
        },
        family: family(dst),
        mode: XFRM_MODE_TUNNEL,
        ..UserSaInfo::default()
    };
    AllocSpiMessage {
        spi_info: UserSpiInfo {
            info,
            min: range.0,
            max: range.1,
        },
        nlas: Vec::new(),
    }
}

/// Installs an SA. With `transport_ports`, one in transport mode admits nothing but the protocol and ports of its
/// selectors.
///
/// # Errors
///
/// [`ErrorKind::NotSupported`] if Linux does not know an algorithm.
pub(super) fn install(sa: &SaParameters, transport_ports: bool) -> Result<ModifyMessage, PluginError> {
    let mut info = UserSaInfo {
        saddr: Address::from_ip(&sa.id.src),
        id: Id {
            daddr: Address::from_ip(&sa.id.dst),
            spi: sa.id.spi,
            proto: protocol_number(sa.id.protocol),
        },
        lifetime_cfg: lifetime(&sa.lifetime),
        reqid: sa.reqid,
        family: family(sa.id.dst),
        mode: mode(sa.mode),
        ..UserSaInfo::default()
    };
    match sa.mode {
        // Inner packets may be of the other family.
        SaMode::Tunnel => info.flags |= XFRM_STATE_AF_UNSPEC | copying(&sa.options, sa.inbound),
        // There is room for one pair, and what it does not name would be dropped.
        SaMode::Transport => {
            if let ([src_ts], [dst_ts]) = (&sa.src_ts[..], &sa.dst_ts[..]) {
                let endpoints = Endpoints { src_ts, dst_ts };
                let mut selector = Selector::of(endpoints);
                if !transport_ports {
                    selector = selector.without_ports();
                }
                info.selector = selector.message(0);
            }
        }
    }
    let mut nlas = algorithms::attributes(sa)?;
    nlas.extend(sa.encap.map(encapsulation));
    nlas.extend(mark(sa.mark));
    nlas.extend(if_id(sa.options.if_id));
    if let Some((value, mask)) = sa.options.set_mark {
        nlas.extend([XfrmAttrs::MarkVal(value), XfrmAttrs::MarkMask(mask)]);
    }
    if sa.mode == SaMode::Tunnel && !sa.inbound && !sa.options.copy_dscp.out() {
        nlas.push(XfrmAttrs::ExtraFlags(XFRM_SA_XFLAG_DONT_ENCAP_DSCP));
    }
    if sa.tfc > 0 && sa.mode == SaMode::Tunnel && sa.id.protocol == Protocol::ESP {
        nlas.push(XfrmAttrs::TfcPadding(sa.tfc));
    }
    if sa.id.protocol == Protocol::AH && sa.id.dst.is_ipv4() {
        // Only IPv6 aligns its headers to eight octets, and Linux would do so for both (RFC 4302, 3.3.3.2.1).
        info.flags |= XFRM_STATE_ALIGN4;
    }
    if sa.esn {
        info.flags |= XFRM_STATE_ESN;
    }
    let window = window(sa);
    if sa.esn || window > 32 {
        let words = window.div_ceil(32);
        nlas.push(XfrmAttrs::ReplayStateEsn(ReplayEsn {
            bmp_len: words,
            replay_window: window,
            bmp: vec![0; words as usize],
            ..ReplayEsn::default()
        }));
    } else {
        info.replay_window = window as u8;
    }
    Ok(ModifyMessage {
        user_sa_info: info,
        nlas,
    })
}

/// What is not copied between the headers of a tunnel, and what is copied in that is not without: of the way that the
/// packets of the SA go.
fn copying(options: &SaOptions, inbound: bool) -> u8 {
    let mut flags = 0;
    for (set, flag) in [
        (!options.copy_ecn, XFRM_STATE_NOECN),
        (inbound && options.copy_dscp.inward(), XFRM_STATE_DECAP_DSCP),
        (!inbound && !options.copy_df, XFRM_STATE_NOPMTUDISC),
    ] {
        if set {
            flags |= flag;
        }
    }
    flags
}

/// With ESN the kernel wants a window on both sides.
fn window(sa: &SaParameters) -> u32 {
    match (sa.inbound, sa.esn) {
        (false, esn) => u32::from(esn),
        (true, true) if sa.replay_window == 0 => DEFAULT_WINDOW,
        (true, _) => sa.replay_window.min(MAX_WINDOW),
    }
}

/// Asks for an SA or removes it.
pub(super) fn named(id: &SaId, mark_and_mask: Option<(u32, u32)>) -> DelGetMessage {
    DelGetMessage {
        user_sa_id: UserSaId {
            daddr: Address::from_ip(&id.dst),
            spi: id.spi,
            family: family(id.dst),
            proto: protocol_number(id.protocol),
        },
        nlas: mark(mark_and_mask)
            .into_iter()
            // The kernel chooses among SPIs by the source, if it has a choice.
            .chain([XfrmAttrs::SrcAddr(Address::from_ip(&id.src))])
            .collect(),
    }
}

/// What the SA has carried, and the time of the last packet in seconds since 1970, if the kernel says so.
pub(super) fn usage(answer: &ModifyMessage) -> (SaUsage, Option<u64>) {
    let carried = &answer.user_sa_info.lifetime_cur;
    let last_used = answer.nlas.iter().find_map(|attribute| match attribute {
        XfrmAttrs::LastUsed(seconds) => Some(*seconds),
        _ => None,
    });
    let usage = SaUsage {
        octets: carried.bytes,
        packets: carried.packets,
        last_use: None,
    };
    (usage, last_used)
}

/// Makes of what the kernel says about an SA the message that installs it at other addresses, with all that it was in
/// the middle of: sequence numbers, replay window, what it has carried, since when.
///
/// # Errors
///
/// [`ErrorKind::NotSupported`] if the kernel keeps the keys to itself.
pub(super) fn relocated(
    answer: ModifyMessage,
    src: SocketAddr,
    dst: SocketAddr,
    encap: bool,
    inbound: bool,
) -> Result<ModifyMessage, PluginError> {
    let ModifyMessage {
        user_sa_info: mut info,
        nlas,
    } = answer;
    // In transport mode the selector may be the very addresses.
    for (selector, old, new) in [
        (&mut info.selector.saddr, info.saddr, src.ip()),
        (&mut info.selector.daddr, info.id.daddr, dst.ip()),
    ] {
        if *selector == old {
            *selector = Address::from_ip(&new);
        }
    }
    info.saddr = Address::from_ip(&src.ip());
    info.id.daddr = Address::from_ip(&dst.ip());
    info.family = family(dst.ip());
    let mut moved = ModifyMessage {
        user_sa_info: info,
        nlas: Vec::with_capacity(nlas.len() + 2),
    };
    moved
        .nlas
        .push(XfrmAttrs::LifetimeBytes(moved.user_sa_info.lifetime_cur));
    for mut attribute in nlas {
        match &mut attribute {
            XfrmAttrs::ReplayState(replay) if !inbound => {
                replay.oseq = replay.oseq.saturating_add(SEQUENCE_GAP);
            }
            XfrmAttrs::ReplayStateEsn(replay) if !inbound => {
                let esn = moved.user_sa_info.flags & XFRM_STATE_ESN != 0;
                let (sum, wrapped) = replay.oseq.overflowing_add(SEQUENCE_GAP);
                replay.oseq = if wrapped && !esn { u32::MAX } else { sum };
                replay.oseq_hi += u32::from(wrapped && esn);
            }
            // Made anew below, and what only answers have.
            XfrmAttrs::EncapsulationTemplate(_)
            | XfrmAttrs::LastUsed(_)
            | XfrmAttrs::Pad()
            | XfrmAttrs::LifetimeBytes(_) => continue,
            _ => {}
        }
        moved.nlas.push(attribute);
    }
    if encap {
        moved.nlas.push(encapsulation(UdpEncap {
            src_port: src.port(),
            dst_port: dst.port(),
        }));
    }
    if moved.nlas.iter().any(is_redacted) {
        wipe_all(&mut moved.nlas);
        return Err(PluginError::new(
            ErrorKind::NotSupported,
            "the kernel is locked down and keeps keys to itself, so the SA cannot be made anew",
        ));
    }
    Ok(moved)
}

/// Whether a device has it.
pub(super) fn is_offloaded(answer: &ModifyMessage) -> bool {
    let mut attributes = answer.nlas.iter();
    attributes.any(|attribute| matches!(attribute, XfrmAttrs::OffloadDevice(_)))
}

/// Gives what a device has to another device; the host, if there is none.
pub(super) fn move_to_device(moved: &mut ModifyMessage, device: Option<i32>) {
    moved.nlas.retain_mut(|attribute| match (attribute, device) {
        (XfrmAttrs::OffloadDevice(offload), Some(device)) => {
            offload.ifindex = device;
            true
        }
        (XfrmAttrs::OffloadDevice(_), None) => false,
        _ => true,
    });
}

/// In confidentiality lockdown the kernel shows zeros instead of keys.
fn is_redacted(attribute: &XfrmAttrs) -> bool {
    key(attribute).is_some_and(|key| !key.is_empty() && key.iter().all(|octet| *octet == 0))
}

fn key(attribute: &XfrmAttrs) -> Option<&[u8]> {
    match attribute {
        XfrmAttrs::EncryptionAlgAead(alg) => Some(&alg.alg_key),
        XfrmAttrs::EncryptionAlg(alg) | XfrmAttrs::AuthenticationAlg(alg) => Some(&alg.alg_key),
        XfrmAttrs::AuthenticationAlgTrunc(alg) => Some(&alg.alg_key),
        _ => None,
    }
}

/// Overwrites the keys among attributes.
pub(super) fn wipe_all(attributes: &mut [XfrmAttrs]) {
    attributes.iter_mut().for_each(wipe);
}

fn wipe(attribute: &mut XfrmAttrs) {
    use zeroize::Zeroize;
    match attribute {
        XfrmAttrs::EncryptionAlgAead(alg) => alg.alg_key.zeroize(),
        XfrmAttrs::EncryptionAlg(alg) | XfrmAttrs::AuthenticationAlg(alg) => alg.alg_key.zeroize(),
        XfrmAttrs::AuthenticationAlgTrunc(alg) => alg.alg_key.zeroize(),
        _ => {}
    }
}

fn encapsulation(encap: UdpEncap) -> XfrmAttrs {
    XfrmAttrs::EncapsulationTemplate(EncapTmpl {
        encap_type: UDP_ENCAP_ESPINUDP,
        encap_sport: encap.src_port,
        encap_dport: encap.dst_port,
        encap_oa: Address::default(),
    })
}

/// The attribute for the id of an interface.
pub(super) fn if_id(id: u32) -> Option<XfrmAttrs> {
    (id != 0).then_some(XfrmAttrs::IfId(id))
}

/// The attribute for a mark.
pub(super) fn mark(mark: Option<(u32, u32)>) -> Option<XfrmAttrs> {
    mark.map(|(value, mask)| XfrmAttrs::Mark(Mark { value, mask }))
}

fn lifetime(limits: &SaLifetime) -> LifetimeConfig {
    let count = |limit: u64| if limit == 0 { XFRM_INF } else { limit };
    // The kernel counts whole seconds; part of one is not none.
    let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    LifetimeConfig {
        soft_byte_limit: count(limits.soft_octets),
        hard_byte_limit: count(limits.hard_octets),
        soft_packet_limit: count(limits.soft_packets),
        hard_packet_limit: count(limits.hard_packets),
        soft_add_expires_seconds: seconds(limits.soft_time),
        hard_add_expires_seconds: seconds(limits.hard_time),
        soft_use_expires_seconds: 0,
        hard_use_expires_seconds: 0,
    }
}

/// The address family of an address.
pub(super) fn family(address: IpAddr) -> u16 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

/// An address in a message whose family is known.
pub(super) fn address(address: &Address, family: u16) -> IpAddr {
    if family == AF_INET6 {
        address.to_ipv6().into()
    } else {
        address.to_ipv4().into()
    }
}

/// The number of the IP header.
pub(super) fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::AH => IPPROTO_AH,
        IPCOMP => IPPROTO_COMP,
        _ => IPPROTO_ESP,
    }
}

/// The protocol with a number of the IP header, if it is one of ours.
pub(super) fn protocol(number: u8) -> Option<Protocol> {
    match number {
        IPPROTO_ESP => Some(Protocol::ESP),
        IPPROTO_AH => Some(Protocol::AH),
        IPPROTO_COMP => Some(IPCOMP),
        _ => None,
    }
}

/// The kernel's number of a mode.
pub(super) fn mode(mode: SaMode) -> u8 {
    match mode {
        SaMode::Tunnel => XFRM_MODE_TUNNEL,
        SaMode::Transport => XFRM_MODE_TRANSPORT,
    }
}

#[cfg(test)]
mod tests;
