//! Requests to octets and back.

use super::{Cache, Connection, Credentials, Listing, Request, SaSelector};
use crate::Error;
use crate::packet::{Packet, PacketType};
use crate::vici::Message;

impl Request {
    /// The packet, without the length before it.
    ///
    /// # Errors
    ///
    /// If a name or value is too long.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let (name, message) = self.to_parts();
        Packet::new(PacketType::CmdRequest, name, message.encode()?).encode()
    }

    /// Reads a packet, without the length before it.
    ///
    /// # Errors
    ///
    /// If it is none, or no request.
    pub fn decode(octets: &[u8]) -> Result<Self, Error> {
        let packet = Packet::decode(octets)?;
        if packet.kind != PacketType::CmdRequest {
            return Err(Error::PacketType(packet.kind as u8));
        }
        Self::from_parts(&packet.name, &Message::decode(&packet.message)?)
    }

    fn to_parts(&self) -> (&'static str, Message) {
        let message = Message::new();
        match self {
            Self::Initiate { name, wait } => ("initiate", message.value("name", name).flag("wait", *wait)),
            Self::Terminate { target, wait } => {
                ("terminate", message.value("name", target).flag("wait", *wait))
            }
            Self::TerminateSourceIp { start, end } => (
                "terminate-srcip",
                message.value("start", start).value_if("end", end.as_ref()),
            ),
            Self::Rekey { target } => ("rekey", message.value("name", target)),
            Self::Route { name } => ("route", message.value("name", name)),
            Self::Unroute { name } => ("unroute", message.value("name", name)),
            Self::AddConnection(connection) => ("add-conn", connection.to_message()),
            Self::DeleteConnection { name } => ("del-conn", message.value("name", name)),
            Self::Status { name, all } => (
                "status",
                message.value_if("name", name.as_ref()).flag("all", *all),
            ),
            Self::List { what, utc } => (
                "list",
                message
                    .list("what", what.iter().map(|it| it.word()))
                    .flag("utc", *utc),
            ),
            Self::Reread(what) => ("reread", message.list("what", what.iter().map(|it| it.word()))),
            Self::Purge(what) => ("purge", message.value("what", what.word())),
            Self::Leases { pool, address } => (
                "leases",
                message
                    .value_if("pool", pool.as_ref())
                    .value_if("address", address.as_ref()),
            ),
            Self::LogLevel { group, level } => {
                ("loglevel", message.value("group", group).value("level", level))
            }
            Self::Counters { name, reset } => (
                "counters",
                message.value_if("name", name.as_ref()).flag("reset", *reset),
            ),
            Self::Report { text } => ("report", message.value("text", text)),
            Self::Version => ("version", message),
        }
    }

    fn from_parts(verb: &str, message: &Message) -> Result<Self, Error> {
        let need = |key: &str| {
            let text = message
                .get_str(key)
                .filter(|text| !text.is_empty())
                .map(str::to_owned);
            text.ok_or_else(|| Error::Request(format!("request {verb} lacks {key}")))
        };
        let may = |key: &str| {
            message
                .get_str(key)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let flag = |key: &str| message.get_bool(key).unwrap_or(false);
        let unknown =
            |what: &str| Error::Request(format!("request {verb} of unknown '{}'", what.escape_default()));
        Ok(match verb {
            "initiate" => Self::Initiate {
                name: need("name")?,
                wait: flag("wait"),
            },
            "terminate" => Self::Terminate {
                target: need("name")?.parse::<SaSelector>()?,
                wait: flag("wait"),
            },
            "terminate-srcip" => Self::TerminateSourceIp {
                start: need("start")?,
                end: may("end"),
            },
            "rekey" => Self::Rekey {
                target: need("name")?.parse::<SaSelector>()?,
            },
            "route" => Self::Route { name: need("name")? },
            "unroute" => Self::Unroute { name: need("name")? },
            "add-conn" => {
                let pairs = |name| {
                    let section = message.get_section(name);
                    let pairs = section.values();
                    pairs
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .collect()
                };
                Self::AddConnection(Connection {
                    name: need("name")?,
                    source: may("source").unwrap_or_default(),
                    uniqueids: may("uniqueids").unwrap_or_default(),
                    settings: pairs("settings"),
                    places: pairs("places"),
                })
            }
            "del-conn" => Self::DeleteConnection { name: need("name")? },
            "report" => Self::Report { text: need("text")? },
            "status" => Self::Status {
                name: may("name"),
                all: flag("all"),
            },
            "list" => {
                let word = |word: &_| Listing::from_word(word).ok_or_else(|| unknown(word));
                let what = message
                    .get_texts("what")
                    .iter()
                    .map(|it| word(it.as_ref()))
                    .collect::<Result<_, _>>()?;
                Self::List {
                    what,
                    utc: flag("utc"),
                }
            }
            "reread" => {
                let word = |word: &_| Credentials::from_word(word).ok_or_else(|| unknown(word));
                Self::Reread(
                    message
                        .get_texts("what")
                        .iter()
                        .map(|it| word(it.as_ref()))
                        .collect::<Result<_, _>>()?,
                )
            }
            "purge" => {
                let what = need("what")?;
                Self::Purge(Cache::from_word(&what).ok_or_else(|| unknown(&what))?)
            }
            "leases" => Self::Leases {
                pool: may("pool"),
                address: may("address"),
            },
            "loglevel" => {
                let level = need("level")?;
                let number = level.parse().ok().filter(|level| (-1..=4).contains(level));
                let bad = || Error::Request(format!("level '{}' is none of -1 to 4", level.escape_default()));
                Self::LogLevel {
                    group: need("group")?,
                    level: number.ok_or_else(bad)?,
                }
            }
            "counters" => Self::Counters {
                name: may("name"),
                reset: flag("reset"),
            },
            "version" => Self::Version,
            _ => {
                return Err(Error::Request(format!(
                    "there is no request '{}'",
                    verb.escape_default()
                )));
            }
        })
    }
}

impl Connection {
    /// As the daemon's command to add it has it: `name`, `source`, `uniqueids` and the sections `settings` and `places`.
    pub fn to_message(&self) -> Message {
        Message::new()
            .value("name", &self.name)
            .value("source", &self.source)
            .value("uniqueids", &self.uniqueids)
            .section("settings", |section| {
                self.settings
                    .iter()
                    .fold(section, |section, (key, value)| section.value(key, value))
            })
            .section("places", |section| {
                self.places
                    .iter()
                    .fold(section, |section, (key, value)| section.value(key, value))
            })
    }
}
