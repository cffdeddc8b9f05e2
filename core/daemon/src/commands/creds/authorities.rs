//! `load-authority`, `unload-authority`, `get-authorities` and `list-authorities`.

use std::fs::File;
use std::io::{self, Read};

use control::vici::{Element, Message};
use credentials::{Authority, Certificate, MAX_OCTETS};
use plugin_api::Reply;
use plugin_api::log::Group;

use super::super::message::Extra;
use super::super::page::Page;
use super::super::{Answer, success};
use crate::privileges::hint;
use crate::run::Daemon;

/// An authority as it was sent.
#[derive(Default)]
struct Sent<'a> {
    cacert: Option<&'a [u8]>,
    file: Option<&'a str>,
    handle: Option<&'a str>,
    crl_uris: Vec<String>,
    ocsp_uris: Vec<String>,
    cert_uri_base: Option<String>,
}

impl<'a> Sent<'a> {
    fn read(elements: &'a [Element]) -> Result<Self, String> {
        let mut sent = Self::default();
        for element in elements {
            let key = element.name();
            let invalid = || format!("invalid value for: {key}, authority discarded");
            let text = |octets: &'a [u8]| {
                let text = std::str::from_utf8(octets).ok();
                text.filter(|text| !text.chars().any(char::is_control))
                    .ok_or_else(invalid)
            };
            match (key, element) {
                ("cacert", Element::Value(_, octets)) => sent.cacert = Some(octets),
                ("file", Element::Value(_, octets)) => sent.file = Some(text(octets)?),
                ("handle" | "slot" | "module", Element::Value(_, octets)) => {
                    sent.handle = Some(text(octets)?);
                }
                ("cert_uri_base", Element::Value(_, octets)) => {
                    sent.cert_uri_base = Some(text(octets)?.to_owned());
                }
                ("crl_uris" | "ocsp_uris", Element::List(_, items)) => {
                    let uris = items.iter().map(|item| text(item).map(str::to_owned));
                    let list = match key {
                        "crl_uris" => &mut sent.crl_uris,
                        _ => &mut sent.ocsp_uris,
                    };
                    list.append(&mut uris.collect::<Result<_, _>>()?);
                }
                (_, Element::Section(..)) => return Err("parsing request failed".into()),
                _ => return Err(format!("unknown option: {key}, authority discarded")),
            }
        }
        Ok(sent)
    }

    /// Its certificate, or why there is none.
    fn certificate(&self) -> Result<Certificate, String> {
        let read;
        let octets = match (self.cacert, self.file, self.handle) {
            (Some(octets), ..) => octets,
            (None, Some(path), _) => {
                read = file(path)
                    .map_err(|error| format!("reading '{path}' failed: {error}{}", hint(&error)))?;
                &read
            }
            (None, None, Some(_)) => return Err("certificates on tokens are not supported".into()),
            (None, None, None) => return Err("neither cacert nor file is set".into()),
        };
        let certificate = Certificate::parse(octets).map_err(|error| error.to_string())?;
        match certificate.flags.ca {
            true => Ok(certificate),
            false => Err("certificate without CA flag, rejected".into()),
        }
    }
}

/// What is in a file, up to more than what a certificate may have.
pub(in crate::commands) fn file(path: &str) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.take(MAX_OCTETS as u64 + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

impl Daemon {
    /// `load-authority`: a section with the name of the authority. One of that name is replaced.
    pub(in crate::commands) fn load_authority(&mut self, request: &Message) -> Answer {
        for element in &request.elements {
            let Element::Section(name, elements) = element else {
                return Err("parsing request failed".into());
            };
            let sent = Sent::read(elements)?;
            let certificate = sent.certificate().map_err(|why| {
                let text = format!("authority '{name}': {why}");
                self.logger.log(Group::Cfg, 1, text);
                format!("CA certificate missing: {name}")
            })?;
            let authority = Authority {
                name: name.clone(),
                certificate,
                crl_uris: sent.crl_uris,
                ocsp_uris: sent.ocsp_uris,
                cert_uri_base: sent.cert_uri_base,
            };
            self.log_authority(&authority);
            self.credentials
                .put_authority(authority)
                .map_err(|error| format!("adding authority failed: {error}"))?;
        }
        Ok(success())
    }

    fn log_authority(&self, authority: &Authority) {
        let log = |text: String| self.logger.log(Group::Cfg, 2, text);
        log(format!(" authority {}:", authority.name));
        log(format!("  cacert = {}", authority.certificate.subject));
        for (key, uris) in [
            ("crl_uris", &authority.crl_uris),
            ("ocsp_uris", &authority.ocsp_uris),
        ] {
            let mut head = format!("  {key} = ");
            for uri in uris {
                log(format!("{head}{uri}"));
                head = " ".repeat(head.len());
            }
        }
        if let Some(base) = &authority.cert_uri_base {
            log(format!("  cert_uri_base = {base}"));
        }
    }

    /// `unload-authority`: `name`.
    pub(in crate::commands) fn unload_authority(&mut self, request: &Message) -> Answer {
        let name = request.get_str("name").ok_or("unload: missing authority name")?;
        let gone = self.credentials.take_authority(name);
        gone.map(|_| success())
            .ok_or_else(|| format!("unload: authority '{name}' not found"))
    }

    /// `get-authorities`: the names of all.
    pub(in crate::commands) fn get_authorities(&self) -> Message {
        let names = self.credentials.authorities().iter().map(|it| &it.name);
        Message::new().list("authorities", names)
    }

    /// `list-authorities`: all, or the one with a `name`.
    pub(in crate::commands) fn list_authorities(&self, request: &Message, reply: &dyn Reply) -> Message {
        let name = request.get_str("name");
        let mut page = Page::of(request);
        for (number, authority) in (1..).zip(self.credentials.authorities()) {
            if number <= page.after || name.is_some_and(|name| name != authority.name) {
                continue;
            }
            if !page.takes(number) {
                return page.full();
            }
            let section = |message: Message| {
                message
                    .value("cacert", &authority.certificate.subject)
                    .list("crl_uris", &authority.crl_uris)
                    .list("ocsp_uris", &authority.ocsp_uris)
                    .value_if("cert_uri_base", authority.cert_uri_base.as_ref())
            };
            let event = Message::new().section(&authority.name, section);
            if !reply.event("list-authority", &event.encode_or_empty()) {
                break;
            }
        }
        Message::new()
    }
}
