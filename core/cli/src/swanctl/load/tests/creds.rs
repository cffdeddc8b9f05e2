use super::*;

const LOCKED: &str = include_str!("../unlock/testdata/pbkdf2.pem");
const OLD: &str = include_str!("../unlock/testdata/ec-aes256.pem");
const PLAIN: &[u8] = include_bytes!("../unlock/testdata/plain.der");

/// The octets of each request of a command.
fn data(bench: &Bench, command: &str) -> Vec<Vec<u8>> {
    let calls = bench.daemon.calls.iter().filter(|(name, _)| name == command);
    let data = |request: &Message| {
        request.elements.iter().find_map(|element| match element {
            Element::Value(key, value) if key == "data" => Some(value.clone()),
            _ => None,
        })
    };
    calls.filter_map(|(_, request)| data(request)).collect()
}

#[test]
fn secrets_are_text_hexadecimal_or_base64_and_have_owners() {
    let mut bench = Bench::new(FULL);
    assert_eq!(bench.run(What::Creds).0, 0);
    assert_eq!(
        data(&bench, "load-shared"),
        [
            &b"FrS4B"[..],
            b"Ar3etTnp  # not a comment",
            &[0x11, 0x22, 0x33, 0x44],
            b"text",
            &[
                0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
                0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff
            ],
        ]
    );
    assert_eq!(
        bench.calls("load-shared")[..2],
        [
            "{id=ike-1 type=ike data=FrS4B owners=[moon.strongswan.org sun # strongswan]}",
            "{id=eap-carol type=eap data=Ar3etTnp  # not a comment owners=[carol]}",
        ]
    );
    assert_eq!(
        bench.calls("load-token"),
        ["{handle=50 slot=1 module=soft pin=1234}"]
    );
}

#[test]
fn mistakes_in_secrets_are_named_without_the_secret() {
    let conf = "secrets {\n  ike-1 {\n    secret = 0xhidden\n  }\n  ike-2 {\n    id = a\n  }\n  psk-1 {\n    secret = hidden\n  }\n  ike-3 {\n    secert = hidden\n  }\n}\n";
    let mut bench = Bench::new(conf);
    let (code, out, err) = bench.run(What::Creds);
    assert_eq!((code, out.as_str()), (22, ""));
    assert_eq!(
        err,
        "loading shared secret failed: expected pairs of hexadecimal digits after 0x ('ike-1', swanctl.conf:3)\n\
         missing secret in 'ike-2', ignored (swanctl.conf:5)\n\
         ignoring unsupported secret 'psk-1' (swanctl.conf:8)\n\
         unknown option: secert in secret 'ike-3', ignored (swanctl.conf:12, did you mean 'secret'?)\n\
         missing secret in 'ike-3', ignored (swanctl.conf:11)\n"
    );
    assert!(bench.calls("load-shared").is_empty());
}

#[test]
fn files_with_secrets_that_every_user_can_read_are_named() {
    let conf = "connections {\n}\ninclude more.conf\n";
    let more = "secrets {\n ike-1 {\n secret = x\n }\n token-1 {\n pin = 1\n }\n}\n";
    let mut bench = Bench::new(conf);
    bench.file("more.conf", more);
    bench.file("private/a.der", PLAIN);
    bench.file("private/locked.pem", LOCKED);
    assert_eq!(bench.run(What::Creds).2.matches("every user").count(), 0);
    let open = |name: &str| {
        let path = bench.directory.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("opened");
    };
    ["swanctl.conf", "more.conf", "private/a.der", "private/locked.pem"]
        .into_iter()
        .for_each(open);
    assert!(!bench.run(What::Creds).2.contains("every user"), "no terminal");
    bench.options.warn = true;
    let said = bench.run(What::Creds).2;
    for file in ["more.conf", "private/a.der"] {
        let warning =
            format!("every user can read or write the secrets in '{file}', run: chmod 600 '{file}'\n");
        assert_eq!(said.matches(&warning).count(), 1, "{said}");
    }
    assert_eq!(said.matches("every user").count(), 2, "{said}");
    assert!(!bench.run(What::Conns).2.contains("every user"));
}

#[test]
fn a_secret_that_the_daemon_refuses_has_its_place() {
    let mut bench = Bench::new("secrets {\n ike-1 {\n secret = x\n } }\n");
    bench.refuse("load-shared", "parsing shared key owners failed");
    let (code, _, err) = bench.run(What::Creds);
    assert_eq!(code, 22);
    assert_eq!(
        err,
        "loading shared secret failed: parsing shared key owners failed ('ike-1', swanctl.conf:2)\n"
    );
}

#[test]
fn secrets_and_keys_that_are_gone_are_unloaded() {
    let mut bench = Bench::new("secrets { ike-1 { secret = x\n } }\n");
    bench.file("private/a.pem", "a");
    bench.answer("get-keys", Message::new().list("keys", ["aa", "bb", "cc"]));
    bench.answer("load-key", Message::new().flag("success", true).value("id", "bb"));
    bench.answer("get-shared", Message::new().list("keys", ["ike-1", "ike-old"]));
    bench.refuse("unload-key", "key not found");
    let (code, out, err) = bench.run(What::Creds);
    assert_eq!(code, 22);
    assert_eq!(
        out,
        "loaded private key from 'private/a.pem'\nloaded ike secret 'ike-1'\n"
    );
    assert_eq!(err, "unloading key 'aa' failed: key not found\n");
    assert_eq!(bench.calls("unload-key"), ["{id=aa}", "{id=cc}"]);
    assert_eq!(bench.calls("unload-shared"), ["{id=ike-old}"]);
}

#[test]
fn credentials_are_cleared_first_if_asked_for() {
    let mut bench = Bench::new("");
    assert_eq!(bench.run(What::Creds).0, 0);
    assert!(bench.calls("clear-creds").is_empty());
    bench.options.clear = true;
    bench.daemon.calls.clear();
    assert_eq!(bench.run(What::Creds).0, 0);
    assert_eq!(bench.commands()[0], "clear-creds");
}

#[test]
fn every_file_of_every_directory_is_loaded_with_its_type() {
    let mut bench = Bench::new("");
    for directory in [
        "x509", "x509ca", "x509ocsp", "x509aa", "x509ac", "x509crl", "pubkey", "private", "rsa", "ecdsa",
        "pkcs8",
    ] {
        bench.file(&format!("{directory}/b"), "b");
        bench.file(&format!("{directory}/a"), "a");
    }
    bench.file("x509/folder/c", "not this");
    let (code, _, err) = bench.run(What::Creds);
    assert_eq!((code, err.as_str()), (0, ""));
    let certificates = bench.calls("load-cert");
    assert_eq!(
        certificates[..2],
        ["{type=X509 flag=NONE data=a}", "{type=X509 flag=NONE data=b}"]
    );
    let kinds: Vec<&str> = certificates
        .iter()
        .step_by(2)
        .filter_map(|call| call.strip_suffix(" data=a}"))
        .collect();
    assert_eq!(
        kinds,
        [
            "{type=X509 flag=NONE",
            "{type=X509 flag=CA",
            "{type=X509 flag=OCSP",
            "{type=X509 flag=AA",
            "{type=X509_AC flag=NONE",
            "{type=X509_CRL flag=NONE",
            "{type=PUBKEY flag=NONE",
        ]
    );
    assert_eq!(
        bench.calls("load-key"),
        ["any", "rsa", "ecdsa", "any"]
            .map(|kind| [
                format!("{{type={kind} data=a}}"),
                format!("{{type={kind} data=b}}")
            ])
            .concat()
    );
}

#[test]
fn one_that_does_not_load_does_not_keep_others_from_it() {
    let mut bench = Bench::new("");
    bench.file("x509/a", "a");
    bench.file("x509/b", "b");
    bench.refuse("load-cert", "parsing X509 certificate failed");
    let (code, out, err) = bench.run(What::Creds);
    assert_eq!(code, 22);
    assert_eq!(out, "loaded certificate from 'x509/b'\n");
    assert_eq!(err, "loading 'x509/a' failed: parsing X509 certificate failed\n");
}

#[test]
fn a_locked_key_is_opened_with_the_secret_of_the_file() {
    let conf = "secrets {\n rsa-1 {\n file = moon.pem\n secret = other\n }\n private-1 {\n file = moon.pem\n secret = open\n } }\n";
    let mut bench = Bench::new(conf);
    bench.file("private/moon.pem", LOCKED);
    bench.file("pkcs8/plain.der", PLAIN);
    let (code, out, err) = bench.run(What::Creds);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "loaded any key from 'private/moon.pem'\nloaded pkcs8 key from 'pkcs8/plain.der'\n"
    );
    assert_eq!(data(&bench, "load-key"), [PLAIN, PLAIN]);
    assert!(bench.asked.is_empty());
}

#[test]
fn a_secret_that_does_not_open_the_key_is_said() {
    let mut bench = Bench::new("secrets { private-1 { file = moon.pem\n secret = wrong\n } }\n");
    bench.file("private/moon.pem", LOCKED);
    let (code, _, err) = bench.run(What::Creds);
    assert_eq!(code, 22);
    assert_eq!(
        err,
        "configured decryption secret for 'private/moon.pem' invalid\n"
    );
    assert!(bench.calls("load-key").is_empty());
}

#[test]
fn somebody_is_asked_for_a_password_that_is_not_in_the_file() {
    let mut bench = Bench::new("");
    bench.file("ecdsa/sun.pem", OLD);
    bench.typed.push_back("open");
    let (code, out, err) = bench.run(What::Creds);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, "loaded ecdsa key from 'ecdsa/sun.pem'\n");
    assert_eq!(bench.asked.len(), 1);
    assert!(bench.asked[0].starts_with("Password for ecdsa file '"));
    assert!(bench.asked[0].ends_with("ecdsa/sun.pem': "));
    bench.typed.push_back("wrong");
    let (code, _, err) = bench.run(What::Creds);
    assert_eq!(code, 22);
    assert_eq!(err, "loading 'ecdsa/sun.pem' failed: the password does not fit\n");
}

#[test]
fn nobody_is_asked_who_does_not_want_to_be() {
    let mut bench = Bench::new("secrets { token-1 { handle = 1\n } }\n");
    bench.options.noprompt = true;
    bench.typed.push_back("open");
    bench.file("private/moon.pem", LOCKED);
    let (code, _, err) = bench.run(What::Creds);
    assert_eq!(code, 22);
    assert_eq!(
        err,
        "loading 'private/moon.pem' failed: it is encrypted; add a section private-1 to secrets with file = moon.pem and its secret\n"
    );
    assert_eq!(bench.calls("load-token"), ["{handle=1}"]);
    assert!(bench.asked.is_empty());
}

#[test]
fn the_pin_of_a_token_is_asked_for() {
    let mut bench = Bench::new("secrets { token-1 { handle = 1\n } }\n");
    bench.typed.push_back("1234");
    assert_eq!(bench.run(What::Creds).0, 0);
    assert_eq!(bench.asked, ["PIN for token-1: "]);
    assert_eq!(bench.calls("load-token"), ["{handle=1 pin=1234}"]);
}

#[test]
fn a_container_gives_its_certificates_and_its_key() {
    let mut bench = Bench::new("secrets { pkcs12-1 { file = moon.p12\n secret = open\n } }\n");
    bench.file("pkcs12/moon.p12", include_bytes!("../unlock/testdata/moon.p12"));
    bench.answer("get-keys", Message::new().list("keys", ["aa", "old"]));
    bench.answer("load-key", Message::new().flag("success", true).value("id", "aa"));
    let (code, out, err) = bench.run(What::Creds);
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(
        out,
        "loaded certificate from 'pkcs12/moon.p12'\n\
         loaded certificate from 'pkcs12/moon.p12'\n\
         loaded any key from 'pkcs12/moon.p12'\n"
    );
    let flags: Vec<_> = bench
        .daemon
        .calls
        .iter()
        .filter_map(|(_, request)| request.get_str("flag"))
        .collect();
    assert_eq!(flags, ["NONE", "CA"]);
    assert_eq!(data(&bench, "load-key"), [PLAIN]);
    assert_eq!(bench.calls("unload-key"), ["{id=old}"]);
}
