//! Passwords that somebody types.

use std::fs::OpenOptions;
use std::io::{self, Write};

use config::secret::SharedSecret;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// Longer ones are typed by nobody.
const MAX_OCTETS: usize = 4096;

/// Asks at the terminal; none if there is none, or nothing was typed.
pub(super) fn terminal(question: &str) -> Option<SharedSecret> {
    ask(question).ok().flatten()
}

fn ask(question: &str) -> io::Result<Option<SharedSecret>> {
    // stdin may be a pipe.
    let mut tty = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&tty)?;
    let mut hidden = before.clone();
    // Who breaks off here would have a terminal that stays silent.
    hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
    hidden.local_flags.insert(LocalFlags::ECHONL);
    tty.write_all(question.as_bytes())?;
    tcsetattr(&tty, SetArg::TCSAFLUSH, &hidden)?;
    let line = line(&tty);
    tcsetattr(&tty, SetArg::TCSAFLUSH, &before)?;
    line
}

fn line(mut from: impl io::Read) -> io::Result<Option<SharedSecret>> {
    // One buffer of full size, because one that grows leaves pieces behind.
    let mut octets = Zeroizing::new(Vec::with_capacity(MAX_OCTETS));
    let mut octet = Zeroizing::new([0]);
    while from.read(octet.as_mut_slice())? > 0 && octet[0] != b'\n' {
        if octets.len() == MAX_OCTETS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        octets.push(octet[0]);
    }
    let octets = std::mem::take(&mut *octets);
    Ok((!octets.is_empty()).then(|| SharedSecret::new(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Option<Vec<u8>> {
        let secret = line(text.as_bytes()).expect("it reads");
        secret.map(|secret| secret.octets().to_vec())
    }

    #[test]
    fn a_line_is_a_password_without_its_end() {
        assert_eq!(typed("open sesame\nmore"), Some(b"open sesame".to_vec()));
        assert_eq!(typed("no end"), Some(b"no end".to_vec()));
    }

    #[test]
    fn nothing_typed_is_no_password() {
        assert_eq!(typed("\n"), None);
        assert_eq!(typed(""), None);
    }
}
