//! The generic cell rate algorithm (ITU-T I.371), in exact numbers: a bucket is the moment at which it will be full
//! again.

use std::num::NonZeroU32;
use std::time::Duration;

use super::contract::Verdict;
use super::quota::Quota;

/// When a bucket is full again: whole microseconds since the Unix epoch, and a fraction of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FullAt {
    /// Whole microseconds since the Unix epoch.
    pub micros: u64,
    /// And so many parts of one more, in parts of [`Self::of`].
    pub part: u32,
    /// How many parts a microsecond has: the tokens of the quota.
    pub of: u32,
}

impl FullAt {
    /// In the numbers of a quota: exact, where the parts are of the same kind, and otherwise rounded up.
    fn for_quota(self, quota: Quota) -> Self {
        if self.of == quota.tokens() || self.part == 0 {
            return Self { of: quota.tokens(), ..self };
        }
        Self { micros: self.micros.saturating_add(1), part: 0, of: quota.tokens() }
    }

    /// In parts of a microsecond.
    fn parts(self) -> u128 {
        u128::from(self.micros) * u128::from(self.of) + u128::from(self.part)
    }

    fn from_parts(parts: u128, of: u32) -> Self {
        let of = of.max(1);
        let micros = u64::try_from(parts / u128::from(of)).unwrap_or(u64::MAX);
        let part = u32::try_from(parts % u128::from(of)).unwrap_or_default();
        Self { micros, part, of }
    }
}

/// For those who implement a [`RateLimiter`](super::RateLimiter): what becomes of a request for `tokens` at `now`, in
/// microseconds since the Unix epoch, at a bucket that is full at `full_at`, and when it is full afterwards.
///
/// With *T* the later of `now` and `full_at`, and *i* the time in which one token comes back: it is granted when
/// *T* + `tokens` · *i* lies no more than `burst` · *i* behind `now`, and that is when the bucket is full afterwards. A
/// bucket that lies further ahead than that was filled by a clock that went back since, and counts as empty.
#[must_use]
pub fn decide(quota: Quota, full_at: FullAt, now: u64, tokens: NonZeroU32) -> (Verdict, FullAt) {
    let (begin, empty) = (full_at.for_quota(quota).parts(), emptied(quota, now));
    let begin = FullAt::from_parts(begin.clamp(parts(quota, now), empty), quota.tokens());
    let full = begin.parts() + time_of(quota, tokens.get());
    if full > empty {
        return (Verdict::Refused { retry_after: retry_after(quota, begin, now, tokens) }, begin);
    }
    let full = FullAt::from_parts(full, quota.tokens());
    (Verdict::Granted { left: left(quota, full, now) }, full)
}

/// For those who implement a [`RateLimiter`](super::RateLimiter): how many tokens a bucket has that is full at `full_at`.
#[must_use]
pub fn left(quota: Quota, full_at: FullAt, now: u64) -> u32 {
    let back = emptied(quota, now).saturating_sub(full_at.for_quota(quota).parts().max(parts(quota, now)));
    u32::try_from(back / u128::from(quota.micros())).unwrap_or(u32::MAX)
}

/// For those who implement a [`RateLimiter`](super::RateLimiter): how long it takes until a bucket has so many tokens
/// that is full at `full_at`.
#[must_use]
pub fn retry_after(quota: Quota, full_at: FullAt, now: u64, tokens: NonZeroU32) -> Duration {
    let full = full_at.for_quota(quota).parts() + time_of(quota, tokens.get());
    let micros = full.saturating_sub(emptied(quota, now)).div_ceil(u128::from(quota.tokens()));
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// A moment in parts of a microsecond: as many as the quota has tokens, so that a token takes a whole span of them.
fn parts(quota: Quota, micros: u64) -> u128 {
    u128::from(micros) * u128::from(quota.tokens())
}

fn time_of(quota: Quota, tokens: u32) -> u128 {
    u128::from(tokens) * u128::from(quota.micros())
}

/// When a bucket is full that is empty now.
fn emptied(quota: Quota, now: u64) -> u128 {
    parts(quota, now) + time_of(quota, quota.burst())
}
