//! An installed tree with our programs and a charon made of a shell script, whose socket the test serves.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use control::frame;
use control::stroke::Request;

pub const PATIENCE: Duration = Duration::from_secs(30);

const CHARON: &str = r#"#!/bin/sh
echo "$@" > "RUN/arguments"
while [ $# -gt 0 ]; do
    case $1 in --ready-fd) fd=$2 ;; esac
    shift
done
[ -e RUN/refuse ] && exit 66
echo $$ > RUN/charon.pid
trap 'kill $sleep; rm -f RUN/charon.pid; exit 0' TERM
sleep 1000 2> /dev/null &
sleep=$!
# A shell may know no file descriptors above 9.
echo > /proc/$$/fd/$fd
wait
"#;

const INSTALL: &str = r#"
set -e
mkdir -p usr/sbin usr/libexec/ipsec etc var/run
printf %s "$1" > usr/libexec/ipsec/charon
chmod 755 usr/libexec/ipsec/charon
cp "$2" usr/sbin/ipsec
cp "$3" usr/libexec/ipsec/starter
cp "$4" usr/libexec/ipsec/stroke
"#;

/// The tree.
pub struct Tree {
    pub directory: tempfile::TempDir,
}

impl Tree {
    pub fn new() -> Self {
        let tree = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let charon = CHARON.replace("RUN", tree.path("var/run").to_str().unwrap());
        // By another process: a file that this one opens for writing may still be open in a child of another test when
        // it is to be run, which fails then.
        let status = Command::new("/bin/sh")
            .args(["-c", INSTALL, "install", &charon])
            .args([
                env!("CARGO_BIN_EXE_ipsec"),
                env!("CARGO_BIN_EXE_starter"),
                env!("CARGO_BIN_EXE_stroke"),
            ])
            .current_dir(tree.directory.path())
            .status();
        assert!(status.unwrap().success());
        tree
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    /// Lets other users run the programs; the socket is not theirs.
    pub fn open_to_all(&self) {
        let mode = |path: &str, mode| {
            fs::set_permissions(self.path(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        mode("", 0o755);
        mode("var/run/charon.ctl", 0o600);
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path(program));
        command
            .args(arguments)
            .env_remove("STRONGSWAN_CONF")
            .stdin(Stdio::null());
        command
    }

    pub fn ipsec(&self, arguments: &[&str]) -> Output {
        self.command("usr/sbin/ipsec", arguments).output().unwrap()
    }

    pub fn stroke(&self, arguments: &[&str]) -> Output {
        self.command("usr/libexec/ipsec/stroke", arguments)
            .output()
            .unwrap()
    }

    /// Serves the stroke socket: every request is reported, and answered by `answer`.
    pub fn serve(&self, answer: fn(&Request) -> String) -> Receiver<Request> {
        let listener = UnixListener::bind(self.path("var/run/charon.ctl")).unwrap();
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let packet = frame::read(&mut stream).unwrap().expect("a request");
                let request = Request::decode(&packet).unwrap();
                stream.write_all(answer(&request).as_bytes()).unwrap();
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        requests
    }

    pub fn pid(&self, file: &str) -> i32 {
        fs::read_to_string(self.path("var/run").join(file))
            .unwrap()
            .trim()
            .parse()
            .unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A test that failed may have left them behind.
        for file in ["starter.charon.pid", "charon.pid"] {
            let name = file.split('.').next().unwrap();
            let path = self.path("var/run").join(file);
            if let Some(process) = charon_cli::process::Process::of_pid_file(&path, name) {
                process.terminate();
                process.wait(PATIENCE);
            }
        }
    }
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
