//! Events that should have been otherwise: recorded as what they are, and told of. None stops the log.

use daa_core::action::{Context, Executors};
use daa_core::clock::Timestamp;
use daa_core::event::{Batch, EventStore, ExpectedVersion, NewEvent, Position, Version};
use daa_rules::audit::{
    AuditLog, AuditOptions, Bundle, BundleError, Content, Irregularities, LogFault, Part, Record, report,
};

use super::world::{NAME, World, gate, payment, rewritten};

async fn put(world: &World, stream: &str, kind: &str, payload: &'static [u8]) {
    let event =
        NewEvent::new(kind.parse().unwrap(), Timestamp::from_millis(1_700_000_000_000), payload.into());
    let batch = Batch::new().with_event(stream.parse().unwrap(), ExpectedVersion::Any, event);
    world.store.append(batch).await.unwrap();
}

async fn record(world: &World, index: u64, size: u64) -> Record {
    Record::decode(&world.reader().record(index, size).await.unwrap()).unwrap()
}

/// What is no JSON, no event, half an event, and an event with half a salt.
const SPOILT: [&[u8]; 6] = [
    b"\xff\xfe",
    b"",
    b"[1, 2]",
    b"{\"permitted\":{\"action\":7}}",
    b"{\"permitted\":{\"salt\":\"xx\"}}",
    b"{\"permitted\":{},\"attempted\":{}}",
];

#[tokio::test]
async fn what_cannot_be_understood_is_recorded_as_its_bytes_and_the_log_goes_on() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay("before", "bob", 1).await;
    for payload in SPOILT {
        put(&world, "action/spoilt", "action.permitted.v1", payload).await;
    }
    put(&world, "elsewhere", "action.attempted.v1", b"nothing").await;
    world.pay("after", "bob", 1).await;
    let checkpoint = log.catch_up().await.unwrap();
    assert_eq!(checkpoint.size, 3 + 7 + 3);
    for index in 3..10 {
        let record = record(&world, index, checkpoint.size).await;
        assert_eq!((record.content, record.actor.is_none()), (Content::Undecoded, true), "{index}");
    }
    let first = record(&world, 3, checkpoint.size).await;
    let sha256_of_ff_fe = "b3d510ef04275ca8e698e5b3cbb0ece3949ef9252f0cdc839e9ee347409a2209";
    assert_eq!(first.commitments.of(Part::Event).unwrap().to_string(), sha256_of_ff_fe);
    let told = *log.irregularities();
    assert_eq!((told.undecoded, told.total(), told.first), (7, 7, Some(3)));
    let mut counted = Irregularities::default();
    world.reader().check(&checkpoint, |index, record| counted.note(index, record)).await.unwrap();
    assert_eq!(counted, told);
    world.reader().check_store(NAME, checkpoint.size, &*world.store).await.unwrap();
    // Its bytes are bound like all others.
    for (at, payload) in [(5, b"\xff\xff".as_slice()), (7, b"{\"permitted\":{}}")] {
        let changed = rewritten(&world.store, |mut event| {
            if event.position == Position::new(at) {
                event.payload = payload.to_vec().into();
            }
            Some(event)
        })
        .await;
        let fault = world.reader().check_store(NAME, checkpoint.size, &changed).await.unwrap_err();
        assert!(matches!(fault, LogFault::OtherEvent { position, .. } if position.get() == at), "{fault}");
    }
    // It is proved as what it is, and nothing of it can be shown.
    let mut bundle = Bundle::of_records(&world.reader(), &[3]).await.unwrap();
    let page = report(&bundle.verify(&world.trust()).unwrap());
    assert!(page.contains("This event could not be understood"), "{page}");
    let nothing = bundle.disclose(&*world.store, 3, &[Part::Event]).await.unwrap_err();
    assert!(matches!(nothing, BundleError::NothingToShow { index: 3 }), "{nothing}");
    // Erased, it is as any other.
    world.store.erase(&"action/spoilt".parse().unwrap(), Version::new(9)).await.unwrap();
    world.reader().check_store(NAME, checkpoint.size, &*world.store).await.unwrap();
}

#[tokio::test]
async fn content_that_nothing_blinds_is_bound_unless_it_is_from_before() {
    let world = World::new();
    let plain = gate(world.store.clone(), world.clock.clone()).build();
    plain.submit(payment("old", "bob", 500), Context::new(), &Executors::new()).await.unwrap_err();
    let options = AuditOptions::new().leaving_unsalted_unbound_until(Position::new(1));
    let mut log = AuditLog::open(NAME, world.parts(), options).await.unwrap();
    plain.submit(payment("new", "bob", 500), Context::new(), &Executors::new()).await.unwrap_err();
    world.pay("salted", "bob", 1).await;
    let checkpoint = log.catch_up().await.unwrap();
    let mut contents = Vec::new();
    for index in 0..3 {
        let record = record(&world, index, checkpoint.size).await;
        contents.push((record.content, record.commitments.of(Part::Event).is_some()));
        assert_eq!(record.actor.as_ref().unwrap().as_str(), "alice");
        assert!(record.ruleset.is_some());
    }
    assert_eq!(contents, [(Content::Unbound, false), (Content::Unblinded, true), (Content::Blinded, true)]);
    let told = *log.irregularities();
    assert_eq!((told.unbound, told.unblinded, told.total(), told.first), (1, 1, 2, Some(0)));
    world.reader().check_store(NAME, checkpoint.size, &*world.store).await.unwrap();
    // What is bound cannot be changed; what is not, can be in what the record does not say.
    let with = |at: u64| {
        let store = world.store.clone();
        async move {
            rewritten(&store, move |mut event| {
                if event.position == Position::new(at) {
                    let text = String::from_utf8(event.payload.to_vec()).unwrap();
                    assert!(text.contains("bob"));
                    event.payload = text.replace("bob", "eve").into();
                }
                Some(event)
            })
            .await
        }
    };
    let fault = world.reader().check_store(NAME, checkpoint.size, &with(3).await).await.unwrap_err();
    assert!(matches!(fault, LogFault::OtherEvent { position, .. } if position.get() == 3), "{fault}");
    world.reader().check_store(NAME, checkpoint.size, &with(1).await).await.unwrap();
}

#[tokio::test]
async fn a_regular_log_has_nothing_to_tell() {
    let world = World::new();
    let mut log = world.open().await.unwrap();
    world.pay_often("pay", 3).await;
    log.catch_up().await.unwrap();
    assert_eq!(*log.irregularities(), Irregularities::default());
}
