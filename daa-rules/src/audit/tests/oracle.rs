//! Every size up to 2^12, against `ct-merkle`.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2_oracle::Sha256;

use super::Tree;
use crate::audit::{LogReader, Proof, TreeHash};

const LARGEST: u64 = 1 << 12;

type Oracle = MemoryBackedTree<Sha256, Vec<u8>>;

fn bytes(proof: &Proof) -> Vec<u8> {
    proof.hashes().iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn record(index: u64) -> Vec<u8> {
    format!("record {index}").into_bytes()
}

/// A few numbers below `limit` that differ from size to size.
fn some(limit: u64) -> [u64; 3] {
    [limit / 3, limit.saturating_sub(1), (limit * limit / 7 + 1) % limit]
}

#[tokio::test]
async fn every_size_has_the_root_and_the_proofs_of_another_implementation() {
    let (mut tree, mut oracle) = (Tree::new(), Oracle::new());
    let mut roots = vec![tree.root()];
    for size in 1..=LARGEST {
        tree.push(&record(size - 1));
        oracle.push(record(size - 1));
        roots.push(tree.root());
        assert_eq!(tree.root().as_bytes().as_slice(), oracle.root().as_bytes().as_slice(), "size {size}");
        let reader = tree.publish().await;
        let root = tree.root();
        for index in some(size) {
            let proof = reader.inclusion(index, size).await.unwrap();
            assert_eq!(bytes(&proof), oracle.prove_inclusion(index as usize).as_bytes(), "{index} of {size}");
            let leaf = TreeHash::leaf(&record(index));
            proof.verify_inclusion(&leaf, index, size, &root).unwrap();
            assert_eq!(reader.record(index, size).await.unwrap(), record(index));
        }
        for old in some(size).into_iter().filter(|old| *old > 0) {
            let proof = reader.consistency(old, size).await.unwrap();
            assert_eq!(
                bytes(&proof),
                oracle.prove_consistency((size - old) as usize).as_bytes(),
                "{old} to {size}"
            );
            proof.verify_consistency((old, &roots[old as usize]), (size, &root)).unwrap();
        }
    }
    older_trees_are_still_there(&tree.publish().await, &roots).await;
}

/// The files of a log prove what was true of it at any size before.
async fn older_trees_are_still_there(reader: &LogReader, roots: &[TreeHash]) {
    for (size, root) in (0..).zip(roots).step_by(5) {
        assert_eq!(reader.root(size).await.unwrap(), *root);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_other_implementation_proves_is_accepted_and_what_it_refutes_is_not(
        size in 1_u64..600,
        index in any::<prop::sample::Index>(),
        old in any::<prop::sample::Index>(),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut oracle = Oracle::new();
        let mut roots = vec![TreeHash::EMPTY];
        for at in 0..size {
            oracle.push(record(at));
            roots.push(TreeHash::from_bytes(oracle.root().as_bytes().as_slice().try_into().unwrap()));
        }
        let (index, old) = (index.index(size as usize) as u64, old.index(size as usize) as u64 + 1);
        let root = roots[size as usize];
        let read = |bytes: &[u8]| {
            let (hashes, rest) = bytes.as_chunks::<32>();
            assert!(rest.is_empty());
            Proof::new(hashes.iter().map(|hash| TreeHash::from_bytes(*hash)).collect()).unwrap()
        };
        let mut bytes = oracle.prove_inclusion(index as usize).as_bytes().to_vec();
        let leaf = TreeHash::leaf(&record(index));
        prop_assert_eq!(read(&bytes).verify_inclusion(&leaf, index, size, &root), Ok(()));
        if !bytes.is_empty() {
            let at = flip.0.index(bytes.len());
            bytes[at] ^= flip.1 | 1;
            prop_assert!(read(&bytes).verify_inclusion(&leaf, index, size, &root).is_err());
        }
        let mut bytes = oracle.prove_consistency((size - old) as usize).as_bytes().to_vec();
        let trees = ((old, &roots[old as usize]), (size, &root));
        prop_assert_eq!(read(&bytes).verify_consistency(trees.0, trees.1), Ok(()));
        if !bytes.is_empty() {
            let at = flip.0.index(bytes.len());
            bytes[at] ^= flip.1 | 1;
            prop_assert!(read(&bytes).verify_consistency(trees.0, trees.1).is_err());
        }
    }
}
