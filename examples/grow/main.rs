//! One agent program, embedded or on a cluster: only the configuration changes, and the output stays the same.
//!
//!     cargo run --example grow
//!     cargo run --features postgres,nats,redis --example grow -- \
//!         --store postgres://localhost/test --bus nats://localhost --cache redis://localhost
//!
//! An agent buys coffee below what it is worth. Prices come over the bus; what coffee is worth is looked up once, and
//! then in the cache; purchases pass rules and a budget into the event store; a relay tells the bus of them, where
//! an auditor counts them.

mod args;
mod audit;

use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use daa::core::agent::StepResult;
use daa::core::bus::{Message, SubscribeOptions, Subscriber};
use daa::core::cache::{Cache, CacheEntry, CacheKey};
use daa::core::id::Topic;
use daa::prelude::*;
use daa::store::backends::Backends;
use tokio::sync::Mutex;

use crate::args::Args;
use crate::audit::Auditor;

type Failure = Box<dyn Error + Send + Sync>;

const RULES: &str = r#"
[[rule]]
on = "coffee.buy"
effect = "permit"
"#;
/// What is asked for a bag of coffee, one after the other.
const ASKED: [&str; 6] = ["10.40", "9.80", "9.10", "11.00", "8.70", "9.90"];

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let backends = Backends::open(&args.config()?, clock.clone()).await?;
    eprintln!("{}", backends.health().await);
    // Others may use the same servers: names of this run are its own.
    let run = format!("{:x}-{}", clock.now().as_millis(), std::process::id());
    let (usd, me): (_, AgentId) = (Currency::new("USD", 2)?, format!("buyer-{run}").try_into()?);
    let auditor = Auditor::begin(&backends, &clock, &me).await?;

    // Money: 50.00 in an account, of which 30.00 may be spent in an hour.
    let ledger = Ledger::open(backends.store.clone(), clock.clone()).await?;
    let (bank, own): (AccountId, _) = (format!("bank-{run}").try_into()?, Account::of_agent(&me, usd)?);
    let purse = own.id.clone();
    ledger.open_account(Account::new(bank.clone(), usd, AccountKind::Issuance)).await?;
    ledger.open_account(own).await?;
    let fund = format!("fund-{run}").try_into()?;
    ledger.transfer(Transfer::new(fund, bank, purse.clone(), usd.parse("50")?)).await?;
    let (name, hourly) = ("hourly".try_into()?, Period::Fixed(Window::HOUR));
    ledger.set_budget(Budget::new(name, me.clone(), usd.parse("30")?, hourly)).await?;

    let rules = RulesEngine::new(Ruleset::from_toml(RULES)?);
    let treasury = AgentTreasury::new(ledger.clone(), "roastery".try_into()?);
    let gate = Gate::builder(backends.store.clone(), clock.clone())
        .with_policy(Arc::new(rules))
        .with_treasury(Arc::new(treasury))
        .build();

    let topic: Topic = format!("prices.{run}").parse()?;
    let prices =
        Arc::new(Mutex::new(backends.bus.subscribe(SubscribeOptions::new(topic.as_str().parse()?)).await?));
    let worth = Worth::of(backends.cache.clone(), &run)?;
    let (looked_up, buy): (_, ActionKind) = (worth.looked_up.clone(), "coffee.buy".try_into()?);
    let kind = buy.clone();
    let bought = executor_fn(move |action| {
        let price = action.params_as::<String>();
        Box::pin(async move {
            let paid = usd.parse(&price?).map_err(ExecuteError::rejected)?;
            Ok(Outcome::new("a bag of coffee").with_cost(paid))
        })
    });
    let mut agent = Agent::builder(me.clone(), gate, backends.store.clone(), clock.clone())
        .with_collector(collector_fn("asked", move || next_price(prices.clone()))?)
        .with_collector(collector_fn("worth", move || worth.clone().now())?)
        .with_strategy(strategy_fn("bargain", move |now| match (now.metric("asked"), now.metric("worth")) {
            (Some(asked), Some(worth)) if asked < worth => {
                let price = format!("{asked:.2}");
                let most = usd.parse(&price).ok();
                let plan =
                    |most| PlannedAction::new(kind.clone()).with_params(price.into()).with_max_cost(most);
                most.map(plan).into_iter().collect()
            }
            _ => Vec::new(),
        })?)
        .with_executor(buy, bought)
        .build()
        .await?;

    let mut purchases = 0;
    for asked in ASKED {
        let _ = backends.bus.publish(Message::new(topic.clone(), asked)).await?;
        let report = agent.cycle().await?;
        let done = match report.steps.first().map(|step| &step.result) {
            None => "too dear".to_owned(),
            Some(StepResult::Succeeded { .. }) => {
                purchases += 1;
                "bought".to_owned()
            }
            Some(failed) => failed.to_string(),
        };
        println!("{asked:>5} is asked: {done}");
    }

    let balance = ledger.balance(&purse, usd).await?;
    let left = balance.map_or(0, |balance| balance.available().units());
    println!("{} is left", usd.units(left));
    println!("what coffee is worth was looked up: {}", looked_up.load(Ordering::Relaxed));
    println!("purchases the auditor heard of: {}", auditor.end(purchases).await?);
    backends.close().await;
    Ok(())
}

/// What comes over the bus next.
async fn next_price(prices: Arc<Mutex<Box<dyn Subscriber>>>) -> Result<f64, Failure> {
    let delivery = prices.lock().await.next().await?.ok_or("the bus was closed")?;
    let price = std::str::from_utf8(delivery.message().payload())?.parse()?;
    delivery.ack().await?;
    Ok(price)
}

/// What a bag of coffee is worth, which takes an expert to tell.
#[derive(Clone)]
struct Worth {
    cache: Arc<dyn Cache>,
    key: CacheKey,
    looked_up: Arc<AtomicU32>,
}

impl Worth {
    fn of(cache: Arc<dyn Cache>, run: &str) -> Result<Self, Failure> {
        Ok(Self { cache, key: CacheKey::new(format!("worth/{run}"))?, looked_up: Arc::default() })
    }

    async fn now(self) -> Result<f64, Failure> {
        // A cache that is away costs time, and no answer.
        if let Ok(Some(known)) = self.cache.get(&self.key).await {
            return Ok(std::str::from_utf8(&known)?.parse()?);
        }
        self.looked_up.fetch_add(1, Ordering::Relaxed);
        let entry = CacheEntry::new(Bytes::from_static(b"10"), Duration::from_secs(60));
        let _ = self.cache.put(&self.key, entry).await;
        Ok(10.0)
    }
}
