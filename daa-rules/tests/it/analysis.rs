//! Warnings: what they say, and that they are right.

use daa_core::action::{Context, Decision, Policy, Request};
use daa_core::clock::Timestamp;
use daa_rules::{Diagnostic, Problem, RulesEngine, Ruleset, Severity};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::free_action;

const DECLARED: &str = "[context]\nn = 'int'\nu = 'uint'\nd = 'double'\nt = 'string'\nb = 'bool'\nx = ['a', 'b', 'c']\n\
                        limit = 'money'\nany = 'any'\nopt = 'int?'\nlist = 'list(int)'\n";

fn warnings(rules: &str) -> Vec<String> {
    let ruleset = Ruleset::from_toml(&format!("{DECLARED}{rules}")).unwrap();
    ruleset.check().iter().map(|one| one.problem.to_string()).collect()
}

fn rule(id: &str, on: &str, effect: &str, when: &str) -> String {
    let when = if when.is_empty() { String::new() } else { format!("when = '''{when}'''\n") };
    format!("[[rule]]\nid = '{id}'\non = '{on}'\neffect = '{effect}'\n{when}")
}

#[test]
fn conditions_that_are_never_true() {
    let never = |tests: &str| format!("rule r never matches: nothing is all of {tests}");
    let cases = [
        ("false", "rule r never matches: its condition is never true".to_owned()),
        ("1 > 2 && context.b", "rule r never matches: its condition is never true".to_owned()),
        ("1 / 0 == 1", "rule r never matches: its condition is never true".to_owned()),
        ("context.t == \"a\" && context.t == \"b\"", never("context.t == \"a\", context.t == \"b\"")),
        ("context.any == 1 && context.any == \"1\"", never("context.any == 1, context.any == \"1\"")),
        ("context.n > 5 && context.b && context.n < 3", never("context.n > 5, context.n < 3")),
        ("context.n > 5 && context.n < 6", never("context.n > 5, context.n < 6")),
        ("context.u < 0", never("context.u < 0")),
        ("context.d > 5.0 && 5.0 >= context.d", never("context.d > 5.0, 5.0 >= context.d")),
        ("context.any > 5 && context.any < \"a\"", never("context.any > 5, context.any < \"a\"")),
        ("context.b && !context.b", never("context.b, !(context.b)")),
        (
            "context.x != \"a\" && context.x != \"b\" && context.x != \"c\"",
            never("context.x != \"a\", context.x != \"b\", context.x != \"c\""),
        ),
        (
            "context.x in [\"a\", \"b\"] && context.x == \"c\"",
            never("context.x in [\"a\", \"b\"], context.x == \"c\""),
        ),
        ("!has(context.n) && context.n + 1 > 2", never("!(has(context.n)), (context.n + 1) > 2")),
        (
            "action.cost > money(\"2 USD\") && action.cost < money(\"1 USD\")",
            never("action.cost > money(\"2 USD\"), action.cost < money(\"1 USD\")"),
        ),
        (
            "context.limit > money(\"2 USD\") && context.limit > money(\"1 EUR\")",
            never("context.limit > money(\"2 USD\"), context.limit > money(\"1 EUR\")"),
        ),
        ("action.cost < money(\"0 USD\")", never("action.cost < money(\"0 USD\")")),
        ("action.kind == \"pay.other\"", never("the rule is about pay.send, action.kind == \"pay.other\"")),
        ("(context.n == 1 || context.n == 2) && context.n == 3", never("context.n == 1, context.n == 3")),
        ("!(context.n == 1 || context.b) && context.b", never("!(context.b), context.b")),
        ("context.b ? false : context.b", never("!(context.b), context.b")),
        ("size(context.t) > 3 && size(context.t) < 2", never("size(context.t) > 3, size(context.t) < 2")),
        (
            "context.n < context.u && context.n >= context.u",
            never("context.n < context.u, context.n >= context.u"),
        ),
    ];
    for (when, expected) in cases {
        assert_eq!(warnings(&rule("r", "pay.send", "permit", when)), [expected], "{when}");
    }
    for fine in [
        "context.n > 5 && context.n < 7",
        "context.d > 5.0 && context.d < 6.0",
        "context.t == \"a\" || context.t == \"b\"",
        "context.x != \"a\" && context.x != \"b\"",
        "context.any != 1 && context.any != \"1\"",
        "!has(context.n) || context.n > 3",
        "context.n >= 5 && context.n <= 5",
        "has(context.opt) && context.opt > 1",
        "context.opt > 1 && has(context.opt)",
        "!has(context.opt) || context.opt > 1",
    ] {
        assert_eq!(warnings(&rule("r", "pay.send", "permit", fine)), [""; 0], "{fine}");
    }
}

#[test]
fn rules_that_never_count() {
    let shadowed =
        ["rule p (permit) never counts: rule d (deny), at line 13, column 6, matches whenever it does"];
    let table = [
        (rule("d", "*", "deny", ""), rule("p", "pay", "permit", "context.b")),
        (
            rule("d", "pay*", "deny", "context.n > 5"),
            rule("p", "pay", "permit", "context.n > 7 && context.b"),
        ),
        (
            rule("d", "pay", "deny", "context.n > 5 || context.b"),
            rule("p", "pay", "permit", "context.n >= 6"),
        ),
        (
            rule("d", "pay", "deny", "context.x in [\"a\", \"b\"]"),
            rule("p", "pay", "permit", "context.x == \"a\" && has(context.b)"),
        ),
        (rule("d", "pay", "deny", "has(context.any)"), rule("p", "pay", "permit", "context.any == 1")),
        (
            rule("d", "pay", "deny", "context.list.exists(i, i > 3) && context.n != 4"),
            rule("p", "pay", "permit", "context.n == 3 && context.list.exists(j, j > 3)"),
        ),
    ];
    for (strong, weak) in table {
        assert_eq!(warnings(&format!("{strong}{weak}")), shadowed, "{strong}{weak}");
    }
    for (strong, weak) in [
        (rule("d", "pay", "deny", ""), rule("p", "pay*", "permit", "")),
        (rule("d", "pay", "deny", "context.n > 7"), rule("p", "pay", "permit", "context.n > 5")),
        (rule("d", "pay", "deny", "context.b && context.n > 5"), rule("p", "pay", "permit", "context.n > 5")),
        (rule("d", "pay", "deny", "context.any != 5"), rule("p", "pay", "permit", "has(context.any)")),
        (rule("p", "pay", "permit", ""), rule("d", "pay", "deny", "context.b")),
        // Money can be compared with nothing else, so that this is no certain denial.
        (
            rule("d", "pay", "deny", "action.cost != money(\"1 EUR\")"),
            rule("p", "pay", "permit", "has(action.cost)"),
        ),
    ] {
        assert_eq!(warnings(&format!("{strong}{weak}")), [""; 0], "{strong}{weak}");
    }
    let escalated =
        format!("{}{}", rule("e", "pay", "escalate", "context.b"), rule("p", "pay", "permit", "context.b"));
    assert_eq!(
        warnings(&escalated),
        [
            "rule p (permit) contradicts rule e (escalate), at line 13, column 6, which matches the same requests"
        ]
    );
    let twice =
        format!("{}{}", rule("a", "pay", "permit", "context.b"), rule("b", "pay", "permit", "(context.b)"));
    assert_eq!(warnings(&twice), ["rule b says the same as rule a, at line 13, column 6"]);
}

#[test]
fn strangers_and_what_may_be_missing() {
    let kinds = "[action.'pay.*'.params]\nnote = 'string?'\n[action.mail.params]\nto = 'string'\n";
    let source = format!(
        "{kinds}{}{}",
        rule("a", "maill", "permit", ""),
        rule("b", "pay.send", "permit", "action.params.note == \"x\" && context.opt > 1")
    );
    let ruleset = Ruleset::from_toml(&format!("{DECLARED}{source}")).unwrap();
    let found: Vec<_> =
        ruleset.check().into_iter().map(|one| (one.severity, one.at.line, one.problem.to_string())).collect();
    let optional = |name: &str| {
        format!("{name} is optional: without it the condition can be indeterminate; test has({name}) first")
    };
    assert_eq!(
        found,
        [
            (Severity::Warning, 17, "no declared kind of action is maill; did you mean mail?".to_owned()),
            (Severity::Warning, 24, optional("action.params.note")),
            (Severity::Warning, 24, optional("context.opt")),
        ]
    );
}

#[test]
fn ten_thousand_rules_are_looked_at_soon() {
    let rules: String = (0..10_000)
        .map(|n| {
            let effect = if n % 2 == 0 { "permit" } else { "deny" };
            rule(
                &format!("r{n}"),
                "pay",
                effect,
                &format!("action.params.to == \"a{}\" && context.n > {n}", n / 2),
            )
        })
        .collect();
    let ruleset = Ruleset::from_toml(&format!("{DECLARED}{rules}")).unwrap();
    assert_eq!(ruleset.check(), []);
    let all: String = (0..2_500)
        .map(|n| {
            rule(
                &format!("r{n}"),
                "pay",
                if n % 2 == 0 { "permit" } else { "deny" },
                &format!("context.n > {n} && context.u > {}", 5_000 - n),
            )
        })
        .collect();
    let found = Ruleset::from_toml(&format!("{DECLARED}{all}")).unwrap().check();
    assert!(
        matches!(found.as_slice(), [Diagnostic { problem: Problem::NotCompared { .. }, .. }]),
        "{found:?}"
    );
}

/// A test of one of few attributes against few values, so that many contradict or follow from each other.
fn test() -> impl Strategy<Value = String> {
    let name =
        || prop::sample::select(vec!["context.n", "context.u", "context.d", "context.any", "context.opt"]);
    let number = || prop::sample::select(vec!["0", "1", "2", "1.5", "2u", "-1", "1 + 1"]);
    let operator = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let text = || prop::sample::select(vec!["\"a\"", "\"b\"", "\"c\""]);
    prop_oneof![
        4 => (name(), operator(), number()).prop_map(|(name, operator, number)| format!("{name} {operator} {number}")),
        1 => (number(), operator(), name()).prop_map(|(number, operator, name)| format!("{number} {operator} {name}")),
        2 => (prop::sample::select(vec!["context.t", "context.x", "context.any"]), operator(), text())
            .prop_map(|(name, operator, text)| format!("{name} {operator} {text}")),
        1 => (prop::sample::select(vec!["context.t", "context.x"]), prop::collection::vec(text(), 0..3))
            .prop_map(|(name, all)| format!("{name} in [{}]", all.join(", "))),
        1 => (name(), prop::collection::vec(number(), 1..3)).prop_map(|(name, all)| format!("{name} in [{}]", all.join(", "))),
        1 => name().prop_map(|name| format!("has({name})")),
        1 => Just("context.b".to_owned()),
        1 => (operator(), prop::sample::select(vec!["1 USD", "2 USD", "0 USD", "1 EUR"])).prop_map(|(operator, money)| format!("context.limit {operator} money(\"{money}\")")),
        1 => Just("context.any == null".to_owned()),
        1 => (name(), operator(), name()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
        1 => (operator(), number()).prop_map(|(operator, number)| format!("size(context.t) {operator} {number}")),
        1 => (operator(), number()).prop_map(|(operator, number)| format!("context.list[0] {operator} {number}")),
        1 => Just("context.list.exists(i, i > 1)".to_owned()),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    test().prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            4 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            2 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            1 => inner.clone().prop_map(|a| format!("!({a})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn facts() -> impl Strategy<Value = Context> {
    let number = || {
        prop::sample::select(vec![
            json!(0),
            json!(1),
            json!(2),
            json!(-1),
            json!(1.5),
            json!(2.0),
            json!(3),
            json!("a"),
        ])
    };
    let text =
        || prop::sample::select(vec![json!("a"), json!("b"), json!("c"), json!("d"), json!(""), json!(1)]);
    let any = || prop_oneof![number(), text(), Just(json!(null)), Just(json!(true)), Just(json!([1]))];
    let money = prop::sample::select(vec![
        json!("1 USD"),
        json!("2 USD"),
        json!("0 USD"),
        json!("1.5 USD"),
        json!("1 EUR"),
        json!("x"),
    ]);
    let fact = |name: &'static str, value: BoxedStrategy<Value>| {
        prop::option::weighted(0.9, value.prop_map(move |value| (name, value)))
    };
    let facts = vec![
        fact("n", number().boxed()),
        fact("u", number().boxed()),
        fact("d", number().boxed()),
        fact("opt", number().boxed()),
        fact("t", text().boxed()),
        fact("x", text().boxed()),
        fact("any", any().boxed()),
        fact("b", prop::sample::select(vec![json!(true), json!(false)]).boxed()),
        fact("limit", money.boxed()),
        fact("list", prop::collection::vec(number(), 0..3).prop_map(Value::from).boxed()),
    ];
    facts.prop_map(|facts| {
        facts.into_iter().flatten().fold(Context::new(), |context, (name, value)| context.with(name, value))
    })
}

/// Whether a condition is true, false, or neither.
fn holds(engine: &RulesEngine, context: &Context) -> Option<bool> {
    let action = free_action("pay", json!({}));
    match engine.decide(&Request::new(&action, context, Timestamp::EPOCH)).decision {
        Decision::Permit => Some(true),
        Decision::Deny { reason } if reason.contains("indeterminate") => None,
        _ => Some(false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::with_cases(800) })]

    #[test]
    fn every_warning_is_right(
        strong in condition(), weak in condition(), escalates in any::<bool>(), contexts in prop::collection::vec(facts(), 12),
    ) {
        let effect = if escalates { "escalate" } else { "deny" };
        let source = format!("{DECLARED}{}{}", rule("s", "pay", effect, &strong), rule("w", "pay", "permit", &weak));
        let Ok(ruleset) = Ruleset::from_toml(&source) else { return Err(TestCaseError::reject("ill-typed")) };
        let findings = ruleset.check();
        if findings.is_empty() {
            return Ok(());
        }
        let [strong, weak] = [&strong, &weak].map(|condition| {
            let source = format!("{DECLARED}{}", rule("r", "pay", "permit", condition));
            RulesEngine::new(Ruleset::from_toml(&source).unwrap())
        });
        for finding in findings {
            for context in &contexts {
                let (s, w) = (holds(&strong, context), holds(&weak, context));
                match &finding.problem {
                    Problem::NeverTrue { rule, .. } => {
                        prop_assert_ne!(if rule == "s" { s } else { w }, Some(true), "{} {:?}", finding, context);
                    }
                    Problem::Shadowed { .. } if w == Some(true) => prop_assert_ne!(s, Some(false), "{} {:?}", source, context),
                    Problem::Contradictory { .. } => prop_assert_eq!(w == Some(true), s == Some(true), "{} {:?}", source, context),
                    Problem::Shadowed { .. } => {}
                    Problem::Unprotected { attribute } => prop_assert!(attribute == "context.opt"),
                    other => prop_assert!(false, "{other}"),
                }
            }
        }
    }
}
