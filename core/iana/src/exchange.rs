//! Exchange types (RFC 7296, 3.1; RFC 9242; RFC 9370).

use crate::registry::registry;

registry! {
    /// What an IKE message is part of.
    pub struct ExchangeType(u8) {
        IKE_SA_INIT = 34 "IKE_SA_INIT",
        IKE_AUTH = 35 "IKE_AUTH",
        CREATE_CHILD_SA = 36 "CREATE_CHILD_SA",
        INFORMATIONAL = 37 "INFORMATIONAL",
        IKE_SESSION_RESUME = 38 "IKE_SESSION_RESUME",
        IKE_INTERMEDIATE = 43 "IKE_INTERMEDIATE",
        /// RFC 9370.
        IKE_FOLLOWUP_KE = 44 "IKE_FOLLOWUP_KE",
        /// strongSwan 6.0dr1 to 6.0dr17, from the private range.
        IKE_FOLLOWUP_KE_DRAFT = 138 "IKE_FOLLOWUP_KE",
    }
}
