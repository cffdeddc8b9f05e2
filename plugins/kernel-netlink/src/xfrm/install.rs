//! Messages that install and remove, with what to do if the kernel does not like the first.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_xfrm::state::ModifyMessage;
use netlink_packet_xfrm::{XfrmAttrs, XfrmMessage as Message};
use plugin_api::kernel::{HwOffload, PolicyParameters, SaParameters};
use plugin_api::log::{CONTROL, Group};
use plugin_api::{ErrorKind, PluginError};

use super::bypass::Port;
use super::refusal::refused;
use super::spd::{self, Change};
use super::{Interfaces, Xfrm, offload, policy, sa};
use crate::connection::Refusal;

impl Xfrm {
    /// Has the kernel do what a change of the table comes to.
    pub(super) fn apply(
        &self,
        interfaces: &mut Interfaces,
        key: &spd::Key,
        change: Change,
    ) -> Result<(), PluginError> {
        let describe = |what: &str, policy: &PolicyParameters| {
            format!(
                "{what} policy {} === {} {:?}",
                policy.src_ts, policy.dst_ts, policy.direction
            )
        };
        match change {
            Change::Keep => Ok(()),
            Change::Update(policy) => {
                let interface = interfaces.get(key).copied().unwrap_or(0);
                one_of(offload::of_policy(&*self.host, &policy)?, |offload| {
                    let message = Message::UpdatePolicy(policy::install(key, &policy, interface, offload));
                    self.ask(describe("updating", &policy), message, 0)
                })
            }
            Change::Install(policy) => {
                let interface = interface_index(&key.interface)?;
                one_of(offload::of_policy(&*self.host, &policy)?, |offload| {
                    let message = policy::install(key, &policy, interface, offload);
                    if self.settings.policy_update {
                        return self.ask(describe("adding", &policy), Message::UpdatePolicy(message), 0);
                    }
                    let create = Message::AddPolicy(message.clone());
                    match self.connection.ask(create, NLM_F_CREATE | NLM_F_EXCL) {
                        Err(Refusal { error, .. }) if error.raw_os_error() == Some(libc::EEXIST) => {
                            let text = format!(
                                "{} already exists, try to update it",
                                describe("", &policy).trim_start()
                            );
                            self.host.log(Group::Knl, CONTROL, &text);
                            let message = Message::UpdatePolicy(message);
                            self.ask(describe("updating", &policy), message, 0)
                        }
                        outcome => outcome
                            .map(drop)
                            .map_err(|refusal| refused(describe("adding", &policy), &refusal)),
                    }
                })?;
                if interface != 0 {
                    interfaces.insert(key.clone(), interface);
                }
                Ok(())
            }
            Change::Remove => {
                let interface = interfaces.remove(key).unwrap_or(0);
                let message = Message::DeletePolicy(policy::named(key, interface));
                self.ask("removing a policy", message, 0)
            }
        }
    }

    /// Installs an SA; an inbound one in the place of its reserved SPI, an outbound one in that of what the kernel has asked
    /// for by the number `asked`.
    pub(super) fn install_sa(
        &self,
        parameters: &SaParameters,
        asked: u32,
        offload: Option<XfrmAttrs>,
    ) -> Result<(), PluginError> {
        let make = || -> Result<ModifyMessage, PluginError> {
            let mut message = sa::install(parameters, self.settings.transport_ports)?;
            message.user_sa_info.seq = asked;
            message.nlas.extend(offload.clone());
            Ok(message)
        };
        if parameters.inbound {
            match self.connection.ask(Message::UpdateSa(make()?), 0) {
                Ok(_) => return Ok(()),
                // The reserved SPI has expired.
                Err(refusal) if refusal.error.raw_os_error() == Some(libc::ESRCH) => {}
                Err(refusal) => return Err(refused("adding an SA", &refusal)),
            }
        }
        self.ask("adding an SA", Message::AddSa(make()?), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Has a network device compute if it has to: the kernel does not say so if it cannot.
    pub(super) fn check_offload(&self, parameters: &SaParameters) -> Result<(), PluginError> {
        if parameters.options.hw_offload != HwOffload::Crypto {
            return Ok(());
        }
        let mut state = self.state(&parameters.id, parameters.mark)?;
        sa::wipe_all(&mut state.nlas);
        if sa::is_offloaded(&state) {
            return Ok(());
        }
        let message = Message::DeleteSa(sa::named(&parameters.id, parameters.mark));
        self.ask("removing an SA that no device has", message, 0)?;
        Err(offload::unable())
    }

    /// Lets a port pass.
    pub(super) fn install_port(&self, port: Port) -> Result<(), PluginError> {
        for message in port.install() {
            self.ask("adding a policy for a port", Message::UpdatePolicy(message), 0)?;
        }
        Ok(())
    }
}

/// Tries one after the other, up to the first that succeeds.
pub(super) fn one_of(
    attempts: Vec<Option<XfrmAttrs>>,
    attempt: impl Fn(Option<XfrmAttrs>) -> Result<(), PluginError>,
) -> Result<(), PluginError> {
    let mut outcome = Ok(());
    for offload in attempts {
        let by_device = offload.is_some();
        outcome = attempt(offload).map_err(|mut error| {
            if by_device {
                error
                    .message
                    .push_str("; if it is for the network device, set hw_offload to auto or no");
            }
            error
        });
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn interface_index(name: &str) -> Result<i32, PluginError> {
    if name.is_empty() {
        return Ok(0);
    }
    offload::index(name).ok_or_else(|| {
        PluginError::new(
            ErrorKind::NotFound,
            format!("there is no network interface {name}; make it, or remove `interface = {name}`"),
        )
    })
}
