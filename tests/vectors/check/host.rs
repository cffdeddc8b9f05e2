//! A daemon that has no settings and does nothing.

use std::sync::Arc;

use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, Reply};

struct NoDaemon;

impl Host for NoDaemon {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }

    fn log(&self, group: Group, level: i8, message: &str) {
        println!("[{group}] {level} {message}");
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, _event: KernelEvent) {}

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

/// Something to hand to `features`.
pub fn host() -> Arc<dyn Host> {
    Arc::new(NoDaemon)
}
