//! `secrets`: what two share, keys on tokens, and what unlocks files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::secret::SharedSecret;
use config::swanctl_conf::check::{What, mistakes};
use config::swanctl_conf::keys::{SHARED, Section, UNLOCK};
use config::{encoded, octets};
use control::vici::{Element, Message};

use super::loader::Loader;
use crate::swanctl::session::Failure;

pub(super) fn load(loader: &mut Loader<'_>) -> Result<(), Failure> {
    for file in files(loader) {
        loader.warn_if_exposed(&file)?;
    }
    let mut gone = loader.known("get-shared", "keys")?;
    for name in loader.settings.sections("secrets") {
        let path = format!("secrets.{name}");
        let Some(section) = Section::secret(&name) else {
            let place = loader.place(&path);
            loader.warn(&format!("ignoring unsupported secret '{name}' ({place})"))?;
            continue;
        };
        check(loader, &name, &path, section)?;
        if section == Section::Shared {
            gone.retain(|known| *known != name);
            let kind = SHARED.iter().find(|kind| name.starts_with(**kind));
            shared(loader, &name, &path, kind.copied().unwrap_or_default())?;
        }
    }
    for id in gone {
        if let Err(error) = loader.request("unload-shared", &Message::new().value("id", &id))? {
            loader.failed(&format!("unloading shared key '{id}' failed: {error}"))?;
        }
    }
    Ok(())
}

/// The files that the secrets are written in.
fn files(loader: &Loader<'_>) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for name in loader.settings.sections("secrets") {
        for key in ["secret", "pin"] {
            let place = loader.settings.place(&format!("secrets.{name}.{key}"));
            let file = place.and_then(|place| place.rsplit_once(':'));
            files.extend(file.map(|(file, _)| PathBuf::from(file)));
        }
    }
    files
}

/// Says which keys are none; the daemon never sees them, and strongSwan lets them be.
fn check(loader: &mut Loader<'_>, name: &str, path: &str, section: Section) -> Result<(), Failure> {
    for mistake in mistakes(&loader.settings, path, section) {
        let key = &mistake.name;
        if mistake.what != What::Value {
            loader.warn(&format!(
                "unknown option: {key} in secret '{name}', ignored ({mistake})"
            ))?;
        }
    }
    if section == Section::Unlock && loader.settings.get(&format!("{path}.file")).is_none() {
        let place = loader.place(path);
        loader.warn(&format!("missing file in '{name}', ignored ({place})"))?;
    }
    Ok(())
}

fn shared(loader: &mut Loader<'_>, name: &str, path: &str, kind: &str) -> Result<(), Failure> {
    let Some(secret) = loader.settings.get(&format!("{path}.secret")) else {
        let place = loader.place(path);
        return Ok(loader.warn(&format!("missing secret in '{name}', ignored ({place})"))?);
    };
    let secret = encoded::decode(secret).unwrap_or_else(|| Ok(plain(secret)));
    let (result, key) = match secret {
        Ok(secret) => {
            let owners = loader.settings.keys(path).into_iter();
            let owners: Vec<Vec<u8>> = owners
                .filter(|key| key.starts_with("id"))
                .filter_map(|key| loader.settings.get(&format!("{path}.{key}")).map(octets::release))
                .collect();
            let mut request = Message::new()
                .value("id", name)
                .value("type", kind)
                .octets("data", secret.octets());
            request.elements.push(Element::List("owners".into(), owners));
            (loader.request_secret("load-shared", request)?, path.to_owned())
        }
        Err(expected) => (Err(expected.to_owned()), format!("{path}.secret")),
    };
    match result {
        Ok(_) => loader.say(&format!("loaded {kind} secret '{name}'"))?,
        Err(error) => {
            let place = loader.place(&key);
            loader.failed(&format!(
                "loading shared secret failed: {error} ('{name}', {place})"
            ))?;
        }
    }
    Ok(())
}

/// A secret as it is written, in whatever encoding.
fn plain(text: &str) -> SharedSecret {
    SharedSecret::new(octets::release(text))
}

/// Loads the keys on tokens; their ids.
pub(super) fn tokens(loader: &mut Loader<'_>) -> Result<Vec<String>, Failure> {
    let mut loaded = Vec::new();
    for name in loader.settings.sections("secrets") {
        if Section::secret(&name) != Some(Section::Token) {
            continue;
        }
        let path = format!("secrets.{name}");
        let keys = ["handle", "slot", "module"];
        let request = keys.iter().fold(Message::new(), |request, key| {
            request.value_if(key, loader.settings.get(&format!("{path}.{key}")))
        });
        let pin = loader.settings.get(&format!("{path}.pin"));
        let pin = pin.map(plain);
        let pin = pin.or_else(|| loader.prompt(&format!("PIN for {name}: ")));
        let request = match &pin {
            Some(pin) => request.octets("pin", pin.octets()),
            None => request,
        };
        match loader.request_secret("load-token", request)? {
            Ok(answer) => {
                let id = answer.get_str("id").unwrap_or_default();
                loader.say(&format!("loaded key {name} from token [keyid: {id}]"))?;
                loaded.push(id.to_owned());
            }
            Err(error) => {
                let place = loader.place(&path);
                loader.failed(&format!("loading '{name}' failed: {error} ({place})"))?;
            }
        }
    }
    Ok(loaded)
}

impl Loader<'_> {
    /// Asks for a password, unless nobody wants to be asked.
    pub(super) fn prompt(&mut self, question: &str) -> Option<SharedSecret> {
        if self.options.noprompt {
            return None;
        }
        (self.ask)(question)
    }

    /// What the file has to unlock a file of a directory with: of several sections, that named like the directory.
    pub(super) fn passphrase(&self, file: &Path, directory: &str) -> Option<SharedSecret> {
        let fits = |section: &String| {
            let named = self.settings.get(&format!("secrets.{section}.file"));
            let named = named.map(|named| self.base.join(directory).join(named));
            named.is_some_and(|named| named == file)
        };
        let mut sections = self.settings.sections("secrets");
        sections.retain(|name| UNLOCK.iter().any(|kind| name.starts_with(kind)));
        sections.retain(fits);
        // A stable sort: the first of the file stays the first.
        sections.sort_by_key(|name| !name.starts_with(directory));
        sections.iter().find_map(|section| {
            let secret = self.settings.get(&format!("secrets.{section}.secret"))?;
            Some(plain(secret))
        })
    }
}
