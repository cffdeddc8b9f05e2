//! The commands that control plugins give the daemon: vici's, and some of our own.

use std::fmt;

macro_rules! verbs {
    ($($(#[$doc:meta])* $variant:ident $name:literal $access:ident $(=> $event:literal)? $([$paged:ident])?,)*) => {
        /// A command by its name in vici.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Verb {
            $($(#[$doc])* $variant,)*
        }

        impl Verb {
            /// All commands.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The command with a name, if there is one.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn access(self) -> Access {
                match self {
                    $(Self::$variant => Access::$access,)*
                }
            }

            /// The event that its answer consists of, one for each element of a listing, or for each line of the log.
            pub const fn event(self) -> Option<&'static str> {
                match self {
                    $($(Self::$variant => Some($event),)?)*
                    _ => None,
                }
            }

            /// Whether its listing can be had page by page.
            pub const fn is_paged(self) -> bool {
                match self {
                    $($(Self::$variant => stringify!($paged).len() > 0,)?)*
                    _ => false,
                }
            }
        }
    };
}

/// Whose commands they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Clients of the vici socket, and everything else.
    Clients,
    /// The daemon's own plugins only.
    Plugins,
}

verbs! {
    /// Name and version of the daemon, and of the system.
    Version "version" Clients,
    /// Uptime, workers, loaded plugins, numbers of SAs.
    Stats "stats" Clients,
    /// IKE_SAs and CHILD_SAs.
    ListSas "list-sas" Clients => "list-sa" [paged],
    /// Loaded connections.
    ListConns "list-conns" Clients => "list-conn" [paged],
    /// Traps and shunts.
    ListPolicies "list-policies" Clients => "list-policy",
    /// Counters of IKE messages and events.
    GetCounters "get-counters" Clients,
    /// Sets these counters to zero.
    ResetCounters "reset-counters" Clients,
    /// What the plugin `metrics` exports, apart from CHILD_SAs.
    GetMetrics "get-metrics" Clients,
    /// Octets and packets of CHILD_SAs.
    ListTraffic "list-traffic" Clients => "traffic",
    /// Loaded algorithms and their plugins.
    GetAlgorithms "get-algorithms" Clients,
    /// Loaded plugins with their features.
    ListPlugins "list-plugins" Clients => "list-plugin",
    /// Reads strongswan.conf again.
    ReloadSettings "reload-settings" Clients,
    /// Establishes an IKE_SA or a CHILD_SA.
    Initiate "initiate" Clients => "control-log",
    /// Closes IKE_SAs or CHILD_SAs.
    Terminate "terminate" Clients => "control-log",
    /// Closes the IKE_SAs of peers with certain virtual addresses.
    TerminateSourceIp "terminate-srcip" Plugins,
    /// Closes IKE_SAs without CHILD_SAs.
    PurgeIke "purge-ike" Plugins,
    /// Replaces IKE_SAs or CHILD_SAs.
    Rekey "rekey" Clients,
    /// Installs a trap or a shunt.
    Install "install" Clients,
    /// Removes a trap or a shunt.
    Uninstall "uninstall" Clients,
    /// Sends peers to another gateway (RFC 5685).
    Redirect "redirect" Clients,
    /// Loads a connection.
    LoadConn "load-conn" Clients,
    /// Removes a connection.
    UnloadConn "unload-conn" Clients,
    /// Names of loaded connections.
    GetConns "get-conns" Clients,
    /// Loads a shared secret.
    LoadShared "load-shared" Clients,
    /// Removes a shared secret.
    UnloadShared "unload-shared" Clients,
    /// Identifiers of loaded shared secrets.
    GetShared "get-shared" Clients,
    /// Removes all credentials.
    ClearCreds "clear-creds" Clients,
    /// Loads a pool of virtual addresses.
    LoadPool "load-pool" Clients,
    /// Removes a pool.
    UnloadPool "unload-pool" Clients,
    /// Pools with their leases.
    GetPools "get-pools" Clients,
    /// Names the device of a kernel back end that virtual addresses are installed on.
    VirtualIpDevice "virtual-ip-device" Plugins,
    /// Loads a certificate.
    LoadCert "load-cert" Clients,
    /// Loads a private key.
    LoadKey "load-key" Clients,
    /// Loads a private key on a token.
    LoadToken "load-token" Clients,
    /// Removes a private key.
    UnloadKey "unload-key" Clients,
    /// Identifiers of loaded private keys.
    GetKeys "get-keys" Clients,
    /// Loaded certificates.
    ListCerts "list-certs" Clients => "list-cert" [paged],
    /// Empties the cache of certificates.
    FlushCerts "flush-certs" Clients,
    /// Loads a certification authority.
    LoadAuthority "load-authority" Clients,
    /// Removes a certification authority.
    UnloadAuthority "unload-authority" Clients,
    /// Names of loaded certification authorities.
    GetAuthorities "get-authorities" Clients,
    /// Loaded certification authorities.
    ListAuthorities "list-authorities" Clients => "list-authority" [paged],
    /// Loads a connection of ipsec.conf.
    StrokeAddConn "stroke-add-conn" Plugins,
    /// Removes a connection of ipsec.conf.
    StrokeDelConn "stroke-del-conn" Plugins,
    /// Sets the level of a group of the log.
    StrokeLogLevel "stroke-loglevel" Plugins,
    /// Reads ipsec.secrets again.
    RereadSecrets "reread-secrets" Plugins,
}

impl Verb {
    /// Whether clients of the vici socket may give this command.
    pub fn is_for_clients(self) -> bool {
        self.access() == Access::Clients
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Verb;

    #[test]
    fn a_name_means_one_command() {
        for verb in Verb::ALL {
            assert_eq!(Verb::from_name(verb.name()), Some(*verb));
            assert!(!verb.is_paged() || verb.event().is_some(), "{verb}");
        }
        assert_eq!(Verb::from_name("list"), None);
        let paged: Vec<_> = Verb::ALL.iter().filter(|verb| verb.is_paged()).collect();
        let expected = [
            Verb::ListSas,
            Verb::ListConns,
            Verb::ListCerts,
            Verb::ListAuthorities,
        ];
        assert!(paged.into_iter().eq(&expected));
    }
}
