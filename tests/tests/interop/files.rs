//! Configurations of `tests/cases`, read by our daemon as they are, beside strongSwan.

use std::collections::BTreeMap;
use std::fs;

use xtask::netns::{Namespace, Network};
use xtask::peers::Peer;

use super::pair::{Pair, Side, expect};
use super::scenario::peers;

type Result<T = ()> = std::result::Result<T, String>;

/// A case between two hosts.
struct Case {
    pair: Pair,
    name: &'static str,
}

/// Runs a check beside every peer, on hosts with these outer addresses.
fn beside(name: &'static str, ours: &[&str], theirs: &[&str], check: impl Fn(&mut Case) -> Result) {
    for peer in peers().iter().flatten() {
        let mut case = Case::start(name, ours, theirs, peer).expect("two hosts");
        if let Err(why) = check(&mut case) {
            let Case { pair, .. } = &case;
            panic!(
                "{name} beside {}: {why}\n--- our log\n{}\n--- their log\n{}",
                peer.suite,
                pair.ours.read("charon.log"),
                pair.theirs.log()
            );
        }
        println!("{name} beside {}: as expected", peer.suite);
    }
}

impl Case {
    fn start(name: &'static str, ours: &[&str], theirs: &[&str], peer: &Peer) -> Result<Self> {
        let network = Network::new()?;
        for (host, addresses) in [(&network.carol, ours), (&network.moon, theirs)] {
            host.ip("addr flush dev eth0")?;
            for address in addresses {
                host.ip(&format!("addr add {address}/24 dev eth0"))?;
            }
        }
        Ok(Self {
            pair: Pair::between(network, peer, Side::Us, "")?,
            name,
        })
    }

    /// A file of the case.
    fn read(&self, file: &str) -> Result<String> {
        let path = xtask::root().join("tests/cases").join(self.name).join(file);
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Gives our daemon the secrets and connections of the case. Returns what the console heard.
    fn take(&self) -> Result<String> {
        self.take_with(&self.read("ipsec.conf")?)
    }

    /// The same with other connections.
    fn take_with(&self, conf: &str) -> Result<String> {
        let ours = &self.pair.ours;
        ours.write("ipsec.conf", conf)?;
        ours.write("ipsec.secrets", &self.read("ipsec.secrets")?)?;
        let secrets = ours.run("ipsec rereadsecrets")?.text;
        Ok(secrets + &ours.run("ipsec update")?.text)
    }

    /// Waits for a line in our log.
    fn logs(&self, text: &str) -> Result {
        self.pair.ours.wait_for_log(0, text)
    }

    /// Gives our daemon a swanctl.conf. Returns what swanctl said.
    fn load(&self, conf: &str) -> Result<String> {
        let ours = &self.pair.ours;
        ours.write("swanctl.conf", conf)?;
        let file = ours.path("swanctl.conf");
        let said = ours.run(&format!(
            "swanctl --load-all --noprompt --file {}",
            file.display()
        ))?;
        Ok(said.text)
    }

    /// Waits until we have these numbers of IKE_SAs, whatever their state, and of CHILD_SAs that are installed.
    fn settles(&self, ike: usize, children: usize) -> Result {
        let count = || {
            let status = self.pair.ours.run("ipsec status").ok()?.text;
            let words = |words: &[&str]| words.iter().map(|word| status.matches(word).count()).sum();
            let found: (usize, usize) = (
                words(&["]: ESTABLISHED", "]: CONNECTING", "]: DELETING"]),
                words(&[" INSTALLED, "]),
            );
            (found == (ike, children)).then_some(())
        };
        let what = format!("state of {ike} IKE_SAs and {children} CHILD_SAs");
        self.pair.until(&what, count).map_err(|error| {
            let status = self.pair.ours.run("ipsec status").map(|said| said.text);
            format!("{error}:\n{}", status.unwrap_or_default())
        })
    }

    /// The inbound SPI of each CHILD_SA that is installed, by name.
    fn spis(&self) -> BTreeMap<String, String> {
        let status = self.pair.ours.run("ipsec status").map(|said| said.text);
        let status = status.unwrap_or_default();
        let installed = status.lines().filter_map(|line| {
            let (name, rest) = line.trim().split_once('{')?;
            let (_, spis) = rest.split_once(" INSTALLED, ")?.1.split_once("SPIs: ")?;
            Some((name.to_owned(), spis.split('_').next()?.to_owned()))
        });
        installed.collect()
    }

    /// Waits until these CHILD_SAs have others in their place, and nothing else has changed.
    fn replaced(&self, before: &BTreeMap<String, String>, changed: &[&str]) -> Result {
        let test = || {
            let now = self.spis();
            let as_wanted = |(name, spi): (&String, &String)| {
                now.get(name)
                    .is_some_and(|new| (new != spi) == changed.contains(&name.as_str()))
            };
            (now.len() == before.len() && before.iter().all(as_wanted)).then_some(())
        };
        let what = format!("{} with new SPIs", changed.join(", "));
        let awaited = self.pair.until(&what, test);
        awaited.map_err(|error| format!("{error}; before {before:?}, now {:?}", self.spis()))
    }

    /// The number of the IKE_SA that is connecting, if it is the only IKE_SA.
    fn connecting(&self) -> Option<String> {
        let status = self.pair.ours.run("ipsec status").ok()?.text;
        let numbers = ["]: CONNECTING", "]: ESTABLISHED", "]: DELETING"].map(|state| {
            let parts: Vec<_> = status.split(state).collect();
            let before = &parts[..parts.len() - 1];
            before
                .iter()
                .filter_map(|part| Some(part.rsplit_once('[')?.1.to_owned()))
                .collect::<Vec<_>>()
        });
        match numbers {
            [mut connecting, established, deleting] if established.is_empty() && deleting.is_empty() => {
                connecting.pop().filter(|_| connecting.is_empty())
            }
            _ => None,
        }
    }

    /// Waits until one IKE_SA is connecting, and is not this one.
    fn connects(&self, but: Option<&str>) -> Result<String> {
        self.pair.until("a new IKE_SA that connects, alone", || {
            self.connecting().filter(|number| Some(number.as_str()) != but)
        })
    }

    /// The client by EAP of case 10 is loaded under its name in quotes, and says what it lacks.
    fn refuses_staff(&self) -> Result {
        let why = "connection 'staff' of ipsec.conf:1: this end has to prove more than a pre-shared key, which is not supported";
        self.logs(why)?;
        expect(&self.pair.ours.succeed("ipsec statusall")?, "staff:")?;
        let up = self.pair.ours.run("ipsec up staff")?;
        expect(&up.text, "unable to resolve vpn.example.test, initiate aborted")?;
        // Where the gateway is known, nothing is established either.
        self.pair
            .ours
            .edit("ipsec.conf", "right=vpn.example.test", "right=192.168.0.2")?;
        self.pair.ours.succeed("ipsec update")?;
        let up = self.pair.ours.run("ipsec up staff")?;
        expect(&up.text, "establishing connection 'staff' failed")?;
        expect(&up.text, "EAP")
    }

    /// Pings from us to them.
    fn ping(&self, from: &str, to: &str) -> Result {
        self.pair
            .ours
            .succeed(&format!("ping -c 1 -W 5 -I {from} {to}"))?;
        Ok(())
    }

    fn add(&self, host: &Namespace, address: &str) -> Result {
        host.ip(&format!("addr add {address} dev eth1")).map(drop)
    }
}

/// A connection of strongSwan's.
fn connection(name: &str, keys: &str, local: &str, remote: &str, children: &str) -> String {
    format!(
        "{name} {{\n version = 2\n {keys}\n local {{\n  auth = psk\n  {local}\n }}\n remote {{\n  auth = psk\n  {remote}\n }}\n \
         children {{\n  {children}\n }}\n}}\n"
    )
}

fn conf(connections: &str, secrets: &str) -> String {
    format!("connections {{\n{connections}}}\nsecrets {{\n{secrets}}}\n")
}

fn secret(name: &str, ids: &[&str], secret: &str) -> String {
    let ids: String = (1..)
        .zip(ids)
        .map(|(n, id)| format!(" id-{n} = {id}\n"))
        .collect();
    format!("ike-{name} {{\n{ids} secret = \"{secret}\"\n}}\n")
}

#[test]
fn secrets_without_quotes_bring_both_tunnels_up() {
    beside(
        "01-aws-ec2-unquoted",
        &["192.168.0.1"],
        &["192.168.0.2", "192.168.0.3"],
        |case| {
            case.add(&case.pair.theirs.namespace, "10.5.0.1/16")?;
            let proposal = "aes128-sha1-modp1024";
            let end = |name, address: &str, net| {
                connection(
                    name,
                    &format!("local_addrs = {address}\n proposals = {proposal}"),
                    &format!("id = {address}"),
                    "id = 198.51.100.10",
                    &format!(
                        "{name} {{\n local_ts = {net}\n remote_ts = 10.3.0.0/16\n esp_proposals = {proposal}\n }}"
                    ),
                )
            };
            let ends = end("tu1", "192.168.0.2", "10.1.0.0/16") + &end("tu2", "192.168.0.3", "10.5.0.0/16");
            let secrets = secret("1", &["198.51.100.10", "192.168.0.2"], "aB3.dEf_7xYz")
                + &secret("2", &["198.51.100.10", "192.168.0.3"], "qW9.rTy_4uIo");
            case.pair.theirs.load(&conf(&ends, &secrets))?;
            // ESP in user space knows no marks, and there is no such script here.
            let file = case.read("ipsec.conf")?;
            let file = file.replace("mark=100", "").replace("mark=200", "");
            let said = case.take_with(&file.replace("/etc/vti.sh", "/bin/true"))?;
            case.settles(2, 2)?;
            case.ping("10.3.0.1", "10.1.0.2")?;
            case.ping("10.3.0.1", "10.5.0.1")?;
            if said.contains("ipsec.secrets") {
                return Err(format!("the secrets were complained about: {said}"));
            }
            Ok(())
        },
    );
}

#[test]
fn a_secret_of_the_gateways_address_lets_any_peer_in() {
    beside("08-psk-gateway", &["192.168.0.2"], &["192.168.0.1"], |case| {
        case.take()?;
        case.logs("added configuration 'ikev2-vpn'")?;
        let client = |psk| {
            let client = connection(
                "client",
                "remote_addrs = 192.168.0.2\n proposals = aes256-sha1-modp1024\n keyingtries = 1",
                "",
                "id = 192.168.0.2",
                "client {\n local_ts = 10.1.0.0/16\n remote_ts = 10.3.0.0/16\n esp_proposals = aes256-sha1\n }",
            );
            conf(&client, &secret("1", &["192.168.0.2"], psk))
        };
        let initiate = "--initiate --child client --timeout 30";
        case.pair.theirs.load(&client("wrong"))?;
        let refused = case.pair.theirs.swanctl(initiate)?;
        expect(&refused.text, "AUTHENTICATION_FAILED")?;
        case.settles(0, 0)?;
        case.pair.theirs.load(&client("cumulus"))?;
        case.pair.theirs.succeed(initiate)?;
        case.settles(1, 1)?;
        case.ping("10.3.0.1", "10.1.0.2")
    });
}

/// What a telephone and a gateway of case 44 have in their proposals.
const PHONE_IKE: &str = "aes128gcm16-prfsha512-ecp256";
const PHONE_ESP: &str = "aes128gcm16-ecp256";

#[test]
fn a_telephone_gets_an_address_of_the_gateway() {
    beside("44-algo-psk", &["192.168.0.2"], &["192.168.0.1"], |case| {
        case.take()?;
        // User space does not compress.
        case.logs("IPComp is not supported by the kernel back end, packets are not compressed")?;
        case.logs("added configuration 'ikev2-psk'")?;
        let phone = connection(
            "phone",
            &format!("remote_addrs = 192.168.0.2\n proposals = {PHONE_IKE}\n vips = 0.0.0.0"),
            "id = phone",
            "id = 192.168.0.2",
            &format!("phone {{\n remote_ts = 10.3.0.0/16\n esp_proposals = {PHONE_ESP}\n }}"),
        );
        case.pair
            .theirs
            .load(&conf(&phone, &secret("1", &["192.168.0.2"], "algo")))?;
        case.pair
            .theirs
            .succeed("--initiate --child phone --timeout 30")?;
        case.settles(1, 1)?;
        case.ping("10.3.0.1", "10.19.48.1")
    });
}

#[test]
fn a_gateway_is_told_which_of_its_names_the_telephone_means() {
    beside("44-algo-psk", &["192.168.0.1"], &["192.168.0.2"], |case| {
        let gateway = connection(
            "gateway",
            &format!("local_addrs = 192.168.0.2\n proposals = {PHONE_IKE}\n pools = rw"),
            "id = 192.168.0.2",
            "",
            &format!("gateway {{\n local_ts = 10.1.0.0/16\n esp_proposals = {PHONE_ESP}\n }}"),
        );
        let pool = "pools {\n rw {\n  addrs = 10.19.48.0/24\n }\n}\n";
        let secrets = secret("1", &["192.168.0.2"], "algo");
        case.pair.theirs.load(&(conf(&gateway, &secrets) + pool))?;
        case.take_with(&format!(
            "conn phone\n    leftid=phone\n    leftsourceip=%config\n    right=192.168.0.2\n    rightsubnet=10.1.0.0/16\n    \
             authby=psk\n    ike={PHONE_IKE}!\n    esp={PHONE_ESP}!\n    auto=add\n"
        ))?;
        case.logs("added configuration 'phone'")?;
        expect(
            &case.pair.ours.succeed("ipsec up phone")?,
            "established successfully",
        )?;
        case.settles(1, 1)?;
        case.ping("10.19.48.1", "10.1.0.2")
    });
}

/// The other end of three children.
fn three_children() -> String {
    let children: String = (1..=3)
        .map(|n| format!("c{n} {{\n local_ts = 10.2.{n}.0/24\n remote_ts = 10.1.{n}.0/24\n }}\n"))
        .collect();
    let gateway = connection("gw", "local_addrs = 192.168.0.2", "", "", &children);
    conf(&gateway, &secret("1", &[], "s"))
}

#[test]
fn changed_children_come_back() {
    beside("29-change-children", &["192.168.0.1"], &["192.168.0.2"], |case| {
        for n in 1..=3 {
            case.add(&case.pair.ours.namespace, &format!("10.1.{n}.1/24"))?;
            case.add(&case.pair.theirs.namespace, &format!("10.2.{n}.1/24"))?;
        }
        let pings = || (1..=3).try_for_each(|n| case.ping(&format!("10.1.{n}.1"), &format!("10.2.{n}.1")));
        case.pair.theirs.load(&three_children())?;
        let file = case.read("swanctl/three-children.conf")?;
        case.load(&file)?;
        case.settles(1, 3)?;
        pings()?;
        let all = ["c1", "c2", "c3"];
        let of_all = file.replace("start_action = start", "start_action = start\n rekey_time = 30m");
        let of_one = of_all.replacen("30m", "40m", 1);
        let of_gateway = of_one.replacen("version = 2", "version = 2\n  dpd_delay = 60s", 1);
        let children = all.map(|name| format!("closing CHILD_SA {name}{{"));
        for (changed, replaced, closing) in [
            (&of_all, &all[..], &children[..]),
            (&of_one, &["c1"], &children[..1]),
            (&of_gateway, &all, &["deleting IKE_SA gw[".to_owned()]),
        ] {
            let (mark, before) = (case.pair.mark(), case.spis());
            case.load(changed)?;
            for line in closing {
                case.pair.wait(mark, Side::Us, line)?;
            }
            case.replaced(&before, replaced)?;
            case.settles(1, 3)?;
            pings()?;
            // The peer has the same, and nothing of what was there before.
            let theirs = case.pair.theirs.succeed("--list-sas")?;
            for spi in case.spis().values() {
                expect(&theirs, spi)?;
            }
            for (name, spi) in before {
                if replaced.contains(&name.as_str()) && theirs.contains(&spi) {
                    return Err(format!("the peer still has {name} with SPI {spi}:\n{theirs}"));
                }
            }
        }
        case.load("connections {\n}\n")?;
        case.settles(0, 0)
    });
}

#[test]
fn a_removed_or_replaced_connection_stops_connecting() {
    beside(
        "27-reload-while-connecting",
        &["192.168.0.1"],
        &["192.168.0.2"],
        |case| {
            let absent = |yes| {
                let state = if yes { "down" } else { "up" };
                case.pair.theirs.namespace.ip(&format!("link set eth0 {state}"))
            };
            // ESP in user space takes an address of the host within the selector.
            case.add(&case.pair.ours.namespace, "10.1.9.1/24")?;
            case.add(&case.pair.theirs.namespace, "10.2.7.1/24")?;
            absent(true)?;
            let file = case.read("swanctl/swanctl.conf")?;
            case.load(&file)?;
            case.connects(None)?;
            case.load("connections {\n}\n")?;
            case.settles(0, 0)?;
            case.load(&file)?;
            let first = case.connects(None)?;
            case.load(&file.replace("10.2.0.0/16", "10.2.7.0/24"))?;
            case.connects(Some(&first))?;
            let gateway = connection(
                "gw",
                "local_addrs = 192.168.0.2",
                "",
                "",
                "gw {\n local_ts = 10.2.0.0/16\n remote_ts = 10.1.0.0/16\n }",
            );
            case.pair.theirs.load(&conf(&gateway, &secret("1", &[], "s")))?;
            absent(false)?;
            case.settles(1, 1)?;
            expect(&case.pair.child_ts()?, "10.1.0.0/16 === 10.2.7.0/24")
        },
    );
}

#[test]
fn a_connection_of_ikev1_is_refused_and_the_shunt_beside_it_loads() {
    beside("11-openwrt-v1", &["192.168.0.1"], &["192.168.0.2"], |case| {
        let said = case.take()?;
        case.logs("added configuration 'bypass'")?;
        let said = said + &case.pair.ours.read("console") + &case.pair.ours.read("charon.log");
        expect(&said, "IKEv1 is not supported, use IKEv2 on both ends")?;
        expect(&said, "ipsec.conf:7")?;
        case.logs("received stroke: route 'bypass'")?;
        case.settles(0, 0)?;
        let status = case.pair.ours.succeed("ipsec statusall")?;
        expect(&status, "10.1.0.0/24 === 10.1.0.0/24 PASS")?;
        if status.contains("route1") {
            return Err(format!("a connection of IKEv1 was loaded:\n{status}"));
        }
        Ok(())
    });
}

#[test]
fn a_gateway_that_wants_eap_lets_nobody_in() {
    beside("06-eap-roadwarrior", &["192.168.0.1"], &["192.168.0.2"], |case| {
        case.take()?;
        case.logs("added configuration 'ikev2-vpn'")?;
        let said = case.pair.ours.read("charon.log");
        let why = "'ikev2-vpn' of ipsec.conf:5: the peer has to prove more than a pre-shared key, which is not supported; every peer is refused";
        expect(&said, why)?;
        // Whoever it is for, and a client that has a secret in place of it. What both know is not enough.
        for (auth, ours) in [
            (
                "auth = eap-mschapv2\n  eap_id = alice",
                "peer requested EAP, which is not supported",
            ),
            (
                "auth = psk",
                "constraint requires EAP_MSCHAPV2, but pre-shared key was used",
            ),
        ] {
            let secrets = case.read("ipsec.secrets")? + "alice : PSK \"pw123456\"\n";
            case.pair.ours.write("ipsec.secrets", &secrets)?;
            case.pair.ours.succeed("ipsec rereadsecrets")?;
            let client = connection(
                "client",
                "remote_addrs = 192.168.0.1\n proposals = aes256-sha1-modp1024\n vips = 0.0.0.0\n keyingtries = 1",
                "id = alice",
                "id = vpn.example.test",
                "client {\n esp_proposals = aes256-sha1\n }",
            )
            .replacen("auth = psk", auth, 1);
            let secrets = secret("1", &[], "pw123456") + "eap {\n id = alice\n secret = \"pw123456\"\n}\n";
            case.pair.theirs.load(&conf(&client, &secrets))?;
            let mark = case.pair.mark();
            let refused = case
                .pair
                .theirs
                .swanctl("--initiate --child client --timeout 30")?;
            expect(&refused.text, "received AUTHENTICATION_FAILED notify error")?;
            case.pair.wait(mark, Side::Us, ours)?;
            case.settles(0, 0)?;
        }
        Ok(())
    });
}

#[test]
fn a_secret_whose_owner_is_quoted_is_that_of_its_name() {
    beside("10-quoted-names", &["192.168.0.1"], &["192.168.0.2"], |case| {
        let id = "\"C=CH, O=Example, CN=gw\"";
        let gateway = connection(
            "gw",
            "local_addrs = 192.168.0.2\n proposals = default, aes256-sha1-modp1024",
            "id = 192.168.0.2",
            &format!("id = {id}"),
            "gw {\n local_ts = 10.1.0.0/16\n remote_ts = 10.3.0.0/16\n }",
        );
        case.pair
            .theirs
            .load(&conf(&gateway, &secret("1", &[id], "dn")))?;
        // Whoever splits the name sees two secrets of the same peer, and takes the last.
        let others = "192.168.0.2 : PSK \"not this one\"\n\"C=CH, O=Example, CN=other\" 192.168.0.2 : PSK \"nor this\"\n";
        case.pair
            .ours
            .write("ipsec.secrets", &(case.read("ipsec.secrets")? + others))?;
        let staff = case.read("ipsec.conf")?;
        let own = format!(
            "\nconn gw\n    leftid={id}\n    leftsubnet=10.3.0.0/16\n    right=192.168.0.2\n    rightsubnet=10.1.0.0/16\n    \
             authby=psk\n    auto=add\n"
        );
        case.pair.ours.write("ipsec.conf", &(staff + &own))?;
        let said = case.pair.ours.succeed("ipsec rereadsecrets")?;
        if !said.trim().is_empty() {
            return Err(format!("the secrets were complained about: {said}"));
        }
        case.pair.ours.succeed("ipsec update")?;
        case.logs("added configuration 'gw'")?;
        expect(
            &case.pair.ours.succeed("ipsec up gw")?,
            "established successfully",
        )?;
        case.settles(1, 1)?;
        case.ping("10.3.0.1", "10.1.0.2")?;
        case.refuses_staff()
    });
}

#[test]
fn a_key_exchange_that_does_not_exist_refuses_its_connection() {
    beside("20-pq-lab", &["192.168.0.1"], &["192.168.0.2"], |case| {
        let said = case.take()?;
        let line = said.lines().find(|line| line.contains("x25519mlkem768"));
        expect(line.unwrap_or_default(), "ipsec.conf:21")?;
        case.logs("x25519mlkem768")?;
        let log = case.pair.ours.read("charon.log");
        let line = log.lines().find(|line| line.contains("x25519mlkem768"));
        expect(line.unwrap_or_default(), "ipsec.conf:21")?;
        let up = case.pair.ours.run("ipsec up site-to-site-hybrid")?;
        expect(&up.text, "no config named 'site-to-site-hybrid'")?;
        case.settles(0, 0)
    });
}
