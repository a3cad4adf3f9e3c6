use proptest::prelude::*;

use super::super::testing::{NOW, address, identity, issue, network, number, record};
use super::*;

fn service(number: u64) -> Service {
    format!("s{number}").parse().unwrap()
}

fn key(number: u64) -> Key {
    Key::of_service(&network(), &service(number))
}

/// The record of a node that offers these services, in a subnet.
fn offer(who: u64, subnet: u32, version: u64, services: &[u64]) -> SignedRecord {
    let record = record(version).with_address(address(subnet));
    let record = services.iter().fold(record, |record, number| record.with_service(service(*number)));
    issue(record, &identity(who))
}

fn store(bounds: StoreBounds) -> ProviderStore {
    ProviderStore::new(identity(1).node().into(), network(), SubnetLimits::default(), bounds)
}

fn put(store: &mut ProviderStore, key: Key, record: &SignedRecord, now: Timestamp) -> bool {
    store.put(key, record, &SubnetLimits::default().of_record(record), now)
}

fn nodes(store: &ProviderStore, at: u64, now: Timestamp) -> BTreeSet<NodeId> {
    store.providers(&key(at), &number(1), now).into_iter().map(SignedRecord::node).collect()
}

#[test]
fn who_offers_is_kept_while_it_says_so_and_never_goes_back() {
    let mut store = store(StoreBounds::default());
    let node = identity(2).node();
    assert!(put(&mut store, key(1), &offer(2, 1, 5, &[1, 2]), NOW));
    assert!(put(&mut store, key(2), &offer(2, 1, 5, &[1, 2]), NOW));
    assert!(!put(&mut store, key(3), &offer(2, 1, 5, &[1, 2]), NOW), "it does not offer that");
    assert!(!put(&mut store, key(1), &offer(2, 1, 4, &[1]), NOW), "older than what is known");
    assert_eq!(store.sizes(), (1, 2, 2));
    // A newer record takes back what it does not name.
    assert!(put(&mut store, key(1), &offer(2, 1, 6, &[1]), NOW));
    assert_eq!((nodes(&store, 1, NOW), nodes(&store, 2, NOW)), (BTreeSet::from([node]), BTreeSet::new()));
    assert!(put(&mut store, key(2), &offer(2, 1, 7, &[1, 2]), NOW));
    let versions =
        store.providers(&key(1), &number(1), NOW).into_iter().map(|record| record.record().version);
    assert_eq!(versions.collect::<Vec<_>>(), [7], "at whichever key it was told");
    assert!(put(&mut store, key(3), &offer(2, 1, 8, &[3]), NOW));
    assert_eq!((nodes(&store, 1, NOW), nodes(&store, 3, NOW)), (BTreeSet::new(), BTreeSet::from([node])));
    assert_eq!(store.sizes(), (1, 1, 1));
    // It is forgotten when it is not heard of, long before its record ends.
    assert_eq!(nodes(&store, 3, NOW + HOLD), BTreeSet::new());
    store.expire(NOW + HOLD);
    assert_eq!(store.sizes(), (0, 0, 0));
}

#[test]
fn one_subnet_has_few_places_at_a_key_and_in_the_store() {
    let mut store = store(StoreBounds { per_subnet: 12, ..StoreBounds::default() });
    let kept = (100..150).filter(|who| put(&mut store, key(1), &offer(*who, 7, 1, &[1]), NOW)).count();
    assert_eq!(kept, 8);
    let kept = (200..250).filter(|who| put(&mut store, key(2), &offer(*who, 7, 1, &[2]), NOW)).count();
    assert_eq!(kept, 4, "twelve in all");
    assert!(put(&mut store, key(1), &offer(2, 8, 1, &[1]), NOW));
}

#[test]
fn who_is_of_another_subnet_takes_the_place_of_one_of_many() {
    let mut store = store(StoreBounds { per_key: 8, ..StoreBounds::default() });
    for who in 100..108 {
        assert!(put(&mut store, key(1), &offer(who, 7, 1, &[1]), NOW));
    }
    for (who, subnet) in [(2, 8), (3, 9), (4, 10), (5, 11)] {
        assert!(put(&mut store, key(1), &offer(who, subnet, 1, &[1]), NOW), "{who}");
    }
    let honest = (2..6).filter(|who| nodes(&store, 1, NOW).contains(&identity(*who).node())).count();
    assert_eq!((honest, store.sizes().2), (4, 8));
    assert!(!put(&mut store, key(1), &offer(99, 7, 1, &[1]), NOW), "and the many do not come back");
}

#[test]
fn what_is_far_makes_room() {
    let own = Key::from(identity(1).node());
    let mut keys: Vec<_> = (0..6).collect();
    keys.sort_by_key(|number| key(*number).distance(&own));
    let mut store = store(StoreBounds { places: 3, ..StoreBounds::default() });
    for (turn, number) in keys.iter().rev().enumerate() {
        assert!(put(&mut store, key(*number), &offer(100 + turn as u64, turn as u32, 1, &[*number]), NOW));
        assert!(store.sizes().2 <= 3);
    }
    for number in &keys[..3] {
        assert_eq!(nodes(&store, *number, NOW).len(), 1, "the nearest are there");
    }
    let far = keys[5];
    assert!(!put(&mut store, key(far), &offer(300, 300, 1, &[far]), NOW));
}

#[test]
fn who_asks_has_an_order_of_its_own() {
    let mut store = store(StoreBounds::default());
    for who in 100..120 {
        assert!(put(&mut store, key(1), &offer(who, who as u32, 1, &[1]), NOW));
    }
    let first = |asker: u32| store.providers(&key(1), &number(asker), NOW)[0].node();
    let firsts: BTreeSet<_> = (0..32).map(|asker| first(asker << 27)).collect();
    assert!(firsts.len() > 5, "{}", firsts.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn bounds_hold_whoever_comes(offers in prop::collection::vec((0..12_u64, 0..3_u32, 1..4_u64, 0..4_u64, 0..300_u64), 1..60)) {
        let bounds = StoreBounds { per_key: 4, nodes: 6, places: 8, per_subnet: 4 };
        let mut store = store(bounds);
        let mut now = NOW;
        for (who, subnet, version, at, minutes) in offers {
            now = now + Duration::from_secs(6 * minutes);
            put(&mut store, key(at), &offer(100 + who, subnet, version, &[at, (at + 1) % 4]), now);
            let (nodes, keys, places) = store.sizes();
            prop_assert!(nodes <= 6 && places <= 8 && keys <= places && nodes <= places);
            for nodes in store.keys.values() {
                prop_assert!(!nodes.is_empty() && nodes.len() <= 4);
            }
            let mut counts = SubnetCounts::default();
            store.nodes.values().for_each(|held| counts.add(&held.subnets));
            prop_assert_eq!(store.keys.values().map(BTreeSet::len).sum::<usize>(), places);
            prop_assert_eq!(store.nodes.values().map(|held| held.keys.len()).sum::<usize>(), places);
            for subnet in 0..3 {
                for subnet in SubnetLimits::default().of([&address(subnet)]) {
                    prop_assert_eq!(counts.count(&subnet), store.counts.count(&subnet));
                    prop_assert!(counts.count(&subnet) <= 4);
                }
            }
        }
    }
}
