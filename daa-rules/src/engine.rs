//! Decides by a ruleset, and lets it be replaced while it governs.

mod counts;
mod index;
mod tally;

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use daa_core::action::{
    Decision, Obligation, Policy, PolicyChange, PolicyError, PolicyMemory, Request, Verdict,
};
use daa_core::event::EventStore;

use crate::condition::Budget;
pub(crate) use crate::engine::index::Index;
use crate::engine::tally::{Tally, redaction};
use crate::memory::{Change, Memory};
use crate::provider::Providers;
use crate::ruleset::Ruleset;

/// The rules that govern, as the [`Policy`] of a gate.
///
/// Cheap to clone; all clones share the rules. A decision uses exactly one ruleset, whatever is installed
/// meanwhile, and never waits for a lock.
///
/// Rules that depend on what was permitted before, such as limits over time, need a [memory](Self::with_memory).
#[derive(Clone, Debug)]
pub struct RulesEngine {
    governing: Arc<ArcSwap<Ruleset>>,
    memory: Option<Arc<Memory>>,
    providers: Option<Arc<Providers>>,
}

impl RulesEngine {
    /// What the rules are called among [several policies](daa_core::action::AllOf): under this name explanations and
    /// back-tests find what the rules decided.
    pub const PART: &str = "rules";

    /// Governs by this ruleset.
    #[must_use]
    pub fn new(ruleset: Ruleset) -> Self {
        Self { governing: Arc::new(ArcSwap::from_pointee(ruleset)), memory: None, providers: None }
    }

    /// Remembers what is permitted: counts it in streams of `store`, which must be the gate's own. Without a memory,
    /// what a ruleset counts is unknown, and nothing is permitted that would have to be counted.
    ///
    /// Where a window, or something that is to be seen, is new, the first decision reads the journal of actions and
    /// counts what was permitted before.
    #[must_use]
    pub fn with_memory(self, store: Arc<dyn EventStore>) -> Self {
        Self { memory: Some(Arc::new(Memory::new(store))), ..self }
    }

    /// Asks these for the facts that a ruleset says are provided. Without them such facts are unknown.
    #[must_use]
    pub fn with_providers(self, providers: Providers) -> Self {
        Self { providers: Some(Arc::new(providers)), ..self }
    }

    /// The ruleset that governs.
    #[must_use]
    pub fn ruleset(&self) -> Arc<Ruleset> {
        self.governing.load_full()
    }

    pub(crate) const fn remembers(&self) -> Option<&Arc<Memory>> {
        self.memory.as_ref()
    }

    pub(crate) const fn providers(&self) -> Option<&Arc<Providers>> {
        self.providers.as_ref()
    }

    /// Governs by another ruleset from now on, and returns the one before. A decision that has begun ends under
    /// the ruleset it began with.
    ///
    /// A bad ruleset never comes here: it is refused when it is read, and the old one keeps governing. See
    /// [`install`](Self::install) for a replacement that is on record.
    pub fn replace(&self, ruleset: Ruleset) -> Arc<Ruleset> {
        self.governing.swap(Arc::new(ruleset))
    }

    fn forgetful(&self) -> Box<dyn PolicyChange> {
        Box::new(Change::forgetful(self.governing.load_full(), self.providers.clone()))
    }
}

impl Policy for RulesEngine {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        self.governing.load().decide(request)
    }

    fn memory(&self) -> Option<&dyn PolicyMemory> {
        (self.memory.is_some() || self.providers.is_some()).then_some(self)
    }
}

#[async_trait]
impl PolicyMemory for RulesEngine {
    async fn begin(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        match &self.memory {
            Some(memory) => memory.begin(&self.governing, self.providers.as_ref()).await,
            None => Ok(self.forgetful()),
        }
    }

    async fn begin_ending(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        Ok(match &self.memory {
            Some(memory) => memory.begin_ending(&self.governing, self.providers.as_ref()).await,
            None => self.forgetful(),
        })
    }
}

impl Ruleset {
    /// Decides by these rules alone: a pure function of the request, and of what was
    /// [given](Request::with_given) for it.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>) -> Verdict {
        let mut budget = Budget::new();
        let (counting, others) = self.index().counting(request);
        let tally = self.tally(counting, request, &mut budget);
        // Where nothing counts, it is told what could not be decided.
        if others && tally.is_empty() {
            return self.decide_among(self.index().candidates(request), request);
        }
        self.verdict(&tally, request, &mut budget)
    }

    /// Decides by the rules at these places.
    fn decide_among(&self, places: impl Iterator<Item = usize>, request: &Request<'_>) -> Verdict {
        let mut budget = Budget::new();
        let tally = self.tally(places, request, &mut budget);
        self.verdict(&tally, request, &mut budget)
    }

    fn tally(
        &self,
        places: impl Iterator<Item = usize>,
        request: &Request<'_>,
        budget: &mut Budget,
    ) -> Tally<'_> {
        let mut tally = Tally::default();
        for rule in places.filter_map(|at| self.rules().get(at)) {
            tally.add(rule, rule.holds(request, budget));
        }
        tally
    }

    fn verdict(&self, tally: &Tally<'_>, request: &Request<'_>, budget: &mut Budget) -> Verdict {
        let decision = tally.decision(request.action.kind());
        let mut verdict = Verdict::new(decision, self.digest(), tally.rules());
        if !matches!(verdict.decision, Decision::Deny { .. }) {
            match tally.obligations(request) {
                Ok(obligations) => verdict.obligations = obligations,
                Err(reason) => verdict.decision = Decision::Deny { reason },
            }
        }
        let mut verdict = self.counted(verdict, request, budget);
        // What is not permitted need not be what its rules expect: a condition that does not hold says nothing of what is
        // to be hidden, so all rules about the kind do.
        if !matches!(verdict.decision, Decision::Permit) {
            let kind = request.action.kind();
            let is_denied = matches!(verdict.decision, Decision::Deny { .. });
            verdict.obligations.retain(|duty| !is_denied && !matches!(duty, Obligation::Redact(_)));
            verdict.obligations.extend(redaction(self.redacting().filter(|rule| rule.on().matches(kind))));
        }
        verdict
    }
}

#[cfg(test)]
mod tests;
