use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint, CustomExtension,
    DnType, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints,
    RevocationReason, RevokedCertParams, SerialNumber, date_time_ymd,
};

use super::*;

/// The key of RFC 8410, 10.3, so that everything is the same each time.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

fn key() -> KeyPair {
    KeyPair::from_pem(KEY).unwrap()
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    [&[tag, content.len() as u8], content].concat()
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Root");
    params.serial_number = Some(SerialNumber::from(0xff02));
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2025, 12, 31);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(3));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.crl_distribution_points = vec![CrlDistributionPoint {
        uris: vec!["http://a/".into(), "http://b/".into()],
    }];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("strongswan.org".into())],
        excluded_subtrees: vec![GeneralSubtree::DnsName("evil.org".into())],
    });
    // The policy 1.2.3 with a place of its practice, and a text with an octet that is no text.
    let policy = tlv(6, &[0x2a, 3]);
    let cps = [tlv(6, &[0x2b, 6, 1, 5, 5, 7, 2, 1]), tlv(0x16, b"http://cps")].concat();
    let text = tlv(0x30, &tlv(0x0c, b"be\x1bware"));
    let notice = [tlv(6, &[0x2b, 6, 1, 5, 5, 7, 2, 2]), text].concat();
    let qualifiers = tlv(0x30, &[tlv(0x30, &cps), tlv(0x30, &notice)].concat());
    let policies = tlv(0x30, &tlv(0x30, &[policy.clone(), qualifiers].concat()));
    let mappings = tlv(0x30, &tlv(0x30, &[policy, tlv(6, &[0x2a, 4])].concat()));
    let constraints = tlv(0x30, &[0x80, 1, 5, 0x81, 1, 6]);
    params.custom_extensions = [
        (32, policies),
        (33, mappings),
        (36, constraints),
        (54, vec![2, 1, 7]),
    ]
    .map(|(number, content)| CustomExtension::from_oid_content(&[2, 5, 29, number], content))
    .into();
    params
}

fn event(kind: &str, der: &[u8]) -> Message {
    Message::new()
        .value("type", kind)
        .value("flag", "CA")
        .octets("data", der)
}

fn shown(printer: &mut Printer, messages: &[Message]) -> String {
    let mut out = Vec::new();
    for message in messages {
        printer.event(&mut out, message).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn printer(pem: bool, short: bool) -> Printer {
    Printer {
        now: NOW,
        ..Printer::new(pem, short, true)
    }
}

#[test]
fn a_certificate_is_shown_with_all_that_it_says() {
    let der = params().self_signed(&key()).unwrap().der().to_vec();
    let long = "
List of X.509 CA Certificates

  subject:  \"CN=Root\"
  issuer:   \"CN=Root\"
  validity:  not before Jan 01 00:00:00 UTC 2025, ok
             not after  Dec 31 00:00:00 UTC 2025, expired (24 hours ago)
  serial:    ff:02
  flags:     CA CRLSign self-signed \n  CRL URIs:  http://a/
             http://b/
  pathlen:   3
  permitted nameConstraints:
           strongswan.org
  excluded nameConstraints:
           evil.org
  certificatePolicies:
             1.2.3
             CPS: http://cps
             Notice: be?ware
  policyMappings:
           1.2.3 => 1.2.4
  policyConstraints:
           requireExplicitPolicy: 5
           inhibitPolicyMapping: 6
           inhibitAnyPolicy: 7
";
    let end = "  pubkey:    ED25519 256 bits, has private key\n  keyid:     ";
    let mine = event("X509", &der).value("has_privkey", "yes");
    let text = shown(&mut printer(false, false), std::slice::from_ref(&mine));
    assert!(text.starts_with(long), "{text}");
    assert!(text.contains(end), "{text}");
    let twice = shown(&mut printer(false, true), &[mine.clone(), mine]);
    assert_eq!(twice.matches("List of").count(), 1);
    assert_eq!(twice.matches("  subject:").count(), 2);
    assert!(!twice.contains("flags:") && twice.contains("subjkeyId: "));
}

#[test]
fn a_revocation_list_is_shown_with_what_it_revokes() {
    let revoked = |serial: u64, reason_code| RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2025, 6, 1),
        reason_code,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 2),
        next_update: date_time_ymd(2026, 2, 1),
        crl_number: SerialNumber::from(0x80),
        issuing_distribution_point: None,
        revoked_certs: vec![
            revoked(1, None),
            revoked(0x0203, Some(RevocationReason::CaCompromise)),
        ],
        key_identifier_method: KeyIdMethod::PreSpecified(vec![1, 2]),
    };
    let der = list.signed_by(&Issuer::new(params(), key())).unwrap().der().to_vec();
    let expected = "
List of X.509 CRLs

  issuer:   \"CN=Root\"
  update:    this on Jan 02 00:00:00 UTC 2026, not valid yet (valid in 24 hours)
             next on Feb 01 00:00:00 UTC 2026, ok (expires in 31 days)
  serial:    80
  authKeyId: 01:02
  2 revoked certificates:
    01: Jun 01 00:00:00 UTC 2025, unspecified
    02:03: Jun 01 00:00:00 UTC 2025, ca compromise
";
    assert_eq!(shown(&mut printer(false, false), &[event("X509_CRL", &der)]), expected);
    let pem = shown(&mut printer(true, false), &[event("X509_CRL", &der)]);
    assert!(pem.starts_with("-----BEGIN X509 CRL-----\n"), "{pem}");
}

#[test]
fn a_public_key_has_the_name_and_times_that_the_daemon_gives_it() {
    let der = rcgen::PublicKeyData::subject_public_key_info(&key());
    let named = event("PUBKEY", &der)
        .value("subject", "moon")
        .value("not-before", "20250101000000Z")
        .value("not-after", "20270101000000Z");
    let expected = "
List of Raw Public Keys

  subject:  \"moon\"
  validity:  not before Jan 01 00:00:00 UTC 2025, ok
             not after  Jan 01 00:00:00 UTC 2027, ok (expires in 365 days)
  pubkey:    ED25519 256 bits
";
    let text = shown(&mut printer(false, false), &[named]);
    assert!(text.starts_with(expected), "{text}");
}

#[test]
fn what_is_not_understood_is_skipped() {
    let mut printer = printer(false, false);
    for message in [
        Message::new(),
        event("PGP", b"x"),
        event("X509", b"x"),
        Message::new().value("type", "X509").octets("data", b"x"),
    ] {
        assert_eq!(shown(&mut printer, &[message]), "");
    }
}
