//! Many at a time, in one process and in several.

use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::ManualClock;
use daa_core::event::{EventStore, MemoryEventStore};
use tokio::task::JoinSet;

use super::world::{Impatient, Process, is_denied, paid};

const RULES: &str = r#"
[window.hourly]
on = "payment.*"
sum = "action.cost"
span = "1h"
[[rule]]
on = "payment.*"
when = 'window.hourly + action.cost <= money("0.000100 USDC")'
effect = "permit"
"#;

async fn race(processes: usize, payments: usize) {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let clock = ManualClock::default();
    let impatient = Arc::new(Impatient(clock.clone()));
    let processes: Vec<Process> =
        (0..processes).map(|_| Process::on(store.clone(), impatient.clone(), RULES)).collect();
    let mut racers = JoinSet::new();
    for number in 0..payments {
        let process = processes[number % processes.len()].clone();
        racers.spawn(async move {
            let actor = format!("agent-{}", number % 3);
            process.pay(paid(&format!("pay-{number}"), &actor, "bob", 7)).await
        });
    }
    let mut permitted = 0;
    while let Some(result) = racers.join_next().await {
        let result = result.unwrap();
        assert!(result.is_ok() || is_denied(&result), "{result:?}");
        permitted += usize::from(result.is_ok());
    }
    // Not one more than fits, and not one less.
    assert_eq!(permitted, payments.min(14));
    clock.advance(Duration::from_secs(3_600));
    processes[0].pay(paid("late", "agent-0", "bob", 100)).await.unwrap();
    assert!(is_denied(&processes[0].pay(paid("later", "agent-0", "bob", 1)).await));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_a_time_never_exceed_a_limit_and_nobody_starves() {
    race(1, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_share_a_store_never_exceed_a_limit() {
    race(3, 24).await;
}
