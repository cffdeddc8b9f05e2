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
        Self {
            stream,
            text: String::new(),
        }
    }

    /// Adds text; it is sent when there is enough.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if the client does not read; others if it has gone.
    pub async fn add(&mut self, text: &str) -> io::Result<()> {
        self.text.push_str(text);
        if self.text.len() < PIECE {
            Ok(())
        } else {
            self.flush().await
        }
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
            let written = timeout(PATIENCE, self.stream.write(rest))
                .await
                .map_err(io::Error::from)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = &rest[written..];
        }
        self.text.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_given_up() {
        let (_client, server) = duplex(64);
        let mut output = Output::new(server);
        let began = Instant::now();
        let error = output.line(&"x".repeat(100)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), PATIENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_gets_everything() {
        let (mut client, server) = duplex(16);
        let mut output = Output::new(server);
        let text = "0123456789\n".repeat(20);
        let reading = async {
            let mut got = Vec::new();
            let mut buffer = [0; 16];
            while got.len() < text.len() {
                tokio::time::sleep(PATIENCE / 2).await;
                let octets = client.read(&mut buffer).await.unwrap();
                got.extend_from_slice(&buffer[..octets]);
            }
            got
        };
        let writing = async {
            output.add(&text).await.unwrap();
            output.flush().await.unwrap();
        };
        let (got, ()) = tokio::join!(reading, writing);
        assert_eq!(got, text.as_bytes());
    }

    #[tokio::test]
    async fn a_client_that_has_gone_is_an_error() {
        let (client, server) = duplex(16);
        drop(client);
        let mut output = Output::new(server);
        output.add("kept until there is enough").await.unwrap();
        assert!(output.flush().await.is_err());
    }
}
