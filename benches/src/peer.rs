//! A peer in a process of its own: one that cannot be linked into this program, or should not weigh on it.
//!
//! It is a package in `peers`, with a lock file of its own, which is built here if need be. The first line that it writes says
//! what it is. Then it does what the lines that it reads tell it, and answers each with the seconds that it took.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The process of the other side.
pub(crate) struct Peer {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Builds the program of this name if need be and starts it; and what it says that it is. `None` where it cannot be
    /// built or started: there are no figures of it then.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Option<(Self, String)> {
        let manifest = format!("{}/peers/{name}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(cargo);
        command.args(["run", "--release", "--quiet", "--locked", "--manifest-path", &manifest, "--"]);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().ok()?;
        let (orders, answers) = (child.stdin.take()?, child.stdout.take()?);
        let mut peer = Self { child, orders: Some(orders), answers: BufReader::new(answers) };
        let says = peer.answer();
        if says.is_empty() {
            eprintln!("{name} cannot be built or started: no figures of it");
            return None;
        }
        Some((peer, says))
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
