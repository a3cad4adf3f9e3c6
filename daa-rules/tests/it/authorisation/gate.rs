//! Policies behind a gate, alone and beside rules: decided together, on record like every decision, and explained.

use std::sync::Arc;

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionEvent, ActionState, AllOf, Authorized, Context, Decision, ExecuteError, Executor, Gate,
    GateError, Obligation, Outcome, PolicyMemory as _, Reconciled, Request, Standing, Verdict,
};
use daa_core::clock::ManualClock;
use daa_core::event::{EventStore, PageSize, Position};
use daa_rules::authorisation::{Authorisation, Authoriser, EntityChange};
use daa_rules::{Backtest, Decided, RulesEngine, Ruleset};
use serde_json::json;

use super::world::*;

const RULES: &str = r#"
[window.daily]
on = "payment.*"
per = ["action.actor"]
span = "24h"

[[rule]]
id = "twice-a-day"
on = "payment.*"
when = "window.daily < 2"
effect = "permit"

[[rule]]
id = "large"
on = "payment.*"
when = "action.params.amount > 500"
effect = "escalate"
"#;

#[derive(Debug)]
struct Done;

#[async_trait]
impl Executor for Done {
    async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
        Ok(Outcome::new("done"))
    }
}

pub(super) fn named(id: &str, action: &Action) -> Action {
    let named = Action::new(id.parse().unwrap(), action.kind().clone(), action.actor().clone()).unwrap();
    named.with_params(action.params().clone()).unwrap()
}

struct Governed {
    bank: World,
    rules: RulesEngine,
    gate: Gate,
}

impl Governed {
    async fn open() -> Self {
        let bank = World::open().await;
        let store: Arc<dyn EventStore> = bank.store.clone();
        let rules = RulesEngine::new(Ruleset::from_toml(RULES).unwrap()).with_memory(store.clone());
        let policy = AllOf::new()
            .and(RulesEngine::PART, Arc::new(rules.clone()))
            .and(Authoriser::PART, Arc::new(bank.authoriser.clone()));
        let gate =
            Gate::builder(store, Arc::new(ManualClock::new(NOW))).with_policy(Arc::new(policy)).build();
        Self { bank, rules, gate }
    }

    async fn submit(&self, id: &str, action: &Action) -> Result<(), GateError> {
        self.gate.submit(named(id, action), Context::new(), &Done).await.map(drop)
    }

    /// A payment of alice.
    async fn submit_to(&self, id: &str, executor: &dyn Executor) -> Result<(), GateError> {
        let action = named(id, &pay("alice", "n1", 10));
        self.gate.submit(action, Context::new(), executor).await.map(drop)
    }

    async fn decided(&self, id: &str) -> (ActionEvent, Verdict) {
        let stream = format!("action/{id}").parse().unwrap();
        let page = self.bank.store.read_stream(&stream, Default::default(), PageSize::new(9)).await.unwrap();
        let event = ActionEvent::read(&page[0]).unwrap().unwrap();
        let verdict = Decided::of(&event).unwrap().verdict.clone();
        (event, verdict)
    }
}

fn rules(verdict: &Verdict) -> Vec<&str> {
    verdict.rules.iter().map(|rule| rule.as_str()).collect()
}

#[tokio::test]
async fn both_have_to_permit_and_each_can_deny() {
    let governed = Governed::open().await;
    governed.submit("p1", &pay("alice", "n1", 10)).await.unwrap();
    let (_, verdict) = governed.decided("p1").await;
    assert_eq!(rules(&verdict), ["twice-a-day", "cedar/treasurers-pay"]);
    // Policies deny, and the rules have not counted it.
    assert!(matches!(governed.submit("p2", &pay("alice", "s1", 10)).await, Err(GateError::Denied { .. })));
    let (_, verdict) = governed.decided("p2").await;
    assert!(
        matches!(&verdict.decision, Decision::Deny { reason } if reason.starts_with("no policy permits"))
    );
    governed.submit("p3", &pay("alice", "n1", 10)).await.unwrap();
    // Rules deny what policies permit.
    assert!(governed.submit("p4", &pay("alice", "n1", 10)).await.is_err());
    let (_, verdict) = governed.decided("p4").await;
    assert_eq!(verdict.part(Authoriser::PART).decision, Decision::Permit);
    assert!(matches!(&verdict.decision, Decision::Deny { reason } if reason.starts_with("no rule permits")));
    // Policies permit what rules leave to somebody else.
    assert!(governed.submit("p5", &pay("carol", "n1", 501)).await.is_err());
    let (_, verdict) = governed.decided("p5").await;
    assert!(matches!(verdict.decision, Decision::Escalate { .. }));
    assert_eq!(rules(&verdict), ["large", "twice-a-day", "cedar/treasurers-pay"]);
}

#[tokio::test]
async fn a_verdict_covers_rules_and_policies_and_says_on_which_version_it_rests() {
    let governed = Governed::open().await;
    governed.submit("p1", &pay("alice", "n1", 10)).await.unwrap();
    let (event, first) = governed.decided("p1").await;
    assert_eq!(
        first.part(Authoriser::PART).ruleset,
        governed.bank.authoriser.authorisation().policies().digest()
    );
    assert_eq!(first.part(RulesEngine::PART).ruleset, governed.rules.ruleset().digest());
    let version = governed.bank.authoriser.authorisation().version();
    assert_eq!(Authorisation::recorded_version(&first), Some(version));
    governed.bank.install(SCHEMA, &POLICIES.replace("1000", "2000")).await.unwrap();
    governed.submit("p2", &pay("alice", "n1", 10)).await.unwrap();
    let (_, second) = governed.decided("p2").await;
    assert_ne!(first.ruleset, second.ruleset);
    // What was decided then can be decided and explained again, although other policies govern now.
    let decided = Decided::of(&event).unwrap();
    let then =
        Authorisation::read(&*governed.bank.store, Authorisation::recorded_version(&first)).await.unwrap();
    let explanation = then.explain(&decided.request(NOW), &decided.verdict.obligations);
    assert_eq!(&explanation.verdict, first.part(Authoriser::PART));
    let text = explanation.to_string();
    for part in [
        "payment.send: permit",
        "principal: DAA::Person::\"alice\"",
        "in DAA::Role::\"treasurer\"",
        "resource: Bank::Account::\"n1\"",
        "* policy cedar/treasurers-pay (permit, line 2)",
        "when { context.params.amount <= 1000 };",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let now = governed.bank.authoriser.authorisation().decide(&decided.request(NOW));
    assert!(
        reason(&now.decision).contains("not of another"),
        "another version does not pretend to be that one"
    );
}

#[tokio::test]
async fn rules_explain_and_test_back_their_own_part() {
    let governed = Governed::open().await;
    governed.submit("p1", &pay("alice", "n1", 10)).await.unwrap();
    assert!(governed.submit("p2", &pay("alice", "s1", 10)).await.is_err());
    let ruleset = governed.rules.ruleset();
    let (event, _) = governed.decided("p2").await;
    let explanation = ruleset.explain_recorded(&Decided::of(&event).unwrap(), NOW);
    let recorded = explanation.recorded.unwrap();
    assert!(recorded.same_ruleset && recorded.same_decision, "the rules permitted it, and still do");
    let mut backtest = Backtest::new(&ruleset);
    for event in governed.bank.store.read_all(Position::START, PageSize::default()).await.unwrap() {
        backtest.observe(&event).unwrap();
    }
    let report = backtest.report();
    assert_eq!((report.decisions, report.same, report.other_ruleset), (2, 2, 0));
}

#[tokio::test]
async fn an_undecided_policy_is_explained_with_what_was_wrong() {
    let bank = World::open().await;
    let action = pay("carol", "small", i64::MAX);
    let context = Context::new();
    let explanation = bank.authoriser.authorisation().explain(&Request::new(&action, &context, NOW), &[]);
    let [only] = &*explanation.policies else { panic!("{explanation:?}") };
    assert_eq!(only.id.as_str(), "cedar/over-the-limit");
    assert!(only.undecided.as_ref().unwrap().contains("overflow"));
    assert_eq!(
        explanation.question.as_ref().unwrap().groups,
        ["DAA::Role::\"chief\"", "DAA::Role::\"treasurer\""]
    );
    let json = serde_json::to_value(&explanation).unwrap();
    assert_eq!(
        json["question"]["context"]["params"],
        json!({
            "to": { "type": "Bank::Account", "id": "small" }, "amount": i64::MAX,
        })
    );
    let nobody = pay("mallory", "n1", 1);
    let explanation = bank.authoriser.authorisation().explain(&Request::new(&nobody, &context, NOW), &[]);
    assert!(explanation.question.is_none() && explanation.to_string().contains("mallory is no principal"));
}

#[tokio::test]
async fn an_explanation_shows_nothing_that_is_redacted() {
    let bank = World::open().await;
    let authorisation = bank.authoriser.authorisation();
    let context = Context::new();
    let explain = |action: &Action, hidden: &[&str]| {
        let hidden = Obligation::Redact(hidden.iter().map(ToString::to_string).collect());
        let explanation = authorisation
            .explain(&Request::new(action, &context, NOW), &[Obligation::Log("x".into()), hidden]);
        let json = serde_json::to_value(&explanation).unwrap();
        (explanation.to_string() + &json.to_string(), json)
    };
    let told = |action: &Action, hidden: &[&str]| explain(action, hidden).0;
    let overflow = pay("carol", "small", i64::MAX);
    let (text, json) = explain(&overflow, &["amount"]);
    assert!(text.contains("small") && !text.contains(&i64::MAX.to_string()), "{text}");
    assert_eq!(json["question"]["context"]["params"]["amount"], json!({ "redacted": true }));
    assert_eq!(json["policies"][0]["undecided"], "redacted");
    let text = told(&overflow, &["to"]);
    assert!(!text.contains("small") && text.contains("resource: redacted"), "{text}");
    // What does not fit the schema is quoted by Cedar.
    let misfit = action("payment.send", "alice", json!({ "to": "n1", "amount": "DE123" }));
    assert!(told(&misfit, &[]).contains("DE123"));
    assert!(!told(&misfit, &["amount"]).contains("DE123"));
    // Nothing of it is lost where nothing is redacted.
    let text = told(&overflow, &[]);
    assert!(text.contains("small") && text.contains(&i64::MAX.to_string()), "{text}");
}

/// A reason is on record and goes to whoever asked, whatever rules want hidden.
#[tokio::test]
async fn a_reason_quotes_no_parameter() {
    let bank = World::open().await;
    for action in [
        pay("carol", "small", i64::MAX),
        pay("alice", "n9", 1),
        action("payment.send", "alice", json!({ "to": "n1", "amount": "DE123" })),
        action("payment.send", "alice", json!({ "to": "n1", "amount": 1, "note": ["DE123"] })),
        pay("bob", "ice", 1),
        pay("alice", "s1", 1),
    ] {
        let decision = bank.decision(&action);
        let found = reason(&decision);
        for value in ["9223372036854775807", "small", "n9", "DE123", "Bank::Account::"] {
            assert!(!found.contains(value), "{found}");
        }
    }
}

/// Takes no effect, and cannot tell so before it is asked again.
#[derive(Debug)]
struct Lost;

#[async_trait]
impl Executor for Lost {
    async fn execute(&self, _: &Authorized) -> Result<Outcome, ExecuteError> {
        panic!("gone")
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(Reconciled::NotFound)
    }
}

#[tokio::test]
async fn a_permission_that_was_revoked_is_not_used() {
    let governed = Governed::open().await;
    let (revoke, grant) = (
        || EntityChange::Revoke { from: person("alice"), group: role("treasurer") },
        || EntityChange::Grant { to: person("alice"), group: role("treasurer") },
    );
    let other = governed.bank.other().await;
    let permit = |id: &'static str| {
        let action = named(id, &pay("alice", "n1", 10));
        governed.gate.authorize(action, Context::new())
    };
    let unused = permit("p1").await.unwrap();
    // Whoever revokes it.
    other.change(vec![revoke()], &name("root"), NOW).await.unwrap();
    let error = governed.gate.perform(unused, &Done).await.unwrap_err();
    assert!(
        matches!(&error, GateError::Denied { reason, .. } if reason.starts_with("no policy permits")),
        "{error}"
    );
    let status = governed.gate.status(&"p1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(status.state, ActionState::Expired);
    // A change that leaves it permitted takes nothing away.
    governed.bank.change(vec![grant()]).await.unwrap();
    let unused = permit("p2").await.unwrap();
    governed.bank.install(SCHEMA, &POLICIES.replace("1000", "2000")).await.unwrap();
    governed.gate.perform(unused, &Done).await.unwrap();
    // An attempt that took no effect is not repeated: it is asked for again.
    assert!(governed.submit_to("p3", &Lost).await.is_err());
    governed.bank.change(vec![revoke()]).await.unwrap();
    let error = governed.submit_to("p3", &Lost).await.unwrap_err();
    assert!(matches!(error, GateError::Denied { .. }), "{error}");
    let status = governed.gate.status(&"p3".parse().unwrap()).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Withheld(_)) && status.attempts == 1, "{status:?}");
}

#[tokio::test]
async fn a_change_waits_for_the_permissions_that_are_being_used() {
    let bank = World::open().await;
    let (payment, context) = (pay("alice", "n1", 10), Context::new());
    let request = Request::new(&payment, &context, NOW);
    let Ok(Standing::Stands(held)) = bank.authoriser.uphold(&request).await else {
        panic!("it is permitted")
    };
    let revoke = EntityChange::Revoke { from: person("alice"), group: role("treasurer") };
    let changing = {
        let authoriser = bank.authoriser.clone();
        tokio::spawn(async move { authoriser.change(vec![revoke], &name("root"), NOW).await.unwrap() })
    };
    // On record, and seen by whoever comes now.
    while !matches!(bank.authoriser.uphold(&request).await, Ok(Standing::Withdrawn(_))) {
        tokio::task::yield_now().await;
    }
    assert!(!changing.is_finished());
    drop(held);
    changing.await.unwrap();
}

#[tokio::test]
async fn the_gate_sees_a_change_that_another_process_made() {
    let governed = Governed::open().await;
    let other = governed.bank.other().await;
    let revoke = EntityChange::Revoke { from: person("alice"), group: role("treasurer") };
    other.change(vec![revoke], &name("root"), NOW).await.unwrap();
    assert!(governed.submit("p1", &pay("alice", "n1", 10)).await.is_err());
    let grant = EntityChange::Grant { to: person("alice"), group: role("treasurer") };
    other.change(vec![grant], &name("root"), NOW).await.unwrap();
    governed.submit("p2", &pay("alice", "n1", 10)).await.unwrap();
}
