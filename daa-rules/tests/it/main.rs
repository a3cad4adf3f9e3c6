//! Behaviour of rulesets and of the engine, through the public interface only.

mod analysis;
#[cfg(feature = "audit")]
mod audit;
#[cfg(feature = "cedar")]
mod authorisation;
mod corpus;
mod errors;
mod events;
mod explain;
mod hostile;
mod naive;
mod obligations;
#[cfg(feature = "cli")]
mod program;
mod providers;
mod reload;
mod semantics;
mod tables;
mod trials;
#[cfg(feature = "schedule")]
mod triggers;
mod types;
mod versions;
mod windows;

use daa_core::action::{Action, Context, Decision, Policy, Request, Verdict};
use daa_core::amount::Currency;
use daa_core::clock::Timestamp;
use daa_rules::{RulesEngine, Ruleset};
use serde_json::{Value, json};

/// A payment of alice's that may cost 12.50 USDC.
pub(crate) fn payment() -> Action {
    let usdc = Currency::new("USDC", 6).unwrap();
    free_action("payment.send", json!({ "to": "bob", "n": 3, "tags": ["a", "b"], "deep": { "x": 1 } }))
        .with_max_cost(usdc.parse("12.50").unwrap())
}

pub(crate) fn free_action(kind: &str, params: Value) -> Action {
    let action = Action::new("a-1".parse().unwrap(), kind.parse().unwrap(), "alice".parse().unwrap());
    action.unwrap().with_params(params).unwrap()
}

pub(crate) fn decide(rules: &str, action: &Action, context: &Context) -> Verdict {
    let engine = RulesEngine::new(Ruleset::from_toml(rules).unwrap());
    engine.decide(&Request::new(action, context, Timestamp::EPOCH))
}

/// One rule that permits payments under a condition.
pub(crate) fn permit_when(condition: &str) -> String {
    format!("[[rule]]\non = \"payment.*\"\neffect = \"permit\"\nwhen = '''{condition}'''\n")
}

/// A runtime for a test that is no `tokio::test`.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

pub(crate) fn deny(reason: &str) -> Decision {
    Decision::Deny { reason: reason.to_owned() }
}
