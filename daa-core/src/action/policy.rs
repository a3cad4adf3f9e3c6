//! What the gate asks of a rule engine.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::request::{Action, Context};
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::id::{AgentId, RuleId};

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
}

impl<'a> Request<'a> {
    /// A question.
    #[must_use]
    pub const fn new(action: &'a Action, context: &'a Context, now: Timestamp) -> Self {
        Self { action, context, now }
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
pub struct Verdict {
    /// What was decided.
    #[serde(flatten)]
    pub decision: Decision,
    /// The content hash of the rules that decided.
    pub ruleset: Digest,
    /// The rules that matched, in the order in which they counted.
    pub rules: Vec<RuleId>,
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
pub trait Policy: Send + Sync + fmt::Debug {
    /// Decides.
    fn decide(&self, request: &Request<'_>) -> Verdict;
}

/// The policy of a gate that was given none: it denies everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct DenyAll;

impl Policy for DenyAll {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Verdict {
            decision: Decision::Deny { reason: "no rules are loaded, and the default is to deny".to_owned() },
            ruleset: Digest::builder("daa empty ruleset v1").finish(),
            rules: Vec::new(),
        }
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
        let verdict = |decision, ruleset| Verdict { decision, ruleset, rules: Vec::new() };
        assert!(by.covers(subject, &verdict(escalated(), ruleset), at));
        assert!(!by.covers(Digest::of(b"other"), &verdict(escalated(), ruleset), at));
        assert!(!by.covers(subject, &verdict(escalated(), Digest::of(b"other rules")), at));
        assert!(!by.covers(subject, &verdict(escalated(), ruleset), expires));
        let denied = Decision::Deny { reason: "no".to_owned() };
        assert!(!by.covers(subject, &verdict(denied, ruleset), at));
    }
}
