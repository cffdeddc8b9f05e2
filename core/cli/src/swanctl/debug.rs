//! `--debug LEVEL`: what swanctl itself does, on standard error. 2 tells of files, sockets, commands and their answers, 3 of
//! events too. Messages have secrets in them, so only their lengths are told.

use std::time::Instant;

use clap::ArgMatches;
use control::vici::client::{Watcher, Way};
use control::vici::{Packet, PacketType};

/// How much is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debug(i8);

impl Debug {
    pub(super) fn of(options: &ArgMatches) -> Result<Self, String> {
        let Some(text) = options.get_one::<String>("debug") else {
            return Ok(Self(1));
        };
        let level = text.parse().ok().filter(|level| (-1..=4).contains(level));
        level
            .map(Self)
            .ok_or_else(|| format!("--debug {text}: the level is a number from -1 to 4"))
    }

    pub(super) fn say(self, level: i8, text: impl FnOnce() -> String) {
        if level <= self.0 {
            eprintln!("{}", text());
        }
    }

    /// Tells of packets, if anybody wants to know.
    pub(super) fn watcher(self) -> Option<Watcher> {
        if self.0 < 2 {
            return None;
        }
        let mut asked = Instant::now();
        Some(Box::new(move |way, packet| {
            if way == Way::Sent {
                asked = Instant::now();
            }
            let level = if packet.kind == PacketType::Event { 3 } else { 2 };
            let after = asked.elapsed();
            self.say(level, || match way {
                Way::Sent => format!("sending {}", described(packet)),
                Way::Received => format!("received {} after {} ms", described(packet), after.as_millis()),
            });
        }))
    }
}

fn described(packet: &Packet) -> String {
    let kind = match packet.kind {
        PacketType::CmdRequest => "command",
        PacketType::CmdResponse => "answer",
        PacketType::CmdUnknown => "no such command",
        PacketType::EventRegister => "subscription to",
        PacketType::EventUnregister => "end of subscription to",
        PacketType::EventConfirm => "confirmation",
        PacketType::EventUnknown => "no such event",
        PacketType::Event => "event",
    };
    let name = if packet.name.is_empty() {
        String::new()
    } else {
        format!(" {}", packet.name)
    };
    format!("{kind}{name} ({} bytes)", packet.message.len())
}
