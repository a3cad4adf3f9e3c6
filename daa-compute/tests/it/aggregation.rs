//! The rules of aggregation, with published numbers and under attack.

use daa_compute::aggregate::{AggregateError, Aggregation, CenteredClip, Contribution};
use daa_compute::parameters::{Layout, TensorSpec};
use proptest::prelude::*;

use super::agent;

fn line(len: usize) -> Layout {
    Layout::new(vec![TensorSpec::new("only", 1, len)]).unwrap()
}

fn contributions(updates: &[&[f32]]) -> Vec<Contribution> {
    updates.iter().enumerate().map(|(i, u)| Contribution { agent: agent(i), update: u.to_vec() }).collect()
}

fn all() -> [Aggregation; 5] {
    [
        Aggregation::Mean,
        Aggregation::CenteredClip(CenteredClip::default()),
        Aggregation::Median,
        Aggregation::TrimmedMean { share: 0.1 },
        Aggregation::Krum { attackers: 1, keep: 3 },
    ]
}

#[test]
fn published_values_come_out() {
    let of = |method: Aggregation, updates: &[&[f32]]| {
        method.aggregate(&line(1), contributions(updates), None).unwrap().values
    };
    assert_eq!(of(Aggregation::Median, &[&[1.0], &[3.0], &[2.0]]), [2.0]);
    assert_eq!(of(Aggregation::TrimmedMean { share: 0.25 }, &[&[0.5], &[1.0], &[2.0], &[100.0]]), [1.5]);
    assert_eq!(of(Aggregation::Mean, &[&[1.0], &[2.0], &[6.0]]), [3.0]);
}

#[test]
fn centred_clipping_withstands_what_ruins_the_mean() {
    let updates: &[&[f32]] = &[&[1.0, 0.1], &[1.1, 0.0], &[0.9, 0.0], &[1.0, -0.1], &[-300.0, 0.0]];
    let mean = Aggregation::Mean.aggregate(&line(2), contributions(updates), None).unwrap();
    assert!(mean.values[0] < -50.0);
    let clipped = Aggregation::CenteredClip(CenteredClip::default())
        .aggregate(&line(2), contributions(updates), None)
        .unwrap();
    assert!(clipped.values[0] > 0.4, "{:?}", clipped.values);
    let [.., attacker] = clipped.peers.as_slice() else { panic!("five peers") };
    assert!(attacker.norm_ratio > 100.0 && attacker.distance_ratio > 10.0 && attacker.clip < 0.01);
    assert!(clipped.peers.iter().take(4).all(|peer| peer.norm_ratio < 2.0));
}

#[test]
fn a_coordinate_that_only_an_attacker_sends_is_divided_by_all() {
    let updates: &[&[f32]] = &[&[1.0, 0.0], &[1.0, 0.0], &[1.0, 0.0], &[0.0, 1.0]];
    let mean = Aggregation::Mean.aggregate(&line(2), contributions(updates), None).unwrap();
    assert_eq!(mean.values, [0.75, 0.25]);
}

#[test]
fn krum_refuses_too_few_peers() {
    let krum = Aggregation::Krum { attackers: 1, keep: 1 };
    let four = contributions(&[&[1.0], &[1.0], &[1.0], &[1.0]]);
    assert_eq!(krum.aggregate(&line(1), four, None), Err(AggregateError::TooFew { found: 4, needed: 5 }));
}

#[test]
fn refuses_what_cannot_be_aggregated() {
    let mean = Aggregation::Mean;
    assert_eq!(mean.aggregate(&line(1), Vec::new(), None), Err(AggregateError::Empty));
    let short = contributions(&[&[1.0]]);
    assert!(matches!(mean.aggregate(&line(2), short, None), Err(AggregateError::Length { .. })));
    let mut twice = contributions(&[&[1.0], &[2.0]]);
    twice[1].agent = agent(0);
    assert_eq!(mean.aggregate(&line(1), twice, None), Err(AggregateError::Twice { agent: agent(0) }));
    let nan = contributions(&[&[f32::NAN]]);
    assert_eq!(mean.aggregate(&line(1), nan, None), Err(AggregateError::NotFinite));
}

proptest! {
    #[test]
    fn the_order_of_arrival_changes_nothing(
        updates in prop::collection::vec(prop::collection::vec(-10f32..10.0, 6), 5..9),
        rotation in 0usize..9,
    ) {
        let updates: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
        let sorted = contributions(&updates);
        let mut other = sorted.clone();
        other.reverse();
        let middle = rotation % other.len();
        other.rotate_left(middle);
        for method in all() {
            let (a, b) = (method.aggregate(&line(6), sorted.clone(), None), method.aggregate(&line(6), other.clone(), None));
            prop_assert_eq!(a.unwrap(), b.unwrap());
        }
    }

    #[test]
    fn equal_updates_aggregate_to_themselves(update in prop::collection::vec(-10f32..10.0, 6)) {
        let updates = contributions(&[&update, &update, &update, &update, &update]);
        for method in all() {
            // Centred clipping with radius 1 does not clip equal updates: they are all at the median distance.
            let aggregate = method.aggregate(&line(6), updates.clone(), None).unwrap();
            for (a, b) in aggregate.values.iter().zip(&update) {
                prop_assert!((a - b).abs() <= 1e-5 * b.abs());
            }
        }
    }
}
