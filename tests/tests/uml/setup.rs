//! swanctl.conf of both hosts.

/// What a connection says of one of its ends.
#[derive(Clone, Copy)]
pub(crate) struct End {
    /// Its address; `%any` if the other does not know it.
    pub(crate) address: &'static str,
    pub(crate) name: &'static str,
    /// What is behind it; `dynamic` for itself.
    pub(crate) network: &'static str,
}

pub(crate) const MOON: End = End {
    address: "192.168.0.2",
    name: "moon",
    network: "10.1.0.0/16",
};

pub(crate) const CAROL: End = End {
    address: "192.168.0.3",
    name: "carol",
    network: "10.3.0.0/16",
};

impl End {
    pub(crate) const fn at(self, address: &'static str) -> Self {
        Self { address, ..self }
    }

    /// Itself, not what is behind it.
    pub(crate) const fn alone(self) -> Self {
        Self {
            network: "dynamic",
            ..self
        }
    }
}

/// The swanctl.conf of an end, with a connection and a CHILD_SA named `net`. `connection` and `child` are more settings
/// of these.
pub(crate) fn conf(own: End, peer: End, esp: &str, connection: &str, child: &str) -> String {
    format!(
        "connections {{
 net {{
  version = 2
  local_addrs = {}
  remote_addrs = {}
  proposals = aes256gcm16-sha512-x25519
  keyingtries = 1
  {connection}
  local {{
   auth = psk
   id = {}.strongswan.org
  }}
  remote {{
   auth = psk
   id = {}.strongswan.org
  }}
  children {{
   net {{
    local_ts = {}
    remote_ts = {}
    esp_proposals = {esp}
    {child}
   }}
  }}
 }}
}}
secrets {{
 ike {{
  id-1 = moon.strongswan.org
  id-2 = carol.strongswan.org
  secret = \"known on both hosts\"
 }}
}}
",
        own.address, peer.address, own.name, peer.name, own.network, peer.network
    )
}
