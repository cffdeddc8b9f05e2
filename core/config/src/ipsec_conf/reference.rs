//! What each keyword of ipsec.conf means, for the manual page.

/// A keyword with its default and its meaning.
pub type Entry = (&'static str, &'static str, &'static str);

/// Keywords of `config setup`.
pub const SETUP: &[Entry] = &[
    (
        "charondebug",
        "",
        "Log levels for loggers that strongswan.conf does not describe, such as \"ike 2, knl 3\".",
    ),
    (
        "uniqueids",
        "yes",
        "What happens to a second IKE_SA between the same identities: yes and replace close the old one, keep refuses the new \
         one, no closes the old one only if the peer announces that it has lost it, never ignores that too.",
    ),
    (
        "cachecrls",
        "no",
        "Has no effect: certificates are not supported yet.",
    ),
    (
        "strictcrlpolicy",
        "no",
        "Has no effect: certificates are not supported yet.",
    ),
];

/// Keywords of a `conn` that have no left and right form.
pub const CONN: &[Entry] = &[
    (
        "auto",
        "ignore",
        "What is done with the connection when it is loaded: add only loads it, route installs trap policies, start \
         establishes it, ignore does not even load it.",
    ),
    (
        "also",
        "",
        "Takes in the keywords of another section; own keywords come first.",
    ),
    (
        "keyexchange",
        "ike",
        "ike or ikev2. A connection with ikev1 is refused, because IKEv1 is not supported.",
    ),
    (
        "type",
        "tunnel",
        "tunnel or transport; passthrough and drop make a shunt, which is not negotiated.",
    ),
    (
        "ike",
        "",
        "Proposals for the IKE_SA, separated by commas, such as aes256gcm16-sha512-x25519-ke1_mlkem768. The built-in \
         proposals follow unless the list ends in '!'.",
    ),
    (
        "esp",
        "",
        "Proposals for the CHILD_SA. A key exchange in them is made anew with each rekeying.",
    ),
    (
        "ah",
        "",
        "Refused: AH is not supported, and ESP is not negotiated in its place.",
    ),
    (
        "authby",
        "pubkey",
        "How both ends authenticate where leftauth and rightauth do not say: psk or secret, pubkey, never.",
    ),
    (
        "ikelifetime",
        "3h",
        "Time after which the IKE_SA is rekeyed or authenticated again, less margintime.",
    ),
    (
        "lifetime",
        "1h",
        "Time after which a CHILD_SA ends; it is rekeyed before, by margintime.",
    ),
    ("keylife", "1h", "An older name of lifetime."),
    (
        "margintime",
        "9m",
        "How long before its end an SA is rekeyed; a random part of it, see rekeyfuzz, comes on top.",
    ),
    ("rekeymargin", "9m", "An older name of margintime."),
    (
        "rekeyfuzz",
        "100%",
        "The largest random share by which margins are enlarged, so that many tunnels are not rekeyed at once.",
    ),
    (
        "keyingtries",
        "3",
        "How often the connection is attempted; %forever or 0 does not give up.",
    ),
    (
        "lifebytes",
        "0",
        "Octets after which a CHILD_SA ends; 0 is without limit.",
    ),
    (
        "marginbytes",
        "0",
        "How many octets before lifebytes the CHILD_SA is rekeyed.",
    ),
    (
        "lifepackets",
        "0",
        "Packets after which a CHILD_SA ends; 0 is without limit.",
    ),
    (
        "marginpackets",
        "0",
        "How many packets before lifepackets the CHILD_SA is rekeyed.",
    ),
    (
        "rekey",
        "yes",
        "Whether this end rekeys. The peer may do so in either case.",
    ),
    (
        "reauth",
        "yes",
        "Whether the end of ikelifetime means to authenticate again instead of rekeying.",
    ),
    (
        "mobike",
        "yes",
        "Whether the peers may change their addresses (RFC 4555).",
    ),
    (
        "fragmentation",
        "yes",
        "Whether long IKE messages are fragmented: yes, accept (of the peer only), force, no.",
    ),
    (
        "forceencaps",
        "no",
        "Whether ESP is put into UDP even where there is no NAT.",
    ),
    (
        "dpdaction",
        "none",
        "What happens when the peer is dead: clear, hold (a trap is left), restart, none.",
    ),
    (
        "dpddelay",
        "30s",
        "How long the peer may be silent before it is asked for a sign of life.",
    ),
    (
        "dpdtimeout",
        "150s",
        "Has no effect: of IKEv2 retransmissions decide, see strongswan.conf.",
    ),
    (
        "closeaction",
        "none",
        "What happens when the peer closes the CHILD_SA: clear, hold, restart, none.",
    ),
    ("compress", "no", "Has no effect yet."),
    (
        "installpolicy",
        "yes",
        "Whether policies are installed, or left to somebody else.",
    ),
    (
        "sha256_96",
        "no",
        "Whether SHA-256 in ESP is truncated to 96 bits, as old kernels do.",
    ),
    (
        "tfc",
        "0",
        "Pads ESP packets to this many octets; %mtu has no effect yet.",
    ),
    (
        "reqid",
        "0",
        "A fixed request ID for policies and SAs; 0 lets the daemon choose.",
    ),
    (
        "replay_window",
        "32",
        "Packets by which ESP may arrive out of order; 0 switches the protection off.",
    ),
    (
        "mark",
        "",
        "A mark, VALUE[/MASK], for policies and SAs in both directions.",
    ),
    ("mark_in", "", "A mark for the inbound direction."),
    ("mark_out", "", "A mark for the outbound direction."),
    (
        "inactivity",
        "0s",
        "Time without traffic after which a CHILD_SA is closed; 0 does not close it.",
    ),
    ("ikedscp", "000000", "The DSCP of IKE packets, six binary digits."),
    ("aggressive", "no", "Belongs to IKEv1; has no effect."),
    ("modeconfig", "pull", "Belongs to IKEv1; has no effect."),
    ("xauth", "client", "Belongs to IKEv1; has no effect."),
    ("xauth_identity", "", "Belongs to IKEv1; has no effect."),
    (
        "eap_identity",
        "",
        "The identity that the peer has to show within EAP. EAP is not supported yet: such a peer is refused.",
    ),
    ("aaa_identity", "", "Has no effect yet."),
    (
        "mediation",
        "no",
        "Refused if set to yes: mediation is not supported.",
    ),
    ("mediated_by", "", "Refused: mediation is not supported."),
    ("me_peerid", "", "Refused: mediation is not supported."),
    (
        "profile",
        "",
        "Pins the wire format of additional key exchanges: draft for strongSwan 6.0dr3, rfc for RFC 9242 and RFC 9370. \
         Without it the negotiated algorithms decide.",
    ),
    (
        "kyber_generation",
        "",
        "Which Kyber kyber1, kyber3 and kyber5 are: round3, or round2 as strongSwan 6.0dr3 has it with liboqs 0.4.",
    ),
];

/// Keywords of a `conn` that are written with `left` or `right` before them.
pub const SIDES: &[Entry] = &[
    (
        "",
        "%any",
        "Addresses of the end: an address, a host name, a subnet, a range, a list of these, or %any. The end with an address \
         of this host is the local one, or else left. A name or address after a % is used to initiate, but any other is \
         accepted too.",
    ),
    (
        "id",
        "left or right",
        "The identity of the end; the default is its address or name, or nothing if that is %any.",
    ),
    ("id2", "", "The identity in the second round of authentication."),
    (
        "subnet",
        "",
        "Networks behind the end that are tunnelled, separated by commas, each with an optional [protocol/port]. The \
         default is the address of the end itself.",
    ),
    ("subnetwithin", "", "An older name of subnet."),
    (
        "protoport",
        "",
        "Protocol and port for subnets that have none: tcp/http, udp, 17/53.",
    ),
    (
        "sourceip",
        "",
        "Of the local end: the virtual address to ask for, %config, %config4, %config6 or an address. Of the remote end: the \
         pool that addresses are given from, as a subnet, a range, or %NAME.",
    ),
    (
        "dns",
        "",
        "DNS servers that the local end asks for, or that the remote end is told of.",
    ),
    (
        "auth",
        "authby",
        "How the end authenticates. Only psk can be proved yet; where a peer has to prove anything else, every peer is refused.",
    ),
    (
        "auth2",
        "",
        "A second round of authentication. Not supported yet: the peer is refused.",
    ),
    (
        "cert",
        "",
        "A certificate. Not supported yet: a peer that needs one is refused.",
    ),
    ("cert2", "", "A certificate of the second round."),
    (
        "sigkey",
        "",
        "A public key. Not supported yet: a peer that needs one is refused.",
    ),
    ("rsasigkey", "", "An older name of sigkey."),
    (
        "ca",
        "",
        "The authority of the peer's certificate. Not supported yet: the peer is refused.",
    ),
    ("ca2", "", "The authority in the second round."),
    (
        "certpolicy",
        "",
        "Policies of the peer's certificate. Not supported yet: the peer is refused.",
    ),
    (
        "groups",
        "",
        "Groups that the peer has to be in. Not supported yet: the peer is refused.",
    ),
    ("groups2", "", "The groups in the second round."),
    (
        "sendcert",
        "ifasked",
        "Has no effect: certificates are not supported yet.",
    ),
    (
        "firewall",
        "no",
        "Whether 'ipsec _updown iptables' opens the local firewall for the tunnel.",
    ),
    (
        "hostaccess",
        "no",
        "Whether that also lets the tunnel reach this host.",
    ),
    (
        "updown",
        "",
        "A script that is run when a CHILD_SA comes up or goes down.",
    ),
    (
        "allowany",
        "no",
        "Whether the end may have any other address, too.",
    ),
    ("ikeport", "500", "The UDP port of IKE at that end."),
];

#[cfg(test)]
mod tests {
    use super::super::keywords;
    use super::*;

    #[test]
    fn every_keyword_is_explained() {
        for (known, explained) in [
            (keywords::SETUP, SETUP),
            (keywords::CONN, CONN),
            (keywords::SIDES, SIDES),
        ] {
            let mut known = known.to_vec();
            let mut explained: Vec<&str> = explained.iter().map(|(name, ..)| *name).collect();
            known.sort_unstable();
            explained.sort_unstable();
            assert_eq!(known, explained);
        }
    }
}
