//! How the ends of a `conn` section authenticate, and who they are.

use super::conn::{Error, Reader};
use super::values::{id, is_loose, items};
use crate::authentication::{Constraint, Method};
use crate::connection::{AuthClass, AuthConfig};
use crate::identity::Identity;
use crate::octets;

impl Reader<'_> {
    /// How an end authenticates: the first round, and the second if there is one.
    pub(super) fn rounds(&self, side: &str) -> Result<Vec<AuthConfig>, Error> {
        // Like strongSwan: as soon as either end says how it authenticates, authby says nothing about the other.
        let by_ends = ["left", "right"]
            .iter()
            .any(|end| self.side(end, "auth").is_some());
        let authby = self.get("authby").filter(|_| !by_ends).unwrap_or("pubkey");
        let xauth = authby.starts_with("xauth");
        let first = match self.side(side, "auth").unwrap_or(authby) {
            "xauthpsk" => "psk",
            "xauthrsasig" | "rsasig" => "rsa",
            "ecdsasig" => "ecdsa",
            word => word,
        };
        let mut rounds = vec![self.round(side, first, "")?];
        let by_xauth = (self.get("xauth") == Some("server")) == (side == self.remote);
        let second = self
            .side(side, "auth2")
            .or((xauth && by_xauth).then_some("xauth"));
        match second {
            Some(word) => rounds.push(self.round(side, word, "2")?),
            None => self.refuse_lone_second(side)?,
        }
        Ok(rounds)
    }

    /// What is said of a second round that does not exist must not be lost.
    fn refuse_lone_second(&self, side: &str) -> Result<(), Error> {
        if side != self.remote {
            return Ok(());
        }
        let keys = ["id2", "cert2", "ca2", "groups2"].map(|key| format!("{side}{key}"));
        match keys.iter().find(|key| self.get(key).is_some()) {
            Some(key) => Err(Error::of(
                key,
                format!("{key}= is about a second round of authentication, but {side}auth2= is missing"),
            )),
            None => Ok(()),
        }
    }

    fn round(&self, side: &str, word: &str, number: &str) -> Result<AuthConfig, Error> {
        let key = format!("{side}auth{number}");
        let method = Method::parse(word)
            .map_err(|why| Error::of(&key, format!("bad value {key}={word}, expected {why}")))?;
        let constraints = if side == self.remote {
            [method.constraints, self.constraints(side, number, method.class)].concat()
        } else {
            Vec::new()
        };
        Ok(AuthConfig {
            class: method.class,
            id: self.identity(side, number)?.filter(|id| !id.is_any()),
            loose_id: self.get(&format!("{side}id{number}")).is_some_and(is_loose),
            constraints,
            ..AuthConfig::default()
        })
    }

    /// Who an end is. One of which nothing is said is who its address or name says, unless that is any, or unless it has
    /// a certificate. This end remains in its second round who it was in the first.
    fn identity(&self, side: &str, number: &str) -> Result<Option<Identity>, Error> {
        let said = |number: &str| {
            let key = format!("{side}id{number}");
            let read = |text| {
                let bad = |why| Error::of(&key, format!("bad value {key}={}, {why}", octets::shown(text)));
                id(text).map_err(bad)
            };
            self.get(&key).map(read).transpose()
        };
        let own = said(number)?;
        Ok(match (own, number) {
            (None, "") if self.side(side, "cert").is_none() => self.identity_of_address(side),
            (None, "2") if side == self.local => said("")?.or_else(|| self.identity_of_address(side)),
            (own, _) => own,
        })
    }

    /// What `left` or `right` says, lists and ranges included.
    fn identity_of_address(&self, side: &str) -> Option<Identity> {
        let text = self.side(side, "")?;
        if matches!(text, "%defaultroute" | "%any" | "%any4" | "%any6") {
            return None;
        }
        Some(Identity::parse(text.strip_prefix('%').unwrap_or(text)))
    }

    /// What the peer has to satisfy in a round besides how it authenticates.
    fn constraints(&self, side: &str, number: &str, class: AuthClass) -> Vec<Constraint> {
        let get = |key: &str| self.side(side, key).filter(|text| !text.is_empty());
        let numbered = |key: &str| get(&format!("{key}{number}"));
        let list = |text: &str| items(text).map(str::to_owned).collect();
        let mut constraints = Vec::new();
        constraints.extend(numbered("cert").map(|file| Constraint::Certificate(file.to_owned())));
        // The peer's certificate may have to come from the same authority as the own one.
        let same = || self.side(self.local, &format!("ca{number}"));
        let authority = numbered("ca").map(|ca| if ca == "%same" { same().unwrap_or(ca) } else { ca });
        constraints.extend(authority.map(|ca| Constraint::Authority(ca.to_owned())));
        constraints.extend(numbered("groups").map(|groups| Constraint::Groups(list(groups))));
        if number.is_empty() {
            // Old files say where a public key is, not which.
            let keys = ["sigkey", "rsasigkey"].into_iter().filter_map(get);
            let keys = keys.filter(|key| !key.starts_with('%'));
            constraints.extend(keys.map(|key| Constraint::Certificate(key.to_owned())));
            constraints.extend(get("certpolicy").map(|policies| Constraint::CertPolicies(list(policies))));
        }
        if class == AuthClass::Eap
            && let Some(id) = self.get("eap_identity")
        {
            let id = Identity::parse(id.strip_prefix("%identity").unwrap_or(id));
            constraints.extend((!id.is_any()).then_some(Constraint::EapIdentity(id)));
        }
        constraints
    }
}
