//! The daemon by its vici socket, packet by packet.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use control::frame;
use control::packet::{Packet, PacketType};
use control::vici::Message;
use xtask::host::Host;

use super::pair::started;

struct Client {
    stream: UnixStream,
    events: Vec<(String, Message)>,
}

impl Client {
    fn of(host: &Host) -> Self {
        let stream = UnixStream::connect(host.path("run/charon.vici")).expect("a socket");
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).expect("a timeout");
        let events = Vec::new();
        Self { stream, events }
    }

    fn send(&mut self, kind: PacketType, name: &str, message: Vec<u8>) {
        use std::io::Write;
        let packet = Packet::new(kind, name, message).encode().expect("a packet");
        let framed = frame::frame(&packet).expect("a frame");
        self.stream.write_all(&framed).expect("the daemon reads");
    }

    /// The next packet that is no event; those are kept.
    fn receive(&mut self) -> Packet {
        loop {
            let octets = frame::read(&mut self.stream).expect("an answer").expect("no end");
            let packet = Packet::decode(&octets).expect("a packet");
            if packet.kind != PacketType::Event {
                return packet;
            }
            let message = Message::decode(&packet.message).expect("a message");
            self.events.push((packet.name, message));
        }
    }

    fn register(&mut self, event: &str) {
        self.send(PacketType::EventRegister, event, Vec::new());
        assert_eq!(self.receive().kind, PacketType::EventConfirm, "{event}");
    }

    fn ask(&mut self, verb: &str, message: &Message) -> Message {
        self.send(PacketType::CmdRequest, verb, message.encode().expect("a message"));
        let response = self.receive();
        assert_eq!(response.kind, PacketType::CmdResponse, "{verb}");
        Message::decode(&response.message).expect("a message")
    }

    /// The first event of this name, waited for.
    fn event(&mut self, name: &str) -> Message {
        while !self.events.iter().any(|(seen, _)| seen == name) {
            let octets = frame::read(&mut self.stream).expect("an event").expect("no end");
            let packet = Packet::decode(&octets).expect("a packet");
            let message = Message::decode(&packet.message).expect("a message");
            self.events.push((packet.name, message));
        }
        let at = self.events.iter().position(|(seen, _)| seen == name);
        self.events.remove(at.expect("it is there")).1
    }
}

#[test]
fn a_tunnel_lives_and_ends_by_vici() {
    let Some(pair) = started() else { return };
    let mut client = Client::of(&pair.carol);
    let nothing = Message::new();
    let version = client.ask("version", &nothing);
    assert_eq!(version.get_str("daemon"), Some("charon"));

    client.register("control-log");
    client.register("child-updown");
    let tunnel1 = Message::new().value("child", "Tunnel1");
    let answer = client.ask("initiate", &tunnel1);
    assert_eq!(answer.get_bool("success"), Some(true));
    let first = client.event("control-log");
    assert_eq!(
        first.get_str("msg"),
        Some("initiating IKE_SA Tunnel1[1] to 192.168.0.2")
    );
    assert_eq!(client.event("child-updown").get_bool("up"), Some(true));
    pair.ping();

    client.register("list-sa");
    client.ask("list-sas", &nothing);
    let listed = client.event("list-sa");
    assert_eq!(listed.get_str("Tunnel1.state"), Some("ESTABLISHED"));
    assert_eq!(
        listed.get_str("Tunnel1.child-sas.Tunnel1-1.packets-out"),
        Some("1")
    );

    client.register("ike-rekey");
    client.register("child-rekey");
    let answer = client.ask("rekey", &tunnel1);
    assert_eq!(answer.get_str("matches"), Some("1"));
    let rekeyed = client.event("child-rekey");
    let children = "Tunnel1.child-sas.Tunnel1";
    assert_eq!(rekeyed.get_str(&format!("{children}.old.uniqueid")), Some("1"));
    assert_eq!(rekeyed.get_str(&format!("{children}.new.uniqueid")), Some("2"));
    // Until the old one is deleted the IKE_SA is not rekeyed; it is tried again then.
    let ike = Message::new().value("ike", "Tunnel1");
    client.ask("rekey", &ike);
    let rekeyed = client.event("ike-rekey");
    assert_eq!(rekeyed.get_str("Tunnel1.old.uniqueid"), Some("1"));
    assert_eq!(rekeyed.get_str("Tunnel1.new.state"), Some("ESTABLISHED"));

    let answer = client.ask("terminate", &ike);
    assert_eq!(answer.get_bool("success"), Some(true));
    assert_eq!(
        client.event("child-updown").get_bool("up"),
        None,
        "set if it is up"
    );
    pair.expect_nothing();
}
