//! The upper part of the BLAKE3 tree of an artefact: it lets any part be verified against the address.
//!
//! BLAKE3 is a tree hash: the digest of the whole is made of the chaining values of its parts. The outline is the list
//! of those of all groups of 1 MiB (as Bao's outboard, cut off above groups of 1024 chunks). Whether an outline belongs
//! to a digest is computed from the two; so it needs no trust, and no other signature.

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use bytes::Bytes;

use crate::digest::Digest;

/// The bytes of a group: a power of two, at least that of a chunk.
pub(super) const GROUP: u64 = 1 << 20;
const VALUE: usize = 32;

/// The chaining values of all groups of an artefact of more than one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outline(Vec<ChainingValue>);

impl Outline {
    /// How many bytes the outline of so many has; `None` where there is none, because one group is all.
    pub(super) const fn len_for(size: u64) -> Option<u64> {
        if size > GROUP { Some(size.div_ceil(GROUP) * VALUE as u64) } else { None }
    }

    /// The outline in `bytes`, if it is that of an artefact of `size` bytes with this digest.
    pub(super) fn verified(digest: &Digest, size: u64, bytes: &[u8]) -> Option<Self> {
        let (values, rest) = bytes.as_chunks::<VALUE>();
        if !rest.is_empty() || Self::len_for(size) != Some(bytes.len() as u64) {
            return None;
        }
        (root(values)? == *digest).then(|| Self(values.to_vec()))
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        self.0.as_flattened().to_vec().into()
    }

    /// Whether `bytes` are the groups from the one with this number on.
    pub(super) fn has(&self, first: u64, bytes: &[u8]) -> bool {
        (first..).zip(bytes.chunks(GROUP as usize)).all(|(number, group)| {
            let expected = usize::try_from(number).ok().and_then(|number| self.0.get(number));
            expected.is_some_and(|expected| *expected == value(number, group))
        })
    }
}

/// The chaining value of a group that is not the only one.
fn value(number: u64, group: &[u8]) -> ChainingValue {
    Hasher::new().set_input_offset(number * GROUP).update(group).finalize_non_root()
}

/// The digest over at least two groups.
fn root(values: &[ChainingValue]) -> Option<Digest> {
    let (left, right) = halves(values)?;
    let root = merge_subtrees_root(&merged(left)?, &merged(right)?, Mode::Hash);
    Some(Digest::from_bytes(*root.as_bytes()))
}

fn merged(values: &[ChainingValue]) -> Option<ChainingValue> {
    match values {
        [one] => Some(*one),
        more => {
            let (left, right) = halves(more)?;
            Some(merge_subtrees_non_root(&merged(left)?, &merged(right)?, Mode::Hash))
        }
    }
}

/// The left subtree is the largest whole one that leaves something to its right.
fn halves(values: &[ChainingValue]) -> Option<(&[ChainingValue], &[ChainingValue])> {
    let left = values.len().checked_sub(1).filter(|it| *it > 0)?.ilog2();
    values.split_at_checked(1 << left)
}

/// Computes digest and outline of bytes as they come.
#[derive(Debug)]
pub(super) struct Outlining {
    size: u64,
    values: Vec<ChainingValue>,
    /// The last group, which may be full: whether it is the only one is known when more comes.
    group: Hasher,
    filled: u64,
}

impl Outlining {
    pub(super) fn new() -> Self {
        Self { size: 0, values: Vec::new(), group: Hasher::new(), filled: 0 }
    }

    /// How many bytes came.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == GROUP {
                self.values.push(self.group.finalize_non_root());
                self.group = Hasher::new();
                self.group.set_input_offset(self.size);
                self.filled = 0;
            }
            let space = usize::try_from(GROUP - self.filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(space.min(bytes.len()));
            self.group.update(now);
            self.filled += now.len() as u64;
            self.size += now.len() as u64;
            bytes = later;
        }
    }

    pub(super) fn finish(mut self) -> (Digest, Option<Outline>) {
        if !self.values.is_empty() {
            self.values.push(self.group.finalize_non_root());
            if let Some(digest) = root(&self.values) {
                return (digest, Some(Outline(self.values)));
            }
        }
        (Digest::from_bytes(*self.group.finalize().as_bytes()), None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(len: u64) -> Vec<u8> {
        (0..len).map(|at| (at % 251 + at / GROUP) as u8).collect()
    }

    fn outlined(bytes: &[u8], step: usize) -> (Digest, Option<Outline>) {
        let mut outlining = Outlining::new();
        for part in bytes.chunks(step) {
            outlining.update(part);
        }
        outlining.finish()
    }

    #[test]
    fn the_digest_is_that_of_blake3_whatever_the_number_of_groups() {
        for size in [0, 1, GROUP - 1, GROUP, GROUP + 1, 2 * GROUP, 3 * GROUP, 5 * GROUP + 7, 8 * GROUP] {
            let bytes = bytes(size);
            let (digest, outline) = outlined(&bytes, 300_001);
            assert_eq!(digest, Digest::of(&bytes), "{size}");
            assert_eq!(outline.is_some(), size > GROUP, "{size}");
            if let Some(outline) = outline {
                let written = outline.to_bytes();
                assert_eq!(Some(written.len() as u64), Outline::len_for(size));
                assert_eq!(Outline::verified(&digest, size, &written), Some(outline), "{size}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_changed_outline_or_group_is_noticed(
            size in GROUP + 1..4 * GROUP, at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let bytes = bytes(size);
            let (digest, outline) = outlined(&bytes, 1 << 20);
            let outline = outline.unwrap();
            let mut written = outline.to_bytes().to_vec();
            let at_value = at.index(written.len());
            written[at_value] ^= 1 << bit;
            prop_assert_eq!(Outline::verified(&digest, size, &written), None);
            prop_assert_eq!(Outline::verified(&digest, size + GROUP, &outline.to_bytes()), None);

            let mut changed = bytes.clone();
            let at_byte = at.index(changed.len());
            changed[at_byte] ^= 1 << bit;
            for (number, (group, other)) in (0..).zip(bytes.chunks(1 << 20).zip(changed.chunks(1 << 20))) {
                prop_assert!(outline.has(number, group));
                prop_assert_eq!(outline.has(number, other), group == other);
                prop_assert!(!outline.has(number + 1, group));
            }
        }
    }
}
