//! What the results of jobs are for: the phase that waits for them.

use plugin_api::PluginError;

use crate::error::Error;
use crate::exchange::Phase;
use crate::exchange::creation::{Side, Step};
use crate::output::{JobOutcome, JobResult};
use crate::sa::IkeSa;
use crate::shared::{Shared, log};

impl IkeSa {
    /// The job this IKE_SA waits for is done.
    pub(crate) fn on_job_done(&mut self, shared: &mut Shared, result: JobResult) {
        let phase = std::mem::replace(&mut self.phase, Phase::Idle);
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => return self.on_job_failed(shared, phase, error),
        };
        let done = match (phase, outcome) {
            (Phase::MakeInit { proposals, method }, JobOutcome::Initiated(public, pending)) => {
                self.on_init_made(shared, proposals, method, public, pending);
                Ok(())
            }
            (Phase::FinishInit, JobOutcome::Finished(secret)) => self.on_init_finished(shared, &secret),
            (Phase::MakeAdditional { number, method }, JobOutcome::Initiated(public, pending)) => {
                self.on_additional_made(shared, number, method, public, pending)
            }
            (Phase::FinishAdditional, JobOutcome::Finished(secret)) => {
                self.on_additional_finished(shared, &secret)
            }
            (Phase::AnswerInit { proposal, method }, JobOutcome::Responded(public, secret)) => {
                self.on_init_answered(shared, &proposal, method, public, &secret)
            }
            (Phase::AnswerAdditional { method }, JobOutcome::Responded(public, secret)) => {
                self.on_additional_answered(shared, method, public, &secret)
            }
            // A job of an earlier attempt, which nobody waits for any more.
            (phase, _) => {
                self.phase = phase;
                Ok(())
            }
        };
        if let Err(error) = done {
            log!(shared, self, Ike, 1, "key derivation failed: {error}");
            self.destroy();
        }
    }

    fn on_job_failed(&mut self, shared: &mut Shared, phase: Phase, error: PluginError) {
        match phase {
            Phase::AnswerInit { method, .. } => self.on_init_failed(shared, &Error::of_answer(method, error)),
            Phase::AnswerAdditional { method } => {
                self.fail_intermediate(shared, &Error::of_answer(method, error));
            }
            Phase::FinishAdditional => {
                let which = self
                    .negotiation
                    .as_ref()
                    .and_then(|negotiation| negotiation.last_additional);
                if let Some((number, method)) = which {
                    self.log_additional_failed(shared, number, method, error);
                }
                self.destroy();
            }
            _ => {
                log!(shared, self, Ike, 1, "key exchange failed: {error}");
                self.destroy();
            }
        }
    }

    /// The job that something in the making waits for is done.
    pub(crate) fn on_creation_job_done(&mut self, shared: &mut Shared, side: Side, result: JobResult) {
        match (side, result) {
            (Side::Active, Ok(JobOutcome::Initiated(public, pending))) => {
                self.on_creation_initiated(shared, public, pending);
            }
            (Side::Active, Ok(JobOutcome::Finished(secret))) => {
                if let Some(mut creation) = self.creating.take() {
                    creation.secrets.push(secret);
                    self.next_creation_step(shared, creation);
                }
            }
            (Side::Passive, Ok(JobOutcome::Responded(public, secret))) => {
                self.on_creation_answered(shared, public, secret);
            }
            (_, Ok(_)) => {}
            (Side::Active, Err(error)) => {
                let Some(creation) = self.creating.take() else {
                    return;
                };
                match creation.step {
                    Step::Finish(Some((number, method))) | Step::MakeAdditional(number, method) => {
                        self.log_additional_failed(shared, number, method, error);
                    }
                    _ => log!(
                        shared,
                        self,
                        Ike,
                        1,
                        "key exchange of CREATE_CHILD_SA failed: {error}"
                    ),
                }
                self.withdraw(shared, *creation);
            }
            (Side::Passive, Err(error)) => {
                if let Some(creation) = self.answering.take() {
                    // Of ML-KEM too: an INVALID_SYNTAX would end an IKE_SA that works (RFC 7296, 2.21.3).
                    self.answer_failed(shared, creation, &Error::Plugin(error));
                }
            }
        }
    }
}
