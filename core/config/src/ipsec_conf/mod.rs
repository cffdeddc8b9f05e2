//! ipsec.conf: `config setup`, `conn` and `ca` sections, with `also` and `%default`.

pub mod conn;
mod keywords;
mod parser;
pub mod reference;
mod rounds;
mod values;

use std::collections::BTreeMap;
use std::path::Path;

use crate::connection::UniquePolicy;
use crate::octets;
use parser::{Raw, RawSection, SectionKind};

pub use conn::to_peer_config;
pub use parser::Error;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IpsecConf {
    /// `config setup`.
    pub setup: Setup,
    /// The connections without errors, in the order of the file.
    pub conns: Vec<Conn>,
    /// The names of those with errors.
    pub refused: Vec<String>,
    /// What is wrong with the rest, with file and line.
    pub messages: Vec<String>,
}

/// `config setup`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Log levels for loggers that strongswan.conf does not describe, `ike 2, knl 3`.
    pub charondebug: Option<String>,
    /// What happens to a second IKE_SA with the same pair of identities; strongSwan's default is to replace.
    pub uniqueids: Option<String>,
}

/// A connection as written, `also` and `%default` resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conn {
    /// Its name.
    pub name: String,
    /// Its keywords.
    pub settings: BTreeMap<String, String>,
    /// Where each of them was read, `ipsec.conf:14`.
    pub places: BTreeMap<String, String>,
    /// Where it begins, `ipsec.conf:12`.
    pub source: String,
    /// What to do with it.
    pub auto: Auto,
}

/// What to do with a connection when it is loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auto {
    /// Nothing: it is not even loaded.
    #[default]
    Ignore,
    /// Load it.
    Add,
    /// Load it and install its trap policies.
    Route,
    /// Load it and establish it.
    Start,
}

impl IpsecConf {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it cannot be read or its form is broken; mistakes within sections only cost that section.
    pub fn load(path: &Path) -> Result<Self, Error> {
        parser::file(path).and_then(Self::resolve)
    }

    /// Reads text; `name` stands for the file in messages.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        parser::text(text, Path::new(name)).and_then(Self::resolve)
    }

    fn resolve(Raw { sections, messages }: Raw) -> Result<Self, Error> {
        let mut conf = Self {
            messages,
            ..Self::default()
        };
        let mut errors = 0;
        for section in sections
            .iter()
            .filter(|section| section.kind == SectionKind::Setup)
        {
            for setting in &section.settings {
                match keywords::setup(&setting.key) {
                    keywords::Known::Yes => match setting.key.as_str() {
                        "charondebug" => conf.setup.charondebug = Some(setting.value.clone()),
                        "uniqueids" if conn::unique_policy(&setting.value).is_some() => {
                            conf.setup.uniqueids = Some(setting.value.clone());
                        }
                        // Revocation is a matter of certificates, which prove nothing here yet.
                        "strictcrlpolicy" if setting.value != "no" => conf
                            .messages
                            .push(format!("# strictcrlpolicy has no effect yet ({})", setting.place)),
                        // It says whose tunnels end, of all connections.
                        "uniqueids" => {
                            return Err(Error::Setting {
                                place: setting.place.clone(),
                                key: "uniqueids",
                                value: octets::shown(&setting.value),
                                expected: "yes, no, never, replace or keep",
                            });
                        }
                        _ => {}
                    },
                    keywords::Known::Deprecated => conf.messages.push(format!(
                        "# deprecated keyword '{}' in config setup ({})",
                        setting.key, setting.place
                    )),
                    keywords::Known::No => {
                        errors += 1;
                        conf.messages
                            .push(unknown(&setting.key, &setting.place, keywords::SETUP));
                    }
                }
            }
        }
        let conns: Vec<&RawSection> = sections
            .iter()
            .filter(|section| section.kind == SectionKind::Conn)
            .collect();
        for section in conns.iter().filter(|section| section.name != "%default") {
            let mut problems = Vec::new();
            let settings = inherit(section, &conns, &mut problems);
            let conn = conn::check(&section.name, settings, &section.place, &mut problems);
            let count = |weight| problems.iter().filter(|problem| problem.weight >= weight).count();
            errors += count(Weight::Error);
            let fatal = count(Weight::Fatal);
            conf.messages
                .extend(problems.into_iter().map(|problem| problem.text));
            if fatal == 0 {
                conf.conns.push(conn);
            } else {
                let name = &section.name;
                conf.refused.push(name.clone());
                conf.messages
                    .push(format!("# ignored conn '{name}' due to {fatal} parsing error(s)"));
            }
        }
        for section in sections.iter().filter(|section| section.kind == SectionKind::Ca) {
            if section.name != "%default" {
                conf.messages.push(format!(
                    "# ca '{}' ({}) is not used: certificates are not supported yet",
                    section.name, section.place
                ));
            }
        }
        if errors > 0 {
            conf.messages
                .push(format!("### {errors} parsing error(s) (0 fatal) ###"));
        }
        Ok(conf)
    }
}

/// Something wrong in a section.
pub(crate) struct Problem {
    weight: Weight,
    text: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// A line of its own only.
    Warning,
    /// It counts, and costs what it is about.
    Error,
    /// It costs the section.
    Fatal,
}

impl Problem {
    fn fatal(text: String) -> Self {
        let weight = Weight::Fatal;
        Self { weight, text }
    }

    fn error(text: String) -> Self {
        let weight = Weight::Error;
        Self { weight, text }
    }

    fn warning(text: String) -> Self {
        let weight = Weight::Warning;
        Self { weight, text }
    }
}

/// A keyword's value with the place it came from.
type Settings = BTreeMap<String, (String, String)>;

/// Own values before those of `also`, of which later ones win, before `%default`.
fn inherit(section: &RawSection, all: &[&RawSection], problems: &mut Vec<Problem>) -> Settings {
    let mut settings = Settings::new();
    if let Some(default) = all.iter().find(|section| section.name == "%default") {
        apply(default, all, &mut settings, &mut vec!["%default"], problems);
    }
    apply(
        section,
        all,
        &mut settings,
        &mut vec![section.name.as_str()],
        problems,
    );
    settings.retain(|_, (value, _)| !value.is_empty());
    settings
}

fn apply<'a>(
    section: &'a RawSection,
    all: &[&'a RawSection],
    settings: &mut Settings,
    path: &mut Vec<&'a str>,
    problems: &mut Vec<Problem>,
) {
    for also in section.settings.iter().filter(|setting| setting.key == "also") {
        let found = all.iter().find(|section| section.name == also.value);
        match found {
            None => problems.push(Problem::fatal(format!(
                "# bad value: also={} ({}: there is no such conn)",
                also.value, also.place
            ))),
            Some(included) if path.contains(&included.name.as_str()) => {
                problems.push(Problem::fatal(format!(
                    "# bad value: also={} ({}: it includes itself)",
                    also.value, also.place
                )));
            }
            Some(included) => {
                path.push(&included.name);
                apply(included, all, settings, path, problems);
                path.pop();
            }
        }
    }
    for setting in section.settings.iter().filter(|setting| setting.key != "also") {
        settings.insert(
            setting.key.clone(),
            (setting.value.clone(), setting.place.clone()),
        );
    }
}

fn unknown(key: &str, place: &str, known: &[&str]) -> String {
    let hint = keywords::nearest(key, known).map(|near| format!(", did you mean '{near}'?"));
    format!(
        "# unknown keyword '{}' ({place}{})",
        octets::shown(key),
        hint.unwrap_or_default()
    )
}

/// The policy of `uniqueids`, as `config setup` has it.
pub fn unique_policy(text: &str) -> UniquePolicy {
    conn::unique_policy(text).unwrap_or(UniquePolicy::Replace)
}

#[cfg(test)]
mod tests;
