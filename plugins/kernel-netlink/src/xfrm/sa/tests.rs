use iana::{EncryptionAlgorithm as Encryption, IntegrityAlgorithm as Integrity, TrafficSelector};
use netlink_packet_core::Emitable;
use netlink_packet_xfrm::{Replay, UserOffloadDev};
use plugin_api::Secret;
use plugin_api::kernel::{CopyDscp, HwOffload};

use super::*;

fn parameters() -> SaParameters {
    SaParameters {
        id: SaId {
            src: [192, 0, 2, 1].into(),
            dst: [192, 0, 2, 9].into(),
            spi: 0xc000_0001,
            protocol: Protocol::ESP,
        },
        inbound: true,
        reqid: 7,
        mode: SaMode::Tunnel,
        src_ts: vec![TrafficSelector::subnet([10, 3, 0, 0].into(), 16)],
        dst_ts: vec![TrafficSelector::subnet([10, 1, 0, 0].into(), 16)],
        encryption: Encryption::AES_GCM_16,
        encryption_key: Secret::new((1..=36).collect()),
        integrity: None,
        integrity_key: Secret::default(),
        encap: None,
        esn: false,
        replay_window: 32,
        lifetime: SaLifetime::default(),
        tfc: 0,
        mark: None,
        options: Default::default(),
    }
}

fn octets(sa: &SaParameters) -> Vec<u8> {
    let message = install(sa, false).expect("known algorithms");
    let mut octets = vec![0; message.buffer_len()];
    message.emit(&mut octets);
    octets
}

/// The value of an attribute behind `struct xfrm_usersa_info`.
fn attribute(octets: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = &octets[224..];
    while !rest.is_empty() {
        let len = usize::from(u16::from_ne_bytes([rest[0], rest[1]]));
        if u16::from_ne_bytes([rest[2], rest[3]]) == wanted {
            return Some(&rest[4..len]);
        }
        rest = &rest[len.next_multiple_of(4)..];
    }
    None
}

fn name(value: &[u8]) -> &str {
    std::str::from_utf8(&value[..64]).unwrap().trim_end_matches('\0')
}

fn word(octets: &[u8]) -> u32 {
    u32::from_ne_bytes(octets.try_into().unwrap())
}

#[test]
fn ah_has_integrity_alone_and_four_octets_of_alignment() {
    let mut sa = parameters();
    sa.id.protocol = Protocol::AH;
    sa.encryption = Encryption::NULL;
    sa.encryption_key = Secret::default();
    (sa.integrity, sa.integrity_key) = (Some(Integrity::HMAC_SHA2_256_128), Secret::new(vec![9; 32]));
    sa.tfc = 1400;
    let v4 = octets(&sa);
    assert_eq!(v4[76], 51, "id.proto");
    assert_eq!(v4[216], 32 | 64, "AF_UNSPEC, ALIGN4");
    let auth = attribute(&v4, 20).expect("XFRMA_ALG_AUTH_TRUNC");
    assert_eq!(name(auth), "hmac(sha256)");
    assert_eq!((word(&auth[64..68]), word(&auth[68..72])), (256, 128));
    for (kind, what) in [
        (2, "XFRMA_ALG_CRYPT"),
        (18, "XFRMA_ALG_AEAD"),
        (22, "XFRMA_TFCPAD"),
    ] {
        assert_eq!(attribute(&v4, kind), None, "{what}");
    }
    (sa.id.src, sa.id.dst) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    assert_eq!(octets(&sa)[216], 32, "IPv6 aligns to eight octets");
}

fn compression(mode: SaMode) -> SaParameters {
    let mut sa = parameters();
    (sa.id.protocol, sa.id.spi, sa.mode) = (IPCOMP, 0x1234, mode);
    sa.encryption = Encryption::NULL;
    sa.encryption_key = Secret::default();
    sa.replay_window = 0;
    sa
}

#[test]
fn ipcomp_has_a_cpi_and_deflate() {
    let tunnel = octets(&compression(SaMode::Tunnel));
    assert_eq!(tunnel[72..76], [0, 0, 0x12, 0x34], "id.spi");
    assert_eq!(tunnel[76], 108, "id.proto");
    assert_eq!(tunnel[214..217], [1, 0, 32], "tunnel, no window, AF_UNSPEC");
    let alg = attribute(&tunnel, 3).expect("XFRMA_ALG_COMP");
    assert_eq!((name(alg), word(&alg[64..68]), alg.len()), ("deflate", 0, 68));
    for (kind, what) in [
        (1, "XFRMA_ALG_AUTH"),
        (2, "XFRMA_ALG_CRYPT"),
        (18, "XFRMA_ALG_AEAD"),
        (20, "trunc"),
    ] {
        assert_eq!(attribute(&tunnel, kind), None, "{what}");
    }
    let transport = octets(&compression(SaMode::Transport));
    assert_eq!(transport[214..217], [0, 0, 0], "transport");
    assert_eq!(transport[..4], [10, 1, 0, 0], "its selector");
}

#[test]
fn a_cpi_is_reserved_within_sixteen_bits() {
    let (src, dst) = ([192, 0, 2, 1].into(), [192, 0, 2, 9].into());
    let message = allocate(src, dst, IPCOMP, CPIS);
    let mut octets = vec![0; message.buffer_len()];
    message.emit(&mut octets);
    assert_eq!(octets[76], 108, "info.id.proto");
    assert_eq!(
        (word(&octets[224..228]), word(&octets[228..232])),
        (0x100, 0xefff)
    );
}

/// Offsets are those of linux/xfrm.h on 64 bits.
#[test]
fn an_sa_has_the_octets_of_the_kernels_structures() {
    let octets = octets(&parameters());
    assert_eq!(octets[..56], [0; 56], "the selector admits everything");
    assert_eq!(octets[56..60], [192, 0, 2, 9], "id.daddr");
    assert_eq!(octets[72..76], [0xc0, 0, 0, 1], "id.spi");
    assert_eq!(octets[76], 50, "id.proto");
    assert_eq!(octets[80..84], [192, 0, 2, 1], "saddr");
    assert_eq!(octets[96..128], [0xff; 32], "no limit in octets and packets");
    assert_eq!(octets[128..160], [0; 32], "none in time");
    assert_eq!(word(&octets[208..212]), 7, "reqid");
    assert_eq!(u16::from_ne_bytes([octets[212], octets[213]]), 2, "family");
    assert_eq!(octets[214..217], [1, 32, 32], "tunnel, window, AF_UNSPEC");
    let aead = attribute(&octets, 18).expect("XFRMA_ALG_AEAD");
    assert_eq!(name(aead), "rfc4106(gcm(aes))");
    assert_eq!((word(&aead[64..68]), word(&aead[68..72])), (288, 128));
    assert_eq!(aead[72..], (1..=36).collect::<Vec<u8>>());
    for absent in [1, 2, 4, 20, 21, 22, 23] {
        assert_eq!(attribute(&octets, absent), None, "attribute {absent}");
    }
}

#[test]
fn algorithms_have_their_names_and_lengths() {
    for (encryption, expected, icv) in [
        (Encryption::AES_GCM_8, "rfc4106(gcm(aes))", 64),
        (Encryption::AES_GCM_12, "rfc4106(gcm(aes))", 96),
        (Encryption::AES_CCM_16, "rfc4309(ccm(aes))", 128),
        (
            Encryption::CHACHA20_POLY1305,
            "rfc7539esp(chacha20,poly1305)",
            128,
        ),
        (Encryption::NULL_AES_GMAC, "rfc4543(gcm(aes))", 128),
    ] {
        let mut sa = parameters();
        sa.encryption = encryption;
        let octets = octets(&sa);
        let aead = attribute(&octets, 18).expect("XFRMA_ALG_AEAD");
        assert_eq!((name(aead), word(&aead[68..72])), (expected, icv));
    }
    for (encryption, integrity, names, trunc) in [
        (
            Encryption::AES_CBC,
            Integrity::HMAC_SHA2_256_128,
            ("cbc(aes)", "hmac(sha256)"),
            128,
        ),
        (
            Encryption::AES_CTR,
            Integrity::HMAC_SHA2_512_256,
            ("rfc3686(ctr(aes))", "hmac(sha512)"),
            256,
        ),
        (
            Encryption::NULL,
            Integrity::HMAC_SHA1_96,
            ("ecb(cipher_null)", "hmac(sha1)"),
            96,
        ),
        (
            Encryption::TRIPLE_DES_CBC,
            Integrity::HMAC_SHA2_384_192,
            ("cbc(des3_ede)", "hmac(sha384)"),
            192,
        ),
        (
            Encryption::AES_CBC,
            Integrity::AES_CMAC_96,
            ("cbc(aes)", "cmac(aes)"),
            96,
        ),
    ] {
        let mut sa = parameters();
        (sa.encryption, sa.integrity) = (encryption, Some(integrity));
        sa.integrity_key = Secret::new(vec![9; 32]);
        let octets = octets(&sa);
        let crypt = attribute(&octets, 2).expect("XFRMA_ALG_CRYPT");
        let auth = attribute(&octets, 20).expect("XFRMA_ALG_AUTH_TRUNC");
        assert_eq!((name(crypt), name(auth)), names);
        assert_eq!((word(&auth[64..68]), word(&auth[68..72])), (256, trunc));
        assert_eq!(attribute(&octets, 18), None);
    }
    let mut unknown = parameters();
    unknown.encryption = Encryption::RC2_CBC;
    let refused = install(&unknown, false).expect_err("not in Linux");
    assert_eq!(refused.kind, ErrorKind::NotSupported);
    assert!(refused.message.contains("RC2_CBC"), "{refused}");
}

#[test]
fn ports_marks_padding_and_limits_are_there_if_wanted() {
    let mut sa = parameters();
    sa.encap = Some(UdpEncap {
        src_port: 4500,
        dst_port: 61_000,
    });
    (sa.mark, sa.tfc) = (Some((0x42, 0xff)), 1300);
    sa.lifetime = SaLifetime {
        soft_time: Duration::from_millis(1500),
        hard_time: Duration::from_secs(9),
        soft_octets: 1000,
        hard_octets: 2000,
        ..SaLifetime::default()
    };
    let octets = octets(&sa);
    let encap = attribute(&octets, 4).expect("XFRMA_ENCAP");
    assert_eq!(encap[..2], 2u16.to_ne_bytes());
    assert_eq!(encap[2..6], [0x11, 0x94, 0xee, 0x48], "ports in network order");
    let mark = attribute(&octets, 21).expect("XFRMA_MARK");
    assert_eq!((word(&mark[..4]), word(&mark[4..])), (0x42, 0xff));
    assert_eq!(attribute(&octets, 22).map(word), Some(1300));
    let limits: Vec<u64> = octets[96..160]
        .chunks(8)
        .map(|limit| u64::from_ne_bytes(limit.try_into().unwrap()))
        .collect();
    assert_eq!(limits, [1000, 2000, u64::MAX, u64::MAX, 2, 9, 0, 0]);
}

#[test]
fn options_are_attributes_and_flags() {
    const NOECN: u8 = 1;
    const DECAP_DSCP: u8 = 2;
    const NOPMTUDISC: u8 = 4;
    const AF_UNSPEC: u8 = 32;
    let mut sa = parameters();
    sa.options = SaOptions {
        if_id: 0x1234,
        set_mark: Some((0x42, 0xff)),
        hw_offload: HwOffload::No,
        copy_df: false,
        copy_ecn: false,
        copy_dscp: CopyDscp::In,
    };
    let all = octets(&sa);
    assert_eq!(attribute(&all, 31).map(word), Some(0x1234), "XFRMA_IF_ID");
    assert_eq!(attribute(&all, 29).map(word), Some(0x42), "XFRMA_SET_MARK");
    assert_eq!(attribute(&all, 30).map(word), Some(0xff), "XFRMA_SET_MARK_MASK");
    assert_eq!(all[216], NOECN | DECAP_DSCP | AF_UNSPEC);
    assert_eq!(attribute(&all, 24), None, "it is of what goes out");
    sa.inbound = false;
    let all = octets(&sa);
    assert_eq!(all[216], NOECN | NOPMTUDISC | AF_UNSPEC);
    assert_eq!(attribute(&all, 24).map(word), Some(1), "XFRMA_SA_EXTRA_FLAGS");
    for (copy_dscp, inbound, flags, extra) in [
        (CopyDscp::Out, true, AF_UNSPEC, None),
        (CopyDscp::Out, false, AF_UNSPEC, None),
        (CopyDscp::Yes, true, AF_UNSPEC | DECAP_DSCP, None),
        (CopyDscp::Yes, false, AF_UNSPEC, None),
        (CopyDscp::No, true, AF_UNSPEC, None),
        (CopyDscp::No, false, AF_UNSPEC, Some(1)),
    ] {
        sa.inbound = inbound;
        sa.options = SaOptions {
            copy_dscp,
            ..SaOptions::default()
        };
        let octets = octets(&sa);
        assert_eq!((octets[216], attribute(&octets, 24).map(word)), (flags, extra));
        for absent in [28, 29, 30, 31] {
            assert_eq!(attribute(&octets, absent), None, "attribute {absent}");
        }
    }
    sa.mode = SaMode::Transport;
    let transport = octets(&sa);
    assert_eq!(
        (transport[216], attribute(&transport, 24)),
        (0, None),
        "one header"
    );
}

#[test]
fn a_moved_sa_keeps_what_it_has_besides() {
    let mut before = answer(XfrmAttrs::ReplayState(Replay::default()));
    let kept = [
        XfrmAttrs::IfId(7),
        XfrmAttrs::MarkVal(8),
        XfrmAttrs::MarkMask(9),
        XfrmAttrs::ExtraFlags(1),
    ];
    before.nlas.extend(kept.clone());
    let on = |ifindex| XfrmAttrs::OffloadDevice(UserOffloadDev { ifindex, flags: 2 });
    before.nlas.push(on(3));
    assert!(is_offloaded(&before));
    let mut after = moved(before, false, true).expect("moved");
    assert!(kept.iter().all(|one| after.nlas.contains(one)));
    move_to_device(&mut after, Some(4));
    assert!(after.nlas.contains(&on(4)) && !after.nlas.contains(&on(3)));
    move_to_device(&mut after, None);
    assert!(!is_offloaded(&after));
    assert!(kept.iter().all(|one| after.nlas.contains(one)));
}

#[test]
fn long_windows_and_esn_take_the_long_form() {
    let form = |inbound, esn, replay_window| {
        let octets = octets(&SaParameters {
            inbound,
            esn,
            replay_window,
            ..parameters()
        });
        let long = attribute(&octets, 23).map(|value| {
            assert_eq!(value.len(), 24 + 4 * word(&value[..4]) as usize);
            (word(&value[..4]), word(&value[20..24]))
        });
        (octets[215], octets[216] & 0x80 != 0, long)
    };
    assert_eq!(form(true, false, 0), (0, false, None));
    assert_eq!(form(true, false, 32), (32, false, None));
    assert_eq!(form(true, false, 33), (0, false, Some((2, 33))));
    assert_eq!(form(true, false, 100_000), (0, false, Some((128, 4096))));
    assert_eq!(form(true, true, 32), (0, true, Some((1, 32))));
    assert_eq!(
        form(true, true, 0),
        (0, true, Some((1, 32))),
        "the kernel wants one"
    );
    assert_eq!(form(false, true, 64), (0, true, Some((1, 1))), "even here");
    assert_eq!(form(false, false, 64), (0, false, None));
}

#[test]
fn transport_mode_admits_the_selectors_addresses_and_ports_if_wanted() {
    let mut sa = parameters();
    sa.mode = SaMode::Transport;
    sa.src_ts = vec![TrafficSelector::host([192, 0, 2, 1].into())];
    let mut web = TrafficSelector::host([192, 0, 2, 9].into());
    (web.protocol, web.start_port, web.end_port) = (6, 443, 443);
    sa.dst_ts = vec![web];
    let info = |sa: &SaParameters, ports| install(sa, ports).expect("known").user_sa_info;
    let plain = info(&sa, false);
    assert_eq!((plain.mode, plain.flags), (0, 0));
    assert_eq!((plain.selector.prefixlen_s, plain.selector.prefixlen_d), (32, 32));
    assert_eq!((plain.selector.proto, plain.selector.dport), (0, 0));
    let narrow = info(&sa, true).selector;
    assert_eq!((narrow.proto, narrow.dport, narrow.dport_mask), (6, 443, 0xffff));
    sa.dst_ts.push(TrafficSelector::host([192, 0, 2, 8].into()));
    assert_eq!(
        info(&sa, true).selector,
        Default::default(),
        "one alone would shut out the other"
    );
}

fn answer(replay: XfrmAttrs) -> ModifyMessage {
    let mut answer = install(&parameters(), false).expect("known");
    answer.user_sa_info.lifetime_cur.bytes = 5000;
    answer.user_sa_info.lifetime_cur.packets = 50;
    answer.user_sa_info.lifetime_cur.add_time = 77;
    answer.nlas.push(replay);
    answer.nlas.push(XfrmAttrs::LastUsed(90));
    answer
}

fn moved(answer: ModifyMessage, encap: bool, inbound: bool) -> Result<ModifyMessage, PluginError> {
    let (src, dst) = (([192, 0, 2, 2], 4500).into(), ([203, 0, 113, 5], 61_000).into());
    relocated(answer, src, dst, encap, inbound)
}

#[test]
fn a_moved_sa_goes_on_where_it_was() {
    let replay = XfrmAttrs::ReplayState(Replay {
        oseq: 0,
        seq: 50,
        bitmap: 0xffff_ffff,
    });
    let inbound = moved(answer(replay.clone()), true, true).expect("moved");
    let info = &inbound.user_sa_info;
    assert_eq!(info.saddr, Address::from_ip(&[192, 0, 2, 2].into()));
    assert_eq!(info.id.daddr, Address::from_ip(&[203, 0, 113, 5].into()));
    assert_eq!(info.id.spi, 0xc000_0001);
    assert!(inbound.nlas.contains(&replay));
    assert!(
        inbound
            .nlas
            .contains(&XfrmAttrs::LifetimeBytes(info.lifetime_cur))
    );
    assert_eq!(info.lifetime_cur.add_time, 77);
    let encap = encapsulation(UdpEncap {
        src_port: 4500,
        dst_port: 61_000,
    });
    assert!(inbound.nlas.contains(&encap));
    assert!(
        !inbound
            .nlas
            .iter()
            .any(|one| matches!(one, XfrmAttrs::LastUsed(_)))
    );
    let plain = moved(inbound, false, true).expect("moved");
    assert!(!plain.nlas.contains(&encap));
}

#[test]
fn a_moved_sa_repeats_no_sequence_number() {
    let short = |oseq| {
        XfrmAttrs::ReplayState(Replay {
            oseq,
            ..Replay::default()
        })
    };
    let sent = moved(answer(short(50)), false, false).expect("moved");
    assert!(sent.nlas.contains(&short(50 + SEQUENCE_GAP)));
    let spent = moved(answer(short(u32::MAX - 1)), false, false).expect("moved");
    assert!(spent.nlas.contains(&short(u32::MAX)), "and not around");
    let long = |oseq, oseq_hi| {
        XfrmAttrs::ReplayStateEsn(ReplayEsn {
            oseq,
            oseq_hi,
            ..ReplayEsn::default()
        })
    };
    let mut esn = answer(long(u32::MAX, 3));
    esn.user_sa_info.flags |= XFRM_STATE_ESN;
    let carried = moved(esn, false, false).expect("moved");
    assert!(carried.nlas.contains(&long(SEQUENCE_GAP - 1, 4)));
}

#[test]
fn an_sa_whose_key_the_kernel_hides_is_not_made_anew() {
    let mut answer = answer(XfrmAttrs::ReplayState(Replay::default()));
    wipe_all(&mut answer.nlas);
    for attribute in &mut answer.nlas {
        if let XfrmAttrs::EncryptionAlgAead(alg) = attribute {
            alg.alg_key = vec![0; 36];
        }
    }
    let refused = moved(answer, false, true).expect_err("hidden");
    assert_eq!(refused.kind, ErrorKind::NotSupported);
}

#[test]
fn usage_is_what_was_carried_and_when() {
    let answer = answer(XfrmAttrs::ReplayState(Replay::default()));
    let expected = SaUsage {
        octets: 5000,
        packets: 50,
        last_use: None,
    };
    assert_eq!(usage(&answer), (expected, Some(90)));
    let unused = install(&parameters(), false).expect("known");
    assert_eq!(usage(&unused), (SaUsage::default(), None));
}
