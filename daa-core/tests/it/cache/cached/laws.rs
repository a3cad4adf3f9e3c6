//! For any readers, writers, pauses and failures: nobody who asks after an invalidation gets what was before it, and
//! no two loads of a key go on at a time that could have been one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tokio::task::JoinSet;

use super::world::{State, World, tag};

const KEYS: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Read { key: u32, give_up: Option<u64> },
    Write { key: u32, by_tag: bool },
    Pass { millis: u64 },
    Source { takes: u64, fails: bool },
    Shared { state: State },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let state = prop_oneof![3 => Just(State::Up), 1 => Just(State::Down), 1 => Just(State::Silent)];
    let step = prop_oneof![
        12 => (0..KEYS, prop::option::of(0_u64..30)).prop_map(|(key, give_up)| Step::Read { key, give_up }),
        3 => (0..KEYS, any::<bool>()).prop_map(|(key, by_tag)| Step::Write { key, by_tag }),
        6 => prop_oneof![0_u64..40, Just(9_990), Just(3_000)].prop_map(|millis| Step::Pass { millis }),
        1 => (0_u64..50, prop::bool::weighted(0.3)).prop_map(|(takes, fails)| Step::Source { takes, fails }),
        1 => state.prop_map(|state| Step::Shared { state }),
    ];
    prop::collection::vec(step, 1..120)
}

/// A version per key that was written and made known; nothing older may be read by who asks from then on.
async fn check(steps: Vec<Step>, second: bool, eagerness: f64) {
    let world = World::new();
    let options = world.options().with_eagerness(eagerness).with_stale_for(Duration::from_secs(5));
    let cached = if second { world.process(options) } else { world.cached(options) };
    let least: Arc<[AtomicU64; KEYS as usize]> = Arc::default();
    for key in 0..KEYS {
        world.truth.set(key, 0);
    }
    let (mut readers, mut version, mut asked, mut given_up) = (JoinSet::new(), 0, 0, 0);
    for step in steps {
        match step {
            Step::Pass { millis } => world.clock.sleep(Duration::from_millis(millis)).await,
            Step::Source { takes, fails } => {
                world.truth.takes(Duration::from_millis(takes));
                world.truth.fails(fails);
            }
            Step::Shared { state } => world.shared.is(state),
            Step::Write { key, by_tag } => {
                version += 1;
                world.truth.set(key, version);
                if by_tag {
                    cached.invalidate_tag(&tag(if key.is_multiple_of(2) { "even" } else { "odd" })).await;
                } else {
                    cached.invalidate(&key).await;
                }
                least[key as usize].store(version, Ordering::SeqCst);
            }
            Step::Read { key, give_up } => {
                asked += 1;
                given_up += usize::from(give_up.is_some());
                let (cached, least) = (cached.clone(), least.clone());
                readers.spawn(async move {
                    let known = least[key as usize].load(Ordering::SeqCst);
                    let patience = Duration::from_millis(give_up.unwrap_or(60_000));
                    match tokio::time::timeout(patience, cached.get(&key)).await {
                        Ok(Ok(value)) => {
                            let value = value.expect("each key has a value");
                            assert!(value >= known, "{value} of {key}, when {known} was known");
                        }
                        Ok(Err(_)) => {}
                        Err(_) => assert!(give_up.is_some(), "no answer within a minute"),
                    }
                });
            }
        }
    }
    readers.join_all().await;
    let stats = cached.stats();
    let answered = (stats.hits + stats.coalesced + stats.led) as usize;
    assert!(answered <= asked && answered + given_up >= asked, "{stats:?} of {asked} readers");
    let begun = stats.led + stats.early_refreshes;
    assert!(stats.loads <= begun && stats.second_hits <= begun, "{stats:?}");
    assert_eq!(stats.loads, world.truth.loads());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hold_for_any_steps(steps in steps(), second: bool, eager: bool) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(steps, second, if eager { 1.0 } else { 0.0 }));
    }
}
