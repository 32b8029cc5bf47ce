//! What a person meets who types statements at a terminal.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

// The program's own unit tests: its binary target has none.
#[allow(dead_code, reason = "only what needs no terminal is tested here")]
#[path = "../src/cli/shell.rs"]
mod shell;
#[path = "shared/terminal.rs"]
mod terminal;

const PATIENCE: Duration = Duration::from_secs(60);
const UP: &str = "\u{1b}[A";
const CTRL_C: &str = "\u{3}";
const CTRL_D: &str = "\u{4}";

/// The program at a terminal of its own, in a home of its own.
struct Person {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was shown and not looked at yet.
    unseen: String,
}

impl Person {
    /// `None` where there are no terminals.
    fn sits_down(home: &Path) -> Option<Person> {
        let (program, keyboard) = terminal::terminal(80)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
        command.env("TERM", "xterm").env("HOME", home).env_remove("XDG_STATE_HOME");
        let again = || program.try_clone().unwrap();
        command.stdin(again()).stdout(again()).stderr(again());
        let child = command.spawn().unwrap();
        // The program's side must be open nowhere else, or reading would not end.
        drop((command, program));
        let (sender, screen) = channel();
        let mut shown = keyboard.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = shown.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Some(Person { child, keyboard, screen, unseen: String::new() })
    }

    /// Types `keys`, and waits until `expected` has been shown. What is typed before a prompt is there may be lost.
    fn types(&mut self, keys: &str, expected: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.sees(expected);
    }

    /// Types the end of a statement, and waits for its answer and the prompt.
    fn asks(&mut self, keys: &str, answer: &str) {
        self.types(keys, answer);
        self.sees("floe> ");
    }

    fn sees(&mut self, expected: &str) {
        loop {
            if let Some(at) = self.unseen.find(expected) {
                self.unseen.drain(..at + expected.len());
                return;
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(more) => self.unseen.push_str(&String::from_utf8_lossy(&more)),
                Err(_) => panic!("{expected:?} is not shown, but {:?}", self.unseen),
            }
        }
    }

    fn leaves(mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.keyboard.write_all(CTRL_D.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
        }
        None
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn statements_are_edited_and_remembered_but_for_secrets() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut person) = Person::sits_down(home.path()) else { return };
    person.sees("floe> ");
    person.types("SELECT 40 +\r", "  ... ");
    person.asks("2 AS answer;\r", "42 │");
    person.types("SELECT 'never finished'\r", "  ... ");
    person.types(CTRL_C, "floe> ");
    person.asks("SELECT 3 * 5 AS mended;\r", "15 │");
    person.asks("CREATE SECRET mine (TYPE s3, KEY_ID 'me', SECRET 'hush');\r", "hush");
    assert_eq!(person.leaves(), Some(0));

    let history = home.path().join(".local/state/floe/history");
    let entries = fs::read_to_string(&history).unwrap();
    assert_eq!(entries, "SELECT 40 +\\n2 AS answer;\nSELECT 3 * 5 AS mended;\n");

    let mut person = Person::sits_down(home.path()).unwrap();
    person.sees("floe> ");
    person.asks(&format!("{UP}{UP}\r"), "42 │");
    assert_eq!(person.leaves(), Some(0));
}

#[test]
fn ctrl_c_cancels_what_runs_and_the_shell_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let Some(mut person) = Person::sits_down(home.path()) else { return };
    person.sees("floe> ");
    person.keyboard.write_all(b"SELECT max(sha512(repeat('x' || i, 1000))) FROM range(100000000) AS t(i);\r").unwrap();
    person.sees(" rows, ");
    // The terminal is no controlling one here, which would turn the key into the signal.
    assert!(Command::new("kill").args(["-INT", &person.child.id().to_string()]).status().unwrap().success());
    person.sees("CANCELLED");
    person.sees("floe> ");
    person.asks("SELECT 6 * 7 AS answer;\r", "42 │");
    assert_eq!(person.leaves(), Some(0));
}
