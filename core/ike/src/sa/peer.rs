//! What the peer said of itself.

use iana::NotifyType;
use wire::payload::Payload;

use crate::sa::IkeSa;
use crate::shared::{Shared, log};

/// MD5 of `strongSwan`: who sends it means the same by private-use numbers.
pub(crate) const STRONGSWAN_VENDOR_ID: [u8; 16] = [
    0x88, 0x2f, 0xe5, 0x6d, 0x6f, 0xd2, 0x0d, 0xbc, 0x22, 0x51, 0x61, 0x3b, 0x2e, 0xbe, 0x5b, 0xeb,
];

/// Capabilities that the peer announced.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    /// It sent strongSwan's vendor ID.
    pub(crate) strongswan: bool,
    /// IKE fragmentation (RFC 7383).
    pub(crate) fragmentation: bool,
    /// IKE_INTERMEDIATE (RFC 9242).
    pub(crate) intermediate: bool,
    /// MOBIKE (RFC 4555).
    pub(crate) mobike: bool,
    /// Post-quantum preshared keys (RFC 8784).
    pub(crate) ppk: bool,
    /// Childless IKE_SAs (RFC 6023).
    pub(crate) childless: bool,
    /// Redirection (RFC 5685).
    pub(crate) redirection: bool,
    /// Signatures (RFC 7427); it named hashes for them.
    pub(crate) signatures: bool,
}

impl IkeSa {
    /// Learns from the vendor IDs and notifies of an IKE_SA_INIT message.
    pub(crate) fn learn(&mut self, shared: &mut Shared, payloads: &[Payload]) {
        for payload in payloads {
            match payload {
                Payload::VendorId(vendor) if vendor.data[..] == STRONGSWAN_VENDOR_ID => {
                    self.peer.strongswan = true;
                    log!(shared, self, Ike, 1, "received strongSwan vendor ID");
                }
                Payload::VendorId(vendor) => {
                    let shown = &vendor.data[..vendor.data.len().min(32)];
                    let hex: Vec<_> = shown.iter().map(|octet| format!("{octet:02x}")).collect();
                    log!(
                        shared,
                        self,
                        Enc,
                        2,
                        "received unknown vendor ID: {}",
                        hex.join(":")
                    );
                }
                Payload::Notify(notify) => match notify.kind {
                    NotifyType::FRAGMENTATION_SUPPORTED => self.peer.fragmentation = true,
                    NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED => self.peer.intermediate = true,
                    NotifyType::USE_PPK => self.peer.ppk = true,
                    NotifyType::CHILDLESS_IKEV2_SUPPORTED => self.peer.childless = true,
                    NotifyType::REDIRECT_SUPPORTED | NotifyType::REDIRECTED_FROM => {
                        self.learn_redirection(shared, notify.kind, &notify.data);
                    }
                    NotifyType::SIGNATURE_HASH_ALGORITHMS => {
                        self.peer.signatures = notify.data.len() >= 2;
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
}
