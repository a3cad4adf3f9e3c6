//! Rulesets that were read before.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use daa_core::digest::Digest;

use crate::error::RulesetError;
use crate::ruleset::Ruleset;

/// Keeps rulesets by the hash of their source: what was read and compiled once is not read again.
///
/// Of what was refused nothing is kept. Share it by reference or in an `Arc`; reading happens outside its lock, so two
/// callers that bring the same new source at the same time may both read it.
#[derive(Debug)]
pub struct RulesetCache {
    capacity: NonZeroUsize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    rulesets: HashMap<Digest, (Ruleset, u64)>,
    /// Counts uses, so that the oldest one is known.
    turn: u64,
}

impl RulesetCache {
    /// Keeps so many rulesets, those that were used last.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self { capacity, kept: Mutex::default() }
    }

    /// Like [`Ruleset::from_toml`].
    ///
    /// # Errors
    /// [`RulesetError`], as there.
    pub fn from_toml(&self, source: &str) -> Result<Ruleset, RulesetError> {
        self.read(b"toml", source, Ruleset::from_toml)
    }

    /// Like [`Ruleset::from_yaml`].
    ///
    /// # Errors
    /// [`RulesetError`], as there.
    #[cfg(feature = "yaml")]
    pub fn from_yaml(&self, source: &str) -> Result<Ruleset, RulesetError> {
        self.read(b"yaml", source, Ruleset::from_yaml)
    }

    /// How many rulesets are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock(|kept| kept.rulesets.len())
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn read(
        &self,
        language: &[u8],
        source: &str,
        read: fn(&str) -> Result<Ruleset, RulesetError>,
    ) -> Result<Ruleset, RulesetError> {
        let name = Digest::builder("daa ruleset source v1").field(language).field(source.as_bytes()).finish();
        if let Some(known) = self.lock(|kept| kept.used(&name)) {
            return Ok(known);
        }
        let ruleset = read(source)?;
        self.lock(|kept| kept.keep(name, ruleset.clone(), self.capacity.get()));
        Ok(ruleset)
    }

    /// A panic elsewhere leaves nothing half done here: each change is one step.
    fn lock<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn used(&mut self, name: &Digest) -> Option<Ruleset> {
        self.turn += 1;
        let (ruleset, used) = self.rulesets.get_mut(name)?;
        *used = self.turn;
        Some(ruleset.clone())
    }

    fn keep(&mut self, name: Digest, ruleset: Ruleset, capacity: usize) {
        while self.rulesets.len() >= capacity {
            let oldest = self.rulesets.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| *name);
            oldest.iter().for_each(|oldest| drop(self.rulesets.remove(oldest)));
        }
        self.turn += 1;
        self.rulesets.insert(name, (ruleset, self.turn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(version: u64) -> String {
        format!("version = {version}\n[[rule]]\non = 'a'\neffect = 'permit'\n")
    }

    fn is_same(a: &Ruleset, b: &Ruleset) -> bool {
        std::ptr::eq(a.rules(), b.rules())
    }

    #[test]
    fn reads_a_source_once_and_forgets_the_one_that_was_used_least_lately() {
        let cache = RulesetCache::new(NonZeroUsize::new(2).unwrap());
        let read = |version| cache.from_toml(&source(version)).unwrap();
        let (one, two) = (read(1), read(2));
        assert!(is_same(&one, &read(1)));
        assert!(is_same(&one, &read(1)) && !is_same(&one, &two));
        read(3);
        assert_eq!(cache.len(), 2);
        assert!(is_same(&one, &read(1)), "it was used after the second one");
        assert!(!is_same(&two, &read(2)));
    }

    #[test]
    fn keeps_nothing_of_what_is_refused() {
        let cache = RulesetCache::new(NonZeroUsize::MIN);
        assert!(cache.from_toml("[[rule]]").is_err());
        assert!(cache.is_empty());
    }

    #[cfg(feature = "yaml")]
    #[test]
    fn one_text_in_two_languages_is_two_sources() {
        let cache = RulesetCache::new(NonZeroUsize::new(4).unwrap());
        assert!(cache.from_toml("").is_ok() && cache.from_yaml("").is_ok());
        assert_eq!(cache.len(), 2);
    }
}
