//! The same rules by the interpreter of the crate `cel`: programs that are compiled once, on requests that were made its
//! values before, among the rules about the kind only.

use std::collections::HashMap;

use cel::{Program, Value};
use daa_core::action::{Decision, Policy, Request};
use daa_core::clock::Timestamp;
use daa_rules::{Effect, RulesEngine, Ruleset};

use super::{in_turns, mix, requests};
use crate::line::{Better, Line};

/// What a decision comes to: whether it is denied, escalated or permitted.
fn strongest(effects: impl Iterator<Item = Effect>) -> Effect {
    let strength =
        |effect: &Effect| [Effect::Permit, Effect::Escalate, Effect::Deny].iter().position(|of| of == effect);
    effects.max_by_key(strength).unwrap_or(Effect::Deny)
}

pub(super) fn lines() -> Vec<Line> {
    let rules = Ruleset::from_toml(&mix()).expect("a ruleset");
    // Money is cents there: the comparison is the same for the requests at hand.
    let translated = |when: &str| {
        when.replace("money(\"12.50 USDC\")", "12500000").replace("money(\"500 USDC\")", "500000000")
    };
    let compiled: Vec<(String, Effect, Program)> = rules
        .rules()
        .iter()
        .map(|rule| {
            let when = translated(rule.when().unwrap_or("true"));
            (rule.on().to_string(), rule.effect(), Program::compile(&when).expect("a program"))
        })
        .collect();
    let requests = requests();
    let mut about: HashMap<String, Vec<usize>> = HashMap::new();
    for (action, _) in &requests {
        let kind = action.kind().as_str();
        let covers = |on: &str| on.strip_suffix('*').map_or(on == kind, |prefix| kind.starts_with(prefix));
        let places = compiled.iter().enumerate().filter(|(_, (on, ..))| covers(on)).map(|(at, _)| at);
        about.insert(kind.to_owned(), places.collect());
    }
    let root = cel::Context::default();
    let values: Vec<(&str, Value, Value)> = requests
        .iter()
        .map(|(action, context)| {
            let told = serde_json::json!({
                "actor": action.actor().as_str(),
                "params": action.params(),
                "cost": action.max_cost().map_or(0, |cost| cost.amount().units() as u64),
            });
            let value = |json: &serde_json::Value| cel::to_value(json).expect("a value");
            let facts = serde_json::to_value(context).expect("JSON");
            (action.kind().as_str(), value(&told), value(&facts))
        })
        .collect();
    let decide = |(kind, action, context): &(&str, Value, Value)| {
        let mut scope = root.new_inner_scope();
        scope.add_variable_from_value("action", action.clone());
        scope.add_variable_from_value("context", context.clone());
        let matched = about[*kind].iter().filter_map(|at| {
            let (_, effect, program) = &compiled[*at];
            (program.execute(&scope) == Ok(Value::Bool(true))).then_some(*effect)
        });
        strongest(matched)
    };
    let engine = RulesEngine::new(rules.clone());
    let ours = |(action, context): &(daa_core::action::Action, daa_core::action::Context)| match engine
        .decide(&Request::new(action, context, Timestamp::EPOCH))
        .decision
    {
        Decision::Permit => Effect::Permit,
        Decision::Escalate { .. } => Effect::Escalate,
        _ => Effect::Deny,
    };
    for (request, value) in requests.iter().zip(&values) {
        assert_eq!(ours(request), decide(value), "{request:?}");
    }
    let mut by_us = || requests.iter().for_each(|request| _ = std::hint::black_box(ours(request)));
    let mut by_cel = || values.iter().for_each(|value| _ = std::hint::black_box(decide(value)));
    let [us, cel] = in_turns(requests.len(), [&mut by_us, &mut by_cel]);
    vec![Line::alone("rules", "mix: decisions, beside cel", "1/s", us).beside("cel", cel, Better::Higher)]
}
