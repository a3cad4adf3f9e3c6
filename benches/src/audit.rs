//! The audit log: records a second into files on disk, proofs in a log of ten million, verification, memory.
//!
//! The events are those of a gate with salts, in SQLite; the log follows them into a folder, and each file is brought to the
//! disk before its checkpoint. The proofs are read from files too, of a tree that is made here without its records. The
//! files lie in the current directory, since `/tmp` may be no disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionEvent, Authorized, Context, ExecuteError, Executor, Gate, Outcome, Policy, Request,
    SaltKey, Verdict,
};
use daa_core::clock::SystemClock;
use daa_core::digest::Digest;
use daa_core::event::{
    Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, PageSize, Position, StreamWrite,
};
use daa_rules::audit::{
    AuditLog, AuditOptions, AuditParts, Bundle, FolderTiles, KeeperFile, KeyUse, LogFile, LogReader,
    SecretKey, TileStore, TreeHash, Trust,
};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};
use serde_json::json;

use crate::heap::Count;
use crate::line::Line;

/// Records of the log that is written.
const RECORDS: usize = 300_000;
/// Records of the log that proofs are made in.
const LARGE: u64 = 10_000_000;
/// How often a proof is made and verified.
const PROOFS: u64 = 2_000;

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut lines = written().await;
        lines.extend(proofs().await);
        lines
    })
}

#[derive(Debug)]
struct Permits;

impl Policy for Permits {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        let verdict = json!({
            "decision": "permit",
            "ruleset": Digest::of(b"rules"),
            "rules": ["small-payments"],
        });
        serde_json::from_value(verdict).expect("a verdict")
    }
}

struct Pays;

#[async_trait]
impl Executor for Pays {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        Ok(Outcome::new(json!({ "receipt": action.id().as_str(), "fee": "0.02 USDC" })))
    }
}

/// The events of a few payments, as a gate writes them.
async fn payments() -> Vec<NewEvent> {
    let store = Arc::new(MemoryEventStore::new());
    let gate = Gate::builder(store.clone(), Arc::new(SystemClock::new()))
        .with_policy(Arc::new(Permits))
        .with_salts(SaltKey::from_bytes([7; 32]))
        .build();
    let action = Action::new(
        "pay-1".parse().expect("an id"),
        "payment.send".parse().expect("an id"),
        "alice".parse().expect("an id"),
    );
    let params = json!({ "to": "0x52908400098527886E0F7030069857D2E4169EE7", "amount": "12.50", "memo": "invoice 4711" });
    let action = action.and_then(|action| action.with_params(params)).expect("an action");
    let context = Context::new().with("trusted", true).with("hour", 14).with("balance", "1022.17 USDC");
    gate.submit(action, context, &Pays).await.expect("a payment");
    let events = store.read_all(Position::START, PageSize::default()).await.expect("events");
    assert!(events.iter().all(|event| ActionEvent::read(event).is_ok_and(|event| event.is_some())));
    events.into_iter().map(|event| NewEvent::new(event.kind, event.at, event.payload)).collect()
}

async fn filled(dir: &Path, records: usize) -> Arc<dyn EventStore> {
    let store = SqliteEventStore::open(dir.join("events.db"), SqliteOptions::default()).expect("a store");
    let payment = payments().await;
    let payments = records / payment.len();
    for first in (0..payments).step_by(1_000) {
        let mut batch = Batch::new();
        for number in first..(first + 1_000).min(payments) {
            let stream = format!("action/pay-{number}").parse().expect("an id");
            batch = batch.with(StreamWrite::new(stream, ExpectedVersion::NO_STREAM, payment.clone()));
        }
        store.append(batch).await.expect("an append");
    }
    Arc::new(store)
}

fn key() -> SecretKey {
    SecretKey::from_seed("example.org/bench".parse().expect("a name"), KeyUse::Log, &[1; 32])
}

async fn open(dir: &Path, store: Arc<dyn EventStore>) -> AuditLog {
    let parts = AuditParts {
        store,
        clock: Arc::new(SystemClock::new()),
        tiles: Arc::new(FolderTiles::new(dir.join("log"))),
        keeper: Arc::new(KeeperFile::new(dir.join("kept"))),
        key: Arc::new(key()),
    };
    AuditLog::open("bench", parts, AuditOptions::new()).await.expect("a log")
}

/// From a full store to durable files, and what stays in memory.
async fn written() -> Vec<Line> {
    let mut lines = Vec::new();
    for records in [RECORDS / 10, RECORDS] {
        let dir = tempfile::tempdir_in(".").expect("a directory");
        let store = filled(dir.path(), records).await;
        let mut log = open(dir.path(), store.clone()).await;
        let held = Count::begin();
        let began = Instant::now();
        let size = log.catch_up().await.expect("a checkpoint").size;
        let seconds = began.elapsed().as_secs_f64();
        let kept = held.bytes();
        drop(held);
        assert_eq!(size as usize, records / 3 * 3);
        lines.push(Line::alone("audit", format!("{size} records, durable"), "1/s", size as f64 / seconds));
        lines.push(Line::alone("audit", format!("memory after {size} records"), "KiB", kept as f64 / 1024.0));
        if records == RECORDS {
            lines.extend(verified(&log, size).await);
        }
        store.close().await;
    }
    lines
}

/// A bundle of one record, from bytes to a verdict.
async fn verified(log: &AuditLog, size: u64) -> Vec<Line> {
    let trust = Trust::in_log(key().public_key().clone()).expect("a key");
    let bundle = Bundle::of_records(log.reader(), &[size / 3]).await.expect("a bundle").to_string();
    let each = each_micros(|_| {
        let verified = Bundle::parse(bundle.as_bytes()).and_then(|bundle| bundle.verify(&trust));
        assert_eq!(verified.expect("a proof").records.len(), 1);
    });
    percentiles("bundle verified, signature and all", each)
}

/// Proofs from the files of a large log.
async fn proofs() -> Vec<Line> {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let tiles = FolderTiles::new(dir.path());
    grow(&tiles).await;
    let reader = LogReader::new(Arc::new(tiles));
    let root = reader.root(LARGE).await.expect("a root");
    let (mut inclusion, mut checked, mut consistency) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..PROOFS {
        let index = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % LARGE;
        let began = Instant::now();
        let proof = reader.inclusion(index, LARGE).await.expect("a proof");
        inclusion.push(micros(began));
        let leaf = leaf(index);
        let began = Instant::now();
        proof.verify_inclusion(&leaf, index, LARGE, &root).expect("a right proof");
        checked.push(micros(began));
        let began = Instant::now();
        let proof = reader.consistency(index.max(1), LARGE).await;
        consistency.push(micros(began));
        drop(proof);
    }
    let mut lines = percentiles("inclusion proof in 10 M", inclusion);
    lines.extend(percentiles("consistency proof to 10 M", consistency));
    lines.extend(percentiles("inclusion proof in 10 M verified", checked));
    lines
}

fn leaf(index: u64) -> TreeHash {
    TreeHash::leaf(&index.to_be_bytes())
}

/// The hash tiles of a log of [`LARGE`] records, all that there are at that size.
async fn grow(tiles: &FolderTiles) {
    let mut hashes: Vec<TreeHash> = (0..LARGE).map(leaf).collect();
    let mut level = 0;
    while !hashes.is_empty() {
        let mut above = Vec::with_capacity(hashes.len() / 256);
        let mut files = Vec::new();
        for (index, tile) in hashes.chunks(256).enumerate() {
            let bytes: Vec<u8> = tile.iter().flat_map(|hash| *hash.as_bytes()).collect();
            let path = path(level, index as u64, tile.len());
            files.push(LogFile::new(path, bytes.into()));
            if tile.len() == 256 {
                above.push(complete(tile.to_vec()));
            }
        }
        // Not durable one by one, which would take minutes: only reading is measured.
        for file in files {
            let place = tiles.root().join(&file.path);
            std::fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
            std::fs::write(place, &file.bytes).expect("a file");
        }
        (hashes, level) = (above, level + 1);
    }
    assert!(tiles.read("tile/0/000").await.is_ok_and(|tile| tile.is_some()));
}

fn complete(mut row: Vec<TreeHash>) -> TreeHash {
    while row.len() > 1 {
        row = row.chunks(2).map(|pair| TreeHash::node(&pair[0], &pair[1])).collect();
    }
    row[0]
}

fn path(level: u32, index: u64, width: usize) -> String {
    let (high, low) = (index / 1000, index % 1000);
    let index = if high == 0 { format!("{low:03}") } else { format!("x{high:03}/{low:03}") };
    let partial = if width == 256 { String::new() } else { format!(".p/{width}") };
    format!("tile/{level}/{index}{partial}")
}

fn micros(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}

fn each_micros(mut work: impl FnMut(u64)) -> Vec<f64> {
    (0..PROOFS)
        .map(|number| {
            let began = Instant::now();
            work(number);
            micros(began)
        })
        .collect()
}

fn percentiles(what: &str, mut micros: Vec<f64>) -> Vec<Line> {
    micros.sort_by(f64::total_cmp);
    [("p50", 50), ("p99", 99)]
        .map(|(name, percent)| {
            let figure = micros[(micros.len() - 1) * percent / 100];
            Line::alone("audit", format!("{what}: {name}"), "us", figure)
        })
        .into()
}
