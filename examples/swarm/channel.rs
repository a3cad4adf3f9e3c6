//! What a conductor and an agent that is a process of its own say to each other, beside what members say to the coordinator: lines
//! of JSON, over the standard streams.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::process;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::staff::Deed;

/// What the agent reads when it may begin.
pub(crate) const GO: &str = "go";
/// The most bytes of a line.
const MAX_LINE: u64 = 64 << 10;
/// How an agent ends whose conductor has gone.
const ORPHANED: i32 = 3;

/// What an agent says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The node that it is.
    Node(String),
    Did(Deed),
    /// It is where the script has it killed, and does nothing more.
    Dying,
    /// It cannot go on.
    Failed(String),
    /// It has left in good order, and nothing of it is open.
    Done,
}

/// Says something to the conductor.
pub(crate) fn say(said: &Said) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, said)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Waits for the word to begin, on a thread. When the conductor has gone, however it went, its end of the pipe is closed, and this
/// process ends at once.
pub(crate) fn listen() -> oneshot::Receiver<()> {
    let (go, may_go) = oneshot::channel();
    let mut go = Some(go);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            match line {
                Ok(line) if line == GO => drop(go.take().map(|go| go.send(()))),
                Ok(_) => {}
                Err(_) => break,
            }
        }
        process::exit(ORPHANED);
    });
    may_go
}

/// What an agent says, as it says it, until the end of it. Read on a thread.
pub(crate) fn hear(from: impl Read + Send + 'static) -> mpsc::Receiver<io::Result<Said>> {
    let (heard, hears) = mpsc::channel(64);
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        loop {
            let mut line = String::new();
            let said = match from.by_ref().take(MAX_LINE).read_line(&mut line) {
                // What was cut off by a kill is nothing that was said.
                Ok(_) if !line.ends_with('\n') => return,
                Ok(_) => serde_json::from_str(&line).map_err(io::Error::from),
                Err(error) => Err(error),
            };
            let is_last = said.is_err();
            if heard.blocking_send(said).is_err() || is_last {
                return;
            }
        }
    });
    hears
}
