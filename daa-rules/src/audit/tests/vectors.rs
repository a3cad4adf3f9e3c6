//! The vectors that implementations of RFC 6962 share: eight leaves, their roots, and some of their proofs. They are
//! those of Certificate Transparency's C++ reference, as transparency-dev/merkle has them (`testonly/`).

use data_encoding::HEXLOWER;

use super::Tree;
use crate::audit::{Proof, TreeHash};

const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// Index, size, and hashes.
const INCLUSION: [(u64, u64, &[&str]); 7] = [
    (0, 1, &[]),
    (0, 2, &["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"]),
    (1, 2, &["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"]),
    (2, 3, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        0,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

/// Old size, new size, and hashes.
const CONSISTENCY: [(u64, u64, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

fn hash(hex: &str) -> TreeHash {
    TreeHash::from_bytes(HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
}

fn leaf(at: usize) -> Vec<u8> {
    HEXLOWER.decode(LEAVES[at].as_bytes()).unwrap()
}

fn root(size: u64) -> TreeHash {
    hash(ROOTS[size as usize - 1])
}

fn proof(hashes: &[&str]) -> Proof {
    Proof::new(hashes.iter().map(|hex| hash(hex)).collect()).unwrap()
}

#[tokio::test]
async fn roots_and_proofs_are_the_published_ones() {
    let mut tree = Tree::new();
    assert_eq!(tree.root(), TreeHash::EMPTY);
    let mut reader = None;
    for size in 1..=8 {
        tree.push(&leaf(size - 1));
        assert_eq!(tree.root(), root(size as u64));
        reader = Some(tree.publish().await);
    }
    let reader = reader.unwrap();
    for (index, size, hashes) in INCLUSION {
        assert_eq!(reader.inclusion(index, size).await.unwrap(), proof(hashes), "{index} of {size}");
    }
    for (old, new, hashes) in CONSISTENCY {
        assert_eq!(reader.consistency(old, new).await.unwrap(), proof(hashes), "{old} to {new}");
    }
}

#[test]
fn published_proofs_verify_and_changed_ones_do_not() {
    for (index, size, hashes) in INCLUSION {
        let (proof, leaf) = (proof(hashes), TreeHash::leaf(&leaf(index as usize)));
        proof.verify_inclusion(&leaf, index, size, &root(size)).unwrap();
        spoilt(hashes, |proof| proof.verify_inclusion(&leaf, index, size, &root(size)).is_err());
        for other in (0..=size).filter(|other| *other != index) {
            assert!(proof.verify_inclusion(&leaf, other, size, &root(size)).is_err(), "{index} as {other}");
        }
        assert!(proof.verify_inclusion(&leaf, index, size, &TreeHash::EMPTY).is_err());
        assert!(proof.verify_inclusion(&TreeHash::EMPTY, index, size, &root(size)).is_err());
    }
    for (old, new, hashes) in CONSISTENCY {
        let proof = proof(hashes);
        let verify = |proof: &Proof, old_root: &TreeHash, new_root: &TreeHash| {
            proof.verify_consistency((old, old_root), (new, new_root))
        };
        verify(&proof, &root(old), &root(new)).unwrap();
        spoilt(hashes, |proof| verify(proof, &root(old), &root(new)).is_err());
        assert!(verify(&proof, &TreeHash::EMPTY, &root(new)).is_err());
        assert!(verify(&proof, &root(old), &TreeHash::EMPTY).is_err());
        assert!(old == new || proof.verify_consistency((new, &root(new)), (old, &root(old))).is_err());
    }
}

/// A proof with a bit flipped, a hash left out, doubled, or in another place proves nothing.
fn spoilt(hashes: &[&str], refused: impl Fn(&Proof) -> bool) {
    let good: Vec<TreeHash> = hashes.iter().map(|hex| hash(hex)).collect();
    let check = |hashes: Vec<TreeHash>| assert!(refused(&Proof::new(hashes).unwrap()));
    for at in 0..good.len() {
        let mut bytes = *good[at].as_bytes();
        bytes[at] ^= 4;
        let mut flipped = good.clone();
        flipped[at] = TreeHash::from_bytes(bytes);
        check(flipped);
        let mut shorter = good.clone();
        shorter.remove(at);
        check(shorter);
    }
    let mut longer = good.clone();
    longer.push(TreeHash::EMPTY);
    check(longer);
    let mut longer = good.clone();
    longer.insert(0, TreeHash::EMPTY);
    check(longer);
    if good.len() > 1 {
        let mut turned = good;
        turned.reverse();
        check(turned);
    }
}
