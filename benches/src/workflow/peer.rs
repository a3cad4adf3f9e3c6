//! durare, in a process of its own: its SQLite bindings and ours cannot be linked into one program.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process of the other side.
pub(crate) struct Peer {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Builds it if need be, and has it open a database beside ours, by the name of a file, or by a URL and the name of
    /// a schema. The settings it says it uses are checked.
    pub(crate) fn open(place: &[&str], expected: &str) -> Option<Self> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/durare/Cargo.toml");
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(cargo);
        command.args(["run", "--release", "--quiet", "--manifest-path", manifest, "--"]);
        command.args(place).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let (orders, answers) = (child.stdin.take()?, child.stdout.take()?);
        let mut peer = Self { child, orders: Some(orders), answers: BufReader::new(answers) };
        let settings = peer.answer();
        if settings.is_empty() {
            eprintln!("durare cannot be built or started: no figures of it");
            return None;
        }
        assert_eq!(settings, expected, "both sides must write in the same way");
        Some(peer)
    }

    /// Has it perform something: the seconds it took.
    pub(crate) fn ask(&mut self, order: &str) -> f64 {
        let orders = self.orders.as_mut().expect("open until it is dropped");
        writeln!(orders, "{order}").expect("an order");
        self.answer().parse().expect("seconds")
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("an answer");
        line.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its orders is the end of the process.
        self.orders = None;
        self.child.wait().expect("an end");
    }
}
