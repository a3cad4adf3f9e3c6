//! Splitting.

use chacha20::ChaCha20Rng;
use rand_core::{CryptoRng, SeedableRng as _};
use vsss_rs::Gf256;
use zeroize::Zeroizing;

use super::{MAX_SECRET, SALT, Set, Share, commit_to_secret, commit_to_share};
use crate::error::{Fault, ProviderError, RandomnessError, Reaction};
use crate::secret::random;

/// A secret was not split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The secret is empty or longer than [`MAX_SECRET`].
    #[error("a secret has between 1 and {MAX_SECRET} bytes, not {found}")]
    SecretLength {
        /// How many bytes it has.
        found: usize,
    },
    /// A threshold below 2, or above the number of shares.
    #[error("the threshold {threshold} is not between 2 and the number of shares, {count}")]
    Threshold {
        /// How many were to be needed.
        threshold: u8,
        /// How many there were to be.
        count: u8,
    },
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] RandomnessError),
    /// The library under it failed at what cannot fail.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

impl Reaction for SplitError {
    fn fault(&self) -> Fault {
        match self {
            Self::SecretLength { .. } | Self::Threshold { .. } => Fault::Caller,
            Self::Randomness(_) => Fault::Environment,
            Self::Provider(_) => Fault::Bug,
        }
    }
}

/// Splits a secret into `count` shares, any `threshold` of which recover it.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shares = daa_crypto::share::split(b"the recovery key", 3, 5)?;
/// let secret = daa_crypto::share::recover(&shares[1..4])?;
/// assert_eq!(&**secret, b"the recovery key");
/// assert!(daa_crypto::share::recover(&shares[..2]).is_err());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`SplitError`].
pub fn split(secret: &[u8], threshold: u8, count: u8) -> Result<Vec<Share>, SplitError> {
    split_with(secret, threshold, count, &mut ChaCha20Rng::from_seed(*random::<32>()?))
}

/// The same with randomness of the caller's: for tests and for machines with a source of their own. Who knows the
/// randomness and one share knows the secret.
///
/// # Errors
/// [`SplitError`].
pub fn split_with(
    secret: &[u8],
    threshold: u8,
    count: u8,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<Share>, SplitError> {
    if secret.is_empty() || secret.len() > MAX_SECRET {
        return Err(SplitError::SecretLength { found: secret.len() });
    }
    if threshold < 2 || threshold > count {
        return Err(SplitError::Threshold { threshold, count });
    }
    // Room for all from the start, so that no copy is left behind.
    let mut salted = Zeroizing::new(vec![0; SALT.saturating_add(secret.len())]);
    let (salt, rest) = salted.split_at_mut(SALT);
    rng.fill_bytes(salt);
    rest.copy_from_slice(secret);
    let points = Gf256::split_bytes(threshold.into(), count.into(), &*salted, &mut *rng);
    let points = points.map_err(|_| ProviderError::new("vsss-rs", "splitting a secret"))?;
    let mut set =
        Set { threshold, secret: commit_to_secret(&salted), shares: Vec::with_capacity(points.len()) };
    let mut values = Vec::with_capacity(points.len());
    for (index, mut point) in (1..=count).zip(points.into_iter().map(Zeroizing::new)) {
        if point.first() != Some(&index) {
            return Err(ProviderError::new("vsss-rs", "numbering shares").into());
        }
        point.remove(0);
        let mut salt = Zeroizing::new([0; SALT]);
        rng.fill_bytes(salt.as_mut_slice());
        set.shares.push(commit_to_share(index, &salt, &point));
        values.push((index, salt, point));
    }
    let share = |(index, salt, value)| Share { set: set.clone(), index, salt, value };
    Ok(values.into_iter().map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiplication in GF(256) as FIPS 197 defines it: of polynomials over bits, modulo x^8 + x^4 + x^3 + x + 1.
    fn multiply(a: u8, b: u8) -> u8 {
        let mut product = 0_u16;
        for bit in 0..8 {
            if b >> bit & 1 == 1 {
                product ^= u16::from(a) << bit;
            }
        }
        for bit in (8..16).rev() {
            if product >> bit & 1 == 1 {
                product ^= 0x11b << (bit - 8);
            }
        }
        u8::try_from(product).expect("the remainder has eight bits")
    }

    fn invert(a: u8) -> u8 {
        (1..=255).find(|&b| multiply(a, b) == 1).expect("only zero has no inverse")
    }

    /// The value at zero of the polynomial through these points, by Lagrange's formula.
    fn at_zero(points: &[(u8, u8)]) -> u8 {
        points.iter().fold(0, |sum, &(x, y)| {
            let others = points.iter().filter(|(other, _)| *other != x);
            let factor =
                others.fold(1, |factor, &(other, _)| multiply(factor, multiply(other, invert(other ^ x))));
            sum ^ multiply(y, factor)
        })
    }

    #[test]
    fn the_oracle_multiplies_as_fips_197_section_4_2_does() {
        assert_eq!((multiply(0x57, 0x83), multiply(0x57, 0x13)), (0xc1, 0xfe));
    }

    /// The library's shares are those of Shamir's scheme over the field of AES: an arithmetic of our own finds the secret.
    #[test]
    fn shares_are_points_of_polynomials_over_gf_256() {
        let secret: Vec<u8> = (0..=255).collect();
        for (threshold, count) in [(2, 2), (2, 5), (3, 5), (5, 5)] {
            let shares = split(&secret, threshold, count).expect("shares");
            for (place, &byte) in secret.iter().enumerate() {
                let point = |share: &Share| (share.index, share.value[SALT + place]);
                let used: Vec<_> = shares.iter().rev().take(threshold.into()).map(point).collect();
                assert_eq!(at_zero(&used), byte, "byte {place}, {threshold} of {count}");
            }
        }
    }
}
