//! Payload types (RFC 7296, 3.2; RFC 7383).

use crate::registry::registry;

registry! {
    /// The type of a payload; the name is the short one of log lines.
    pub struct PayloadType(u8) {
        /// Ends a chain of payloads.
        NONE = 0 "NONE",
        SA = 33 "SA",
        KE = 34 "KE",
        ID_I = 35 "IDi",
        ID_R = 36 "IDr",
        CERT = 37 "CERT",
        CERTREQ = 38 "CERTREQ",
        AUTH = 39 "AUTH",
        NONCE = 40 "No",
        NOTIFY = 41 "N",
        DELETE = 42 "D",
        VENDOR_ID = 43 "V",
        TS_I = 44 "TSi",
        TS_R = 45 "TSr",
        SK = 46 "E",
        CP = 47 "CP",
        EAP = 48 "EAP",
        SKF = 53 "EF",
    }
}
