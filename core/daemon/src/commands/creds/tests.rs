use std::sync::Arc;

use control::vici::Message;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
    SignatureAlgorithm,
};

use super::super::tests::{Answers, ask_message};
use crate::run::Daemon;
use crate::testing::{TestKernel, daemon, lines};

struct Pki {
    ca: String,
    moon: String,
    key: KeyPair,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "CH");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).unwrap()
}

fn pki() -> Pki {
    let mut ca = params("ca.org");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = key(&PKCS_ECDSA_P256_SHA256);
    let certificate = ca.self_signed(&ca_key).unwrap();
    let key = key(&PKCS_ED25519);
    let moon = params("moon.org")
        .signed_by(&key, &Issuer::new(ca, ca_key))
        .unwrap();
    Pki {
        ca: certificate.pem(),
        moon: moon.pem(),
        key,
    }
}

fn done(answers: &Answers) -> String {
    let done = answers.done.lock().unwrap();
    lines(done.as_ref().expect("an answer")).join(", ")
}

fn run(daemon: &mut Daemon, verb: &str, request: &Message) -> String {
    done(&ask_message(daemon, verb, request))
}

/// What is listed, without the octets.
fn list(daemon: &mut Daemon, verb: &str, request: &Message) -> Vec<String> {
    let answers = ask_message(daemon, verb, request);
    let events = answers.events.lock().unwrap();
    let short = |event: &String| event.split(", data = ").next().unwrap_or_default().to_owned();
    events.iter().map(short).collect()
}

fn certificate(flag: &str, pem: &str) -> Message {
    Message::new()
        .value("type", "X509")
        .value("flag", flag)
        .value("data", pem)
}

const NEW: fn() -> Message = Message::new;

#[test]
fn certificates_and_keys_are_loaded_and_listed_together() {
    let (mut daemon, pki) = (daemon(Arc::new(TestKernel::default())), pki());
    assert_eq!(
        run(&mut daemon, "load-cert", &certificate("CA", &pki.ca)),
        "success = yes"
    );
    assert_eq!(
        run(&mut daemon, "load-cert", &certificate("NONE", &pki.moon)),
        "success = yes"
    );
    let raw = NEW()
        .value("type", "pubkey")
        .value("data", pki.key.public_key_pem());
    assert_eq!(run(&mut daemon, "load-cert", &raw), "success = yes");
    let expected = [
        "list-cert: type = PUBKEY",
        "list-cert: type = X509, flag = NONE",
        "list-cert: type = X509, flag = CA",
    ];
    assert_eq!(list(&mut daemon, "list-certs", &NEW()), expected);
    let key = NEW().value("type", "any").octets("data", pki.key.serialize_der());
    let loaded = run(&mut daemon, "load-key", &key);
    let id = loaded.strip_prefix("success = yes, id = ").expect("an id");
    assert_eq!(id.len(), 40);
    assert_eq!(run(&mut daemon, "get-keys", &NEW()), format!("keys = [{id}]"));
    let with_key = list(&mut daemon, "list-certs", &NEW().value("type", "x509"));
    assert_eq!(
        with_key,
        [
            "list-cert: type = X509, flag = NONE, has_privkey = yes",
            "list-cert: type = X509, flag = CA",
        ]
    );
    for (key, value, count) in [
        ("flag", "CA", 1),
        ("flag", "aa", 0),
        ("subject", "C=CH, CN=moon.org", 1),
        ("subject", "*.org", 2),
        ("subject", "moon.org", 1),
        ("subject", "sun.org", 0),
    ] {
        let request = NEW().value("type", "X509").value(key, value);
        assert_eq!(list(&mut daemon, "list-certs", &request).len(), count, "{value}");
    }
    assert!(list(&mut daemon, "list-certs", &NEW().value("type", "x510")).is_empty());
    assert_eq!(
        run(&mut daemon, "unload-key", &NEW().value("id", id)),
        "success = yes"
    );
    assert_eq!(
        run(&mut daemon, "unload-key", &NEW().value("id", id)),
        "success = no, errmsg = key not found"
    );
}

#[test]
fn a_long_list_of_certificates_comes_in_pages() {
    let (mut daemon, pki) = (daemon(Arc::new(TestKernel::default())), pki());
    for pem in [&pki.ca, &pki.moon] {
        run(&mut daemon, "load-cert", &certificate("NONE", pem));
    }
    let first = ask_message(&mut daemon, "list-certs", &NEW().value("page", "1"));
    assert_eq!(first.events.lock().unwrap().len(), 1);
    let done = first.done.lock().unwrap().take().unwrap();
    let next = done.get_str("next").expect("there is more").to_owned();
    let rest = NEW().value("page", "1").value("after", next);
    assert_eq!(
        list(&mut daemon, "list-certs", &rest),
        ["list-cert: type = X509, flag = CA"]
    );
}

#[test]
fn what_cannot_be_loaded_is_refused_in_the_words_of_clients() {
    let (mut daemon, pki) = (daemon(Arc::new(TestKernel::default())), pki());
    let x509 = |data: &str| NEW().value("type", "X509").value("data", data);
    for (verb, request, error) in [
        ("load-cert", NEW(), "certificate type missing"),
        (
            "load-cert",
            NEW().value("type", "x510"),
            "invalid certificate type 'x510'",
        ),
        (
            "load-cert",
            x509("x").value("flag", "CB"),
            "invalid certificate flag 'CB'",
        ),
        ("load-cert", x509(""), "certificate data missing"),
        ("load-cert", x509("x"), "parsing X509 certificate failed"),
        (
            "load-cert",
            certificate("CA", &pki.moon),
            "ca certificate lacks CA basic constraint, rejected",
        ),
        (
            "load-cert",
            NEW().value("type", "x509crl").value("data", "0"),
            "parsing X509_CRL certificate failed",
        ),
        (
            "flush-certs",
            NEW().value("type", "x510"),
            "invalid certificate type 'x510'",
        ),
        ("load-key", NEW(), "key type missing"),
        ("load-key", NEW().value("type", "dsa"), "invalid key type: dsa"),
        ("load-key", NEW().value("type", "rsa"), "key data missing"),
        (
            "load-key",
            NEW().value("type", "rsa").value("data", pki.key.serialize_pem()),
            "parsing RSA private key failed",
        ),
        ("unload-key", NEW(), "key id missing"),
        ("unload-key", NEW().value("id", "xy"), "key not found"),
        ("load-token", NEW(), "keyid missing"),
        (
            "load-token",
            NEW().value("handle", "50"),
            "loading private key from token failed: keys on PKCS#11 tokens and in TPMs are not supported, load it from a file (load-key)",
        ),
        (
            "load-authority",
            NEW().section("a", |it| it),
            "CA certificate missing: a",
        ),
        (
            "load-authority",
            NEW().section("a", |it| it.value("cacert", &pki.moon)),
            "CA certificate missing: a",
        ),
        (
            "load-authority",
            NEW().section("a", |it| it.value("crl_uri", "x")),
            "unknown option: crl_uri, authority discarded",
        ),
        (
            "load-authority",
            NEW().section("a", |it| it.value("file", "\n")),
            "invalid value for: file, authority discarded",
        ),
        ("unload-authority", NEW(), "unload: missing authority name"),
        (
            "unload-authority",
            NEW().value("name", "a"),
            "unload: authority 'a' not found",
        ),
    ] {
        let answer = run(&mut daemon, verb, &request);
        assert_eq!(answer, format!("success = no, errmsg = {error}"), "{verb}");
    }
    assert!(
        list(&mut daemon, "list-certs", &NEW()).is_empty(),
        "nothing has been kept"
    );
}

#[test]
fn authorities_have_a_certificate_and_stay_when_credentials_are_cleared() {
    let (mut daemon, pki) = (daemon(Arc::new(TestKernel::default())), pki());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, &pki.ca).unwrap();
    let sent = NEW().section("sent", |it| {
        it.value("cacert", &pki.ca)
            .list("crl_uris", ["http://a", "http://b"])
            .value("cert_uri_base", "http://c/")
    });
    let read = NEW().section("read", |it| it.value("file", path.display()));
    for request in [&sent, &read] {
        assert_eq!(run(&mut daemon, "load-authority", request), "success = yes");
    }
    assert_eq!(
        run(&mut daemon, "get-authorities", &NEW()),
        "authorities = [sent, read]"
    );
    assert_eq!(
        list(&mut daemon, "list-authorities", &NEW().value("name", "sent")),
        [
            "list-authority: sent.cacert = C=CH, CN=ca.org, sent.crl_uris = [http://a, http://b], \
             sent.ocsp_uris = [], sent.cert_uri_base = http://c/"
        ]
    );
    run(&mut daemon, "load-cert", &certificate("NONE", &pki.moon));
    assert_eq!(run(&mut daemon, "clear-creds", &NEW()), "success = yes");
    assert_eq!(
        list(&mut daemon, "list-certs", &NEW()),
        ["list-cert: type = X509, flag = CA"]
    );
    for name in ["sent", "read"] {
        assert_eq!(
            run(&mut daemon, "unload-authority", &NEW().value("name", name)),
            "success = yes"
        );
    }
    assert!(list(&mut daemon, "list-certs", &NEW()).is_empty());
}

#[test]
fn a_connection_brings_its_certificates_and_takes_its_name_from_them() {
    let (mut daemon, pki) = (daemon(Arc::new(TestKernel::default())), pki());
    let request = |certs: &[&str], id: Option<&str>| {
        NEW().section("net", |it| {
            it.section("local", |it| it.list("certs", certs).value_if("id", id))
                .section("remote", |it| {
                    it.list("cacerts", [&pki.ca])
                        .list("pubkeys", [pki.key.public_key_pem()])
                })
        })
    };
    let listed = |daemon: &mut Daemon| list(daemon, "list-conns", &NEW()).concat();
    assert_eq!(
        run(&mut daemon, "load-conn", &request(&[&pki.moon], None)),
        "success = yes"
    );
    let shown = listed(&mut daemon);
    for part in [
        "net.local-1.id = C=CH, CN=moon.org, net.local-1.class = public key",
        "net.local-1.certs = [C=CH, CN=moon.org]",
        "net.remote-1.groups = []",
        "net.remote-1.cacerts = [C=CH, CN=ca.org]",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("net.remote-1.class"), "any will do: {shown}");
    assert_eq!(list(&mut daemon, "list-certs", &NEW()).len(), 3);
    let named = request(&[&pki.moon], Some("moon.org"));
    assert_eq!(run(&mut daemon, "load-conn", &named), "success = yes");
    assert!(listed(&mut daemon).contains("net.local-1.id = moon.org"));
    assert_eq!(
        run(&mut daemon, "load-conn", &request(&["x"], None)),
        "success = no, errmsg = invalid value for: certs, config discarded"
    );
    assert!(
        listed(&mut daemon).contains("net.local-1.id = moon.org"),
        "what was good stays"
    );
}

#[test]
fn a_connection_names_certificates_in_files() {
    let (mut daemon, pki) = (daemon(Arc::new(TestKernel::default())), pki());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moon.pem");
    std::fs::write(&path, &pki.moon).unwrap();
    let request = |keys: &[(&str, String)]| {
        let cert = |it: Message| keys.iter().fold(it, |it, (key, value)| it.value(key, value));
        NEW().section("net", |it| it.section("local", |it| it.section("cert1", cert)))
    };
    let file = ("file", path.display().to_string());
    assert_eq!(
        run(&mut daemon, "load-conn", &request(std::slice::from_ref(&file))),
        "success = yes"
    );
    for (keys, error) in [
        (vec![], "handle or file path missing: cert1"),
        (
            vec![file, ("handle", "50".into())],
            "handle and file path given: cert1",
        ),
        (vec![("handle", "50".into())], "unable to load certificate: cert1"),
        (
            vec![("file", "/nowhere".into())],
            "unable to load certificate: cert1",
        ),
        (vec![("slotted", "1".into())], "unknown option: slotted"),
    ] {
        assert_eq!(
            run(&mut daemon, "load-conn", &request(&keys)),
            format!("success = no, errmsg = {error}, config discarded")
        );
    }
}
