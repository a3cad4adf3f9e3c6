use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::{Clock, ManualClock, SystemClock};
use daa_core::lease::{Fence, FencingToken, LeaseError, Leases, MemoryLeases};
use proptest::prelude::*;

fn fresh() -> ((), Arc<dyn Leases>) {
    ((), Arc::new(MemoryLeases::new(Arc::new(SystemClock::new()))))
}

daa_core::lease_conformance!(fresh());

#[test]
fn a_fence_lets_nobody_pass_behind_a_higher_token() {
    let fence = Fence::new();
    let token = FencingToken::new;
    assert!(fence.admit(token(3)).is_ok());
    assert!(fence.admit(token(3)).is_ok());
    let stale = fence.admit(token(2)).unwrap_err();
    assert_eq!((stale.token, stale.highest), (token(2), token(3)));
    assert!(fence.admit(token(4)).is_ok());
    assert!(fence.admit(token(3)).is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Acquire { holder: usize, ttl: u64 },
    Renew { holder: usize, ttl: u64 },
    Release { holder: usize },
    Pass { millis: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0_usize..3, 1_u64..20).prop_map(|(holder, ttl)| Step::Acquire { holder, ttl }),
        2 => (0_usize..3, 1_u64..20).prop_map(|(holder, ttl)| Step::Renew { holder, ttl }),
        1 => (0_usize..3).prop_map(|holder| Step::Release { holder }),
        3 => (1_u64..15).prop_map(|millis| Step::Pass { millis }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// Against who must have it: holder, token and end.
    #[test]
    fn one_holds_it_at_each_moment(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let clock = ManualClock::default();
            let leases = MemoryLeases::new(Arc::new(clock.clone()));
            let name = "a".try_into().unwrap();
            let (mut mine, mut tokens) = ([None, None, None], 0);
            let mut model: Option<(usize, FencingToken, u64)> = None;
            for step in steps {
                let now = clock.now().as_millis();
                model = model.filter(|(_, _, until)| *until > now);
                match step {
                    Step::Pass { millis } => clock.advance(Duration::from_millis(millis)),
                    Step::Acquire { holder, ttl } => {
                        let id = format!("{holder}").try_into().unwrap();
                        match leases.acquire(&name, &id, Duration::from_millis(ttl)).await {
                            Ok(lease) => {
                                assert!(model.is_none_or(|(by, ..)| by == holder), "{model:?} and {lease:?}");
                                assert!(lease.token().get() > tokens);
                                tokens = lease.token().get();
                                model = Some((holder, lease.token(), now + ttl));
                                mine[holder] = Some(lease);
                            }
                            Err(LeaseError::Held { by, remaining, .. }) => {
                                let (held_by, _, until) = model.unwrap();
                                assert_eq!(by.as_str(), held_by.to_string());
                                assert_ne!(held_by, holder);
                                assert_eq!(remaining, Duration::from_millis(until - now));
                            }
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    Step::Renew { holder, ttl } => {
                        let Some(lease) = &mine[holder] else { continue };
                        let holds = model.is_some_and(|(_, token, _)| token == lease.token());
                        let renewed = leases.renew(lease, Duration::from_millis(ttl)).await;
                        assert_eq!(renewed.is_ok(), holds, "{renewed:?}");
                        if holds {
                            model = Some((holder, lease.token(), now + ttl));
                        }
                    }
                    Step::Release { holder } => {
                        let Some(lease) = &mine[holder] else { continue };
                        let holds = model.is_some_and(|(_, token, _)| token == lease.token());
                        assert_eq!(leases.release(lease).await.unwrap(), holds);
                        if holds {
                            model = None;
                        }
                    }
                }
            }
        });
    }
}
