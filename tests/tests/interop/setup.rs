//! What a connection is configured with on both hosts.

use super::pair::Side;

/// The proposals of a peer: with each, tunnels are established and rekeyed. The first is that of the other cells.
pub(crate) fn proposals(suite: &str) -> &'static [&'static str] {
    match suite {
        "bookworm" => &[
            "aes256gcm16-sha512-x25519",
            "aes256-sha256-modp3072",
            "aes128-sha256-ecp256",
            "aes192-sha384-ecp384",
            "aes256-sha512-ecp521",
            "aes128gcm16-sha256-modp2048",
        ],
        "trixie" => &[
            "aes256gcm16-sha512-x25519-ke1_ecp384-ke2_modp3072",
            "aes256-sha256-modp3072",
            "aes128-sha256-ecp256-ke1_x25519",
            "aes256gcm16-sha384-ecp256-ke1_x25519-ke2_ecp384-ke3_ecp521-ke4_modp2048",
        ],
        _ => &[
            "aes256gcm16-sha512-x25519-ke1_ecp384",
            "aes256-sha256-modp3072",
            "aes256gcm16-sha512-x25519-ke1_mlkem768",
            "aes256-sha384-ecp384-ke1_mlkem1024",
            "aes128gcm16-sha256-x25519-ke1_mlkem512-ke2_ecp256",
            "aes256gcm16-sha512-mlkem768",
        ],
    }
}

/// What protects IKE_SAs and CHILD_SAs besides, of both ends' plugins: encryption, integrity, pseudo-random functions.
pub(crate) const ALGORITHMS: &[&str] = &[
    "aes256ctr-aesxcbc-x25519",
    "aes128ctr-aescmac-x25519",
    "aes256ccm16-prfaesxcbc-x25519",
    "aes192ccm12-prfaescmac-x25519",
    "aes128ccm8-prfsha256-x25519",
    "aes256gcm12-prfsha384-x25519",
    "aes128gcm8-prfmd5-x25519",
    "chacha20poly1305-prfsha512-x25519",
    "3des-md5-modp2048",
    "3des-sha1-modp1024",
    "blowfish128-sha256-x25519",
    "camellia256-sha512-x25519",
    "camellia128ctr-sha256-x25519",
    "camellia256ccm16-prfsha256-x25519",
];

/// Those of ESP alone.
pub(crate) const ESP_ALONE: &[&str] = &["null-sha256", "null-aesxcbc", "aes256-md5"];

/// A proposal whose messages are longer than a packet of `size` octets, as far as the peer's key exchanges allow.
pub(crate) fn long(suite: &str, size: u16, ml: bool) -> &'static str {
    match (suite, size) {
        ("bookworm", _) => "aes256gcm16-sha512-x25519",
        ("forky", _) if ml => "aes256gcm16-sha512-x25519-ke1_mlkem1024",
        (_, 576) => "aes256gcm16-sha512-x25519-ke1_modp4096",
        _ => "aes256gcm16-sha512-x25519-ke1_ecp384",
    }
}

/// An offer for CHILD_SAs of which the first is chosen, long enough to make IKE_AUTH more than a packet.
pub(crate) fn long_offer(first: &str) -> String {
    let mut offers = vec![first.to_owned()];
    for bits in [128, 192, 256] {
        for integrity in ["sha1", "sha256", "sha384", "sha512"] {
            for esn in ["noesn", "esn", "esn-noesn"] {
                offers.push(format!("aes{bits}-{integrity}-{esn}"));
            }
        }
    }
    offers.join(",")
}

/// A connection between the hosts: what is the same on both, and where they may differ.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) our_ike: String,
    pub(crate) their_ike: String,
    pub(crate) our_esp: String,
    pub(crate) their_esp: String,
    pub(crate) our_psk: &'static str,
    pub(crate) mobike: bool,
    /// Whether the initiator has a virtual address.
    pub(crate) virtual_ip: Option<Side>,
    /// Who looks for a dead peer every second.
    pub(crate) dpd: Option<Side>,
}

/// Where the responder takes virtual addresses from.
const POOL: &str = "10.9.0.0/24";

/// The first of them.
pub(crate) const VIRTUAL_IP: &str = "10.9.0.1";

/// The secret of both, unless a cell is about another.
pub(crate) const PSK: &str = "known on both hosts";

/// One that only we know.
pub(crate) const OUR_PSK: &str = "known to us alone";

impl Setup {
    /// Both hosts with this proposal and no other, for the IKE_SA and its CHILD_SAs.
    pub(crate) fn new(proposal: &str) -> Self {
        Self {
            our_ike: proposal.to_owned(),
            their_ike: proposal.to_owned(),
            our_esp: proposal.to_owned(),
            their_esp: proposal.to_owned(),
            our_psk: PSK,
            mobike: true,
            virtual_ip: None,
            dpd: None,
        }
    }

    /// Our ipsec.conf.
    pub(crate) fn ipsec_conf(&self, name: &str) -> String {
        let (left, right) = match self.virtual_ip {
            None => ("leftsubnet=10.3.0.0/16", "rightsubnet=10.1.0.0/16".to_owned()),
            Some(Side::Us) => ("leftsourceip=%config", "rightsubnet=10.1.0.0/16".to_owned()),
            Some(Side::Them) => ("leftsubnet=10.3.0.0/16", format!("rightsourceip={POOL}")),
        };
        format!(
            "conn {name}\n    keyexchange=ikev2\n    left=192.168.0.3\n    leftid=carol.strongswan.org\n    \
             {left}\n    right=192.168.0.2\n    rightid=moon.strongswan.org\n    \
             {right}\n    authby=psk\n    ike={}!\n    esp={}!\n    mobike={}\n    reauth=no\n    \
             keyingtries=1\n{}    auto=add\n",
            self.our_ike,
            self.our_esp,
            yes(self.mobike),
            match self.dpd {
                Some(Side::Us) => "    dpdaction=clear\n    dpddelay=1s\n",
                _ => "",
            }
        )
    }

    /// Our ipsec.secrets.
    pub(crate) fn ipsec_secrets(&self) -> String {
        format!(
            "moon.strongswan.org carol.strongswan.org : PSK \"{}\"\n",
            self.our_psk
        )
    }

    /// Their swanctl.conf.
    pub(crate) fn swanctl_conf(&self, name: &str) -> String {
        let (addresses, local, remote) = match self.virtual_ip {
            None => ("", "10.1.0.0/16", "10.3.0.0/16"),
            Some(Side::Us) => ("  pools = rw\n", "10.1.0.0/16", "dynamic"),
            Some(Side::Them) => ("  vips = 0.0.0.0\n", "dynamic", "10.3.0.0/16"),
        };
        format!(
            "connections {{\n {name} {{\n  version = 2\n  local_addrs = 192.168.0.2\n  remote_addrs = 192.168.0.3\n  \
             proposals = {}\n{addresses}  mobike = {}\n  keyingtries = 1\n  dpd_delay = {}\n  local {{\n   auth = psk\n   id = moon.strongswan.org\n  \
             }}\n  remote {{\n   auth = psk\n   id = carol.strongswan.org\n  }}\n  children {{\n   {name} {{\n    \
             local_ts = {local}\n    remote_ts = {remote}\n    esp_proposals = {}\n   }}\n  }}\n }}\n}}\nsecrets {{\n \
             ike {{\n  id-1 = moon.strongswan.org\n  id-2 = carol.strongswan.org\n  secret = \"{PSK}\"\n }}\n}}\npools {{\n rw {{\n  addrs = {POOL}\n  dns = 10.1.0.1\n }}\n}}\n",
            self.their_ike,
            yes(self.mobike),
            u8::from(self.dpd == Some(Side::Them)),
            self.their_esp
        )
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
