//! What a connection asks of the kernel besides ESP: AH, compression, marks of packets, interfaces, offloading, and what goes
//! from one header of a tunnel to the other.

use std::fmt;

use crate::connection::ProposalList;

/// A number that stands in the configuration, or that is chosen when it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Number {
    /// This one; 0 is none.
    Fixed(u32),
    /// `%unique`: another one each time, the same for both directions.
    Unique,
    /// `%unique-dir`: another one each time and for each direction.
    UniqueDir,
}

impl Default for Number {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Number {
    /// Reads it: decimal, with `0x` or a leading `0`, or a word with `%`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            _ if text.eq_ignore_ascii_case("%unique") => Some(Self::Unique),
            _ if text.eq_ignore_ascii_case("%unique-dir") => Some(Self::UniqueDir),
            _ => number(text).map(Self::Fixed),
        }
    }

    /// Whether there is one.
    pub fn is_set(self) -> bool {
        self != Self::Fixed(0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(number) => write!(f, "{number}"),
            Self::Unique => f.write_str("%unique"),
            Self::UniqueDir => f.write_str("%unique-dir"),
        }
    }
}

/// The mark of the packets that an SA or a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mark {
    /// The mark; not 0.
    pub value: Number,
    /// Which bits of it count.
    pub mask: u32,
}

impl Mark {
    /// Reads `value[/mask]`; the mask is all ones unless given. Of the value 0 comes none.
    ///
    /// # Errors
    ///
    /// If it is nothing of the kind.
    pub fn parse(text: &str) -> Result<Option<Self>, NotAMark> {
        let (value, mask) = masked(text)?;
        let value = match Number::parse(value).ok_or(NotAMark)? {
            Number::Fixed(value) => Number::Fixed(value & mask),
            chosen => chosen,
        };
        Ok(value.is_set().then_some(Self { value, mask }))
    }
}

/// A mark that packets get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetMark {
    /// `%same[/mask]`: the value that the packets of the SA are known by.
    Same {
        /// Which bits of it are set.
        mask: u32,
    },
    /// This one.
    Fixed {
        /// The mark.
        value: u32,
        /// Which bits of it are set.
        mask: u32,
    },
}

impl SetMark {
    /// Reads `value[/mask]`, where the value may be `%same`; otherwise as [`Mark::parse`].
    ///
    /// # Errors
    ///
    /// If it is nothing of the kind.
    pub fn parse(text: &str) -> Result<Option<Self>, NotAMark> {
        let (value, mask) = masked(text)?;
        if value.eq_ignore_ascii_case("%same") {
            return Ok(Some(Self::Same { mask }));
        }
        let value = number(value).ok_or(NotAMark)? & mask;
        Ok((value != 0).then_some(Self::Fixed { value, mask }))
    }
}

/// A text is no mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAMark;

fn masked(text: &str) -> Result<(&str, u32), NotAMark> {
    match text.split_once('/') {
        Some((value, mask)) => Ok((value, number(mask).ok_or(NotAMark)?)),
        None => Ok((text, u32::MAX)),
    }
}

fn number(text: &str) -> Option<u32> {
    let (radix, digits) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None if text.len() > 1 && text.starts_with('0') => (8, &text[1..]),
        None => (10, text),
    };
    // from_str_radix would take a sign.
    let unsigned = digits.starts_with(|first: char| first.is_ascii_hexdigit());
    u32::from_str_radix(digits, radix).ok().filter(|_| unsigned)
}

/// Who encrypts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HwOffload {
    /// The host.
    #[default]
    No,
    /// The network device computes, the host does the rest.
    Crypto,
    /// The network device does all of it.
    Packet,
    /// As much as the network device can.
    Auto,
}

impl HwOffload {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "no" => Self::No,
            // 6.0dr3 knew nothing else that a device may do.
            "crypto" | "yes" => Self::Crypto,
            "packet" => Self::Packet,
            "auto" => Self::Auto,
            _ => return None,
        })
    }
}

/// Which way the DSCP is copied between the headers of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyDscp {
    /// To the outer header.
    #[default]
    Out,
    /// To the inner header.
    In,
    /// Both ways.
    Yes,
    /// Neither.
    No,
}

impl CopyDscp {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "out" => Self::Out,
            "in" => Self::In,
            "yes" => Self::Yes,
            "no" => Self::No,
            _ => return None,
        })
    }
}

/// AH in place of ESP (RFC 4302), or beside it: then a peer chooses one of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ah {
    /// AH proposals.
    pub proposals: ProposalList,
    /// Whether ESP proposals are offered, too, and where.
    pub esp: EspBeside,
}

/// Where ESP proposals are in a list with AH proposals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EspBeside {
    /// Nowhere.
    #[default]
    No,
    /// Before them.
    First,
    /// Behind them.
    Last,
}

/// What a CHILD_SA asks for. Of pairs the first is for what comes in, the second for what goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// Marks of SAs and policies.
    pub marks: [Option<Mark>; 2],
    /// Whether the inbound SA is for its mark, not only its policies: packets then need it before they are decrypted.
    pub mark_in_sa: bool,
    /// Marks that packets get: once they are decrypted, and once they are encrypted.
    pub set_marks: [Option<SetMark>; 2],
    /// Ids of interfaces; those of the connection where there is none.
    pub if_ids: [Number; 2],
    /// Rank of the policies, the lower the sooner; 0 lets it follow from the selectors.
    pub priority: u32,
    /// The interface that policies are for, of a tunnel the outbound ones; empty is any.
    pub interface: String,
    /// Whether there are policies for forwarded packets on their way out, too.
    pub forward_out: bool,
    /// Who encrypts.
    pub hw_offload: HwOffload,
    /// Whether outer headers have the DF bit of the inner ones.
    pub copy_df: bool,
    /// Whether congestion is told between the headers.
    pub copy_ecn: bool,
    /// Which way the DSCP is copied.
    pub copy_dscp: CopyDscp,
    /// Whether HMAC_SHA2_256_128 is truncated to 96 bits, as peers expect that follow a draft.
    pub sha256_96: bool,
    /// AH; ESP alone where there is none.
    pub ah: Option<Ah>,
    /// Whether packets are compressed by IPComp (RFC 3173), if the peer agrees.
    pub ipcomp: bool,
}

impl KernelOptions {
    /// Whether AH is what is offered first.
    pub fn prefers_ah(&self) -> bool {
        self.ah.as_ref().is_some_and(|ah| ah.esp != EspBeside::First)
    }

    /// Whether ESP proposals are offered.
    pub fn offers_esp(&self) -> bool {
        self.ah.as_ref().is_none_or(|ah| ah.esp != EspBeside::No)
    }
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self {
            marks: [None; 2],
            mark_in_sa: false,
            set_marks: [None; 2],
            if_ids: [Number::default(); 2],
            priority: 0,
            interface: String::new(),
            forward_out: false,
            hw_offload: HwOffload::No,
            copy_df: true,
            copy_ecn: true,
            copy_dscp: CopyDscp::Out,
            sha256_96: false,
            ah: None,
            ipcomp: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_octal_hexadecimal_or_chosen() {
        for (text, number) in [
            ("0", Number::Fixed(0)),
            ("42", Number::Fixed(42)),
            ("0x2A", Number::Fixed(42)),
            ("052", Number::Fixed(42)),
            ("4294967295", Number::Fixed(u32::MAX)),
            ("%unique", Number::Unique),
            ("%unique-dir", Number::UniqueDir),
        ] {
            assert_eq!(Number::parse(text), Some(number), "{text}");
        }
        for text in [
            "",
            "+1",
            "-1",
            "0x",
            "0x+1",
            "08",
            "4294967296",
            "%same",
            "%unique-",
            "1/2",
        ] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_mark_is_within_its_mask() {
        let fixed = |value, mask| {
            let value = Number::Fixed(value);
            Ok(Some(Mark { value, mask }))
        };
        assert_eq!(Mark::parse("42"), fixed(42, u32::MAX));
        assert_eq!(Mark::parse("0x1234/0xff"), fixed(0x34, 0xff));
        assert_eq!(Mark::parse("0"), Ok(None));
        assert_eq!(Mark::parse("0x100/0xff"), Ok(None));
        let unique = Mark {
            value: Number::UniqueDir,
            mask: 0xff00,
        };
        assert_eq!(Mark::parse("%unique-dir/0xff00"), Ok(Some(unique)));
        for text in ["", "%same", "1/", "/1", "1/%unique", "red"] {
            assert_eq!(Mark::parse(text), Err(NotAMark), "{text}");
        }
    }

    #[test]
    fn packets_get_a_mark_or_the_one_that_they_are_known_by() {
        assert_eq!(
            SetMark::parse("%same/0xff"),
            Ok(Some(SetMark::Same { mask: 0xff }))
        );
        let (value, mask) = (7, u32::MAX);
        assert_eq!(SetMark::parse("7"), Ok(Some(SetMark::Fixed { value, mask })));
        assert_eq!(SetMark::parse("0"), Ok(None));
        assert_eq!(SetMark::parse("%unique"), Err(NotAMark));
    }
}
