//! Pools and their leases, as the swanctl of three releases of Debian and ours tell of them while a client comes, goes and
//! comes again.

use std::fs;
use std::path::Path;

use xtask::host::{PATIENCE, Said};
use xtask::peers::{Peer, SUITES};
use xtask::watch;

use super::mask::mask;
use super::pair::{Pair, Swanctl, make_folders, peer};
use super::swanctl::ours;

/// What happens at a gateway.
enum Act {
    /// Its swanctl is asked.
    Ask(&'static str),
    /// The same, until the answer holds this.
    Until(&'static str, &'static str),
    /// A client comes, and is given an address.
    Come,
    /// It goes.
    Go,
}
use Act::{Ask, Come, Go, Until};

const ACTS: &[Act] = &[
    Ask("--list-pools"),
    Ask("--list-pools --leases"),
    Ask("--load-pools --file /run/gateway.conf"),
    Ask("--list-pools"),
    Ask("--list-pools --leases"),
    Ask("--list-pools --leases --raw"),
    Come,
    Ask("--list-pools"),
    Ask("--list-pools --leases"),
    Ask("--list-pools --leases --name rw"),
    Ask("--list-pools --leases --name wide"),
    Ask("--list-pools --leases --name nobody"),
    Ask("--list-pools --leases --raw"),
    Ask("--list-pools --leases --pretty"),
    // A pool in use stays as it is, and one that nobody uses goes.
    Ask("--load-pools --file /run/other.conf"),
    Ask("--list-pools --leases"),
    Ask("--load-pools --file /run/none.conf"),
    Ask("--list-pools --leases"),
    Ask("--load-pools --file /run/overlap.conf"),
    Ask("--list-pools"),
    Go,
    Until("--list-pools --leases", "offline"),
    Ask("--list-pools"),
    Come,
    Ask("--list-pools --leases"),
    Go,
    Until("--list-pools --leases", "offline"),
    Ask("--load-pools --file /run/none.conf"),
    Ask("--list-pools --leases"),
];

/// The gateway's pools in the first place, and what they are to become. They name no DNS server: our daemon would tell this
/// machine of it.
const POOLS: &[(&str, &str)] = &[
    (
        "gateway.conf",
        " rw {\n  addrs = 10.9.0.0/28\n }\n wide {\n  addrs = 10.8.0.0/16\n }\n",
    ),
    ("other.conf", " rw {\n  addrs = 10.7.0.0/28\n }\n"),
    ("none.conf", ""),
    (
        "overlap.conf",
        " rw {\n  addrs = 10.9.0.0/28\n }\n same {\n  addrs = 10.9.0.0/24\n }\n",
    ),
];

/// A host's address, name and network.
type End<'a> = (&'a str, &'a str, &'a str);

fn connection(own: End<'_>, peer: End<'_>, more: &str, ts: (&str, &str)) -> String {
    format!(
        "connections {{\n gw {{\n  version = 2\n  local_addrs = {}\n  remote_addrs = {}\n  proposals = \
         aes256gcm16-sha512-x25519\n  {more}\n  mobike = no\n  local {{\n   auth = psk\n   id = {}.strongswan.org\n  }}\n  \
         remote {{\n   auth = psk\n   id = {}.strongswan.org\n  }}\n  children {{\n   net {{\n    local_ts = {}\n    \
         remote_ts = {}\n    esp_proposals = aes256gcm16-sha512\n   }}\n  }}\n }}\n}}\nsecrets {{\n ike-1 {{\n  id-1 = \
         moon.strongswan.org\n  id-2 = carol.strongswan.org\n  secret = \"known on both hosts\"\n }}\n}}\n",
        own.0, peer.0, own.1, peer.1, ts.0, ts.1
    )
}

const MOON: End<'_> = ("192.168.0.2", "moon", "10.1.0.0/16");
const CAROL: End<'_> = ("192.168.0.3", "carol", "10.3.0.0/16");

fn write_files(folder: &Path, own: End<'_>, peer: End<'_>) {
    let gateway = connection(own, peer, "pools = rw", (own.2, "dynamic"));
    let client = connection(own, peer, "vips = 0.0.0.0", ("dynamic", peer.2));
    for (name, text) in [("as-gateway.conf", &gateway), ("as-client.conf", &client)] {
        fs::write(folder.join(name), text).unwrap();
    }
    for (name, pools) in POOLS {
        fs::write(folder.join(name), format!("pools {{\n{pools}}}\n")).unwrap();
    }
    make_folders(folder);
}

fn prepared(peer: &Peer) -> Pair {
    let pair = Pair::start(peer);
    write_files(&pair.ours.path("run"), CAROL, MOON);
    write_files(pair.theirs.log_file().parent().expect("a folder"), MOON, CAROL);
    pair
}

/// Goes through all acts at a gateway, with the swanctl of the client's host at hand.
fn acts(pair: &Pair, gateway: &dyn Fn(&str) -> Said, client: &dyn Fn(&str) -> Said) -> Vec<Said> {
    let well = |said: Said| assert_eq!(said.code, Some(0), "{}\n{}", said.text, pair.theirs.log());
    well(gateway("--load-all --noprompt --file /run/as-gateway.conf"));
    well(client("--load-all --noprompt --file /run/as-client.conf"));
    let logs = [pair.ours.path("charon.log"), pair.theirs.log_file()];
    let folders = logs.each_ref().map(|log| log.parent().expect("a folder"));
    let mut said = Vec::new();
    for act in ACTS {
        match act {
            Ask(line) => said.push(gateway(line)),
            Until(line, text) => {
                let done = || Some(gateway(line)).filter(|said| said.text.contains(text));
                said.push(watch::until(&folders, PATIENCE, line, done).unwrap());
            }
            Come => well(client("--initiate --child net --timeout 30")),
            Go => well(client("--terminate --ike gw --timeout 30")),
        }
    }
    said
}

fn lines() -> impl Iterator<Item = &'static str> {
    ACTS.iter().filter_map(|act| match act {
        Ask(line) | Until(line, _) => Some(*line),
        Come | Go => None,
    })
}

/// Later releases than 5.9.8 begin a pool with the first address that is given out, and so do we.
fn begin_with_an_address(said: &[Said]) -> Vec<Said> {
    let one = |said: &Said| Said {
        code: said.code,
        text: ["10.7.0.0", "10.8.0.0", "10.9.0.0"]
            .iter()
            .fold(said.text.clone(), |text, base| {
                text.replace(base, &base.replace(".0.0", ".0.1"))
            }),
    };
    said.iter().map(one).collect()
}

/// Where two days differ, with the host of each gateway, whose names are masked.
fn differences(title: &str, expected: (&str, &[Said]), found: (&str, &[Said])) -> String {
    let shown = |host: &str, said: &Said| format!("exit code {:?}\n{}", said.code, mask(&said.text, host));
    let mut all = String::new();
    for ((line, of_theirs), of_ours) in lines().zip(expected.1).zip(found.1) {
        let (expected, found) = (shown(expected.0, of_theirs), shown(found.0, of_ours));
        if expected != found {
            all += &format!("== {title} {line}\n-- expected:\n{expected}\n-- found:\n{found}\n");
        }
    }
    all
}

#[test]
fn pools_and_leases_read_alike_from_both_daemons_and_with_both_commands() {
    let mut all = String::new();
    for suite in SUITES {
        let Some(peer) = peer(suite) else { return };
        let of_theirs = {
            let pair = prepared(&peer);
            let client = Swanctl::new(&peer, &pair.ours);
            acts(&pair, &|line| pair.theirs.swanctl(line).unwrap(), &|line| {
                client.run(line)
            })
        };
        // The answers are compared with each other, so they have to be about something.
        let text: String = of_theirs.iter().map(|said| said.text.as_str()).collect();
        assert!(text.contains("online") && text.contains("offline"), "{text}");
        let of_ours = {
            let pair = prepared(&peer);
            let gateway = Swanctl::new(&peer, &pair.ours);
            acts(&pair, &|line| gateway.run(line), &|line| {
                pair.theirs.swanctl(line).unwrap()
            })
        };
        let by_ours = {
            let pair = prepared(&peer);
            let client = Swanctl::new(&peer, &pair.ours);
            acts(&pair, &|line| ours(&pair, line), &|line| client.run(line))
        };
        let expected = begin_with_an_address(&of_theirs);
        all += &differences(
            &format!("our daemon, swanctl of {suite}"),
            ("moon", &expected),
            ("carol", &of_ours),
        );
        all += &differences(
            &format!("their daemon of {suite}, our swanctl"),
            ("moon", &of_theirs),
            ("moon", &by_ours),
        );
    }
    assert!(all.is_empty(), "{all}");
}
