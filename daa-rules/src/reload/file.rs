//! The rules of a file.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::Clock;
use daa_core::digest::Digest;
use daa_core::event::EventStore;
use daa_core::shutdown::Shutdown;

use super::{RefusedRuleset, Reload, wait};
use crate::engine::RulesEngine;
use crate::ruleset::Ruleset;

/// Lets the rules of a file govern, and those that replace them in the file.
///
/// A file that is being written while it is looked at may be half there: it is refused then, and accepted at the next
/// look. Better to write another file and rename it.
#[derive(Debug)]
pub struct RulesFile {
    path: PathBuf,
    engine: RulesEngine,
    clock: Arc<dyn Clock>,
    store: Option<Arc<dyn EventStore>>,
    /// What the file brought last. What it says again after it was gone, or wrong, for a while is not new, and others may
    /// have installed what is.
    brought: Option<Digest>,
    /// What was wrong with it at the last look, so that the same is told once.
    wrong: Option<String>,
}

impl RulesFile {
    /// Follows this file, whose extension says what it is written in.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, engine: RulesEngine, clock: Arc<dyn Clock>) -> Self {
        Self { path: path.into(), engine, clock, store: None, brought: None, wrong: None }
    }

    /// Puts what the file brings on record before it governs, so that those who [follow](super::RulesFollower) the store
    /// switch to it too.
    #[must_use]
    pub fn with_store(self, store: Arc<dyn EventStore>) -> Self {
        Self { store: Some(store), ..self }
    }

    /// Looks at the file, and lets its rules govern if they are new and right. Reads the file on the calling thread.
    ///
    /// # Cancel safety
    /// A dropped call may have put the rules on record without letting them govern; the next one does.
    pub async fn look(&mut self) -> Reload {
        let ruleset = match Ruleset::from_file(&self.path) {
            Ok(ruleset) => ruleset,
            Err(error) => {
                let wrong = Some(error.to_string());
                if self.wrong == wrong {
                    return Reload::Unchanged;
                }
                self.wrong = wrong;
                return Reload::Refused(error.into());
            }
        };
        self.wrong = None;
        let (before, now) = (self.engine.ruleset().digest(), ruleset.digest());
        if self.brought == Some(now) || (self.brought.is_none() && before == now && self.store.is_none()) {
            self.brought = Some(now);
            return Reload::Unchanged;
        }
        match &self.store {
            Some(store) => {
                if let Err(error) = self.engine.install(&**store, ruleset, self.clock.now()).await {
                    // To be tried again: it was not brought.
                    return Reload::Refused(RefusedRuleset::Install(error));
                }
            }
            None => drop(self.engine.replace(ruleset)),
        }
        self.brought = Some(now);
        if before == now { Reload::Unchanged } else { Reload::Switched { before, now } }
    }

    /// Looks at the file again and again, and tells `report` what is not [`Reload::Unchanged`].
    ///
    /// # Cancel safety
    /// As [`Self::look`].
    pub async fn follow(
        mut self,
        every: Duration,
        mut shutdown: Shutdown,
        mut report: impl FnMut(&Reload) + Send,
    ) {
        let clock = Arc::clone(&self.clock);
        loop {
            match self.look().await {
                Reload::Unchanged => {}
                news => report(&news),
            }
            if !wait(&*clock, every, &mut shutdown).await {
                return;
            }
        }
    }
}
