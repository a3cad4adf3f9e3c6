//! How long one full cycle takes with trivial parts and the store in memory:
//! `cargo run --release -p daa-core --example cycle_speed`

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use daa_core::action::{Decision, Gate, Outcome, Policy, Request, Verdict};
use daa_core::agent::{Agent, PlannedAction, collector_fn, executor_fn, strategy_fn};
use daa_core::clock::SystemClock;
use daa_core::digest::Digest;
use daa_core::event::MemoryEventStore;
use daa_core::id::ActionKind;

#[derive(Debug)]
struct PermitAll(Digest);

impl Policy for PermitAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Verdict { decision: Decision::Permit, ruleset: self.0, rules: Vec::new() }
    }
}

const CYCLES: usize = 50_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
    let rules = Arc::new(PermitAll(Digest::builder("permit all").finish()));
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(rules).build();
    let kind: ActionKind = "work".try_into()?;
    let planned = PlannedAction::new(kind.clone());
    let mut agent = Agent::builder("a".try_into()?, gate, store, clock)
        .with_collector(collector_fn("load", || async { 0.5 })?)
        .with_strategy(strategy_fn("work", move |_| vec![planned.clone()])?)
        .with_executor(kind, executor_fn(|_| Box::pin(async { Ok(Outcome::new("done")) })))
        .build()
        .await?;
    let began = Instant::now();
    let mut micros = Vec::with_capacity(CYCLES);
    for _ in 0..CYCLES {
        let began = Instant::now();
        agent.cycle().await?;
        micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let rate = CYCLES as f64 / began.elapsed().as_secs_f64();
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros.get((share * CYCLES as f64) as usize).copied().unwrap_or_default();
    println!("median {:.1} µs, p99 {:.1} µs, {rate:.0} cycles/s", at(0.5), at(0.99));
    Ok(())
}
