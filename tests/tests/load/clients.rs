//! Clients of the vici socket: those that read, those that do not, and those that ask little.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use control::frame;
use control::packet::{Packet, PacketType};

/// How many in all, and how many of them ask for everything and read nothing.
pub(crate) const CLIENTS: usize = 1_000;
const STALLED: usize = CLIENTS / 2;

/// SAs that one client reads before the others have certainly got all that fits between them and the daemon: each gets
/// as many as any other until then.
const SETTLED: u64 = 5_000;

pub(crate) struct Client(UnixStream);

impl Client {
    pub(crate) fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        Self(stream)
    }

    fn send(&mut self, kind: PacketType, name: &str) {
        let packet = Packet::new(kind, name, Vec::new()).encode().unwrap();
        self.0.write_all(&frame::frame(&packet).unwrap()).unwrap();
    }

    fn receive(&mut self) -> Packet {
        Packet::decode(&frame::read(&mut self.0).unwrap().unwrap()).unwrap()
    }

    /// Asks for all SAs, as `swanctl --list-sas` does.
    fn list(&mut self) {
        self.send(PacketType::EventRegister, "list-sa");
        assert_eq!(self.receive().kind, PacketType::EventConfirm);
        self.send(PacketType::CmdRequest, "list-sas");
    }

    /// Reads a listing, to the end or until `enough` says so of the number so far.
    pub(crate) fn read_list(&mut self, enough: impl Fn(u64) -> bool) -> u64 {
        self.list();
        let mut count = 0;
        while self.receive().kind == PacketType::Event {
            count += 1;
            if enough(count) {
                break;
            }
        }
        count
    }
}

/// A thousand of them at work.
pub(crate) struct Crowd {
    stalled: Vec<Client>,
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    asked: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Connects them, and returns once those that do not read are stalled.
    pub(crate) fn gather(socket: &Path) -> Self {
        let mut stalled: Vec<Client> = (0..STALLED).map(|_| Client::connect(socket)).collect();
        stalled.iter_mut().for_each(Client::list);
        let mut reader = Client::connect(socket);
        reader.read_list(|count| count == SETTLED);
        let mut crowd = Self {
            stalled,
            stop: Arc::default(),
            read: Arc::default(),
            asked: Arc::default(),
            threads: Vec::new(),
        };
        // This one goes on with a listing after the other, the rest ask one question after the other.
        let (stop, read, path) = (
            Arc::clone(&crowd.stop),
            Arc::clone(&crowd.read),
            socket.to_owned(),
        );
        crowd.threads.push(std::thread::spawn(move || {
            drop(reader);
            while !stop.load(Ordering::Relaxed) {
                Client::connect(&path).read_list(|_| {
                    read.fetch_add(1, Ordering::Relaxed);
                    stop.load(Ordering::Relaxed)
                });
            }
        }));
        let mut others: Vec<Client> = (1..CLIENTS - STALLED).map(|_| Client::connect(socket)).collect();
        let (stop, asked) = (Arc::clone(&crowd.stop), Arc::clone(&crowd.asked));
        crowd.threads.push(std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for client in &mut others {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    client.send(PacketType::CmdRequest, "stats");
                    assert_eq!(client.receive().kind, PacketType::CmdResponse);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            }
        }));
        crowd
    }

    /// SAs read so far, and questions answered.
    pub(crate) fn served(&self) -> (u64, u64) {
        (
            self.read.load(Ordering::Relaxed),
            self.asked.load(Ordering::Relaxed),
        )
    }

    /// All of them go.
    pub(crate) fn leave(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        drop(self.stalled);
    }
}
