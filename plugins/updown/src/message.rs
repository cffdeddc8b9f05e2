//! The event that asks for a script.

/// One run of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// By what the daemon knows its end, if it waits for that.
    pub id: Option<String>,
    /// `up` or `down`.
    pub verb: String,
    /// What the shell is to run.
    pub script: String,
    /// The script's variables.
    pub variables: Vec<(String, String)>,
}

/// Why a message is not a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends within an element.
    #[error("truncated at octet {0}")]
    Truncated(usize),
    /// An element other than a key with a value.
    #[error("element of type {kind} at octet {at} instead of a key")]
    Element {
        /// Its type.
        kind: u8,
        /// Where it is.
        at: usize,
    },
    /// A name or value that is no text, or one no environment can hold.
    #[error("{0} is not text")]
    Text(String),
    /// A key that does not belong here.
    #[error("unknown key {0}")]
    Key(String),
    /// A key that has to be there.
    #[error("no {0}")]
    Missing(&'static str),
}

/// A key with a value: length of the name, name, length of the value in two octets, value.
const KEY_VALUE: u8 = 3;

impl Request {
    /// Reads a vici message of flat keys.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn parse(message: &[u8]) -> Result<Self, Error> {
        let mut request = Self::default();
        let mut rest = message;
        while let [kind, tail @ ..] = rest {
            let at = message.len() - rest.len();
            if *kind != KEY_VALUE {
                return Err(Error::Element { kind: *kind, at });
            }
            let element = || {
                let (len, tail) = tail.split_first()?;
                let (name, tail) = tail.split_at_checked(usize::from(*len))?;
                let (len, tail) = tail.split_first_chunk()?;
                let (value, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
                Some((name, value, tail))
            };
            let (name, value, tail) = element().ok_or(Error::Truncated(at))?;
            let name = text(name, "a name")?;
            let value = text(value, &name)?;
            match name.as_str() {
                "id" => request.id = Some(value),
                "verb" => request.verb = value,
                "script" => request.script = value,
                _ if is_variable(&name) => request.variables.push((name, value)),
                _ => return Err(Error::Key(name)),
            }
            rest = tail;
        }
        if request.verb.is_empty() {
            return Err(Error::Missing("verb"));
        }
        if request.script.trim().is_empty() {
            return Err(Error::Missing("script"));
        }
        Ok(request)
    }

    /// A variable of the script.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.variables.iter();
        let (_, value) = variables.find(|(known, _)| known == name)?;
        Some(value)
    }
}

/// The id of an event, which comes first, whatever the rest is.
pub(crate) fn id(message: &[u8]) -> Option<&str> {
    let value = message.strip_prefix(&[KEY_VALUE, 2, b'i', b'd'])?;
    let (len, value) = value.split_first_chunk()?;
    let value = value.get(..usize::from(u16::from_be_bytes(*len)))?;
    std::str::from_utf8(value).ok()
}

/// A message with nothing but an id.
pub(crate) fn with_id(id: &str) -> Vec<u8> {
    let mut message = vec![KEY_VALUE, 2, b'i', b'd'];
    message.extend(u16::try_from(id.len()).unwrap_or_default().to_be_bytes());
    message.extend(id.as_bytes());
    message
}

fn text(octets: &[u8], what: &str) -> Result<String, Error> {
    let text = std::str::from_utf8(octets)
        .ok()
        .filter(|text| !text.contains('\0'));
    text.map(str::to_owned)
        .ok_or_else(|| Error::Text(what.escape_debug().to_string()))
}

fn is_variable(name: &str) -> bool {
    let rest = name.strip_prefix("PLUTO_");
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut message = Vec::new();
        for (name, value) in pairs {
            message.extend([KEY_VALUE, name.len() as u8]);
            message.extend(name.as_bytes());
            message.extend((value.len() as u16).to_be_bytes());
            message.extend(value.as_bytes());
        }
        message
    }

    const GOOD: [(&str, &str); 3] = [("verb", "up"), ("script", "true"), ("PLUTO_VERB", "up-client")];

    #[test]
    fn a_message_of_flat_keys_is_a_request() {
        let request = Request::parse(&encode(&GOOD)).expect("a request");
        assert_eq!((request.verb.as_str(), request.script.as_str()), ("up", "true"));
        assert_eq!(
            request.variables,
            [("PLUTO_VERB".to_owned(), "up-client".to_owned())]
        );
    }

    #[test]
    fn the_id_is_known_even_of_an_event_that_is_not_understood() {
        let torn = encode(&[("id", "42"), ("verb", "up")]);
        let torn = &torn[..torn.len() - 1];
        assert!(Request::parse(torn).is_err());
        assert_eq!(id(torn), Some("42"));
        assert_eq!(id(&with_id("43")), Some("43"));
        assert_eq!(id(&encode(&GOOD)), None);
    }

    #[test]
    fn only_pluto_variables_reach_the_environment() {
        for name in ["LD_PRELOAD", "PLUTO_", "PLUTO_A=B", "PLUTO_A B"] {
            let message = encode(&[GOOD[0], GOOD[1], (name, "x")]);
            assert_eq!(Request::parse(&message), Err(Error::Key(name.into())));
        }
        let message = encode(&[GOOD[0], GOOD[1], ("PLUTO_MY_ID", "a\0b")]);
        assert_eq!(Request::parse(&message), Err(Error::Text("PLUTO_MY_ID".into())));
    }

    #[test]
    fn torn_and_incomplete_messages_are_refused() {
        let message = encode(&GOOD);
        let mut whole = 0;
        for len in 0..message.len() {
            match Request::parse(&message[..len]) {
                Ok(_) => whole += 1,
                Err(Error::Truncated(_) | Error::Missing(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(whole, 1, "verb and script alone are enough");
        assert_eq!(
            Request::parse(&[1, 1, b'a', 2]),
            Err(Error::Element { kind: 1, at: 0 })
        );
        assert_eq!(Request::parse(&encode(&GOOD[1..])), Err(Error::Missing("verb")));
    }
}
