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
        let message = match Message::decode(octets) {
            Ok(message) => message,
            Err(error) => {
                return reply
                    .done(&failure(&format!("malformed message of {verb}: {error}")).encode_or_empty());
            }
        };
        let answer = match verb {
            "version" => Ok(daemon::version(self.legacy.program)),
            "stats" => Ok(self.stats(&message)),
            "list-sas" => Ok(self.list_sas(&message, reply.as_ref())),
            "list-conns" => Ok(self.list_conns(&message, reply.as_ref())),
            "list-policies" => Ok(self.list_policies(&message, reply.as_ref())),
            "get-counters" => self.get_counters(&message),
            "reset-counters" => self.reset_counters(&message),
            "get-metrics" => self.get_metrics(),
            "list-traffic" => Ok(self.list_traffic(&message, reply.as_ref())),
            "get-algorithms" => Ok(self.algorithms(&message)),
            "list-plugins" => Ok(self.list_plugins(reply.as_ref())),
            "reload-settings" => self.reload_settings(),
            "initiate" => return self.start_initiate(&message, reply),
            "terminate" => return self.start_terminate(&message, reply),
            "terminate-srcip" => self.terminate_srcip(&message),
            "purge-ike" => self.purge_ike(),
            "rekey" => self.rekey(&message),
            "install" => return self.start_install(&message, reply),
            "uninstall" => self.uninstall(&message),
            "redirect" => self.redirect(&message),
            "load-conn" => self.load_conn(&message),
            "unload-conn" => self.unload_conn(&message),
            "get-conns" => Ok(self.get_conns()),
            "load-shared" => self.load_shared(&message),
            "unload-shared" => self.unload_shared(&message),
            "get-shared" => Ok(self.get_shared()),
            "clear-creds" => Ok(self.clear_creds()),
            "load-pool" => self.load_pool(&message),
            "unload-pool" => self.unload_pool(&message),
            "get-pools" => Ok(self.get_pools(&message)),
            "virtual-ip-device" => self.set_virtual_ip_device(&message),
            "load-cert" => self.load_cert(&message),
            "load-key" => self.load_key(&message),
            "load-token" => self.load_token(&message),
            "unload-key" => self.unload_key(&message),
            "get-keys" => Ok(self.get_keys()),
            "list-certs" => Ok(self.list_certs(&message, reply.as_ref())),
            "flush-certs" => self.flush_certs(&message),
            "load-authority" => self.load_authority(&message),
            "unload-authority" => self.unload_authority(&message),
            "get-authorities" => Ok(self.get_authorities()),
            "list-authorities" => Ok(self.list_authorities(&message, reply.as_ref())),
            "stroke-add-conn" => self.add_connection(&message),
            "stroke-del-conn" => self.delete_connection(&message),
            "stroke-loglevel" => self.set_log_level(&message),
            "reread-secrets" => self.reread_secrets(),
            _ => {
                let mut answer = failure(&format!("unknown command '{verb}'"));
                answer.push_value("unknown", "yes");
                Ok(answer)
            }
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
