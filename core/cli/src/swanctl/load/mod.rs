//! `--load-…`: swanctl.conf to the daemon. What the daemon has over vici and the file no longer has is unloaded.

mod conns;
mod creds;
mod items;
mod keys;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};

use config::settings::Settings;
use control::vici::{Element, Message};

use super::session::{Failure, Session};
use crate::paths::Paths;

/// What to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    All,
    Authorities,
    Conns,
    Creds,
    Pools,
}

/// How.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) clear: bool,
    pub(super) file: Option<PathBuf>,
}

type Step = fn(&mut Loader<'_, '_>, &Options) -> Result<(), Failure>;

/// Something of the configuration could not be loaded (`EINVAL`).
const FAILED: u8 = 22;

/// Loads, and says what was loaded and what was not, and why.
pub(super) fn run(session: &mut Session<'_>, what: What, options: &Options) -> Result<(), Failure> {
    let base = match std::env::var_os("SWANCTL_DIR") {
        Some(base) if !base.is_empty() => PathBuf::from(base),
        _ => Paths::find()?.sysconfdir.join("swanctl"),
    };
    let file = options.file.clone().unwrap_or_else(|| base.join("swanctl.conf"));
    let mut loader = Loader {
        settings: read(&file)?,
        base,
        session,
        failures: 0,
    };
    let steps: &[Step] = match what {
        What::All => &[creds::load, items::authorities, items::pools, conns::load],
        What::Authorities => &[items::authorities],
        What::Conns => &[conns::load],
        What::Creds => &[creds::load],
        What::Pools => &[items::pools],
    };
    loader.check_sections();
    for step in steps {
        step(&mut loader, options)?;
        if loader.failures > 0 {
            return Err(Failure::Said(FAILED));
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Settings, Failure> {
    let problem = match Settings::load(file) {
        Ok(_) if !file.exists() => "there is no such file".to_owned(),
        Ok(settings) => return Ok(settings),
        Err(error) => error.to_string(),
    };
    eprintln!("parsing '{}' failed: {problem}", file.display());
    Err(Failure::Said(FAILED))
}

/// What is at work.
struct Loader<'a, 's> {
    session: &'a mut Session<'s>,
    settings: Settings,
    /// The directory with swanctl.conf and those of certificates and keys.
    base: PathBuf,
    failures: usize,
}

impl Loader<'_, '_> {
    /// Says which sections are none; they are skipped.
    fn check_sections(&self) {
        const SECTIONS: [&str; 4] = ["connections", "secrets", "pools", "authorities"];
        for name in self.settings.sections("") {
            // What begins with something else may be a template.
            let near = config::spelling::nearest(&name, SECTIONS.map(str::to_owned));
            if let Some(near) = near.filter(|near| *near != name) {
                let place = self.settings.place(&name).unwrap_or("swanctl.conf");
                eprintln!("{place}: section '{name}' is not used, did you mean '{near}'?");
            }
        }
    }

    /// Runs a command; whether it worked, and if not, why not.
    fn ask(&mut self, command: &str, request: &Message) -> Result<Result<Message, String>, Failure> {
        let answer = self.session.daemon()?.call(command, request)?;
        let label = format!("{command} reply");
        self.session.out.event(&label, &answer, |_, _| Ok(()))?;
        Ok(match answer.get_bool("success") {
            Some(false) => Err(answer
                .get_str("errmsg")
                .unwrap_or("the daemon does not say why")
                .to_owned()),
            _ => Ok(answer),
        })
    }

    /// The names that the daemon has of something.
    fn known(&mut self, command: &str, list: &str) -> Result<Vec<String>, Failure> {
        let answer = self.session.daemon()?.call(command, &Message::new())?;
        Ok(answer
            .get_texts(list)
            .into_iter()
            .map(|name| name.into_owned())
            .collect())
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.session.out, "{text}")?)
    }

    fn failed(&mut self, text: &str) {
        self.failures += 1;
        eprintln!("{text}");
    }

    /// Where a setting is that a refusal names, and what was probably meant.
    fn blame(&self, section: &str, refusal: &str) -> String {
        let unknown = refusal.starts_with("unknown option") || refusal.starts_with("invalid section");
        let key = refusal
            .split_once(": ")
            .map(|(_, rest)| rest.split(',').next().unwrap_or(rest).trim());
        let place = key
            .and_then(|key| self.find(section, key))
            .or_else(|| self.settings.place(section));
        let Some(place) = place else {
            return String::new();
        };
        let hint = key.filter(|_| unknown).map(keys::hint).unwrap_or_default();
        format!(" ({place}{hint})")
    }

    /// The first place of a key in a section or below.
    fn find(&self, section: &str, key: &str) -> Option<&str> {
        let own = self
            .settings
            .keys(section)
            .into_iter()
            .chain(self.settings.sections(section));
        if own.into_iter().any(|name| name == key) {
            return self.settings.place(&format!("{section}.{key}"));
        }
        let inner = self.settings.sections(section);
        inner
            .iter()
            .find_map(|name| self.find(&format!("{section}.{name}"), key))
    }

    /// A section as vici has it. Files that keys name are sent by what is in them.
    fn message(&self, section: &str) -> Result<Message, String> {
        let mut elements = Vec::new();
        for key in self.settings.keys(section) {
            let path = format!("{section}.{key}");
            let Some(value) = self.settings.get(&path) else {
                continue;
            };
            elements.push(match key.as_str() {
                "certs" => Element::List(key, self.files(value, "x509", &path)?),
                "cacerts" => Element::List(key, self.files(value, "x509ca", &path)?),
                "pubkeys" => Element::List(key, self.files(value, "pubkey", &path)?),
                _ if keys::LISTS.contains(&key.as_str()) => Element::List(key, items(value)),
                _ => Element::Value(key, value.as_bytes().to_vec()),
            });
        }
        for name in self.settings.sections(section) {
            let inner = self.message(&format!("{section}.{name}"))?;
            elements.push(Element::Section(name, inner.elements));
        }
        Ok(elements.into())
    }

    /// The contents of files, which are in a directory unless they say otherwise.
    fn files(&self, names: &str, directory: &str, key: &str) -> Result<Vec<Vec<u8>>, String> {
        let read = |name: &str| {
            let path = self.base.join(directory).join(name);
            std::fs::read(&path).map_err(|error| {
                let place = self.settings.place(key).unwrap_or("swanctl.conf");
                format!("reading '{}' failed: {error} ({place})", path.display())
            })
        };
        list(names).map(read).collect()
    }

    /// Unloads what the daemon knows and the file does not have, and says how it went with all.
    fn finish(
        &mut self,
        what: &str,
        unload: &str,
        loaded: usize,
        failed: usize,
        gone: &[String],
    ) -> Result<(), Failure> {
        let mut unloaded = 0;
        for name in gone {
            match self.ask(unload, &Message::new().value("name", name))? {
                Ok(_) => unloaded += 1,
                Err(error) => self.failed(&format!("unloading '{name}' failed: {error}")),
            }
        }
        let total = loaded + failed;
        if failed > 0 {
            eprintln!("loaded {loaded} of {total} {what}, {failed} failed to load, {unloaded} unloaded");
            return Ok(());
        }
        self.say(&match total {
            0 => format!("no {what} found, {unloaded} unloaded"),
            _ => format!("successfully loaded {loaded} {what}, {unloaded} unloaded"),
        })
    }
}

/// The items of a list with commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn items(text: &str) -> Vec<Vec<u8>> {
    list(text).map(|item| item.as_bytes().to_vec()).collect()
}
