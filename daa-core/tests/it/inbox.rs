//! Inboxes through their public interface: effects that are there once.

use std::sync::Arc;

use daa_core::bus::*;
use daa_core::clock::{SystemClock, Timestamp};
use daa_core::event::*;
use daa_core::fault::{Reaction, Retry};
use daa_core::inbox::*;
use daa_core::relay::NotRelayed;
use daa_core::workflow::testing::{CrashPoint, CrashStore};

/// A message as a relay makes it.
fn message(key: &str, position: u64) -> Message {
    let mut message = Message::new("t".parse().unwrap(), position.to_string())
        .with_id(format!("shop:{position}").parse().unwrap())
        .with_key(key.parse().unwrap());
    for (name, value) in [
        ("event-source", "shop"),
        ("event-position", &position.to_string()),
        ("event-stream", key),
        ("event-version", "1"),
        ("event-kind", "order.placed.v1"),
        ("event-at", "7"),
    ] {
        message = message.with_header(name, value).unwrap();
    }
    message
}

fn inbox(store: &Arc<dyn EventStore>) -> Inbox {
    Inbox::new("billing".parse().unwrap(), store.clone(), Arc::new(SystemClock::new())).unwrap()
}

fn memory() -> Arc<dyn EventStore> {
    Arc::new(MemoryEventStore::new())
}

fn effect(payload: &str) -> Batch {
    let event = NewEvent::json("bill.written.v1".parse().unwrap(), Timestamp::EPOCH, &payload).unwrap();
    Batch::new().with_event("bills".parse().unwrap(), ExpectedVersion::Any, event)
}

/// Handles a message as a consumer does; whether it was new.
async fn handle(inbox: &Inbox, message: &Message) -> Result<bool, InboxError> {
    match inbox.admit(message).await? {
        Admission::Repeated => Ok(false),
        Admission::New(admitted) => {
            let payload = admitted.relayed().position.to_string();
            Ok(matches!(admitted.commit(effect(&payload)).await?, Committed::Applied(_)))
        }
    }
}

async fn bills(store: &dyn EventStore) -> Vec<String> {
    let page = store.read_stream(&"bills".parse().unwrap(), Version::EMPTY, PageSize::new(10_000)).await;
    page.unwrap().iter().map(|event| event.json().unwrap()).collect()
}

#[tokio::test]
async fn what_comes_again_has_no_second_effect_also_after_a_restart() {
    let store = memory();
    let first = inbox(&store);
    for position in 1..=40 {
        assert!(handle(&first, &message("a", position)).await.unwrap());
        assert!(!handle(&first, &message("a", position)).await.unwrap());
    }
    assert!(handle(&first, &message("b", 41)).await.unwrap());
    let restarted = inbox(&store);
    for (key, positions) in [("a", 1..=40), ("b", 41..=41)] {
        for position in positions {
            assert!(!handle(&restarted, &message(key, position)).await.unwrap(), "{position}");
        }
    }
    assert_eq!(bills(&*store).await, (1..=41).map(|n: u64| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_crash_at_any_append_leaves_each_effect_once() {
    for point in [CrashPoint::Before, CrashPoint::After] {
        for at in 1..=6 {
            let crashing = CrashStore::new(memory());
            crashing.crash_at(at, point);
            let (mut store, mut restarts): (Arc<dyn EventStore>, _) = (crashing.clone(), 0);
            let mut consumer = inbox(&store);
            for position in 1..=6 {
                while let Err(error) = handle(&consumer, &message("a", position)).await {
                    assert!(crashing.is_dead() && restarts == 0, "{error:?}");
                    // The message was not acknowledged: it comes again, to the next process.
                    restarts += 1;
                    store = crashing.restarted();
                    consumer = inbox(&store);
                }
            }
            assert_eq!(restarts, 1);
            assert_eq!(bills(&*store).await, ["1", "2", "3", "4", "5", "6"], "crashed {point:?} append {at}");
        }
    }
}

#[tokio::test]
async fn of_two_members_with_one_message_one_applies_it() {
    let store = memory();
    let (one, other) = (inbox(&store), inbox(&store));
    assert!(handle(&one, &message("a", 1)).await.unwrap());
    assert!(handle(&other, &message("a", 2)).await.unwrap());
    let both = message("a", 7);
    let (Admission::New(first), Admission::New(second)) =
        (one.admit(&both).await.unwrap(), other.admit(&both).await.unwrap())
    else {
        panic!("it is new to both")
    };
    assert!(matches!(first.commit(effect("7")).await.unwrap(), Committed::Applied(_)));
    assert_eq!(second.commit(effect("7")).await.unwrap(), Committed::Repeated);
    assert!(matches!(other.admit(&both).await.unwrap(), Admission::Repeated), "it knows by now");
    assert_eq!(bills(&*store).await, ["1", "2", "7"]);
}

#[tokio::test]
async fn a_dead_letter_that_is_driven_again_takes_effect_late_and_once() {
    let store = memory();
    let inbox = inbox(&store);
    for position in [1, 2, 4] {
        assert!(handle(&inbox, &message("a", position)).await.unwrap());
    }
    let Admission::New(admitted) = inbox.admit(&message("a", 3)).await.unwrap() else { panic!("it is new") };
    assert!(admitted.is_late());
    let _ = admitted.commit(effect("3")).await.unwrap();
    assert!(!handle(&inbox, &message("a", 3)).await.unwrap());
    let Admission::New(next) = inbox.admit(&message("a", 5)).await.unwrap() else { panic!("it is new") };
    assert!(!next.is_late());
}

#[tokio::test]
async fn what_is_too_old_to_tell_is_neither_applied_nor_dropped() {
    let store = memory();
    let (first, remembered) = (inbox(&store), REMEMBERED as u64);
    for position in 10..10 + 2 * remembered + 5 {
        assert!(handle(&first, &message("a", position)).await.unwrap());
    }
    for inbox in [first, inbox(&store)] {
        for position in [3, 10, 10 + remembered + 4] {
            let error = handle(&inbox, &message("a", position)).await.unwrap_err();
            let InboxError::TooOld { floor, .. } = error else { panic!("{error:?}") };
            assert_eq!((floor.get(), error.retry()), (10 + remembered + 4, Retry::Never));
        }
        assert!(!handle(&inbox, &message("a", 10 + remembered + 5)).await.unwrap());
    }
    assert!(handle(&inbox(&store), &message("b", 3)).await.unwrap(), "of another key it is new");
    // What fell out of the window gives its room back.
    let all = store.read_all(Position::START, PageSize::new(10_000)).await.unwrap();
    assert_eq!(all.iter().filter(|event| event.is_erased()).count(), remembered as usize);
}

#[tokio::test]
async fn an_effect_that_is_refused_leaves_no_mark() {
    let store = memory();
    let inbox = inbox(&store);
    let outdated = || {
        let event = NewEvent::json("bill.written.v1".parse().unwrap(), Timestamp::EPOCH, &"x").unwrap();
        Batch::new().with_event("bills".parse().unwrap(), ExpectedVersion::Exact(Version::new(9)), event)
    };
    let Admission::New(admitted) = inbox.admit(&message("a", 1)).await.unwrap() else { panic!("it is new") };
    let error = admitted.commit(outdated()).await.unwrap_err();
    assert!(matches!(error, InboxError::Append(AppendError::Conflict { .. })), "{error:?}");
    assert_eq!(error.retry(), Retry::Now);
    assert_eq!(store.head().await.unwrap(), Position::START);
    assert!(handle(&inbox, &message("a", 1)).await.unwrap());
}

#[tokio::test]
async fn sources_keys_and_inboxes_do_not_share_what_they_know() {
    let store = memory();
    let (billing, clock) = (inbox(&store), Arc::new(SystemClock::new()));
    let shipping = Inbox::new("shipping".parse().unwrap(), store.clone(), clock).unwrap();
    assert!(handle(&billing, &message("a", 5)).await.unwrap());
    assert!(handle(&billing, &message("b", 5)).await.unwrap());
    assert!(handle(&shipping, &message("a", 5)).await.unwrap());
    let other = message("a", 5).with_header("event-source", "warehouse").unwrap();
    assert!(handle(&billing, &other).await.unwrap());
}

#[tokio::test]
async fn more_keys_than_are_kept_in_memory_are_read_again() {
    let store = memory();
    let inbox = inbox(&store);
    for position in 1..=5_000 {
        assert!(handle(&inbox, &message(&format!("k{position}"), position)).await.unwrap());
    }
    for position in [1, 2_500, 5_000] {
        assert!(!handle(&inbox, &message(&format!("k{position}"), position)).await.unwrap());
    }
}

#[tokio::test]
async fn refuses_what_no_relay_made_and_names_that_are_too_long() {
    let store = memory();
    let inbox = inbox(&store);
    let plain = Message::new("t".parse().unwrap(), "x");
    let error = inbox.admit(&plain).await.unwrap_err();
    assert!(
        matches!(&error, InboxError::NotRelayed(NotRelayed::Missing { header: "event-source" })),
        "{error:?}"
    );
    let wrong = message("a", 1).with_header("event-position", "-1").unwrap();
    let error = inbox.admit(&wrong).await.unwrap_err();
    assert!(matches!(&error, InboxError::NotRelayed(NotRelayed::Malformed { .. })), "{error:?}");
    let make = |length: usize| {
        Inbox::new("i".repeat(length).parse().unwrap(), memory(), Arc::new(SystemClock::new()))
    };
    assert!(make(129).is_ok());
    assert!(matches!(make(130), Err(InboxError::Name { .. })));
}
