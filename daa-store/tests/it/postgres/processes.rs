//! Several real processes on one schema: what they were told is a linearizable history.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Instant;

use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, Version,
};
use daa_core::seed::Seed;
use daa_store::postgres::{PostgresEventStore, PostgresOptions};
use rand::RngExt as _;

use super::history::{Op, What, check};
use super::support::{Schema, url};

const SCHEMA: &str = "DAA_STORE_POSTGRES_SCHEMA";
const PROCESSES: u64 = 4;
const STREAMS: u32 = 3;
const ROUNDS: u64 = 400;

/// Not a test by itself: one of the processes. It returns at once where nobody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn does_what_it_is_told_when_asked_to() {
    let Ok(schema) = env::var(SCHEMA) else { return };
    let options = PostgresOptions::new(&url()).unwrap().with_schema(&schema).unwrap();
    let store = PostgresEventStore::open(options).await.unwrap();
    say("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        match *words.as_slice() {
            [stream, expected] => say(&append(&store, stream, expected).await),
            _ => say(&format!("read {}", read(&store).await)),
        }
    }
    store.close().await;
}

async fn append(store: &PostgresEventStore, stream: u64, expected: u64) -> String {
    let event = NewEvent::new("test.v1".try_into().unwrap(), Timestamp::EPOCH, "x".into());
    let stream = format!("shared/{stream}").try_into().unwrap();
    let batch = Batch::new().with_event(stream, ExpectedVersion::Exact(Version::new(expected)), event);
    match store.append(batch).await {
        Ok(appended) => format!("appended {}", appended.last),
        Err(AppendError::Conflict { actual, .. }) => format!("conflict {actual}"),
        Err(error) => panic!("{error:?}"),
    }
}

/// How many events there are, by reading them all.
async fn read(store: &PostgresEventStore) -> u64 {
    let mut after = Position::START;
    loop {
        match store.read_all(after, PageSize::default()).await.unwrap().last() {
            Some(last) => after = last.position,
            None => return after.get(),
        }
    }
}

/// Past the harness of the tests, which keeps what is printed.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {line}").unwrap();
    out.flush().unwrap();
}

struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(schema: &str) -> Self {
        let test = "postgres::processes::does_what_it_is_told_when_asked_to";
        let mut child = Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(SCHEMA, schema)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, orders, answers: BufReader::new(answers) }
    }

    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the process has ended");
            // The harness may have begun the line.
            if let Some((_, answer)) = line.trim_end().split_once("> ") {
                return answer.to_owned();
            }
        }
    }

    fn order(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.orders.flush().unwrap();
        self.answer()
    }
}

/// Gives orders to one process, and writes down what was called and answered when. What it believes of the streams
/// comes from the answers, so that most appends get through and some do not.
fn drive(schema: &str, seed: Seed, began: Instant) -> Vec<Op> {
    let mut process = Process::start(schema);
    assert_eq!(process.answer(), "ready");
    let mut rng = seed.rng();
    let mut believed = vec![0; STREAMS as usize];
    let mut history = Vec::new();
    for _ in 0..ROUNDS {
        let stream = rng.random_range(0..STREAMS);
        let order = match rng.random_range(0..10) {
            0 | 1 => "0".to_owned(),
            _ => format!("{stream} {}", believed[stream as usize]),
        };
        let called = began.elapsed().as_nanos() as u64;
        let answer = process.order(&order);
        let answered = began.elapsed().as_nanos() as u64;
        let (kind, number) = answer.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let what = match kind {
            "appended" => {
                believed[stream as usize] += 1;
                What::Appended { stream, position: number }
            }
            "conflict" => {
                believed[stream as usize] = number;
                What::Conflict { stream, actual: number }
            }
            _ => What::Read { head: number },
        };
        history.push(Op { called, answered, what });
    }
    drop(process.orders);
    assert!(process.child.wait().unwrap().success());
    history
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_and_reads_of_four_processes_are_linearizable() {
    let schema = Schema::new();
    let began = Instant::now();
    let name = schema.name.clone();
    let history = tokio::task::spawn_blocking(move || {
        let drivers: Vec<_> = (0..PROCESSES)
            .map(|process| {
                let name = name.clone();
                thread::spawn(move || drive(&name, Seed::from_u64(process), began))
            })
            .collect();
        drivers.into_iter().flat_map(|driver| driver.join().unwrap()).collect::<Vec<Op>>()
    })
    .await
    .unwrap();
    let store = schema.open().await;
    let mut log = Vec::new();
    loop {
        let after = Position::new(log.len() as u64);
        let page = store.read_all(after, PageSize::default()).await.unwrap();
        if page.is_empty() {
            break;
        }
        log.extend(
            page.iter().map(|event| -> u32 {
                event.stream.as_str().strip_prefix("shared/").unwrap().parse().unwrap()
            }),
        );
    }
    store.close().await;
    let count = |wanted: fn(&What) -> bool| history.iter().filter(|op| wanted(&op.what)).count();
    let appends = count(|what| matches!(what, What::Appended { .. }));
    let conflicts = count(|what| matches!(what, What::Conflict { .. }));
    assert_eq!(appends, log.len(), "what was acknowledged, and what is in the log");
    assert!(conflicts > 50 && appends > 300, "{conflicts} conflicts beside {appends} appends");
    check(&log, &history).unwrap();
}
