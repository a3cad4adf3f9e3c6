//! The conformance suite of [`Leases`]: one function for each behaviour of the contract.
//!
//! [`lease_conformance!`](crate::lease_conformance) makes a test of each, so that a failure has a name:
//!
//! ```
//! # mod example {
//! use std::sync::Arc;
//! use daa_core::clock::SystemClock;
//! use daa_core::lease::{Leases, MemoryLeases};
//!
//! /// Fresh leases, and whatever must live as long as they.
//! async fn fresh() -> ((), Arc<dyn Leases>) {
//!     ((), Arc::new(MemoryLeases::new(Arc::new(SystemClock::new()))))
//! }
//!
//! daa_core::lease_conformance!(fresh().await);
//! # }
//! ```
//!
//! Every function takes leases of which none is held, and panics when a promise is broken. They need a multi-threaded
//! tokio runtime with timers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a suite fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Fence, FencingToken, Lease, LeaseError, Leases, MAX_LEASE};
use crate::id::{HolderId, LeaseName};

/// The leases under test.
pub type Shared = Arc<dyn Leases>;

/// Makes a `#[tokio::test]` of each behaviour. The expression is evaluated once per test, and yields
/// `(guard, Arc<dyn Leases>)`; the guard is dropped after the leases.
#[macro_export]
macro_rules! lease_conformance {
    ($fresh:expr) => {
        $crate::lease_conformance! { @tests $fresh;
            one_at_a_time_holds_a_lease
            leases_of_different_names_are_independent
            a_released_lease_is_free_at_once
            a_lease_ends_by_itself
            a_renewed_lease_lasts_longer_with_the_same_token
            a_lease_that_is_over_is_neither_renewed_nor_released
            who_acquires_again_has_a_higher_token_and_the_former_is_void
            tokens_always_rise
            refuses_times_beyond_the_bounds
            of_many_who_ask_at_once_one_gets_it
            who_was_paused_does_nothing_that_counts
        }
    };
    (@tests $fresh:expr; $($behaviour:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (_guard, leases) = $fresh;
            $crate::lease::testing::$behaviour(leases).await;
        }
    )*};
}

const LONG: Duration = Duration::from_secs(600);

fn name(text: &str) -> LeaseName {
    LeaseName::new(text).unwrap()
}

fn holder(text: impl AsRef<str>) -> HolderId {
    HolderId::new(text).unwrap()
}

async fn take(leases: &Shared, by: &str, ttl: Duration) -> Result<Lease, LeaseError> {
    leases.acquire(&name("a"), &holder(by), ttl).await
}

/// Who gets it once the one before is gone by itself; the wait.
async fn take_after_end(leases: &Shared, by: &str, ttl: Duration) -> Lease {
    let began = Instant::now();
    loop {
        match take(leases, by, ttl).await {
            Ok(lease) => return lease,
            Err(LeaseError::Held { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert!(began.elapsed() < Duration::from_secs(20), "the lease does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The second is told by whom it is held, and for how long.
pub async fn one_at_a_time_holds_a_lease(leases: Shared) {
    assert_eq!(leases.holder(&name("a")).await.unwrap(), None);
    let lease = take(&leases, "one", LONG).await.unwrap();
    assert_eq!((lease.name(), lease.holder()), (&name("a"), &holder("one")));
    let refused = take(&leases, "two", LONG).await;
    let Err(LeaseError::Held { name: of, by, remaining }) = refused else { panic!("{refused:?}") };
    assert_eq!((of, by), (name("a"), holder("one")));
    assert!(remaining <= LONG && remaining > LONG - Duration::from_secs(60), "{remaining:?}");
    let told = leases.holder(&name("a")).await.unwrap().unwrap();
    assert_eq!((told.holder, told.token), (holder("one"), lease.token()));
    assert!(
        told.remaining <= LONG && told.remaining > LONG - Duration::from_secs(60),
        "{:?}",
        told.remaining
    );
}

/// Different names, the same holder or not.
pub async fn leases_of_different_names_are_independent(leases: Shared) {
    let first = take(&leases, "one", LONG).await.unwrap();
    let second = leases.acquire(&name("b"), &holder("two"), LONG).await.unwrap();
    leases.acquire(&name("a/b"), &holder("one"), LONG).await.unwrap();
    assert!(leases.release(&first).await.unwrap());
    assert!(take(&leases, "two", LONG).await.is_ok());
    assert!(leases.renew(&second, LONG).await.is_ok());
}

/// The one who waits need not wait for the end.
pub async fn a_released_lease_is_free_at_once(leases: Shared) {
    let lease = take(&leases, "one", LONG).await.unwrap();
    assert!(leases.release(&lease).await.unwrap());
    assert!(!leases.release(&lease).await.unwrap());
    assert_eq!(leases.holder(&name("a")).await.unwrap(), None);
    take(&leases, "two", LONG).await.unwrap();
}

/// No earlier than it was given for, and not much later.
pub async fn a_lease_ends_by_itself(leases: Shared) {
    let (began, ttl) = (Instant::now(), Duration::from_millis(300));
    take(&leases, "one", ttl).await.unwrap();
    take_after_end(&leases, "two", LONG).await;
    let held = began.elapsed() + Duration::from_millis(2);
    assert!(held >= ttl, "another got it after {held:?} of {ttl:?}");
    assert!(held < ttl + Duration::from_secs(10), "nobody got it before {held:?} of {ttl:?}");
}

/// As often as it is renewed.
pub async fn a_renewed_lease_lasts_longer_with_the_same_token(leases: Shared) {
    let began = Instant::now();
    let first = take(&leases, "one", Duration::from_millis(1_500)).await.unwrap();
    let renewed = leases.renew(&first, LONG).await.unwrap();
    assert_eq!(renewed.token(), first.token());
    assert!(renewed.until() > first.until());
    while began.elapsed() < Duration::from_millis(1_600) {
        assert!(matches!(take(&leases, "two", LONG).await, Err(LeaseError::Held { .. })));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What counts is the token, not the time that an earlier answer told.
    let shorter = leases.renew(&first, Duration::from_millis(50)).await.unwrap();
    let second = take_after_end(&leases, "two", LONG).await;
    assert!(second.token() > shorter.token());
}

/// And the one who has it by now does not notice.
pub async fn a_lease_that_is_over_is_neither_renewed_nor_released(leases: Shared) {
    let old = take(&leases, "one", Duration::from_millis(50)).await.unwrap();
    let new = take_after_end(&leases, "two", LONG).await;
    let renewed = leases.renew(&old, LONG).await;
    assert!(matches!(renewed, Err(LeaseError::Lost { .. })), "{renewed:?}");
    assert!(!leases.release(&old).await.unwrap());
    assert_eq!(leases.holder(&name("a")).await.unwrap().unwrap().token, new.token());
    assert!(leases.release(&new).await.unwrap());
    let renewed = leases.renew(&new, LONG).await;
    assert!(matches!(renewed, Err(LeaseError::Lost { .. })), "a released lease was renewed: {renewed:?}");
}

/// So an answer that was lost can be asked for again.
pub async fn who_acquires_again_has_a_higher_token_and_the_former_is_void(leases: Shared) {
    let first = take(&leases, "one", LONG).await.unwrap();
    let second = take(&leases, "one", LONG).await.unwrap();
    assert!(second.token() > first.token());
    assert!(matches!(leases.renew(&first, LONG).await, Err(LeaseError::Lost { .. })));
    assert!(!leases.release(&first).await.unwrap());
    assert!(leases.renew(&second, LONG).await.is_ok());
}

/// After a release, after an end, by whomever.
pub async fn tokens_always_rise(leases: Shared) {
    let mut highest: Option<FencingToken> = None;
    for n in 0..50 {
        let by = format!("holder/{}", n % 3);
        let lease = match n % 10 {
            9 => take_after_end(&leases, &by, Duration::from_millis(1)).await,
            _ => take_after_end(&leases, &by, Duration::from_millis(50)).await,
        };
        assert!(highest.is_none_or(|highest| lease.token() > highest), "{} after {highest:?}", lease.token());
        highest = Some(lease.token());
        if n % 10 != 9 && n % 7 != 0 {
            leases.release(&lease).await.unwrap();
        }
    }
}

/// And holds nothing then.
pub async fn refuses_times_beyond_the_bounds(leases: Shared) {
    for ttl in [Duration::ZERO, Duration::from_micros(999), MAX_LEASE + Duration::from_millis(1)] {
        let refused = take(&leases, "one", ttl).await;
        assert!(matches!(refused, Err(LeaseError::Ttl { .. })), "{refused:?}");
        assert_eq!(leases.holder(&name("a")).await.unwrap(), None);
    }
    let lease = take(&leases, "one", MAX_LEASE).await.unwrap();
    assert!(matches!(leases.renew(&lease, Duration::ZERO).await, Err(LeaseError::Ttl { .. })));
    assert!(leases.release(&lease).await.unwrap());
}

/// Exactly one, each time.
pub async fn of_many_who_ask_at_once_one_gets_it(leases: Shared) {
    for round in 0..20 {
        let (name, got) = (name(&format!("round/{round}")), Arc::new(AtomicUsize::new(0)));
        let asking: Vec<_> = (0..16)
            .map(|n| {
                let (leases, name, got) = (leases.clone(), name.clone(), got.clone());
                tokio::spawn(async move {
                    match leases.acquire(&name, &holder(format!("{n}")), LONG).await {
                        Ok(_) => got.fetch_add(1, Ordering::Relaxed),
                        Err(LeaseError::Held { .. }) => 0,
                        Err(error) => panic!("{error:?}"),
                    }
                })
            })
            .collect();
        for asked in asking {
            asked.await.unwrap();
        }
        assert_eq!(got.load(Ordering::Relaxed), 1, "round {round}");
    }
}

/// Holders that pause for longer than their lease, and then write: what they write is refused once another has written,
/// and what is accepted comes in the order of the tokens, each of one holder.
pub async fn who_was_paused_does_nothing_that_counts(leases: Shared) {
    let resource = Arc::new((Fence::new(), Mutex::new(Vec::new())));
    let refused = Arc::new(AtomicUsize::new(0));
    let holders: Vec<_> = (0_u64..4)
        .map(|me| {
            let (leases, resource, refused) = (leases.clone(), resource.clone(), refused.clone());
            tokio::spawn(async move {
                for round in 0..12 {
                    let lease = take_after_end(&leases, &format!("{me}"), Duration::from_millis(20)).await;
                    // Every third time it sleeps well past the end of its lease.
                    let pause = if (me + round).is_multiple_of(3) { 120 } else { 1 };
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    {
                        let mut written = resource.1.lock().unwrap();
                        match resource.0.admit(lease.token()) {
                            Ok(()) => written.push((lease.token(), me)),
                            Err(_) => _ = refused.fetch_add(1, Ordering::Relaxed),
                        }
                    }
                    leases.release(&lease).await.unwrap();
                }
            })
        })
        .collect();
    for holder in holders {
        holder.await.unwrap();
    }
    let written = resource.1.lock().unwrap();
    assert!(written.is_sorted_by(|a, b| a.0 < b.0), "{written:?}");
    assert!(refused.load(Ordering::Relaxed) > 0, "nobody was late: {written:?}");
    assert_eq!(written.len() + refused.load(Ordering::Relaxed), 48);
}
