//! Which SAs `ipsec down` means.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// Names SAs: `NAME`, `NAME[]`, `NAME{}`, `NAME[*]`, `NAME{*}`, `NAME[1]`, `[1]`, `{1}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaSelector {
    /// The name of the connection or CHILD_SA; empty for any.
    pub name: String,
    /// Which kind of SA; none takes the IKE_SA if there is one of the name, else the CHILD_SA.
    pub kind: Option<Kind>,
    /// How many, or which one.
    pub which: Which,
}

/// A kind of SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In square brackets.
    Ike,
    /// In braces.
    Child,
}

/// Which of the SAs of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first.
    One,
    /// All.
    All,
    /// That with this unique number.
    Id(u32),
}

impl FromStr for SaSelector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || {
            Error::Request(format!(
                "'{text}' names no SA: write NAME, NAME[], NAME{{}}, [N] or {{N}}, or * within"
            ))
        };
        let (kind, open) = match text.chars().last() {
            Some(']') => (Some(Kind::Ike), '['),
            Some('}') => (Some(Kind::Child), '{'),
            Some(_) => {
                return Ok(Self {
                    name: text.to_owned(),
                    kind: None,
                    which: Which::One,
                });
            }
            None => return Err(bad()),
        };
        let (name, inner) = text[..text.len() - 1].rsplit_once(open).ok_or_else(bad)?;
        let which = match inner {
            "" => Which::One,
            "*" => Which::All,
            id => Which::Id(id.parse().map_err(|_| bad())?),
        };
        if name.is_empty() && !matches!(which, Which::Id(_)) {
            return Err(bad());
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            which,
        })
    }
}

impl fmt::Display for SaSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = match self.kind {
            None => return f.write_str(&self.name),
            Some(Kind::Ike) => ('[', ']'),
            Some(Kind::Child) => ('{', '}'),
        };
        write!(f, "{}{open}", self.name)?;
        match self.which {
            Which::One => {}
            Which::All => f.write_str("*")?,
            Which::Id(id) => write!(f, "{id}")?,
        }
        write!(f, "{close}")
    }
}
