use super::*;

// All of OpenSSL 3: one Ed25519 and one EC key, in every form with the password `open`.
const PLAIN: &[u8] = include_bytes!("testdata/plain.der");
const EC: &[u8] = include_bytes!("testdata/ec.der");

fn opened(content: &[u8], password: &str) -> Result<(Option<&'static str>, Vec<u8>), Error> {
    let locked = locked(content).expect("it is locked");
    locked
        .open(password.as_bytes())
        .map(|(kind, key)| (kind, key.octets().to_vec()))
}

#[test]
fn pkcs8_opens_with_its_password() {
    for content in [
        &include_bytes!("testdata/pbkdf2.pem")[..],
        include_bytes!("testdata/scrypt.pem"),
        include_bytes!("testdata/des3-sha1.pem"),
    ] {
        assert_eq!(opened(content, "open"), Ok((None, PLAIN.to_vec())));
        assert_eq!(opened(content, "wrong"), Err(Error::Password));
    }
}

#[test]
fn pkcs8_as_der_is_locked_too() {
    let (_, der) = pem::decode_vec(include_bytes!("testdata/pbkdf2.pem")).expect("it is PEM");
    assert_eq!(opened(&der, "open"), Ok((None, PLAIN.to_vec())));
}

#[test]
fn what_no_password_opens_says_how_to_write_it() {
    let error = opened(include_bytes!("testdata/pbes1.pem"), "open").expect_err("that is too old");
    let text = error.to_string();
    assert!(
        text.contains("not supported") && text.contains("-v2 aes-256-cbc"),
        "{text}"
    );
}

#[test]
fn openssls_old_form_opens_with_every_cipher() {
    for content in [
        &include_bytes!("testdata/ec-aes128.pem")[..],
        include_bytes!("testdata/ec-aes192.pem"),
        include_bytes!("testdata/ec-aes256.pem"),
        include_bytes!("testdata/ec-des3.pem"),
    ] {
        assert_eq!(opened(content, "open"), Ok((Some("ecdsa"), EC.to_vec())));
        assert_eq!(opened(content, "wrong"), Err(Error::Password));
    }
}

#[test]
fn a_locked_key_is_found_behind_other_things() {
    let mut content =
        b"Bag Attributes\n-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
            .to_vec();
    content.extend_from_slice(include_bytes!("testdata/ec-aes256.pem"));
    assert_eq!(opened(&content, "open"), Ok((Some("ecdsa"), EC.to_vec())));
}

#[test]
fn what_is_not_locked_is_left_alone() {
    assert!(locked(PLAIN).is_none() && locked(EC).is_none());
    assert!(locked(b"-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n").is_none());
    assert!(locked(b"").is_none() && locked(b"\xff\xfe").is_none() && locked(b"-----BEGIN ").is_none());
}

#[test]
fn damage_is_told_from_a_wrong_password() {
    let form = |text: &str| match opened(text.as_bytes(), "open") {
        Err(Error::Form(problem)) => problem,
        other => panic!("{other:?}"),
    };
    let key = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
    let end = "\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(form(key), "expected a line 'DEK-Info: cipher,salt'");
    let info = format!("{key}DEK-Info: RC2-40-CBC,0011223344556677\n\nAAAA{end}");
    assert!(form(&info).starts_with("it is encrypted with RC2-40-CBC, expected"));
    let info = format!("{key}DEK-Info: AES-128-CBC,00\n\nAAAA{end}");
    assert_eq!(form(&info), "the salt in the line DEK-Info has another length");
    let info = format!("{key}DEK-Info: AES-128-CBC,xx\n\nAAAA{end}");
    assert_eq!(form(&info), "the salt in the line DEK-Info is not hexadecimal");
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n!\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(form(pkcs8).starts_with("it is no PEM"));
}

#[test]
fn containers_hold_keys_and_certificates() {
    for content in [
        &include_bytes!("testdata/moon.p12")[..],
        include_bytes!("testdata/legacy.p12"),
    ] {
        let container = container(content, b"open").expect("it opens");
        let keys: Vec<&[u8]> = container.keys.iter().map(SharedSecret::octets).collect();
        assert_eq!(keys, [PLAIN]);
        let flags: Vec<&str> = container.certificates.iter().map(|(flag, _)| *flag).collect();
        assert_eq!(flags, ["NONE", "CA"]);
    }
}

#[test]
fn a_container_stays_shut_to_another_password() {
    let error = |content: &[u8]| container(content, b"wrong").err();
    assert_eq!(error(include_bytes!("testdata/moon.p12")), Some(Error::Password));
    assert!(matches!(error(PLAIN), Some(Error::Form(_))));
}
