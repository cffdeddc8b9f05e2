use std::sync::Mutex;
use std::time::{Instant, SystemTime};

use crypto::registry::Registry;
use ike::LogLine;
use plugin_api::log::Group;

use super::*;
use crate::commands::sas::tests::tunnel1;
use crate::testing::{TestKernel, lines};

struct Ear {
    wants: Mutex<Vec<String>>,
    heard: Mutex<Vec<(String, Vec<String>)>>,
}

impl Ear {
    fn new(wants: &[&str]) -> Arc<Self> {
        let wants = Mutex::new(wants.iter().map(ToString::to_string).collect());
        Arc::new(Self {
            wants,
            heard: Mutex::default(),
        })
    }

    fn heard(&self) -> Vec<(String, Vec<String>)> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

impl Listener for Ear {
    fn event(&self, name: &str, message: &[u8]) {
        let message = Message::decode(message).unwrap();
        self.heard
            .lock()
            .unwrap()
            .push((name.to_owned(), lines(&message)));
    }

    fn wants(&self) -> Vec<String> {
        self.wants.lock().unwrap().clone()
    }
}

fn tell(bus: &Bus, event: &Event) {
    let (registry, kernel) = (Registry::new(), TestKernel::default());
    let describe = Describe {
        registry: &registry,
        now: Instant::now(),
        kernel: &kernel,
    };
    bus.event(event, describe);
}

#[test]
fn listeners_hear_what_they_want_and_nothing_else() {
    let (vici, deaf) = (Ear::new(&["ike-updown"]), Ear::new(&[]));
    let listeners: Vec<Arc<dyn Listener>> = vec![Arc::clone(&vici) as _, Arc::clone(&deaf) as _];
    let bus = Bus::new(listeners);
    let sa = Box::new(tunnel1(Instant::now()));
    let child = Box::new(sa.children[0].clone());
    tell(&bus, &Event::IkeUp(sa.clone()));
    tell(&bus, &Event::ChildUp(sa.clone(), child));
    let heard = vici.heard();
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (heard[0].0.as_str(), heard[0].1[0].as_str()),
        ("ike-updown", "up = yes")
    );
    assert!(
        heard[0].1.iter().all(|line| !line.contains("child-sas")),
        "IKE keys only"
    );
    tell(&bus, &Event::IkeDown(sa));
    assert_eq!(
        vici.heard()[0].1[0],
        "Tunnel1.uniqueid = 1",
        "up is left out when it goes down"
    );
    assert_eq!(deaf.heard(), []);
}

#[test]
fn what_is_wanted_may_change() {
    let ear = Ear::new(&[]);
    let mut bus = Bus::new(vec![Arc::clone(&ear) as _]);
    let line = LogLine {
        group: Group::Ike,
        level: 1,
        sa: Some((1, "moon".into())),
        text: "one\ntwo".into(),
    };
    let record = Record {
        time: SystemTime::now(),
        thread: 3,
        line,
    };
    bus.log(&record);
    assert_eq!(ear.heard(), []);
    ear.wants.lock().unwrap().push("log".into());
    bus.refresh();
    assert!(bus.wants("log"));
    bus.log(&record);
    let heard = ear.heard();
    let expected = [
        "group = IKE",
        "level = 1",
        "thread = 3",
        "ikesa-name = moon",
        "ikesa-uniqueid = 1",
        "msg = one",
    ];
    assert_eq!(heard[0].1, expected);
    assert_eq!(heard[1].1[5], "msg = two", "one event a line");
}

#[test]
fn a_run_waits_for_every_script_whose_end_is_reported() {
    let (reporting, deaf) = (Ear::new(&["updown", "script"]), Ear::new(&["updown"]));
    let mut bus = Bus::new(vec![Arc::clone(&reporting) as _, Arc::clone(&deaf) as _]);
    let ike = Box::new(tunnel1(Instant::now()));
    let mut child = ike.children[0].clone();
    let config = Arc::make_mut(&mut child.config);
    config.updown = Some("true".into());
    child.local_ts.push(child.local_ts[0].clone());
    let run = ScriptRun {
        id: KernelId(5),
        up: true,
        ike,
        children: vec![child],
    };
    assert!(bus.run_scripts(&run, &|_| None));
    let asked: Vec<_> = reporting
        .heard()
        .into_iter()
        .map(|(name, lines)| (name, lines[0].clone()))
        .collect();
    let expected = ["id = 1", "id = 2"].map(|id| ("script".to_owned(), id.to_owned()));
    assert_eq!(asked, expected);
    assert!(
        deaf.heard()
            .iter()
            .all(|(name, lines)| name == "updown" && lines[0] == "verb = up")
    );
    assert_eq!(bus.script_done(2), None);
    assert_eq!(bus.script_done(1), Some(KernelId(5)));

    let mut bus = Bus::new(vec![deaf as _]);
    assert!(!bus.run_scripts(&run, &|_| None), "its end is not reported");
}
