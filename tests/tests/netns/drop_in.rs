//! Hosts that were set up for strongSwan: its lists of plugins, its /etc, the lines of its service.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::host::{Host, PATIENCE};

use super::pair::{Pair, ask, hosts, start};

/// The plugins of the walk-through's hosts.
const WALK_THROUGH: &str = "aes des rc2 sha2 sha1 md5 mgf1 random nonce x509 revocation constraints pubkey pkcs1 pkcs7 pkcs8 \
                            pkcs12 pgp dnskey sshkey pem fips-prf gmp curve25519 xcbc cmac hmac gcm ntru oqs drbg attr \
                            kernel-netlink resolve socket-default stroke vici updown xauth-generic counters";

/// The plugins that Debian 12 has files for in strongswan.d/charon.
const DEBIAN: &str = "\
addrblock aes aesni af-alg agent attr bypass-lan ccm certexpire chapoly cmac connmark constraints counters \
ctr curl curve25519 dhcp dnskey drbg eap-aka eap-gtc eap-identity eap-md5 eap-mschapv2 eap-radius eap-tls \
eap-tnc eap-ttls error-notify farp fips-prf forecast gcm gcrypt gmp ha hmac kdf kernel-libipsec \
kernel-netlink ldap led lookip md5 mgf1 nonce openssl pem pgp pkcs1 pkcs11 pkcs12 pkcs7 pkcs8 pubkey random \
rc2 rdrand resolve revocation sha1 sha2 socket-default sshkey stroke test-vectors tnc-tnccs tpm unity updown \
vici x509 xauth-eap xauth-generic xauth-pam xcbc";

/// Those that the files switch off.
const OFF: [&str; 2] = ["bypass-lan", "kernel-libipsec"];

/// The line of the log that says which plugins are loaded, and all lines of level 0 about the configuration.
fn loaded(host: &Host) -> String {
    let status = ask(host, "ipsec statusall");
    let line = status
        .lines()
        .find_map(|line| line.trim().strip_prefix("loaded plugins: "));
    line.expect("a list").to_owned()
}

fn up(pair: &Pair, tunnel: &str, proposal: &str) {
    let said = ask(&pair.carol, &format!("ipsec up {tunnel}"));
    pair.expect(
        &said,
        &format!("selected proposal: IKE:AES_GCM_16_256/PRF_HMAC_SHA2_512/{proposal}"),
    );
    pair.expect(&said, &format!("connection '{tunnel}' established successfully"));
    pair.ping();
    ask(&pair.carol, &format!("ipsec down {tunnel}"));
}

#[test]
fn the_walk_throughs_list_brings_all_tunnels_up_and_is_shown_as_it_was_written() {
    let Some(pair) = hosts() else { return };
    for host in [&pair.moon, &pair.carol] {
        host.set(&format!("charon {{\n load = {WALK_THROUGH}\n}}"))
            .unwrap();
        start(host);
        assert_eq!(loaded(host), format!("charon {WALK_THROUGH}"));
    }
    let log = pair.carol.read("charon.log");
    pair.expect(
        &log,
        "plugin 'oqs': provided by frodo, oqs, kyber-round2, ntru, saber, sike",
    );
    pair.expect(&log, "SIKE is broken");
    for name in [
        "des",
        "mgf1",
        "x509",
        "revocation",
        "pgp",
        "fips-prf",
        "xcbc",
        "xauth-generic",
    ] {
        let about = log.matches(&format!("plugin '{name}': ")).count();
        assert!(about <= 1, "at most one line about '{name}':\n{log}");
    }
    assert!(!log.contains("failed to load"), "{log}");
    up(&pair, "Tunnel1", "CURVE_25519/KE1_KYBER_L3");
    up(
        &pair,
        "Tunnel2",
        "CURVE_25519/KE1_KYBER_L3/KE2_NTRU_HPS_L3/KE3_SABER_L3",
    );
    up(&pair, "Tunnel3", "MODP_3072/KE1_FRODO_AES_L3/KE2_SIKE_L3");
}

#[test]
fn a_library_of_cryptography_brings_all_that_a_tunnel_needs() {
    for library in ["openssl", "wolfssl", "botan"] {
        let Some(pair) = hosts() else { return };
        let list = format!("{library} nonce kdf oqs kernel-netlink socket-default stroke vici updown");
        for host in [&pair.moon, &pair.carol] {
            host.set(&format!("charon {{\n load = {list}\n}}")).unwrap();
            start(host);
            assert_eq!(loaded(host), format!("charon {list}"));
        }
        up(&pair, "Tunnel1", "CURVE_25519/KE1_KYBER_L3");
    }
}

/// Writes what Debian installs: one file a plugin, one a program, and what includes them.
fn write_etc_of_debian(host: &Host) {
    let plugins = host.path("etc/strongswan.d/charon");
    fs::create_dir_all(&plugins).unwrap();
    for name in DEBIAN.split_whitespace() {
        let load = if OFF.contains(&name) { "no" } else { "yes" };
        let text = format!("{name} {{\n\n    # priority\n    load = {load}\n\n}}\n");
        fs::write(plugins.join(format!("{name}.conf")), text).unwrap();
    }
    for (name, text) in [
        ("charon-logging", "charon {\n filelog {\n }\n syslog {\n }\n}\n"),
        ("charon-systemd", "charon-systemd {\n journal {\n }\n}\n"),
        (
            "charon",
            "charon {\n crypto_test {\n }\n host_resolver {\n }\n leak_detective {\n }\n processor {\n priority_threads {\n }\n }\n \
             start-scripts {\n }\n stop-scripts {\n }\n tls {\n }\n x509 {\n }\n}\n",
        ),
        ("pki", "pki {\n scep {\n }\n}\n"),
        ("starter", "starter {\n}\n"),
        ("swanctl", "swanctl {\n}\n"),
        ("tnc", "charon {\n tnc {\n }\n}\n"),
    ] {
        let path = format!("etc/strongswan.d/{name}.conf");
        fs::write(host.path(&path), text).unwrap();
    }
    let main = "charon {\n\tload_modular = yes\n\tplugins {\n\t\tinclude strongswan.d/charon/*.conf\n\t}\n}\n\ninclude strongswan.d/*.conf\n";
    fs::write(host.path("etc/strongswan.conf"), main).unwrap();
    let swanctl = host.path("etc/swanctl");
    for folder in [
        "bliss", "conf.d", "ecdsa", "pkcs12", "pkcs8", "private", "pubkey", "rsa", "x509", "x509aa",
        "x509ac", "x509ca", "x509crl", "x509ocsp",
    ] {
        fs::create_dir_all(swanctl.join(folder)).unwrap();
    }
    fs::write(
        swanctl.join("swanctl.conf"),
        "# connections {\n# }\n\ninclude conf.d/*.conf\n",
    )
    .unwrap();
    let etc = host.path("etc/strongswan.conf");
    host.set(&format!("include {}", etc.display())).unwrap();
}

#[test]
fn the_etc_of_a_debian_host_starts_the_daemon_unchanged() {
    let Some(pair) = hosts() else { return };
    for host in [&pair.moon, &pair.carol] {
        write_etc_of_debian(host);
        // That of the walk-through has settings of its own.
        host.write("strongswan.conf", "").unwrap();
        host.edit(
            "ipsec.conf",
            "ike=aes256gcm16-sha512-x25519-ke1_kyber3",
            "ike=aes256gcm16-sha512-x25519!",
        )
        .unwrap();
        host.edit(
            "ipsec.conf",
            "esp=aes256gcm16-sha512-x25519-ke1_kyber3",
            "esp=aes256gcm16-x25519!",
        )
        .unwrap();
        start(host);
        let log = host.read("charon.log");
        for text in [
            "unknown key",
            "unknown section",
            "no effect",
            "cannot be followed",
            "failed to load",
        ] {
            assert!(!log.contains(text), "{log}");
        }
        let (shown, names) = (loaded(host), DEBIAN.split_whitespace());
        let shown: Vec<_> = shown.split(' ').collect();
        for name in names {
            assert_eq!(shown.contains(&name), !OFF.contains(&name), "{name}: {shown:?}");
        }
    }
    up(&pair, "Tunnel1", "CURVE_25519");
}

/// Lines of the service that Debian ships, run as systemd would run them.
#[test]
fn the_lines_of_a_service_start_load_reload_and_stop() {
    let Some(pair) = hosts() else { return };
    let host = &pair.carol;
    write_etc_of_debian(host);
    let notify = UnixDatagram::bind(host.path("notify")).unwrap();
    notify.set_read_timeout(Some(PATIENCE)).unwrap();
    let received = || {
        let mut octets = [0; 1024];
        let len = notify.recv(&mut octets).expect("a datagram");
        String::from_utf8_lossy(&octets[..len]).into_owned()
    };
    let mut command = host.command("charon-systemd");
    command.env("NOTIFY_SOCKET", host.path("notify"));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut daemon = host.namespace.spawn(&mut command).unwrap();
    let ready = received();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    let conns = "connections {\n gw {\n remote_addrs = 192.168.0.2\n local { auth = psk\n }\n remote { auth = psk\n }\n children { net {\n } } \
                 } }\nsecrets { ike { secret = \"x\"\n } }\n";
    let conf = host.path("etc/swanctl/conf.d/gw.conf");
    fs::write(&conf, conns).unwrap();
    fs::set_permissions(&conf, fs::Permissions::from_mode(0o600)).unwrap();
    let swanctl = |line: &str| {
        let mut command = host.command("swanctl");
        command.env("SWANCTL_DIR", host.path("etc/swanctl"));
        command.args(line.split(' '));
        let output = host.namespace.output(&mut command).unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "swanctl {line}: {text}");
        text
    };
    let loading = swanctl("--load-all --noprompt");
    pair.expect(&loading, "successfully loaded 1 connections, 0 unloaded");
    // Abbreviated, as the service has it.
    assert_eq!(swanctl("--reload"), "");
    pair.expect(&swanctl("--load-all --noprompt"), "loaded connection 'gw'");
    pair.expect(&swanctl("--version --daemon"), " charon-systemd (Linux, ");
    pair.expect(&swanctl("--stats"), "loaded plugins: charon-systemd ");
    let json = swanctl("--load-all --noprompt --json");
    assert!(
        json.lines().all(|line| line.starts_with("{\"success\":\"yes\"")),
        "{json}"
    );
    kill(Pid::from_raw(daemon.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(received(), "STOPPING=1\n");
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn private_algorithms_come_up_with_the_settings_that_are_shipped() {
    let Some(pair) = hosts() else { return };
    let shipped = xtask::root().join("etc/strongswan.conf");
    for host in [&pair.moon, &pair.carol] {
        host.write("strongswan.conf", &format!("include {}\n", shipped.display()))
            .unwrap();
        start(host);
        let log = host.read("charon.log");
        assert!(!log.contains("[CFG] /"), "a finding about a file of ours:\n{log}");
    }
    up(&pair, "Tunnel1", "CURVE_25519/KE1_KYBER_L3");
    for host in [&pair.moon, &pair.carol] {
        pair.expect(&host.read("charon.log"), "received strongSwan vendor ID");
    }
}
