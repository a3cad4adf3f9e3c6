//! A commitment binds every field.

use daa_compute::backend::ComputePath;
use daa_compute::commitment::{Commitment, Round, RunId, batch_seed};
use daa_core::digest::Digest;

use super::{agent, commitment};

#[test]
fn changing_any_field_changes_the_digest() {
    let original = commitment();
    let other = Digest::of(b"other");
    let mut digests = vec![original.digest()];
    let mut mutate = |change: fn(&mut Commitment, Digest)| {
        let mut copy = original.clone();
        change(&mut copy, other);
        digests.push(copy.digest());
    };
    mutate(|c, d| c.run = RunId(d));
    mutate(|c, _| c.round = Round(4));
    mutate(|c, _| c.agent = agent(2));
    mutate(|c, d| c.base = d);
    mutate(|c, d| c.config = d);
    mutate(|c, d| c.shard = d);
    mutate(|c, d| c.batch_seed = d);
    mutate(|c, d| c.layout = d);
    mutate(|c, d| c.residual_before = d);
    mutate(|c, d| c.residual_after = d);
    mutate(|c, d| c.update = d);
    mutate(|c, _| c.examples += 1);
    mutate(|c, _| c.path = ComputePath::new("another"));
    let fields = serde_json::to_value(&original).unwrap().as_object().unwrap().len();
    assert_eq!(digests.len(), fields + 1, "a field is not covered by this test");
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), fields + 1);
}

#[test]
fn exchanging_two_fields_changes_the_digest() {
    let mut swapped = commitment();
    std::mem::swap(&mut swapped.residual_before, &mut swapped.residual_after);
    assert_ne!(swapped.digest(), commitment().digest());
}

#[test]
fn a_commitment_with_a_longer_compute_path_is_not_read() {
    let mut value = serde_json::to_value(commitment()).unwrap();
    for (length, sound) in [(0, true), (ComputePath::MAX, true), (ComputePath::MAX + 1, false)] {
        value["path"] = "p".repeat(length).into();
        assert_eq!(serde_json::from_value::<Commitment>(value.clone()).is_ok(), sound, "{length}");
    }
    value["path"] = "ä".repeat(ComputePath::MAX / 2 + 1).into();
    assert!(serde_json::from_value::<Commitment>(value).is_err(), "the bound is in bytes");
}

#[test]
fn batches_differ_by_run_round_and_agent() {
    let run = RunId(Digest::of(b"run"));
    let seed = batch_seed(run, Round(0), &agent(0));
    assert_ne!(seed, batch_seed(run, Round(1), &agent(0)));
    assert_ne!(seed, batch_seed(run, Round(0), &agent(1)));
    assert_ne!(seed, batch_seed(RunId(Digest::of(b"walk")), Round(0), &agent(0)));
}
