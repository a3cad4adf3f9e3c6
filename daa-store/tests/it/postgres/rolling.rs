//! Programs of the first format and of this one beside each other, while the schema becomes one of this format:
//! nothing is lost, nothing is there twice, and expected versions hold between them.

use std::collections::HashMap;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, EventStore, ExpectedVersion, NewEvent, PageSize, Position, RecordedEvent,
    StreamWrite, Version,
};
use daa_store::postgres::{PostgresEventStore, PostgresOptions};

use super::format_1::{Appended, OldProgram, create};
use super::support::{Schema, connect, url};

/// What a process is to be: `old SCHEMA NAME` or `new SCHEMA NAME`.
const ROLE: &str = "DAA_STORE_POSTGRES_ROLE";
const PATIENCE: Duration = Duration::from_secs(120);

/// Not a test by itself: one of the processes. It returns at once where nobody asks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_as_an_old_or_a_new_program_when_asked_to() {
    let Ok(role) = env::var(ROLE) else { return };
    let [age, schema, name] = *role.split(' ').collect::<Vec<_>>() else { panic!("{role:?}") };
    let program = Program::open(age, schema).await;
    let stop = std::thread::spawn(|| std::io::stdin().lines().count());
    let (own, mut shared) = (format!("own/{name}"), 0);
    for number in 0.. {
        if stop.is_finished() {
            break;
        }
        assert_eq!(program.append(&own, number, name).await, Ok(()), "nobody else writes there");
        say(&format!("own {number}"));
        match program.append("shared", shared, name).await {
            Ok(()) => {
                say(&format!("shared {shared}"));
                shared += 1;
            }
            Err(actual) => shared = actual,
        }
    }
}

/// Past the harness of the tests, which keeps what is printed.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "> {line}").unwrap();
    out.flush().unwrap();
}

enum Program {
    Old(OldProgram),
    New(PostgresEventStore),
}

impl Program {
    async fn open(age: &str, schema: &str) -> Self {
        if age == "old" {
            let client = connect(&url()).await.unwrap();
            client.batch_execute(&format!("SET search_path TO {schema}")).await.unwrap();
            return Self::Old(OldProgram::open(client, schema).await.unwrap());
        }
        let options = PostgresOptions::new(&url()).unwrap().with_schema(schema).unwrap();
        Self::New(PostgresEventStore::open(options).await.unwrap())
    }

    /// Appends `NAME` behind so many events of a stream; otherwise how many there are.
    async fn append(&self, stream: &str, expected: u64, name: &str) -> Result<(), u64> {
        match self {
            Self::Old(old) => match old.append(stream, expected.cast_signed(), name).await.unwrap() {
                Appended::At(_) => Ok(()),
                Appended::Conflict { actual } => Err(actual.cast_unsigned()),
            },
            Self::New(store) => {
                let kind = "number.v1".try_into().unwrap();
                let event = NewEvent::new(kind, Timestamp::EPOCH, name.to_owned().into());
                let expected = ExpectedVersion::Exact(Version::new(expected));
                let batch = Batch::new().with_event(stream.try_into().unwrap(), expected, event);
                match store.append(batch).await {
                    Ok(_) => Ok(()),
                    Err(AppendError::Conflict { actual, .. }) => Err(actual.get()),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    }
}

/// What a process was told that it appended: to its own stream so many, and to the shared one these versions.
#[derive(Clone, Debug, Default)]
struct Told {
    own: u64,
    shared: Vec<u64>,
}

struct Process {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    told: Arc<Mutex<Told>>,
    listening: JoinHandle<()>,
    is_killed: bool,
}

impl Process {
    fn start(age: &str, schema: &str, number: usize) -> Self {
        let name = format!("{age}-{number}");
        let test = "postgres::rolling::writes_as_an_old_or_a_new_program_when_asked_to";
        let mut child = Command::new(env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .env(ROLE, format!("{age} {schema} {name}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (orders, answers) = (child.stdin.take(), child.stdout.take().unwrap());
        let told = Arc::new(Mutex::new(Told::default()));
        let heard = told.clone();
        let listening = std::thread::spawn(move || {
            for line in BufReader::new(answers).lines() {
                // The harness may have begun the line; a process that is killed may end in the middle of one.
                let Some((_, line)) = line.as_deref().unwrap_or_default().split_once("> ") else { continue };
                match line.split_once(' ').map(|(what, number)| (what, number.parse())) {
                    Some(("own", Ok(number))) => heard.lock().unwrap().own = number + 1,
                    Some(("shared", Ok(version))) => heard.lock().unwrap().shared.push(version),
                    other => panic!("{other:?}"),
                }
            }
        });
        Self { name, child, orders, told, listening, is_killed: false }
    }

    fn own(&self) -> u64 {
        self.told.lock().unwrap().own
    }

    /// Waits until so many more of its appends were acknowledged.
    fn gets_through(&mut self, more: u64) {
        let (began, before) = (Instant::now(), self.own());
        while self.own() < before + more {
            assert!(self.child.try_wait().unwrap().is_none(), "{} has ended", self.name);
            assert!(began.elapsed() < PATIENCE, "{}: {} of {more}", self.name, self.own() - before);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As `kill -9`.
    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.is_killed = true;
    }

    /// Has it end in good order, unless it is dead; what it was told.
    fn end(mut self) -> (String, bool, Told) {
        drop(self.orders.take());
        let status = self.child.wait().unwrap();
        assert!(status.success() || self.is_killed, "{}: {status}", self.name);
        self.listening.join().unwrap();
        let told = self.told.lock().unwrap().clone();
        (self.name, self.is_killed, told)
    }
}

async fn first_format() -> Schema {
    let schema = Schema::new();
    let client = schema.connect().await;
    client.batch_execute(&format!("CREATE SCHEMA {}", schema.name)).await.unwrap();
    create(&client).await;
    schema
}

async fn format_of(schema: &Schema) -> (i32, i32) {
    let row = schema.connect().await.query_one("SELECT version, needs FROM daa_format", &[]).await.unwrap();
    (row.get(0), row.get(1))
}

async fn everything(store: &dyn EventStore) -> Vec<RecordedEvent> {
    let mut events: Vec<RecordedEvent> = Vec::new();
    loop {
        let after = events.last().map_or(Position::START, |event| event.position);
        let page = store.read_all(after, PageSize::default()).await.unwrap();
        if page.is_empty() {
            return events;
        }
        events.extend(page);
    }
}

/// Old and new processes under load, while the schema changes under them; the last answer is who was told what.
fn roll(schema: &str) -> Vec<(String, bool, Told)> {
    let start = |age, numbers: std::ops::Range<usize>| -> Vec<Process> {
        numbers.map(|number| Process::start(age, schema, number)).collect()
    };
    let mut old = start("old", 0..3);
    old.iter_mut().for_each(|process| process.gets_through(20));
    // All three find the first format, or that another of them is changing it.
    let mut new = start("new", 0..3);
    new.iter_mut().chain(&mut old).for_each(|process| process.gets_through(20));
    old[0].kill();
    new[0].kill();
    // Some that know nothing of the second format come after it.
    old.extend(start("old", 3..4));
    new.extend(start("new", 3..4));
    old.iter_mut().chain(&mut new).filter(|process| !process.is_killed).for_each(|it| it.gets_through(20));
    old.into_iter().chain(new).map(Process::end).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_new_programs_side_by_side_lose_nothing_while_the_schema_changes() {
    let schema = first_format().await;
    let name = schema.name.clone();
    let told = tokio::task::spawn_blocking(move || roll(&name)).await.unwrap();
    assert_eq!(format_of(&schema).await, (3, 1));

    let store = schema.open().await;
    let all = everything(&store).await;
    let positions: Vec<u64> = all.iter().map(|event| event.position.get()).collect();
    assert_eq!(positions, (1..=all.len() as u64).collect::<Vec<_>>(), "the order has a gap");
    let mut streams: HashMap<&str, Vec<&RecordedEvent>> = HashMap::new();
    for event in &all {
        let stream = streams.entry(event.stream.as_str()).or_default();
        stream.push(event);
        assert_eq!(event.version.get(), stream.len() as u64, "versions of {}", event.stream);
    }
    let shared: Vec<&str> =
        streams["shared"].iter().map(|event| std::str::from_utf8(&event.payload).unwrap()).collect();
    for (name, is_killed, told) in told {
        // Who is killed may have appended one event more than it could tell.
        let doubt = u64::from(is_killed);
        let own = streams[&*format!("own/{name}")].len() as u64;
        assert!(own >= told.own && own <= told.own + doubt, "{name} was told {}, and has {own}", told.own);
        for version in &told.shared {
            assert_eq!(shared[*version as usize], name, "version {} of the shared stream", version + 1);
        }
        let mine = shared.iter().filter(|writer| **writer == name).count() as u64;
        let known = told.shared.len() as u64;
        assert!(mine >= known && mine <= known + doubt, "{name} was told {known}, and has {mine}");
    }
    // An old program reads what new ones wrote.
    let old = OldProgram::open(schema.connect().await, &schema.name).await.unwrap();
    let read: Vec<(u64, String)> =
        old.everything().await.into_iter().map(|(at, it)| (at as u64, it)).collect();
    let written =
        all.iter().map(|event| (event.position.get(), String::from_utf8(event.payload.to_vec()).unwrap()));
    assert_eq!(read, written.collect::<Vec<_>>());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_that_find_the_first_format_at_the_same_moment_change_it_once() {
    let schema = first_format().await;
    let old = OldProgram::open(schema.connect().await, &schema.name).await.unwrap();
    old.append("a", 0, "before").await.unwrap();
    let opening = (0..8).map(|_| tokio::spawn(PostgresEventStore::open(schema.options())));
    for store in opening.collect::<Vec<_>>() {
        let store = store.await.unwrap().unwrap();
        assert_eq!(store.head().await.unwrap(), Position::new(1));
        store.close().await;
    }
    assert_eq!(format_of(&schema).await, (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_has_to_change_waits_for_a_long_transaction_and_others_do_not_wait_for_it() {
    let schema = first_format().await;
    let long = schema.connect().await;
    long.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM commits").await.unwrap();
    let old = OldProgram::open(schema.connect().await, &schema.name).await.unwrap();
    let opening = tokio::spawn(PostgresEventStore::open(
        schema.options().with_patience(PATIENCE).with_statement_timeout(Duration::from_secs(5)),
    ));
    // Long enough for one that would not give way to be ended by the server.
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(7) {
        let appended = tokio::time::timeout(Duration::from_secs(4), old.append("a", number, "x")).await;
        assert!(matches!(appended, Ok(Ok(Appended::At(_)))), "number {number}: {appended:?}");
        number += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!opening.is_finished(), "the transaction still holds the table");
    assert_eq!(format_of(&schema).await, (1, 1));
    long.batch_execute("COMMIT").await.unwrap();
    let store = opening.await.unwrap().unwrap();
    assert_eq!(format_of(&schema).await, (3, 1));
    assert_eq!(store.head().await.unwrap().get(), number as u64);
    store.close().await;
}

/// Writes of several lengths to one stream, with those of another between them, are read from any version on in pages of
/// any size, and erased up to any: whether the schema has an entry for each write, as new ones, or for each event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_begins_and_ends_anywhere_within_a_write() {
    let fresh = Schema::new();
    fresh.open().await.close().await;
    assert_eq!(format_of(&fresh).await, (3, 3), "older programs would look for each event");
    for schema in [fresh, first_format().await] {
        let store = schema.open().await;
        let event = |number: u64| {
            let payload = number.to_string().into();
            NewEvent::new("test.numbered.v1".parse().unwrap(), Timestamp::EPOCH, payload)
        };
        let mut count = 0;
        for len in [1_u64, 40, 1, 1, 7, 2, 1] {
            let events = |from: u64| (from..from + len).map(event).collect();
            let at = |version| ExpectedVersion::Exact(Version::new(version));
            let batch = Batch::new()
                .with(StreamWrite::new("other".parse().unwrap(), at(count), events(count)))
                .with(StreamWrite::new("numbered".parse().unwrap(), at(count), events(count)));
            store.append(batch).await.unwrap();
            count += len;
        }
        let stream = "numbered".parse().unwrap();
        for after in 0..=count {
            for size in [1, 3, 50, 1_000] {
                let page =
                    store.read_stream(&stream, Version::new(after), PageSize::new(size)).await.unwrap();
                let read: Vec<String> =
                    page.iter().map(|event| String::from_utf8(event.payload.to_vec()).unwrap()).collect();
                let expected: Vec<String> =
                    (after..count).take(size).map(|number| number.to_string()).collect();
                assert_eq!(read, expected, "{size} behind {after}");
            }
        }
        store.close().await;
        // One that knows nothing of the streams yet.
        let store = schema.open().await;
        let wrong = Batch::new().with(StreamWrite::new(
            "numbered".parse().unwrap(),
            ExpectedVersion::Exact(Version::new(count - 1)),
            vec![event(0)],
        ));
        let refused = store.append(wrong).await;
        let actual = Version::new(count);
        assert!(
            matches!(refused, Err(AppendError::Conflict { actual: at, .. }) if at == actual),
            "{refused:?}"
        );
        for (up_to, erased) in [(0, 0), (5, 5), (41, 36), (42, 1), (count + 9, count - 42)] {
            assert_eq!(store.erase(&stream, Version::new(up_to)).await.unwrap(), erased, "up to {up_to}");
        }
        let other = store.read_stream(&"other".parse().unwrap(), Version::EMPTY, PageSize::default()).await;
        assert!(other.unwrap().iter().all(|event| !event.is_erased()));
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_position_at_a_moment_is_known_since_the_second_format() {
    let schema = first_format().await;
    let old = OldProgram::open(schema.connect().await, &schema.name).await.unwrap();
    for number in 0..3 {
        old.append("a", number, "before").await.unwrap();
    }
    let conn = schema.connect().await;
    let now = async || {
        let now = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        Timestamp::from_millis(conn.query_one(now, &[]).await.unwrap().get::<_, i64>(0).cast_unsigned())
    };
    let store = schema.open().await;
    let migrated = now().await;
    let told = store.now().await.unwrap().expect("the server has a clock");
    assert!(migrated <= told && told <= now().await);
    assert_eq!(store.position_at(migrated).await.unwrap(), Position::START, "nobody knows when that was");
    let mut moments = Vec::new();
    for number in 3..40 {
        // Old programs and new ones in turn: the server tells the time for both.
        if number % 2 == 0 {
            old.append("a", number, "old").await.unwrap();
        } else {
            crate::support::append(&store, crate::support::small(1)).await;
        }
        let head = store.head().await.unwrap();
        conn.query_one("SELECT 1 FROM pg_sleep(0.003)", &[]).await.unwrap();
        moments.push((now().await, head));
        conn.query_one("SELECT 1 FROM pg_sleep(0.003)", &[]).await.unwrap();
        if number % 2 == 1 {
            old.append("a", number, "old").await.unwrap();
        }
    }
    for (moment, head) in moments {
        assert_eq!(store.position_at(moment).await.unwrap(), head);
    }
    assert_eq!(store.position_at(Timestamp::from_millis(1)).await.unwrap(), Position::START);
    let far = Timestamp::from_millis(u64::MAX);
    assert_eq!(store.position_at(far).await.unwrap(), store.head().await.unwrap());
    store.close().await;
}
