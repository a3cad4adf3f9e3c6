//! The index against looking at every rule.

use daa_core::action::{Action, Context, Decision, Request};
use daa_core::clock::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Ruleset;

/// Equality tests in every notation, beside what is no equality test, over attributes of several types.
fn conjunct() -> impl Strategy<Value = String> {
    let name = || {
        prop::sample::select(vec![
            "context.t",
            "context.n",
            "context.d",
            "context.b",
            "context.x",
            "action.params.p",
        ])
    };
    let literal = || {
        prop::sample::select(vec![
            "\"a\"", "\"b\"", "1", "2", "2.0", "2.5", "2u", "true", "null", "\"\"", "0", "-0.0",
        ])
    };
    prop_oneof![
        4 => (name(), literal()).prop_map(|(name, literal)| format!("{name} == {literal}")),
        1 => (name(), literal()).prop_map(|(name, literal)| format!("{literal} == {name}")),
        1 => (name(), literal()).prop_map(|(name, literal)| format!("{name} != {literal}")),
        2 => (name(), prop::collection::vec(literal(), 0..3))
            .prop_map(|(name, all)| format!("{name} in [{}]", all.join(", "))),
        1 => (name(), literal(), name(), literal())
            .prop_map(|(a, x, b, y)| format!("({a} == {x} || {b} == {y})")),
        1 => name().prop_map(|name| format!("has({name})")),
        1 => Just("context.b".to_owned()),
        1 => Just("!context.b".to_owned()),
        1 => Just("action.actor == \"alice\"".to_owned()),
        1 => Just("action.kind in [\"k.a\", \"k.b\"]".to_owned()),
        1 => Just("action.params.l.all(x, x > 0)".to_owned()),
        1 => Just("context.n > 1".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Option<Value>> {
    prop::sample::select(vec![
        None,
        Some(json!("a")),
        Some(json!("b")),
        Some(json!("c")),
        Some(json!("")),
        Some(json!(1)),
        Some(json!(2)),
        Some(json!(2.0)),
        Some(json!(2.5)),
        Some(json!(0)),
        Some(json!(-0.0)),
        Some(json!(true)),
        Some(json!(false)),
        Some(json!(null)),
        Some(json!([1])),
        Some(json!({})),
        Some(json!(u64::MAX)),
    ])
}

/// With what is done with a rule that is indeterminate, if not what is by default.
const EFFECTS: [&str; 6] = [
    "permit",
    "deny",
    "escalate",
    "deny\'\non_indeterminate = \'skip",
    "escalate\'\non_indeterminate = \'skip",
    "permit\'\non_indeterminate = \'permit",
];

fn source(rules: &[(&str, Vec<String>, &str)]) -> String {
    let mut source = "[context]\nt = 'any'\nn = 'int'\nd = 'double'\nb = 'bool'\nx = ['a', 'b']\n".to_owned();
    for (on, conjuncts, effect) in rules {
        source += &format!("[[rule]]\non = '{on}'\neffect = '{effect}'\n");
        if !conjuncts.is_empty() {
            source += &format!("when = '{}'\n", conjuncts.join(" && "));
        }
    }
    source
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn decides_with_the_index_as_without_it(
        rules in prop::collection::vec(
            (
                prop::sample::select(vec!["k.a", "k.b", "k.*", "*"]),
                prop::collection::vec(conjunct(), 0..4),
                prop::sample::select(EFFECTS.to_vec()),
            ),
            0..12,
        ),
        requests in prop::collection::vec((prop::sample::select(vec!["k.a", "k.b", "z"]), prop::collection::vec(value(), 6)), 1..6),
    ) {
        // What the types refuse is left out, rule by rule.
        let alone = |rule: &(&'static str, Vec<String>, &'static str)| Ruleset::from_toml(&source(std::slice::from_ref(rule))).is_ok();
        let rules: Vec<_> = rules.into_iter().filter(alone).collect();
        let ruleset = Ruleset::from_toml(&source(&rules)).unwrap();
        for (kind, values) in requests {
            let mut facts = ["t", "n", "d", "b", "x"].into_iter().zip(&values);
            let context = facts.by_ref().fold(Context::new(), |context, (name, value)| match value {
                Some(value) => context.with(name, value.clone()),
                None => context,
            });
            let params = values[5].as_ref().map_or_else(|| json!({}), |value| json!({ "p": value, "l": [1] }));
            let action = Action::new("a".parse().unwrap(), kind.parse().unwrap(), "alice".parse().unwrap()).unwrap();
            let action = action.with_params(params).unwrap();
            let request = Request::new(&action, &context, Timestamp::EPOCH);
            let kind = action.kind();
            let without = ruleset.decide_among(ruleset.index().about(kind), &request);
            prop_assert_eq!(ruleset.decide(&request), without);
            // Nor does it change anything that guards are looked at first.
            for rule in ruleset.rules() {
                let holds = |guarded: bool| {
                    let mut budget = crate::condition::Budget::new();
                    match (&rule.condition, guarded) {
                        (Some(condition), false) => condition.holds(&request, &mut budget),
                        _ => rule.holds(&request, &mut budget),
                    }
                };
                prop_assert_eq!(holds(true), holds(false), "{:?}", rule.when());
            }
        }
    }
}

#[test]
fn looks_only_at_the_rules_whose_equality_test_holds() {
    let rules: Vec<_> = (0..1_000)
        .map(|n| ("pay", vec![format!("action.params.to == \"a{n}\""), "context.n > 1".to_owned()], "permit"))
        .collect();
    let ruleset = Ruleset::from_toml(&source(&rules)).unwrap();
    let looked_at = |params: Value| {
        let action =
            Action::new("a".parse().unwrap(), "pay".parse().unwrap(), "alice".parse().unwrap()).unwrap();
        let action = action.with_params(params).unwrap();
        let context = Context::new();
        ruleset.index().candidates(&Request::new(&action, &context, Timestamp::EPOCH)).count()
    };
    assert_eq!(looked_at(json!({ "to": "a7" })), 1);
    assert_eq!(looked_at(json!({ "to": "zz" })), 0);
    assert_eq!(looked_at(json!({ "to": 7 })), 0);
    assert_eq!(looked_at(json!({})), 1_000, "a missing attribute makes each of them indeterminate");
}

#[test]
fn what_cannot_count_is_looked_at_only_to_tell_it() {
    let many = |effect: &'static str| {
        let rule = move |n| ("pay", vec![format!("action.params.to == \"a{n}\"")], effect);
        (0..100).map(rule).collect::<Vec<_>>()
    };
    let action = Action::new("a".parse().unwrap(), "pay".parse().unwrap(), "alice".parse().unwrap()).unwrap();
    let context = Context::new();
    let request = Request::new(&action, &context, Timestamp::EPOCH);
    let looked_at = |rules: &[(&str, Vec<String>, &str)]| {
        let ruleset = Ruleset::from_toml(&source(rules)).unwrap();
        let (places, others) = ruleset.index().counting(&request);
        (places.count(), others, ruleset.decide(&request).decision)
    };
    let skipped = many(EFFECTS[4]);
    let with = [skipped.clone(), vec![("pay", Vec::new(), "permit")]].concat();
    assert_eq!(looked_at(&with), (1, true, Decision::Permit));
    let (count, others, decision) = looked_at(&skipped);
    assert_eq!((count, others), (0, true));
    let Decision::Deny { reason } = decision else { panic!("{decision:?}") };
    assert_eq!(
        reason.matches("(escalate) is indeterminate: action.params.to is missing").count(),
        5,
        "{reason}"
    );
    let (count, others, decision) = looked_at(&many("escalate"));
    assert_eq!((count, others), (100, false), "each of them denies");
    assert!(matches!(decision, Decision::Deny { .. }));
}
