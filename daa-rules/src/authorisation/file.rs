//! The policies of files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::Clock;
use daa_core::digest::Digest;
use daa_core::id::AgentId;
use daa_core::shutdown::Shutdown;

use super::authoriser::Authoriser;
use super::error::AuthorisationError;
use super::policies::Policies;
use crate::reload::wait;

/// Lets the policies of a file govern, and those that replace them in the file.
///
/// What it brings is put on record before it governs, so every process on the store switches to it. A file that is being
/// written while it is looked at may be half there: it is refused then, and accepted at the next look. Better to write
/// another file and rename it.
#[derive(Debug)]
pub struct PoliciesFile {
    policies: PathBuf,
    schema: Option<PathBuf>,
    authoriser: Authoriser,
    clock: Arc<dyn Clock>,
    by: AgentId,
    /// What the last look found, so that the same is told once.
    seen: Option<Result<Digest, String>>,
}

/// What a look at the files has brought.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoliciesReload {
    /// Nothing new.
    Unchanged,
    /// Other policies govern from now on.
    Switched {
        /// The hash of those before.
        before: Digest,
        /// The hash of those that govern.
        now: Digest,
    },
    /// What is new is not accepted, and the policies before it keep governing.
    Refused(AuthorisationError),
}

impl PoliciesFile {
    /// Follows a file of policies, in the name of whoever may write it.
    #[must_use]
    pub fn new(
        policies: impl Into<PathBuf>,
        authoriser: Authoriser,
        clock: Arc<dyn Clock>,
        by: AgentId,
    ) -> Self {
        Self { policies: policies.into(), schema: None, authoriser, clock, by, seen: None }
    }

    /// Follows a file with the program's own schema too.
    #[must_use]
    pub fn with_schema(self, schema: impl Into<PathBuf>) -> Self {
        Self { schema: Some(schema.into()), ..self }
    }

    /// Looks at the files, and lets their policies govern if they are new and right. Reads them on the calling thread.
    ///
    /// # Cancel safety
    /// Safe; the next look goes on.
    pub async fn look(&mut self) -> PoliciesReload {
        let policies = match Policies::from_files(&self.policies, self.schema.as_deref()) {
            Ok(policies) => policies,
            Err(error) => {
                let found = Some(Err(error.to_string()));
                if self.seen == found {
                    return PoliciesReload::Unchanged;
                }
                self.seen = found;
                return PoliciesReload::Refused(error.into());
            }
        };
        let now = policies.digest();
        if self.seen == Some(Ok(now)) {
            return PoliciesReload::Unchanged;
        }
        let before = match self.authoriser.refresh().await {
            Ok(governing) => governing.policies().digest(),
            Err(error) => return PoliciesReload::Refused(error),
        };
        if before != now
            && let Err(error) = self.authoriser.install(policies, &self.by, self.clock.now()).await
        {
            // The entities may fit, or the store may be there, at the next look.
            return PoliciesReload::Refused(error);
        }
        self.seen = Some(Ok(now));
        if before == now { PoliciesReload::Unchanged } else { PoliciesReload::Switched { before, now } }
    }

    /// Looks at the files again and again, and tells `report` what is not [`PoliciesReload::Unchanged`].
    ///
    /// # Cancel safety
    /// As [`Self::look`].
    pub async fn follow(
        mut self,
        every: Duration,
        mut shutdown: Shutdown,
        mut report: impl FnMut(&PoliciesReload) + Send,
    ) {
        let clock = Arc::clone(&self.clock);
        loop {
            match self.look().await {
                PoliciesReload::Unchanged => {}
                news => report(&news),
            }
            if !wait(&*clock, every, &mut shutdown).await {
                return;
            }
        }
    }
}
