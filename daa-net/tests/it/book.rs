//! The book of records: it never goes back.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_net::record::{BookOptions, OfferError, Offered};
use daa_net::{NodeId, NodeIdentity, RecordBook, SignedRecord};
use proptest::prelude::*;

use crate::nodes::{HOUR, NOW, issue, node, record};

fn ids() -> &'static [NodeIdentity] {
    static IDS: OnceLock<Vec<NodeIdentity>> = OnceLock::new();
    IDS.get_or_init(|| (0..6).map(node).collect())
}

/// The record of a node with this version, good for as many hours.
fn version(of: usize, version: u64, hours: u32) -> SignedRecord {
    let mut record = record(version);
    record.expires = NOW + HOUR * hours;
    issue(record, &ids()[of])
}

fn id(of: usize) -> NodeId {
    ids()[of].node()
}

#[test]
fn the_newer_record_stays_whatever_comes_first() {
    let mut book = RecordBook::default();
    assert_eq!(book.offer(version(0, 5, 1), NOW).unwrap(), Offered::New);
    assert_eq!(book.offer(version(0, 7, 1), NOW).unwrap(), Offered::Newer);
    let stale = book.offer(version(0, 6, 9), NOW).unwrap_err();
    assert!(matches!(stale, OfferError::Stale { seen: 7, offered: 6, .. }));
    assert_eq!(book.record(&id(0), NOW).unwrap().record().version, 7);
    assert_eq!(book.len(), 1);
}

#[test]
fn the_same_record_is_known_though_it_was_signed_twice() {
    let mut book = RecordBook::default();
    let (first, second) = (version(0, 5, 1), version(0, 5, 1));
    assert_ne!(first.as_bytes(), second.as_bytes());
    book.offer(first, NOW).unwrap();
    assert_eq!(book.offer(second, NOW).unwrap(), Offered::Known);
}

#[test]
fn two_records_of_one_version_convict_their_node() {
    let mut book = RecordBook::default();
    book.offer(version(0, 5, 1), NOW).unwrap();
    let Err(OfferError::Conflict(conflict)) = book.offer(version(0, 5, 2), NOW) else {
        panic!("no conflict")
    };
    assert_eq!((conflict.known.node(), conflict.other.node()), (id(0), id(0)));
    assert_ne!(conflict.known.record(), conflict.other.record());
    assert_eq!(book.record(&id(0), NOW).unwrap().record().expires, NOW + HOUR, "the first stays");
}

#[test]
fn an_old_record_does_not_come_back_when_the_new_one_has_expired() {
    let mut book = RecordBook::default();
    book.offer(version(0, 7, 1), NOW).unwrap();
    let later = NOW + HOUR;
    assert!(book.record(&id(0), later).is_none());
    assert!(matches!(book.offer(version(0, 6, 9), later), Err(OfferError::Stale { .. })));
    assert!(matches!(book.offer(version(0, 7, 1), later), Err(OfferError::Expired { .. })));
    assert!(matches!(book.offer(version(0, 7, 9), later), Err(OfferError::Conflict(_))));
    assert_eq!(book.expire(later), [id(0)]);
    assert!(matches!(book.offer(version(0, 6, 9), later), Err(OfferError::Stale { .. })));
    assert!(matches!(book.offer(version(0, 7, 9), later), Err(OfferError::Other { version: 7, .. })));
    assert_eq!(book.offer(version(0, 8, 9), later).unwrap(), Offered::New);
}

#[test]
fn what_expires_first_makes_room_unless_it_is_kept() {
    let mut book = RecordBook::new(BookOptions::default().with_records(2));
    book.keep(id(0));
    book.offer(version(0, 1, 1), NOW).unwrap();
    book.offer(version(1, 1, 2), NOW).unwrap();
    assert!(
        matches!(book.offer(version(2, 1, 2), NOW), Err(OfferError::Full { .. })),
        "as long as the other"
    );
    book.offer(version(2, 1, 3), NOW).unwrap();
    assert!(book.record(&id(0), NOW).is_some() && book.record(&id(1), NOW).is_none());
    // It is as good as it was, when there is room.
    book.release(&id(0));
    book.keep(id(1));
    assert_eq!(book.offer(version(1, 1, 2), NOW).unwrap(), Offered::New);
    assert!(book.record(&id(0), NOW).is_none());
    assert_eq!(book.len(), 2);
}

#[test]
fn memories_of_nodes_are_bounded_and_the_oldest_goes_first() {
    let mut book = RecordBook::new(BookOptions::default().with_memories(2));
    for (of, hours) in [(0, 2), (1, 1), (2, 3)] {
        book.offer(version(of, 5, hours), NOW).unwrap();
    }
    let later = NOW + HOUR * 3;
    assert_eq!(book.expire(later), [id(1), id(0), id(2)]);
    assert!(matches!(book.offer(version(0, 4, 4), later), Err(OfferError::Stale { .. })));
    assert!(matches!(book.offer(version(2, 4, 4), later), Err(OfferError::Stale { .. })));
    assert_eq!(book.offer(version(1, 4, 4), later).unwrap(), Offered::New, "it is forgotten");
}

#[test]
fn however_many_others_come_and_go_a_record_that_is_held_does_not_go_back() {
    let mut book = RecordBook::new(BookOptions::default().with_records(2).with_memories(1));
    book.keep(id(0));
    book.offer(version(0, 5, 9), NOW).unwrap();
    for (turn, of) in [1, 2, 3, 4, 5].into_iter().enumerate() {
        book.offer(version(of, 1, 1 + turn as u32), NOW).unwrap();
    }
    assert!(matches!(book.offer(version(0, 4, 9), NOW), Err(OfferError::Stale { seen: 5, offered: 4, .. })));
    assert!(matches!(book.offer(version(0, 5, 8), NOW), Err(OfferError::Conflict(_))));
    assert_eq!(book.record(&id(0), NOW).unwrap().record().version, 5);
}

#[test]
fn strangers_that_live_long_do_not_crowd_out_who_was_met() {
    let mut book = RecordBook::new(BookOptions::default().with_records(4).with_hearsay(3, 3));
    let teller = NodeId::from_bytes([9; 32]);
    for of in 0..4 {
        let told = book.offer_from(teller, version(of, 1, 100), NOW);
        assert_eq!(told.is_ok(), of < 3, "the last place is for those who were met");
    }
    book.offer(version(4, 1, 1), NOW).unwrap();
    book.offer(version(5, 1, 1), NOW).unwrap();
    assert!(book.record(&id(4), NOW).is_some() && book.record(&id(5), NOW).is_some());
    assert_eq!(book.len(), 4, "hearsay made room");
    let full = book.offer_from(NodeId::from_bytes([8; 32]), version(0, 2, 150), NOW);
    assert!(full.is_ok(), "another teller, of longer life");
    assert!(book.record(&id(4), NOW).is_some() && book.record(&id(5), NOW).is_some());
}

#[test]
fn a_teller_has_a_share_and_crowds_out_only_itself() {
    let mut book = RecordBook::new(BookOptions::default().with_records(4).with_hearsay(3, 2));
    let (eve, bob) = (NodeId::from_bytes([9; 32]), NodeId::from_bytes([8; 32]));
    book.offer_from(bob, version(0, 1, 1), NOW).unwrap();
    book.offer_from(eve, version(1, 1, 10), NOW).unwrap();
    book.offer_from(eve, version(2, 1, 11), NOW).unwrap();
    assert!(matches!(book.offer_from(eve, version(3, 1, 5), NOW), Err(OfferError::Full { .. })));
    book.offer_from(eve, version(3, 1, 12), NOW).unwrap();
    assert!(book.record(&id(1), NOW).is_none(), "the first of her own");
    assert!(book.record(&id(0), NOW).is_some());
    // Who was told of is met: it is on nobody's account.
    book.offer(version(3, 1, 12), NOW).unwrap();
    book.offer_from(eve, version(4, 1, 10), NOW).unwrap();
    assert!(book.record(&id(2), NOW).is_some() && book.record(&id(4), NOW).is_some());
    // Who tells little is heard, when the room for hearsay is taken by one who tells much.
    book.offer_from(NodeId::from_bytes([7; 32]), version(5, 1, 1), NOW).unwrap();
    assert!(book.record(&id(4), NOW).is_none());
}

/// The records of the model test: nodes, versions, lives.
fn records() -> &'static BTreeMap<(usize, u64, u32), SignedRecord> {
    static RECORDS: OnceLock<BTreeMap<(usize, u64, u32), SignedRecord>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let all =
            (0..3).flat_map(|of| (1..5).flat_map(move |number| (1..4).map(move |hours| (of, number, hours))));
        all.map(|(of, number, hours)| ((of, number, hours), version(of, number, hours))).collect()
    })
}

proptest! {
    /// Beside the obvious: a map, and the highest version ever seen.
    #[test]
    fn is_a_map_that_never_goes_back(
        offers in prop::collection::vec((0..3_usize, 1..5_u64, 1..4_u32, 0..90_u64), 1..40),
    ) {
        let mut book = RecordBook::default();
        let mut model: BTreeMap<usize, (u64, u32)> = BTreeMap::new();
        let mut now = NOW;
        for (of, number, hours, minutes) in offers {
            now = now + Duration::from_secs(60 * minutes / 4);
            let lives = |hours: u32, now: Timestamp| now < NOW + HOUR * hours;
            let taken = book.offer(records()[&(of, number, hours)].clone(), now).is_ok();
            let before = model.get(&of).copied();
            let expected = lives(hours, now) && match before {
                None => true,
                Some((seen, of_seen)) => number > seen || (number == seen && hours == of_seen),
            };
            prop_assert_eq!(taken, expected);
            if taken {
                model.insert(of, (number, hours));
            }
            for (of, (number, hours)) in &model {
                let shown = book.record(&id(*of), now).map(|record| record.record().version);
                prop_assert_eq!(shown, lives(*hours, now).then_some(*number));
            }
            let alive = model.values().filter(|(_, hours)| lives(*hours, now)).count();
            prop_assert_eq!(book.records(now).count(), alive);
        }
    }
}
