//! ipsec.secrets: who shares which secret.
//!
//! ```text
//! moon.strongswan.org carol.strongswan.org : PSK "a secret"
//! ```

use std::path::Path;

use zeroize::Zeroizing;

use crate::encoded;
use crate::identity::Identity;
use crate::secret::{FileSecret, SecretKind, SharedSecret};

/// Files may include others this deep.
const MAX_DEPTH: usize = 10;

/// What was read, up to the first mistake.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The secrets.
    pub secrets: Vec<FileSecret>,
    /// Lines for the log, at level 1.
    pub log: Vec<String>,
}

/// Reads a file and what it includes.
///
/// # Errors
///
/// If the file itself cannot be opened.
pub fn load(path: &Path) -> std::io::Result<Loaded> {
    let text = read(path)?;
    let mut loaded = Loaded::default();
    loaded.text(&text, path, 0);
    Ok(loaded)
}

fn read(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let octets = Zeroizing::new(std::fs::read(path)?);
    Ok(Zeroizing::new(String::from_utf8_lossy(&octets).into_owned()))
}

impl Loaded {
    /// A mistake ends the file: what follows it might be cut from a secret.
    fn text(&mut self, text: &str, path: &Path, depth: usize) {
        for (line, number) in text.lines().zip(1..) {
            let line = without_comment(line).trim();
            if line.is_empty() {
                continue;
            }
            if let Some(pattern) = line.strip_prefix("include ") {
                self.include(pattern.trim(), path, depth);
                continue;
            }
            if let Err(mistake) = self.entry(line) {
                self.log.push(format!(
                    "line {number}: {mistake} ({}:{number}; the lines after it are not read)",
                    path.display()
                ));
                return;
            }
        }
    }

    fn include(&mut self, pattern: &str, from: &Path, depth: usize) {
        if depth >= MAX_DEPTH {
            self.log
                .push(format!("maximum level of {MAX_DEPTH} includes reached, ignored"));
            return;
        }
        let paths = crate::include::matching(pattern.trim_matches('"'), from).unwrap_or_else(|hidden| {
            self.log.push(hidden.to_string());
            Vec::new()
        });
        for path in paths {
            match read(&path) {
                Ok(text) => {
                    self.log
                        .push(format!("loading secrets from '{}'", path.display()));
                    self.text(&text, &path, depth + 1);
                }
                Err(error) => {
                    self.log.push(format!(
                        "opening secrets file '{}' failed: {error}",
                        path.display()
                    ));
                }
            }
        }
    }

    fn entry(&mut self, line: &str) -> Result<(), String> {
        let (owners, rest) = match line.strip_prefix(':') {
            Some(rest) => ("", rest),
            None => line.split_once(" : ").ok_or("missing ' : ' separator")?,
        };
        let rest = rest.trim();
        let (token, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let kind = match token {
            "" => return Err("missing token".into()),
            "PSK" => SecretKind::Ike,
            "EAP" => SecretKind::Eap,
            "XAUTH" => SecretKind::Xauth,
            "NTLM" => SecretKind::Ntlm,
            "RSA" | "ECDSA" | "BLISS" | "PKCS8" | "P12" | "PIN" => {
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
        let secret = secret(value.trim()).map_err(|why| format!("malformed secret: {why}"))?;
        let owners: Vec<Identity> = owners.split_whitespace().map(Identity::parse).collect();
        let shown: Vec<String> = owners.iter().map(Identity::to_string).collect();
        let shown = if shown.is_empty() {
            "%any".to_owned()
        } else {
            shown.join(" ")
        };
        self.log.push(format!("  loaded {kind} secret for {shown}"));
        let owners = if owners.iter().any(Identity::is_any) {
            Vec::new()
        } else {
            owners
        };
        self.secrets.push((kind, owners, secret));
        Ok(())
    }
}

/// The line without what follows a `#` outside quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None, '#') if line[..at].chars().next_back().is_none_or(char::is_whitespace) => {
                return &line[..at];
            }
            _ => {}
        }
    }
    line
}

/// `"text"`, `'text'`, `0x` hexadecimal or `0s` base64.
fn secret(text: &str) -> Result<SharedSecret, &'static str> {
    for quote in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(quote) {
            let (inner, after) = rest.split_once(quote).ok_or("missing second delimiter")?;
            if !after.trim().is_empty() {
                return Err("unexpected text after the secret");
            }
            return Ok(SharedSecret::new(inner.as_bytes().to_vec()));
        }
    }
    if let Some(decoded) = encoded::decode(text) {
        return decoded;
    }
    Err("expected a quoted string, 0x and hexadecimal digits, or 0s and base64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Loaded {
        let mut loaded = Loaded::default();
        loaded.text(text, Path::new("ipsec.secrets"), 0);
        loaded
    }

    fn octets(text: &str) -> Vec<u8> {
        parse(&format!(": PSK {text}"))
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
    fn a_mistake_ends_the_file_and_says_where() {
        for (line, text) in [
            ("moon PSK \"x\"", "line 2: missing ' : ' separator"),
            ("moon : ", "line 2: missing ' : ' separator"),
            (":", "line 2: missing token"),
            (
                "moon : PSX \"x\"",
                "line 2: token must be either RSA, ECDSA, BLISS, PKCS8 P12, PIN, PSK, EAP, XAUTH or NTLM",
            ),
            (": PSK \"x", "line 2: malformed secret: missing second delimiter"),
            (
                ": PSK 0x0",
                "line 2: malformed secret: expected pairs of hexadecimal digits after 0x",
            ),
        ] {
            let loaded = parse(&format!("a : PSK \"1\"\n{line}\nb : PSK \"2\"\n"));
            assert_eq!(loaded.secrets.len(), 1, "{line}");
            let last = loaded.log.last().expect("a line");
            assert!(last.starts_with(text), "{last}");
            assert!(
                last.contains("(ipsec.secrets:2; the lines after it are not read)"),
                "{last}"
            );
            assert!(
                !last.contains('x') || !last.contains("\"x\""),
                "no secret in the log"
            );
        }
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
