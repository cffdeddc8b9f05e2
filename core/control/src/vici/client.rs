//! A client of the vici socket that waits for its answers.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;

use super::{Message, Packet, PacketType};
use crate::frame;

/// A connection to the daemon.
pub struct Client {
    stream: Stream,
    /// Events that came while something else was waited for.
    events: VecDeque<(String, Message)>,
    watcher: Option<Watcher>,
}

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the daemon.
    Sent,
    /// From the daemon.
    Received,
}

/// Is shown every packet. What is in messages may be secret.
pub type Watcher = Box<dyn FnMut(Way, &Packet) + Send>;

enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection is gone, or broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is no vici.
    #[error("the daemon's answer is malformed: {0}")]
    Malformed(#[from] crate::Error),
    /// The request cannot be sent: no packet can carry it.
    #[error("the request cannot be sent: {0}")]
    Unsendable(crate::Error),
    /// The daemon has no such command or event.
    #[error("the daemon does not know {0}")]
    Unknown(String),
    /// What came does not belong here.
    #[error("the daemon sent a packet of type {0:?} that was not asked for")]
    Unexpected(PacketType),
}

impl Client {
    /// Connects to `unix:///var/run/charon.vici` or `tcp://127.0.0.1:4502`.
    ///
    /// # Errors
    ///
    /// What the system says; [`io::ErrorKind::InvalidInput`] for another form.
    pub fn connect(uri: &str) -> io::Result<Self> {
        let stream = if let Some(path) = uri.strip_prefix("unix://") {
            Stream::Unix(UnixStream::connect(path)?)
        } else if let Some(address) = uri.strip_prefix("tcp://") {
            Stream::Tcp(TcpStream::connect(address)?)
        } else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        Ok(Self {
            stream,
            events: VecDeque::new(),
            watcher: None,
        })
    }

    /// Shows somebody all packets from now on.
    pub fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// What ends the connection from another thread; whoever waits for an event learns that it is closed.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn closer(&self) -> io::Result<impl Fn() + Send + 'static> {
        let stream = match &self.stream {
            Stream::Unix(stream) => Stream::Unix(stream.try_clone()?),
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone()?),
        };
        Ok(move || {
            // It may be closed already.
            let _ = match &stream {
                Stream::Unix(stream) => stream.shutdown(Shutdown::Both),
                Stream::Tcp(stream) => stream.shutdown(Shutdown::Both),
            };
        })
    }

    /// Runs a command.
    ///
    /// # Errors
    ///
    /// See [`Error`]; that the command failed is in the answer.
    pub fn call(&mut self, command: &str, request: &Message) -> Result<Message, Error> {
        self.send(PacketType::CmdRequest, command, request)?;
        self.answer(command, &mut |_, _| Ok(()))
    }

    /// Runs a command that streams events, and hands each to `each` as it comes.
    ///
    /// # Errors
    ///
    /// See [`Error`], and what `each` says.
    pub fn stream(
        &mut self,
        command: &str,
        event: &str,
        request: &Message,
        each: &mut dyn FnMut(&str, &Message) -> io::Result<()>,
    ) -> Result<Message, Error> {
        self.register(event)?;
        self.send(PacketType::CmdRequest, command, request)?;
        let answer = self.answer(command, each)?;
        self.send(PacketType::EventUnregister, event, &Message::new())?;
        self.confirmed(event)?;
        Ok(answer)
    }

    /// Subscribes to an event, for [`next_event`](Self::next_event).
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn register(&mut self, event: &str) -> Result<(), Error> {
        self.send(PacketType::EventRegister, event, &Message::new())?;
        self.confirmed(event)
    }

    /// Waits for the next event; none if the daemon has gone.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn next_event(&mut self) -> Result<Option<(String, Message)>, Error> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Some(event));
        }
        match self.receive()? {
            None => Ok(None),
            Some(packet) if packet.kind == PacketType::Event => {
                Ok(Some((packet.name, Message::decode(&packet.message)?)))
            }
            Some(packet) => Err(Error::Unexpected(packet.kind)),
        }
    }

    fn answer(
        &mut self,
        command: &str,
        each: &mut dyn FnMut(&str, &Message) -> io::Result<()>,
    ) -> Result<Message, Error> {
        loop {
            let packet = self.expect()?;
            match packet.kind {
                PacketType::Event => each(&packet.name, &Message::decode(&packet.message)?)?,
                PacketType::CmdResponse => return Ok(Message::decode(&packet.message)?),
                PacketType::CmdUnknown => return Err(Error::Unknown(format!("the command '{command}'"))),
                other => return Err(Error::Unexpected(other)),
            }
        }
    }

    fn confirmed(&mut self, event: &str) -> Result<(), Error> {
        loop {
            let packet = self.expect()?;
            match packet.kind {
                PacketType::Event => {
                    let message = Message::decode(&packet.message)?;
                    self.events.push_back((packet.name, message));
                }
                PacketType::EventConfirm => return Ok(()),
                PacketType::EventUnknown => return Err(Error::Unknown(format!("the event '{event}'"))),
                other => return Err(Error::Unexpected(other)),
            }
        }
    }

    fn send(&mut self, kind: PacketType, name: &str, message: &Message) -> Result<(), Error> {
        let packet = Packet::new(kind, name, message.encode().map_err(Error::Unsendable)?);
        self.show(Way::Sent, &packet);
        let encoded = packet.encode().map_err(Error::Unsendable)?;
        let framed = frame::frame(&encoded).map_err(Error::Unsendable)?;
        match &mut self.stream {
            Stream::Unix(stream) => stream.write_all(&framed)?,
            Stream::Tcp(stream) => stream.write_all(&framed)?,
        }
        Ok(())
    }

    fn expect(&mut self) -> Result<Packet, Error> {
        let closed = || io::Error::new(io::ErrorKind::UnexpectedEof, "the daemon closed the connection");
        Ok(self.receive()?.ok_or_else(closed)?)
    }

    fn receive(&mut self) -> Result<Option<Packet>, Error> {
        let mut stream: &mut dyn Read = match &mut self.stream {
            Stream::Unix(stream) => stream,
            Stream::Tcp(stream) => stream,
        };
        let packet = frame::read(&mut stream)?;
        let packet = packet.map(|octets| Packet::decode(&octets)).transpose()?;
        if let Some(packet) = &packet {
            self.show(Way::Received, packet);
        }
        Ok(packet)
    }

    fn show(&mut self, way: Way, packet: &Packet) {
        if let Some(watcher) = &mut self.watcher {
            watcher(way, packet);
        }
    }
}
