//! `local…` and `remote…` of a connection: who the ends are, and how they prove it.

use config::connection::{AuthClass, AuthConfig};
use config::identity::Identity;
use control::vici::Element;

use super::Notes;
use super::values::Given;

/// A round of authentication, and its place among the others of its end.
pub(super) fn round(
    elements: &[Element],
    local: bool,
    notes: &mut Notes,
) -> Result<(u32, AuthConfig), String> {
    let mut round = 0;
    let mut auth = default();
    for given in elements.iter().map(Given) {
        match given.key() {
            "auth" => auth.class = given.parsed(class)?,
            "id" => auth.id = Some(given.parsed(identity)?).filter(|id| !id.is_any()),
            "round" => round = given.number()?,
            "eap_id" | "aaa_id" | "xauth_id" => notes.add(given.key(), given.parsed(identity)?.is_any()),
            "certs" | "pubkeys" => notes.add(given.key(), octets(&given)? == 0),
            "groups" | "cert_policy" if !local => notes.add(given.key(), given.list(Some)?.is_empty()),
            "cacerts" if !local => notes.add(given.key(), octets(&given)? == 0),
            "ca_id" if !local => notes.add(given.key(), given.parsed(identity)?.is_any()),
            "revocation" if !local => {
                let relaxed = given.parsed(|text| match text {
                    "strict" | "ifuri" => Some(false),
                    "relaxed" => Some(true),
                    _ => None,
                })?;
                notes.add(given.key(), relaxed);
            }
            key if key.starts_with("cert") || (!local && key.starts_with("cacert")) => {
                given.section()?;
                notes.add(key, false);
            }
            _ => return Err(given.unknown()),
        }
    }
    notes.add("auth", auth.class == AuthClass::Psk);
    Ok((round, auth))
}

/// An end of which nothing was said proves itself by a signature.
pub(super) fn default() -> AuthConfig {
    AuthConfig {
        class: AuthClass::Pubkey,
        id: None,
    }
}

fn identity(text: &str) -> Option<Identity> {
    Some(Identity::parse(text))
}

/// How many items a list of certificates or keys has; these are no text.
fn octets(given: &Given<'_>) -> Result<usize, String> {
    match given.0 {
        Element::List(_, items) => Ok(items.len()),
        _ => Err(given.invalid()),
    }
}

fn class(text: &str) -> Option<AuthClass> {
    // What a signature has to be made with comes after the kind of key, or alone.
    const KEYS: [&str; 8] = [
        "pubkey", "rsa", "ecdsa", "ed25519", "ed448", "bliss", "sha", "ike:",
    ];
    match text {
        "any" => Some(AuthClass::Any),
        "psk" => Some(AuthClass::Psk),
        "eap" => Some(AuthClass::Eap),
        _ if text.starts_with("eap-") => Some(AuthClass::Eap),
        _ if KEYS.iter().any(|key| text.starts_with(key)) => Some(AuthClass::Pubkey),
        _ => None,
    }
}
