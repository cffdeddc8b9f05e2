use super::*;

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn pools(all: &[(&str, &str)]) -> Pools {
    let mut pools = Pools::default();
    for (name, addrs) in all {
        let pool = AddressPool::new(name, addrs, PoolSource::Vici, Vec::new()).expect("addresses");
        pools.put(pool).expect("a new pool");
    }
    pools
}

fn claim<'a>(identity: &'a Identity, requested: IpAddr) -> Claim<'a> {
    Claim {
        identity,
        peer: ip("192.0.2.1"),
        requested,
        anew: false,
        held: &[],
    }
}

fn take(pools: &mut Pools, names: &[&str], who: &str, requested: IpAddr) -> Result<HeldLease, Vec<String>> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let identity = Identity::parse(who);
    pools
        .acquire(&names, &claim(&identity, requested))
        .map(|(held, _)| held)
}

#[test]
fn a_pool_begins_with_the_first_host_of_a_subnet() {
    for (addrs, base, size) in [
        ("10.4.0.0/24", "10.4.0.1", 254),
        ("10.4.0.9/32", "10.4.0.9", 1),
        ("10.4.0.8/31", "10.4.0.8", 2),
        ("10.4.0.5-10.4.0.9", "10.4.0.5", 5),
        ("10.4.0.7", "10.4.0.7", 1),
        ("fec3::/120", "fec3::1", 255),
        ("fec3::/64", "fec3::1", MOST),
        ("::/0", "::1", MOST),
    ] {
        let pool = AddressPool::new("rw", addrs, PoolSource::Vici, Vec::new()).expect("addresses");
        assert_eq!((pool.base, pool.size), (ip(base), size), "{addrs}");
    }
    assert!(AddressPool::new("rw", "moon", PoolSource::Vici, Vec::new()).is_none());
}

#[test]
fn a_returning_peer_has_its_address_again_and_a_new_one_another() {
    let mut pools = pools(&[("rw", "10.3.0.0/24")]);
    let carol = take(&mut pools, &["rw"], "carol", ANY).expect("an address");
    let dave = take(&mut pools, &["rw"], "dave", ANY).expect("an address");
    assert_eq!((carol.address, dave.address), (ip("10.3.0.1"), ip("10.3.0.2")));
    pools.release(&carol);
    let pool = pools.get("rw", PoolSource::Vici).expect("the pool");
    assert_eq!((pool.online(), pool.offline()), (1, 1));
    let alice = take(&mut pools, &["rw"], "alice", ANY).expect("an address");
    assert_eq!(
        alice.address,
        ip("10.3.0.3"),
        "carol's is kept as long as there are others"
    );
    let again = take(&mut pools, &["rw"], "carol", ANY).expect("an address");
    assert_eq!(again, carol);
    let second = take(&mut pools, &["rw"], "carol", ANY).expect("an address");
    assert_ne!(second, carol, "another IKE_SA of hers has an address of its own");
    assert!(!pools.are_idle());
}

#[test]
fn a_full_pool_gives_out_what_has_been_unused_longest_and_then_nothing() {
    let mut pools = pools(&[("rw", "10.3.0.1-10.3.0.2")]);
    let carol = take(&mut pools, &["rw"], "carol", ANY).expect("an address");
    let dave = take(&mut pools, &["rw"], "dave", ANY).expect("an address");
    let refused = take(&mut pools, &["rw", "missing"], "alice", ANY);
    assert_eq!(
        refused,
        Err(vec![
            "pool 'rw' is full, unable to assign address; widen pools.rw.addrs".to_owned(),
            "there is no pool 'missing', load it before connections name it".to_owned(),
        ])
    );
    pools.release(&dave);
    pools.release(&carol);
    let alice = take(&mut pools, &["rw"], "alice", ANY).expect("an address");
    assert_eq!(alice.address, dave.address);
    let carol_again = take(&mut pools, &["rw"], "carol", ANY).expect("an address");
    assert_eq!(carol_again, carol);
    assert!(
        take(&mut pools, &["rw"], "dave", ANY).is_err(),
        "his lease is gone"
    );
}

#[test]
fn an_address_that_is_free_is_given_to_whoever_asks_for_it() {
    let mut pools = pools(&[("rw", "10.3.0.0/24")]);
    let carol = take(&mut pools, &["rw"], "carol", ip("10.3.0.7")).expect("an address");
    assert_eq!(carol.address, ip("10.3.0.7"));
    let dave = take(&mut pools, &["rw"], "dave", ip("10.3.0.7")).expect("an address");
    assert_eq!(dave.address, ip("10.3.0.1"), "it is taken");
    let alice = take(&mut pools, &["rw"], "alice", ip("10.9.0.7")).expect("an address");
    assert_eq!(alice.address, ip("10.3.0.2"), "it is not of the pool");
    for _ in 0..4 {
        take(&mut pools, &["rw"], "others", ANY).expect("an address");
    }
    let next = take(&mut pools, &["rw"], "others", ANY).expect("an address");
    assert_eq!(next.address, ip("10.3.0.8"), "carol's is left out");
}

#[test]
fn the_address_of_another_ike_sa_is_shared_only_by_the_same_peer_that_replaces_it() {
    let mut pools = pools(&[("rw", "10.3.0.0/24")]);
    let names = ["rw".to_owned()];
    let carol = Identity::parse("carol");
    let (first, _) = pools.acquire(&names, &claim(&carol, ANY)).expect("an address");
    let elsewhere = Claim {
        peer: ip("192.0.2.9"),
        ..claim(&carol, first.address)
    };
    let (other, _) = pools.acquire(&names, &elsewhere).expect("an address");
    assert_ne!(other, first, "another host with her identity");
    let (again, how) = pools
        .acquire(&names, &claim(&carol, first.address))
        .expect("an address");
    assert_eq!(
        (&again, how.as_str()),
        (&first, "reassigning online lease to 'carol'")
    );
    pools.release(&first);
    let online = |pools: &Pools, address| {
        let pool = pools.get("rw", PoolSource::Vici).expect("the pool");
        pool.leases()
            .any(|lease| lease.address == address && lease.online)
    };
    assert!(online(&pools, first.address), "its successor holds it");
    pools.release(&again);
    assert!(!online(&pools, first.address));
    let anew = Claim {
        anew: true,
        ..claim(&carol, ANY)
    };
    let (taken, _) = pools.acquire(&names, &anew).expect("an address");
    assert_eq!(taken, other, "that of the IKE_SA that is about to go");
    let held = [taken.address];
    let second = Claim {
        anew: true,
        held: &held,
        ..claim(&carol, ANY)
    };
    let (second, _) = pools.acquire(&names, &second).expect("an address");
    assert_eq!(second, first, "but once only");
}

#[test]
fn several_pools_serve_a_connection_by_family_and_order() {
    let mut pools = pools(&[("b", "10.4.0.1"), ("a", "10.3.0.1"), ("six", "fec3::/120")]);
    let all = ["a", "six", "b"];
    let any6 = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let taken: Vec<_> = [ANY, any6, ANY]
        .map(|requested| {
            take(&mut pools, &all, "carol", requested)
                .expect("an address")
                .address
        })
        .into();
    assert_eq!(taken, [ip("10.3.0.1"), ip("fec3::1"), ip("10.4.0.1")]);
    assert!(take(&mut pools, &all, "carol", ANY).is_err());
}

#[test]
fn pools_that_overlap_are_named_and_never_give_an_address_out_twice() {
    let mut pools = pools(&[("a", "10.3.0.1-10.3.0.3"), ("b", "10.3.0.2-10.3.0.4")]);
    let said = pools.overlaps("b", PoolSource::Vici);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("pool 'b' (10.3.0.2 - 10.3.0.4) overlaps pool 'a' (10.3.0.1 - 10.3.0.3)")
            && said[0].ends_with("change pools.b.addrs unless that is meant"),
        "{}",
        said[0]
    );
    let mut taken = BTreeSet::new();
    for name in ["b", "a", "a", "b"] {
        let held = take(&mut pools, &[name], name, ANY).expect("an address");
        assert!(taken.insert(held.address), "{} twice", held.address);
    }
    assert!(take(&mut pools, &["a"], "x", ANY).is_err() && take(&mut pools, &["b"], "x", ANY).is_err());
}

#[test]
fn clients_choose_where_the_pool_is_open_but_not_what_another_has() {
    let mut pools = Pools::default();
    let open = AddressPool::open("rw", PoolSource::IpsecConf);
    pools.put(open).expect("a new pool");
    let carol = take(&mut pools, &["rw"], "carol", ip("10.9.0.7")).expect("her address");
    assert_eq!(carol.address, ip("10.9.0.7"));
    assert!(take(&mut pools, &["rw"], "dave", ip("10.9.0.7")).is_err());
    for nonsense in ["0.0.0.0", "::", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        assert!(
            take(&mut pools, &["rw"], "dave", ip(nonsense)).is_err(),
            "{nonsense}"
        );
    }
    pools.release(&carol);
    take(&mut pools, &["rw"], "dave", ip("10.9.0.7")).expect("nobody's");
}

#[test]
fn a_pool_in_use_keeps_its_addresses_but_may_get_other_attributes() {
    let mut pools = pools(&[("rw", "10.3.0.0/24")]);
    let carol = take(&mut pools, &["rw"], "carol", ANY).expect("an address");
    let pool = |addrs| AddressPool::new("rw", addrs, PoolSource::Vici, Vec::new()).expect("addresses");
    assert_eq!(pools.put(pool("10.4.0.0/24")), Err(Online(1)));
    assert_eq!(
        pools.take("rw", PoolSource::Vici).map(|pool| pool.is_some()),
        Err(Online(1))
    );
    assert_eq!(pools.put(pool("10.3.0.0/24")), Ok(PoolOutcome::Updated));
    pools.release(&carol);
    assert_eq!(pools.put(pool("10.4.0.0/24")), Ok(PoolOutcome::Replaced));
    assert!(pools.take("rw", PoolSource::Vici).expect("unused").is_some());
    assert!(pools.take("rw", PoolSource::Vici).expect("gone").is_none());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut pools = pools(&[("rw", "10.0.0.0/8")]);
    for number in 0..=REMEMBERED + 10 {
        let held = take(&mut pools, &["rw"], &format!("peer{number}"), ANY).expect("an address");
        pools.release(&held);
    }
    let pool = pools.get("rw", PoolSource::Vici).expect("the pool");
    assert_eq!(
        (pool.leases.len(), pool.by_identity.len()),
        (REMEMBERED, REMEMBERED)
    );
}
