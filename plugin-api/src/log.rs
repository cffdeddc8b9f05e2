//! Log groups and levels, those of charon.

use std::fmt;
use std::str::FromStr;

/// What a log line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Group {
    Dmn,
    Mgr,
    Ike,
    Chd,
    Job,
    Cfg,
    Knl,
    Net,
    Asn,
    Enc,
    Tnc,
    Imc,
    Imv,
    Pts,
    Tls,
    App,
    Esp,
    Lib,
}

impl Group {
    /// All groups, in charon's order.
    pub const ALL: [Self; 18] = [
        Self::Dmn,
        Self::Mgr,
        Self::Ike,
        Self::Chd,
        Self::Job,
        Self::Cfg,
        Self::Knl,
        Self::Net,
        Self::Asn,
        Self::Enc,
        Self::Tnc,
        Self::Imc,
        Self::Imv,
        Self::Pts,
        Self::Tls,
        Self::App,
        Self::Esp,
        Self::Lib,
    ];

    /// The name in log lines, `IKE`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dmn => "DMN",
            Self::Mgr => "MGR",
            Self::Ike => "IKE",
            Self::Chd => "CHD",
            Self::Job => "JOB",
            Self::Cfg => "CFG",
            Self::Knl => "KNL",
            Self::Net => "NET",
            Self::Asn => "ASN",
            Self::Enc => "ENC",
            Self::Tnc => "TNC",
            Self::Imc => "IMC",
            Self::Imv => "IMV",
            Self::Pts => "PTS",
            Self::Tls => "TLS",
            Self::App => "APP",
            Self::Esp => "ESP",
            Self::Lib => "LIB",
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Group {
    type Err = ();

    /// From a name in any case, `ike` or `IKE`.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|group| group.name().eq_ignore_ascii_case(text))
            .ok_or(())
    }
}

/// Failures and other lines worth an audit.
pub const AUDIT: i8 = 0;
/// What happens, for operators; the default.
pub const CONTROL: i8 = 1;
/// More detail, for finding faults.
pub const DIAGNOSE: i8 = 2;
/// Raw octets.
pub const RAW: i8 = 3;
/// Secrets too.
pub const PRIVATE: i8 = 4;
