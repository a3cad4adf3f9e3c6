//! What a policy holds on to while a decision of its becomes durable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use daa_core::action::{
    AllOf, Context, Decision, Ended, GateError, Hold, Policy, PolicyChange, PolicyError, PolicyMemory,
    Request, Standing, Verdict,
};
use daa_core::clock::ManualClock;
use daa_core::digest::Digest;
use daa_core::event::{MemoryEventStore, StreamWrite};

use crate::gate_world::{Does, Mortal, Outside, action, gate_with, history};

/// A policy that counts nothing, and whose changes are to live until what they decided is durable: what they rest on may
/// be taken away when they are gone.
#[derive(Debug)]
struct Rests {
    decision: Decision,
    alive: Arc<AtomicUsize>,
    /// Whether it does not stand by what it permitted.
    withdrawn: AtomicBool,
}

#[derive(Debug)]
struct Change {
    decision: Decision,
    _alive: Alive,
}

/// Counts as one as long as it is held.
#[derive(Debug)]
struct Alive(Arc<AtomicUsize>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Rests {
    fn verdict(decision: &Decision) -> Verdict {
        Verdict::new(decision.clone(), Digest::of(b"rests"), Vec::new())
    }

    fn that(decision: Decision) -> Self {
        Self { decision, alive: Arc::default(), withdrawn: AtomicBool::new(false) }
    }

    fn alive(&self) -> Alive {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Alive(self.alive.clone())
    }

    fn change(&self) -> Box<dyn PolicyChange> {
        Box::new(Change { decision: self.decision.clone(), _alive: self.alive() })
    }
}

impl Policy for Rests {
    fn decide(&self, _: &Request<'_>) -> Verdict {
        Self::verdict(&self.decision)
    }

    fn memory(&self) -> Option<&dyn PolicyMemory> {
        Some(self)
    }
}

#[async_trait]
impl PolicyMemory for Rests {
    async fn begin(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        Ok(self.change())
    }

    async fn begin_ending(&self) -> Result<Box<dyn PolicyChange>, PolicyError> {
        Ok(self.change())
    }

    async fn uphold(&self, _: &Request<'_>) -> Result<Standing, PolicyError> {
        if self.withdrawn.load(Ordering::SeqCst) {
            let no = Decision::Deny { reason: "withdrawn".to_owned() };
            return Ok(Standing::Withdrawn(Box::new(Self::verdict(&no))));
        }
        Ok(Standing::Stands(Hold::of(self.alive())))
    }
}

#[async_trait]
impl PolicyChange for Change {
    fn decides(&self) -> bool {
        true
    }

    async fn decide(&mut self, _: &Request<'_>) -> Result<Verdict, PolicyError> {
        Ok(Rests::verdict(&self.decision))
    }

    fn permitted(&mut self, _: &Request<'_>, _: &Verdict) -> Result<(), PolicyError> {
        Ok(())
    }

    async fn ended(&mut self, _: &Ended<'_>) -> Result<(), PolicyError> {
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        Vec::new()
    }

    fn confirm(self: Box<Self>) {}
}

#[tokio::test]
async fn what_a_decision_rests_on_is_held_until_it_is_durable_though_nothing_is_counted() {
    for decision in [Decision::Permit, Decision::Deny { reason: "no".to_owned() }] {
        let rules = Arc::new(Rests::that(decision));
        let alive = rules.alive.clone();
        let (seen, at_append) = (alive.clone(), Arc::new(AtomicUsize::new(0)));
        let noted = at_append.clone();
        let store = Mortal::watched(Arc::new(MemoryEventStore::new()), move |kinds| {
            if kinds.iter().any(|kind| kind == "action.permitted.v1" || kind == "action.withheld.v1") {
                noted.store(seen.load(Ordering::SeqCst), Ordering::SeqCst);
            }
        });
        let gate = gate_with(store.clone(), &ManualClock::default(), rules);
        let _ = gate.submit(action("p1"), Context::new(), &Outside::that(Does::Succeeds(0))).await;
        assert!(!history(&*store, "p1").await.is_empty());
        assert_eq!(at_append.load(Ordering::SeqCst), 1, "while the decision was appended");
        assert_eq!(alive.load(Ordering::SeqCst), 0, "and let go then");
    }
}

#[tokio::test]
async fn a_permission_is_held_while_it_is_used_and_cannot_be_used_when_it_was_withdrawn() {
    let rules = Arc::new(Rests::that(Decision::Permit));
    let (seen, at_attempt) = (rules.alive.clone(), Arc::new(AtomicUsize::new(0)));
    let noted = at_attempt.clone();
    let store = Mortal::watched(Arc::new(MemoryEventStore::new()), move |kinds| {
        if kinds == ["action.attempted.v1"] {
            noted.store(seen.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    });
    // Among several policies any one of them can withdraw.
    let all = AllOf::new().and("one", rules.clone()).and("other", Arc::new(Rests::that(Decision::Permit)));
    let gate = gate_with(store.clone(), &ManualClock::default(), Arc::new(all));
    let outside = Outside::that(Does::Succeeds(0));
    let permit = gate.authorize(action("p1"), Context::new()).await.unwrap();
    gate.perform(permit, &outside).await.unwrap();
    assert_eq!(at_attempt.load(Ordering::SeqCst), 1, "while the attempt was appended");
    let unused = gate.authorize(action("p2"), Context::new()).await.unwrap();
    let _kept = gate.authorize(action("p3"), Context::new()).await.unwrap();
    rules.withdrawn.store(true, Ordering::SeqCst);
    let error = gate.perform(unused, &outside).await.unwrap_err();
    assert!(matches!(&error, GateError::Denied { reason, .. } if reason == "withdrawn"), "{error}");
    let error = gate.submit(action("p3"), Context::new(), &outside).await.unwrap_err();
    assert!(matches!(error, GateError::Denied { .. }), "{error}");
    for id in ["p2", "p3"] {
        assert_eq!(history(&*store, id).await, ["action.permitted.v1", "action.expired.v1"]);
    }
    assert_eq!(outside.calls(), 1);
    assert_eq!(rules.alive.load(Ordering::SeqCst), 0);
}
