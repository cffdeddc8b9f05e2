use std::net::IpAddr;
use std::sync::Mutex;

use iana::TrafficSelector;
use plugin_api::kernel::{Direction, LocalAddress, NextHop, PolicyPriority, SaMode};
use plugin_api::{ErrorKind, PluginError};

use super::*;
use plugin_api::testing::Recorder;

/// A host with an address on link with the peer and another inside the tunnel.
struct Net {
    routes: Mutex<Vec<Route>>,
    addresses: Vec<IpAddr>,
    gateway: Option<IpAddr>,
}

impl KernelNet for Net {
    fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
        let one = |address: &IpAddr| LocalAddress {
            address: *address,
            prefix: 32,
            interface: "eth0".into(),
            loopback: false,
            up: true,
            is_virtual: false,
        };
        Ok(self.addresses.iter().map(one).collect())
    }

    fn next_hop(&self, _destination: IpAddr, _source: Option<IpAddr>) -> Result<NextHop, PluginError> {
        Ok(NextHop {
            gateway: self.gateway,
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
        if routes.contains(route) {
            return Err(PluginError::new(ErrorKind::AlreadyExists, "there"));
        }
        routes.push(route.clone());
        Ok(())
    }

    fn delete_route(&self, route: &Route) -> Result<(), PluginError> {
        self.routes.lock().unwrap().retain(|other| other != route);
        Ok(())
    }
}

fn world(addresses: &[[u8; 4]], gateway: Option<[u8; 4]>) -> (Arc<Net>, PolicyRoutes) {
    let net = Arc::new(Net {
        routes: Mutex::default(),
        addresses: addresses.iter().map(|octets| (*octets).into()).collect(),
        gateway: gateway.map(IpAddr::from),
    });
    let host = Arc::new(Recorder::with_net(net.clone()));
    (net, PolicyRoutes::new(host))
}

fn policy(dst: [u8; 4], prefix: u8) -> PolicyParameters {
    PolicyParameters {
        direction: Direction::Out,
        src_ts: TrafficSelector::subnet([10, 3, 0, 0].into(), 16),
        dst_ts: TrafficSelector::subnet(dst.into(), prefix),
        action: PolicyAction::Protect,
        priority: PolicyPriority::Default,
        src: [192, 0, 2, 1].into(),
        dst: [192, 0, 2, 9].into(),
        reqid: 1,
        spi: 1,
        mode: SaMode::Tunnel,
        mark: None,
        options: Default::default(),
    }
}

fn installed(net: &Net) -> Vec<String> {
    let routes = net.routes.lock().unwrap();
    let text = |route: &Route| {
        let via = route
            .gateway
            .map_or(String::new(), |gateway| format!(" via {gateway}"));
        let src = route
            .source
            .map_or(String::new(), |source| format!(" src {source}"));
        format!(
            "{}/{}{via} dev {}{src}",
            route.destination, route.prefix, route.interface
        )
    };
    routes.iter().map(text).collect()
}

const OWN: [u8; 4] = [10, 3, 0, 1];

#[test]
fn a_route_leads_to_the_peer_or_the_gateway_before_it_from_an_address_inside() {
    for (gateway, via) in [(None, "192.0.2.9"), (Some([192, 0, 2, 254]), "192.0.2.254")] {
        let (net, mut routes) = world(&[[192, 0, 2, 1], OWN], gateway);
        let policy = policy([10, 1, 0, 0], 16);
        routes.add(&policy);
        assert_eq!(
            installed(&net),
            [format!("10.1.0.0/16 via {via} dev eth0 src 10.3.0.1")]
        );
        let mut rekeyed = policy.clone();
        rekeyed.spi = 2;
        routes.add(&rekeyed);
        routes.remove(&policy);
        assert_eq!(installed(&net).len(), 1);
        routes.remove(&rekeyed);
        assert_eq!(installed(&net), Vec::<String>::new());
    }
}

#[test]
fn a_peer_inside_the_selector_is_no_gateway_to_itself() {
    let (net, mut routes) = world(&[OWN], None);
    routes.add(&policy([0, 0, 0, 0], 0));
    assert_eq!(installed(&net), ["0.0.0.0/0 dev eth0 src 10.3.0.1"]);
    routes.clear();
    assert_eq!(installed(&net), Vec::<String>::new());
}

#[test]
fn gateways_ports_transport_mode_and_shunts_that_drop_need_none() {
    let (net, mut routes) = world(&[[192, 0, 2, 1]], None);
    routes.add(&policy([10, 1, 0, 0], 16));
    let (with_address, mut others) = world(&[OWN], None);
    let mut ports = policy([10, 1, 0, 0], 16);
    ports.dst_ts.protocol = 6;
    let mut transport = policy([192, 0, 2, 9], 32);
    transport.mode = SaMode::Transport;
    let mut drop = policy([10, 1, 0, 0], 16);
    drop.action = PolicyAction::Drop;
    let mut inbound = policy([10, 1, 0, 0], 16);
    inbound.direction = Direction::In;
    for policy in [&ports, &transport, &drop, &inbound] {
        others.add(policy);
    }
    assert_eq!((installed(&net), installed(&with_address)), (vec![], vec![]));
}

#[test]
fn a_shunt_keeps_the_ordinary_path() {
    let (net, mut routes) = world(&[OWN], Some([192, 0, 2, 254]));
    let mut pass = policy([10, 9, 0, 0], 16);
    pass.action = PolicyAction::Pass;
    routes.add(&pass);
    assert_eq!(installed(&net), ["10.9.0.0/16 via 192.0.2.254 dev eth0"]);
}
