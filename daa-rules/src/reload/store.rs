//! The rules that were installed last, by whatever process.

use std::sync::Arc;
use std::time::Duration;

use daa_core::clock::Clock;
use daa_core::digest::Digest;
use daa_core::event::{EventStore, PageSize, ReadError, RecordedEvent, Version};
use daa_core::id::StreamId;
use daa_core::shutdown::Shutdown;

use super::{RefusedRuleset, Reload, wait};
use crate::engine::RulesEngine;
use crate::event::{FORMAT, RULES_STREAM, RulesetEvent, Written};
use crate::limits::Limits;
use crate::ruleset::Ruleset;

/// How many rulesets are looked at, the last one first, until one is accepted.
const LOOKED_AT: usize = 64;

/// Lets the rules govern that were [installed](RulesEngine::install) last in a store.
///
/// Only the last ruleset is read and compiled; where it is not accepted, the one before it, and so on, up to 64 of them.
#[derive(Debug)]
pub struct RulesFollower {
    store: Arc<dyn EventStore>,
    engine: RulesEngine,
    stream: StreamId,
    read: Version,
}

/// A ruleset that was installed, wherever its source is.
#[derive(Clone, Copy, Debug)]
struct Installed {
    digest: Digest,
    written: Option<Written>,
    at: Version,
}

impl RulesFollower {
    /// Follows a store from its beginning: the first look finds what governs there.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a constant of the id alphabet")]
    pub fn new(engine: RulesEngine, store: Arc<dyn EventStore>) -> Self {
        let stream = StreamId::new(RULES_STREAM).expect("a constant name is an id");
        Self { store, engine, stream, read: Version::EMPTY }
    }

    /// Reads what was installed since the last look, and lets the last ruleset govern that is accepted. What came last
    /// and is not accepted is told, once, and what governs keeps governing.
    ///
    /// # Errors
    /// [`ReadError`] when the store cannot be read.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn look(&mut self) -> Result<Reload, ReadError> {
        let (news, read) = self.news().await?;
        let (mut refused, mut accepted) = (None, None);
        for news in news.into_iter().rev() {
            let found = match news {
                Ok(installed) => self.installed(installed).await?,
                Err(error) => Err(error),
            };
            match found {
                Ok(ruleset) => {
                    accepted = Some(ruleset);
                    break;
                }
                // What came last is what somebody has to know about.
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        self.read = read;
        let before = self.engine.ruleset().digest();
        let switched = accepted.flatten().filter(|ruleset| ruleset.digest() != before).map(|ruleset| {
            let now = ruleset.digest();
            self.engine.replace(ruleset);
            Reload::Switched { before, now }
        });
        Ok(match (refused, switched) {
            (Some(refused), _) => Reload::Refused(refused),
            (None, Some(switched)) => switched,
            (None, None) => Reload::Unchanged,
        })
    }

    /// What was installed since the last look, as far as it matters, and up to where was read.
    async fn news(&self) -> Result<(Vec<Result<Installed, RefusedRuleset>>, Version), ReadError> {
        let (mut news, mut read) = (Vec::new(), self.read);
        loop {
            let page = self.store.read_stream(&self.stream, read, PageSize::default()).await?;
            let Some(last) = page.last() else { return Ok((news, read)) };
            read = last.version;
            for event in &page {
                match RulesetEvent::read(event) {
                    Ok(Some(RulesetEvent::Installed { digest, written, .. })) => {
                        news.push(Ok(Installed { digest, written, at: event.version }));
                    }
                    Ok(_) => {}
                    Err(error) => news.push(Err(error.into())),
                }
            }
            news.drain(..news.len().saturating_sub(LOOKED_AT));
        }
    }

    /// The ruleset; `None` where it governs already.
    async fn installed(
        &self,
        Installed { digest, written, at }: Installed,
    ) -> Result<Result<Option<Ruleset>, RefusedRuleset>, ReadError> {
        if self.engine.ruleset().digest() == digest {
            return Ok(Ok(None));
        }
        let Some(written) = written else { return Ok(Err(RefusedRuleset::NoSource { digest })) };
        if written.format > FORMAT {
            return Ok(Err(RefusedRuleset::TooNew { format: written.format }));
        }
        let Some(source) = self.source(written, at).await? else {
            return Ok(Err(RefusedRuleset::NoSource { digest }));
        };
        let ruleset = source.and_then(|source| {
            let ruleset = Ruleset::read(written.language, &source)?;
            let found = ruleset.digest();
            if found == digest {
                Ok(Some(ruleset))
            } else {
                Err(RefusedRuleset::OtherSource { digest, found })
            }
        });
        Ok(ruleset)
    }

    /// What was written down right before a ruleset was installed; `None` where there are not so many parts, or more
    /// than a source may have.
    async fn source(
        &self,
        written: Written,
        at: Version,
    ) -> Result<Option<Result<String, RefusedRuleset>>, ReadError> {
        let parts = u64::try_from(written.parts).unwrap_or(u64::MAX);
        let Some(mut after) = at.get().checked_sub(1).and_then(|before| before.checked_sub(parts)) else {
            return Ok(None);
        };
        let mut source = String::new();
        while after + 1 < at.get() {
            let left = usize::try_from(at.get() - 1 - after).unwrap_or(usize::MAX);
            let page = self.store.read_stream(&self.stream, Version::new(after), PageSize::new(left)).await?;
            let Some(last) = page.last() else { return Ok(None) };
            after = last.version.get();
            for event in page.iter().filter(|event| event.version < at) {
                match part(event) {
                    Ok(Some(text)) if source.len() + text.len() <= Limits::SOURCE => source += &text,
                    Ok(_) => return Ok(None),
                    Err(error) => return Ok(Some(Err(error))),
                }
            }
        }
        Ok(Some(Ok(source)))
    }

    /// Looks again and again, and tells `report` what is not [`Reload::Unchanged`]. While the store cannot be read, the
    /// rules stay as they are.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn follow(
        mut self,
        clock: Arc<dyn Clock>,
        every: Duration,
        mut shutdown: Shutdown,
        mut report: impl FnMut(Result<Reload, ReadError>) + Send,
    ) {
        loop {
            match self.look().await {
                Ok(Reload::Unchanged) => {}
                news => report(news),
            }
            if !wait(&*clock, every, &mut shutdown).await {
                return;
            }
        }
    }
}

/// The text of a part; `None` for what is none.
fn part(event: &RecordedEvent) -> Result<Option<String>, RefusedRuleset> {
    Ok(match RulesetEvent::read(event)? {
        Some(RulesetEvent::Source { text }) => Some(text),
        _ => None,
    })
}
