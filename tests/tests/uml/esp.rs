//! That the kernel's ESP works, before anything of ours is blamed.

use std::io::Write;

use xtask::netns::{Namespace, Network};

use super::net::{cable, command};
use super::tables::{policies, states};
use super::wire::Wire;

/// SAs and policies of both directions, as `ip` installs them.
fn install(
    own: &Namespace,
    [from, to]: [&str; 2],
    [local, remote]: [&str; 2],
    [inbound, outbound]: [&str; 2],
    key: &str,
) {
    let mut batch = format!("route replace {remote} via {to}\n");
    for (source, destination, spi) in [(from, to, outbound), (to, from, inbound)] {
        batch += &format!(
            "xfrm state add src {source} dst {destination} proto esp spi {spi} reqid 1 mode tunnel {key}\n"
        );
    }
    for (direction, [left, right], [source, destination]) in [
        ("out", [local, remote], [from, to]),
        ("in", [remote, local], [to, from]),
        ("fwd", [remote, local], [to, from]),
    ] {
        batch += &format!(
            "xfrm policy add src {left} dst {right} dir {direction} tmpl src {source} dst {destination} proto esp reqid 1 \
             mode tunnel\n"
        );
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(batch.as_bytes()).unwrap();
    own.ip(&format!("-batch {}", file.path().display())).unwrap();
}

/// Every algorithm that the daemon may ask the kernel for.
#[test]
fn the_kernel_encrypts_between_namespaces() {
    let Some(Network { moon, carol }) = cable() else {
        return;
    };
    let key = |octets: usize| "5a".repeat(octets);
    let aead = |name: &str, octets, icv| format!("aead {name} 0x{} {icv}", key(octets));
    let pair = |cipher: &str, octets, integrity: &str, key_octets, bits| {
        format!(
            "enc {cipher} 0x{} auth-trunc {integrity} 0x{} {bits}",
            key(octets),
            key(key_octets)
        )
    };
    let outer = ["192.168.0.2", "192.168.0.3"];
    let inner = ["10.1.0.0/16", "10.3.0.0/16"];
    for algorithm in [
        aead("rfc4106(gcm(aes))", 36, 128),
        aead("rfc4309(ccm(aes))", 35, 96),
        aead("rfc7539esp(chacha20,poly1305)", 36, 128),
        pair("cbc(aes)", 32, "hmac(sha256)", 32, 128),
        pair("cbc(aes)", 16, "hmac(sha1)", 20, 96),
        pair("rfc3686(ctr(aes))", 36, "hmac(sha512)", 64, 256),
    ] {
        install(&moon, outer, inner, ["0x1001", "0x1002"], &algorithm);
        install(
            &carol,
            [outer[1], outer[0]],
            [inner[1], inner[0]],
            ["0x1002", "0x1001"],
            &algorithm,
        );
        let wire = Wire::tap([(&moon, "eth0"), (&carol, "eth0")]);
        command(&carol, "ping", "-c 3 -i 0.05 -W 5 -I 10.3.0.1 10.1.0.2");
        let heard = wire.heard("192.168.0.3");
        assert_eq!(heard.len(), 6, "{algorithm}: {heard:#?}");
        assert!(
            heard.iter().all(|packet| packet.contains(": ESP(spi=0x0000100")),
            "{heard:#?}"
        );
        for host in [&moon, &carol] {
            let states = states(host);
            let counts: Vec<_> = states.iter().map(|state| (state.packets, state.octets)).collect();
            assert_eq!(counts, [(3, 252), (3, 252)], "{algorithm}: {states:#?}");
            assert_eq!(policies(host).len(), 3);
            for table in ["state", "policy"] {
                host.ip(&format!("xfrm {table} flush")).unwrap();
            }
        }
    }
}
