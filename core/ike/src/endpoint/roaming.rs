//! Changes of own addresses and routes, which concern all IKE_SAs.

use std::net::IpAddr;
use std::time::Instant;

use crate::endpoint::Endpoint;
use crate::output::KernelId;
use crate::sa::KernelWork;

impl Endpoint {
    /// Each IKE_SA looks whether it can go on where it is.
    pub(super) fn roam(&mut self, address: bool) {
        for key in self.sas.keys().copied().collect::<Vec<_>>() {
            self.with_sa(key, |sa, shared| sa.on_roam(shared, address));
        }
    }

    /// The own addresses to reach others from, in the order of the
    /// [`Destination`](crate::Destination)s that were asked for; none where there is no way.
    pub fn handle_sources(&mut self, now: Instant, id: KernelId, sources: &[Option<IpAddr>]) {
        self.shared.now = now;
        let Some(key) = self.shared.kernel_ops.remove(&id) else {
            return;
        };
        self.with_sa(key, |sa, shared| {
            if let Some(KernelWork::FindSources(search)) = sa.kernel_work.remove(&id) {
                sa.on_sources(shared, search, sources);
            }
        });
    }
}
