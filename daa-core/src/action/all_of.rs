//! Several policies that decide together.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::Context;
use super::memory::{Ended, Hold, PolicyChange, PolicyError, PolicyMemory, Standing};
use super::obligation::Obligation;
use super::policy::{Decision, DenyAll, PartVerdict, Policy, Request, Verdict};
use crate::digest::Digest;
use crate::event::StreamWrite;

/// Several policies that all have to permit: *deny* overrides *escalate*, and *escalate* overrides *permit*, as among the
/// rules of one policy. Without any part it denies everything.
///
/// Its verdict names the rules of all parts, the decisive ones first, has a digest that covers the digests of all of them,
/// and keeps what each part decided as [`Verdict::parts`]. Obligations of all parts bind.
///
/// Parts may remember. Two of them must not count in the same stream: of what they permit, nothing would come.
///
/// ```
/// # use std::sync::Arc;
/// # use daa_core::action::{AllOf, Policy};
/// # fn example(rules: Arc<dyn Policy>, authorisation: Arc<dyn Policy>) {
/// let policy = AllOf::new().and("rules", rules).and("authorisation", authorisation);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct AllOf {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
struct Part {
    name: String,
    policy: Arc<dyn Policy>,
}

impl AllOf {
    /// No part yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// One part more, under a name that verdicts tell it by.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, policy: Arc<dyn Policy>) -> Self {
        self.parts.push(Part { name: name.into(), policy });
        self
    }
}

impl Policy for AllOf {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        let verdicts = self.parts.iter().map(|part| {
            let verdict = part.policy.decide(request);
            PartVerdict { policy: part.name.clone(), verdict }
        });
        together(verdicts.collect(), request)
    }

    fn memory(&self) -> Option<&dyn PolicyMemory> {
        self.parts.iter().any(|part| part.policy.memory().is_some()).then_some(self)
    }
}

#[async_trait]
impl PolicyMemory for AllOf {
    async fn begin(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        self.begin_all(false).await
    }

    async fn begin_ending(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        self.begin_all(true).await
    }

    /// It stands as long as no part withdraws it; whichever does says why.
    async fn uphold(&self, request: &Request<'_>) -> Result<Standing, PolicyError> {
        let mut all = Hold::default();
        for memory in self.parts.iter().filter_map(|part| part.policy.memory()) {
            match memory.uphold(request).await? {
                Standing::Stands(hold) => all = all.and(hold),
                withdrawn @ Standing::Withdrawn(_) => return Ok(withdrawn),
            }
        }
        Ok(Standing::Stands(all))
    }
}

impl AllOf {
    async fn begin_all(&self, ending: bool) -> Result<Box<dyn PolicyChange>, PolicyError> {
        let mut parts = Vec::with_capacity(self.parts.len());
        // One after the other and always in this order, so that no two changes wait for each other.
        for Part { name, policy } in &self.parts {
            let change = match policy.memory() {
                Some(memory) if ending => Some(memory.begin_ending().await?),
                Some(memory) => Some(memory.begin().await?),
                None => None,
            };
            let (name, policy) = (name.clone(), Arc::clone(policy));
            parts.push(PartChange { name, policy, change, decided: None });
        }
        Ok(Box::new(AllChange { parts }))
    }
}

#[derive(Debug)]
struct AllChange {
    parts: Vec<PartChange>,
}

#[derive(Debug)]
struct PartChange {
    name: String,
    policy: Arc<dyn Policy>,
    /// Where it remembers something.
    change: Option<Box<dyn PolicyChange>>,
    /// What it decided last, on what it had gathered itself.
    decided: Option<Verdict>,
}

impl AllChange {
    fn changes(&self) -> impl Iterator<Item = &dyn PolicyChange> {
        self.parts.iter().filter_map(|part| part.change.as_deref())
    }
}

#[async_trait]
impl PolicyChange for AllChange {
    fn decides(&self) -> bool {
        self.changes().all(PolicyChange::decides)
    }

    async fn decide(&mut self, request: &Request<'_>) -> Result<Verdict, PolicyError> {
        let mut verdicts = Vec::with_capacity(self.parts.len());
        for part in &mut self.parts {
            let verdict = match &mut part.change {
                Some(change) => change.decide(request).await?,
                None => part.policy.decide(request),
            };
            part.decided = Some(verdict.clone());
            verdicts.push(PartVerdict { policy: part.name.clone(), verdict });
        }
        Ok(together(verdicts, request))
    }

    fn permitted(&mut self, request: &Request<'_>, _: &Verdict) -> Result<(), PolicyError> {
        for part in &mut self.parts {
            if let (Some(change), Some(decided)) = (&mut part.change, part.decided.take())
                && !decided.counts.is_empty()
            {
                change.permitted(request, &decided)?;
            }
        }
        Ok(())
    }

    async fn ended(&mut self, ended: &Ended<'_>) -> Result<(), PolicyError> {
        for change in self.parts.iter_mut().filter_map(|part| part.change.as_mut()) {
            change.ended(ended).await?;
        }
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        self.changes().flat_map(PolicyChange::writes).collect()
    }

    fn confirm(self: Box<Self>) {
        for change in self.parts.into_iter().filter_map(|part| part.change) {
            change.confirm();
        }
    }
}

/// What several verdicts on one request come to.
fn together(parts: Vec<PartVerdict>, request: &Request<'_>) -> Verdict {
    let Some(weakest) = parts.iter().map(|part| rank(&part.verdict.decision)).max() else {
        return DenyAll.decide(request);
    };
    let mut ruleset = Digest::builder("daa all of v1").number(parts.len() as u64);
    for PartVerdict { policy, verdict } in &parts {
        ruleset = ruleset.field(policy.as_bytes()).field(verdict.ruleset.as_bytes());
    }
    // Where two parts have something of one name, the first one's is told here; each has its own among the parts.
    let given = parts.iter().rev().flat_map(|part| part.verdict.given.facts());
    let given = given.fold(Context::NONE, |given, (name, value)| given.with(name.to_owned(), value.clone()));
    let given = given.with_sources(parts.iter().flat_map(|part| part.verdict.given.sources().cloned()));
    let by_rank = |wanted| parts.iter().filter(move |part| rank(&part.verdict.decision) == wanted);
    let decision = by_rank(weakest).next().map_or(Decision::Permit, |part| part.verdict.decision.clone());
    let rules = (0..=weakest).rev().flat_map(by_rank).flat_map(|part| part.verdict.rules.iter().cloned());
    let mut verdict = Verdict::new(decision, ruleset.finish(), rules.collect());
    verdict.given = given;
    // What nobody is to see is kept from view in a denial too, whichever part wants that.
    let binds = |obligation: &&Obligation| weakest < DENIED || matches!(obligation, Obligation::Redact(_));
    let obligations = parts.iter().flat_map(|part| &part.verdict.obligations);
    verdict.obligations = obligations.filter(binds).cloned().collect();
    if weakest < DENIED {
        verdict.counts = parts.iter().flat_map(|part| &part.verdict.counts).cloned().collect();
        let mut seen = BTreeSet::new();
        if let Some(twice) = verdict.counts.iter().find(|stream| !seen.insert(*stream)) {
            let reason = format!("two policies count the action in {twice}");
            verdict.decision = Decision::Deny { reason };
        }
    }
    verdict.parts = parts;
    verdict
}

const DENIED: u8 = 2;

/// The higher overrides the lower.
const fn rank(decision: &Decision) -> u8 {
    match decision {
        Decision::Permit => 0,
        Decision::Escalate { .. } => 1,
        Decision::Deny { .. } => DENIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::Action;
    use crate::clock::Timestamp;
    use crate::id::StreamId;

    /// Says always the same.
    #[derive(Debug)]
    struct Says(Verdict);

    impl Policy for Says {
        fn decide(&self, _: &Request<'_>) -> Verdict {
            self.0.clone()
        }
    }

    fn decision(name: &str) -> Decision {
        let reason = || format!("because {name}");
        match name {
            "permit" => Decision::Permit,
            "escalate" => Decision::Escalate { reason: reason() },
            _ => Decision::Deny { reason: reason() },
        }
    }

    fn says(name: &str, rule: &str) -> Verdict {
        Verdict::new(decision(name), Digest::of(rule.as_bytes()), vec![rule.parse().unwrap()])
    }

    fn decide(verdicts: Vec<Verdict>) -> Verdict {
        let add = |all: AllOf, (n, verdict)| all.and(format!("p{n}"), Arc::new(Says(verdict)));
        let all = verdicts.into_iter().enumerate().fold(AllOf::new(), add);
        let action = Action::new("a".parse().unwrap(), "k".parse().unwrap(), "x".parse().unwrap()).unwrap();
        all.decide(&Request::new(&action, &Context::NONE, Timestamp::EPOCH))
    }

    #[test]
    fn deny_overrides_escalate_and_escalate_overrides_permit() {
        let order = ["permit", "escalate", "deny"];
        for (a, first) in order.iter().enumerate() {
            for (b, second) in order.iter().enumerate() {
                let verdict = decide(vec![says(first, "a"), says(second, "b")]);
                assert_eq!(verdict.decision, decision(order[a.max(b)]), "{first} and {second}");
                let rules: Vec<_> = verdict.rules.iter().map(|rule| rule.as_str()).collect();
                assert_eq!(rules, if b > a { ["b", "a"] } else { ["a", "b"] }, "the decisive one first");
            }
        }
    }

    #[test]
    fn denies_without_any_part() {
        assert!(matches!(decide(Vec::new()).decision, Decision::Deny { .. }));
    }

    #[test]
    fn its_digest_covers_the_rules_of_each_part_and_their_order() {
        let digest = |rules: &[&str]| decide(rules.iter().map(|rule| says("permit", rule)).collect()).ruleset;
        let all =
            [digest(&["a", "b"]), digest(&["b", "a"]), digest(&["a", "c"]), digest(&["a"]), digest(&[])];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
    }

    #[test]
    fn keeps_what_each_part_decided_and_binds_by_the_obligations_of_all() {
        let mut bound = says("permit", "a");
        bound.obligations = vec![Obligation::Log("seen".to_owned())];
        bound.given = Context::new().with("window.daily", 1);
        let mut other = says("escalate", "b");
        other.obligations = vec![Obligation::Log("asked".to_owned())];
        other.given = Context::new().with("window.daily", 2).with("more", 3);
        let verdict = decide(vec![bound.clone(), other.clone()]);
        assert_eq!(verdict.obligations.len(), 2);
        assert_eq!(verdict.given, Context::new().with("window.daily", 1).with("more", 3));
        let parts: Vec<_> = verdict.parts.iter().map(|part| (&*part.policy, &part.verdict)).collect();
        assert_eq!(parts, [("p0", &bound), ("p1", &other)]);
        let back: Verdict = serde_json::from_str(&serde_json::to_string(&verdict).unwrap()).unwrap();
        assert_eq!(back, verdict);
    }

    #[test]
    fn what_one_part_wants_hidden_is_hidden_although_another_denies() {
        let mut hiding = says("permit", "a");
        let hidden = Obligation::Redact(vec!["to".to_owned()]);
        hiding.obligations = vec![Obligation::Log("seen".to_owned()), hidden.clone()];
        assert_eq!(decide(vec![hiding, says("deny", "b")]).obligations, [hidden]);
    }

    #[test]
    fn denies_what_two_parts_would_count_in_one_stream() {
        let counting = |rule| {
            let mut verdict = says("permit", rule);
            verdict.counts = vec![StreamId::new("count").unwrap()];
            verdict
        };
        let verdict = decide(vec![counting("a"), counting("b")]);
        assert_eq!(
            verdict.decision,
            Decision::Deny { reason: "two policies count the action in count".to_owned() }
        );
        assert_eq!(decide(vec![counting("a"), says("permit", "b")]).decision, Decision::Permit);
    }
}
