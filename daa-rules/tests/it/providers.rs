//! Facts that others tell: in time, fresh, from nobody else, and on record.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionEvent, Authorized, Context, ExecuteError, Executor, Gate, GateError, Outcome, Request,
};
use daa_core::clock::{Clock as _, ManualClock, Timestamp};
use daa_core::event::{EventStore, MemoryEventStore, PageSize, Position};
use daa_rules::{ContextProvider, Provided, Providers, RulesEngine, Ruleset};
use serde_json::{Value, json};

const RULES: &str = r#"
[context]
price = "double"
[provided]
price = { provider = "market", max_age = "30s" }
[[rule]]
on = "buy"
when = "context.price < 100.0"
effect = "permit"
[[rule]]
on = "look"
effect = "permit"
"#;

type Answer = Result<Provided, &'static str>;

/// Says what it is told to; `None`: nothing, ever.
#[derive(Debug)]
struct Market(Mutex<(Option<Answer>, u32)>);

#[async_trait]
impl ContextProvider for Market {
    async fn provide(
        &self,
        request: &Request<'_>,
    ) -> Result<Provided, Box<dyn std::error::Error + Send + Sync>> {
        assert_eq!(request.action.kind().as_str(), "buy");
        let answer = {
            let mut state = self.0.lock().unwrap();
            state.1 += 1;
            state.0.clone()
        };
        match answer {
            Some(answer) => Ok(answer?),
            None => std::future::pending().await,
        }
    }
}

struct Done;

#[async_trait]
impl Executor for Done {
    async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
        Ok(Outcome::new("done"))
    }
}

struct World {
    store: Arc<MemoryEventStore>,
    clock: ManualClock,
    market: Arc<Market>,
    gate: Gate,
}

fn world(rules: &str) -> World {
    let (store, clock) = (Arc::new(MemoryEventStore::new()), ManualClock::default());
    clock.advance(Duration::from_secs(1_000));
    let market = Arc::new(Market(Mutex::new((None, 0))));
    let providers = Providers::new(Arc::new(clock.clone()))
        .with("market", market.clone())
        .with_limit(Duration::from_millis(200));
    let engine = RulesEngine::new(Ruleset::from_toml(rules).unwrap()).with_providers(providers);
    let gate = Gate::builder(store.clone(), Arc::new(clock.clone())).with_policy(Arc::new(engine)).build();
    World { store, clock, market, gate }
}

impl World {
    fn says(&self, answer: Answer) {
        self.market.0.lock().unwrap().0 = Some(answer);
    }

    fn seen(&self, seconds_ago: u64, value: impl Into<Value>) {
        let at = self.clock.now().as_millis() - 1_000 * seconds_ago;
        self.says(Ok(Provided::new(value, Timestamp::from_millis(at))));
    }

    async fn ask(&self, kind: &str, id: &str) -> Result<(), String> {
        let action =
            Action::new(id.parse().unwrap(), kind.parse().unwrap(), "alice".parse().unwrap()).unwrap();
        // What the asker says of the price is nobody's business.
        let context = Context::new().with("price", 1.0);
        match self.gate.submit(action, context, &Done).await {
            Ok(_) => Ok(()),
            Err(GateError::Denied { reason, .. }) => Err(reason),
            Err(GateError::Escalated(escalation)) => Err(escalation.reason),
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn given(&self) -> Vec<Context> {
        let events = self.store.read_all(Position::START, PageSize::default()).await.unwrap();
        let given = |event| match ActionEvent::read(event).unwrap()? {
            ActionEvent::Permitted { verdict, .. } | ActionEvent::Withheld { verdict, .. } => {
                Some(verdict.given)
            }
            _ => None,
        };
        events.iter().filter_map(given).collect()
    }
}

fn why(what: &str) -> Result<(), String> {
    Err(format!("no rule permits buy; rule rule-1 (permit) is indeterminate: {what}"))
}

#[tokio::test]
async fn a_fact_counts_when_it_is_fresh() {
    let world = world(RULES);
    world.seen(30, 99.5);
    world.ask("buy", "a").await.unwrap();
    world.seen(0, 100.0);
    assert_eq!(world.ask("buy", "b").await, Err("no rule permits buy".to_owned()));
    world.seen(31, 99.5);
    assert_eq!(
        world.ask("buy", "c").await,
        why("context.price is not known: the answer is 31s old, at most 30s are allowed")
    );
    let given = world.given().await;
    assert_eq!(given[0], Context::new().with("context.price", 99.5).with("context.price.at", 970_000));
    assert_eq!(given[2].fact("context.price"), None);
    // Only those decisions ask that need it.
    let asked = world.market.0.lock().unwrap().1;
    world.ask("look", "d").await.unwrap();
    assert_eq!((world.market.0.lock().unwrap().1, asked), (3, 3));
}

#[tokio::test]
async fn what_is_missing_late_or_of_another_type_decides_nothing() {
    let world = world(RULES);
    world.says(Err("the market is closed"));
    assert_eq!(
        world.ask("buy", "a").await,
        why("context.price is not known: the provider failed: the market is closed")
    );
    world.seen(0, "cheap");
    assert_eq!(world.ask("buy", "b").await, why("context.price is declared as double, but is string"));
    world.seen(0, "x".repeat(5_000));
    assert_eq!(
        world.ask("buy", "c").await,
        why("context.price is not known: the answer has 5002 bytes, at most 4096 are allowed")
    );
    world.market.0.lock().unwrap().0 = None;
    let late = async {
        while world.market.0.lock().unwrap().1 < 4 {
            tokio::task::yield_now().await;
        }
        world.clock.advance(Duration::from_millis(200));
    };
    let (result, ()) = tokio::join!(world.ask("buy", "d"), late);
    assert_eq!(result, why("context.price is not known: no answer within 200ms"));
}

#[tokio::test]
async fn a_rule_may_say_what_it_does_when_a_fact_is_not_known() {
    for (on_indeterminate, expected) in [
        (
            "deny",
            Err(
                "rule rule-1 (permit) is indeterminate: context.price is not known: there is no provider \"nobody\"",
            ),
        ),
        ("escalate", Err("rule rule-1 escalates buy")),
        ("permit", Ok(())),
        (
            "skip",
            Err(
                "no rule permits buy; rule rule-1 (permit) is indeterminate: context.price is not known: there is no provider \"nobody\"",
            ),
        ),
    ] {
        let rules = RULES.replace("market", "nobody");
        let rules = rules.replacen(
            "effect = \"permit\"",
            &format!("effect = \"permit\"\non_indeterminate = \"{on_indeterminate}\""),
            1,
        );
        assert_eq!(
            world(&rules).ask("buy", "a").await,
            expected.map_err(str::to_owned),
            "{on_indeterminate}"
        );
    }
}

#[tokio::test]
async fn without_providers_a_provided_fact_is_not_known() {
    use daa_core::action::{Decision, Policy as _};
    let engine = RulesEngine::new(Ruleset::from_toml(RULES).unwrap());
    let action = crate::free_action("buy", json!({}));
    let context = Context::new().with("price", 1.0);
    let verdict = engine.decide(&Request::new(&action, &context, Timestamp::EPOCH));
    assert_eq!(
        verdict.decision,
        Decision::Deny { reason: why("context.price is not known: nobody gathered it").unwrap_err() }
    );
}

#[test]
fn what_is_wrong_with_a_provided_fact_is_told() {
    for (source, expected) in [
        (
            "[provided]\nprice={max_age='1s'}\n",
            "line 2, column 1: \"price\" is no fact; [context] has to declare it, with its type",
        ),
        (
            "[context]\np='int'\n[provided]\np={}\n",
            "line 4, column 1: a fact that is provided needs the key \"max_age\"",
        ),
        (
            "[context]\np='int'\n[provided]\np={max_age='soon'}\n",
            "line 4, column 12: \"soon\" is not a span of time such as \"24h\" or \"7 days\", of at most 3650 days",
        ),
    ] {
        assert_eq!(Ruleset::from_toml(source).unwrap_err().to_string(), expected);
    }
}
