//! Configuration files: whatever they hold, reading them ends, and a complaint says where.

use config::ipsec_conf::IpsecConf;
use config::settings::Settings;

use super::corpus::replay;

#[test]
fn any_strongswan_conf_is_read_or_refused_with_its_line() {
    replay("strongswan_conf", 400, |octets| {
        match Settings::parse(&String::from_utf8_lossy(octets), "fuzzed.conf") {
            Ok(settings) => {
                for section in settings.sections("") {
                    for key in settings.keys(&section) {
                        let _ = settings.get(&format!("{section}.{key}"));
                    }
                }
                let mut warnings = Vec::new();
                settings.get_int("charon.fragment_size", 1280, &mut warnings);
                assert!(
                    warnings
                        .iter()
                        .all(|warning| warning.contains("charon.fragment_size")),
                    "{warnings:?}"
                );
            }
            Err(error) => {
                let text = error.to_string();
                assert!(
                    text.contains("fuzzed.conf:") || text.contains("failed to open"),
                    "{text}"
                );
            }
        }
    });
}

#[test]
fn any_ipsec_conf_is_read_or_refused_with_its_line() {
    replay("ipsec_conf", 400, |octets| {
        match IpsecConf::parse(&String::from_utf8_lossy(octets), "fuzzed.conf") {
            Ok(conf) => {
                for conn in &conf.conns {
                    assert!(conn.source.contains("fuzzed.conf:"), "{}", conn.source);
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("fuzzed.conf"), "{text}");
            }
        }
    });
}

#[test]
fn any_ipsec_secrets_is_read_and_none_of_it_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ipsec.secrets");
    replay("ipsec_secrets", 200, |octets| {
        std::fs::write(&path, octets).expect("a file");
        let loaded = config::ipsec_secrets::load(&path).expect("a file that is there");
        let shown = format!("{:?} {:?}", loaded.log, loaded.secrets);
        assert!(!shown.contains("4ny7h1n6_c4n_h4pp3n"), "{shown}");
    });
}
