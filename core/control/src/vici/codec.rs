//! Messages to octets and back.

use super::{Element, MAX_DEPTH, Message};
use crate::{Error, frame};

const SECTION_START: u8 = 1;
const SECTION_END: u8 = 2;
const KEY_VALUE: u8 = 3;
const LIST_START: u8 = 4;
const LIST_ITEM: u8 = 5;
const LIST_END: u8 = 6;

impl Message {
    /// The message in octets.
    ///
    /// # Errors
    ///
    /// If a name or value is longer than its length can say, sections are nested too deeply, or all of it is too long.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        encode(&mut out, &self.elements, 0)?;
        if out.len() > frame::MAX_LEN {
            Err(Error::TooLong(out.len()))
        } else {
            Ok(out)
        }
    }

    /// Reads a message. Sections and lists have to be closed, and only items may be in lists.
    ///
    /// # Errors
    ///
    /// See [`Error`]; then nothing of the message counts.
    pub fn decode(octets: &[u8]) -> Result<Self, Error> {
        if octets.len() > frame::MAX_LEN {
            return Err(Error::TooLong(octets.len()));
        }
        let mut reader = Reader { octets, at: 0 };
        let mut open: Vec<(String, Vec<Element>)> = Vec::new();
        let mut elements = Vec::new();
        while let Some(kind) = reader.next() {
            let at = reader.at - 1;
            match kind {
                SECTION_START => {
                    if open.len() == MAX_DEPTH {
                        return Err(Error::TooDeep);
                    }
                    open.push((reader.name()?, std::mem::take(&mut elements)));
                }
                SECTION_END => {
                    let (name, outer) = open.pop().ok_or(Error::Element { kind, at })?;
                    let inner = std::mem::replace(&mut elements, outer);
                    elements.push(Element::Section(name, inner));
                }
                KEY_VALUE => {
                    let name = reader.name()?;
                    elements.push(Element::Value(name, reader.value()?));
                }
                LIST_START => {
                    let name = reader.name()?;
                    let items = reader.items(open.len())?;
                    elements.push(Element::List(name, items));
                }
                _ => return Err(Error::Element { kind, at }),
            }
        }
        if open.is_empty() {
            Ok(Self { elements })
        } else {
            Err(Error::Unclosed(open.len()))
        }
    }
}

fn encode(out: &mut Vec<u8>, elements: &[Element], depth: usize) -> Result<(), Error> {
    for element in elements {
        match element {
            Element::Section(name, inner) => {
                if depth == MAX_DEPTH {
                    return Err(Error::TooDeep);
                }
                put_name(out, SECTION_START, name)?;
                encode(out, inner, depth + 1)?;
                out.push(SECTION_END);
            }
            Element::Value(name, value) => {
                put_name(out, KEY_VALUE, name)?;
                put_value(out, name, value)?;
            }
            Element::List(name, items) => {
                put_name(out, LIST_START, name)?;
                for item in items {
                    out.push(LIST_ITEM);
                    put_value(out, name, item)?;
                }
                out.push(LIST_END);
            }
        }
    }
    Ok(())
}

fn put_name(out: &mut Vec<u8>, kind: u8, name: &str) -> Result<(), Error> {
    let len = u8::try_from(name.len()).map_err(|_| Error::NameLength(name.len()))?;
    out.extend([kind, len]);
    out.extend(name.as_bytes());
    Ok(())
}

fn put_value(out: &mut Vec<u8>, key: &str, value: &[u8]) -> Result<(), Error> {
    let too_long = |_| Error::ValueLength {
        key: key.to_owned(),
        octets: value.len(),
    };
    out.extend(u16::try_from(value.len()).map_err(too_long)?.to_be_bytes());
    out.extend(value);
    Ok(())
}

struct Reader<'a> {
    octets: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let octet = self.octets.get(self.at).copied();
        self.at += usize::from(octet.is_some());
        octet
    }

    fn take(&mut self, len: usize) -> Result<&[u8], Error> {
        let taken = self
            .octets
            .get(self.at..)
            .and_then(|rest| rest.get(..len))
            .ok_or(Error::Truncated(self.at))?;
        self.at += len;
        Ok(taken)
    }

    fn name(&mut self) -> Result<String, Error> {
        let len = self.next().ok_or(Error::Truncated(self.at))?;
        let at = self.at;
        let name = self.take(usize::from(len))?;
        std::str::from_utf8(name)
            .map(str::to_owned)
            .map_err(|_| Error::Name(at))
    }

    fn value(&mut self) -> Result<Vec<u8>, Error> {
        let at = self.at;
        let len = self.take(2)?.try_into().map_err(|_| Error::Truncated(at))?;
        Ok(self.take(usize::from(u16::from_be_bytes(len)))?.to_vec())
    }

    fn items(&mut self, open: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut items = Vec::new();
        loop {
            let at = self.at;
            match self.next().ok_or(Error::Unclosed(open + 1))? {
                LIST_ITEM => items.push(self.value()?),
                LIST_END => return Ok(items),
                kind => return Err(Error::Element { kind, at }),
            }
        }
    }
}
