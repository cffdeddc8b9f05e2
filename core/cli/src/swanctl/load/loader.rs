//! What all that is loaded has in common.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use config::exposed;
use config::octets;
use config::settings::Settings;
use config::spelling;
use config::swanctl_conf::keys::{Kind, Section};
use control::vici::client;
use control::vici::{Element, Message};
use zeroize::Zeroize;

use super::{Ask, Daemon, Options};
use crate::swanctl::dump::{self, Format};
use crate::swanctl::session::Failure;

/// What is at work.
pub(super) struct Loader<'a> {
    pub(super) daemon: &'a mut dyn Daemon,
    pub(super) out: &'a mut dyn Write,
    pub(super) err: &'a mut dyn Write,
    pub(super) format: Format,
    pub(super) ask: &'a mut Ask<'a>,
    pub(super) settings: Settings,
    /// The directory with swanctl.conf and those of certificates and keys.
    pub(super) base: PathBuf,
    pub(super) options: &'a Options,
    /// How much could not be loaded.
    pub(super) failures: usize,
}

impl Loader<'_> {
    /// Says which sections are none; they are skipped.
    pub(super) fn check_sections(&mut self) -> io::Result<()> {
        const SECTIONS: [&str; 4] = ["connections", "secrets", "pools", "authorities"];
        for name in self.settings.sections("") {
            // What begins with something else may be a template.
            let near = spelling::nearest(&name, SECTIONS.map(str::to_owned));
            if let Some(near) = near.filter(|near| *near != name) {
                let place = self.place(&name);
                self.warn(&format!(
                    "{place}: section '{name}' is not used, did you mean '{near}'?"
                ))?;
            }
        }
        Ok(())
    }

    /// Runs a command; whether it worked, and if not, why not.
    pub(super) fn request(
        &mut self,
        command: &str,
        request: &Message,
    ) -> Result<Result<Message, String>, Failure> {
        let answer = match self.daemon.call(command, request) {
            // It costs what the request is about; the next one may be sent.
            Err(error @ client::Error::Unsendable(_)) => return Ok(Err(error.to_string())),
            answer => answer?,
        };
        let label = format!("{command} reply");
        match self.format {
            Format::Text => {}
            Format::Raw => dump::raw(&label, &answer, self.out)?,
            Format::Pretty => dump::pretty(&label, &answer, self.out)?,
            Format::Json => writeln!(self.out, "{}", dump::json(&answer))?,
        }
        Ok(match answer.get_bool("success") {
            Some(false) => Err(answer
                .get_str("errmsg")
                .unwrap_or("the daemon does not say why")
                .to_owned()),
            _ => Ok(answer),
        })
    }

    /// Runs a command whose `data` is secret, and forgets it.
    pub(super) fn request_secret(
        &mut self,
        command: &str,
        mut request: Message,
    ) -> Result<Result<Message, String>, Failure> {
        let result = self.request(command, &request);
        for element in &mut request.elements {
            if let Element::Value(_, value) = element {
                value.zeroize();
            }
        }
        result
    }

    /// The names that the daemon has of something.
    pub(super) fn known(&mut self, command: &str, list: &str) -> Result<Vec<String>, Failure> {
        let answer = self.daemon.call(command, &Message::new())?;
        let names = answer.get_texts(list);
        Ok(names.into_iter().map(|name| name.into_owned()).collect())
    }

    /// Says what worked. Where answers are written as they are, they say it.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        match self.format {
            Format::Text => writeln!(self.out, "{text}"),
            _ => Ok(()),
        }
    }

    /// Says something on stderr, after what has been said before.
    pub(super) fn warn(&mut self, text: &str) -> io::Result<()> {
        self.out.flush()?;
        writeln!(self.err, "{text}")
    }

    /// Says that every user can read or write a file with secrets.
    pub(super) fn warn_if_exposed(&mut self, file: &Path) -> io::Result<()> {
        if !self.options.warn {
            return Ok(());
        }
        let metadata = file.metadata().ok();
        match metadata.and_then(|metadata| exposed::warning(file, &metadata)) {
            Some(warning) => self.warn(&warning),
            None => Ok(()),
        }
    }

    /// Says what did not work, and counts it.
    pub(super) fn failed(&mut self, text: &str) -> io::Result<()> {
        self.failures += 1;
        self.warn(text)
    }

    /// Where a section or key is, `swanctl.conf:12`.
    pub(super) fn place(&self, path: &str) -> String {
        self.settings.place(path).unwrap_or("swanctl.conf").to_owned()
    }

    /// A section as vici has it. Files that keys name are sent by what is in them; what is unknown is left to the
    /// daemon, which may be newer.
    pub(super) fn message(&self, path: &str, section: Section) -> Result<Message, String> {
        let mut elements = Vec::new();
        for key in self.settings.keys(path) {
            let full = format!("{path}.{key}");
            let Some(value) = self.settings.get(&full) else {
                continue;
            };
            let unknown = match section {
                Section::Pool => Kind::List,
                _ => Kind::Text,
            };
            elements.push(match section.kind(&key).unwrap_or(unknown) {
                Kind::List => Element::List(key, items(value)),
                Kind::Files => {
                    let directory = match key.as_str() {
                        "cacerts" => "x509ca",
                        "pubkeys" => "pubkey",
                        _ => "x509",
                    };
                    let files = list(value).map(|name| self.file(name, directory, &full));
                    Element::List(key, files.collect::<Result<_, _>>()?)
                }
                _ => Element::Value(key, octets::release(value)),
            });
        }
        for name in self.settings.sections(path) {
            // What is in a section that is none does not matter: the daemon refuses it.
            let kind = section.section(&name).unwrap_or(Section::Children);
            let inner = self.message(&format!("{path}.{name}"), kind)?;
            elements.push(Element::Section(name, inner.elements));
        }
        Ok(elements.into())
    }

    /// What is in a file that a key names, which is in a directory unless the name says otherwise.
    pub(super) fn file(&self, name: &str, directory: &str, key: &str) -> Result<Vec<u8>, String> {
        let path = self.base.join(directory).join(name);
        std::fs::read(&path).map_err(|error| {
            let (path, place) = (path.display(), self.place(key));
            format!("reading '{path}' failed: {error} ({place})")
        })
    }

    /// Unloads what the daemon knows and the file does not have, and says how it went with all.
    pub(super) fn finish(
        &mut self,
        what: &str,
        unload: &str,
        loaded: usize,
        failed: usize,
        gone: &[String],
    ) -> Result<(), Failure> {
        let kind = match unload {
            "unload-conn" => "connection",
            "unload-pool" => "pool",
            _ => "authority",
        };
        let mut unloaded = 0;
        for name in gone {
            match self.request(unload, &Message::new().value("name", name))? {
                Ok(_) => unloaded += 1,
                // It goes on as it was, which is no failure of what is loaded.
                Err(error) => self.warn(&format!("unloading {kind} '{name}' failed: {error}"))?,
            }
        }
        let total = loaded + failed;
        if failed > 0 {
            self.warn(&format!(
                "loaded {loaded} of {total} {what}, {failed} failed to load, {unloaded} unloaded"
            ))?;
            return Ok(());
        }
        Ok(self.say(&match total {
            0 => format!("no {what} found, {unloaded} unloaded"),
            _ => format!("successfully loaded {loaded} {what}, {unloaded} unloaded"),
        })?)
    }
}

/// The items of a list with commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn items(text: &str) -> Vec<Vec<u8>> {
    list(text).map(octets::release).collect()
}
