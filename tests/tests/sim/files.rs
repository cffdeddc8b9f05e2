//! Hosts that are configured by ipsec.conf and ipsec.secrets, as people write them.

use std::net::IpAddr;
use std::time::Duration;

use config::identity::Identity;
use config::ipsec_conf::{IpsecConf, to_peer_config};
use config::ipsec_secrets;
use pqswan_tests::crypto;
use pqswan_tests::world::{CAROL, MOON, World};

use super::handshake::{MINUTE, calm, seed_settings};

/// The first connection of an ipsec.conf, and all of an ipsec.secrets.
type Files<'a> = (&'a str, &'a [u8]);

/// moon and carol with these files.
fn world(moon: Files<'_>, carol: Files<'_>) -> World {
    let registry = crypto::registry();
    let mut world = World::new(&[MOON, CAROL], &seed_settings(), &registry, calm(), 1);
    for (host, (conf, secrets)) in world.hosts.iter_mut().zip([moon, carol]) {
        let conf = format!(
            "conn %default\n  keyexchange=ikev2\n  authby=psk\n  ike=aes256gcm16-sha512-x25519!\n  \
             esp=aes256gcm16-x25519!\nconn Tunnel1\n{conf}"
        );
        let conf = IpsecConf::parse(&conf, "ipsec.conf").expect("it parses");
        assert!(conf.messages.is_empty(), "{:?}", conf.messages);
        let conn = &conf.conns[0];
        let own = host.address;
        let is_local = |address: IpAddr| address == own;
        let converted = to_peer_config(&conn.name, &conn.settings, &conn.source, "yes", &is_local, true);
        host.endpoint.add_connection(converted.expect("it converts").peer);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), secrets).expect("written");
        let loaded = ipsec_secrets::load(file.path()).expect("it loads");
        assert!(loaded.mistakes.is_empty(), "{:?}", loaded.mistakes);
        host.endpoint.secrets_mut().replace_file_secrets(loaded.secrets);
    }
    world
}

/// The identities of this end and the peer, once there is an IKE_SA.
fn ids(world: &mut World, host: usize) -> [String; 2] {
    world.initiate(1);
    let established = world.run_until(MINUTE, World::is_established);
    assert!(established, "{:#?} {:#?}", world.hosts[0].log, world.hosts[1].log);
    let sa = world.live_sa(host).expect("an IKE_SA");
    [sa.local_id, sa.remote_id].map(|id| id.map_or("*".to_owned(), |id| id.to_string()))
}

#[test]
fn a_secret_by_the_address_of_one_end_is_found_by_both() {
    let secrets = &b"192.168.0.2 : PSK \"cumulus\"\n"[..];
    for (moon, carol) in [
        // A gateway for anyone, and a client that says nothing but where it is.
        (
            "  left=192.168.0.2\n  right=%any\n",
            "  left=%any\n  right=192.168.0.2\n",
        ),
        (
            "  left=%any\n  leftid=192.168.0.2\n  right=%any\n",
            "  right=192.168.0.2\n",
        ),
        // Each names the other alone.
        (
            "  right=192.168.0.3\n",
            "  left=%defaultroute\n  right=192.168.0.2\n",
        ),
        // One file for both.
        (
            "  left=192.168.0.3\n  right=192.168.0.2\n",
            "  left=192.168.0.3\n  right=192.168.0.2\n",
        ),
    ] {
        let mut world = world((moon, secrets), (carol, secrets));
        assert_eq!(ids(&mut world, 0), [MOON, CAROL], "{moon}{carol}");
        assert!(world.logged(1, "IDr"), "carol says whom she wants");
    }
}

#[test]
fn words_quoted_names_and_other_encodings_are_secrets_and_owners() {
    let ends =
        "  left=192.168.0.2\n  leftid=\"C=CH, O=Example, CN=gw\"\n  right=192.168.0.3\n  rightid=@#0a0b\n";
    for secrets in [
        &b"\"C=CH, O=Example, CN=gw\" @#0a0b : PSK aB3.dEf_7xYz # a comment\n"[..],
        b"@#0a0b 'C=CH, O=Example, CN=gw' : PSK \"p\xe4ss\"\n",
    ] {
        let mut world = world((ends, secrets), (ends, secrets));
        assert_eq!(ids(&mut world, 0), ["C=CH, O=Example, CN=gw", "0a:0b"]);
    }
}

#[test]
fn an_end_that_is_not_who_its_address_says_is_refused() {
    let anyones = &b": PSK \"known to all\"\n"[..];
    let (moon, carol) = (
        "  left=192.168.0.2\n  right=192.168.0.3\n",
        "  left=192.168.0.3\n  right=192.168.0.2\n",
    );
    let impostor = |conf: &str, id: &str| format!("{conf}  leftid=@{id}\n  rightid=%any\n");
    let evil = impostor(moon, "evil.example.test");
    let foreign = impostor(carol, "foreign.example.test");
    for (moon, carol, refused_by) in [(evil.as_str(), carol, 1), (moon, foreign.as_str(), 0)] {
        let mut world = world((moon, anyones), (carol, anyones));
        world.initiate(1);
        world.run_for(Duration::from_secs(30));
        assert!(
            world.live_sa(refused_by).is_none(),
            "{:#?}",
            world.hosts[refused_by].log
        );
    }
}

#[test]
fn the_identities_of_a_connection_are_those_that_it_is_with() {
    let secrets = &b": PSK x\n"[..];
    let mut world = world(
        ("  left=192.168.0.2\n  right=%any\n", secrets),
        ("  left=%any\n  leftid=@phone\n  right=192.168.0.2\n", secrets),
    );
    assert_eq!(ids(&mut world, 0), [MOON, "phone"]);
    let carol = &world.hosts[1].endpoint.connections()[0];
    assert_eq!(carol.remote_auth[0].id, Some(Identity::parse(MOON)));
}
