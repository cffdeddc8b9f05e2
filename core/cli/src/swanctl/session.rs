//! What a command has: its options, the daemon, and somewhere to write.

use std::io::{self, BufWriter, Write};

use clap::ArgMatches;
use control::Verb;
use control::vici::Message;
use control::vici::client::{self, Client};
use nix::errno::Errno;

use super::debug::Debug;
use super::dump::{self, Format};

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody listens at this URI.
    Connect(String, io::Error),
    /// The daemon is there, and does not do it.
    Refused(String),
    /// A command that has said itself what went wrong.
    Said(u8),
    /// Talking to the daemon failed, or writing what it says.
    Talk(client::Error),
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        Self::Talk(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Talk(error.into())
    }
}

impl Failure {
    /// Says what went wrong, and gives the exit code.
    pub(super) fn report(self, err: &mut dyn Write) -> u8 {
        let (text, code) = match self {
            Self::Connect(uri, error) => {
                let number = error.raw_os_error().unwrap_or(Errno::EINVAL as i32);
                let reason = Errno::from_raw(number).desc();
                let code = u8::try_from(number).unwrap_or(1);
                (format!("connecting to '{uri}' failed: {reason}"), code)
            }
            Self::Refused(text) => (text, 1),
            Self::Said(code) => return code,
            // Whoever read has enough.
            Self::Talk(client::Error::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => return 0,
            Self::Talk(error) => (format!("talking to the daemon failed: {error}"), 1),
        };
        // There is nowhere else to say it.
        let _ = writeln!(err, "{text}");
        code
    }
}

/// See the module.
pub(super) struct Session<'a> {
    pub(super) options: &'a ArgMatches,
    uri: String,
    debug: Debug,
    client: Option<Client>,
    pub(super) out: Output<'a>,
}

/// Where answers are written, and how.
pub(super) struct Output<'a> {
    pub(super) format: Format,
    to: BufWriter<Box<dyn Write + 'a>>,
    /// How many elements of a JSON array have been written.
    listed: usize,
}

impl Write for Output<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.to.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Output<'_> {
    /// An event in its format, or in that of `print`.
    pub(super) fn event(
        &mut self,
        label: &str,
        message: &Message,
        print: impl FnOnce(&mut dyn Write, &Message) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.format {
            Format::Text => print(&mut self.to, message),
            Format::Raw => dump::raw(label, message, &mut self.to),
            Format::Pretty => dump::pretty(label, message, &mut self.to),
            Format::Json => {
                let before = if self.listed == 0 { "[\n" } else { ",\n" };
                self.listed += 1;
                write!(self.to, "{before}{}", dump::json(message))
            }
        }
    }

    /// The answer after the last event.
    fn end(&mut self, label: &str, message: &Message) -> io::Result<()> {
        match self.format {
            Format::Text => Ok(()),
            Format::Raw => dump::raw(label, message, &mut self.to),
            Format::Pretty => dump::pretty(label, message, &mut self.to),
            Format::Json => {
                let close = if self.listed == 0 { "[]" } else { "\n]" };
                writeln!(self.to, "{close}")
            }
        }
    }

    /// A message that is not of a list: in JSON, an object on a line of its own.
    pub(super) fn answer(
        &mut self,
        label: &str,
        message: &Message,
        print: impl FnOnce(&mut dyn Write, &Message) -> io::Result<()>,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => writeln!(self.to, "{}", dump::json(message)),
            _ => self.event(label, message, print),
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(options: &'a ArgMatches, uri: String, debug: Debug, to: Box<dyn Write + 'a>) -> Self {
        let set = |id| options.try_get_one::<bool>(id).ok().flatten() == Some(&true);
        let format = match () {
            () if set("json") => Format::Json,
            () if set("pretty") => Format::Pretty,
            () if set("raw") => Format::Raw,
            () => Format::Text,
        };
        let out = Output {
            format,
            to: BufWriter::new(to),
            listed: 0,
        };
        Self {
            options,
            uri,
            debug,
            client: None,
            out,
        }
    }

    /// The daemon; connects if that has not been done yet.
    pub(super) fn daemon(&mut self) -> Result<&mut Client, Failure> {
        Ok(self.parts()?.0)
    }

    /// The daemon, and where to write what it says.
    pub(super) fn parts(&mut self) -> Result<(&mut Client, &mut Output<'a>), Failure> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        Ok((self.client.insert(client), &mut self.out))
    }

    fn connect(&self) -> Result<Client, Failure> {
        self.debug.say(2, || format!("connecting to '{}'", self.uri));
        let mut client =
            Client::connect(&self.uri).map_err(|error| Failure::Connect(self.uri.clone(), error))?;
        if let Some(watcher) = self.debug.watcher() {
            client.watch(watcher);
        }
        Ok(client)
    }

    /// The value of an option.
    pub(super) fn value(&self, option: &str) -> Option<&'a str> {
        self.options.get_one::<String>(option).map(String::as_str)
    }

    /// Whether an option was given.
    pub(super) fn is(&self, option: &str) -> bool {
        self.options.get_flag(option)
    }

    /// A request with the values of the options that were given; they are called alike.
    pub(super) fn request(&self, options: &[&str]) -> Message {
        let given = |message: Message, option: &&str| message.value_if(option, self.value(option));
        options.iter().fold(Message::new(), given)
    }

    /// Runs a command that streams events and writes each as it comes.
    pub(super) fn list(
        &mut self,
        verb: Verb,
        request: &Message,
        mut print: impl FnMut(&mut dyn Write, &Message) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let (client, out) = self.parts()?;
        let event = verb.event().unwrap_or_default();
        // strongSwan's calls this one as no other.
        let label = match verb {
            Verb::ListAuthorities => "list-authorities event".to_owned(),
            _ => format!("{event} event"),
        };
        let answer = client.stream(verb.name(), event, request, &mut |_, message| {
            out.event(&label, message, &mut print)
        })?;
        self.out.end(&format!("{verb} reply"), &answer)?;
        Ok(())
    }

    /// Runs a command that does something, and shows the log lines that belong to it.
    pub(super) fn act(&mut self, verb: Verb, request: &Message) -> Result<(), Failure> {
        let (client, out) = self.parts()?;
        let answer = client.stream(
            verb.name(),
            verb.event().unwrap_or_default(),
            request,
            &mut |_, message| {
                out.answer("log", message, super::print::log::control_log)?;
                // Whoever waits wants to see how far it is.
                out.flush()
            },
        )?;
        self.done(verb, &answer)
    }

    /// Says whether a command has worked.
    pub(super) fn done(&mut self, verb: Verb, answer: &Message) -> Result<(), Failure> {
        let worked = answer.get_bool("success") == Some(true);
        let label = format!("{verb} reply");
        self.out.answer(&label, answer, |out, _| match worked {
            true => writeln!(out, "{verb} completed successfully"),
            false => Ok(()),
        })?;
        check(verb, answer)
    }
}

/// An answer that says no is a failure.
pub(super) fn check(verb: Verb, answer: &Message) -> Result<(), Failure> {
    match answer.get_bool("success") {
        Some(false) => {
            let reason = answer.get_str("errmsg").unwrap_or("the daemon does not say why");
            Err(Failure::Refused(format!("{verb} failed: {reason}")))
        }
        _ => Ok(()),
    }
}
