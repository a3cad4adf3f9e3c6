//! Passphrases, and what guessing one costs.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::Zeroizing;

use super::KeyFileError;
use crate::error::{DecodeError, Fault, Reaction};
use crate::secret::Secret;

/// A passphrase: wiped when dropped, never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Takes a passphrase. Texts that look alike and have other bytes are other passphrases: normalise before.
    #[must_use]
    pub fn new(passphrase: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(passphrase.into()))
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// What Argon2id (RFC 9106, version 1.3) costs, in memory and passes over it. Recorded in each key file, and bounded, so
/// that a hostile file cannot exhaust the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Bounds: from 19 MiB in two passes, the least that OWASP recommends, to 1 GiB in 16.
const MEMORY_KIB: std::ops::RangeInclusive<u32> = 19 * 1024..=1024 * 1024;
const PASSES: std::ops::RangeInclusive<u32> = 2..=16;
const LANES: std::ops::RangeInclusive<u32> = 1..=16;

impl Default for Argon2Params {
    /// 64 MiB, three passes, four lanes: the second recommendation of RFC 9106, section 4.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 }
    }
}

impl Argon2Params {
    /// Chooses the cost: memory in KiB, from 19,456 to 1,048,576; passes, from 2 to 16; lanes, from 1 to 16.
    ///
    /// # Errors
    /// [`Argon2ParamsError`].
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, Argon2ParamsError> {
        let numbers = [
            ("Argon2 memory in KiB", memory_kib, MEMORY_KIB),
            ("Argon2 passes", passes, PASSES),
            ("Argon2 lanes", lanes, LANES),
        ];
        for (field, found, bounds) in numbers {
            if !bounds.contains(&found) {
                return Err(Argon2ParamsError { field, min: *bounds.start(), max: *bounds.end(), found });
            }
        }
        Ok(Self { memory_kib, passes, lanes })
    }

    /// The least that is accepted: 19 MiB, two passes, one lane.
    #[must_use]
    pub const fn weakest() -> Self {
        Self { memory_kib: *MEMORY_KIB.start(), passes: *PASSES.start(), lanes: *LANES.start() }
    }

    /// Memory, in KiB.
    #[must_use]
    pub const fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    #[must_use]
    pub const fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    #[must_use]
    pub const fn lanes(self) -> u32 {
        self.lanes
    }

    /// The key of a passphrase. What Argon2 fills would give it without the passphrase, so it is wiped.
    pub(super) fn stretch(self, passphrase: &Passphrase, salt: &[u8]) -> Result<Secret, KeyFileError> {
        let (argon2, count) = self.argon2()?;
        let mut memory = blocks(count)?;
        let mut key = Secret::zero();
        argon2
            .hash_password_into_with_memory(&passphrase.0, salt, key.as_mut(), &mut **memory)
            .map_err(|_| KeyFileError::Memory)?;
        Ok(key)
    }

    /// The function, and how many blocks it fills.
    fn argon2(self) -> Result<(Argon2<'static>, usize), KeyFileError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32));
        let params = params.map_err(|_| KeyFileError::Memory)?;
        let count = params.block_count();
        Ok((Argon2::new(Algorithm::Argon2id, Version::V0x13, params), count))
    }
}

/// Memory that is wiped when dropped, if there is so much.
fn blocks(count: usize) -> Result<Zeroizing<Box<[Block]>>, KeyFileError> {
    let mut blocks = Vec::new();
    blocks.try_reserve_exact(count).map_err(|_| KeyFileError::Memory)?;
    blocks.resize(count, Block::new());
    Ok(Zeroizing::new(blocks.into_boxed_slice()))
}

/// A cost outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {found} and must be between {min} and {max}")]
#[non_exhaustive]
pub struct Argon2ParamsError {
    /// Which number.
    pub field: &'static str,
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What was asked for.
    pub found: u32,
}

impl Reaction for Argon2ParamsError {
    fn fault(&self) -> Fault {
        Fault::Caller
    }
}

impl From<Argon2ParamsError> for DecodeError {
    fn from(Argon2ParamsError { field, min, max, found }: Argon2ParamsError) -> Self {
        Self::OutOfBounds { field, min: min.into(), max: max.into(), found: found.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The memory is ours, and the function is the same: that of version 1.3 with the parameters as they are given.
    #[test]
    fn a_passphrase_gives_the_key_that_the_library_gives() {
        let params = Argon2Params::new(19_456, 2, 2).expect("within bounds");
        let (argon2, count) = params.argon2().expect("parameters");
        assert_eq!(count, 19_456);
        let mut expected = [0; 32];
        argon2.hash_password_into(b"right", &[7; 16], &mut expected).expect("a key");
        let found = params.stretch(&Passphrase::new("right"), &[7; 16]).expect("a key");
        assert_eq!(found.as_bytes(), &expected);
    }

    #[test]
    fn memory_that_is_not_to_be_had_is_an_error() {
        assert!(matches!(blocks(usize::MAX / 2048), Err(KeyFileError::Memory)));
    }
}
