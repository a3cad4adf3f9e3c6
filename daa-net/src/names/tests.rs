use std::sync::OnceLock;
use std::time::Duration;

use daa_core::clock::Timestamp;
use daa_crypto::CryptoSuite;
use proptest::prelude::*;

use super::store::Bounds;
use super::*;
use crate::discovery::Key;
use crate::discovery::testing::{HOUR, NOW, identity, network, number, ready};
use crate::node_id::NodeId;

const DAY: Duration = Duration::from_secs(24 * 3_600);

fn treasury() -> Name {
    "treasury.dark".parse().unwrap()
}

/// The title of the owner with this number to `treasury.dark`, for the work of one claim.
fn title(owner: u64) -> Title {
    static TITLES: OnceLock<Vec<Title>> = OnceLock::new();
    let make = |owner| Title::new(Claim::work(&network(), &treasury(), identity(owner).node()));
    TITLES.get_or_init(|| (0..4).map(make).collect())[owner as usize].clone()
}

fn record(version: u64) -> NameRecord {
    NameRecord::new(treasury(), number(77), version, NOW, DAY * 30).with_property("about", "money")
}

fn issue(record: NameRecord, owner: u64, title: Title) -> SignedName {
    ready(record.issue(&identity(owner), &network(), title)).unwrap()
}

fn given(title: Title, from: u64, to: u64) -> Title {
    ready(title.transfer(&identity(from), &network(), identity(to).node())).unwrap()
}

fn verify(bytes: &[u8], now: Timestamp) -> Result<SignedName, NameError> {
    SignedName::verify(&CryptoSuite::new(), &network(), bytes, now)
}

#[test]
fn names_are_short_plain_and_no_addresses() {
    let parse = |text: &str| text.parse::<Name>();
    for good in ["abc.dark", "treasury-2.dark", "0x0.dark", &format!("{}.dark", "a".repeat(40))] {
        assert_eq!(parse(good).unwrap().to_string(), good);
    }
    let wrong = [
        ("treasury", ParseNameError::Suffix),
        ("ab.dark", ParseNameError::Length { len: 2 }),
        ("Treasury.dark", ParseNameError::Character { found: 'T' }),
        ("my.treasury.dark", ParseNameError::Character { found: '.' }),
        ("тreasury.dark", ParseNameError::Character { found: 'т' }),
        ("-abc.dark", ParseNameError::Hyphen),
        ("abc-.dark", ParseNameError::Hyphen),
        ("xn--abc.dark", ParseNameError::Hyphen),
    ];
    for (text, error) in wrong {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    let node = identity(1).node();
    assert_eq!(parse(&node.to_string()), Err(ParseNameError::Length { len: 52 }));
    assert_eq!(node.to_string().parse(), Ok(DarkAddress::Node(node)));
    assert_eq!("treasury.dark".parse(), Ok(DarkAddress::Name(treasury())));
}

#[test]
fn what_was_issued_is_read_back() {
    let issued = issue(record(1), 0, title(0));
    let read = verify(issued.as_bytes(), NOW).unwrap();
    assert_eq!((read.record(), read.owner()), (issued.record(), identity(0).node()));
    assert_eq!((read.title(), read.as_bytes()), (issued.title(), issued.as_bytes()));
    assert_eq!(SignedName::peek(issued.as_bytes()), Some(treasury()));
    let other = SignedName::verify(&CryptoSuite::new(), &"other".parse().unwrap(), issued.as_bytes(), NOW);
    assert!(matches!(other, Err(NameError::Network)));
    assert!(matches!(verify(issued.as_bytes(), NOW + DAY * 30), Err(NameError::Expired { .. })));
    let before = Timestamp::from_millis(NOW.as_millis() - 100_000);
    assert!(matches!(verify(issued.as_bytes(), before), Err(NameError::Early { .. })));
}

#[test]
fn bounds_hold_for_who_issues() {
    let refused = |record: NameRecord| match ready(record.issue(&identity(0), &network(), title(0))) {
        Err(NameIssueError::Content(error)) => error,
        other => panic!("{other:?}"),
    };
    let mut long = record(1);
    long.expires = NOW + MAX_NAME_LIFE + Duration::from_millis(1);
    assert!(matches!(refused(long), NameError::Life { .. }));
    let many = (0..=MAX_PROPERTIES).fold(record(1), |record, key| record.with_property(key.to_string(), ""));
    assert!(matches!(refused(many), NameError::Properties));
    assert!(matches!(refused(record(1).with_property("a", "b".repeat(257))), NameError::Properties));
    let mut other = record(1);
    other.name = "another.dark".parse().unwrap();
    assert!(matches!(refused(other), NameError::Chain));
    let thief = ready(record(1).issue(&identity(1), &network(), title(0)));
    assert!(matches!(thief, Err(NameIssueError::Content(NameError::NotOwner { .. }))));
}

#[test]
fn a_claim_is_work_for_one_name_and_one_owner() {
    let claim = title(0).claim().clone();
    let check = |name: &str, owner: u64, ordinal| {
        Claim::check(&network(), name.parse().unwrap(), identity(owner).node(), ordinal, claim.nonce())
    };
    assert!(check("treasury.dark", 0, 0).is_ok());
    assert!(matches!(check("another.dark", 0, 0), Err(NameError::Work { .. })));
    assert!(matches!(check("treasury.dark", 1, 0), Err(NameError::Work { .. })));
    assert!(matches!(check("treasury.dark", 0, 1), Err(NameError::Work { .. })));
}

#[test]
fn a_transfer_is_followed_and_not_taken_back() {
    let first = issue(record(9), 0, title(0));
    let moved = given(title(0), 0, 1);
    assert_eq!((moved.owner(), moved.ordinal()), (identity(1).node(), 1));
    let second = issue(record(1), 1, moved.clone());
    let second = verify(second.as_bytes(), NOW).unwrap();
    assert_eq!(second.descent(&first), Descent::Newer, "of whatever version");
    assert!(second.follows(&first) && !first.follows(&second));
    // The old owner renews, as if nothing had happened, and gives it away once more.
    assert_eq!(issue(record(10), 0, title(0)).descent(&second), Descent::Older);
    let twice = issue(record(5), 2, given(title(0), 0, 2));
    assert_eq!(twice.descent(&second), Descent::Stranger, "who knows the first keeps to it");
    assert!(twice.follows(&first), "who knows neither cannot tell");
    let not_owner = ready(moved.transfer(&identity(0), &network(), identity(3).node()));
    assert!(matches!(not_owner, Err(NameIssueError::Content(NameError::NotOwner { .. }))));
    let renewal = issue(record(2), 1, second.title().clone());
    assert_eq!(renewal.descent(&second), Descent::Newer);
    assert_eq!(
        issue(record(1).with_property("about", "lies"), 1, second.title().clone()).descent(&second),
        Descent::Forked
    );
}

#[test]
fn a_long_title_is_claimed_anew_and_followed_by_who_knew_its_owner() {
    let mut long = title(0);
    for turn in 0..MAX_TRANSFERS as u64 {
        long = given(long, turn % 4, (turn + 1) % 4);
    }
    let before = issue(record(1), 0, long.clone());
    assert!(verify(before.as_bytes(), NOW).is_ok(), "{} bytes", before.as_bytes().len());
    let more = ready(long.clone().transfer(&identity(0), &network(), identity(1).node()));
    assert!(matches!(more, Err(NameIssueError::Content(NameError::TooManyTransfers))));
    let renewed = long.renewed(&network());
    assert_eq!((renewed.owner(), renewed.ordinal()), (long.owner(), 4));
    let after = issue(record(2), 0, renewed.clone());
    let after = verify(after.as_bytes(), NOW).unwrap();
    assert!(after.as_bytes().len() < before.as_bytes().len() / 2);
    assert_eq!(after.descent(&before), Descent::Newer);
    let next = issue(record(1), 1, given(renewed, 0, 1));
    assert!(next.follows(&before) && next.follows(&after));
    let lost = issue(record(1), 0, title(0));
    assert_eq!(after.descent(&lost), Descent::Stranger, "nothing leads from there to here");
}

#[test]
fn of_a_transfer_every_part_counts() {
    let second = issue(record(1), 1, given(title(0), 0, 1));
    let swapped = |from: NodeId, to: NodeId| {
        let bytes = second.as_bytes().to_vec();
        let at = bytes.windows(32).rposition(|window| window == from.as_bytes()).unwrap();
        [&bytes[..at], to.as_bytes(), &bytes[at + 32..]].concat()
    };
    // The last place where the new owner stands is the transfer.
    let stolen = verify(&swapped(identity(1).node(), identity(2).node()), NOW).unwrap_err();
    assert!(matches!(stolen, NameError::Signature(_)), "{stolen:?}");
}

fn store() -> NameStore {
    NameStore::new(Key::from(identity(50).node()), network())
}

#[test]
fn who_came_first_stays_whatever_the_other_says() {
    let mut store = store();
    let peer = number(1);
    assert_eq!(store.put(issue(record(1), 0, title(0)), peer, NOW), Put::Unsure);
    assert!(store.name(&treasury(), NOW).is_none(), "not told before others were asked");
    store.confirm(&treasury(), None);
    let mut early = record(1_000);
    early.issued = Timestamp::from_millis(NOW.as_millis() - 1_000_000);
    assert_eq!(store.put(issue(early, 1, title(1)), number(2), NOW), Put::Refused);
    assert_eq!(store.name(&treasury(), NOW).unwrap().owner(), identity(0).node());
    // Renewals, transfers, and nothing older.
    assert_eq!(store.put(issue(record(3), 0, title(0)), peer, NOW), Put::Kept);
    assert_eq!(store.put(issue(record(2), 0, title(0)), peer, NOW), Put::Refused);
    let fork = issue(record(3).with_property("about", "lies"), 0, title(0));
    assert_eq!(store.put(fork, peer, NOW), Put::Refused);
    let moved = issue(record(1), 2, given(title(0), 0, 2));
    assert_eq!(store.put(moved, number(3), NOW), Put::Kept);
    assert_eq!(store.put(issue(record(4), 0, title(0)), peer, NOW), Put::Refused);
    assert_eq!(store.name(&treasury(), NOW).unwrap().owner(), identity(2).node());
    assert_eq!(store.len(), 1);
}

#[test]
fn who_is_late_is_not_robbed_and_who_never_comes_is() {
    let mut store = store();
    store.put(issue(record(1), 0, title(0)), number(1), NOW);
    store.confirm(&treasury(), None);
    let at = |now: Timestamp, owner| {
        let mut record = record(2);
        (record.issued, record.expires) = (now, now + DAY);
        issue(record, owner, title(owner))
    };
    let late = NOW + DAY * 36;
    assert!(store.name(&treasury(), late).is_none(), "expired");
    assert_eq!(store.put(at(late, 1), number(2), late), Put::Refused);
    let over = NOW + DAY * 37;
    assert_eq!(store.put(at(over, 1), number(2), over), Put::Unsure);
    assert_eq!(store.put(at(over, 0), number(1), over), Put::Refused, "now it is the other's");
}

#[test]
fn a_newcomer_takes_over_what_the_others_know() {
    let mut store = store();
    store.put(issue(record(1), 1, title(1)), number(1), NOW);
    store.confirm(&treasury(), Some(issue(record(1), 0, title(0))));
    assert_eq!(store.name(&treasury(), NOW).unwrap().owner(), identity(0).node());
}

#[test]
fn the_store_is_bounded() {
    let named = |text: &str| {
        let name: Name = text.parse().unwrap();
        let title = Title::new(Claim::work(&network(), &name, identity(0).node()));
        let mut record = record(1);
        record.name = name;
        issue(record, 0, title)
    };
    let mut names: Vec<_> = ["aaa.dark", "bbb.dark", "ccc.dark", "ddd.dark"].map(named).into();
    let own = Key::from(identity(50).node());
    names.sort_by_key(|name| Key::of_name(&network(), name.record().name.label()).distance(&own));
    let bounds = Bounds { names: 3, bytes: 1 << 20, per_peer: 2 };
    let mut store = NameStore::bounded(own, network(), bounds);
    // The farthest first.
    assert_eq!(store.put(names[3].clone(), number(1), NOW), Put::Unsure);
    assert_eq!(store.put(names[2].clone(), number(1), NOW), Put::Unsure);
    assert_eq!(store.put(names[1].clone(), number(1), NOW), Put::Refused, "two of one peer");
    assert_eq!(store.put(names[1].clone(), number(2), NOW), Put::Unsure);
    assert_eq!(store.put(names[0].clone(), number(2), NOW), Put::Unsure, "the farthest makes room");
    assert!(store.held(&names[3].record().name).is_none());
    assert_eq!(store.put(names[3].clone(), number(3), NOW), Put::Refused);
    assert_eq!(store.len(), 3);
}

#[test]
fn a_name_does_not_grow_beyond_what_there_is_room_for() {
    let small = issue(record(1), 0, title(0));
    let bounds = Bounds { names: 3, bytes: small.as_bytes().len() + 100, per_peer: 3 };
    let mut store = NameStore::bounded(Key::from(identity(50).node()), network(), bounds);
    let large =
        |version, owner| issue(record(version).with_property("about", "a".repeat(200)), owner, title(owner));
    assert_eq!(store.put(small, number(1), NOW), Put::Unsure);
    store.confirm(&treasury(), Some(large(1, 1)));
    assert_eq!(store.put(large(2, 0), number(1), NOW), Put::Refused);
    assert_eq!(store.name(&treasury(), NOW).unwrap().record().version, 1);
    assert_eq!(store.put(issue(record(3), 0, title(0)), number(1), NOW), Put::Kept);
    assert_eq!(store.name(&treasury(), NOW).unwrap().record().version, 3);
}

#[test]
fn most_paths_decide() {
    let (honest, liar) = (issue(record(1), 0, title(0)), issue(record(9), 1, title(1)));
    // On each path: h has the name from its owner, l from a liar, - has nothing.
    let decide = |paths: &[&str]| {
        let vote = |path, have| Vote {
            path,
            name: match have {
                'h' => Some(honest.clone()),
                'l' => Some(liar.clone()),
                _ => None,
            },
        };
        let votes = paths
            .iter()
            .enumerate()
            .flat_map(|(path, nodes)| nodes.chars().map(move |have| vote(path, have)));
        match decide(&votes.collect::<Vec<_>>(), None, NOW) {
            Resolution::Found(name) => Ok(name.owner() == honest.owner()),
            Resolution::NotFound => Err(0),
            Resolution::Contested(all) => Err(all.len()),
        }
    };
    assert_eq!(decide(&["h"]), Ok(true));
    assert_eq!(decide(&["h", "h", "lll"]), Ok(true));
    assert_eq!(decide(&["hhl", "h", "l"]), Ok(true));
    assert_eq!(decide(&["hh-", "h-h", "---"]), Ok(true), "one path has missed it");
    assert_eq!(decide(&["h", "l", "-"]), Err(2));
    assert_eq!(decide(&["hl", "h", "-"]), Err(2), "one path is of two minds");
    assert_eq!(decide(&["l-", "l--", "l--"]), Err(1), "few have it, and nobody else has anything");
    assert_eq!(decide(&["l", "-", "-"]), Err(1), "two paths know nothing of it");
    assert_eq!(decide(&["-", "-", "-"]), Err(0));
    assert_eq!(decide(&[]), Err(0));
}

#[test]
fn what_this_node_keeps_is_a_voice_and_newer_records_of_the_same_owner_are_believed() {
    let (old, new) = (issue(record(1), 0, title(0)), issue(record(2), 0, title(0)));
    let vote = |path, name: &SignedName| Vote { path, name: Some(name.clone()) };
    let votes = [vote(0, &old), vote(1, &old), vote(2, &new)];
    let Resolution::Found(found) = decide(&votes, None, NOW) else { panic!() };
    assert_eq!(found.record().version, 2);
    let liar = issue(record(1), 1, title(1));
    let found = decide(&[vote(0, &liar)], Some(old.clone()), NOW);
    assert!(matches!(found, Resolution::Contested(_)), "one against one");
    let found = decide(&[vote(0, &old), vote(1, &liar)], Some(old), NOW);
    assert!(matches!(found, Resolution::Found(_)), "two against one");
    let later = NOW + DAY * 30 + HOUR;
    assert!(matches!(decide(&[vote(0, &liar)], None, later), Resolution::NotFound), "expired");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_changed_bit_is_noticed(at: prop::sample::Index, bit in 0..8_u8) {
        static ISSUED: OnceLock<SignedName> = OnceLock::new();
        let issued = ISSUED.get_or_init(|| issue(record(1), 1, given(title(0), 0, 1)));
        let mut bytes = issued.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(verify(&bytes, NOW).is_err(), "byte {at}");
    }

    #[test]
    fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(verify(&bytes, NOW).is_err());
        let _ = SignedName::peek(&bytes);
    }
}
