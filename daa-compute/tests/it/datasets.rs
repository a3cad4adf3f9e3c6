//! Datasets parse, split and shard the same way everywhere.

use std::collections::BTreeSet;

use daa_compute::dataset::{BLOCK, DigitError, Digits, Shard, Text};
use daa_core::seed::Seed;
use proptest::prelude::*;

pub(crate) fn digits() -> Digits {
    Digits::parse_csv(include_bytes!("../../../examples/data/digits.csv")).unwrap()
}

#[test]
fn the_published_digits_parse() {
    let digits = digits();
    assert_eq!(digits.len(), 1797);
    let zeros = digits.iter().filter(|(_, label)| *label == 0).count();
    assert_eq!(zeros, 178);
}

#[test]
fn a_bad_line_is_named() {
    let short = Digits::parse_csv(b"1,2,3\n");
    assert_eq!(short, Err(DigitError::Fields { line: 1, found: 3 }));
    let mut fields = vec!["0"; 65];
    fields[3] = "17";
    let dark = Digits::parse_csv(fields.join(",").as_bytes());
    assert_eq!(dark, Err(DigitError::Value { line: 1, field: 4, found: "17".to_owned(), limit: 16 }));
    assert_eq!(Digits::parse_csv(&[0xff]), Err(DigitError::NotText));
}

#[test]
fn shards_are_disjoint_and_complete() {
    let (train, held) = digits().hold_out_fifth(&Seed::from_u64(1));
    assert_eq!((train.len(), held.len()), (1438, 359));
    let shards = train.shards(5, &Seed::from_u64(1));
    assert_eq!(shards.iter().map(Digits::len).sum::<usize>(), train.len());
    assert!(shards.iter().all(|shard| shard.len().abs_diff(287) <= 1));
    let distinct: BTreeSet<_> = shards.iter().map(|shard| Shard::Digits(shard.clone()).digest()).collect();
    assert_eq!(distinct.len(), 5);
}

#[test]
fn the_seed_fixes_the_shards() {
    let shards = |seed| digits().shards(3, &Seed::from_u64(seed));
    assert_eq!(shards(1), shards(1));
    assert_ne!(shards(1), shards(2));
}

#[test]
fn text_is_dealt_out_in_blocks() {
    let bytes: Vec<u8> = (0..BLOCK * 5 + 17).map(|i| (i / BLOCK) as u8).collect();
    let text = Text::new(bytes.clone()).unwrap();
    let shards = text.shards(2, &Seed::from_u64(3));
    assert_eq!(shards.iter().map(|s| s.bytes().len()).sum::<usize>(), bytes.len());
    let (train, held) = text.hold_out_fifth();
    assert_eq!([train.bytes().as_ref(), held.bytes().as_ref()].concat(), bytes);
}

proptest! {
    #[test]
    fn a_shard_round_trips(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let shard = Shard::Text(Text::new(text).unwrap());
        prop_assert_eq!(Shard::decode(&shard.encode()).unwrap(), shard);
    }

    #[test]
    fn hostile_shards_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Shard::decode(&bytes);
        let _ = Digits::parse_csv(&bytes);
    }
}
