//! Road warriors: virtual addresses out of pools, by configuration payloads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::attribute;
use config::connection::{AuthConfig, ChildConfig, Host as End, PeerConfig, SelectorSpec, UniquePolicy};
use config::identity::Identity;
use config::secret::{SecretKind, SharedSecret};
use iana::attribute::{ConfigurationAttribute, ConfigurationType};
use iana::{ExchangeType, NotifyType};
use ike::{AddressPool, CommandId, Event, Initiate, PoolSource, Settings};
use pqswan_tests::puppet::Puppet;
use pqswan_tests::world::{self, MOON, World};
use wire::payload::{Cp, Notify, Payload};

use super::handshake::{MINUTE, calm, seed_settings};

const PROPOSAL: &str = "aes256gcm16-sha512-x25519!";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn with_child(peer: PeerConfig, change: impl Fn(&mut ChildConfig)) -> PeerConfig {
    let mut child = ChildConfig::clone(&peer.children[0]);
    change(&mut child);
    PeerConfig {
        children: vec![Arc::new(child)],
        ..peer
    }
}

/// moon's connection for whoever knows the secret.
fn gateway(pools: &[&str]) -> PeerConfig {
    let moon = with_child(world::moon(PROPOSAL), |child| {
        child.remote_ts = vec![SelectorSpec::DYNAMIC];
    });
    PeerConfig {
        remote_addrs: vec![End::Any],
        remote_auth: vec![AuthConfig {
            id: None,
            ..moon.remote_auth[0].clone()
        }],
        pools: pools.iter().map(|name| (*name).to_owned()).collect(),
        ..moon
    }
}

/// carol's connection, for these addresses.
fn road_warrior(vips: &[&str]) -> PeerConfig {
    let carol = with_child(world::carol(PROPOSAL), |child| {
        child.local_ts = vec![SelectorSpec::DYNAMIC];
    });
    PeerConfig {
        vips: vips.iter().map(|vip| ip(vip)).collect(),
        ..carol
    }
}

fn share_with_all(world: &mut World) {
    for host in &mut world.hosts {
        let secret = SharedSecret::new(world::PSK.as_bytes().to_vec());
        let secrets = host.endpoint.secrets_mut();
        secrets.insert(SecretKind::Ike, Vec::new(), secret);
    }
}

fn pool(world: &mut World, name: &str, addrs: &str, attributes: &[(&str, &str)]) {
    let attributes = attributes.iter().map(|(key, value)| {
        let attribute = attribute::parse(key, value).expect("an attribute");
        attribute.expect("one of IKEv2")
    });
    let pool = AddressPool::new(name, addrs, PoolSource::Vici, attributes.collect());
    let pools = world.hosts[0].endpoint.pools_mut();
    pools.put(pool.expect("addresses")).expect("a new pool");
}

fn pair_with(gateway: PeerConfig, road_warrior: PeerConfig, settings: &Settings) -> World {
    let registry = pqswan_tests::crypto::registry();
    let mut world = World::new(&[MOON, world::CAROL], settings, &registry, calm(), 1);
    world.hosts[0].endpoint.add_connection(gateway);
    world.hosts[1].endpoint.add_connection(road_warrior);
    share_with_all(&mut world);
    world
}

fn pair(gateway: PeerConfig, road_warrior: PeerConfig) -> World {
    pair_with(gateway, road_warrior, &seed_settings())
}

fn online(world: &World) -> Vec<IpAddr> {
    let pools = world.hosts[0].endpoint.pools().iter();
    let leases = pools.flat_map(|pool| pool.leases());
    leases
        .filter(|lease| lease.online)
        .map(|lease| lease.address)
        .collect()
}

#[test]
fn a_road_warrior_gets_an_address_and_sends_from_it() {
    let mut world = pair(gateway(&["rw"]), road_warrior(&["0.0.0.0"]));
    pool(
        &mut world,
        "rw",
        "10.3.0.0/24",
        &[("dns", "10.1.0.1"), ("nbns", "10.1.0.2")],
    );
    world.hosts[1].endpoint.set_uses_dns(true);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    world.assert_consistent();
    for (host, text) in [
        (0, "[IKE] peer requested virtual IP %any"),
        (0, "[CFG] assigning new lease to 'carol.strongswan.org'"),
        (
            0,
            "[IKE] assigning virtual IP 10.3.0.1 to peer 'carol.strongswan.org'",
        ),
        (1, "CPRQ(ADDR DNS)"),
        (1, "CPRP(ADDR DNS NBNS)"),
        (1, "[IKE] installing new virtual IP 10.3.0.1"),
        (1, "TS 10.3.0.1/32 === 10.1.0.0/16"),
    ] {
        assert!(world.logged(host, text), "{text}: {:#?}", world.hosts[host].log);
    }
    let (moon, carol) = (&world.sas(0)[0], &world.sas(1)[0]);
    assert_eq!(
        (&moon.remote_vips[..], &carol.local_vips[..]),
        (&[ip("10.3.0.1")][..], &[ip("10.3.0.1")][..])
    );
    assert_eq!(carol.dns, [ip("10.1.0.1")]);
    assert_eq!(world.hosts[1].kernel.addresses, [ip("10.3.0.1")]);
    assert_eq!(online(&world), [ip("10.3.0.1")]);
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
    assert!(world.logged(0, "[CFG] lease 10.3.0.1 by 'carol.strongswan.org' went offline"));
    let events = world.hosts[1].events.iter();
    let dns: Vec<bool> = events
        .filter_map(|event| match event {
            Event::DnsServers(sa, up) if sa.dns == [ip("10.1.0.1")] => Some(*up),
            _ => None,
        })
        .collect();
    assert_eq!(dns, [true, false]);
}

#[test]
fn a_connection_asks_for_dns_servers_and_tells_of_them() {
    for (vips, pools) in [(&["0.0.0.0"][..], &["rw"][..]), (&[], &[])] {
        let gateway = PeerConfig {
            dns: vec![ip("10.1.0.1"), ip("fec1::1")],
            ..gateway(pools)
        };
        let road_warrior = PeerConfig {
            dns_wanted: vec![ip("0.0.0.0"), ip("10.1.0.9")],
            ..road_warrior(vips)
        };
        let mut world = pair(gateway, road_warrior);
        pool(&mut world, "rw", "10.3.0.0/24", &[("dns", "10.1.0.1")]);
        world.initiate(1);
        assert!(
            world.run_until(MINUTE, World::is_established),
            "{:#?}",
            world.hosts[1].log
        );
        let (asked, told) = if vips.is_empty() {
            ("CPRQ(DNS DNS)", "CPRP(DNS DNS6)")
        } else {
            ("CPRQ(ADDR DNS DNS)", "CPRP(ADDR DNS DNS6)")
        };
        for text in [asked, told] {
            assert!(world.logged(1, text), "{text}: {:#?}", world.hosts[1].log);
        }
        assert_eq!(world.sas(1)[0].dns, [ip("10.1.0.1"), ip("fec1::1")]);
        let told = |event: &Event| matches!(event, Event::DnsServers(_, true));
        assert!(world.hosts[1].events.iter().any(told));
    }
    // Who does not ask is not told.
    let gateway = PeerConfig {
        dns: vec![ip("10.1.0.1")],
        ..gateway(&[])
    };
    let mut world = pair(gateway, road_warrior(&[]));
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    assert!(!world.logged(0, "CPRP"));
}

#[test]
fn both_families_get_an_address_from_the_pool_of_theirs() {
    let mut world = pair(gateway(&["six", "four"]), road_warrior(&["0.0.0.0", "::"]));
    let both = |child: &mut ChildConfig, local: bool| {
        let all = ["10.1.0.0/16", "fec1::/16"].map(|text| config::selector::one(text).expect("a subnet"));
        *(if local {
            &mut child.local_ts
        } else {
            &mut child.remote_ts
        }) = all.to_vec();
    };
    world.hosts[0]
        .endpoint
        .add_connection(with_child(gateway(&["six", "four"]), |child| both(child, true)));
    world.hosts[1]
        .endpoint
        .add_connection(with_child(road_warrior(&["0.0.0.0", "::"]), |child| {
            both(child, false)
        }));
    pool(&mut world, "four", "10.3.0.0/24", &[]);
    pool(&mut world, "six", "fec3::/120", &[("dns", "fec1::1")]);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[0].log
    );
    world.assert_consistent();
    assert_eq!(world.sas(1)[0].local_vips, [ip("10.3.0.1"), ip("fec3::1")]);
    let child = world.live_child(1).expect("a CHILD_SA");
    let texts: Vec<String> = child.local_ts.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["10.3.0.1/32", "fec3::1/128"]);
    assert!(world.sas(1)[0].dns.is_empty(), "nobody has a use for it");
    // What comes later is between the same addresses.
    world.rekey_child(1, child.unique_id);
    world.run_for(MINUTE);
    world.assert_consistent();
    let rekeyed = world.live_child(1).expect("a CHILD_SA");
    assert_ne!(rekeyed.unique_id, child.unique_id);
    assert_eq!(rekeyed.local_ts, child.local_ts);
}

#[test]
fn without_an_address_there_is_no_child_sa_but_the_ike_sa_stays() {
    for (pools, vips, moon, carol) in [
        (
            &[][..],
            &["0.0.0.0"][..],
            "no virtual IP found, sending INTERNAL_ADDRESS_FAILURE",
            "received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built",
        ),
        (
            &["missing"],
            &["0.0.0.0"],
            "[CFG] there is no pool 'missing'",
            "received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built",
        ),
        (
            &["rw"],
            &["::"],
            "no virtual IP found for %any6 requested by 'carol.strongswan.org'",
            "received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built",
        ),
        (
            &["rw"],
            &[],
            "expected a virtual IP request, sending FAILED_CP_REQUIRED",
            "received FAILED_CP_REQUIRED notify, no CHILD_SA built",
        ),
    ] {
        let mut world = pair(gateway(pools), road_warrior(vips));
        pool(&mut world, "rw", "10.3.0.0/24", &[]);
        world.initiate(1);
        world.run_for(MINUTE);
        assert!(world.logged(0, moon), "{moon}: {:#?}", world.hosts[0].log);
        assert!(world.logged(0, "configuration payload negotiation failed, no CHILD_SA built"));
        assert!(world.logged(1, carol), "{carol}: {:#?}", world.hosts[1].log);
        for host in [0, 1] {
            assert!(world.logged(host, "failed to establish CHILD_SA, keeping IKE_SA"));
            let sa = world.live_sa(host).expect("an IKE_SA");
            assert!(sa.children.is_empty() && sa.local_vips.is_empty() && sa.remote_vips.is_empty());
        }
        assert!(online(&world).is_empty());
        world.terminate(1);
        world.run_for(MINUTE);
        world.assert_no_trace();
    }
}

#[test]
fn the_address_outlives_every_rekeying_and_reauthentication() {
    for make_before_break in [false, true] {
        let settings = Settings {
            make_before_break,
            ..seed_settings()
        };
        let mut world = pair_with(gateway(&["rw"]), road_warrior(&["0.0.0.0"]), &settings);
        pool(&mut world, "rw", "10.3.0.0/24", &[]);
        // Others may come in between.
        pool(&mut world, "other", "10.4.0.0/24", &[]);
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established));
        let check = |world: &World, what: &str| {
            let log = world.hosts.iter().map(|host| host.log.join("\n"));
            let log = log.collect::<Vec<_>>().join("\n---\n");
            assert_eq!(online(world), [ip("10.3.0.1")], "{what}\n{log}");
            assert_eq!(world.hosts[1].kernel.addresses, [ip("10.3.0.1")], "{what}\n{log}");
            let (moon, carol) = (world.live_sa(0).expect(what), world.live_sa(1).expect(what));
            assert_eq!(
                (moon.remote_vips, carol.local_vips),
                (vec![ip("10.3.0.1")], vec![ip("10.3.0.1")]),
                "{what}"
            );
            let child = world.live_child(1).expect(what);
            assert_eq!(child.local_ts[0].to_string(), "10.3.0.1/32", "{what}");
            world.assert_consistent();
        };
        for host in [0, 1] {
            world.rekey_ike(host);
            world.run_for(2 * MINUTE);
            check(&world, "after the IKE_SA was rekeyed");
            let child = world.live_child(host).expect("a CHILD_SA").unique_id;
            world.rekey_child(host, child);
            world.run_for(MINUTE);
            check(&world, "after the CHILD_SA was rekeyed");
        }
        world.hosts[0].log.clear();
        let unique = world.live_sa(1).expect("an IKE_SA").unique_id;
        let now = world.now;
        world.hosts[1].endpoint.reauthenticate(now, unique);
        world.drain(1);
        world.run_for(MINUTE);
        check(&world, "after carol has authenticated again");
        assert!(world.logged(0, "peer requested virtual IP 10.3.0.1"));
        let how = if make_before_break { "online" } else { "offline" };
        assert!(world.logged(0, &format!("reassigning {how} lease to 'carol.strongswan.org'")));
        // On its own, for two hours.
        world.run_for(120 * MINUTE);
        check(&world, "after two hours");
        world.terminate(1);
        world.run_for(2 * MINUTE);
        world.assert_no_trace();
    }
}

#[test]
fn whoever_lost_everything_has_the_old_address_at_once() {
    let mut world = pair(gateway(&["rw"]), road_warrior(&["0.0.0.0"]));
    pool(&mut world, "rw", "10.3.0.0/24", &[]);
    world.initiate(1);
    assert!(world.run_until(MINUTE, World::is_established));
    let before = world.sas(0)[0].unique_id;
    let registry = pqswan_tests::crypto::registry();
    let mut other = World::new(&[MOON, world::CAROL], &seed_settings(), &registry, calm(), 2);
    other.hosts[1].endpoint.add_connection(road_warrior(&["0.0.0.0"]));
    share_with_all(&mut other);
    std::mem::swap(&mut world.hosts[1], &mut other.hosts[1]);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[0].log
    );
    assert!(world.logged(0, "received INITIAL_CONTACT"));
    assert_ne!(world.sas(0)[0].unique_id, before);
    assert_eq!(world.sas(1)[0].local_vips, [ip("10.3.0.1")]);
    assert_eq!(online(&world), [ip("10.3.0.1")]);
}

/// A world of moon and so many hosts, each with so many users.
struct Crowd {
    world: World,
    users: usize,
}

impl Crowd {
    fn new(hosts: usize, users: usize, addrs: &str) -> Self {
        let addresses: Vec<String> = std::iter::once(MOON.to_owned())
            .chain((0..hosts).map(|host| format!("192.168.{}.{}", 1 + host / 200, 1 + host % 200)))
            .collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let settings = Settings {
            dos_protection: false,
            ..seed_settings()
        };
        let registry = pqswan_tests::crypto::registry();
        let mut world = World::new(&addresses, &settings, &registry, calm(), 1);
        // The simulated kernel would look through tens of thousands of policies.
        let gateway = with_child(gateway(&["rw"]), |child| child.policies = false);
        world.hosts[0].endpoint.add_connection(PeerConfig {
            unique: UniquePolicy::Never,
            ..gateway
        });
        share_with_all(&mut world);
        pool(&mut world, "rw", addrs, &[]);
        Self { world, users }
    }

    /// Everybody connects. Returns who has which address.
    fn connect(&mut self) -> BTreeMap<String, IpAddr> {
        let mut has = BTreeMap::new();
        for host in 1..self.world.hosts.len() {
            for user in 0..self.users {
                let name = format!("user{user}@host{host}");
                let mut peer = road_warrior(&["0.0.0.0"]);
                peer.name.clone_from(&name);
                peer.unique = UniquePolicy::Never;
                peer.local_auth[0].id = Some(Identity::parse(&name));
                let (now, address) = (self.world.now, self.world.hosts[host].address);
                let what = Initiate {
                    child: peer.children.first().cloned(),
                    peer: Arc::new(peer),
                    local: SocketAddr::new(address, 500),
                    remote: SocketAddr::new(ip(MOON), 500),
                };
                let id = CommandId(user as u64);
                self.world.hosts[host].endpoint.initiate(now, id, what);
                self.world.drain(host);
            }
            let users = self.users;
            let all = |world: &World| world.hosts[host].done.len() == users;
            assert!(
                self.world.run_until(MINUTE, all),
                "{:#?}",
                self.world.hosts[host].log
            );
            self.world.hosts[host].done.clear();
            for sa in self.world.sas(host) {
                has.extend(sa.local_vips.first().map(|vip| (sa.name.to_string(), *vip)));
            }
        }
        has
    }

    /// Everybody goes.
    fn leave(&mut self) {
        for host in 1..self.world.hosts.len() {
            for sa in self.world.sas(host) {
                let now = self.world.now;
                let endpoint = &mut self.world.hosts[host].endpoint;
                endpoint.terminate_ike(now, CommandId(0), sa.unique_id);
                self.world.drain(host);
            }
            let none = |world: &World| world.hosts[host].endpoint.counts() == (0, 0);
            assert!(self.world.run_until(MINUTE, none));
            self.world.hosts[host].done.clear();
        }
        self.world.assert_no_trace();
    }
}

#[test]
fn ten_thousand_road_warriors_have_ten_thousand_addresses_and_have_them_again() {
    let mut crowd = Crowd::new(200, 50, "10.64.0.0/16");
    for host in &mut crowd.world.hosts {
        host.endpoint.set_log_levels(|_| -1);
    }
    let before = crowd.connect();
    let distinct: BTreeSet<_> = before.values().collect();
    assert_eq!((before.len(), distinct.len()), (10_000, 10_000));
    assert_eq!(online(&crowd.world).len(), 10_000);
    crowd.leave();
    assert!(online(&crowd.world).is_empty());
    assert_eq!(crowd.connect(), before);
    crowd.leave();
}

#[test]
fn a_pool_that_is_one_short_refuses_exactly_one() {
    let mut crowd = Crowd::new(10, 20, "10.3.0.1-10.3.0.199");
    let has = crowd.connect();
    assert_eq!(has.len(), 199);
    let host = crowd.world.hosts.len() - 1;
    let refusals = |text: &str| {
        let lines = crowd.world.hosts.iter().flat_map(|host| &host.log);
        lines.filter(|line| line.contains(text)).count()
    };
    assert_eq!(
        refusals("no virtual IP found, sending INTERNAL_ADDRESS_FAILURE"),
        1
    );
    assert_eq!(refusals("[CFG] pool 'rw' is full, unable to assign address"), 1);
    assert_eq!(
        refusals("received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built"),
        1
    );
    // As soon as one goes there is room.
    let sas = crowd.world.sas(host);
    let poor = sas.iter().find(|sa| sa.local_vips.is_empty()).expect("the one");
    let rich = crowd.world.sas(1)[0].unique_id;
    let now = crowd.world.now;
    for (host, unique) in [(1, rich), (host, poor.unique_id)] {
        let endpoint = &mut crowd.world.hosts[host].endpoint;
        endpoint.terminate_ike(now, CommandId(0), unique);
        crowd.world.drain(host);
    }
    crowd.world.run_for(MINUTE);
    crowd.world.hosts[host].done.clear();
    let (peer, address) = (poor.config.clone().expect("a connection"), poor.local.ip());
    let what = Initiate {
        child: peer.children.first().cloned(),
        peer,
        local: SocketAddr::new(address, 500),
        remote: SocketAddr::new(ip(MOON), 500),
    };
    let now = crowd.world.now;
    crowd.world.hosts[host].endpoint.initiate(now, CommandId(7), what);
    crowd.world.drain(host);
    crowd.world.run_for(MINUTE);
    assert_eq!(crowd.world.hosts[host].done, [(CommandId(7), Ok(()))]);
}

#[test]
fn a_responder_cannot_make_this_host_take_any_address() {
    let mut world = pair(gateway(&["rw"]), road_warrior(&["0.0.0.0"]));
    pool(&mut world, "rw", "10.3.0.0/24", &[]);
    let mut attributes = Vec::new();
    for address in [
        "127.0.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        MOON,
        "10.3.0.1",
    ] {
        attributes.extend(attribute::parse("address", address).expect("an attribute"));
    }
    for number in 0..200 {
        let server = format!("10.1.0.{number}");
        attributes.extend(attribute::parse("dns", &server).expect("an attribute"));
        attributes.extend(attribute::parse("address", &format!("10.9.0.{number}")).expect("an attribute"));
        attributes.extend(attribute::parse("address", &format!("fec9::{number}")).expect("an attribute"));
    }
    attributes.push((ConfigurationAttribute(0x7fff), vec![0; 1000]));
    world.hosts[0].endpoint.set_attributes(attributes);
    world.hosts[1].endpoint.set_uses_dns(true);
    world.initiate(1);
    assert!(
        world.run_until(MINUTE, World::is_established),
        "{:#?}",
        world.hosts[1].log
    );
    let carol = &world.sas(1)[0];
    assert_eq!(
        (&carol.local_vips[..], carol.dns.len()),
        (&[ip("10.3.0.1")][..], 8)
    );
    assert_eq!(world.hosts[1].kernel.addresses, [ip("10.3.0.1")]);
}

#[test]
fn a_responder_that_gives_nothing_leaves_the_address_of_the_ike_sa() {
    // What the connection of another implementation would do: moon takes the request for one she does not understand.
    let mut world = pair(gateway(&["rw"]), road_warrior(&["0.0.0.0"]));
    pool(&mut world, "rw", "10.3.0.1", &[]);
    world.hosts[1]
        .endpoint
        .add_connection(with_child(road_warrior(&["0.0.0.0"]), |child| {
            child.local_ts = vec![config::selector::one("10.9.0.0/16").expect("a subnet")];
        }));
    world.initiate(1);
    world.run_for(MINUTE);
    assert!(world.logged(0, "traffic selectors 10.1.0.0/16 === 10.9.0.0/16 unacceptable"));
    let (moon, carol) = (&world.sas(0)[0], &world.sas(1)[0]);
    assert!(moon.children.is_empty() && carol.children.is_empty());
    assert_eq!(moon.remote_vips, carol.local_vips, "the IKE_SA keeps it");
    world.terminate(1);
    world.run_for(MINUTE);
    world.assert_no_trace();
}

/// What moon answers to an IKE_AUTH request with these attributes.
fn asked(
    kind: ConfigurationType,
    attributes: Vec<(ConfigurationAttribute, Vec<u8>)>,
) -> (Puppet, Vec<Payload>) {
    const ESP: &str = "aes256gcm16";
    let mut puppet = Puppet::new(ESP, &[]);
    let moon = PeerConfig {
        pools: vec!["rw".into()],
        proposals: puppet.world.hosts[0].endpoint.connections()[0].proposals.clone(),
        ..gateway(&["rw"])
    };
    let moon = with_child(moon, |child| child.proposals.entries = vec![ESP.into()]);
    puppet.world.hosts[0].endpoint.add_connection(moon);
    pool(&mut puppet.world, "rw", "10.3.0.0/24", &[]);
    let (suite, sk, init) = puppet.init("aes256gcm16-sha512-x25519", true);
    let mut request = puppet.auth_request(&suite, &sk, &init, ESP);
    request.push(Payload::Cp(Cp { kind, attributes }));
    let answer = puppet.ask(ExchangeType::IKE_AUTH, request);
    (puppet, answer)
}

fn addresses(answer: &[Payload]) -> Vec<IpAddr> {
    let attributes = answer.iter().flat_map(|payload| match payload {
        Payload::Cp(cp) if cp.kind == ConfigurationType::REPLY => cp.attributes.clone(),
        _ => Vec::new(),
    });
    let address = |(_, value): (ConfigurationAttribute, Vec<u8>)| {
        let octets: [u8; 4] = value.try_into().expect("an IPv4 address");
        IpAddr::from(octets)
    };
    attributes.map(address).collect()
}

fn refused(answer: &[Payload], kind: NotifyType) -> bool {
    answer
        .iter()
        .any(|payload| matches!(payload, Payload::Notify(Notify { kind: found, .. }) if *found == kind))
}

#[test]
fn however_many_addresses_a_peer_asks_for_it_gets_few() {
    let any = (ConfigurationAttribute::INTERNAL_IP4_ADDRESS, Vec::new());
    let (puppet, answer) = asked(ConfigurationType::REQUEST, vec![any; 2000]);
    let given = addresses(&answer);
    assert_eq!(given.len(), 8);
    assert_eq!(given.iter().collect::<BTreeSet<_>>().len(), 8, "each is another");
    assert_eq!(online(&puppet.world), given);
}

#[test]
fn what_is_asked_for_is_given_only_if_it_is_in_the_pool() {
    let ask = |octets: [u8; 4]| {
        let wanted = (ConfigurationAttribute::INTERNAL_IP4_ADDRESS, octets.to_vec());
        addresses(&asked(ConfigurationType::REQUEST, vec![wanted]).1)
    };
    assert_eq!(ask([10, 3, 0, 77]), [ip("10.3.0.77")]);
    for other in [
        [10, 3, 0, 0],
        [10, 3, 0, 255],
        [192, 168, 0, 2],
        [127, 0, 0, 1],
        [255; 4],
    ] {
        assert_eq!(ask(other), [ip("10.3.0.1")], "{other:?}");
    }
}

#[test]
fn attributes_of_a_wrong_length_and_payloads_of_a_wrong_type_get_nothing() {
    use ConfigurationAttribute as A;
    for (kind, len) in [
        (A::INTERNAL_IP4_ADDRESS, 3),
        (A::INTERNAL_IP4_ADDRESS, 4000),
        (A::INTERNAL_IP6_ADDRESS, 4),
        (A::INTERNAL_IP4_DNS, 16),
    ] {
        let (puppet, answer) = asked(ConfigurationType::REQUEST, vec![(kind, vec![1; len])]);
        assert!(refused(&answer, NotifyType::INVALID_SYNTAX), "{answer:?}");
        assert!(online(&puppet.world).is_empty());
    }
    for kind in [
        ConfigurationType::REPLY,
        ConfigurationType::SET,
        ConfigurationType(99),
    ] {
        let (puppet, answer) = asked(kind, vec![(A::INTERNAL_IP4_ADDRESS, Vec::new())]);
        assert!(refused(&answer, NotifyType::FAILED_CP_REQUIRED), "{answer:?}");
        assert!(online(&puppet.world).is_empty());
    }
}
