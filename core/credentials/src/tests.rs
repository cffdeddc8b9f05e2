use config::identity::{Identity, Match};
use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    NameConstraints, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256, PublicKeyData, RevocationReason, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};

use super::*;

/// An issuer with a certificate that says a lot, one that it issued, and a list with what it revoked.
struct Pki {
    ca: Vec<u8>,
    moon: Vec<u8>,
    crl: Vec<u8>,
    key: KeyPair,
}

fn key(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    KeyPair::generate_for(algorithm).expect("a key")
}

fn params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "CH");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "strongSwan");
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(serial));
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

fn pki(algorithm: &'static SignatureAlgorithm) -> Pki {
    let mut ca = params("Root CA", 0xff01);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(2));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("strongswan.org".into())],
        excluded_subtrees: vec![GeneralSubtree::Rfc822Name("evil.org".into())],
    });
    let issuer_key = key(&PKCS_ECDSA_P256_SHA256);
    let ca_certificate = ca.self_signed(&issuer_key).expect("a certificate");
    let issuer = Issuer::new(ca, issuer_key);
    let mut moon = params("moon.strongswan.org", 0x0102);
    moon.subject_alt_names = vec![
        SanType::DnsName("moon.strongswan.org".try_into().expect("a name")),
        SanType::IpAddress("192.168.0.2".parse().expect("an address")),
    ];
    moon.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 5, 5, 8, 2, 2]),
    ];
    moon.crl_distribution_points = vec![CrlDistributionPoint {
        uris: vec!["http://crl.strongswan.org/root.crl".into()],
    }];
    moon.use_authority_key_identifier_extension = true;
    let own = key(algorithm);
    let certificate = moon.signed_by(&own, &issuer).expect("a certificate");
    let crl = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 2, 1),
        next_update: date_time_ymd(2026, 3, 1),
        crl_number: SerialNumber::from(7),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(0x0103),
            revocation_time: date_time_ymd(2026, 1, 15),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    Pki {
        ca: ca_certificate.der().to_vec(),
        moon: certificate.der().to_vec(),
        crl: crl.signed_by(&issuer).expect("a list").der().to_vec(),
        key: own,
    }
}

#[test]
fn a_certificate_says_whose_it_is_and_what_for() {
    let pki = pki(&PKCS_ECDSA_P384_SHA384);
    let ca = Certificate::parse(&pki.ca).unwrap();
    let moon = Certificate::parse(&pki.moon).unwrap();
    assert_eq!(ca.subject.to_string(), "C=CH, O=strongSwan, CN=Root CA");
    assert_eq!(ca.flags.flag(), Flag::Ca);
    assert!(ca.flags.self_signed && ca.flags.crl_sign);
    assert_eq!((ca.path_len, ca.serial.as_slice()), (Some(2), &[0xff, 1][..]));
    assert_eq!(ca.permitted, [Identity::parse("strongswan.org")]);
    assert_eq!(ca.excluded.len(), 1);
    assert_eq!(moon.issuer, ca.subject);
    assert_eq!(moon.authority_key, ca.subject_key);
    assert_eq!(moon.flags.flag(), Flag::None);
    assert!(moon.flags.server_auth && moon.flags.ike_intermediate && !moon.flags.client_auth);
    assert!(!moon.flags.self_signed);
    assert_eq!(
        moon.alt_names,
        ["moon.strongswan.org", "192.168.0.2"].map(Identity::parse)
    );
    assert_eq!(moon.crl_uris[0].uri, "http://crl.strongswan.org/root.crl");
    assert_eq!((moon.not_before, moon.not_after), (1_767_225_600, 2_082_758_400));
    assert_eq!((moon.key.kind, moon.key.bits), (KeyKind::Ecdsa, 384));
}

#[test]
fn a_certificate_is_found_by_its_names_numbers_and_keys() {
    let moon = Certificate::parse(&pki(&PKCS_ED25519).moon).unwrap();
    let hex = |octets: &[u8]| {
        let digits: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
        Identity::parse(&format!("keyid:#{}", digits.concat()))
    };
    for (pattern, fit) in [
        (Identity::parse("C=CH, O=strongSwan, CN=*"), Match::Wildcard),
        (Identity::parse("moon.strongswan.org"), Match::Exact),
        (Identity::parse("*.strongswan.org"), Match::Wildcard),
        (Identity::parse("192.168.0.2"), Match::Exact),
        (hex(&moon.key.id), Match::Exact),
        (hex(&moon.key.info_id), Match::Exact),
        (hex(&[1, 2]), Match::Exact),
        (hex(&[1, 3]), Match::No),
        (Identity::parse("sun.strongswan.org"), Match::No),
    ] {
        assert_eq!(moon.matches(&pattern), fit, "{pattern}");
    }
}

#[test]
fn private_keys_of_every_form_have_the_public_key_of_their_certificate() {
    for (algorithm, kind, bits) in [
        (&PKCS_RSA_SHA256, KeyKind::Rsa, 2048),
        (&PKCS_ECDSA_P256_SHA256, KeyKind::Ecdsa, 256),
        (&PKCS_ECDSA_P384_SHA384, KeyKind::Ecdsa, 384),
        (&PKCS_ECDSA_P521_SHA512, KeyKind::Ecdsa, 521),
        (&PKCS_ED25519, KeyKind::Ed25519, 256),
    ] {
        let pki = pki(algorithm);
        let certified = Certificate::parse(&pki.moon).unwrap().key;
        assert_eq!((certified.kind, certified.bits), (kind, bits));
        let der = pki.key.serialize_der();
        let pem = format!("text for people\r\n{}", pki.key.serialize_pem());
        for octets in [der.as_slice(), pem.as_bytes()] {
            let key = PrivateKey::parse(Some(kind), octets).unwrap();
            assert_eq!(key.public, certified);
        }
        let raw = RawPublicKey::parse(pki.key.public_key_pem().as_bytes()).unwrap();
        assert_eq!(raw.key, certified);
        let wrong = if kind == KeyKind::Rsa {
            KeyKind::Ecdsa
        } else {
            KeyKind::Rsa
        };
        let refused = PrivateKey::parse(Some(wrong), &der).unwrap_err();
        assert_eq!(refused, Error::Kind { wanted: wrong, found: kind });
        // What is in PKCS#8 stands for itself too, but for EdDSA.
        let info: pkcs8::PrivateKeyInfoRef<'_> = der.as_slice().try_into().unwrap();
        let inner = PrivateKey::parse(None, info.private_key.as_bytes());
        match kind {
            KeyKind::Rsa => assert_eq!(inner.unwrap().public, certified),
            KeyKind::Ed25519 | KeyKind::Ecdsa => assert!(inner.is_err(), "it does not say its curve"),
            KeyKind::Ed448 => unreachable!(),
        }
    }
}

fn octets(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// The first test vectors of RFC 8032, 7.1 and 7.4.
#[test]
fn public_keys_that_pkcs8_lacks_are_computed() {
    for (head, secret, public) in [
        (
            "302e020100300506032b657004220420",
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ),
        (
            "3047020100300506032b6571043b0439",
            "6c82a562cb808d10d632be89c8513ebf6c929f34ddfa8c9f63c9960ef6e348a3528c8a3fcc2f044e39a3fc5b94492f8f032e7549a20098f95b",
            "5fd7449b59b461fd2ce787ec616ad46a1da1342485a70e1f8a0ea75d80e96778edf124769b46c7061bd6783df1e50f6cd1fa1abeafe8256180",
        ),
    ] {
        let key = PrivateKey::parse(None, &octets(&format!("{head}{secret}"))).unwrap();
        assert_eq!(key.public.id, sha1(&octets(public)));
        assert_eq!(key.secret(), octets(secret));
    }
}

/// RFC 5915 and SEC 1: the curve inside, the public key left out, then that of another.
#[test]
fn keys_of_sec1_say_their_curve_and_no_public_key_but_their_own() {
    // RFC 6979, A.2.5.
    let number = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721";
    let public = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    let short = format!("30310201010420{number}a00a06082a8648ce3d030107");
    let long = format!("30770201010420{number}a00a06082a8648ce3d030107a144034200{public}");
    for text in [&short, &long] {
        let key = PrivateKey::parse(Some(KeyKind::Ecdsa), &octets(text)).unwrap();
        assert_eq!(key.public.id, sha1(&octets(public)));
    }
    let other = long.replace("4462299", "4462298");
    assert_eq!(
        PrivateKey::parse(None, &octets(&other)).unwrap_err(),
        Error::Mismatch
    );
    let unknown = short.replace("2a8648ce3d030107", "2a8648ce3d030101");
    assert_eq!(
        PrivateKey::parse(None, &octets(&unknown)).unwrap_err(),
        Error::Curve("1.2.840.10045.3.1.1".into())
    );
}

#[test]
fn what_is_refused_has_a_reason() {
    let moon = pki(&PKCS_ED25519).moon;
    let reason = |octets: &[u8]| PrivateKey::parse(None, octets).unwrap_err().to_string();
    assert_eq!(reason(b"text"), "it is neither DER nor PEM with a private key");
    assert_eq!(reason(b""), "it is neither DER nor PEM with a private key");
    assert_eq!(
        reason(&vec![0x30; MAX_OCTETS + 1]),
        "it has 65536 octets, more than the 65535 that are read"
    );
    assert!(reason(&moon).starts_with("it is no private key: "));
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(reason(locked.as_bytes()), "it is encrypted");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,00\n\nMAA=\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(reason(old.as_bytes()), "it is encrypted");
    let refused = Certificate::parse(b"-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n");
    assert!(matches!(refused, Err(Error::Pem(_))), "{refused:?}");
}

#[test]
fn a_newer_revocation_list_replaces_an_older_one() {
    let crl = Crl::parse(&pki(&PKCS_ED25519).crl).unwrap();
    assert_eq!(crl.issuer.to_string(), "C=CH, O=strongSwan, CN=Root CA");
    assert_eq!(
        crl.revoked(),
        [Revoked { serial: vec![1, 3], when: 1_768_435_200, reason: 1 }]
    );
    let numbered = |number: &[u8], tail: u8| Crl {
        number: number.to_vec(),
        der: [&crl.der[..], &[tail]].concat().into(),
        ..crl.clone()
    };
    let mut store = Store::default();
    assert_eq!(store.add_crl(numbered(&[7], 1)), Ok(CrlOutcome::Added));
    assert_eq!(store.add_crl(numbered(&[6], 2)), Ok(CrlOutcome::Retained(vec![7])));
    assert_eq!(
        store.add_crl(numbered(&[1, 0], 3)),
        Ok(CrlOutcome::Replaced(vec![7]))
    );
    assert_eq!(store.after(0).count(), 1);
}

#[test]
fn listings_have_an_order_and_go_on_where_they_ended() {
    let mut store = Store::default();
    let first = pki(&PKCS_ED25519);
    let second = pki(&PKCS_ED25519);
    let certificate = |der: &[u8]| Item::X509(Certificate::parse(der).unwrap());
    for der in [&first.ca, &first.moon, &second.ca, &second.moon, &first.moon] {
        store.add(certificate(der)).unwrap();
    }
    store
        .add(Item::PublicKey(
            RawPublicKey::parse(first.key.public_key_pem().as_bytes()).unwrap(),
        ))
        .unwrap();
    let order: Vec<(u32, Vec<u8>)> = store
        .after(0)
        .map(|(place, item)| (place, item.der().to_vec()))
        .collect();
    assert_eq!(order.len(), 5, "one was loaded twice");
    let ders: Vec<&[u8]> = order[1..].iter().map(|(_, der)| der.as_slice()).collect();
    assert_eq!(ders, [&second.moon, &first.moon, &second.ca, &first.ca]);
    let rest: Vec<u32> = store.after(order[1].0).map(|(place, _)| place).collect();
    assert_eq!(rest, order[2..].iter().map(|(place, _)| *place).collect::<Vec<_>>());
}

#[test]
fn a_certificate_stays_as_long_as_somebody_needs_it() {
    let mut store = Store::default();
    let pki = pki(&PKCS_ED25519);
    let certificate = Certificate::parse(&pki.ca).unwrap();
    let authority = |name: &str| Authority {
        name: name.into(),
        certificate: certificate.clone(),
        crl_uris: Vec::new(),
        ocsp_uris: Vec::new(),
        cert_uri_base: None,
    };
    store.put_authority(authority("a")).unwrap();
    store.put_authority(authority("b")).unwrap();
    store.put_authority(authority("a")).unwrap();
    let names = |store: &Store| -> Vec<String> {
        store.authorities().iter().map(|it| it.name.clone()).collect()
    };
    assert_eq!(names(&store), ["b", "a"]);
    store.add(Item::X509(certificate.clone())).unwrap();
    store
        .add_key(PrivateKey::parse(None, &pki.key.serialize_der()).unwrap())
        .unwrap();
    store.clear();
    assert_eq!((store.after(0).count(), store.keys().count()), (1, 0));
    assert!(store.take_authority("a").is_some() && store.take_authority("a").is_none());
    assert_eq!(store.after(0).count(), 1);
    assert!(store.take_authority("b").is_some());
    assert_eq!(store.after(0).count(), 0);
}

/// All that is read, whatever it is.
fn read(octets: &[u8]) {
    if let Ok(certificate) = Certificate::parse(octets) {
        let _ = (certificate.subject.to_string(), certificate.alt_names.len());
    }
    if let Ok(crl) = Crl::parse(octets) {
        let _ = crl.revoked();
    }
    let _ = RawPublicKey::parse(octets);
    let _ = PrivateKey::parse(None, octets);
    let _ = Opaque::parse(OpaqueKind::Ac, octets);
}

#[test]
fn cut_and_changed_octets_are_refused_or_read_and_never_end_the_program() {
    let samples: Vec<Vec<u8>> = [&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ED25519]
        .into_iter()
        .flat_map(|algorithm| {
            let pki = pki(algorithm);
            let key = pki.key.serialize_der();
            let inner = PrivateKey::parse(None, &key).unwrap().secret().to_vec();
            [pki.ca, pki.moon, pki.crl, pki.key.subject_public_key_info(), key, inner]
        })
        .collect();
    for sample in &samples {
        (0..sample.len()).for_each(|end| read(&sample[..end]));
        // What is at the start says what all is.
        for at in (0..sample.len()).filter(|at| *at < 100 || at % 5 == 0) {
            for value in [0, 0x80, 0x84, 0xff, sample[at] ^ 1] {
                let mut changed = sample.clone();
                changed[at] = value;
                read(&changed);
            }
        }
    }
    let samples = proptest::sample::select(samples);
    let change = (samples, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8));
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&change, |(mut sample, changes)| {
            for (at, value) in changes {
                let at = at.index(sample.len());
                sample[at] = value;
            }
            read(&sample);
            Ok(())
        })
        .unwrap();
}
