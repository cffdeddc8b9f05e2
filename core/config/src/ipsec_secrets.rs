//! ipsec.secrets: who shares which secret.
//!
//! ```text
//! moon.strongswan.org carol.strongswan.org : PSK "a secret"
//! ```

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use crate::identity::Identity;
use crate::secret::{FileSecret, SecretKind, SharedSecret};
use crate::{encoded, exposed, include, octets};

/// Files may include others this deep.
const MAX_DEPTH: usize = 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What entries are for.
const TOKENS: [&[u8]; 10] = [
    b"PSK", b"EAP", b"XAUTH", b"NTLM", b"RSA", b"ECDSA", b"BLISS", b"PKCS8", b"P12", b"PIN",
];

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The secrets.
    pub secrets: Vec<FileSecret>,
    /// Lines for the log, at level 1.
    pub log: Vec<String>,
    /// Those of the lines that tell of a mistake, for who has the file read.
    pub mistakes: Vec<String>,
    files: usize,
}

/// Reads a file and what it includes.
///
/// # Errors
///
/// If the file itself cannot be opened.
pub fn load(path: &Path) -> io::Result<Loaded> {
    let mut loaded = Loaded::default();
    let text = loaded.read(path)?;
    loaded.text(&text, path, 0);
    Ok(loaded)
}

impl Loaded {
    /// The octets of a file: names and secrets may be in any encoding.
    fn read(&mut self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if let Some(warning) = exposed::warning(path, &metadata) {
            self.mistake(warning);
        }
        // With room for all of it, because a vector that grows leaves copies behind.
        let size = usize::try_from(metadata.len()).unwrap_or(0);
        let mut octets = Zeroizing::new(Vec::with_capacity(size + 1));
        file.read_to_end(&mut octets)?;
        Ok(octets)
    }

    /// Reads lines. A mistake costs the entry that it is in.
    fn text(&mut self, text: &[u8], path: &Path, depth: usize) {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        if let Some(line) = octets::lone_return(text) {
            self.mistake(format!("{}:{line}: {}", path.display(), octets::LONE_RETURN));
        }
        for (line, number) in text.split(|octet| *octet == b'\n').zip(1..) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let place = format!("{}:{number}", path.display());
            let rest = line.strip_prefix(b"include");
            if let Some(pattern) = rest.filter(|rest| rest.starts_with(b" ") || rest.starts_with(b"\t")) {
                self.include(pattern.trim_ascii_start(), path, &place, depth);
            } else if let Err(mistake) = self.entry(line, &place) {
                self.mistake(format!(
                    "line {number}: {mistake} ({place}; this entry is ignored)"
                ));
            }
        }
    }

    fn mistake(&mut self, line: String) {
        self.mistakes.push(line.clone());
        self.log.push(line);
    }

    fn include(&mut self, pattern: &[u8], from: &Path, place: &str, depth: usize) {
        if depth >= MAX_DEPTH {
            return self.mistake(format!(
                "maximum level of {MAX_DEPTH} includes reached, ignored ({place})"
            ));
        }
        let pattern = match word(pattern) {
            Ok((word, _)) => octets::hold(word),
            Err(mistake) => return self.mistake(format!("include: {mistake} ({place})")),
        };
        let paths = match include::matching(&pattern, from) {
            Ok(paths) => paths,
            Err(hidden) => return self.mistake(format!("{hidden} ({place})")),
        };
        if paths.is_empty() {
            let line = include::nothing(&pattern, place);
            match include::has_wildcards(&pattern) {
                true => self.log.push(line),
                false => self.mistake(line),
            }
        }
        for path in paths {
            self.files += 1;
            if self.files > include::MAX_FILES {
                let most = include::MAX_FILES;
                return self.mistake(format!("more than {most} files are included, ignored ({place})"));
            }
            match self.read(&path) {
                Ok(text) => {
                    self.log
                        .push(format!("loading secrets from '{}'", path.display()));
                    self.text(&text, &path, depth + 1);
                }
                Err(error) => self.mistake(format!(
                    "opening secrets file '{}' failed: {error} ({place})",
                    path.display()
                )),
            }
        }
    }

    fn entry(&mut self, line: &[u8], place: &str) -> Result<(), String> {
        let (owners, rest) = owners(line)?;
        let shown = line[..line.len() - rest.len()].trim_ascii_end();
        let shown = octets::shown(&octets::hold(shown));
        let shown = if shown.is_empty() { "%any" } else { &shown };
        let rest = rest[1..].trim_ascii_start();
        let (token, value) = rest.split_at(word_end(rest));
        let kind = match token {
            b"" => return Err("missing token".into()),
            b"PSK" => SecretKind::Ike,
            b"EAP" => SecretKind::Eap,
            b"XAUTH" => SecretKind::Xauth,
            b"NTLM" => SecretKind::Ntlm,
            b"RSA" | b"ECDSA" | b"BLISS" | b"PKCS8" | b"P12" | b"PIN" => {
                let token = String::from_utf8_lossy(token);
                self.log
                    .push(format!("  {token} keys are not supported yet, entry ignored"));
                return Ok(());
            }
            _ => {
                return Err(
                    "token must be either RSA, ECDSA, BLISS, PKCS8 P12, PIN, PSK, EAP, XAUTH or NTLM".into(),
                );
            }
        };
        let (secret, rest) = secret(value.trim_ascii()).map_err(|why| format!("malformed secret: {why}"))?;
        self.log.push(format!("  loaded {kind} secret for {shown}"));
        if secret.octets().is_empty() {
            self.mistake(format!("  the secret for {shown} is empty ({place})"));
        }
        if !is_comment(rest) {
            self.mistake(format!(
                "  what follows the secret for {shown} is no part of it, quote a secret with blanks ({place})"
            ));
        }
        self.secrets.push((kind, owners, secret));
        Ok(())
    }
}

/// Whom a secret belongs to, and the line from its colon on. Nobody in particular are those that take anyone, and they
/// count only where no others are named.
fn owners(line: &[u8]) -> Result<(Vec<Identity>, &[u8]), String> {
    let (mut owners, mut rest) = (Vec::new(), line);
    loop {
        if is_comment(rest) {
            return Err("missing ' : ' separator".into());
        }
        if &rest[..word_end(rest)] == b":" {
            return Ok((owners, rest));
        }
        let (owner, after) = word(rest)?;
        // Otherwise the secret behind it would be taken for an owner, and be shown.
        if TOKENS.contains(&&rest[..word_end(rest)]) {
            return Err("missing ' : ' separator".into());
        }
        let owner = Identity::read(&octets::hold(owner))?;
        owners.extend(Some(owner).filter(|owner| !owner.is_any()));
        rest = after.trim_ascii_start();
    }
}

/// Whether nothing that counts follows.
fn is_comment(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), None | Some(b'#'))
}

fn word_end(text: &[u8]) -> usize {
    let end = text.iter().position(u8::is_ascii_whitespace);
    end.unwrap_or(text.len())
}

/// A word, or what is within quotes, and what follows it. Nothing is escaped, and a `#` in a word is part of it.
fn word(text: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    match text {
        [quote @ (b'"' | b'\''), rest @ ..] => {
            let end = rest.iter().position(|octet| octet == quote);
            let end = end.ok_or("missing second delimiter")?;
            Ok((&rest[..end], &rest[end + 1..]))
        }
        _ => Ok(text.split_at(word_end(text))),
    }
}

/// `"text"`, `'text'`, a word, `0x` and hexadecimal digits, or `0s` and base64; and what follows it.
fn secret(text: &[u8]) -> Result<(SharedSecret, &[u8]), &'static str> {
    if is_comment(text) {
        return Err("missing secret");
    }
    let (octets, rest) = word(text)?;
    let is_quoted = text.starts_with(b"\"") || text.starts_with(b"'");
    let decoded = std::str::from_utf8(octets)
        .ok()
        .filter(|word| word.len() > 2 && !is_quoted);
    let secret = match decoded.and_then(encoded::decode) {
        Some(secret) => secret?,
        None => SharedSecret::new(octets.to_vec()),
    };
    Ok((secret, rest))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn parse(text: impl AsRef<[u8]>) -> Loaded {
        let mut loaded = Loaded::default();
        loaded.text(text.as_ref(), Path::new("ipsec.secrets"), 0);
        loaded
    }

    fn octets(text: &str) -> Vec<u8> {
        parse(format!(": PSK {text}"))
            .secrets
            .remove(0)
            .2
            .octets()
            .to_vec()
    }

    #[test]
    fn the_seeds_line_is_read() {
        let loaded = parse(
            "# secrets\nmoon.strongswan.org carol@strongswan.org : PSK \"4ny7h1n6_c4n_h4pp3n_1n_7h3_n3x7_h4lf_h0ur\"\n",
        );
        assert_eq!(
            loaded.log,
            ["  loaded IKE secret for moon.strongswan.org carol@strongswan.org"]
        );
        assert_eq!(loaded.secrets.len(), 1);
        assert_eq!(loaded.secrets[0].2.octets().len(), 41);
    }

    #[test]
    fn secrets_come_in_four_forms() {
        assert_eq!(octets("\"a # b\""), b"a # b");
        assert_eq!(octets("'say \"x\"'"), b"say \"x\"");
        assert_eq!(octets("0x0aFF"), [0x0a, 0xff]);
        assert_eq!(octets("0sc2VjcmV0"), b"secret");
        assert_eq!(octets("0sc2VjcmV0IQ=="), b"secret!");
    }

    #[test]
    fn a_mistake_costs_its_entry_and_says_where() {
        for (line, text) in [
            ("moon PSK \"x\"", "line 2: missing ' : ' separator"),
            ("moon: PSK \"x\"", "line 2: missing ' : ' separator"),
            ("moon PSK \"x\" : PSK \"y\"", "line 2: missing ' : ' separator"),
            ("moon : ", "line 2: missing token"),
            (":", "line 2: missing token"),
            (
                "moon : PSX \"x\"",
                "line 2: token must be either RSA, ECDSA, BLISS, PKCS8 P12, PIN, PSK, EAP, XAUTH or NTLM",
            ),
            (": PSK", "line 2: malformed secret: missing secret"),
            (": PSK # x", "line 2: malformed secret: missing secret"),
            (": PSK \"x", "line 2: malformed secret: missing second delimiter"),
            ("\"moon : PSK 'x'", "line 2: missing second delimiter"),
            ("@# : PSK 'x'", "line 2: '@#' is empty"),
            (
                ": PSK 0x0",
                "line 2: malformed secret: expected pairs of hexadecimal digits after 0x",
            ),
        ] {
            let loaded = parse(format!("a : PSK \"1\"\n{line}\nb : PSK \"2\"\n"));
            assert_eq!(loaded.secrets.len(), 2, "{line}");
            let [mistake] = &loaded.mistakes[..] else {
                panic!("one mistake in {line}: {:?}", loaded.mistakes);
            };
            assert!(mistake.starts_with(text), "{mistake}");
            assert!(
                mistake.ends_with("(ipsec.secrets:2; this entry is ignored)"),
                "{mistake}"
            );
            assert!(!mistake.contains("\"x"), "no secret in the log");
            assert!(loaded.log.contains(mistake));
        }
    }

    #[test]
    fn a_secret_without_quotes_is_a_word() {
        for (text, secret) in [
            ("abc # comment", "abc"),
            ("ab#cd", "ab#cd"),
            ("a!b@c$d\t# x", "a!b@c$d"),
            ("aB3.dEf_7xYz\r", "aB3.dEf_7xYz"),
            ("pa'ss\"", "pa'ss\""),
            ("0x", "0x"),
            ("'a\\\"b'", "a\\\"b"),
        ] {
            let loaded = parse(format!("a : PSK {text}\n"));
            assert_eq!(loaded.secrets[0].2.octets(), secret.as_bytes(), "{text}");
            assert!(loaded.mistakes.is_empty(), "{:?}", loaded.mistakes);
        }
        assert_eq!(octets("0X0aFF"), [0x0a, 0xff]);
        assert_eq!(octets("0Sc2VjcmV0"), b"secret");
        let loaded = parse(": PSK my secret\n");
        assert_eq!(loaded.secrets[0].2.octets(), b"my");
        assert!(
            loaded.mistakes[0].contains("quote a secret with blanks"),
            "{:?}",
            loaded.mistakes
        );
    }

    #[test]
    fn owners_in_quotes_may_have_blanks() {
        let line = "\"C=CH, O=Example : x, CN=gw\" 'Carol Smith' ::1 @#0a0b %any : PSK x";
        let loaded = parse(line);
        let owners: Vec<String> = loaded.secrets[0].1.iter().map(Identity::to_string).collect();
        assert_eq!(
            owners,
            ["C=CH, O=Example : x, CN=gw", "Carol Smith", "::1", "0a:0b"]
        );
        let shown = line.trim_end_matches(" : PSK x");
        assert_eq!(loaded.log, [format!("  loaded IKE secret for {shown}")]);
        let any = parse("%any @gw : PSK x\n%any : PSK y\n");
        assert_eq!(any.secrets[0].1.len(), 1, "the gateway's alone");
        assert!(any.secrets[1].1.is_empty(), "anyone's");
        assert_eq!(
            any.log,
            ["  loaded IKE secret for %any @gw", "  loaded IKE secret for %any"]
        );
    }

    #[test]
    fn octets_that_are_no_text_stay_as_they_are() {
        let loaded = parse(b"\xef\xbb\xbfg\xe4te : PSK \"p\xe4ss\"\nb : PSK p\xe4ss\n");
        for (_, _, secret) in &loaded.secrets {
            assert_eq!(secret.octets(), b"p\xe4ss");
        }
        assert_eq!(loaded.secrets[0].1[0].data, b"g\xe4te");
        assert_eq!(loaded.log[0], "  loaded IKE secret for g\\xe4te");
    }

    #[test]
    fn an_empty_secret_and_a_file_for_everyone_are_named() {
        let loaded = parse("a : PSK \"\"\n");
        assert_eq!(loaded.secrets.len(), 1);
        assert_eq!(loaded.mistakes, ["  the secret for a is empty (ipsec.secrets:1)"]);
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "a : PSK x\ninclude nosuch/file\ninclude nosuch/*\n").expect("written");
        let mistakes = || load(file.path()).expect("it loads").mistakes;
        assert_eq!(mistakes().len(), 1, "{:?}", mistakes());
        assert!(mistakes()[0].starts_with("no files found matching 'nosuch/file' ("));
        let everyone = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(file.path(), everyone).expect("permissions");
        assert!(
            mistakes()[0].starts_with("every user can read"),
            "{:?}",
            mistakes()
        );
    }

    #[test]
    fn keys_are_skipped_and_eap_is_kept() {
        let loaded = parse(": RSA moonKey.pem\ncarol : EAP \"Ar3etTnp\"\n");
        assert_eq!(loaded.secrets.len(), 1);
        assert_eq!(
            loaded.log,
            [
                "  RSA keys are not supported yet, entry ignored",
                "  loaded EAP secret for carol"
            ]
        );
    }
}
