//! Splitting a secret and recovering it.

use daa_crypto::DecodeError;
use daa_crypto::share::{MAX_SECRET, RecoverError, Share, SplitError, recover, split, split_with};
use proptest::prelude::*;
use rand::SeedableRng as _;

#[test]
fn any_threshold_of_shares_recovers_and_fewer_do_not() {
    let secret = b"a recovery key of some length";
    let shares = split(secret, 3, 5).expect("shares");
    for mask in 0..32_u8 {
        let chosen: Vec<Share> =
            (0..5).filter(|bit| mask >> bit & 1 == 1).map(|bit| shares[bit].clone()).collect();
        let found = recover(&chosen);
        if chosen.len() >= 3 {
            assert_eq!(found.expect("recovered").as_slice(), secret, "{mask:05b}");
        } else {
            let needed = if chosen.is_empty() { 2 } else { 3 };
            assert_eq!(found, Err(RecoverError::TooFew { needed, found: chosen.len() }), "{mask:05b}");
        }
    }
}

#[test]
fn a_share_that_is_given_twice_counts_once() {
    let shares = split(b"secret", 2, 3).expect("shares");
    let twice = [shares[1].clone(), shares[1].clone()];
    assert_eq!(recover(&twice), Err(RecoverError::TooFew { needed: 2, found: 1 }));
    let more = [shares[1].clone(), shares[1].clone(), shares[0].clone()];
    assert_eq!(recover(&more).expect("recovered").as_slice(), b"secret");
}

#[test]
fn shares_of_two_sets_do_not_mix() {
    let (one, other) = (split(b"secret", 2, 3).expect("shares"), split(b"secret", 2, 3).expect("shares"));
    assert_ne!(one[0].set_id(), other[0].set_id(), "each splitting has a name of its own");
    let found = recover(&[one[0].clone(), other[1].clone()]);
    let expected = RecoverError::OtherSet { expected: one[0].set_id(), found: other[1].set_id(), index: 2 };
    assert_eq!(found, Err(expected));
}

#[test]
fn a_damaged_share_is_found_before_it_is_used() {
    let shares = split(b"secret", 2, 3).expect("shares");
    let encoded = shares[0].encode();
    // The value is at the end, the salt before it and its length.
    for at in [encoded.len() - 1, encoded.len() - 38, encoded.len() - 60] {
        let mut changed = encoded.to_vec();
        changed[at] ^= 1;
        assert_eq!(
            Share::decode(&changed).map(drop),
            Err(DecodeError::Inconsistent { field: "share" }),
            "byte {at}"
        );
    }
}

/// Who splits wrongly, with commitments to the wrong shares, is found out when the secret is recovered.
#[test]
fn shares_of_another_secret_than_the_committed_one_are_refused() {
    let shares = split(b"secret", 2, 2).expect("shares");
    // Both shares claim another commitment to the secret, at the same place.
    let forged: Vec<Share> = shares
        .iter()
        .map(|share| {
            let mut bytes = share.encode().to_vec();
            bytes[7] ^= 1;
            Share::decode(&bytes).expect("the commitment to the share holds")
        })
        .collect();
    assert_eq!(recover(&forged), Err(RecoverError::Inconsistent));
}

#[test]
fn bounds_are_kept() {
    assert_eq!(split(b"", 2, 3).map(drop), Err(SplitError::SecretLength { found: 0 }));
    let long = vec![0; MAX_SECRET + 1];
    assert_eq!(split(&long, 2, 3).map(drop), Err(SplitError::SecretLength { found: MAX_SECRET + 1 }));
    for (threshold, count) in [(0, 3), (1, 3), (4, 3), (2, 0), (2, 1)] {
        assert_eq!(split(b"s", threshold, count).map(drop), Err(SplitError::Threshold { threshold, count }));
    }
    let all = split(&[7; MAX_SECRET], 255, 255).expect("shares");
    assert_eq!(recover(&all).expect("recovered").as_slice(), [7; MAX_SECRET]);
}

/// A share by itself says nothing: over many splittings of one secret, each value appears about equally often. The seed is
/// fixed, so the count is the same in each run.
#[test]
fn the_values_of_one_share_are_uniform() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut counts = [0_u32; 256];
    for _ in 0..1000 {
        let shares = split_with(&[0x42; 32], 2, 2, &mut rng).expect("shares");
        let encoded = shares[0].encode();
        for &byte in &encoded[encoded.len() - 32..] {
            counts[usize::from(byte)] += 1;
        }
    }
    // 125 expected; eight standard deviations around it.
    assert!(counts.iter().all(|count| (40..=215).contains(count)), "{counts:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_secret_comes_back_from_any_shares(
        secret in prop::collection::vec(any::<u8>(), 1..200),
        (threshold, count) in (2..12_u8).prop_flat_map(|count| (2..=count, Just(count))),
        number: u64,
    ) {
        let mut rng = rand::rngs::StdRng::seed_from_u64(number);
        let mut shares = split_with(&secret, threshold, count, &mut rng).expect("shares");
        prop_assert_eq!(shares.len(), usize::from(count));
        let start = usize::try_from(number % u64::from(count)).expect("small");
        shares.rotate_left(start);
        shares.truncate(threshold.into());
        let decoded: Vec<Share> = shares.iter().map(|share| Share::decode(&share.encode()).expect("a share")).collect();
        let recovered = recover(&decoded);
        prop_assert!(recovered.expect("recovered").as_slice() == secret.as_slice());
        prop_assert!(recover(&decoded[1..]).is_err());
    }
}
