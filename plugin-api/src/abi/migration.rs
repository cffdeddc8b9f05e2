//! `kernel-migration/1`: the daemon, as back ends reach it whose kernel moves SAs by itself. [`Host1`](super::host::Host1)
//! was frozen before there was this.

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::std_types::Tuple2;

use super::kernel_types::{Ip, Numbered, Selector};
use super::object::interface;
use crate::kernel::{Direction, KernelMigration};
use crate::{Host, PluginError};

interface! {
    /// See [`Host::kernel_migrated`].
    KernelMigration1("kernel-migration/1") holds Arc<dyn Host> {
        fn migrated(this, migration: Migration) -> () {
            this.kernel_migrated(migration.try_into()?);
            Ok(())
        }
    }
}

/// See [`KernelMigration`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Migration {
    reqid: u32,
    direction: u8,
    src_ts: Selector,
    dst_ts: Selector,
    from: Tuple2<Ip, Ip>,
    to: Tuple2<Ip, Ip>,
}

impl From<&KernelMigration> for Migration {
    fn from(migration: &KernelMigration) -> Self {
        let KernelMigration {
            reqid,
            direction,
            src_ts,
            dst_ts,
            from,
            to,
        } = migration;
        Self {
            reqid: *reqid,
            direction: direction.number(),
            src_ts: src_ts.into(),
            dst_ts: dst_ts.into(),
            from: Tuple2(from.0.into(), from.1.into()),
            to: Tuple2(to.0.into(), to.1.into()),
        }
    }
}

impl TryFrom<Migration> for KernelMigration {
    type Error = PluginError;

    fn try_from(migration: Migration) -> Result<Self, PluginError> {
        let Migration {
            reqid,
            direction,
            src_ts,
            dst_ts,
            from,
            to,
        } = migration;
        Ok(Self {
            reqid,
            direction: Direction::from_number(direction)?,
            src_ts: src_ts.into(),
            dst_ts: dst_ts.into(),
            from: (from.0.into(), from.1.into()),
            to: (to.0.into(), to.1.into()),
        })
    }
}
