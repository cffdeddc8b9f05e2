//! What the `ipsec` command and the starter ask of the daemon: a packet like vici's `CMD_REQUEST`, with its length
//! before it. The answer is text until the connection closes.
//!
//! strongSwan sends a C struct here, which differs from release to release; the two cannot be mixed.

mod codec;
mod selector;
#[cfg(test)]
mod tests;

pub use selector::{Kind, SaSelector, Which};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Establish a connection.
    Initiate {
        /// Connection or CHILD_SA configuration.
        name: String,
        /// Whether to stream the log and wait for the result.
        wait: bool,
    },
    /// Close SAs.
    Terminate {
        /// Which.
        target: SaSelector,
        /// Whether to stream the log and wait for the result.
        wait: bool,
    },
    /// Close IKE_SAs of the peers that have these virtual IPs.
    TerminateSourceIp {
        /// The address, or the first of a range.
        start: String,
        /// The last of a range.
        end: Option<String>,
    },
    /// Rekey SAs.
    Rekey {
        /// Which.
        target: SaSelector,
    },
    /// Install trap or shunt policies.
    Route {
        /// Connection or CHILD_SA configuration.
        name: String,
    },
    /// Remove trap or shunt policies.
    Unroute {
        /// Connection or CHILD_SA configuration.
        name: String,
    },
    /// Add a connection of ipsec.conf.
    AddConnection(Connection),
    /// Forget a connection; its SAs stay.
    DeleteConnection {
        /// The connection.
        name: String,
    },
    /// Describe connections and SAs.
    Status {
        /// Only this connection.
        name: Option<String>,
        /// With all details, `statusall`.
        all: bool,
    },
    /// List something.
    List {
        /// What, in the order it is to be listed.
        what: Vec<Listing>,
        /// Dates in UTC.
        utc: bool,
    },
    /// Read credentials again.
    Reread(Vec<Credentials>),
    /// Forget what is cached.
    Purge(Cache),
    /// List the leases of virtual IPs.
    Leases {
        /// Only of this pool.
        pool: Option<String>,
        /// Only this address.
        address: Option<String>,
    },
    /// Change log levels.
    LogLevel {
        /// The group, or `any`.
        group: String,
        /// The level, -1 to 4.
        level: i8,
    },
    /// List or reset counters.
    Counters {
        /// Of this connection; else global ones.
        name: Option<String>,
        /// Reset them.
        reset: bool,
    },
    /// Write what is wrong with ipsec.conf into the log.
    Report {
        /// One line.
        text: String,
    },
    /// Describe the daemon.
    Version,
}

/// A connection of ipsec.conf, `conn` with everything that `also` and `%default` add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// Where it was read, `/etc/ipsec.conf:12`.
    pub source: String,
    /// `uniqueids` of `config setup`.
    pub uniqueids: String,
    /// Its keywords with their values, in order.
    pub settings: Vec<(String, String)>,
    /// Where the keywords were read that only the daemon can check, `/etc/ipsec.conf:14`.
    pub places: Vec<(String, String)>,
}

/// Defines a set of words that requests carry.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$item])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word for it.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// From its word.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.word() == word)
            }
        }
    };
}

words! {
    /// What can be listed.
    Listing {
        /// Raw public keys.
        PublicKeys = "pubkeys",
        /// End entity certificates.
        Certificates = "certs",
        /// CA certificates.
        CaCertificates = "cacerts",
        /// OCSP signer certificates.
        OcspCertificates = "ocspcerts",
        /// Authorization authority certificates.
        AaCertificates = "aacerts",
        /// Attribute certificates.
        AttributeCertificates = "acerts",
        /// Groups.
        Groups = "groups",
        /// Certification authorities as configured.
        Authorities = "cainfos",
        /// Certificate revocation lists.
        Crls = "crls",
        /// OCSP responses.
        Ocsp = "ocsp",
        /// Algorithms.
        Algorithms = "algs",
        /// Plugins with their features.
        Plugins = "plugins",
    }
}

words! {
    /// Credentials that come from files.
    Credentials {
        /// ipsec.secrets.
        Secrets = "secrets",
        /// CA certificates.
        CaCertificates = "cacerts",
        /// OCSP signer certificates.
        OcspCertificates = "ocspcerts",
        /// Authorization authority certificates.
        AaCertificates = "aacerts",
        /// Attribute certificates.
        AttributeCertificates = "acerts",
        /// Certificate revocation lists.
        Crls = "crls",
    }
}

words! {
    /// What is cached.
    Cache {
        /// OCSP responses.
        Ocsp = "ocsp",
        /// Certificate revocation lists.
        Crls = "crls",
        /// End entity certificates.
        Certificates = "certs",
        /// IKE_SAs without a CHILD_SA.
        Ike = "ike",
    }
}
