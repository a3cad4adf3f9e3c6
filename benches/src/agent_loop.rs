//! One full agent cycle with trivial parts and the store in memory: what the agent itself costs.

use std::sync::Arc;
use std::time::Instant;

use daa_core::action::{Decision, Gate, Outcome, Policy, Request, Verdict};
use daa_core::agent::{Agent, PlannedAction, collector_fn, executor_fn, strategy_fn};
use daa_core::clock::SystemClock;
use daa_core::digest::Digest;
use daa_core::event::MemoryEventStore;
use daa_core::id::ActionKind;

use crate::line::Line;

const CYCLES: usize = 50_000;

#[derive(Debug)]
struct PermitAll(Digest);

impl Policy for PermitAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Verdict::new(Decision::Permit, self.0, Vec::new())
    }
}

pub(crate) fn run() -> Vec<Line> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let (mut micros, rate) = runtime.block_on(cycles());
    micros.sort_by(f64::total_cmp);
    let at = |share: f64| micros[(share * CYCLES as f64) as usize];
    vec![
        Line::alone("loop", "cycle, median", "us", at(0.5)),
        Line::alone("loop", "cycle, p99", "us", at(0.99)),
        Line::alone("loop", "cycles", "1/s", rate),
    ]
}

/// Microseconds of every cycle, and cycles a second.
async fn cycles() -> (Vec<f64>, f64) {
    let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
    let rules = Arc::new(PermitAll(Digest::builder("permit all").finish()));
    let gate = Gate::builder(store.clone(), clock.clone()).with_policy(rules).build();
    let kind: ActionKind = "work".try_into().expect("a kind");
    let planned = PlannedAction::new(kind.clone());
    let mut agent = Agent::builder("a".try_into().expect("a name"), gate, store, clock)
        .with_collector(collector_fn("load", || async { 0.5 }).expect("a collector"))
        .with_strategy(strategy_fn("work", move |_| vec![planned.clone()]).expect("a strategy"))
        .with_executor(kind, executor_fn(|_| Box::pin(async { Ok(Outcome::new("done")) })))
        .build()
        .await
        .expect("an agent");
    let began = Instant::now();
    let mut micros = Vec::with_capacity(CYCLES);
    for _ in 0..CYCLES {
        let began = Instant::now();
        agent.cycle().await.expect("a cycle");
        micros.push(began.elapsed().as_secs_f64() * 1e6);
    }
    (micros, CYCLES as f64 / began.elapsed().as_secs_f64())
}
