//! The client's end of the stroke socket.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use control::frame;
use control::stroke::Request;

/// Where to ask.
#[derive(Clone, Debug)]
pub struct Client {
    uri: String,
    path: PathBuf,
}

/// Why there was no answer.
#[derive(Debug)]
pub enum Error {
    /// The socket is no UNIX socket.
    Uri(String),
    /// Nobody listens.
    Connect(String, io::Error),
    /// The request is too long.
    Request(control::Error),
    /// The connection broke.
    Talk(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => write!(
                f,
                "stroke socket '{uri}' is none: write unix:// and an absolute path"
            ),
            Self::Connect(uri, error) => write!(f, "failed to connect to stroke socket '{uri}': {error}"),
            Self::Request(error) => write!(f, "the request cannot be sent: {error}"),
            Self::Talk(error) => write!(f, "communicating with charon failed: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl Client {
    /// Of `unix:///var/run/charon.ctl`.
    ///
    /// # Errors
    ///
    /// If it is something else.
    pub fn of_uri(uri: &str) -> Result<Self, Error> {
        let path = uri.strip_prefix("unix://").filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| Error::Uri(uri.to_owned()))?.into();
        Ok(Self {
            uri: uri.to_owned(),
            path,
        })
    }

    /// Sends a request and copies the answer as it comes. Silence for longer than `patience` is an error.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn ask(
        &self,
        request: &Request,
        answer: &mut impl Write,
        patience: Option<Duration>,
    ) -> Result<(), Error> {
        let mut stream = self.send(request, patience)?;
        let mut buffer = [0; 8192];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(octets) => {
                    answer
                        .write_all(&buffer[..octets])
                        .and_then(|()| answer.flush())
                        .map_err(Error::Talk)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Talk(error)),
            }
        }
    }

    /// Sends a request. The answer, which ends with the stream, can be waited for together with other things.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn begin(&self, request: &Request, patience: Duration) -> Result<UnixStream, Error> {
        self.send(request, Some(patience))
    }

    fn send(&self, request: &Request, patience: Option<Duration>) -> Result<UnixStream, Error> {
        let packet = request
            .encode()
            .and_then(|packet| frame::frame(&packet))
            .map_err(Error::Request)?;
        let mut stream =
            UnixStream::connect(&self.path).map_err(|error| Error::Connect(self.uri.clone(), error))?;
        stream.set_read_timeout(patience).map_err(Error::Talk)?;
        stream.set_write_timeout(patience).map_err(Error::Talk)?;
        // The other direction stays open: to close it says that nobody wants the answer.
        stream.write_all(&packet).map_err(Error::Talk)?;
        Ok(stream)
    }
}
