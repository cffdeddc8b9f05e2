//! `pools` and `authorities`.

use control::vici::{Element, Message};

use super::{Loader, Options, items};
use crate::swanctl::session::Failure;

pub(super) fn pools(loader: &mut Loader<'_, '_>, _: &Options) -> Result<(), Failure> {
    // A pool is a section of the answer.
    let answer = loader.session.daemon()?.call("get-pools", &Message::new())?;
    let known = answer.sections().map(|(name, _)| name.to_owned()).collect();
    let what = Kind {
        section: "pools",
        singular: "pool",
        load: "load-pool",
        unload: "unload-pool",
    };
    let pool = |loader: &Loader<'_, '_>, section: &str| {
        let element = |key: String| {
            let value = loader.settings.get(&format!("{section}.{key}"))?;
            Some(match key.as_str() {
                "addrs" => Element::Value(key, value.as_bytes().to_vec()),
                _ => Element::List(key, items(value)),
            })
        };
        Ok(loader
            .settings
            .keys(section)
            .into_iter()
            .filter_map(element)
            .collect())
    };
    each(loader, &what, known, pool)
}

pub(super) fn authorities(loader: &mut Loader<'_, '_>, _: &Options) -> Result<(), Failure> {
    let known = loader.known("get-authorities", "authorities")?;
    let what = Kind {
        section: "authorities",
        singular: "authority",
        load: "load-authority",
        unload: "unload-authority",
    };
    let authority = |loader: &Loader<'_, '_>, section: &str| {
        let mut message = loader.message(section)?;
        for element in &mut message.elements {
            if let Element::Value(key, value) = element
                && key == "cacert"
            {
                let name = String::from_utf8_lossy(value).into_owned();
                let path = format!("{section}.cacert");
                *value = loader.files(&name, "x509ca", &path)?.pop().unwrap_or_default();
            }
        }
        Ok(message)
    };
    each(loader, &what, known, authority)
}

struct Kind {
    section: &'static str,
    singular: &'static str,
    load: &'static str,
    unload: &'static str,
}

fn each(
    loader: &mut Loader<'_, '_>,
    what: &Kind,
    mut gone: Vec<String>,
    build: impl Fn(&Loader<'_, '_>, &str) -> Result<Message, String>,
) -> Result<(), Failure> {
    let (mut loaded, mut failed) = (0, 0);
    let singular = what.singular;
    for name in loader.settings.sections(what.section) {
        gone.retain(|known| *known != name);
        let section = format!("{}.{name}", what.section);
        let result = match build(loader, &section) {
            Ok(message) => {
                let mut request = Message::new();
                request.push_section(&name, message);
                let answer = loader.ask(what.load, &request)?;
                answer.map_err(|error| format!("{error}{}", loader.blame(&section, &error)))
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => {
                loaded += 1;
                loader.say(&format!("loaded {singular} '{name}'"))?;
            }
            Err(error) => {
                failed += 1;
                loader.failed(&format!("loading {singular} '{name}' failed: {error}"));
            }
        }
    }
    loader.finish(what.section, what.unload, loaded, failed, &gone)
}
