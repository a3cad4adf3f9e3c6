//! The upper part of the BLAKE3 tree of a content: it lets each group be verified by itself.

use std::io::{self, Read};
use std::ops::Range;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root};
use daa_core::digest::Digest;

/// The bytes of a group: what is asked for, verified and written at once. The last one of a content may be shorter.
pub const GROUP: u64 = 1 << 20;
/// The bytes of a chaining value.
pub(super) const VALUE: usize = 32;

/// Digest and size of a content, and the chaining values of its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    digest: Digest,
    size: u64,
    /// None where one group is all.
    values: Vec<ChainingValue>,
    group: u64,
}

impl Outline {
    /// The outline of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::in_groups(bytes, GROUP)
    }

    pub(super) fn in_groups(bytes: &[u8], group: u64) -> Self {
        let mut outlining = Outlining::new(group);
        outlining.update(bytes);
        outlining.finish()
    }

    /// The outline of all that can be read. It blocks.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read(mut reader: impl Read) -> io::Result<Self> {
        let mut outlining = Outlining::new(GROUP);
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(outlining.finish()),
                Ok(len) => outlining.update(buffer.get(..len).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The outline in `values`, if they and the last group are those of a content of `size` bytes with this digest.
    ///
    /// The values alone would not bind the size: two values that are parents of four groups have the same root. The chunks of the
    /// last group, which is the end of the right edge of the tree, have their places in their hashes: whoever has it to show for
    /// this place has shown where the content ends, and so the shape of the whole tree.
    pub(super) fn verified(
        digest: Digest,
        size: u64,
        values: &[u8],
        last: &[u8],
        group: u64,
    ) -> Option<Self> {
        let (values, rest) = values.as_chunks::<VALUE>();
        let outline = Self { digest, size, values: values.to_vec(), group };
        let number = outline.groups() - 1;
        let is_whole = rest.is_empty() && Some(values.len()) == values_for(size, group);
        let is_root = match values {
            [] => true,
            values => root(values)? == digest,
        };
        (is_whole && is_root && outline.has(number, last)).then_some(outline)
    }

    /// The name of the content.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// How many bytes the content has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// How many groups the content has: at least one, which may be empty.
    #[must_use]
    pub const fn groups(&self) -> u64 {
        groups(self.size, self.group)
    }

    /// Where the bytes of a group are; nothing behind the last one.
    #[must_use]
    pub fn range(&self, number: u64) -> Range<u64> {
        let at = |number: u64| number.saturating_mul(self.group).min(self.size);
        at(number)..at(number.saturating_add(1))
    }

    /// Whether `bytes` are the group with this number.
    #[must_use]
    pub fn has(&self, number: u64, bytes: &[u8]) -> bool {
        let range = self.range(number);
        if number >= self.groups() || bytes.len() as u64 != range.end - range.start {
            return false;
        }
        if self.values.is_empty() {
            return Digest::of(bytes) == self.digest;
        }
        let expected = usize::try_from(number).ok().and_then(|number| self.values.get(number));
        let mut hasher = Hasher::new();
        hasher.set_input_offset(range.start).update(bytes);
        expected.is_some_and(|expected| *expected == hasher.finalize_non_root())
    }

    pub(super) fn values(&self) -> &[u8] {
        self.values.as_flattened()
    }
}

const fn groups(size: u64, group: u64) -> u64 {
    if size == 0 { 1 } else { size.div_ceil(group) }
}

/// How many values there are for so many bytes.
pub(super) fn values_for(size: u64, group: u64) -> Option<usize> {
    if size > group { usize::try_from(groups(size, group)).ok() } else { Some(0) }
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

/// Makes an outline of bytes as they come.
pub(super) struct Outlining {
    size: u64,
    values: Vec<ChainingValue>,
    /// The last group, which may be full: whether it is the only one is known when more comes.
    hasher: Hasher,
    filled: u64,
    group: u64,
}

impl Outlining {
    pub(super) fn new(group: u64) -> Self {
        Self { size: 0, values: Vec::new(), hasher: Hasher::new(), filled: 0, group }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.filled == self.group {
                self.values.push(self.hasher.finalize_non_root());
                self.hasher = Hasher::new();
                self.hasher.set_input_offset(self.size);
                self.filled = 0;
            }
            let space = usize::try_from(self.group - self.filled).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(space.min(bytes.len()));
            self.hasher.update(now);
            self.filled += now.len() as u64;
            self.size += now.len() as u64;
            bytes = later;
        }
    }

    pub(super) fn finish(mut self) -> Outline {
        if !self.values.is_empty() {
            self.values.push(self.hasher.finalize_non_root());
        }
        let digest = root(&self.values);
        // One group is all, and has no place.
        let digest = digest.unwrap_or_else(|| Digest::from_bytes(*self.hasher.finalize().as_bytes()));
        Outline { digest, size: self.size, values: self.values, group: self.group }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: u64 = 2_048;

    fn bytes(len: u64) -> Vec<u8> {
        (0..len).map(|at| (at % 251 + at / SMALL) as u8).collect()
    }

    fn last(outline: &Outline, bytes: &[u8]) -> Vec<u8> {
        let range = outline.range(outline.groups() - 1);
        bytes[range.start as usize..range.end as usize].to_vec()
    }

    #[test]
    fn the_digest_is_that_of_blake3_and_the_outline_is_verified() {
        for group in [1_024, SMALL, GROUP] {
            for size in [0, 1, 1_023, 1_024, 1_025, GROUP - 1, GROUP, GROUP + 1, 5 * GROUP + 7] {
                let bytes = bytes(size);
                let outline = Outline::in_groups(&bytes, group);
                assert_eq!(outline.digest(), Digest::of(&bytes), "{size} in {group}");
                let last = last(&outline, &bytes);
                let verified = Outline::verified(outline.digest(), size, outline.values(), &last, group);
                assert_eq!(verified, Some(outline), "{size} in {group}");
            }
        }
        assert_eq!(Outline::read(&*bytes(3 * GROUP + 1)).unwrap(), Outline::of(&bytes(3 * GROUP + 1)));
    }

    /// Parents of the groups have the same root, and are no groups.
    #[test]
    fn parents_in_the_place_of_groups_do_not_lie_about_the_size() {
        let bytes = bytes(4 * SMALL);
        let outline = Outline::in_groups(&bytes, SMALL);
        let parents: Vec<_> = outline.values.chunks(2).map(|pair| merged(pair).unwrap()).collect();
        assert_eq!(root(&parents), Some(outline.digest));
        let (wrong, last) = (parents.as_flattened(), last(&outline, &bytes));
        assert_eq!(Outline::verified(outline.digest, 2 * SMALL, wrong, &last, SMALL), None);
        assert_eq!(Outline::verified(outline.digest, 4 * SMALL, wrong, &last, SMALL), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_changed_is_noticed(
            size in 1..9 * SMALL, other in 0..9 * SMALL, at in any::<prop::sample::Index>(), bit in 0_u8..8,
        ) {
            let bytes = bytes(size);
            let outline = Outline::in_groups(&bytes, SMALL);
            let verified = |size, values: &[u8], last: &[u8]| {
                Outline::verified(outline.digest, size, values, last, SMALL).is_some()
            };
            let (values, last) = (outline.values(), last(&outline, &bytes));
            prop_assert!(verified(size, values, &last));
            prop_assert_eq!(verified(other, values, &last), other == size);
            prop_assert!(!verified(size, values, &last[..last.len() - 1]));
            let mut wrong = last.clone();
            wrong[at.index(last.len())] ^= 1 << bit;
            prop_assert!(!verified(size, values, &wrong));
            if !values.is_empty() {
                let mut wrong = values.to_vec();
                wrong[at.index(values.len())] ^= 1 << bit;
                prop_assert!(!verified(size, &wrong, &last));
            }
            for number in 0..outline.groups() {
                let range = outline.range(number);
                let group = &bytes[range.start as usize..range.end as usize];
                prop_assert!(outline.has(number, group));
                prop_assert!(!outline.has(number + 1, group));
                let mut wrong = group.to_vec();
                wrong[at.index(group.len())] ^= 1 << bit;
                prop_assert!(!outline.has(number, &wrong));
            }
        }
    }
}
