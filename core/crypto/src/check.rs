//! What is wrong with the proposals that a configuration names, and what of them is left out.

use iana::keyword::Transform;
use iana::{KeyExchangeMethod, Profile, Protocol, TransformType};

use crate::proposal::{Proposal, ProposalError};
use crate::registry::Registry;
use crate::{parse, providers, select};

/// Why a connection with these proposals cannot be what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// One of them is not a proposal.
    #[error("{error} in '{text}'")]
    Invalid {
        /// The proposal as written.
        text: String,
        /// What is wrong with it.
        error: ProposalError,
    },
    /// No proposal can be used, because neither a loaded plugin nor the back end implements what each of them needs.
    #[error("{missing}, which '{text}' needs")]
    Unimplemented {
        /// The first proposal as written.
        text: String,
        /// What it needs, and who does not implement it.
        missing: String,
    },
    /// Every choice from a proposal has a method twice.
    #[error(
        "{method} is there for more than one key exchange in '{text}', which RFC 9370 does not allow; \
         name another method for one of them"
    )]
    Repeated {
        /// The proposal as written.
        text: String,
        /// The method.
        method: String,
    },
}

impl Proposal {
    /// Checks the proposals that a configuration names. Defaults that follow them are not considered, so that they never
    /// take the place of what was meant. Returns what is to be said of what cannot be used beside others that can.
    ///
    /// # Errors
    ///
    /// See [`ListError`].
    pub fn check(
        entries: &[String],
        protocol: Protocol,
        registry: &Registry,
    ) -> Result<Vec<String>, ListError> {
        Self::check_for(None, entries, protocol, registry)
    }

    /// The same for a connection that may have a profile.
    ///
    /// # Errors
    ///
    /// See [`ListError`].
    pub fn check_for(
        profile: Option<Profile>,
        entries: &[String],
        protocol: Protocol,
        registry: &Registry,
    ) -> Result<Vec<String>, ListError> {
        let (mut unusable, mut notes, mut usable) = (Vec::new(), Vec::new(), false);
        for text in entries.iter().flat_map(|entry| entry.split(',')).map(str::trim) {
            if text.eq_ignore_ascii_case("default") {
                usable = true;
                continue;
            }
            let text = text.to_owned();
            let proposal = match parse::proposal(&text, protocol, registry) {
                Ok(proposal) => proposal,
                Err(error) => return Err(ListError::Invalid { text, error }),
            };
            if let Some(missing) = proposal.missing(registry) {
                let error = ListError::Unimplemented { text, missing };
                notes.push(error.to_string());
                unusable.push(error);
                continue;
            }
            proposal.left_out(registry, &mut notes);
            let Some(rest) = proposal.implemented_part(registry) else {
                continue;
            };
            if let Some(method) = select::inevitable_repetition(&rest, profile) {
                let method = registry.method_name(KeyExchangeMethod(method));
                return Err(ListError::Repeated { text, method });
            }
            usable = true;
        }
        match unusable.first() {
            Some(error) if !usable => Err(error.clone()),
            _ => Ok(notes),
        }
    }

    /// The transforms of the first type of which none is implemented.
    fn missing(&self, registry: &Registry) -> Option<String> {
        let of_type = |kind| self.transforms.iter().filter(move |it| it.kind == kind);
        let can = |transform: &Transform| registry.implements(self.protocol, *transform);
        let kinds = self.transforms.iter().map(|transform| transform.kind);
        let mut missing = kinds.filter(|kind| !of_type(*kind).any(can));
        let kind = missing.next()?;
        let names = of_type(kind).map(|transform| {
            let name = registry.transform_name(transform);
            match self.provider(*transform) {
                Some(plugins) => format!("{name} ({plugins})"),
                None => name,
            }
        });
        let names = names.collect::<Vec<_>>().join(" or ");
        Some(if self.is_of_back_end(kind) {
            format!("the kernel back end does not implement {names}")
        } else {
            format!("no loaded plugin implements {names}")
        })
    }

    /// Says of each transform that is not implemented why it is left out, each once.
    fn left_out(&self, registry: &Registry, notes: &mut Vec<String>) {
        for transform in &self.transforms {
            if registry.implements(self.protocol, *transform) {
                continue;
            }
            let name = registry.transform_name(transform);
            let name = registry.keyword_of(*transform).unwrap_or(name);
            let reason = match self.provider(*transform) {
                Some(plugins) => format!("{plugins} is not loaded"),
                None if self.is_of_back_end(transform.kind) => {
                    "the kernel back end does not implement it".to_owned()
                }
                None => "no plugin implements it".to_owned(),
            };
            let note = format!("{name}: {reason}, it is left out");
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }

    /// The plugins that would bring a transform.
    fn provider(&self, transform: Transform) -> Option<String> {
        if self.is_of_back_end(transform.kind) {
            None
        } else {
            providers::named(transform)
        }
    }

    fn is_of_back_end(&self, kind: TransformType) -> bool {
        self.protocol != Protocol::IKE && !kind.is_key_exchange()
    }
}
