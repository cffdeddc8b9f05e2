//! Changes of own addresses and routes, which concern all IKE_SAs, and SAs that somebody else has moved.

use std::net::IpAddr;
use std::time::Instant;

use plugin_api::kernel::KernelMigration;

use crate::child::ChildSa;
use crate::endpoint::Endpoint;
use crate::output::KernelId;
use crate::sa::KernelWork;
use crate::shared::log_plain;

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

    /// The kernel has moved SAs of a CHILD_SA for somebody else.
    pub fn handle_migration(&mut self, now: Instant, migration: &KernelMigration) {
        self.shared.now = now;
        let KernelMigration {
            reqid,
            src_ts,
            dst_ts,
            from,
            to,
            ..
        } = migration;
        let here = |child: &ChildSa| child.reqid() == *reqid && child.is_in_kernel();
        if let Some(key) = self.find_by_child(|child| here(child) && child.ends() == *from) {
            log_plain!(
                self.shared,
                Knl,
                1,
                "creating migrate job for policy {src_ts} === {dst_ts} with reqid {{{reqid}}}"
            );
            self.with_sa(key, |sa, shared| sa.on_migration(shared, *to));
        } else if self.find_by_child(here).is_none() {
            // Otherwise it is the policy of another direction, whose SAs have gone along.
            log_plain!(self.shared, Knl, 1, "no CHILD_SA found with reqid {{{reqid}}}");
        }
    }
}
