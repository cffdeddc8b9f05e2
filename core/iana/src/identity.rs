//! Identification types (RFC 7296, 3.5).

use crate::registry::registry;

registry! {
    /// What the data of an IDi or IDr payload is.
    pub struct IdType(u8) {
        /// Matches every identity; never on the wire.
        ANY = 0 "ID_ANY",
        IPV4_ADDR = 1 "ID_IPV4_ADDR",
        FQDN = 2 "ID_FQDN",
        RFC822_ADDR = 3 "ID_RFC822_ADDR",
        IPV6_ADDR = 5 "ID_IPV6_ADDR",
        DER_ASN1_DN = 9 "ID_DER_ASN1_DN",
        DER_ASN1_GN = 10 "ID_DER_ASN1_GN",
        KEY_ID = 11 "ID_KEY_ID",
    }
}
