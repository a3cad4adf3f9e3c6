//! What a permission is bound to, from the rule to the treasury.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionEvent, Authorized, Context, Decision, ExecuteError, Executor, Gate, GateError,
    JournalAudit, Obligation, Outcome, Refusal, ReservationId, Treasury, TreasuryChange, TreasuryError,
};
use daa_core::amount::{Currency, Money};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::{EventStore, MemoryEventStore, PageSize, Position, StreamWrite};
use daa_rules::{RulesEngine, Ruleset};
use serde_json::json;

use crate::{decide, payment};

fn usdc(amount: &str) -> Money {
    Currency::new("USDC", 6).unwrap().parse(amount).unwrap()
}

fn rule(effect: &str, duties: &str) -> String {
    format!("[[rule]]\non = 'payment.*'\neffect = '{effect}'\n{duties}\n")
}

#[test]
fn the_obligations_of_all_that_permit_count() {
    let rules =
        [rule("permit", "limit = '5.5 USDC'"), rule("permit", "limit = '7 USDC'\nlog = 'look'")].concat();
    let verdict = decide(&rules, &payment(), &Context::new());
    assert_eq!(verdict.decision, Decision::Permit);
    let expected = [
        Obligation::MaxCost(usdc("5.5")),
        Obligation::Log("look".to_owned()),
        Obligation::MaxCost(usdc("7")),
    ];
    assert_eq!(verdict.obligations, expected);
    let denied = decide(&format!("{rules}{}", rule("deny", "")), &payment(), &Context::new());
    assert_eq!(denied.obligations, []);
}

#[test]
fn what_cannot_be_met_is_denied() {
    let verdict = decide(&rule("permit", "limit = '5 EUR'"), &payment(), &Context::new());
    let reason = "rule rule-1 cannot be met: its limit is in EUR, the action costs 12.500000 USDC".to_owned();
    assert_eq!(verdict.decision, Decision::Deny { reason });
    // What costs nothing costs no more than the limit.
    let free = crate::free_action("payment.send", json!({}));
    let verdict = decide(&rule("permit", "limit = '5 EUR'"), &free, &Context::new());
    assert_eq!((verdict.decision, verdict.obligations), (Decision::Permit, Vec::new()));
}

#[test]
fn what_is_wrong_with_an_obligation_is_told() {
    for (effect, duties, expected) in [
        (
            "permit",
            "limit = '5'",
            "line 4, column 9: \"5\" is not money, expected an amount and a currency such as \"12.50 USDC\"",
        ),
        (
            "deny",
            "log = 'x'",
            "line 1, column 1: a rule that denies binds nothing; limit and log are for those that permit or escalate",
        ),
    ] {
        assert_eq!(Ruleset::from_toml(&rule(effect, duties)).unwrap_err().to_string(), expected);
    }
    let digest = |duties: &str| Ruleset::from_toml(&rule("permit", duties)).unwrap().digest();
    let all =
        ["", "limit = '5 USDC'", "limit = '6 USDC'", "limit = '5 EUR'", "log = 'x'", "log = 'y'"].map(digest);
    let distinct: std::collections::HashSet<_> = all.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), all.len());
}

/// Writes down what is reserved and settled.
#[derive(Clone, Debug, Default)]
struct Book(Arc<Mutex<Vec<Money>>>);

#[async_trait]
impl Treasury for Book {
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError> {
        Ok(Box::new(self.clone()))
    }
}

impl TreasuryChange for Book {
    fn reserve(&mut self, action: &Action, _: Timestamp) -> Result<ReservationId, Refusal> {
        self.0.lock().unwrap().push(action.max_cost().unwrap());
        Ok("r".parse().unwrap())
    }

    fn settle(&mut self, _: &ReservationId, actual: Money, _: Timestamp) -> Result<(), Refusal> {
        self.0.lock().unwrap().push(actual);
        Ok(())
    }

    fn release(&mut self, _: &ReservationId, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        Vec::new()
    }

    fn confirm(self: Box<Self>) {}
}

/// Costs what it costs.
struct Costs(&'static str);

#[async_trait]
impl Executor for Costs {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        assert_eq!(action.max_cost(), Some(usdc("5.5")));
        assert_eq!(action.obligations(), [Obligation::MaxCost(usdc("5.5"))]);
        Ok(Outcome::new("done").with_cost(usdc(self.0)))
    }
}

async fn perform(costs: &'static str) -> (Vec<Money>, Option<Money>) {
    let store = Arc::new(MemoryEventStore::new());
    let engine = RulesEngine::new(Ruleset::from_toml(&rule("permit", "limit = '5.5 USDC'")).unwrap());
    let book = Book::default();
    let gate = Gate::builder(store.clone(), Arc::new(ManualClock::default()))
        .with_policy(Arc::new(engine))
        .with_treasury(Arc::new(book.clone()))
        .build();
    gate.submit(payment(), Context::new(), &Costs(costs)).await.unwrap();
    let events = store.read_all(Position::START, PageSize::default()).await.unwrap();
    let overrun = events.iter().find_map(|event| match ActionEvent::read(event).unwrap()? {
        ActionEvent::Succeeded { overrun, .. } => Some(overrun),
        _ => None,
    });
    let mut audit = JournalAudit::new();
    audit.catch_up(&*store).await.unwrap();
    assert_eq!(audit.summary().findings, []);
    let moved = book.0.lock().unwrap().clone();
    (moved, overrun.flatten())
}

#[tokio::test]
async fn no_more_is_reserved_than_the_limit_and_what_is_beyond_it_is_an_overrun() {
    assert_eq!(perform("4").await, (vec![usdc("5.5"), usdc("4")], None));
    assert_eq!(perform("7").await, (vec![usdc("5.5"), usdc("5.5")], Some(usdc("1.5"))));
}

#[tokio::test]
async fn what_is_escalated_carries_them_too() {
    let gate = Gate::builder(Arc::new(MemoryEventStore::new()), Arc::new(ManualClock::default()));
    let rules = Ruleset::from_toml(&rule("escalate", "limit = '5.5 USDC'")).unwrap();
    let gate = gate.with_policy(Arc::new(RulesEngine::new(rules))).build();
    let asked = gate.submit(payment(), Context::new(), &Costs("1")).await;
    assert!(matches!(asked, Err(GateError::Escalated(_))), "{asked:?}");
    let status = gate.status(payment().id()).await.unwrap().unwrap();
    let daa_core::action::ActionState::Withheld(verdict) = status.state else { panic!("{status:?}") };
    assert_eq!(verdict.obligations, [Obligation::MaxCost(usdc("5.5"))]);
}
