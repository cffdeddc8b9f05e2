//! Text to a client that may be slow, or gone.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a client may not read at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Text is sent in pieces of about this many octets.
const PIECE: usize = 32 << 10;

/// Collects text and sends it.
pub struct Output<W> {
    stream: W,
    text: String,
}

impl<W: AsyncWrite + Unpin> Output<W> {
    /// Sends to this stream.
    pub fn new(stream: W) -> Self {
        Self { stream, text: String::new() }
    }

    /// Adds text; it is sent when there is enough.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if the client does not read; others if it has gone.
    pub async fn add(&mut self, text: &str) -> io::Result<()> {
        self.text.push_str(text);
        if self.text.len() < PIECE { Ok(()) } else { self.flush().await }
    }

    /// Adds a line and sends it at once.
    ///
    /// # Errors
    ///
    /// See [`Self::add`].
    pub async fn line(&mut self, text: &str) -> io::Result<()> {
        self.text.push_str(text);
        self.text.push('\n');
        self.flush().await
    }

    /// Sends what was added.
    ///
    /// # Errors
    ///
    /// See [`Self::add`].
    pub async fn flush(&mut self) -> io::Result<()> {
        let mut rest = self.text.as_bytes();
        while !rest.is_empty() {
            // The time starts anew with everything that gets through.
            let written = timeout(PATIENCE, self.stream.write(rest)).await.map_err(io::Error::from)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
        }
        self.text.clear();
        Ok(())
    }
}
