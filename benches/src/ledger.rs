//! Transfers in batches: durable ones on SQLite, in the current directory, and in memory, where what is measured
//! is the ledger and not a disk. Then what replaying and auditing them takes.

use std::sync::Arc;
use std::time::Instant;

use daa_core::amount::Currency;
use daa_core::clock::SystemClock;
use daa_core::event::{EventStore, MemoryEventStore, PageSize};
use daa_core::id::AccountId;
use daa_economy::audit::verify_store;
use daa_economy::{Account, AccountKind, Ledger, Transfer};
use daa_store::sqlite::{SqliteEventStore, SqliteOptions};

use crate::line::Line;

const ACCOUNTS: usize = 1_000;
const BATCH: usize = 8_192;
const DURABLE: usize = 200_000;
const IN_MEMORY: usize = 500_000;

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let dir = tempfile::tempdir_in(".").expect("a directory");
        let sqlite = SqliteEventStore::open(dir.path().join("events.db"), SqliteOptions::default());
        let sqlite = Arc::new(sqlite.expect("a store"));
        let mut lines = measure("durable", sqlite.clone(), DURABLE).await;
        sqlite.close().await;
        lines.extend(measure("in memory", Arc::new(MemoryEventStore::new()), IN_MEMORY).await);
        lines
    })
}

async fn measure<S: EventStore + 'static>(place: &str, store: Arc<S>, count: usize) -> Vec<Line> {
    let clock = Arc::new(SystemClock::new());
    let usdc = Currency::new("USDC", 6).expect("a currency");
    let ledger = Ledger::open(store.clone(), clock.clone()).await.expect("a ledger");
    let names = fund(&ledger, usdc).await;
    let transfers = transfers(&names, usdc, count);
    let before = store.head().await.expect("a head");
    let rate = |began: Instant| count as f64 / began.elapsed().as_secs_f64();

    let began = Instant::now();
    for batch in transfers.chunks(BATCH) {
        for result in ledger.transfer_batch(batch.to_vec()).await.expect("a batch") {
            result.expect("a transfer");
        }
    }
    let made = rate(began);

    let mut bytes = 0;
    let mut after = before;
    loop {
        let page = store.read_all(after, PageSize::default()).await.expect("a page");
        let Some(last) = page.last() else { break };
        after = last.position;
        bytes += page.iter().map(|event| event.payload.len()).sum::<usize>();
    }

    let began = Instant::now();
    let replayed = Ledger::open(store.clone(), clock).await.expect("a ledger");
    let replay = rate(began);
    assert_eq!(replayed.sum(usdc).await.expect("a sum"), 0, "the books must balance");

    let began = Instant::now();
    let summary = verify_store(&*store).await.expect("an audit");
    assert_eq!(summary.transfers as usize, count + ACCOUNTS, "every transfer must be found");
    let audit = rate(began);
    let line = |what: &str, unit, figure| Line::alone("ledger", format!("{place}: {what}"), unit, figure);
    vec![
        line("transfers in batches of 8192", "transfers/s", made),
        line("payload of a transfer", "bytes", bytes as f64 / count as f64),
        line("replay", "transfers/s", replay),
        line("audit", "transfers/s", audit),
    ]
}

/// Opens the accounts, with something in each.
async fn fund(ledger: &Ledger, usdc: Currency) -> Vec<AccountId> {
    let mint: AccountId = "mint".try_into().expect("a name");
    let issuance = Account::new(mint.clone(), usdc, AccountKind::Issuance);
    ledger.open_account(issuance).await.expect("an account");
    let (mut names, mut grants) = (Vec::new(), Vec::new());
    for index in 0..ACCOUNTS {
        let agent = format!("a{index}").as_str().try_into().expect("a name");
        let account = Account::of_agent(&agent, usdc).expect("an account");
        let id = format!("fund-{index}").as_str().try_into().expect("an id");
        grants.push(Transfer::new(id, mint.clone(), account.id.clone(), usdc.units(1_000_000_000)));
        names.push(account.id.clone());
        ledger.open_account(account).await.expect("an account");
    }
    ledger.transfer_batch(grants).await.expect("a batch");
    names
}

fn transfers(names: &[AccountId], usdc: Currency, count: usize) -> Vec<Transfer> {
    let transfer = |index: usize| {
        let (from, to) = (index % ACCOUNTS, (index * 7 + 1) % ACCOUNTS);
        let to = if from == to { (to + 1) % ACCOUNTS } else { to };
        let id = format!("pay-{index:08}").as_str().try_into().expect("an id");
        Transfer::new(id, names[from].clone(), names[to].clone(), usdc.units(1 + index as u128 % 1000))
    };
    (0..count).map(transfer).collect()
}
