use std::collections::BTreeMap;

use plugin_api::kernel::{Direction, LocalAddress, NextHop, PolicyPriority, SaMode};

use super::*;
use plugin_api::testing::Recorder;

#[derive(Default)]
struct Net {
    /// By destination, as a kernel without metrics would keep them.
    routes: Mutex<BTreeMap<(IpAddr, u8), Route>>,
    addresses: Vec<LocalAddress>,
}

impl Net {
    fn routes(&self) -> Vec<String> {
        let routes = self.routes.lock().unwrap();
        let text = |route: &Route| {
            let Route {
                destination,
                prefix,
                gateway,
                source,
                interface,
            } = route;
            format!("{destination}/{prefix} via {gateway:?} dev {interface} src {source:?}")
        };
        routes.values().map(text).collect()
    }
}

impl KernelNet for Net {
    fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
        Ok(self.addresses.clone())
    }

    fn next_hop(&self, _destination: IpAddr, _source: Option<IpAddr>) -> Result<NextHop, PluginError> {
        Ok(NextHop {
            gateway: Some([192, 0, 2, 254].into()),
            interface: "eth0".into(),
            source: None,
        })
    }

    fn add_address(&self, _address: IpAddr, _prefix: u8, _interface: &str) -> Result<(), PluginError> {
        Ok(())
    }

    fn delete_address(&self, _address: IpAddr, _prefix: u8, _interface: &str) -> Result<(), PluginError> {
        Ok(())
    }

    fn add_route(&self, route: &Route) -> Result<(), PluginError> {
        let mut routes = self.routes.lock().unwrap();
        if routes.contains_key(&(route.destination, route.prefix)) {
            return Err(PluginError::new(ErrorKind::AlreadyExists, "there"));
        }
        routes.insert((route.destination, route.prefix), route.clone());
        Ok(())
    }

    fn delete_route(&self, route: &Route) -> Result<(), PluginError> {
        let mut routes = self.routes.lock().unwrap();
        let removed = routes.remove(&(route.destination, route.prefix));
        removed
            .map(drop)
            .ok_or_else(|| PluginError::new(ErrorKind::NotFound, "not there"))
    }
}

fn address(octets: [u8; 4], is_virtual: bool) -> LocalAddress {
    LocalAddress {
        address: octets.into(),
        prefix: 24,
        interface: "eth0".into(),
        loopback: false,
        up: true,
        is_virtual,
    }
}

fn world(addresses: Vec<LocalAddress>, allow_peer_ts: bool) -> (Arc<Net>, Routes) {
    let net = Arc::new(Net {
        addresses,
        ..Default::default()
    });
    let host = Arc::new(Recorder::with_net(net.clone()));
    (net, Routes::new(host, "ipsec0".into(), allow_peer_ts))
}

fn policy(src: ([u8; 4], u8), dst: ([u8; 4], u8), spi: u32) -> PolicyParameters {
    PolicyParameters {
        direction: Direction::Out,
        src_ts: TrafficSelector::subnet(src.0.into(), src.1),
        dst_ts: TrafficSelector::subnet(dst.0.into(), dst.1),
        action: PolicyAction::Protect,
        priority: PolicyPriority::Default,
        src: [192, 0, 2, 1].into(),
        dst: [198, 51, 100, 1].into(),
        reqid: 1,
        spi,
        mode: SaMode::Tunnel,
        mark: None,
        options: Default::default(),
    }
}

fn add(routes: &Routes, policy: &PolicyParameters) -> Result<Arc<Treatment>, PluginError> {
    let treatment = Arc::new(Treatment::new(policy));
    routes.add(policy, Arc::clone(&treatment)).map(|()| treatment)
}

#[test]
fn the_remote_selector_leads_into_the_device_from_a_virtual_address_first() {
    let (net, routes) = world(
        vec![address([10, 3, 0, 9], false), address([10, 3, 0, 1], true)],
        false,
    );
    let policy = policy(([10, 3, 0, 0], 16), ([10, 1, 0, 0], 16), 1);
    let policy_added = add(&routes, &policy).unwrap();
    assert_eq!(
        net.routes(),
        ["10.1.0.0/16 via None dev ipsec0 src Some(10.3.0.1)"]
    );
    routes.remove(&policy_added);
    assert_eq!(net.routes(), Vec::<String>::new());
}

#[test]
fn a_rekeyed_policy_keeps_the_route() {
    let (net, routes) = world(vec![], false);
    let (old, new) = (policy(([10, 3, 0, 0], 16), ([10, 1, 0, 0], 16), 1), {
        policy(([10, 3, 0, 0], 16), ([10, 1, 0, 0], 16), 2)
    });
    let old_added = add(&routes, &old).unwrap();
    let new_added = add(&routes, &new).unwrap();
    routes.remove(&old_added);
    assert_eq!(net.routes(), ["10.1.0.0/16 via None dev ipsec0 src None"]);
    routes.remove(&new_added);
    assert_eq!(net.routes(), Vec::<String>::new());
}

#[test]
fn a_peer_inside_the_selector_keeps_its_ordinary_path() {
    let (net, routes) = world(vec![address([192, 0, 2, 1], false)], false);
    let policy = policy(([0, 0, 0, 0], 0), ([0, 0, 0, 0], 0), 1);
    let policy_added = add(&routes, &policy).unwrap();
    let exclude = "via Some(192.0.2.254) dev eth0 src Some(192.0.2.1)";
    let tunnel = "0.0.0.0/0 via None dev ipsec0 src Some(192.0.2.1)";
    assert_eq!(
        net.routes(),
        [tunnel.to_owned(), format!("198.51.100.1/32 {exclude}")]
    );
    routes.move_peer(1, policy.dst, [203, 0, 113, 5].into(), policy.src);
    assert_eq!(
        net.routes(),
        [tunnel.to_owned(), format!("203.0.113.5/32 {exclude}")]
    );
    routes.remove(&policy_added);
    assert_eq!(net.routes(), Vec::<String>::new());
}

#[test]
fn a_policy_whose_outer_addresses_move_keeps_its_routes() {
    let (net, routes) = world(vec![address([192, 0, 2, 1], false)], false);
    let old = policy(([0, 0, 0, 0], 0), ([0, 0, 0, 0], 0), 1);
    let mut new = old.clone();
    (new.src, new.dst) = ([192, 0, 2, 7].into(), [203, 0, 113, 5].into());
    let old_added = add(&routes, &old).unwrap();
    routes.move_peer(1, old.dst, new.dst, new.src);
    let new_added = add(&routes, &new).unwrap();
    routes.remove(&old_added);
    let exclude = "203.0.113.5/32 via Some(192.0.2.254) dev eth0 src Some(192.0.2.7)";
    assert_eq!(net.routes().len(), 2, "{:?}", net.routes());
    assert_eq!(net.routes()[1], exclude);
    routes.remove(&new_added);
    assert_eq!(net.routes(), Vec::<String>::new());
}

#[test]
fn a_selector_that_is_the_peer_itself_is_refused_unless_allowed() {
    let policy = policy(([192, 0, 2, 1], 32), ([198, 51, 100, 1], 32), 1);
    let (net, routes) = world(vec![], false);
    let error = add(&routes, &policy).unwrap_err();
    assert!(
        error.message.contains("conflicts with IKE traffic"),
        "{}",
        error.message
    );
    assert_eq!(net.routes(), Vec::<String>::new());
    let (net, routes) = world(vec![], true);
    add(&routes, &policy).unwrap();
    assert_eq!(net.routes().len(), 1);
}

#[test]
fn a_route_that_was_there_before_is_left_alone() {
    let (net, routes) = world(vec![], false);
    let policy = policy(([10, 3, 0, 0], 16), ([10, 1, 0, 0], 16), 1);
    let foreign = Route {
        destination: [10, 1, 0, 0].into(),
        prefix: 16,
        gateway: None,
        source: None,
        interface: "ipsec0".into(),
    };
    net.add_route(&foreign).unwrap();
    let policy_added = add(&routes, &policy).unwrap();
    routes.remove(&policy_added);
    assert_eq!(net.routes().len(), 1);
}

#[test]
fn a_route_that_had_to_stand_back_takes_over() {
    let (net, routes) = world(
        vec![address([10, 3, 0, 1], false), address([10, 4, 0, 1], false)],
        false,
    );
    let one = policy(([10, 3, 0, 0], 16), ([10, 1, 0, 0], 16), 1);
    let two = policy(([10, 4, 0, 0], 16), ([10, 1, 0, 0], 16), 2);
    let one_added = add(&routes, &one).unwrap();
    add(&routes, &two).unwrap();
    routes.remove(&one_added);
    assert_eq!(
        net.routes(),
        ["10.1.0.0/16 via None dev ipsec0 src Some(10.4.0.1)"]
    );
}

#[test]
fn a_shunt_past_the_tunnel_keeps_its_ordinary_path_and_one_to_drop_ends_in_the_device() {
    let (net, routes) = world(vec![], false);
    let mut pass = policy(([10, 3, 0, 0], 16), ([10, 1, 2, 0], 24), 0);
    (pass.action, pass.priority, pass.dst) = (PolicyAction::Pass, PolicyPriority::Pass, [0; 4].into());
    let drop = PolicyParameters {
        action: PolicyAction::Drop,
        dst_ts: TrafficSelector::subnet([10, 1, 3, 0].into(), 24),
        ..pass.clone()
    };
    let pass_added = add(&routes, &pass).unwrap();
    add(&routes, &drop).unwrap();
    assert_eq!(
        net.routes(),
        [
            "10.1.2.0/24 via Some(192.0.2.254) dev eth0 src None",
            "10.1.3.0/24 via None dev ipsec0 src None"
        ]
    );
    routes.remove(&pass_added);
    routes.clear();
    assert_eq!(net.routes(), Vec::<String>::new());
}
