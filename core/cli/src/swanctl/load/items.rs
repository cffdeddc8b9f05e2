//! `pools` and `authorities`, and what they have in common with `connections`.

use std::collections::HashSet;

use config::swanctl_conf::keys::Section;
use control::vici::{Element, Message};

use super::loader::Loader;
use crate::swanctl::session::Failure;

pub(super) fn pools(loader: &mut Loader<'_>) -> Result<(), Failure> {
    // A pool is a section of the answer.
    let answer = loader.daemon.call("get-pools", &Message::new())?;
    let known = answer.sections().map(|(name, _)| name.to_owned()).collect();
    let what = Kind {
        path: "pools",
        singular: "pool",
        section: Section::Pool,
        load: "load-pool",
        unload: "unload-pool",
    };
    each(loader, &what, known, |loader, path| {
        loader.message(path, Section::Pool)
    })
}

pub(super) fn authorities(loader: &mut Loader<'_>) -> Result<(), Failure> {
    let known = loader.known("get-authorities", "authorities")?;
    let what = Kind {
        path: "authorities",
        singular: "authority",
        section: Section::Authority,
        load: "load-authority",
        unload: "unload-authority",
    };
    each(loader, &what, known, |loader, path| {
        let mut message = loader.message(path, Section::Authority)?;
        for element in &mut message.elements {
            if let Element::Value(key, value) = element
                && key == "cacert"
            {
                let name = String::from_utf8_lossy(value).into_owned();
                *value = loader.file(&name, "x509ca", &format!("{path}.cacert"))?;
            }
        }
        Ok(message)
    })
}

/// What is loaded section by section.
pub(super) struct Kind {
    /// The section with all of them.
    pub(super) path: &'static str,
    pub(super) singular: &'static str,
    pub(super) section: Section,
    pub(super) load: &'static str,
    pub(super) unload: &'static str,
}

/// Loads all of a kind, and unloads those that the daemon had and the file no longer has.
pub(super) fn each(
    loader: &mut Loader<'_>,
    what: &Kind,
    mut gone: Vec<String>,
    build: impl Fn(&Loader<'_>, &str) -> Result<Message, String>,
) -> Result<(), Failure> {
    let (mut loaded, mut failed) = (0, 0);
    let singular = what.singular;
    let names = loader.settings.sections(what.path);
    let stays: HashSet<&String> = names.iter().collect();
    gone.retain(|known| !stays.contains(known));
    for name in &names {
        let path = format!("{}.{name}", what.path);
        let result = match build(loader, &path) {
            Ok(message) => {
                let mut request = Message::new();
                request.push_section(name, message);
                let answer = loader.request(what.load, &request)?;
                answer.map_err(|refusal| loader.blame(&path, what.section, &refusal))
            }
            Err(error) => Err(vec![error]),
        };
        match result {
            Ok(_) => {
                loaded += 1;
                loader.say(&format!("loaded {singular} '{name}'"))?;
            }
            Err(errors) => {
                failed += 1;
                for error in errors {
                    loader.failed(&format!("loading {singular} '{name}' failed: {error}"))?;
                }
            }
        }
    }
    loader.finish(what.path, what.unload, loaded, failed, &gone)
}
