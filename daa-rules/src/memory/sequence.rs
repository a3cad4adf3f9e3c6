//! Sequences: what was done lately, in an order, before the action at hand.

use daa_core::action::Request;
use daa_core::digest::{Digest, DigestBuilder};
use daa_core::id::ActionKind;
use serde::{Deserialize, Serialize};

use super::event::Entry;
use super::extent::Extent;
use crate::condition::{Budget, Condition, Indeterminate, Key};
use crate::pattern::KindPattern;

/// Steps that come one after the other. The last one is the action at hand.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    /// What came before, the first one first. One that is to be there several times is here several times.
    pub(crate) before: Vec<Step>,
    pub(crate) last: Last,
    /// How long ago the first step may have been.
    pub(crate) within: Extent,
    /// Whether nothing that the sequence speaks of may lie between.
    pub(crate) in_a_row: bool,
}

/// One step that was done before.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) on: KindPattern,
    pub(crate) when: Option<Condition>,
    pub(crate) outcome: Wanted,
    /// What has to be the same as in the last step, and what has to be another.
    pub(crate) ties: Vec<Tie>,
}

/// What an action of a step has to have in common with the last one.
#[derive(Clone, Debug)]
pub(crate) struct Tie {
    pub(crate) of: Condition,
    pub(crate) same: bool,
}

/// The action at hand.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) on: KindPattern,
    pub(crate) when: Option<Condition>,
}

/// How an action of a step has to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It may still be under way.
    Any,
    Succeeded,
    Failed,
}

impl Wanted {
    pub(crate) const NAMES: &'static str = "any, succeeded, failed";

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "any" => Self::Any,
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// Which steps an action can stand for, and what it has for their ties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trace {
    pub(crate) steps: Vec<Traced>,
    /// Whether it is known to have taken no effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) failed: bool,
}

/// One step that an action can stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Traced {
    /// Its place among the steps.
    pub(crate) step: usize,
    /// A hash of what each of its ties comes to: they are only ever compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ties: Vec<Digest>,
}

impl Sequence {
    /// Whether it speaks of actions of this kind.
    pub(crate) fn matches(&self, kind: &ActionKind) -> bool {
        self.last.on.matches(kind) || self.before.iter().any(|step| step.on.matches(kind))
    }

    /// Everything that is written down for it.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = &Condition> {
        let steps =
            self.before.iter().flat_map(|step| step.when.iter().chain(step.ties.iter().map(|tie| &tie.of)));
        steps.chain(&self.last.when)
    }

    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        self.within.describe(out);
        out.add(if self.in_a_row { b"in a row" } else { b"followed by" });
        out.add(&(self.before.len() as u64).to_le_bytes());
        for step in &self.before {
            described(&step.on, step.when.as_ref(), out);
            out.add(step.outcome.name().as_bytes());
            out.add(&(step.ties.len() as u64).to_le_bytes());
            for tie in &step.ties {
                out.add(if tie.same { b"same" } else { b"other" });
                tie.of.digest(out);
            }
        }
        described(&self.last.on, self.last.when.as_ref(), out);
    }

    /// Which steps the action can stand for; `None` where the sequence does not speak of it.
    pub(crate) fn trace(
        &self,
        request: &Request<'_>,
        budget: &mut Budget,
    ) -> Result<Option<Trace>, Indeterminate> {
        let mut steps = Vec::new();
        for (step, of) in self.before.iter().enumerate() {
            if holds(&of.on, of.when.as_ref(), request, budget)? {
                steps.push(Traced { step, ties: ties(of, request, budget)? });
            }
        }
        // What lies between two steps is written down only where it matters.
        let between = self.in_a_row && holds(&self.last.on, self.last.when.as_ref(), request, budget)?;
        Ok((between || !steps.is_empty()).then_some(Trace { steps, failed: false }))
    }

    /// Whether the action at hand is the last step of the sequence, in view of what was done before, the earliest
    /// first; `None` where that depends on actions that have not ended. Everything that was done is within its time.
    pub(crate) fn completes<'e>(
        &self,
        done: impl Iterator<Item = &'e Entry> + Clone,
        request: &Request<'_>,
        budget: &mut Budget,
    ) -> Result<Option<bool>, Indeterminate> {
        if !holds(&self.last.on, self.last.when.as_ref(), request, budget)? {
            return Ok(Some(false));
        }
        let mut wanted = Vec::with_capacity(self.before.len());
        for step in &self.before {
            wanted.push(ties(step, request, budget)?);
        }
        let run = |open| self.runs(done.clone(), &wanted, open);
        Ok(match (run(false), run(true)) {
            (true, _) => Some(true),
            (false, false) => Some(false),
            // If what is open ends as it has to, it is; otherwise it is not.
            (false, true) => None,
        })
    }

    /// Runs over what was done: a machine whose state is how many steps were seen. Where actions may lie between, the
    /// earliest that will do for a step is as good as any. `open`: whether what has not ended ends as it has to.
    fn runs<'e>(&self, done: impl Iterator<Item = &'e Entry>, wanted: &[Vec<Digest>], open: bool) -> bool {
        if self.in_a_row {
            let done: Vec<&Entry> = done.collect();
            let tail = done.len().checked_sub(self.before.len()).and_then(|skipped| done.get(skipped..));
            let all =
                |tail: &[&Entry]| tail.iter().enumerate().all(|(at, entry)| self.is(at, entry, wanted, open));
            return tail.is_some_and(all);
        }
        let mut seen = 0;
        for entry in done {
            if seen < self.before.len() && self.is(seen, entry, wanted, open) {
                seen += 1;
            }
        }
        seen == self.before.len()
    }

    fn is(&self, at: usize, entry: &Entry, wanted: &[Vec<Digest>], open: bool) -> bool {
        let (Some(step), Some(wanted), Some(trace)) = (self.before.get(at), wanted.get(at), &entry.trace)
        else {
            return false;
        };
        let ended = match step.outcome {
            Wanted::Any => true,
            _ if entry.open => open,
            Wanted::Succeeded => !trace.failed,
            Wanted::Failed => trace.failed,
        };
        let Some(traced) = trace.steps.iter().find(|traced| traced.step == at) else { return false };
        let tied = step.ties.len() == traced.ties.len()
            && step.ties.iter().zip(&traced.ties).zip(wanted).all(|((tie, was), is)| (was == is) == tie.same);
        ended && tied
    }
}

fn described(on: &KindPattern, when: Option<&Condition>, out: &mut DigestBuilder) {
    out.add(on.to_string().as_bytes());
    match when {
        None => out.add(b"always"),
        Some(when) => {
            out.add(b"when");
            when.digest(out);
        }
    }
}

fn holds(
    on: &KindPattern,
    when: Option<&Condition>,
    request: &Request<'_>,
    budget: &mut Budget,
) -> Result<bool, Indeterminate> {
    if !on.matches(request.action.kind()) {
        return Ok(false);
    }
    when.map_or(Ok(true), |when| when.holds(request, budget))
}

fn ties(step: &Step, request: &Request<'_>, budget: &mut Budget) -> Result<Vec<Digest>, Indeterminate> {
    step.ties.iter().map(|tie| tie.of.key(request, budget).map(|key| hashed(&key))).collect()
}

fn hashed(key: &Key) -> Digest {
    let out = Digest::builder("daa rules sequence tie v1");
    match key {
        Key::Text(text) => out.field(b"text").field(text.as_bytes()),
        Key::Int(int) => out.field(b"int").field(&int.to_le_bytes()),
        Key::Bool(bool) => out.field(b"bool").field(&[u8::from(*bool)]),
    }
    .finish()
}
