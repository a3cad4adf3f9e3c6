//! How transfers are stored.

use std::sync::Arc;

use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::{MemoryEventStore, Position, RecordedEvent, Version};
use daa_economy::audit::verify;
use daa_economy::{AccountKind, Books, Command, LedgerEvent, Memo, Transfer};
use proptest::prelude::*;

use crate::support::{account, all_events, funded, transfer};

fn recorded(event: &LedgerEvent) -> RecordedEvent {
    let new = event.to_new(Timestamp::EPOCH).unwrap();
    let (position, version) = (Position::new(1), Version::new(1));
    RecordedEvent::new(position, "ledger".try_into().unwrap(), version, new.kind, new.at, new.payload)
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    let parts =
        ("[a-z0-9/]{1,40}", 0u8..6, 0u8..6, 1..=u128::from(u64::MAX), "\\PC{0,60}", any::<Option<u8>>());
    parts.prop_map(|(id, from, to, units, memo, evidence)| {
        let to = if from == to { to + 1 } else { to };
        let plain = transfer(&id, &format!("m{from}"), &format!("m{to}"), units);
        let noted = if memo.is_empty() { plain } else { plain.with_memo(Memo::new(memo).unwrap()) };
        evidence.iter().fold(noted, |transfer, byte| transfer.with_evidence(Digest::of(&[*byte])))
    })
}

proptest! {
    #[test]
    fn transfers_read_back_as_they_were_written(transfers in prop::collection::vec(any_transfer(), 1..20)) {
        let mut books = Books::new();
        for index in 0..7 {
            books.step(Command::Open(account(&format!("m{index}"), AccountKind::Issuance))).unwrap();
        }
        let outcome = books.step_batch(transfers);
        let event = outcome.event.unwrap();
        prop_assert_eq!(LedgerEvent::read(&recorded(&event)).unwrap().unwrap(), event);
    }

    #[test]
    fn what_somebody_else_wrote_is_refused_without_a_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut event = recorded(&LedgerEvent::Opened(account("a", AccountKind::Agent)));
        event.kind = "ledger.transferred.v1".try_into().unwrap();
        event.payload = payload.into();
        prop_assert!(verify([&event]).is_err());
    }
}

#[tokio::test]
async fn a_batch_of_the_largest_transfers_is_cut_into_events_that_fit() {
    let store = MemoryEventStore::new();
    let ledger = funded(Arc::new(store.clone())).await;
    // A control character is the longest in JSON.
    let memo = Memo::new("\u{1}".repeat(256)).unwrap();
    let large = |index: usize| {
        let id = format!("{index:0>200}");
        transfer(&id, "mint", "agent/bob", u128::from(u64::MAX))
            .with_memo(memo.clone())
            .with_evidence(Digest::of(b""))
    };
    let results = ledger.transfer_batch((0..2_000).map(large).collect()).await.unwrap();
    assert!(results.iter().all(Result::is_ok));
    let small = |index: usize| transfer(&format!("small-{index:06}"), "mint", "agent/bob", 1);
    ledger.transfer_batch((0..8_000).map(small).collect()).await.unwrap();
    let events = all_events(&store).await;
    assert_eq!(verify(&events).unwrap().transfers, 1 + 2_000 + 8_000);
    let last = events.last().unwrap();
    assert!(last.payload.len() < 8_000 * 32, "{} bytes for 8,000 transfers", last.payload.len());
}
