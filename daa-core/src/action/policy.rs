//! What the gate asks of a rule engine.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::context::Context;
use super::memory::PolicyMemory;
use super::obligation::Obligation;
use super::request::Action;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{AgentId, RuleId, StreamId};

/// One question to the rules.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// What is to be done.
    pub action: &'a Action,
    /// What is known beside it.
    pub context: &'a Context,
    /// When it was asked.
    pub now: Timestamp,
    /// What the policy gathered for this decision, of itself and of the world, under names of its own; `None` where
    /// nobody gathered anything. See [`Verdict::given`].
    pub given: Option<&'a Context>,
}

impl<'a> Request<'a> {
    /// A question.
    #[must_use]
    pub const fn new(action: &'a Action, context: &'a Context, now: Timestamp) -> Self {
        Self { action, context, now, given: None }
    }

    /// The same question, with what was gathered for it. With what a [`Verdict`] says it was [given](Verdict::given),
    /// a recorded decision can be made again.
    #[must_use]
    pub const fn with_given(self, given: &'a Context) -> Self {
        Self { given: Some(given), ..self }
    }
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// It may be done.
    Permit,
    /// It may not be done.
    Deny {
        /// Why, for people.
        reason: String,
    },
    /// Somebody else has to decide.
    Escalate {
        /// Why, for people.
        reason: String,
    },
}

/// A decision, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verdict {
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
    /// The content hash of the rules that decided.
    pub ruleset: Digest,
    /// The rules that matched, in the order in which they counted.
    pub rules: Vec<RuleId>,
    /// What the policy had gathered for the decision: what it remembered, and what others told it. With it, the
    /// decision can be made again, and explained.
    #[serde(default, skip_serializing_if = "Context::is_empty")]
    pub given: Context,
    /// What a permission is bound to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obligations: Vec<Obligation>,
    /// The streams in which the policy counts the action, if it is performed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<StreamId>,
    /// What each of them decided, where [several policies](super::AllOf) decided together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartVerdict>,
}

/// What one of several policies decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartVerdict {
    /// The name of the policy among the others.
    pub policy: String,
    /// What it decided.
    pub verdict: Verdict,
}

impl Verdict {
    /// A decision, the content hash of the rules that decided, and those that matched.
    #[must_use]
    pub const fn new(decision: Decision, ruleset: Digest, rules: Vec<RuleId>) -> Self {
        Self {
            decision,
            ruleset,
            rules,
            given: Context::NONE,
            obligations: Vec::new(),
            counts: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// What the policy of this name decided: among others, or alone.
    #[must_use]
    pub fn part(&self, policy: &str) -> &Self {
        self.parts.iter().find(|part| part.policy == policy).map_or(self, |part| part.verdict.part(policy))
    }
}

/// Somebody's approval of an action that the rules left to somebody else. It counts only for the action of this
/// digest, under the rules of this hash, until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Endorsement {
    /// Who approved.
    pub by: AgentId,
    /// The digest of the action that was approved.
    pub subject: Digest,
    /// The rules under which approval was asked for.
    pub ruleset: Digest,
    /// When it was given.
    pub at: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl Endorsement {
    /// An approval.
    #[must_use]
    pub const fn new(
        by: AgentId,
        subject: Digest,
        ruleset: Digest,
        at: Timestamp,
        expires: Timestamp,
    ) -> Self {
        Self { by, subject, ruleset, at, expires }
    }

    /// Whether it lets an action through that the rules left to somebody else.
    pub(super) fn covers(&self, subject: Digest, verdict: &Verdict, now: Timestamp) -> bool {
        matches!(verdict.decision, Decision::Escalate { .. })
            && self.subject == subject
            && self.ruleset == verdict.ruleset
            && now < self.expires
    }
}

/// Decides whether an action may be done. A pure function of the request and of the rules.
///
/// # Contract
/// An implementation must answer the same request under the same ruleset in the same way, must not block, and
/// must answer [`Decision::Deny`] when it cannot decide.
///
/// One whose decisions depend on what it permitted before, or on what others tell it, has a [memory](Self::memory); the
/// gate then asks that, and `decide` is only the last step: from what was [given](Request::given).
pub trait Policy: Send + Sync + fmt::Debug {
    /// Decides.
    fn decide(&self, request: &Request<'_>) -> Verdict;

    /// What remembers earlier decisions; by default nothing does, and that costs nothing.
    fn memory(&self) -> Option<&dyn PolicyMemory> {
        None
    }
}

/// The policy of a gate that was given none: it denies everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct DenyAll;

impl Policy for DenyAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        let reason = "no rules are loaded, and the default is to deny".to_owned();
        let ruleset = Digest::builder("daa empty ruleset v1").finish();
        Verdict::new(Decision::Deny { reason }, ruleset, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endorsement_covers_its_own_subject_under_its_own_rules_until_it_expires() {
        let (subject, ruleset) = (Digest::of(b"subject"), Digest::of(b"rules"));
        let (at, expires) = (Timestamp::from_millis(1), Timestamp::from_millis(10));
        let by = Endorsement::new("bob".parse().unwrap(), subject, ruleset, at, expires);
        let escalated = || Decision::Escalate { reason: "ask".to_owned() };
        let verdict = |decision, ruleset| Verdict::new(decision, ruleset, Vec::new());
        assert!(by.covers(subject, &verdict(escalated(), ruleset), at));
        assert!(!by.covers(Digest::of(b"other"), &verdict(escalated(), ruleset), at));
        assert!(!by.covers(subject, &verdict(escalated(), Digest::of(b"other rules")), at));
        assert!(!by.covers(subject, &verdict(escalated(), ruleset), expires));
        let denied = Decision::Deny { reason: "no".to_owned() };
        assert!(!by.covers(subject, &verdict(denied, ruleset), at));
    }
}
