//! Every decision, and every ruleset that governs, is on record.

use std::sync::Arc;

use async_trait::async_trait;
use daa_core::action::{
    ActionEvent, Authorized, Context, Decision, ExecuteError, Executor, Gate, GateError, Outcome,
};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, PageSize, Position, ReadError, RecordedEvent,
    Subscription, Version,
};
use daa_core::id::StreamId;
use daa_rules::{InstallError, Language, RULES_STREAM, RulesEngine, Ruleset, RulesetEvent};
use serde_json::json;

use crate::free_action;

struct Greeter;

#[async_trait]
impl Executor for Greeter {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        Ok(Outcome::new(format!("hello from {}", action.actor())))
    }
}

async fn decisions(store: &dyn EventStore) -> Vec<ActionEvent> {
    let all = store.read_all(Position::START, PageSize::default()).await.unwrap();
    all.iter().filter_map(|event| ActionEvent::read(event).unwrap()).collect()
}

#[tokio::test]
async fn every_decision_is_an_event_with_the_rules_it_rests_on() {
    let rules = Ruleset::from_toml("[[rule]]\non = 'greet'\neffect = 'permit'\n").unwrap();
    let digest = rules.digest();
    let store = Arc::new(MemoryEventStore::new());
    let engine = Arc::new(RulesEngine::new(rules));
    let gate = Gate::builder(store.clone(), Arc::new(ManualClock::default())).with_policy(engine).build();

    let done = gate.submit(free_action("greet", json!({})), Context::new(), &Greeter).await.unwrap();
    assert_eq!(done.outcome.output, json!("hello from alice"));
    let other = daa_core::action::Action::new(
        "a-2".parse().unwrap(),
        "shout".parse().unwrap(),
        "alice".parse().unwrap(),
    );
    let denied = gate.submit(other.unwrap(), Context::new(), &Greeter).await.unwrap_err();
    assert!(matches!(denied, GateError::Denied { reason, .. } if reason == "no rule permits shout"));

    let events = decisions(&*store).await;
    let [
        ActionEvent::Permitted { verdict: permitted, .. },
        ActionEvent::Attempted { .. },
        ActionEvent::Succeeded { .. },
        ActionEvent::Withheld { verdict: withheld, .. },
    ] = events.as_slice()
    else {
        panic!("other events: {events:?}")
    };
    assert_eq!((permitted.ruleset, &permitted.decision), (digest, &Decision::Permit));
    assert_eq!(permitted.rules, ["rule-1".parse().unwrap()]);
    assert_eq!((withheld.ruleset, withheld.rules.as_slice()), (digest, [].as_slice()));
}

#[tokio::test]
async fn a_ruleset_governs_once_it_is_on_record() {
    let store = MemoryEventStore::new();
    let engine = RulesEngine::new(Ruleset::from_toml("").unwrap());
    let rules =
        Ruleset::from_toml("name = 'house'\nversion = 2\n[[rule]]\non = 'greet'\neffect = 'permit'\n")
            .unwrap();
    let digest = rules.digest();
    let at = engine.install(&store, rules, Timestamp::EPOCH).await.unwrap();
    assert_eq!(at, Position::new(2));
    assert_eq!(engine.ruleset().digest(), digest);
    let stream = StreamId::new(RULES_STREAM).unwrap();
    let events = store.read_stream(&stream, Version::EMPTY, PageSize::default()).await.unwrap();
    let read = |at: usize| RulesetEvent::read(&events[at]).unwrap().unwrap();
    assert_eq!(read(0), RulesetEvent::Source { text: engine.ruleset().source().to_owned() });
    let RulesetEvent::Installed { name, version, digest: recorded, rules, written: Some(written) } = read(1)
    else {
        panic!("{:?}", read(1))
    };
    assert_eq!((name.as_str(), version, recorded, rules), ("house", 2, digest, 1));
    assert_eq!((written.format, written.language, written.parts), (1, Language::Toml, 1));
}

/// A store on a disk that is full.
#[derive(Debug)]
struct Full;

#[async_trait]
impl EventStore for Full {
    async fn append(&self, _: Batch) -> Result<Appended, AppendError> {
        Err(AppendError::Full { source: "no space left".into() })
    }

    async fn read_stream(
        &self,
        _: &StreamId,
        _: Version,
        _: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        Err(ReadError::Closed)
    }

    async fn read_all(&self, _: Position, _: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        Err(ReadError::Closed)
    }

    async fn subscribe(&self, _: Position) -> Result<Subscription, ReadError> {
        Err(ReadError::Closed)
    }

    async fn erase(&self, _: &StreamId, _: Version) -> Result<u64, AppendError> {
        Err(AppendError::ReadOnly)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Err(ReadError::Closed)
    }

    async fn close(&self) {}
}

#[tokio::test]
async fn a_ruleset_that_cannot_be_recorded_does_not_govern() {
    let engine = RulesEngine::new(Ruleset::from_toml("name = 'old'").unwrap());
    let rules = Ruleset::from_toml("name = 'new'").unwrap();
    let refused = engine.install(&Full, rules, Timestamp::EPOCH).await.unwrap_err();
    assert!(matches!(refused, InstallError::Append(AppendError::Full { .. })));
    assert_eq!(engine.ruleset().name(), "old");
}
