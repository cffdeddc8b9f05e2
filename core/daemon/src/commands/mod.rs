//! The daemon's commands, by the names and keys of vici. Control plugins only carry them.

mod conns;
mod counters;
mod creds;
mod daemon;
#[cfg(test)]
mod fuzz;
mod initiate;
mod install;
mod load;
pub mod message;
mod metrics;
pub(crate) mod names;
mod operation;
mod page;
mod pools;
mod redirect;
mod rekey;
mod resolve;
pub mod sas;
mod secrets;
mod shared;
mod stroke;
mod terminate;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use control::Verb;
use control::vici::Message;
use plugin_api::Reply;

use crate::run::Daemon;
use message::Extra;

pub(crate) use operation::Operations;
pub(crate) use secrets::load as load_secrets;

/// The answer to a command that is done at once; an error becomes its `errmsg`.
type Answer = Result<Message, String>;

impl Daemon {
    /// Runs a command, or starts it.
    pub(crate) fn command(&mut self, verb: &str, octets: &[u8], reply: &Arc<dyn Reply>) {
        let Some(verb) = Verb::from_name(verb) else {
            let answer = failure(&format!("unknown command '{verb}'")).value("unknown", "yes");
            return reply.done(&answer.encode_or_empty());
        };
        let message = match Message::decode(octets) {
            Ok(message) => message,
            Err(error) => {
                return reply
                    .done(&failure(&format!("malformed message of {verb}: {error}")).encode_or_empty());
            }
        };
        let answer = match verb {
            Verb::Version => Ok(daemon::version(self.legacy.program)),
            Verb::Stats => Ok(self.stats(&message)),
            Verb::ListSas => Ok(self.list_sas(&message, reply.as_ref())),
            Verb::ListConns => Ok(self.list_conns(&message, reply.as_ref())),
            Verb::ListPolicies => Ok(self.list_policies(&message, reply.as_ref())),
            Verb::GetCounters => self.get_counters(&message),
            Verb::ResetCounters => self.reset_counters(&message),
            Verb::GetMetrics => self.get_metrics(),
            Verb::ListTraffic => Ok(self.list_traffic(&message, reply.as_ref())),
            Verb::GetAlgorithms => Ok(self.algorithms(&message)),
            Verb::ListPlugins => Ok(self.list_plugins(reply.as_ref())),
            Verb::ReloadSettings => self.reload_settings(),
            Verb::Initiate => return self.start_initiate(&message, reply),
            Verb::Terminate => return self.start_terminate(&message, reply),
            Verb::TerminateSourceIp => self.terminate_srcip(&message),
            Verb::PurgeIke => self.purge_ike(),
            Verb::Rekey => self.rekey(&message),
            Verb::Install => return self.start_install(&message, reply),
            Verb::Uninstall => self.uninstall(&message),
            Verb::Redirect => self.redirect(&message),
            Verb::LoadConn => self.load_conn(&message),
            Verb::UnloadConn => self.unload_conn(&message),
            Verb::GetConns => Ok(self.get_conns()),
            Verb::LoadShared => self.load_shared(&message),
            Verb::UnloadShared => self.unload_shared(&message),
            Verb::GetShared => Ok(self.get_shared()),
            Verb::ClearCreds => Ok(self.clear_creds()),
            Verb::LoadPool => self.load_pool(&message),
            Verb::UnloadPool => self.unload_pool(&message),
            Verb::GetPools => Ok(self.get_pools(&message)),
            Verb::VirtualIpDevice => self.set_virtual_ip_device(&message),
            Verb::LoadCert => self.load_cert(&message),
            Verb::LoadKey => self.load_key(&message),
            Verb::LoadToken => self.load_token(&message),
            Verb::UnloadKey => self.unload_key(&message),
            Verb::GetKeys => Ok(self.get_keys()),
            Verb::ListCerts => Ok(self.list_certs(&message, reply.as_ref())),
            Verb::FlushCerts => self.flush_certs(&message),
            Verb::LoadAuthority => self.load_authority(&message),
            Verb::UnloadAuthority => self.unload_authority(&message),
            Verb::GetAuthorities => Ok(self.get_authorities()),
            Verb::ListAuthorities => Ok(self.list_authorities(&message, reply.as_ref())),
            Verb::StrokeAddConn => self.add_connection(&message),
            Verb::StrokeDelConn => self.delete_connection(&message),
            Verb::StrokeLogLevel => self.set_log_level(&message),
            Verb::RereadSecrets => self.reread_secrets(),
        };
        let answer = answer.unwrap_or_else(|error| failure(&error));
        // What a client has been told is done, so is what the kernel has to do for it.
        self.drain();
        reply.done(&answer.encode_or_empty());
    }
}

fn success() -> Message {
    let mut answer = Message::default();
    answer.push_value("success", "yes");
    answer
}

fn failure(text: &str) -> Message {
    let mut answer = Message::default();
    answer.push_value("success", "no");
    answer.push_value("errmsg", text);
    answer
}

/// A failure with counts that are zero.
fn failure_with(text: &str, counts: &[&str]) -> Message {
    let mut answer = Message::new().value("success", "no");
    for count in counts {
        answer.push_value(count, 0);
    }
    answer.value("errmsg", text)
}
