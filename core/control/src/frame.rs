//! Packets in a stream: a length of four octets, big endian, then that many octets.

use std::io::{self, Read};

use crate::Error;

/// Most octets of a packet, without its length.
pub const MAX_LEN: usize = 512 * 1024;

/// Puts the length before a packet.
///
/// # Errors
///
/// [`Error::TooLong`] past [`MAX_LEN`].
pub fn frame(packet: &[u8]) -> Result<Vec<u8>, Error> {
    let len = length(packet.len())?;
    let mut framed = Vec::with_capacity(4 + packet.len());
    framed.extend(len.to_be_bytes());
    framed.extend(packet);
    Ok(framed)
}

/// Checks the length that a packet starts with.
///
/// # Errors
///
/// [`Error::TooLong`] past [`MAX_LEN`].
pub fn check_length(prefix: [u8; 4]) -> Result<usize, Error> {
    let len = u32::from_be_bytes(prefix) as usize;
    length(len).map(|_| len)
}

fn length(octets: usize) -> Result<u32, Error> {
    u32::try_from(octets)
        .ok()
        .filter(|_| octets <= MAX_LEN)
        .ok_or(Error::TooLong(octets))
}

/// Reads one packet; none if the stream has ended before it.
///
/// # Errors
///
/// What the stream reports; [`io::ErrorKind::InvalidData`] past [`MAX_LEN`].
pub fn read(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; 4];
    let mut got = 0;
    while got < prefix.len() {
        match stream.read(&mut prefix[got..]) {
            Ok(0) if got == 0 => return Ok(None),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let len = check_length(prefix).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut packet = Vec::new();
    // Memory grows with what comes, not with what was announced.
    stream.take(len as u64).read_to_end(&mut packet)?;
    if packet.len() < len {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(Some(packet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_a_stream_come_one_by_one() {
        let mut stream = frame(b"one").unwrap();
        stream.extend(frame(b"").unwrap());
        stream.extend(frame(b"three").unwrap());
        let mut stream = stream.as_slice();
        assert_eq!(read(&mut stream).unwrap().as_deref(), Some(b"one".as_slice()));
        assert_eq!(read(&mut stream).unwrap().as_deref(), Some(b"".as_slice()));
        assert_eq!(read(&mut stream).unwrap().as_deref(), Some(b"three".as_slice()));
        assert_eq!(read(&mut stream).unwrap(), None);
    }

    #[test]
    fn the_limit_is_512_kib() {
        assert!(frame(&vec![0; MAX_LEN]).is_ok());
        assert_eq!(frame(&vec![0; MAX_LEN + 1]), Err(Error::TooLong(MAX_LEN + 1)));
        assert_eq!(check_length([0, 8, 0, 0]), Ok(MAX_LEN));
        assert_eq!(check_length([0, 8, 0, 1]), Err(Error::TooLong(MAX_LEN + 1)));
        assert_eq!(
            read(&mut [0xff; 8].as_slice()).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_torn_packet_is_an_error() {
        let stream = frame(b"whole").unwrap();
        for len in 1..stream.len() {
            assert_eq!(
                read(&mut &stream[..len]).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof
            );
        }
    }
}
