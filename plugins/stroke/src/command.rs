//! Requests to commands, and their answers to text.

use std::io;
use std::sync::Arc;

use control::Verb;
use control::stroke::{Cache, Credentials, Listing, Request};
use control::vici::Message;
use plugin_api::Host;
use plugin_api::log::{CONTROL, Group};
use tokio::io::AsyncWrite;

use crate::daemon::{Answer, Call, Lost};
use crate::output::Output;
use crate::settings::Settings;
use crate::{list, status, text};

/// Why a request was not answered to its end.
#[derive(Debug)]
pub enum Error {
    /// The client has gone, or does not read.
    Client(io::Error),
    /// The daemon has no answer.
    Daemon(Lost),
    /// The request's strings do not fit into a command.
    Encoding(control::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Client(error)
    }
}

impl From<Lost> for Error {
    fn from(lost: Lost) -> Self {
        Self::Daemon(lost)
    }
}

impl From<control::Error> for Error {
    fn from(error: control::Error) -> Self {
        Self::Encoding(error)
    }
}

/// Answers one request.
pub struct Answering<'a, W> {
    host: &'a Arc<dyn Host>,
    settings: &'a Settings,
    output: Output<W>,
}

impl<'a, W: AsyncWrite + Unpin> Answering<'a, W> {
    /// Answers to this client.
    pub fn new(host: &'a Arc<dyn Host>, settings: &'a Settings, client: W) -> Self {
        Self {
            host,
            settings,
            output: Output::new(client),
        }
    }

    /// Answers a request.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn answer(mut self, request: &Request) -> Result<(), Error> {
        match request {
            Request::Initiate { name, wait } => self.long(Verb::Initiate, name, *wait).await?,
            Request::Terminate { target, wait } => {
                self.long(Verb::Terminate, &target.to_string(), *wait).await?
            }
            Request::TerminateSourceIp { start, end } => {
                self.log(&format!("received stroke: terminate srcip {start}"));
                let message = Message::new().value("start", start).value_if("end", end.as_ref());
                self.short(Verb::TerminateSourceIp, &message).await?;
            }
            Request::Rekey { target } => {
                self.log(&format!("received stroke: rekey '{target}'"));
                self.short(Verb::Rekey, &named(&target.to_string())).await?;
            }
            Request::Route { name } => {
                self.log(&format!("received stroke: route '{name}'"));
                self.short(Verb::Install, &named(name)).await?;
            }
            Request::Unroute { name } => {
                self.log(&format!("received stroke: unroute '{name}'"));
                self.short(Verb::Uninstall, &named(name)).await?;
            }
            Request::AddConnection(connection) => {
                self.short(Verb::StrokeAddConn, &connection.to_message()).await?
            }
            Request::DeleteConnection { name } => self.short(Verb::StrokeDelConn, &named(name)).await?,
            Request::Status { name, all } => self.status(name.as_deref(), *all).await?,
            Request::List { what, .. } => {
                for listing in what {
                    self.list(*listing).await?;
                }
            }
            Request::Reread(what) => {
                // Certificates of files are not supported, so there are none to be read again.
                if what.contains(&Credentials::Secrets) {
                    self.short(Verb::RereadSecrets, &Message::new()).await?;
                }
            }
            Request::Purge(Cache::Ike) => self.short(Verb::PurgeIke, &Message::new()).await?,
            // Nothing is ever cached of these.
            Request::Purge(Cache::Ocsp | Cache::Crls | Cache::Certificates) => {}
            Request::Leases { pool, address } => self.leases(pool.as_deref(), address.as_deref()).await?,
            Request::LogLevel { group, level } => {
                let message = Message::new().value("group", group).value("level", level);
                self.short(Verb::StrokeLogLevel, &message).await?;
            }
            Request::Counters { name, reset } => {
                let verb = if *reset {
                    Verb::ResetCounters
                } else {
                    Verb::GetCounters
                };
                self.counters(verb, name.as_deref()).await?;
            }
            Request::Report { text } => self.log(text),
            Request::Version => {
                let version = self.ask(Verb::Version, &Message::new()).await?;
                let of = |key| text::or_empty(&version, key);
                let system = format!("{} {}, {}", of("sysname"), of("release"), of("machine"));
                self.output
                    .line(&format!("{} {} ({system})", of("daemon"), of("version")))
                    .await?;
            }
        }
        self.output.flush().await?;
        Ok(())
    }

    fn log(&self, line: &str) {
        self.host.log(Group::Cfg, CONTROL, &text::clean(line));
    }

    fn submit(&self, verb: Verb, message: &Message) -> Result<Call, Error> {
        Ok(Call::submit(&**self.host, verb, message)?)
    }

    async fn ask(&self, verb: Verb, message: &Message) -> Result<Message, Error> {
        Ok(self.submit(verb, message)?.done().await?)
    }

    /// A command that streams the log while it is at work.
    async fn long(&mut self, verb: Verb, name: &str, wait: bool) -> Result<(), Error> {
        let mut message = named(name).value("loglevel", 1);
        match self.settings.timeout {
            _ if !wait => message.push_value("timeout", -1),
            Some(timeout) => message.push_value("timeout", timeout.as_millis()),
            None => {}
        }
        let mut call = self.submit(verb, &message)?;
        loop {
            match call.next().await? {
                Answer::Event(name, event) if name == "control-log" => {
                    self.output.line(&text::or_empty(&event, "msg")).await?;
                }
                Answer::Event(..) => {}
                Answer::Done(answer) => return self.result(verb, &answer).await,
            }
        }
    }

    async fn short(&mut self, verb: Verb, message: &Message) -> Result<(), Error> {
        let answer = self.ask(verb, message).await?;
        self.result(verb, &answer).await
    }

    /// The lines that the daemon has for the `ipsec` command, or what went wrong.
    async fn result(&mut self, verb: Verb, answer: &Message) -> Result<(), Error> {
        let lines = answer.get_texts("text");
        for line in &lines {
            self.output.line(&text::clean(line)).await?;
        }
        if is_unknown(answer) {
            self.output
                .line(&format!("this daemon has no command '{verb}'"))
                .await?;
        } else if answer.get_list("text").is_none()
            && answer.get_bool("success") == Some(false)
            && let Some(problem) = text::value(answer, "errmsg")
        {
            self.output.line(&problem).await?;
        }
        Ok(())
    }

    async fn status(&mut self, name: Option<&str>, all: bool) -> Result<(), Error> {
        let nothing = Message::new();
        let ours = Message::new().flag("stroke", true);
        let stats = self.ask(Verb::Stats, &ours).await?;
        if all {
            let version = self.ask(Verb::Version, &nothing).await?;
            let pools = self.ask(Verb::GetPools, &ours).await?;
            self.output.add(&status::daemon(&version, &stats, &pools)).await?;
            self.output.add("Connections:\n").await?;
            let mut call = self.submit(Verb::ListConns, &nothing)?;
            while let Answer::Event(_, event) = call.next().await? {
                self.output.add(&status::connection(&event, name)).await?;
            }
        }
        let mut policies = status::Policies::default();
        let mut call = self.submit(
            Verb::ListPolicies,
            &ours
                .clone()
                .flag("trap", true)
                .flag("pass", true)
                .flag("drop", true),
        )?;
        while let Answer::Event(_, event) = call.next().await? {
            policies.add(&event, name);
        }
        self.output.add(&policies.text()).await?;
        self.output.add(&status::counts(&stats)).await?;
        let mut found = false;
        let mut call = self.submit(Verb::ListSas, &ours)?;
        while let Answer::Event(_, event) = call.next().await? {
            let text = status::security_association(&event, all, name);
            found |= !text.is_empty();
            self.output.add(&text).await?;
        }
        if !found {
            self.output.add(status::none(name)).await?;
        }
        Ok(())
    }

    async fn list(&mut self, what: Listing) -> Result<(), Error> {
        let nothing = Message::new();
        match what {
            Listing::Algorithms => {
                let request = Message::new().flag("stroke", true);
                let answer = self.ask(Verb::GetAlgorithms, &request).await?;
                self.output.add(&list::algorithms(&answer)).await?;
            }
            Listing::Plugins => {
                let mut events = Vec::new();
                let mut call = self.submit(Verb::ListPlugins, &nothing)?;
                while let Answer::Event(_, event) = call.next().await? {
                    events.push(event);
                }
                self.output.add(&list::plugins(&events)).await?;
            }
            // The daemon holds none of these, and then charon prints nothing, not even a heading.
            Listing::PublicKeys
            | Listing::Certificates
            | Listing::CaCertificates
            | Listing::OcspCertificates
            | Listing::AaCertificates
            | Listing::AttributeCertificates
            | Listing::Groups
            | Listing::Authorities
            | Listing::Crls
            | Listing::Ocsp => {}
        }
        Ok(())
    }

    async fn leases(&mut self, only: Option<&str>, address: Option<&str>) -> Result<(), Error> {
        let message = Message::new()
            .flag("stroke", true)
            .flag("leases", true)
            .value_if("name", only);
        let answer = self.ask(Verb::GetPools, &message).await?;
        let (mut pools, mut matches) = (0, 0);
        for (name, pool) in answer.sections() {
            pools += 1;
            let number = |key| pool.get_int(key).unwrap_or(0);
            let (online, offline) = (number("online"), number("offline"));
            let (name, size) = (text::clean(name), number("size"));
            let head = format!(
                "Leases in pool '{name}', usage: {}/{size}, {online} online\n",
                online + offline
            );
            self.output.add(&head).await?;
            for (_, lease) in pool.get_section("leases").sections() {
                let of = |key| text::or_empty(&lease, key);
                if address.is_none_or(|only| only == of("address")) {
                    matches += 1;
                    let line = format!(
                        "  {:>15}   {}   '{}'\n",
                        of("address"),
                        of("status"),
                        of("identity")
                    );
                    self.output.add(&line).await?;
                }
            }
        }
        if pools == 0 {
            match only {
                Some(name) => {
                    self.output
                        .add(&format!("pool '{}' not found\n", text::clean(name)))
                        .await?
                }
                None => self.output.add("no pools found\n").await?,
            }
        } else if matches == 0 {
            self.output.add("  no matching leases found\n").await?;
        }
        Ok(())
    }

    async fn counters(&mut self, verb: Verb, name: Option<&str>) -> Result<(), Error> {
        let answer = self.ask(verb, &Message::new().value_if("name", name)).await?;
        if verb == Verb::ResetCounters || is_unknown(&answer) || answer.get_bool("success") == Some(false) {
            return self.result(verb, &answer).await;
        }
        let of = name
            .map(|name| format!(" for '{}'", text::clean(name)))
            .unwrap_or_default();
        self.output
            .add(&format!("\nList of IKE counters{of}:\n\n"))
            .await?;
        for (_, counters) in answer.get_section("counters").sections() {
            for (key, value) in counters.values() {
                let key = COUNTERS
                    .iter()
                    .find(|(vici, _)| *vici == key)
                    .map_or(key, |(_, stroke)| stroke);
                self.output
                    .add(&format!("{:<18} {:>12}\n", text::clean(key), text::clean(value)))
                    .await?;
            }
        }
        Ok(())
    }
}

/// vici's names of counters and those of `ipsec listcounters`.
const COUNTERS: [(&str, &str); 21] = [
    ("ike-rekey-init", "ikeInitRekey"),
    ("ike-rekey-resp", "ikeRspRekey"),
    ("child-rekey", "ikeChildSaRekey"),
    ("invalid", "ikeInInvalid"),
    ("invalid-spi", "ikeInInvalidSpi"),
    ("ike-init-in-req", "ikeInInitReq"),
    ("ike-init-in-resp", "ikeInInitRsp"),
    ("ike-init-out-req", "ikeOutInitReq"),
    ("ike-init-out-resp", "ikeOutInitRsp"),
    ("ike-auth-in-req", "ikeInAuthReq"),
    ("ike-auth-in-resp", "ikeInAuthRsp"),
    ("ike-auth-out-req", "ikeOutAuthReq"),
    ("ike-auth-out-resp", "ikeOutAuthRsp"),
    ("create-child-in-req", "ikeInCrChildReq"),
    ("create-child-in-resp", "ikeInCrChildRsp"),
    ("create-child-out-req", "ikeOutCrChildReq"),
    ("create-child-out-resp", "ikeOutCrChildRsp"),
    ("info-in-req", "ikeInInfoReq"),
    ("info-in-resp", "ikeInInfoRsp"),
    ("info-out-req", "ikeOutInfoReq"),
    ("info-out-resp", "ikeOutInfoRsp"),
];

fn named(name: &str) -> Message {
    Message::new().value("name", name).flag("stroke", true)
}

fn is_unknown(answer: &Message) -> bool {
    answer.get_bool("unknown") == Some(true)
}
