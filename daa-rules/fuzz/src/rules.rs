//! Rulesets and conditions: refused, or the same each time.

use std::sync::LazyLock;

use daa_core::action::{Action, Context, Request};
use daa_core::amount::Currency;
use daa_core::clock::Timestamp;
use daa_rules::{Language, Ruleset, RulesetError, TriggerCase};
use serde_json::{Value, json};

/// A ruleset: the first byte says in which language, the rest is its source.
pub fn ruleset(bytes: &[u8]) {
    let Some((language, source)) = bytes.split_first() else { return };
    let Ok(source) = std::str::from_utf8(source) else { return };
    let language = if language & 1 == 0 { Language::Toml } else { Language::Yaml };
    read(language, source);
}

/// A condition over declared attributes, as text.
pub fn condition(bytes: &[u8]) {
    let Ok(condition) = std::str::from_utf8(bytes) else { return };
    let Ok(quoted) = serde_json::to_string(condition) else { return };
    // JSON's escapes are YAML's.
    let rule = |effect: &str| format!("{{\"on\": \"*\", \"effect\": \"{effect}\", \"when\": {quoted}}}");
    let declared = r#""context": {"trusted": "bool", "hour": "int", "rate": "double?", "region": ["eu", "us"], "price": "money", "any": "any?"},
        "params": {"to": "string", "amount": "int", "tags": "list(string)", "deep?": {"x": "int"}}"#;
    read(Language::Yaml, &format!("{{{declared}, \"rule\": [{}, {}]}}", rule("permit"), rule("escalate")));
}

fn read(language: Language, source: &str) {
    let rules = match Ruleset::read(language, source) {
        Ok(rules) => rules,
        Err(error) => return refused(&error, source),
    };
    let again = Ruleset::read(language, source).expect("what was accepted is accepted again");
    assert_eq!(rules.digest(), again.digest(), "one source is one ruleset");
    for warning in rules.check() {
        assert!(!warning.in_source(source).is_empty());
    }
    assert_eq!(rules.test(), again.test());
    for (action, context) in &*REQUESTS {
        let request = Request::new(action, context, Timestamp::from_millis(1_000));
        let verdict = rules.decide(&request);
        assert_eq!(verdict, again.decide(&request), "a decision is a pure function");
        let explanation = rules.explain(&request);
        let (told, decided) = (&explanation.verdict, &verdict);
        assert_eq!(
            (&told.decision, &told.rules, &told.obligations),
            (&decided.decision, &decided.rules, &decided.obligations),
            "what is explained is what is decided"
        );
        assert!(!explanation.to_string().is_empty());
    }
    let crossed = rules.triggered().iter().take(3).map(
        |rule| json!({ "threshold": { "rule": rule.id(), "values": [0, 1e9, "9 USDC", -1, "0 USDC", 7] } }),
    );
    let crossed: Vec<_> = crossed.map(case).collect();
    for case in CASES.iter().chain(&crossed) {
        let told = rules.explain_trigger(case);
        assert_eq!(told, again.explain_trigger(case), "what rules do is a pure function");
        assert!(!told.to_string().is_empty());
        for fired in &told.fired {
            assert!(fired.problem.is_none() || fired.set.is_empty() && fired.emitted.is_none());
        }
    }
}

fn case(written: Value) -> TriggerCase {
    TriggerCase::from_json(&written.to_string()).expect("a case")
}

/// What happens to rules that are triggered.
static CASES: LazyLock<Vec<TriggerCase>> = LazyLock::new(|| {
    let data =
        json!({ "account": "a", "units": 9, "n": 3, "text": "x", "flag": true, "list": [1, { "id": "y" }] });
    let event = |kind: &str, data: &Value| case(json!({ "event": { "kind": kind, "data": data } }));
    vec![
        event("balance.changed", &data),
        event("mail", &data),
        event("e", &json!({ "n": "no number", "units": 1.5, "account": null })),
        case(json!({ "schedule": { "from": "2026-03-28T12:00:00Z", "to": "2026-03-29T12:00:00Z" } })),
    ]
});

/// What is told has a place, and can be shown.
fn refused(error: &RulesetError, source: &str) {
    assert!(!error.to_string().is_empty());
    for problem in error.problems() {
        assert!(problem.at.line >= 1 && problem.at.column >= 1);
        assert!(!problem.in_source(source).is_empty());
    }
}

static REQUESTS: LazyLock<Vec<(Action, Context)>> = LazyLock::new(|| {
    let usdc = Currency::new("USDC", 6).expect("a currency");
    let action = |kind: &str, params: Value| {
        Action::new(
            "a-1".parse().expect("an id"),
            kind.parse().expect("a kind"),
            "alice".parse().expect("a name"),
        )
        .and_then(|action| action.with_params(params))
        .expect("an action")
    };
    let full = json!({ "to": "bob", "amount": 12, "tags": ["new", ""], "deep": { "x": -1 } });
    let odd = json!({ "to": 7, "amount": 1.5, "tags": [null, [1]], "deep": [] });
    let context = Context::new()
        .with("trusted", true)
        .with("hour", 23)
        .with("rate", 0.5)
        .with("region", "eu")
        .with("price", "12.50 USDC")
        .with("any", json!({ "a": [1, "x"] }));
    let strange = Context::new().with("trusted", "yes").with("hour", u64::MAX).with("region", "mars");
    vec![
        (action("payment.send", full).with_max_cost(usdc.units(12_500_000)), context),
        (action("a", odd), strange),
        (action("payment.send", json!({})), Context::new()),
    ]
});
