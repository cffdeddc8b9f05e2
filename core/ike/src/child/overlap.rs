//! A peer that authenticates again makes its CHILD_SAs anew before it deletes the old ones (make-before-break). It cannot
//! receive by a new one before it has the answer that makes it; so the old one of the other IKE_SA sends until the peer
//! shows that it has the answer.

use crate::child::{Agreed, Numbers, Selectors, SendFrom};
use crate::sa::IkeSa;
use crate::shared::Shared;

impl IkeSa {
    /// From when on a responder sends by a CHILD_SA that replaces none of this IKE_SA.
    pub(crate) fn send_from(&self, shared: &mut Shared, agreed: &Agreed, numbers: Numbers) -> SendFrom {
        let selectors = Selectors {
            local: agreed.local_ts.as_slice().into(),
            remote: agreed.remote_ts.as_slice().into(),
            numbers,
        };
        if shared.reqids.users(&selectors) == 0 {
            return SendFrom::Now;
        }
        if !self.has_another(shared) {
            return SendFrom::Now;
        }
        shared.overlapping.insert(self.unique_id);
        SendFrom::Overlapping
    }

    /// Its CHILD_SAs send from now on, if others have sent in their place. Whether any had waited.
    pub(crate) fn take_over(&mut self, shared: &mut Shared) -> bool {
        shared.overlapping.remove(&self.unique_id);
        let ops: Vec<_> = self
            .children
            .iter_mut()
            .flat_map(|child| child.take_over())
            .collect();
        let any = !ops.is_empty();
        self.run_kernel(shared, ops);
        any
    }
}
