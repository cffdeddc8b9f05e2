//! What becomes of an IKE_SA when its connection goes or is not what it was. It is decided on what will be: requests that
//! are queued count as done.

use std::sync::Arc;

use config::connection::{ChildConfig, PeerConfig};
use crypto::int_auth::Role;

use crate::sa::unwanted::Wanted;
use crate::sa::{IkeSa, IkeSaState};
use crate::shared::{Shared, log, log_plain};

/// How a connection changes.
pub(crate) struct Change {
    /// What it is from now on; nothing if it is removed.
    pub(crate) new: Option<Arc<PeerConfig>>,
    /// Whether the settings for the peer stay, so that IKE_SAs can.
    pub(crate) same_peer: bool,
    /// The CHILD_SA configurations that are removed or changed.
    pub(crate) gone: Vec<Arc<ChildConfig>>,
    /// Those of them whose CHILD_SAs are closed.
    pub(crate) closed: Vec<String>,
    /// Whether IKE_SAs are closed that have no use any more.
    pub(crate) closes_ike: bool,
}

impl Change {
    fn ends(&self, child: &ChildConfig) -> bool {
        !self.same_peer || self.gone.iter().any(|gone| gone.name == child.name)
    }

    fn closes(&self, child: &ChildConfig) -> bool {
        self.closed.contains(&child.name)
    }

    fn verb(&self) -> &'static str {
        if self.new.is_some() { "changed" } else { "removed" }
    }
}

impl IkeSa {
    /// Its connection changes. What was wanted of it and is not made by it any more is added to `wanted`.
    pub(crate) fn on_connection_change(
        &mut self,
        shared: &mut Shared,
        change: &Change,
        wanted: &mut Vec<Wanted>,
    ) {
        use IkeSaState as S;
        match self.state {
            S::Created | S::Connecting if self.role == Role::Initiator => {
                self.reconsider_connecting(shared, change, wanted);
            }
            S::Established | S::Rekeying if !self.undecided && !self.lifetime.superseded.is_on() => {
                self.reconsider_established(shared, change, wanted);
            }
            _ => {}
        }
    }

    fn reconsider_connecting(&mut self, shared: &mut Shared, change: &Change, wanted: &mut Vec<Wanted>) {
        let first = self.initiate.as_ref().and_then(|what| what.child.clone());
        if change.same_peer && !first.is_some_and(|child| change.ends(&child)) {
            wanted.extend(self.give_up_wanted(|child| change.ends(child)));
            return self.go_by(change);
        }
        let (name, remote, verb) = (&self.name, self.remote.ip(), change.verb());
        log!(
            shared,
            self,
            Cfg,
            1,
            "connection '{name}' was {verb}, not connecting to {remote} for it any more"
        );
        wanted.extend(self.take_all_wanted());
        self.destroy_silently(shared, None);
    }

    fn reconsider_established(&mut self, shared: &mut Shared, change: &Change, wanted: &mut Vec<Wanted>) {
        if change.same_peer {
            self.go_by(change);
        }
        wanted.extend(self.give_up_wanted(|child| change.ends(child)));
        if let Some(answering) = &mut self.answering
            && answering.makes_new().is_some_and(|child| change.closes(&child))
        {
            answering.unwanted = true;
        }
        if self.unwanted {
            return;
        }
        let mut closing = Vec::new();
        for child in &mut self.children {
            if child.stays() && change.closes(&child.config) {
                child.unwanted = true;
                closing.push((child.unique_id, child.config.name.clone()));
            }
        }
        let lost_use = !change.same_peer || !closing.is_empty();
        if change.closes_ike && lost_use && !self.has_use() {
            log_plain!(
                shared,
                Cfg,
                1,
                "vici closing IKE_SA '{}' #{}",
                self.name,
                self.unique_id
            );
            return self.close(shared, None);
        }
        for (id, name) in closing {
            log_plain!(shared, Cfg, 1, "vici closing CHILD_SA '{name}' #{id}");
            self.close_when_possible(shared, id, None);
        }
    }

    /// Goes by what its connection is from now on.
    fn go_by(&mut self, change: &Change) {
        let Some(new) = &change.new else { return };
        self.set_config(Arc::clone(new));
        if let Some(what) = &mut self.initiate {
            what.peer = Arc::clone(new);
        }
    }
}
