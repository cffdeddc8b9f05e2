//! The default script, with a firewall that only writes down what it is told.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

struct Firewall {
    folder: tempfile::TempDir,
}

impl Firewall {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for tool in ["iptables", "ip6tables", "logger"] {
            let path = folder.path().join(tool);
            let script = format!(
                "#!/bin/sh\necho \"{tool} $*\" >> {}/calls\n",
                folder.path().display()
            );
            std::fs::write(&path, script).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("executable");
        }
        Self { folder }
    }

    fn run(&self, parameters: &[&str], variables: &[(&str, &str)]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("_updown");
        let common = [
            ("PLUTO_VERSION", "1.1"),
            ("PLUTO_INTERFACE", "eth0"),
            ("PLUTO_REQID", "5"),
            ("PLUTO_PROTO", "esp"),
            ("PLUTO_ME", "192.0.2.1"),
            ("PLUTO_PEER", "198.51.100.1"),
            ("PLUTO_PEER_ID", "CN=a * b"),
            ("PLUTO_MY_CLIENT", "10.3.0.0/16"),
            ("PLUTO_PEER_CLIENT", "10.1.0.0/16"),
            ("PLUTO_MY_PORT", "0"),
            ("PLUTO_PEER_PORT", "0"),
            ("PLUTO_MY_PROTOCOL", "0"),
            ("PLUTO_PEER_PROTOCOL", "0"),
        ];
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        let mut command = Command::new("/bin/sh");
        command
            .arg(script)
            .args(parameters)
            .env_clear()
            .env("PATH", path)
            .envs(common);
        command.envs(variables.iter().copied()).output().expect("run")
    }

    /// What was called since the last time.
    fn calls(&self) -> Vec<String> {
        let path = self.folder.path().join("calls");
        let calls = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        calls.lines().map(str::to_owned).collect()
    }
}

const IN: &str = "-m policy --pol ipsec --proto esp --reqid 5 --dir in -j ACCEPT";
const OUT: &str = "-m policy --pol ipsec --proto esp --reqid 5 --dir out -j ACCEPT";

#[test]
fn a_host_is_opened_and_closed_by_the_same_rules() {
    let firewall = Firewall::new();
    assert!(
        firewall
            .run(&["iptables"], &[("PLUTO_VERB", "up-host")])
            .status
            .success()
    );
    let up = firewall.calls();
    assert_eq!(
        up,
        [
            format!("iptables -I INPUT 1 -i eth0 -p 0 -s 10.1.0.0/16 -d 192.0.2.1 {IN}"),
            format!("iptables -I OUTPUT 1 -o eth0 -p 0 -s 192.0.2.1 -d 10.1.0.0/16 {OUT}"),
            "logger -t vpn -p local0.notice -- + CN=a * b 10.1.0.0/16 == 198.51.100.1 -- 192.0.2.1 == 10.3.0.0/16".into(),
        ]
    );
    assert!(
        firewall
            .run(&["iptables"], &[("PLUTO_VERB", "down-host")])
            .status
            .success()
    );
    let down: Vec<_> = firewall
        .calls()
        .into_iter()
        .map(|call| call.replace(" - CN", " + CN"))
        .collect();
    let expected: Vec<_> = up
        .iter()
        .map(|call| {
            call.replace("-I INPUT 1", "-D INPUT")
                .replace("-I OUTPUT 1", "-D OUTPUT")
        })
        .collect();
    assert_eq!(down, expected);
}

#[test]
fn a_gateway_forwards_and_admits_to_itself_only_if_asked() {
    let firewall = Firewall::new();
    firewall.run(&["iptables"], &[("PLUTO_VERB", "up-client")]);
    let chains = |calls: Vec<String>| {
        let chain = |call: String| call.split(' ').nth(2).unwrap_or_default().to_owned();
        calls
            .into_iter()
            .filter(|call| call.contains("tables"))
            .map(chain)
            .collect::<Vec<_>>()
    };
    assert_eq!(chains(firewall.calls()), ["FORWARD", "FORWARD"]);
    firewall.run(
        &["iptables"],
        &[("PLUTO_VERB", "up-client"), ("PLUTO_HOST_ACCESS", "1")],
    );
    assert_eq!(
        chains(firewall.calls()),
        ["FORWARD", "FORWARD", "INPUT", "OUTPUT"]
    );
    let own = [
        ("PLUTO_VERB", "up-client"),
        ("PLUTO_MY_SOURCEIP", "10.9.0.1"),
        ("PLUTO_PEER_CLIENT", "10.9.0.1/32"),
        ("PLUTO_IPCOMP", "1"),
    ];
    firewall.run(&["iptables"], &own);
    assert_eq!(chains(firewall.calls()), ["INPUT", "OUTPUT", "INPUT"]);
}

#[test]
fn packets_of_ipsec_in_user_space_are_known_by_their_device() {
    let firewall = Firewall::new();
    let up = [("PLUTO_VERB", "up-client"), ("PLUTO_TUN", "ipsec0")];
    firewall.run(&["iptables"], &up);
    let rules: Vec<_> = firewall.calls().into_iter().take(2).collect();
    assert_eq!(
        rules,
        [
            "iptables -I FORWARD 1 -o ipsec0 -p 0 -s 10.3.0.0/16 -d 10.1.0.0/16 -j ACCEPT",
            "iptables -I FORWARD 1 -i ipsec0 -p 0 -s 10.1.0.0/16 -d 10.3.0.0/16 -j ACCEPT",
        ]
    );
}

#[test]
fn ports_and_icmp_types_are_matched() {
    let firewall = Firewall::new();
    let tcp = [
        ("PLUTO_VERB", "up-host"),
        ("PLUTO_MY_PROTOCOL", "6"),
        ("PLUTO_PEER_PROTOCOL", "6"),
        ("PLUTO_MY_PORT", "22"),
        ("PLUTO_PEER_PORT", "1000:2000"),
    ];
    firewall.run(&["iptables"], &tcp);
    let calls = firewall.calls();
    assert!(
        calls[0].contains("-p 6 -s 10.1.0.0/16 -d 192.0.2.1 --sport 1000:2000 --dport 22 -m"),
        "{}",
        calls[0]
    );
    assert!(
        calls[1].contains("-p 6 -s 192.0.2.1 -d 10.1.0.0/16 --sport 22 --dport 1000:2000 -m"),
        "{}",
        calls[1]
    );
    let icmp = [
        ("PLUTO_VERB", "up-host-v6"),
        ("PLUTO_MY_PROTOCOL", "58"),
        ("PLUTO_PEER_PROTOCOL", "58"),
        ("PLUTO_MY_PORT", "128"),
    ];
    firewall.run(&["iptables"], &icmp);
    let calls = firewall.calls();
    assert!(
        calls[0].starts_with("ip6tables ") && calls[0].contains("--icmpv6-type 128 -m"),
        "{}",
        calls[0]
    );
}

#[test]
fn without_iptables_nothing_happens_and_what_is_unknown_is_refused() {
    let firewall = Firewall::new();
    for parameters in [&[][..], &["custom:whatever"]] {
        let output = firewall.run(parameters, &[("PLUTO_VERB", "up-client-v6")]);
        assert_eq!((output.status.code(), firewall.calls()), (Some(0), vec![]));
    }
    let output = firewall.run(&["nftables"], &[("PLUTO_VERB", "up-host")]);
    assert_eq!(output.status.code(), Some(2));
    let output = firewall.run(&["iptables"], &[("PLUTO_VERB", "sideways-host")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("unknown verb sideways-host or parameter iptables")
    );
    assert_eq!(firewall.calls(), Vec::<String>::new());
}
