//! Certificates with all that they say, as `--list-certs` shows them.

use std::io::{self, Write};

use control::vici::Message;
use credentials::{Certificate, Crl, Flag, PublicKey, RawPublicKey, Revoked, Uri};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use pkcs8::LineEnding;
use pkcs8::der::pem;

use super::value;

/// How much to show, and what has been shown.
pub(in crate::swanctl) struct Printer {
    /// PEM, and nothing else.
    pub(in crate::swanctl) pem: bool,
    /// Without what is long.
    pub(in crate::swanctl) short: bool,
    pub(in crate::swanctl) utc: bool,
    /// When it is, in seconds since 1970.
    pub(in crate::swanctl) now: i64,
    heading: Option<&'static str>,
}

/// A certificate by what has to be shown of it.
enum Shown {
    X509(Box<Certificate>),
    Crl(Crl),
    PublicKey(RawPublicKey),
    /// Only its size is known.
    Other(usize),
}

impl Printer {
    pub(in crate::swanctl) fn new(pem: bool, short: bool, utc: bool) -> Self {
        Self {
            pem,
            short,
            utc,
            now: Timestamp::now().as_second(),
            heading: None,
        }
    }

    /// An event of `list-certs`.
    pub(in crate::swanctl) fn event(&mut self, out: &mut dyn Write, message: &Message) -> io::Result<()> {
        let mut complain = |text: &str| {
            out.flush()?;
            writeln!(io::stderr(), "{text}")
        };
        let Some(der) = message.get_octets("data") else {
            return complain("received incomplete certificate data");
        };
        let kind = value(message, "type");
        let Some((heading, label)) = headings(kind, value(message, "flag")) else {
            return complain(&format!("unsupported certificate type '{kind}'"));
        };
        if self.pem {
            return match label.map(|label| pem::encode_string(label, LineEnding::LF, der)) {
                Some(Ok(text)) => write!(out, "{text}"),
                _ => complain("PEM encoding certificate failed"),
            };
        }
        let shown = match kind {
            "X509" => Certificate::parse(der).map(|it| Shown::X509(Box::new(it))),
            "X509_CRL" => Crl::parse(der).map(Shown::Crl),
            "PUBKEY" => RawPublicKey::parse(der).map(Shown::PublicKey),
            _ => Ok(Shown::Other(der.len())),
        };
        let shown = match shown {
            Ok(shown) => shown,
            Err(error) => return complain(&format!("parsing certificate failed: {error}")),
        };
        if self.heading != Some(heading) {
            writeln!(out, "\nList of {heading}s")?;
            self.heading = Some(heading);
        }
        writeln!(out)?;
        let has_key = message.get_bool("has_privkey") == Some(true);
        match shown {
            Shown::X509(certificate) => {
                self.x509(out, &certificate)?;
                public_key(out, &certificate.key, has_key)
            }
            Shown::Crl(crl) => self.crl(out, &crl),
            Shown::PublicKey(raw) => {
                if let Some(subject) = message.get_str("subject") {
                    writeln!(out, "  subject:  \"{subject}\"")?;
                }
                let time = |key| generalized(message.get_str(key)?);
                if let (Some(from), Some(until)) = (time("not-before"), time("not-after")) {
                    self.validity(out, ["validity:", "not before", "not after "], from, until)?;
                }
                public_key(out, &raw.key, has_key)
            }
            Shown::Other(octets) => writeln!(out, "  data:      {octets} octets"),
        }
    }

    fn x509(&self, out: &mut dyn Write, certificate: &Certificate) -> io::Result<()> {
        writeln!(out, "  subject:  \"{}\"", certificate.subject)?;
        writeln!(out, "  issuer:   \"{}\"", certificate.issuer)?;
        let words = ["validity:", "not before", "not after "];
        self.validity(out, words, certificate.not_before, certificate.not_after)?;
        writeln!(out, "  serial:    {}", hex(&certificate.serial))?;
        if !certificate.alt_names.is_empty() {
            writeln!(out, "  altNames:  {}", joined(&certificate.alt_names, ", "))?;
        }
        if !self.short {
            details(out, certificate)?;
        }
        if let Some(id) = &certificate.authority_key {
            writeln!(out, "  authkeyId: {}", hex(id))?;
        }
        if let Some(id) = &certificate.subject_key {
            writeln!(out, "  subjkeyId: {}", hex(id))?;
        }
        Ok(())
    }

    fn crl(&self, out: &mut dyn Write, crl: &Crl) -> io::Result<()> {
        writeln!(out, "  issuer:   \"{}\"", crl.issuer)?;
        if let Some(next) = crl.next_update {
            self.validity(out, ["update:  ", "this on", "next on"], crl.this_update, next)?;
        }
        writeln!(out, "  serial:    {}", hex(&crl.number))?;
        if let Some(base) = &crl.base {
            writeln!(out, "  delta CRL: for serial {}", hex(base))?;
        }
        writeln!(out, "  authKeyId: {}", hex(&crl.authority_key))?;
        uris(out, "  freshest:  ", &crl.freshest)?;
        let revoked = crl.revoked();
        let plural = if revoked.len() == 1 { "" } else { "s" };
        let colon = if revoked.is_empty() || self.short { "" } else { ":" };
        writeln!(out, "  {} revoked certificate{plural}{colon}", revoked.len())?;
        if !self.short {
            for Revoked { serial, when, reason } in &revoked {
                let when = self.time(*when);
                writeln!(out, "    {}: {when}, {}", hex(serial), why(*reason))?;
            }
        }
        Ok(())
    }

    fn validity(&self, out: &mut dyn Write, words: [&str; 3], from: i64, until: i64) -> io::Result<()> {
        let [head, first, second] = words;
        write!(out, "  {head}  {first} {}, ", self.time(from))?;
        match self.now < from {
            true => writeln!(out, "not valid yet (valid in {})", span(from - self.now))?,
            false => writeln!(out, "ok")?,
        }
        write!(out, "             {second} {}, ", self.time(until))?;
        match self.now > until {
            true => writeln!(out, "expired ({} ago)", span(self.now - until)),
            false => writeln!(out, "ok (expires in {})", span(until - self.now)),
        }
    }

    /// `Jan 02 03:04:05 2026`, with `UTC` before the year if it is that.
    fn time(&self, seconds: i64) -> String {
        let (zone, format) = match self.utc {
            true => (TimeZone::UTC, "%b %d %H:%M:%S UTC %Y"),
            false => (TimeZone::system(), "%b %d %H:%M:%S %Y"),
        };
        let time = Timestamp::from_second(seconds).ok();
        let text = time.and_then(|time| strtime::format(format, &time.to_zoned(zone)).ok());
        text.unwrap_or_else(|| "--- -- --:--:-- ----".into())
    }
}

/// The heading of a type, and what its PEM is called.
fn headings(kind: &str, flag: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match (kind, flag) {
        ("X509", "NONE") => ("X.509 End Entity Certificate", Some("CERTIFICATE")),
        ("X509", "CA") => ("X.509 CA Certificate", Some("CERTIFICATE")),
        ("X509", "AA") => ("X.509 AA Certificate", Some("CERTIFICATE")),
        ("X509", "OCSP") => ("X.509 OCSP Signer Certificate", Some("CERTIFICATE")),
        ("X509_AC", _) => ("X.509 Attribute Certificate", Some("ATTRIBUTE CERTIFICATE")),
        ("X509_CRL", _) => ("X.509 CRL", Some("X509 CRL")),
        ("OCSP_RESPONSE", _) => ("OCSP Response", None),
        ("PUBKEY", _) => ("Raw Public Key", Some("PUBLIC KEY")),
        _ => return None,
    })
}

/// What is long, and nobody looks at every day.
fn details(out: &mut dyn Write, certificate: &Certificate) -> io::Result<()> {
    let flags = certificate.flags;
    let names = [
        (flags.flag() == Flag::Ca, "CA "),
        (flags.crl_sign, "CRLSign "),
        (flags.ocsp, "ocspSigning "),
        (flags.server_auth, "serverAuth "),
        (flags.client_auth, "clientAuth "),
        (flags.ike_intermediate, "ikeIntermediate "),
        (flags.smartcard_logon, "msSmartcardLogon"),
        (flags.self_signed, "self-signed "),
    ];
    let set = names.iter().filter(|(set, _)| *set);
    let set: String = set.map(|(_, name)| *name).collect();
    if !set.is_empty() || flags.aa {
        writeln!(out, "  flags:     {set}")?;
    }
    uris(out, "  CRL URIs:  ", &certificate.crl_uris)?;
    lines(out, "  OCSP URIs: ", &certificate.ocsp_uris)?;
    if let Some(len) = certificate.path_len {
        writeln!(out, "  pathlen:   {len}")?;
    }
    for (head, names) in [
        ("  permitted nameConstraints:", &certificate.permitted),
        ("  excluded nameConstraints:", &certificate.excluded),
    ] {
        let names: Vec<String> = names.iter().map(|name| format!("           {name}")).collect();
        block(out, head, &names)?;
    }
    let mut policies = Vec::new();
    for policy in &certificate.policies {
        let indent = "             ";
        policies.push(format!("{indent}{}", policy.oid));
        policies.extend(policy.cps.iter().map(|cps| format!("{indent}CPS: {cps}")));
        policies.extend(policy.notice.iter().map(|text| format!("{indent}Notice: {text}")));
    }
    block(out, "  certificatePolicies:", &policies)?;
    let mappings = certificate.policy_mappings.iter();
    let mappings: Vec<String> = mappings
        .map(|(issuer, subject)| format!("           {issuer} => {subject}"))
        .collect();
    block(out, "  policyMappings:", &mappings)?;
    let constraints = [
        ("requireExplicitPolicy", certificate.explicit_policy),
        ("inhibitPolicyMapping", certificate.inhibit_mapping),
        ("inhibitAnyPolicy", certificate.inhibit_any),
    ];
    let constraints: Vec<String> = constraints
        .iter()
        .filter_map(|(name, count)| count.map(|count| format!("           {name}: {count}")))
        .collect();
    block(out, "  policyConstraints:", &constraints)
}

fn public_key(out: &mut dyn Write, key: &PublicKey, has_private: bool) -> io::Result<()> {
    let also = if has_private { ", has private key" } else { "" };
    writeln!(out, "  pubkey:    {} {} bits{also}", key.kind, key.bits)?;
    writeln!(out, "  keyid:     {}", hex(&key.info_id))?;
    writeln!(out, "  subjkey:   {}", hex(&key.id))
}

/// Lines under a heading, if there are any. They come from certificates, so they are shown as they print.
fn block(out: &mut dyn Write, head: &str, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(out, "{head}")?;
    lines.iter().try_for_each(|line| writeln!(out, "{}", printable(line)))
}

/// Lines beside a heading.
fn lines(out: &mut dyn Write, head: &str, lines: &[String]) -> io::Result<()> {
    for (index, line) in lines.iter().enumerate() {
        let head = if index == 0 { head } else { "             " };
        writeln!(out, "{head}{}", printable(line))?;
    }
    Ok(())
}

fn uris(out: &mut dyn Write, head: &str, uris: &[Uri]) -> io::Result<()> {
    let line = |uri: &Uri| match &uri.issuer {
        Some(issuer) => format!("{} (CRL issuer: {issuer})", uri.uri),
        None => uri.uri.clone(),
    };
    lines(out, head, &uris.iter().map(line).collect::<Vec<_>>())
}

/// Text of a stranger, which a terminal must not obey.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "?")
}

fn joined<T: ToString>(items: &[T], between: &str) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();
    items.join(between)
}

/// `01:ff`.
fn hex(octets: &[u8]) -> String {
    let digits: Vec<String> = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    digits.join(":")
}

/// Why a certificate was revoked (RFC 5280, 5.3.1).
fn why(reason: u8) -> String {
    let known = match reason {
        0 => "unspecified",
        1 => "key compromise",
        2 => "ca compromise",
        3 => "affiliation changed",
        4 => "superseded",
        5 => "cessation of operation",
        6 => "certificate hold",
        8 => "remove from crl",
        other => return format!("({other})"),
    };
    known.into()
}

/// A time as ASN.1 has it, `20260102030405Z`.
fn generalized(text: &str) -> Option<i64> {
    let time: DateTime = DateTime::strptime("%Y%m%d%H%M%S", text.strip_suffix('Z')?).ok()?;
    let zoned = time.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_second())
}

/// A time span in its largest unit of which there are more than two.
fn span(seconds: i64) -> String {
    let (count, unit) = match seconds {
        ..=120 => (seconds, "second"),
        121..=7_200 => (seconds / 60, "minute"),
        7_201..=172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
