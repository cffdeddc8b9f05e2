//! All cells, of every peer in both roles.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nix::unistd::geteuid;
use xtask::peers::{Peer, SUITES};

use super::cells;
use super::matrix::{Column, Outcome, failures, table};
use super::pair::{Pair, Side, has_ml};
use super::setup::{ALGORITHMS, ESP_ALONE, OUR_PSK, Setup, long, long_offer, proposals};

/// One table after the other: each is six pairs of hosts.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn every_cell_is_green() {
    fill("interop", |run| run.all());
}

#[test]
fn every_cell_of_extensions_is_green() {
    fill("interop-extensions", |run| run.extensions());
}

#[test]
fn every_cell_of_algorithms_is_green() {
    fill("interop-algorithms", |run| run.algorithms());
}

/// Takes every peer in both roles through cells, at once, and prints the table.
fn fill(name: &str, cells: fn(&mut Run<'_>)) {
    let Some(peers) = peers() else { return };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let output = xtask::root().join("target").join(name);
    // Of an earlier run.
    let _ = fs::remove_dir_all(&output);
    let columns = std::thread::scope(|scope| {
        let threads: Vec<_> = peers
            .iter()
            .flat_map(|peer| [Side::Us, Side::Them].map(|initiator| (peer, initiator)))
            .map(|(peer, initiator)| {
                let output = &output;
                scope.spawn(move || Run::new(peer, initiator, output).through(cells))
            })
            .collect();
        let columns = threads.into_iter().map(|thread| thread.join());
        columns
            .map(|column| column.expect("a column"))
            .collect::<Vec<_>>()
    });
    let table = table(&columns);
    fs::write(output.with_extension("md"), &table).expect("written");
    let failures = failures(&columns);
    // Last, where it is seen.
    assert!(
        failures.is_empty(),
        "{}\n\n{table}\n{} cells are red; the logs are in {}",
        failures.join("\n\n"),
        failures.len(),
        output.display()
    );
    println!("{table}");
}

/// All of them, or why not.
pub(crate) fn peers() -> Option<Vec<Peer>> {
    let found = SUITES.iter().map(|suite| Peer::find(suite).expect("a folder"));
    let missing = match found.collect::<Option<Vec<Peer>>>() {
        Some(peers) if geteuid().is_root() => return Some(peers),
        Some(_) => "network namespaces need root",
        None => "`cargo xtask test interop` unpacks the peers first",
    };
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{missing}");
    println!("skipped: {missing}");
    None
}

/// A peer in one role, on its way through the cells.
pub(crate) struct Run<'p> {
    pub(crate) peer: &'p Peer,
    pub(crate) initiator: Side,
    ml: bool,
    /// In both strongswan.conf.
    settings: String,
    pair: Option<Pair>,
    column: Column,
    logs: PathBuf,
}

impl<'p> Run<'p> {
    fn new(peer: &'p Peer, initiator: Side, output: &Path) -> Self {
        let (role, short) = match initiator {
            Side::Us => ("we initiate", "us"),
            Side::Them => ("they initiate", "them"),
        };
        Self {
            peer,
            initiator,
            ml: has_ml().expect("a build folder"),
            settings: String::new(),
            pair: None,
            column: Column {
                title: format!("{} {}, {role}", peer.suite, peer.version),
                cells: Vec::new(),
                took: std::time::Duration::ZERO,
            },
            logs: output.join(format!("{}-{short}", peer.suite)),
        }
    }

    #[allow(clippy::disallowed_methods)] // says how long it took
    fn through(mut self, cells: fn(&mut Run<'_>)) -> Column {
        let start = Instant::now();
        fs::create_dir_all(&self.logs).expect("a folder for logs");
        cells(&mut self);
        self.renew("");
        self.column.took = start.elapsed();
        self.column
    }

    fn all(&mut self) {
        let list = proposals(&self.peer.suite);
        let first = Setup::new(list[0]);
        self.lifecycle(&first);
        self.virtual_ips(&first);
        self.refusals(&first);
        self.upheavals(&first);
        self.fragments();
        self.renew("");
        for proposal in list {
            self.proposal(proposal);
        }
    }

    fn algorithms(&mut self) {
        let alone = ESP_ALONE.iter().map(|esp| Setup {
            our_esp: (*esp).to_owned(),
            their_esp: (*esp).to_owned(),
            ..Setup::new("aes256gcm16-sha512-x25519")
        });
        let side = self.initiator;
        for setup in ALGORITHMS.iter().map(|both| Setup::new(both)).chain(alone) {
            let name = setup.our_esp.clone();
            self.fresh(&format!("{name}: establish, ping"), &setup, cells::establish);
            self.cell(&format!("{name}: rekey both"), &setup, |pair| {
                cells::rekey_ike(pair, side)
            });
        }
    }

    fn lifecycle(&mut self, setup: &Setup) {
        self.fresh("MOBIKE on", setup, |pair| cells::mobike(pair, true));
        for (side, who) in SIDES {
            self.cell(&format!("delete CHILD_SA from {who}"), setup, |pair| {
                cells::delete_child(pair, side)
            });
            self.cell(&format!("new CHILD_SA from {who}"), setup, |pair| {
                cells::create_child(pair, side)
            });
        }
        for (side, who) in SIDES {
            self.cell(&format!("delete IKE_SA from {who}"), setup, |pair| {
                cells::delete_ike(pair, side)
            });
        }
        let off = Setup {
            mobike: false,
            ..setup.clone()
        };
        self.fresh("MOBIKE off", &off, |pair| cells::mobike(pair, false));
        for (side, who) in SIDES {
            // Announcements of addresses would look like it.
            let dpd = Setup {
                dpd: Some(side),
                ..off.clone()
            };
            self.fresh(&format!("DPD from {who}"), &dpd, |pair| cells::dpd(pair, side));
        }
    }

    /// Cells after which both daemons may still have something to do, and are not used any longer.
    fn upheavals(&mut self, setup: &Setup) {
        self.renew("");
        self.cell(
            "rekey CHILD_SA from both at once",
            setup,
            cells::rekey_child_at_once,
        );
        self.renew("");
        self.cell("rekey IKE_SA from both at once", setup, cells::rekey_ike_at_once);
        self.renew("");
        // Only who initiated the IKE_SA may move it.
        let side = self.initiator;
        let who = if side == Side::Us { "we move" } else { "they move" };
        self.fresh(&format!("{who} by MOBIKE"), setup, |pair| {
            cells::moves(pair, side)
        });
        self.renew("");
    }

    fn virtual_ips(&mut self, setup: &Setup) {
        let setup = Setup {
            virtual_ip: Some(self.initiator),
            ..setup.clone()
        };
        self.fresh("virtual IP, and again", &setup, cells::virtual_ip);
        for (side, who) in SIDES {
            self.cell(
                &format!("virtual IP: rekey CHILD_SA from {who}"),
                &setup,
                |pair| cells::rekey_child(pair, side),
            );
            self.cell(&format!("virtual IP: rekey IKE_SA from {who}"), &setup, |pair| {
                cells::rekey_ike(pair, side)
            });
        }
    }

    fn refusals(&mut self, setup: &Setup) {
        let wrong = Setup {
            our_psk: OUR_PSK,
            ..setup.clone()
        };
        self.fresh("wrong PSK", &wrong, cells::wrong_psk);
        let ike = Setup {
            our_ike: "aes192-sha512-ecp521".into(),
            ..setup.clone()
        };
        self.fresh("no common IKE proposal", &ike, cells::no_common_ike);
        let esp = Setup {
            our_esp: "aes192-sha512".into(),
            ..setup.clone()
        };
        self.fresh("no common ESP proposal", &esp, cells::no_common_esp);
    }

    fn proposal(&mut self, proposal: &str) {
        let setup = Setup::new(proposal);
        self.fresh(&format!("{proposal}: establish, ping"), &setup, cells::establish);
        for (side, who) in SIDES {
            let name = format!("{proposal}: rekey CHILD_SA from {who}");
            self.cell(&name, &setup, |pair| cells::rekey_child(pair, side));
        }
        for (side, who) in SIDES {
            let name = format!("{proposal}: rekey IKE_SA from {who}");
            self.cell(&name, &setup, |pair| cells::rekey_ike(pair, side));
        }
    }

    fn fragments(&mut self) {
        for size in [576, 1280] {
            self.renew(&format!("fragment_size = {size}"));
            let proposal = long(&self.peer.suite, size, self.ml);
            let offer = long_offer(proposal);
            let setup = Setup {
                our_esp: offer.clone(),
                their_esp: offer,
                ..Setup::new(proposal)
            };
            self.fresh(&format!("fragments of {size} octets"), &setup, |pair| {
                cells::fragments(pair, size)
            });
        }
    }

    /// From here on other daemons, with these settings.
    pub(crate) fn renew(&mut self, settings: &str) {
        if let Some(pair) = self.pair.take() {
            self.keep_logs(&pair);
        }
        self.settings = settings.to_owned();
    }

    /// A cell that starts without SAs.
    fn fresh(&mut self, name: &str, setup: &Setup, check: impl FnOnce(&mut Pair) -> Result<(), String>) {
        self.run(name, setup, |pair| {
            pair.configure(setup)?;
            check(pair)
        });
    }

    /// A cell that starts with the tunnel of a setup.
    fn cell(&mut self, name: &str, setup: &Setup, check: impl FnOnce(&mut Pair) -> Result<(), String>) {
        self.run(name, setup, |pair| {
            if pair.name.is_empty() {
                pair.configure(setup)?;
            }
            if !pair.tunnel {
                cells::establish(pair).map_err(|error| format!("no tunnel to start with: {error}"))?;
            }
            check(pair)
        });
    }

    pub(crate) fn run(
        &mut self,
        name: &str,
        setup: &Setup,
        check: impl FnOnce(&mut Pair) -> Result<(), String>,
    ) {
        if setup.our_ike.contains("mlkem") && !self.ml {
            return self.skip(name, "there is no plugin for ML-KEM");
        }
        let pair = match self.pair.take() {
            Some(pair) => Ok(pair),
            None => Pair::start(self.peer, self.initiator, &self.settings),
        };
        let outcome = match pair {
            Err(error) => Outcome::Failed(error),
            Ok(mut pair) => {
                let mark = pair.mark();
                let done = catch_unwind(AssertUnwindSafe(|| check(&mut pair)));
                let done = done.unwrap_or_else(|_| Err("the test panicked".into()));
                let outcome = match done {
                    Ok(()) => Outcome::Passed,
                    Err(why) => Outcome::Failed(format!(
                        "{why}\n--- our log\n{}\n--- their log\n{}",
                        pair.since(mark, Side::Us),
                        pair.since(mark, Side::Them)
                    )),
                };
                // What a failure leaves is nothing to go on with.
                if outcome == Outcome::Passed {
                    self.pair = Some(pair);
                } else {
                    self.keep_logs(&pair);
                }
                outcome
            }
        };
        println!("{}, {name}: {outcome:?}", self.column.title);
        self.column.cells.push((name.to_owned(), outcome));
    }

    /// A cell that cannot be, and why.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        let outcome = Outcome::Skipped(why.to_owned());
        self.column.cells.push((name.to_owned(), outcome));
    }

    fn keep_logs(&self, pair: &Pair) {
        for (name, log) in [
            ("ours.log", pair.ours.read("charon.log")),
            ("theirs.log", pair.theirs.log()),
        ] {
            let path = self.logs.join(name);
            let before = fs::read_to_string(&path).unwrap_or_default();
            fs::write(&path, before + &log).expect("logs are kept");
        }
    }
}

pub(crate) const SIDES: [(Side, &str); 2] = [(Side::Us, "us"), (Side::Them, "them")];
