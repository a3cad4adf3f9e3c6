use std::sync::OnceLock;

use proptest::prelude::*;

use super::super::testing::{NOW, address, at, crowd, identity, issue, record};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn people() -> &'static [SignedRecord] {
    static PEOPLE: OnceLock<Vec<SignedRecord>> = OnceLock::new();
    PEOPLE.get_or_init(|| crowd(100))
}

fn table(limits: SubnetLimits) -> RoutingTable {
    RoutingTable::new(identity(1).node(), limits)
}

/// Those who share no bit with the owner of the table: half of all.
fn far() -> Vec<SignedRecord> {
    let own = Key::from(identity(1).node());
    let is_far = |record: &&SignedRecord| Key::from(record.node()).distance(&own).shared_bits() == Some(0);
    people().iter().filter(is_far).cloned().collect()
}

fn nodes(table: &RoutingTable) -> BTreeSet<NodeId> {
    table.contacts().map(Contact::node).collect()
}

#[test]
fn who_was_there_first_stays_as_long_as_it_answers() {
    let (mut table, far) = (table(SubnetLimits::default()), far());
    assert!(far.len() > K + SPARE + 2, "{}", far.len());
    for (turn, record) in far.iter().enumerate() {
        let seen = table.seen(record.clone(), None, NOW + SECOND * turn as u32);
        assert_eq!(seen, if turn < K { Seen::Added } else { Seen::Spare });
    }
    let first: BTreeSet<_> = far[..K].iter().map(SignedRecord::node).collect();
    assert_eq!(nodes(&table), first);
    assert_eq!(table.seen(far[0].clone(), None, NOW + SECOND * 100), Seen::Known);
    assert_eq!(table.to_check(NOW + SECOND * 2, NOW, 9), [far[1].node()], "the first was seen again");

    // One failure is none; the second makes room for who came last.
    table.failed(&far[3].node());
    assert_eq!(nodes(&table), first);
    table.failed(&far[3].node());
    let last = far.last().unwrap().node();
    assert!(!nodes(&table).contains(&far[3].node()) && nodes(&table).contains(&last));
    assert_eq!(table.len(), K);
    assert!(!table.has_room_for(&last) && table.has_room_for(&far[3].node()));
}

#[test]
fn who_answers_again_has_not_failed() {
    let mut table = table(SubnetLimits::default());
    let one = people()[0].clone();
    table.seen(one.clone(), None, NOW);
    for _ in 0..10 {
        table.failed(&one.node());
        table.seen(one.clone(), None, NOW);
    }
    assert_eq!(table.closest(&Key::from(one.node()), 1).len(), 1);
    table.failed(&one.node());
    table.failed(&one.node());
    assert_eq!(table.closest(&Key::from(one.node()), 1).len(), 0, "it is named to nobody");
    assert_eq!(table.len(), 1, "but asked again: perhaps it was this node that had no network");
    (0..3).for_each(|_| table.failed(&one.node()));
    assert_eq!(table.len(), 0);
}

#[test]
fn one_subnet_has_few_places_in_a_bucket_and_in_the_table() {
    let mut table = table(SubnetLimits::default());
    let crowd: Vec<_> = (0..60).map(|number| at(&identity(2_000 + number), 7)).collect();
    let added = crowd.iter().filter(|record| table.seen((*record).clone(), None, NOW) == Seen::Added).count();
    assert_eq!(added, table.len());
    assert!(added <= 10, "{added}");
    let own = Key::from(identity(1).node());
    for bits in 0..=255 {
        let here = table
            .contacts()
            .filter(|contact| Key::from(contact.node()).distance(&own).shared_bits() == Some(bits));
        assert!(here.count() <= 2);
    }
    // Who goes makes room.
    let gone = nodes(&table).into_iter().next().unwrap();
    (0..GONE).for_each(|_| table.failed(&gone));
    let again = crowd.iter().find(|record| record.node() == gone).unwrap();
    assert_eq!(table.seen(again.clone(), None, NOW), Seen::Added);
}

#[test]
fn where_a_peer_comes_from_counts_and_not_what_it_claims() {
    let mut table = table(SubnetLimits { per_table: 3, per_bucket: 3, ..SubnetLimits::default() });
    let from = SubnetLimits::default().of([&address(9)]);
    let added =
        people().iter().filter(|record| table.seen((*record).clone(), Some(&from), NOW) == Seen::Added);
    assert_eq!(added.count(), 3, "each claims a subnet of its own");
    let many = (0..16).fold(record(1), |record, subnet| record.with_address(address(100 + subnet)));
    table.seen(issue(many, &identity(5)), Some(&SubnetLimits::default().of([&address(50)])), NOW);
    let victim = at(&identity(6), 100);
    assert_eq!(table.seen(victim, None, NOW), Seen::Added, "what was claimed took no room from it");
}

#[test]
fn who_is_configured_is_not_limited_and_who_cannot_be_reached_is_no_contact() {
    let mut table = table(SubnetLimits { per_table: 1, ..SubnetLimits::default() });
    let (one, two) = (at(&identity(2), 7), at(&identity(3), 7));
    assert_eq!(table.seen(one, None, NOW), Seen::Added);
    assert_eq!(table.seen(two.clone(), None, NOW), Seen::Refused);
    table.exempt(two.node());
    assert_eq!(table.seen(two, None, NOW), Seen::Added);
    assert_eq!(table.seen(issue(record(1), &identity(4)), None, NOW), Seen::Refused);
    assert_eq!(table.seen(at(&identity(1), 8), None, NOW), Seen::Refused, "itself");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: the bounds hold, and the nearest are the nearest.
    #[test]
    fn bounds_hold_and_the_nearest_are_the_nearest(
        steps in prop::collection::vec((0..100_usize, 0..4_u8, 0..100_u64), 1..300),
        target: [u8; 32],
    ) {
        let limits = SubnetLimits { per_table: 30, per_bucket: 4, ..SubnetLimits::default() };
        let mut table = table(limits);
        let from = [limits.of([&address(1)]), limits.of([&address(2)])];
        for (who, what, seconds) in steps {
            let record = &people()[who];
            match what {
                0 => table.failed(&record.node()),
                1 => drop(table.seen(record.clone(), from.get(who % 5), NOW + SECOND * seconds as u32)),
                _ => drop(table.seen(record.clone(), None, NOW + SECOND * seconds as u32)),
            }
            let mut counts = SubnetCounts::default();
            for bucket in table.buckets.values() {
                prop_assert!(bucket.contacts.len() <= K && bucket.spare.len() <= SPARE);
                let mut here = SubnetCounts::default();
                for contact in &bucket.contacts {
                    prop_assert!(here.has_room(&contact.subnets, 4) && counts.has_room(&contact.subnets, 30));
                    here.add(&contact.subnets);
                    counts.add(&contact.subnets);
                }
            }
        }
        prop_assert_eq!(nodes(&table).len(), table.len(), "nobody twice");
        let target = Key::from_bytes(target);
        let mut expected: Vec<_> =
            table.contacts().filter(|contact| contact.is_good()).map(Contact::node).collect();
        expected.sort_by_key(|node| Key::from(*node).distance(&target));
        expected.truncate(7);
        prop_assert_eq!(table.closest(&target, 7).into_iter().map(Contact::node).collect::<Vec<_>>(), expected);
    }
}
