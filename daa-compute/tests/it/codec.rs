//! Updates survive the wire, what is lost is sent later, and hostile bytes are refused.

use daa_compute::codec::{CodecConfig, Residual, SparseUpdate, max_bytes};
use daa_compute::parameters::{Layout, Parameters, TensorSpec};
use proptest::prelude::*;

use super::layout;

fn config() -> impl Strategy<Value = CodecConfig> {
    (1u32..300)
        .prop_flat_map(|chunk| (Just(chunk), 1..=chunk, 0f32..=1.0))
        .prop_map(|(chunk, keep, decay)| CodecConfig::new(chunk, keep, decay).unwrap())
}

fn difference() -> impl Strategy<Value = Vec<f32>> {
    let len = layout().len();
    prop::collection::vec(prop_oneof![4 => -1f32..1.0, 1 => Just(0f32), 1 => -1e30f32..1e30], len)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_sent_and_what_stays_make_up_the_difference(config in config(), difference in difference()) {
        let encoded = Residual::zero(layout()).encode_round(&difference, &config).unwrap();
        let sent = SparseUpdate::decode(&layout(), &config, &encoded.bytes).unwrap();
        for ((kept, sent), whole) in encoded.residual.values().iter().zip(sent.dense()).zip(&difference) {
            prop_assert_eq!(*kept, whole - sent);
        }
    }

    #[test]
    fn every_chunk_sends_its_share(config in config(), difference in difference()) {
        let encoded = Residual::zero(layout()).encode_round(&difference, &config).unwrap();
        let sent = SparseUpdate::decode(&layout(), &config, &encoded.bytes).unwrap();
        let expected: usize = layout()
            .tensors()
            .iter()
            .flat_map(|t| (0..t.len()).step_by(config.chunk() as usize).map(|s| (t.len() - s).min(config.chunk() as usize)))
            .map(|len| config.kept_of(len))
            .sum();
        prop_assert_eq!(sent.indices().len(), expected);
        prop_assert!(sent.indices().is_sorted_by(|a, b| a < b));
        prop_assert!(encoded.bytes.len() <= max_bytes(&layout(), &config));
    }

    #[test]
    fn refuses_or_reads_any_bytes_without_a_panic(config in config(), bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = SparseUpdate::decode(&layout(), &config, &bytes);
        let _ = Parameters::decode(&layout(), &bytes);
    }

    #[test]
    fn a_flipped_byte_never_gives_what_is_not_finite(config in config(), difference in difference(), at: prop::sample::Index, bit in 0u8..8) {
        let encoded = Residual::zero(layout()).encode_round(&difference, &config).unwrap();
        let mut bytes = encoded.bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(update) = SparseUpdate::decode(&layout(), &config, &bytes) {
            prop_assert!(update.dense().iter().all(|v| v.is_finite()));
            prop_assert!(update.indices().iter().all(|i| (*i as usize) < layout().len()));
        }
    }

    #[test]
    fn a_cut_or_longer_update_is_refused(config in config(), difference in difference(), cut: prop::sample::Index) {
        let encoded = Residual::zero(layout()).encode_round(&difference, &config).unwrap();
        let cut = cut.index(encoded.bytes.len());
        prop_assert!(SparseUpdate::decode(&layout(), &config, &encoded.bytes[..cut]).is_err());
        let longer = [&encoded.bytes[..], &[0]].concat();
        prop_assert!(SparseUpdate::decode(&layout(), &config, &longer).is_err());
    }

    #[test]
    fn parameters_round_trip(values in difference()) {
        let parameters = Parameters::new(layout(), values).unwrap();
        prop_assert_eq!(Parameters::decode(&layout(), &parameters.encode()).unwrap(), parameters);
    }
}

#[test]
fn refuses_numbers_that_are_not_finite() {
    let mut difference = vec![0.0; layout().len()];
    difference[5] = f32::NAN;
    assert!(Residual::zero(layout()).encode_round(&difference, &CodecConfig::small_model()).is_err());
    assert!(Parameters::new(layout(), difference).is_err());
}

#[test]
fn what_is_too_small_to_send_now_is_sent_later() {
    let config = CodecConfig::new(1230, 1, 1.0).unwrap();
    let mut difference = vec![0.0; layout().len()];
    (difference[0], difference[1]) = (1.0, 0.6);
    let first = Residual::zero(layout()).encode_round(&difference, &config).unwrap();
    assert_eq!(SparseUpdate::decode(&layout(), &config, &first.bytes).unwrap().indices()[0], 0);
    // 0 sends 1.0 again and is empty; 1 has 0.6 + 0.6 by now.
    let second = first.residual.encode_round(&difference, &config).unwrap();
    assert_eq!(SparseUpdate::decode(&layout(), &config, &second.bytes).unwrap().indices()[0], 1);
}

#[test]
fn the_published_density_costs_less_than_ten_bits_a_value() {
    // 64 of 4096: 7.36 bits for the index and 2 for the value, 0.146 bits a parameter (training notes of SparseLoCo).
    let layout = Layout::new(vec![TensorSpec::new("big", 512, 1024)]).unwrap();
    let difference: Vec<f32> =
        (0..layout.len() as u32).map(|i| (i.wrapping_mul(2_654_435_761) as f32).sin()).collect();
    let config = CodecConfig::sparse_loco();
    let encoded = Residual::zero(layout.clone()).encode_round(&difference, &config).unwrap();
    let bits = encoded.bytes.len() as f64 * 8.0 / layout.len() as f64;
    assert!(bits < 0.149, "{bits} bits a parameter");
    let sent = SparseUpdate::decode(&layout, &config, &encoded.bytes).unwrap();
    assert_eq!(sent.indices().len(), layout.len() / 64);
}
