//! Checkpoints round-trip, link to each other, and are not taken from strangers unchecked.

use daa_compute::checkpoint::{Checkpoint, CheckpointError};
use daa_compute::commitment::{Round, RunId};
use daa_compute::parameters::Parameters;
use daa_core::artifact::MemoryArtifacts;
use daa_core::digest::Digest;
use futures_util::FutureExt;
use proptest::prelude::*;

use super::layout;

fn checkpoint() -> Checkpoint {
    let values = (0..layout().len()).map(|i| i as f32 * 0.5).collect();
    Checkpoint::genesis(RunId(Digest::of(b"run")), Parameters::new(layout(), values).unwrap())
}

#[test]
fn comes_back_from_the_store_and_links_to_the_one_before() {
    let artifacts = MemoryArtifacts::new();
    let first = checkpoint();
    let address = first.store(&artifacts).now_or_never().unwrap().unwrap();
    let second = first.after(address, Round(0), first.parameters.clone(), vec![0.25; layout().len()]);
    let second_address = second.store(&artifacts).now_or_never().unwrap().unwrap();
    let loaded = Checkpoint::load(&artifacts, &second_address, &layout()).now_or_never().unwrap().unwrap();
    assert_eq!(loaded, second);
    assert_eq!((loaded.rounds_closed, loaded.previous), (1, Some(address)));
}

#[test]
fn an_unknown_address_is_an_error() {
    let artifacts = MemoryArtifacts::new();
    let loaded = Checkpoint::load(&artifacts, &Digest::of(b"?"), &layout()).now_or_never().unwrap();
    assert!(matches!(loaded, Err(CheckpointError::Missing { .. })));
}

proptest! {
    #[test]
    fn hostile_bytes_are_refused_without_a_panic(cut: prop::sample::Index, at: prop::sample::Index, bit in 0u8..8) {
        let bytes = checkpoint().encode();
        prop_assert!(Checkpoint::decode(&layout(), &bytes[..cut.index(bytes.len())]).is_err());
        let mut flipped = bytes.to_vec();
        flipped[at.index(bytes.len())] ^= 1 << bit;
        if let Ok(other) = Checkpoint::decode(&layout(), &flipped) {
            prop_assert_ne!(other.encode(), checkpoint().encode());
        }
    }
}
