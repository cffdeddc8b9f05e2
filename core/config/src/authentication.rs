//! How an end authenticates: the words of `leftauth=`, `rightauth=` and `auth`, and what a peer has to satisfy besides.

use crate::connection::AuthClass;
use crate::identity::Identity;
use crate::spelling;

/// What a round of the peer has to satisfy besides its class and identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constraint {
    /// This EAP method, as IANA names it: `EAP_MSCHAPV2`.
    EapMethod(String),
    /// An EAP identity that fits this one.
    EapIdentity(Identity),
    /// Membership of one of these groups.
    Groups(Vec<String>),
    /// A certificate that this authority has issued: its file, or its distinguished name.
    Authority(String),
    /// This certificate or public key: its file, or the key itself.
    Certificate(String),
    /// All of these certificate policies.
    CertPolicies(Vec<String>),
    /// Certificates whose revocation was checked: `GOOD`, or `SKIPPED` where that suffices.
    Revocation(&'static str),
    /// Only signatures by these keys and hashes, as written: `rsa-2048-sha256`.
    Signatures(String),
}

/// A word that says how an end authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// The class.
    pub class: AuthClass,
    /// What the word demands besides.
    pub constraints: Vec<Constraint>,
}

/// A word, or a part of one, that is not a method of authentication.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a method of authentication like psk, pubkey or eap-mschapv2; '{word}' is not known{}", hint(.nearest))]
pub struct Unknown {
    word: String,
    nearest: Option<String>,
}

fn hint(nearest: &Option<String>) -> String {
    let hint = |nearest| format!(", did you mean '{nearest}'?");
    nearest.as_ref().map(hint).unwrap_or_default()
}

/// EAP methods by the words behind `eap-`; those that leave the method open name none.
const EAP: [(&str, &str); 16] = [
    ("md5", "EAP_MD5"),
    ("otp", "EAP_OTP"),
    ("gtc", "EAP_GTC"),
    ("tls", "EAP_TLS"),
    ("sim", "EAP_SIM"),
    ("sim-file", "EAP_SIM"),
    ("ttls", "EAP_TTLS"),
    ("aka", "EAP_AKA"),
    ("aka-3gpp", "EAP_AKA"),
    ("aka-3gpp2", "EAP_AKA"),
    ("peap", "EAP_PEAP"),
    ("mschapv2", "EAP_MSCHAPV2"),
    ("tnc", "EAP_TNC"),
    ("pt", "EAP_PT_EAP"),
    ("dynamic", ""),
    ("radius", ""),
];

/// Keys that signatures may be restricted to, each also behind `ike:`.
const KEYS: [&str; 7] = ["pubkey", "rsa", "rsa/pss", "ecdsa", "ed25519", "ed448", "bliss"];
const HASHES: [&str; 7] = ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "identity"];

impl Method {
    /// The method of a word, in any case of letters.
    ///
    /// # Errors
    ///
    /// The part of the word that is not known, with the nearest one that is.
    pub fn parse(text: &str) -> Result<Self, Unknown> {
        let lower = text.trim().to_ascii_lowercase();
        let plain = |class| {
            Ok(Self {
                class,
                constraints: Vec::new(),
            })
        };
        match lower.as_str() {
            "any" => plain(AuthClass::Any),
            "psk" | "secret" => plain(AuthClass::Psk),
            "never" => plain(AuthClass::Never),
            "eap" => plain(AuthClass::Eap),
            "xauth" => plain(AuthClass::Xauth),
            word if word.starts_with("xauth-") => plain(AuthClass::Xauth),
            word => match word.strip_prefix("eap-") {
                Some(method) => eap(method),
                None => signatures(word),
            },
        }
    }
}

fn eap(text: &str) -> Result<Method, Unknown> {
    // What follows a colon restricts the certificates of TLS inside EAP.
    let (method, keys) = match text.split_once(':') {
        Some((method, keys)) => (method, Some(keys)),
        None => (text, None),
    };
    let number = || method.split('-').all(|part| part.parse::<u32>().is_ok());
    let name = match EAP.iter().find(|(word, _)| *word == method) {
        Some((_, name)) => (*name).to_owned(),
        None if number() => format!("EAP_{method}"),
        None => {
            let known = EAP.iter().map(|(word, _)| format!("eap-{word}"));
            return Err(unknown(&format!("eap-{method}"), known));
        }
    };
    let mut constraints = Vec::new();
    if !name.is_empty() {
        constraints.push(Constraint::EapMethod(name));
    }
    if let Some(keys) = keys {
        constraints.extend(signatures(keys)?.constraints);
    }
    Ok(Method {
        class: AuthClass::Eap,
        constraints,
    })
}

fn signatures(text: &str) -> Result<Method, Unknown> {
    for token in text.split('-') {
        let key = token.strip_prefix("ike:").unwrap_or(token);
        let known = KEYS.contains(&key) || HASHES.contains(&token) || token.parse::<u32>().is_ok();
        if !known {
            let words = ["any", "psk", "pubkey", "eap", "xauth", "never"];
            let words = words.iter().chain(&KEYS).chain(&HASHES);
            return Err(unknown(token, words.map(|word| (*word).to_owned())));
        }
    }
    let bare = KEYS.contains(&text);
    Ok(Method {
        class: AuthClass::Pubkey,
        constraints: if bare {
            Vec::new()
        } else {
            vec![Constraint::Signatures(text.to_owned())]
        },
    })
}

fn unknown(word: &str, known: impl Iterator<Item = String>) -> Unknown {
    Unknown {
        word: word.to_owned(),
        nearest: spelling::nearest(word, known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (AuthClass, Vec<Constraint>) {
        let method = Method::parse(text).expect("a method");
        (method.class, method.constraints)
    }

    #[test]
    fn words_are_classes_and_what_they_demand() {
        let eap = |name: &str| vec![Constraint::EapMethod(name.into())];
        for (text, class, constraints) in [
            ("psk", AuthClass::Psk, vec![]),
            ("PSK", AuthClass::Psk, vec![]),
            ("any", AuthClass::Any, vec![]),
            ("pubkey", AuthClass::Pubkey, vec![]),
            ("eap-dynamic", AuthClass::Eap, vec![]),
            ("EAP-mschapv2", AuthClass::Eap, eap("EAP_MSCHAPV2")),
            ("eap-7-1234", AuthClass::Eap, eap("EAP_7-1234")),
            (
                "rsa-2048-sha256",
                AuthClass::Pubkey,
                vec![Constraint::Signatures("rsa-2048-sha256".into())],
            ),
            (
                "ike:ecdsa-sha384",
                AuthClass::Pubkey,
                vec![Constraint::Signatures("ike:ecdsa-sha384".into())],
            ),
            ("xauth-pam", AuthClass::Xauth, vec![]),
        ] {
            assert_eq!(parse(text), (class, constraints), "{text}");
        }
    }

    #[test]
    fn a_typo_is_no_method_and_the_nearest_is_named() {
        for (text, nearest) in [
            ("pks", "'psk'"),
            ("pubkeys", "'pubkey'"),
            ("eap-mschapv", "'eap-mschapv2'"),
            ("rsa-2048-sha265", "'sha256'"),
        ] {
            let error = Method::parse(text).expect_err(text).to_string();
            assert!(error.contains(nearest), "{error}");
        }
    }
}
