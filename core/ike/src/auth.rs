//! Whether a peer has proved what its connection demands.
//!
//! A method of authentication makes a [`Proof`] of each round. Only [`judge`] makes an [`Authenticated`] of proofs, and
//! without one no IKE_SA is established.

use std::fmt;
use std::sync::Arc;

use config::authentication::Constraint;
use config::connection::{AuthClass, AuthConfig, PeerConfig};
use config::identity::{Identity, Match};
use config::secret::SharedSecret;

/// What a peer has proved in one round.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) class: AuthClass,
    pub(crate) identity: Arc<Identity>,
    /// The shared key that it was made with.
    pub(crate) key: Arc<SharedSecret>,
}

/// The peer of a connection has proved all that the connection demands.
#[derive(Debug)]
pub(crate) struct Authenticated(Arc<PeerConfig>);

impl Authenticated {
    /// Whether it is for this connection, and for no other that an IKE_SA had before or has now.
    pub(crate) fn is_for(&self, config: &Arc<PeerConfig>) -> bool {
        Arc::ptr_eq(&self.0, config)
    }
}

/// What a connection demands that its peer has not proved, in the words of charon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unmet {
    /// A round is missing.
    Rounds,
    /// Something that one round has to satisfy.
    Constraint(String),
}

impl fmt::Display for Unmet {
    /// As in `selected peer config 'c' unacceptable: ...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rounds => "insufficient authentication rounds",
            Self::Constraint(_) => "constraint checking failed",
        })
    }
}

/// Compares what a peer has proved with what its connection demands. There is no demand that this does not know: what no
/// proof can satisfy is unmet.
pub(crate) fn judge(config: &Arc<PeerConfig>, proofs: &[Proof]) -> Result<Authenticated, Unmet> {
    let demanded = &config.remote_auth;
    for (round, proof) in demanded.iter().zip(proofs) {
        check_round(round, proof).map_err(Unmet::Constraint)?;
    }
    if proofs.is_empty() || proofs.len() < demanded.len() {
        return Err(Unmet::Rounds);
    }
    Ok(Authenticated(Arc::clone(config)))
}

fn check_round(demanded: &AuthConfig, proof: &Proof) -> Result<(), String> {
    // Without `..`, so that a demand that is added has to be considered here.
    let AuthConfig {
        class,
        id,
        // Only certificates have other identities.
        loose_id: _,
        certs,
        cacerts,
        constraints,
    } = demanded;
    if let Some(id) = id
        && proof.identity.matches(id) == Match::No
    {
        let (got, got_kind) = (&proof.identity, proof.identity.kind);
        let kind = id.kind;
        return Err(format!(
            "constraint check failed: identity '{id}' ({kind}) required, not matched by '{got}' ({got_kind})"
        ));
    }
    let used = proof.class;
    let method = constraints.iter().find_map(|constraint| match constraint {
        Constraint::EapMethod(name) => Some(name),
        _ => None,
    });
    if let Some(method) = method {
        return Err(format!("constraint requires {method}, but {used} was used"));
    }
    if *class != AuthClass::Any && *class != used {
        return Err(format!(
            "constraint requires {class} authentication, but {used} was used"
        ));
    }
    if let Some(issuer) = cacerts.first() {
        return Err(no_authority(&issuer.subject));
    }
    if let Some(cert) = certs.first() {
        return Err(no_certificate(&cert.subject));
    }
    constraints
        .first()
        .map_or(Ok(()), |constraint| Err(unmet(constraint)))
}

/// A pre-shared key, which is all that a peer can prove, satisfies none of them.
fn unmet(constraint: &Constraint) -> String {
    match constraint {
        Constraint::EapMethod(name) => format!("constraint requires {name}"),
        Constraint::EapIdentity(id) => {
            let kind = id.kind;
            format!("constraint check failed: EAP identity '{id}' ({kind}) required")
        }
        Constraint::Groups(groups) => {
            let groups = groups.join("' or '");
            format!("constraint check failed: group membership to '{groups}' required")
        }
        Constraint::Authority(name) => no_authority(name),
        Constraint::Certificate(name) => no_certificate(name),
        Constraint::CertPolicies(policies) => {
            format!("constraint requires cert policy {}", policies.join(", "))
        }
        Constraint::Revocation(state) => {
            format!("constraint check failed: RULE_CRL_VALIDATION is FAILED, but requires at least {state}")
        }
        Constraint::Signatures(words) => {
            format!("constraint check failed: a signature by '{words}' required")
        }
    }
}

fn no_authority(name: impl fmt::Display) -> String {
    format!("constraint check failed: peer not authenticated by CA '{name}'")
}

fn no_certificate(name: impl fmt::Display) -> String {
    format!("constraint check failed: peer not authenticated with peer cert '{name}'")
}
