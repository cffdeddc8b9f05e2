//! Attributes: of transforms (RFC 7296, 3.3.5) and of configuration payloads (3.15.1).

use crate::registry::registry;

registry! {
    /// Transform attributes; the only one is the key length.
    pub struct TransformAttribute(u16) {
        KEY_LENGTH = 14 "KEY_LENGTH",
    }
}

registry! {
    /// What a configuration payload asks for or answers.
    pub struct ConfigurationType(u8) {
        REQUEST = 1 "CPRQ",
        REPLY = 2 "CPRP",
        SET = 3 "CPS",
        ACK = 4 "CPA",
    }
}

registry! {
    /// Configuration attributes; the name is the short one of log lines.
    pub struct ConfigurationAttribute(u16) {
        INTERNAL_IP4_ADDRESS = 1 "ADDR",
        INTERNAL_IP4_NETMASK = 2 "MASK",
        INTERNAL_IP4_DNS = 3 "DNS",
        INTERNAL_IP4_NBNS = 4 "NBNS",
        INTERNAL_IP4_DHCP = 6 "DHCP",
        APPLICATION_VERSION = 7 "VER",
        INTERNAL_IP6_ADDRESS = 8 "ADDR6",
        INTERNAL_IP6_DNS = 10 "DNS6",
        /// Of RFC 4306; RFC 5996 removed it.
        INTERNAL_IP6_NBNS = 11 "NBNS6",
        INTERNAL_IP6_DHCP = 12 "DHCP6",
        INTERNAL_IP4_SUBNET = 13 "SUBNET",
        SUPPORTED_ATTRIBUTES = 14 "SUP",
        INTERNAL_IP6_SUBNET = 15 "SUBNET6",
        P_CSCF_IP4 = 20 "PCSCF",
        P_CSCF_IP6 = 21 "PCSCF6",
        INTERNAL_DNS_DOMAIN = 25 "DNSDOM",
        /// Microsoft's.
        INTERNAL_IP4_SERVER = 23456 "SRV",
        /// Microsoft's.
        INTERNAL_IP6_SERVER = 23457 "SRV6",
    }
}
