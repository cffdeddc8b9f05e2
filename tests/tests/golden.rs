//! Two recorded runs of real daemons: every message decodes, opens under the recorded keys, prints as the daemon's log
//! had it, and seals again to the same octets.
#![allow(missing_docs)]

use std::cell::Cell;
use std::ops::Range;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce, Tag};
use serde_json::Value;
use wire::{Packet, ProtectError, Protection};

const RUNS: [&str; 2] = [
    include_str!("../vectors/golden-6.0dr3-tunnel1.json"),
    include_str!("../vectors/golden-rfc9370-mlkem768.json"),
];

fn octets(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
        .collect()
}

/// One direction of one generation of keys; it seals with the IV of the message it opened last.
struct Key {
    cipher: Aes256Gcm,
    salt: Vec<u8>,
    iv: Cell<[u8; 8]>,
}

impl Key {
    fn new(material: &[u8]) -> Self {
        let (key, salt) = material.split_at(32);
        let cipher = Aes256Gcm::new_from_slice(key).expect("32 octets");
        Self {
            cipher,
            salt: salt.to_vec(),
            iv: Cell::default(),
        }
    }

    fn nonce(&self, iv: &[u8]) -> Nonce<aes_gcm::aead::consts::U12> {
        let nonce: [u8; 12] = [&self.salt[..], iv].concat().try_into().expect("12 octets");
        nonce.into()
    }
}

impl Protection for Key {
    fn iv_len(&self) -> usize {
        8
    }

    fn icv_len(&self) -> usize {
        16
    }

    fn block(&self) -> usize {
        1
    }

    fn seal(&self, message: &mut [u8], body: usize, _: u32, _: u16) -> Result<(), ProtectError> {
        let end = message.len() - 16;
        let (sealed, icv) = message.split_at_mut(end);
        let (before, body) = sealed.split_at_mut(body);
        let (iv, data) = body.split_at_mut(8);
        iv.copy_from_slice(&self.iv.get());
        let tag = self
            .cipher
            .encrypt_inout_detached(&self.nonce(iv), before, data.into())
            .map_err(|_| ProtectError)?;
        icv.copy_from_slice(&tag);
        Ok(())
    }

    fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, ProtectError> {
        let end = message.len().checked_sub(16).ok_or(ProtectError)?;
        let (sealed, icv) = message.split_at_mut(end);
        let (before, rest) = sealed.split_at_mut(body);
        let (iv, data) = rest.split_at_mut(8);
        let tag: [u8; 16] = (&*icv).try_into().map_err(|_| ProtectError)?;
        self.cipher
            .decrypt_inout_detached(&self.nonce(iv), before, data.into(), &Tag::from(tag))
            .map_err(|_| ProtectError)?;
        self.iv.set((&*iv).try_into().map_err(|_| ProtectError)?);
        Ok(body + 8..end)
    }
}

struct Run {
    messages: Vec<Vec<u8>>,
    keys: Vec<Key>,
    /// What the initiator logged of messages, in order.
    log: Vec<String>,
}

impl Run {
    fn new(text: &str) -> Self {
        let run: Value = serde_json::from_str(text).expect("JSON");
        let packets = run["packets"].as_array().expect("packets");
        let messages = packets
            .iter()
            .filter(|packet| packet["kind"] == "ike")
            .map(|packet| {
                let octets = octets(packet["udp_payload"].as_str().expect("hex"));
                let marker = packet["dst"].as_str().is_some_and(|dst| dst.ends_with(":4500"));
                octets[if marker { 4 } else { 0 }..].to_vec()
            })
            .collect();
        let log = run["initiator_log"].as_array().expect("log");
        let keys = log
            .iter()
            .filter(|entry| entry["name"] == "Sk_ei secret" || entry["name"] == "Sk_er secret")
            .map(|entry| Key::new(&octets(entry["hex"].as_str().expect("hex"))))
            .collect();
        let log = log
            .iter()
            .filter_map(|entry| entry["event"].as_str())
            .filter_map(|event| {
                event
                    .strip_prefix("generating ")
                    .or_else(|| event.strip_prefix("parsed "))
            })
            .map(str::to_owned)
            .collect();
        Self { messages, keys, log }
    }

    /// The key that opens a message, and its plaintext.
    fn open(&self, message: &[u8], body_offset: usize) -> (&Key, Vec<u8>) {
        self.keys
            .iter()
            .find_map(|key| Some((key, wire::open(key, &mut message.to_vec(), body_offset).ok()?)))
            .expect("one of the recorded keys opens it")
    }
}

#[test]
fn every_message_opens_prints_as_in_the_log_and_seals_again() {
    for text in RUNS {
        let run = Run::new(text);
        let mut log = run.log.iter();
        let mut fragments: Vec<(Vec<u8>, iana::PayloadType)> = Vec::new();
        for message in &run.messages {
            let (header, first, plaintext, sealed) = match wire::parse_datagram(message).expect("a message") {
                Packet::Plain(plain) => {
                    let header = plain.header;
                    let response = header.is_response();
                    assert_eq!(wire::verify(header.exchange, response, &plain.payloads), Ok(()));
                    assert_eq!(&wire::write_plain(&header, &plain.payloads), message);
                    let line = wire::summary(header.exchange, response, header.message_id, &plain.payloads);
                    assert_eq!(Some(&line), log.next());
                    continue;
                }
                Packet::Encrypted {
                    header,
                    inner_first,
                    body_offset,
                    ..
                } => {
                    let (key, plaintext) = run.open(message, body_offset);
                    let sealed = wire::seal(key, &header, inner_first, &plaintext).expect("seals");
                    (header, inner_first, plaintext, sealed)
                }
                Packet::Fragment {
                    header,
                    inner_first,
                    number,
                    total,
                    body_offset,
                    ..
                } => {
                    let (_, plaintext) = run.open(message, body_offset);
                    fragments.push((plaintext, inner_first));
                    if number == 1 {
                        let line = log.next().expect("the whole");
                        assert!(
                            line.starts_with(&format!(
                                "{} request {} [ KE",
                                header.exchange, header.message_id
                            ))
                        );
                    }
                    let line = wire::fragment_summary(
                        header.exchange,
                        header.is_response(),
                        header.message_id,
                        number,
                        total,
                    );
                    assert_eq!(Some(&line), log.next());
                    if number < total {
                        continue;
                    }
                    let first = fragments[0].1;
                    let whole: Vec<u8> = fragments.drain(..).flat_map(|(part, _)| part).collect();
                    let payloads = wire::parse_payloads(first, &whole).expect("payloads");
                    assert_eq!(
                        wire::verify(header.exchange, header.is_response(), &payloads),
                        Ok(())
                    );
                    assert_eq!(wire::write_payloads(&payloads), (first, whole));
                    continue;
                }
            };
            let payloads = wire::parse_payloads(first, &plaintext).expect("payloads");
            assert_eq!(
                wire::verify(header.exchange, header.is_response(), &payloads),
                Ok(())
            );
            assert_eq!(wire::write_payloads(&payloads), (first, plaintext));
            assert_eq!(&sealed, message, "sealed again it is the same");
            let line = wire::summary(
                header.exchange,
                header.is_response(),
                header.message_id,
                &payloads,
            );
            assert_eq!(Some(&line), log.next());
        }
        assert_eq!(log.next(), None, "every line of the log was met");
    }
}

#[test]
fn what_was_fragmented_fragments_again_at_the_same_places() {
    let run = Run::new(RUNS[1]);
    let lengths: Vec<_> = run
        .messages
        .iter()
        .filter(|message| matches!(wire::parse_datagram(message), Ok(Packet::Fragment { .. })))
        .map(Vec::len)
        .collect();
    // ML-KEM-768 misses the default fragment size by one octet in IKE_INTERMEDIATE, by ten in each IKE_FOLLOWUP_KE.
    assert_eq!(lengths, [1248, 66, 1248, 75, 1248, 75]);
}

#[test]
fn the_input_of_int_auth_is_what_the_daemon_logged() {
    for text in RUNS {
        let run = Run::new(text);
        let json: Value = serde_json::from_str(text).expect("JSON");
        let mut expected = json["initiator_log"]
            .as_array()
            .expect("log")
            .iter()
            .filter(|entry| entry["name"] == "IntAuth_A|P")
            .map(|entry| octets(entry["hex"].as_str().expect("hex")));
        let mut parts = Vec::new();
        for message in &run.messages {
            let (header, first, plaintext) = match wire::parse_datagram(message).expect("a message") {
                Packet::Encrypted {
                    header,
                    inner_first,
                    body_offset,
                    ..
                } => (header, inner_first, run.open(message, body_offset).1),
                Packet::Fragment {
                    header,
                    inner_first,
                    number,
                    total,
                    body_offset,
                    ..
                } => {
                    parts.push((inner_first, run.open(message, body_offset).1));
                    if number < total {
                        continue;
                    }
                    let first = parts[0].0;
                    (
                        header,
                        first,
                        parts.drain(..).flat_map(|(_, part)| part).collect(),
                    )
                }
                Packet::Plain(_) => continue,
            };
            if header.exchange == iana::ExchangeType::IKE_INTERMEDIATE {
                assert_eq!(
                    Some(wire::int_auth_octets(&header, first, &plaintext)),
                    expected.next()
                );
            }
        }
        assert_eq!(expected.next(), None);
    }
}
