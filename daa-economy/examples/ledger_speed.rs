//! How many transfers per second the ledger makes in batches, and how much they take: in memory, so that what is
//! measured is the ledger and not a disk.
//!
//! ```text
//! cargo run --release -p daa-economy --example ledger_speed [TRANSFERS]
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use daa_core::amount::Currency;
use daa_core::clock::SystemClock;
use daa_core::event::{EventStore, MemoryEventStore, PageSize};
use daa_economy::audit::verify_store;
use daa_economy::{Account, AccountKind, Ledger, Transfer};

const ACCOUNTS: usize = 1_000;
const BATCH: usize = 8_192;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count: usize = std::env::args().nth(1).map_or(Ok(500_000), |text| text.parse())?;
    let store = Arc::new(MemoryEventStore::new());
    let clock = Arc::new(SystemClock::new());
    let ledger = Ledger::open(store.clone(), clock.clone()).await?;
    let usdc = Currency::new("USDC", 6)?;
    ledger.open_account(Account::new("mint".try_into()?, usdc, AccountKind::Issuance)).await?;
    let mut names = Vec::new();
    for index in 0..ACCOUNTS {
        let account = Account::of_agent(&format!("a{index}").as_str().try_into()?, usdc)?;
        names.push(account.id.clone());
        ledger.open_account(account).await?;
    }
    let fund = |(index, name): (usize, _)| -> Result<Transfer, Box<dyn Error>> {
        let id = format!("fund-{index}").as_str().try_into()?;
        Ok(Transfer::new(id, "mint".try_into()?, name, usdc.units(1_000_000_000)))
    };
    ledger.transfer_batch(names.iter().cloned().enumerate().map(fund).collect::<Result<_, _>>()?).await?;

    let mut transfers = Vec::with_capacity(count);
    for index in 0..count {
        let (from, to) = (index % ACCOUNTS, (index * 7 + 1) % ACCOUNTS);
        let to = if from == to { (to + 1) % ACCOUNTS } else { to };
        let (Some(from), Some(to)) = (names.get(from), names.get(to)) else { continue };
        let id = format!("pay-{index:08}").as_str().try_into()?;
        transfers.push(Transfer::new(id, from.clone(), to.clone(), usdc.units(1 + index as u128 % 1000)));
    }
    let before = store.head().await?;
    let start = Instant::now();
    let mut made = 0;
    for batch in transfers.chunks(BATCH) {
        made += ledger.transfer_batch(batch.to_vec()).await?.iter().filter(|result| result.is_ok()).count();
    }
    let seconds = start.elapsed().as_secs_f64();
    let mut bytes = 0;
    let mut after = before;
    loop {
        let page = store.read_all(after, PageSize::default()).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        bytes += page.iter().map(|event| event.payload.len()).sum::<usize>();
    }
    println!("{made} transfers in {seconds:.3} s: {:.0} per second", made as f64 / seconds);
    println!("{:.1} bytes of payload per transfer", bytes as f64 / made.max(1) as f64);

    let start = Instant::now();
    let replayed = Ledger::open(store.clone(), clock).await?;
    println!("replayed in {:.3} s; sum {}", start.elapsed().as_secs_f64(), replayed.sum(usdc).await?);
    let start = Instant::now();
    let summary = verify_store(&*store).await?;
    println!(
        "verified in {:.3} s: {} transfers, sum {}",
        start.elapsed().as_secs_f64(),
        summary.transfers,
        summary.sum
    );
    Ok(())
}
