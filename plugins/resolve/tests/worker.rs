//! Events, and the file that comes of them.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use charon_resolve::worker::{EVENT, Way, Worker};
use control::vici::Message;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{Host, KernelNet, Listener, Reply};

#[derive(Default)]
struct Daemon(Mutex<Vec<String>>);

impl Host for Daemon {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, _level: i8) -> bool {
        true
    }

    fn log(&self, _group: Group, _level: i8, message: &str) {
        self.0.lock().expect("no panic before").push(message.to_owned());
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, _event: KernelEvent) {}

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

/// Runs a worker on a file to its end, and returns what it said.
fn run(path: &Path, changes: &[(bool, &[IpAddr])]) -> Vec<String> {
    let daemon = Arc::new(Daemon::default());
    let worker = Worker::start(Arc::clone(&daemon) as Arc<dyn Host>, Way::File(path.into()));
    let worker = worker.expect("a thread");
    assert_eq!(worker.wants(), [EVENT]);
    for (up, servers) in changes {
        let message = Message::new().flag("up", *up).list("servers", *servers);
        worker.event(EVENT, &message.encode().expect("a message"));
    }
    worker.event(EVENT, &[1, 2, 3]);
    worker.event("other", &[]);
    drop(worker);
    daemon.0.lock().expect("no panic").clone()
}

#[test]
fn a_server_is_there_as_long_as_an_ike_sa_that_brought_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("resolv.conf");
    let before = "nameserver 10.9.9.9   # by strongSwan\nsearch example.org\n";
    fs::write(&path, before).expect("written");
    let (a, b) = (IpAddr::from([10, 1, 0, 1]), IpAddr::from([10, 1, 0, 2]));
    let said = run(
        &path,
        &[(true, &[a, b]), (true, &[a]), (false, &[a]), (false, &[b])],
    );
    // That the last event made no sense is said from another thread.
    let said: Vec<String> = said.into_iter().filter(|line| line.contains("DNS")).collect();
    let (to, from) = (
        format!("to {}", path.display()),
        format!("from {}", path.display()),
    );
    assert_eq!(
        said,
        [
            format!("installing DNS server 10.1.0.1 {to}"),
            format!("installing DNS server 10.1.0.2 {to}"),
            format!("removing DNS server 10.1.0.2 {from}"),
            // The daemon ends, and an IKE_SA had not told of its end.
            format!("removing DNS server 10.1.0.1 {from}"),
        ]
    );
    assert_eq!(fs::read_to_string(&path).expect("read"), "search example.org\n");
}
