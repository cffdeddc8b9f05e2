use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use ike::{ChildState, IkeSaState};
use plugin_api::kernel::SaId;

use super::*;
use crate::testing::child_config;

fn pair() -> (IkeSaInfo, ChildSaInfo) {
    let mut config = child_config("net");
    config.updown = Some("/usr/libexec/ipsec/_updown iptables".into());
    config.host_access = true;
    let subnet = |a, b| TrafficSelector::subnet(IpAddr::from([a, b, 0, 0]), 16);
    let child = ChildSaInfo {
        protocol: Protocol::ESP,
        cpis: None,
        unique_id: 3,
        config: Arc::new(config),
        reqid: 9,
        numbers: ike::Numbers {
            marks: [Some((66, u32::MAX)), None],
            if_ids: [0, 7],
        },
        state: ChildState::Installed,
        mode: Default::default(),
        encap: true,
        spi_in: 1,
        spi_out: 2,
        proposal: None,
        local_ts: vec![
            subnet(10, 3),
            TrafficSelector::host(IpAddr::from([192, 168, 0, 3])),
        ],
        remote_ts: vec![TrafficSelector {
            protocol: 6,
            start_port: 80,
            end_port: 80,
            ..subnet(10, 1)
        }],
        installed: None,
        rekey_at: None,
        expires_at: None,
        kernel: None::<(SaId, SaId)>,
        sends: true,
    };
    let sa = IkeSaInfo {
        unique_id: 4,
        config: None,
        name: Arc::from("conn"),
        state: IkeSaState::Established,
        initiator: true,
        spi_i: 1,
        spi_r: 2,
        local: SocketAddr::from(([192, 168, 0, 3], 4500)),
        remote: SocketAddr::from(([192, 168, 0, 2], 4501)),
        local_id: Some(Identity::parse("carol")),
        remote_id: Some(Identity::parse("moon")),
        local_auth: Vec::new(),
        nat_local: false,
        nat_remote: true,
        nat_fake: false,
        if_ids: [0; 2],
        proposal: None,
        ppk: false,
        established: None,
        rekey_at: None,
        reauth_at: None,
        local_vips: Vec::new(),
        remote_vips: Vec::new(),
        dns: Vec::new(),
        tasks_queued: Vec::new(),
        tasks_active: Vec::new(),
        tasks_passive: Vec::new(),
        children: Vec::new(),
    };
    (sa, child)
}

#[test]
fn every_pair_of_selectors_has_its_event_with_all_variables() {
    let (sa, child) = pair();
    let events = Updown::default().events(&sa, &child, true, &|_| Some("eth0".into()));
    let verbs: Vec<_> = events
        .iter()
        .filter_map(|event| event.get_str("PLUTO_VERB"))
        .collect();
    assert_eq!(verbs, ["up-client", "up-host"]);
    for (key, value) in [
        ("verb", "up"),
        ("script", "/usr/libexec/ipsec/_updown iptables"),
        ("PLUTO_VERSION", "1.1"),
        ("PLUTO_CONNECTION", "net"),
        ("PLUTO_INTERFACE", "eth0"),
        ("PLUTO_REQID", "9"),
        ("PLUTO_PROTO", "esp"),
        ("PLUTO_UNIQUEID", "4"),
        ("PLUTO_ME", "192.168.0.3"),
        ("PLUTO_MY_ID", "carol"),
        ("PLUTO_MY_CLIENT", "10.3.0.0/16"),
        ("PLUTO_MY_PORT", "0"),
        ("PLUTO_MY_PROTOCOL", "0"),
        ("PLUTO_PEER", "192.168.0.2"),
        ("PLUTO_PEER_ID", "moon"),
        ("PLUTO_PEER_CLIENT", "10.1.0.0/16"),
        ("PLUTO_PEER_PORT", "80"),
        ("PLUTO_PEER_PROTOCOL", "6"),
        ("PLUTO_MARK_IN", "66/0xffffffff"),
        ("PLUTO_IF_ID_OUT", "7"),
        ("PLUTO_UDP_ENC", "4501"),
        ("PLUTO_HOST_ACCESS", "1"),
    ] {
        assert_eq!(events[0].get_str(key), Some(value), "{key}");
    }
    assert_eq!(events[0].get_str("PLUTO_MARK_OUT"), None);
    assert_eq!(events[0].get_str("PLUTO_IF_ID_IN"), None);
}

#[test]
fn down_names_the_interface_of_up_even_without_a_route() {
    let (sa, child) = pair();
    let mut updown = Updown::default();
    let asked = Cell::new(0);
    let interface = |_| {
        asked.set(asked.get() + 1);
        (asked.get() == 1).then(|| "eth0".to_owned())
    };
    updown.events(&sa, &child, true, &interface);
    let down = updown.events(&sa, &child, false, &interface);
    assert_eq!(down[0].get_str("PLUTO_INTERFACE"), Some("eth0"));
    assert_eq!(down[0].get_str("PLUTO_VERB"), Some("down-client"));
    let again = updown.events(&sa, &child, false, &interface);
    assert_eq!(again[0].get_str("PLUTO_INTERFACE"), Some("unknown"));
}

#[test]
fn ports_are_numbers_ranges_or_types_and_codes() {
    let selector = |protocol, start_port, end_port| TrafficSelector {
        protocol,
        start_port,
        end_port,
        ..TrafficSelector::host(IpAddr::from([10, 0, 0, 1]))
    };
    assert_eq!(port(&selector(6, 0, u16::MAX), true), "0");
    assert_eq!(port(&selector(17, 1000, 2000), true), "1000:2000");
    assert_eq!(port(&selector(1, 0x0803, 0x0803), true), "8");
    assert_eq!(port(&selector(1, 0x0803, 0x0803), false), "3");
}

#[test]
fn a_script_learns_of_ah_and_compression() {
    let (sa, mut child) = pair();
    let told = |child: &ChildSaInfo| {
        let (local, remote) = (&child.local_ts[0], &child.remote_ts[0]);
        let event = event(&sa, child, true, "eth0", (local, remote));
        ["PLUTO_PROTO", "PLUTO_IPCOMP"].map(|key| event.get_str(key).map(str::to_owned))
    };
    assert_eq!(told(&child), [Some("esp".to_owned()), None]);
    (child.protocol, child.cpis) = (Protocol::AH, Some((1, 2)));
    assert_eq!(told(&child), [Some("ah".to_owned()), Some("1".to_owned())]);
}
