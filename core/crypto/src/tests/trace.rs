//! Reads the golden traces: packets, and the initiator's log of secrets in the order in which they appeared.

use std::path::Path;

use plugin_api::{Aead, Secret};
use serde_json::Value;

use super::algorithms::Gcm256;

const HEADER_LEN: usize = 28;
const MARKER_LEN: usize = 4;

/// One recorded connection: established, CHILD_SA rekeyed, IKE_SA rekeyed.
pub(super) struct Trace {
    packets: Vec<Vec<u8>>,
    values: Vec<(String, Vec<u8>)>,
}

/// Reads the log's values forward.
#[derive(Clone)]
pub(super) struct Log<'a>(std::slice::Iter<'a, (String, Vec<u8>)>);

impl Log<'_> {
    /// The next value of that name; those before it are skipped.
    pub(super) fn next(&mut self, name: &str) -> Vec<u8> {
        let found = self.0.find(|(found, _)| found.starts_with(name));
        found
            .unwrap_or_else(|| panic!("the log has no further {name}"))
            .1
            .clone()
    }

    pub(super) fn secret(&mut self, name: &str) -> Secret {
        Secret::new(self.next(name))
    }
}

impl Trace {
    /// strongSwan 6.0dr3 with Kyber.
    pub(super) fn draft() -> Self {
        Self::read("golden-6.0dr3-tunnel1.json")
    }

    /// strongSwan 6.0.6 with ML-KEM.
    pub(super) fn rfc() -> Self {
        Self::read("golden-rfc9370-mlkem768.json")
    }

    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/vectors")
            .join(name);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let trace: Value = serde_json::from_str(&text).expect("JSON");
        let array = |key: &str| trace[key].as_array().expect("an array").clone();
        let packets = array("packets")
            .iter()
            .filter(|packet| packet["kind"] == "ike")
            .map(ike)
            .collect();
        let log = array("initiator_log");
        let values = log.iter().filter_map(|line| {
            let name = line["name"].as_str()?.to_owned();
            Some((name, octets(&line["hex"])))
        });
        Self {
            packets,
            values: values.collect(),
        }
    }

    pub(super) fn log(&self) -> Log<'_> {
        Log(self.values.iter())
    }

    /// The first IKE message of an exchange type, request or response, with a message ID.
    pub(super) fn packet(&self, exchange: u8, response: bool, message_id: u32) -> &[u8] {
        let fits = |packet: &&Vec<u8>| {
            packet[18] == exchange
                && (packet[19] & 0x20 != 0) == response
                && packet[20..24] == message_id.to_be_bytes()
        };
        self.packets.iter().find(fits).expect("recorded")
    }

    /// The SPIs of a message, the initiator's first.
    pub(super) fn spis(packet: &[u8]) -> (u64, u64) {
        let spi = |at: usize| u64::from_be_bytes(packet[at..at + 8].try_into().expect("eight octets"));
        (spi(0), spi(8))
    }

    /// The SPIs of the last message: those of the rekeyed IKE_SA.
    pub(super) fn last_spis(&self) -> (u64, u64) {
        Self::spis(self.packets.last().expect("recorded"))
    }

    /// The payloads inside an encrypted message, types and bodies; keys are the log's last before IKE_AUTH.
    pub(super) fn payloads(&self, exchange: u8, response: bool, message_id: u32) -> Vec<(u8, Vec<u8>)> {
        let mut log = self.log();
        log.next("SKEYSEED");
        log.next("SKEYSEED");
        let (ei, er) = (log.next("Sk_ei"), log.next("Sk_er"));
        let key = Gcm256
            .create(if response { &er } else { &ei })
            .expect("key and salt");
        let packet = self.packet(exchange, response, message_id);
        let (aad, sealed) = packet.split_at(HEADER_LEN + 4);
        let (iv, sealed) = sealed.split_at(8);
        let (data, tag) = sealed.split_at(sealed.len() - 16);
        let mut data = data.to_vec();
        key.open(iv, aad, &mut data, tag)
            .expect("the log's keys fit the packets");
        let padding = usize::from(*data.last().expect("padded"));
        data.truncate(data.len() - padding - 1);

        let mut payloads = Vec::new();
        let (mut kind, mut rest) = (packet[HEADER_LEN], data.as_slice());
        while kind != 0 {
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            payloads.push((kind, rest[4..len].to_vec()));
            kind = rest[0];
            rest = &rest[len..];
        }
        payloads
    }

    /// The body of the first payload of a type.
    pub(super) fn payload(&self, exchange: u8, response: bool, message_id: u32, kind: u8) -> Vec<u8> {
        let payloads = self.payloads(exchange, response, message_id);
        payloads
            .into_iter()
            .find(|(found, _)| *found == kind)
            .expect("recorded")
            .1
    }
}

fn ike(packet: &Value) -> Vec<u8> {
    let payload = octets(&packet["udp_payload"]);
    let floated = packet["dst"].as_str().expect("an address").ends_with(":4500");
    payload[if floated { MARKER_LEN } else { 0 }..].to_vec()
}

fn octets(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex");
    let octet = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(octet).collect()
}
