use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crypto::proposal::Proposal;
use crypto::registry::Registry;
use iana::keyword::{self, Transform};
use iana::{Protocol, TrafficSelector, TransformType};
use ike::{ChildSaInfo, ChildState, IkeSaInfo, IkeSaState};
use plugin_api::KernelIpsec;
use plugin_api::kernel::{SaId, SaUsage};

use super::Describe;
use crate::testing::{TestKernel, child_config, lines};

fn proposal(protocol: Protocol, keywords: &[&str]) -> Proposal {
    let mut transforms: Vec<Transform> = keywords.iter().filter_map(|text| keyword::parse(text)).collect();
    assert_eq!(transforms.len(), keywords.len());
    if protocol == Protocol::ESP {
        transforms.push(Transform::new(TransformType::ESN, 0));
    }
    Proposal {
        number: 1,
        protocol,
        spi: Vec::new(),
        transforms,
    }
}

/// The one of the seed, 446 seconds after it was established.
pub(crate) fn tunnel1(now: Instant) -> IkeSaInfo {
    let config = child_config("Tunnel1");
    let address = |last| IpAddr::from([192, 168, 0, last]);
    let id = |src, dst, spi| SaId {
        src: address(src),
        dst: address(dst),
        spi,
        protocol: Protocol::ESP,
    };
    let child = ChildSaInfo {
        protocol: Protocol::ESP,
        cpis: None,
        unique_id: 1,
        config: Arc::new(config),
        reqid: 1,
        numbers: ike::Numbers::default(),
        state: ChildState::Installed,
        mode: config::connection::Mode::Tunnel,
        encap: false,
        spi_in: 0xc2f3_47ac,
        spi_out: 0xc55a_612d,
        proposal: Some(proposal(Protocol::ESP, &["aes256gcm16"])),
        local_ts: vec![TrafficSelector::subnet(IpAddr::from([10, 3, 0, 0]), 16)],
        remote_ts: vec![TrafficSelector::subnet(IpAddr::from([10, 1, 0, 0]), 16)],
        installed: now.checked_sub(Duration::from_secs(447)),
        rekey_at: now.checked_add(Duration::from_secs(496)),
        expires_at: now.checked_add(Duration::from_secs(754)),
        kernel: Some((id(2, 3, 0xc2f3_47ac), id(3, 2, 0xc55a_612d))),
        sends: true,
    };
    IkeSaInfo {
        unique_id: 1,
        config: None,
        name: Arc::from("Tunnel1"),
        state: IkeSaState::Established,
        initiator: true,
        spi_i: 0x739a_cec0_ff8f_1f84,
        spi_r: 0x5de2_e8d0_7fa3_cec2,
        local: SocketAddr::new(address(3), 4500),
        remote: SocketAddr::new(address(2), 4500),
        local_id: Some(config::identity::Identity::parse("carol.strongswan.org")),
        remote_id: Some(config::identity::Identity::parse("moon.strongswan.org")),
        local_auth: vec![config::connection::AuthClass::Psk],
        nat_local: false,
        nat_remote: true,
        nat_fake: false,
        if_ids: [0; 2],
        proposal: Some(proposal(
            Protocol::IKE,
            &["aes256gcm16", "prfsha512", "x25519", "ke1_kyber3"],
        )),
        ppk: false,
        established: now.checked_sub(Duration::from_secs(446)),
        rekey_at: None,
        reauth_at: now.checked_add(Duration::from_secs(2669)),
        local_vips: Vec::new(),
        remote_vips: Vec::new(),
        dns: Vec::new(),
        tasks_queued: Vec::new(),
        tasks_active: vec!["CHILD_REKEY"],
        tasks_passive: Vec::new(),
        children: vec![child],
    }
}

fn described(sa: &IkeSaInfo, now: Instant) -> Vec<String> {
    let usage = SaUsage {
        octets: 168,
        packets: 2,
        last_use: Some(Duration::from_secs(152)),
    };
    let kernel = TestKernel {
        usage,
        ..TestKernel::default()
    };
    let registry = Registry::new();
    lines(
        &Describe {
            registry: &registry,
            now,
            kernel: &kernel,
        }
        .ike_sa_with(sa, &sa.children),
    )
}

#[test]
fn an_ike_sa_has_its_keys_in_the_order_that_swanctl_prints_by() {
    let now = Instant::now();
    assert_eq!(
        described(&tunnel1(now), now),
        [
            "uniqueid = 1",
            "version = 2",
            "state = ESTABLISHED",
            "local-host = 192.168.0.3",
            "local-port = 4500",
            "local-id = carol.strongswan.org",
            "remote-host = 192.168.0.2",
            "remote-port = 4500",
            "remote-id = moon.strongswan.org",
            "initiator = yes",
            "initiator-spi = 739acec0ff8f1f84",
            "responder-spi = 5de2e8d07fa3cec2",
            "nat-remote = yes",
            "nat-any = yes",
            "encr-alg = AES_GCM_16",
            "encr-keysize = 256",
            "prf-alg = PRF_HMAC_SHA2_512",
            "dh-group = CURVE_25519",
            "ake1 = KYBER_L3",
            "established = 446",
            "reauth-time = 2669",
            "tasks-active = [CHILD_REKEY]",
            "child-sas.Tunnel1-1.name = Tunnel1",
            "child-sas.Tunnel1-1.uniqueid = 1",
            "child-sas.Tunnel1-1.reqid = 1",
            "child-sas.Tunnel1-1.state = INSTALLED",
            "child-sas.Tunnel1-1.mode = TUNNEL",
            "child-sas.Tunnel1-1.protocol = ESP",
            "child-sas.Tunnel1-1.spi-in = c2f347ac",
            "child-sas.Tunnel1-1.spi-out = c55a612d",
            "child-sas.Tunnel1-1.encr-alg = AES_GCM_16",
            "child-sas.Tunnel1-1.encr-keysize = 256",
            "child-sas.Tunnel1-1.bytes-in = 168",
            "child-sas.Tunnel1-1.packets-in = 2",
            "child-sas.Tunnel1-1.use-in = 152",
            "child-sas.Tunnel1-1.bytes-out = 168",
            "child-sas.Tunnel1-1.packets-out = 2",
            "child-sas.Tunnel1-1.use-out = 152",
            "child-sas.Tunnel1-1.rekey-time = 496",
            "child-sas.Tunnel1-1.life-time = 754",
            "child-sas.Tunnel1-1.install-time = 447",
            "child-sas.Tunnel1-1.local-ts = [10.3.0.0/16]",
            "child-sas.Tunnel1-1.remote-ts = [10.1.0.0/16]",
        ]
    );
}

#[test]
fn marks_and_ids_of_interfaces_are_shown_if_there_are_any() {
    let now = Instant::now();
    let mut sa = tunnel1(now);
    sa.if_ids = [0, 0x1f];
    sa.children[0].numbers = ike::Numbers {
        marks: [Some((0x42, 0xff)), Some((7, u32::MAX))],
        if_ids: [7, 0x1f],
    };
    let lines = described(&sa, now);
    let between = |from: &str, to: &str| {
        let at = |start: &str| {
            let found = lines.iter().position(|line| line.starts_with(start));
            found.expect("the line")
        };
        lines[at(from) + 1..at(to)].to_vec()
    };
    assert_eq!(between("nat-any", "encr-alg"), ["if-id-out = 0000001f"]);
    assert_eq!(
        between("child-sas.Tunnel1-1.spi-out", "child-sas.Tunnel1-1.encr-alg"),
        [
            "mark-in = 00000042",
            "mark-mask-in = 000000ff",
            "mark-out = 00000007",
            "if-id-in = 00000007",
            "if-id-out = 0000001f"
        ]
        .map(|line| format!("child-sas.Tunnel1-1.{line}"))
    );
}

#[test]
fn what_is_not_installed_has_no_counters() {
    let now = Instant::now();
    let mut sa = tunnel1(now);
    sa.state = IkeSaState::Connecting;
    sa.children[0].state = ChildState::Created;
    let lines = described(&sa, now);
    assert!(
        lines
            .iter()
            .all(|line| !line.contains("established") && !line.contains("bytes-in")),
        "{lines:?}"
    );
    assert_eq!(
        lines.last().unwrap(),
        "child-sas.Tunnel1-1.remote-ts = [10.1.0.0/16]"
    );
}

#[test]
fn an_overdue_rekeying_counts_below_zero() {
    let now = Instant::now();
    let mut sa = tunnel1(now);
    sa.reauth_at = now.checked_sub(Duration::from_secs(7));
    assert!(described(&sa, now).contains(&"reauth-time = -7".to_owned()));
}

#[test]
fn the_kernel_is_asked_for_usage_only_by_its_own_ids() {
    let kernel: Arc<dyn KernelIpsec> = Arc::new(TestKernel::default());
    let now = Instant::now();
    let mut sa = tunnel1(now);
    sa.children[0].kernel = None;
    let registry = Registry::new();
    let section = Describe {
        registry: &registry,
        now,
        kernel: kernel.as_ref(),
    }
    .ike_sa_with(&sa, &sa.children);
    assert!(lines(&section).contains(&"child-sas.Tunnel1-1.bytes-in = 0".to_owned()));
}

#[test]
fn protocol_and_cpis_are_listed() {
    let now = Instant::now();
    let mut sa = tunnel1(now);
    let plain = described(&sa, now).join("\n");
    assert!(
        plain.contains("protocol = ESP") && !plain.contains("cpi-"),
        "{plain}"
    );
    (sa.children[0].protocol, sa.children[0].cpis) = (Protocol::AH, Some((0x12, 0xabcd)));
    let compressed = described(&sa, now).join("\n");
    for field in ["protocol = AH", "cpi-in = 0012", "cpi-out = abcd"] {
        assert!(compressed.contains(field), "{compressed}");
    }
}
