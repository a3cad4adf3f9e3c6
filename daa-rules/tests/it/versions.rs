//! Content hashes, and replacement while the rules govern.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use daa_core::action::{Context, Decision, Policy, Request};
use daa_core::clock::Timestamp;
use daa_rules::{Effect, RulesEngine, Ruleset, Type};
use serde_json::json;

use crate::free_action;

const ORIGINAL: &str = r#"
name = "house"
version = 7
[context]
trusted = "bool"
[params]
to = "string"
n = "int"
[[rule]]
id = "first"
on = "payment.*"
when = 'context.trusted && action.params.to in ["a", "b"] && action.params.n + 1 < 10 && action.cost < money("1.5 USD")'
effect = "permit"
reason = "known"
priority = 3
[[rule]]
id = "second"
on = "mail"
effect = "deny"
"#;

fn digest(source: &str) -> String {
    Ruleset::from_toml(source).unwrap().digest().to_string()
}

#[test]
fn the_hash_covers_everything_that_has_a_meaning() {
    let changes = [
        ("\"house\"", "\"home\""),
        ("version = 7", "version = 8"),
        ("trusted = \"bool\"", "trusted = \"any\""),
        ("trusted = \"bool\"", "trusted = \"bool\"\nmore = \"bool\""),
        ("n = \"int\"", "n = \"any\""),
        ("n = \"int\"", "n = \"int\"\nmore = \"int\""),
        ("\"first\"", "\"third\""),
        ("\"payment.*\"", "\"payment*\""),
        ("\"payment.*\"", "\"payment.\""),
        ("\"permit\"", "\"escalate\""),
        ("\"known\"", "\"unknown\""),
        ("reason = \"known\"\n", ""),
        ("reason = \"known\"", "reason = \"\""),
        ("priority = 3", "priority = 4"),
        ("priority = 3", ""),
        ("effect = \"deny\"", "effect = \"deny\"\nwhen = 'true'"),
        ("context.trusted &&", "context.trusted ||"),
        ("context.trusted &&", "!context.trusted &&"),
        ("action.params.to in", "action.kind in"),
        ("action.params.to in", "action.id in"),
        ("[\"a\", \"b\"]", "[\"a\", \"c\"]"),
        ("[\"a\", \"b\"]", "[\"b\", \"a\"]"),
        ("[\"a\", \"b\"]", "[\"a\"]"),
        ("[\"a\", \"b\"]", "[\"ab\"]"),
        ("+ 1", "- 1"),
        ("+ 1", "+ 2"),
        ("< 10", "<= 10"),
        ("< 10", "< 10u"),
        ("< 10", "< 10.0"),
        ("1.5 USD", "1.6 USD"),
        ("1.5 USD", "2.5 USD"),
        ("1.5 USD", "1.5 EUR"),
        ("money(\"1.5 USD\")'", "money(\"1.5 USD\") && [1].all(x, x > 0)'"),
        ("money(\"1.5 USD\")'", "money(\"1.5 USD\") && [1].exists(x, x > 0)'"),
        ("money(\"1.5 USD\")'", "money(\"1.5 USD\") && has(action.cost)'"),
    ];
    let mut seen = HashMap::from([(digest(ORIGINAL), "the original")]);
    for (from, to) in changes {
        let changed = ORIGINAL.replacen(from, to, 1);
        assert_ne!(changed, ORIGINAL, "{from} is not there");
        let other = seen.insert(digest(&changed), to);
        assert_eq!(other, None, "{from} -> {to} is not covered");
    }
    let (head, rules) = ORIGINAL.split_at(ORIGINAL.find("[[rule]]").unwrap());
    let (first, second) = rules.split_at(rules.rfind("[[rule]]").unwrap());
    assert_ne!(digest(&format!("{head}{second}{first}")), digest(ORIGINAL), "order is not covered");
    let no_params = ORIGINAL.replace("[params]\nto = \"string\"\nn = \"int\"\n", "");
    assert_ne!(
        digest(&no_params),
        digest(&no_params.replace(
            "[[rule]]\nid = \"first\"",
            "[params]\nto=\"any\"\nn=\"any\"\n[[rule]]\nid = \"first\""
        ))
    );
}

#[test]
fn the_hash_covers_nothing_else() {
    let same = [
        ("name = \"house\"", "# a comment\nname   =   'house'"),
        ("context.trusted && action.params.to in", "context.trusted   &&(action.params[\"to\"]) in"),
        ("1.5 USD", "1.50 USD"),
        ("on = \"payment.*\"\n", "\non = 'payment.*' # who\n"),
        (
            "trusted = \"bool\"\n[params]\nto = \"string\"\nn = \"int\"",
            "trusted = \"bool\"\n[params]\nn = \"int\"\nto = \"string\"",
        ),
    ];
    for (from, to) in same {
        let changed = ORIGINAL.replacen(from, to, 1);
        assert_ne!(changed, ORIGINAL, "{from} is not there");
        assert_eq!(digest(&changed), digest(ORIGINAL), "{from} -> {to}");
    }
}

#[cfg(feature = "yaml")]
#[test]
fn the_language_does_not_matter() {
    let yaml = r#"
name: house
version: 7
context: { trusted: bool }
params:
  to: string
  n: int
rule:
  - id: first
    on: payment.*
    when: >
      context.trusted && action.params.to in ["a", "b"]
      && action.params.n + 1 < 10 && action.cost < money("1.5 USD")
    effect: permit
    reason: known
    priority: 3
  - { id: second, on: mail, effect: deny }
"#;
    let json = json!({
        "name": "house", "version": 7, "context": { "trusted": "bool" }, "params": { "to": "string", "n": "int" },
        "rule": [
            { "id": "first", "on": "payment.*", "effect": "permit", "reason": "known", "priority": 3,
              "when": "context.trusted && action.params.to in [\"a\", \"b\"] && action.params.n + 1 < 10 && action.cost < money(\"1.5 USD\")" },
            { "id": "second", "on": "mail", "effect": "deny" },
        ],
    });
    assert_eq!(Ruleset::from_yaml(yaml).unwrap().digest().to_string(), digest(ORIGINAL));
    assert_eq!(Ruleset::from_yaml(&json.to_string()).unwrap().digest().to_string(), digest(ORIGINAL));
}

#[test]
fn a_ruleset_tells_what_it_says() {
    let rules = Ruleset::from_toml(ORIGINAL).unwrap();
    assert_eq!((rules.name(), rules.version(), rules.rules().len()), ("house", 7, 2));
    let first = &rules.rules()[0];
    assert_eq!((first.id().as_str(), first.effect(), first.priority()), ("first", Effect::Permit, 3));
    assert_eq!((first.on().to_string().as_str(), first.reason()), ("payment.*", Some("known")));
    assert!(first.when().unwrap().starts_with("context.trusted"));
    let declared: Vec<_> =
        rules.params().unwrap().map(|attribute| (attribute.name, attribute.kind)).collect();
    assert_eq!(declared, [("n".to_owned(), Type::Int), ("to".to_owned(), Type::String)]);
    assert_eq!(rules.context().count(), 1);
}

#[test]
fn every_decision_uses_exactly_one_ruleset() {
    let rules = |effect: &str| {
        let one = |id: &str| format!("[[rule]]\nid='{effect}-{id}'\non='x'\neffect='{effect}'\n");
        Ruleset::from_toml(&[one("1"), one("2"), one("3")].concat()).unwrap()
    };
    let (permit, deny) = (rules("permit"), rules("deny"));
    let engine = RulesEngine::new(permit.clone());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = || {
            let action = free_action("x", json!({}));
            while !stop.load(Ordering::Relaxed) {
                let verdict = engine.decide(&Request::new(&action, &Context::new(), Timestamp::EPOCH));
                let (digest, name) = match verdict.decision {
                    Decision::Permit => (permit.digest(), "permit"),
                    _ => (deny.digest(), "deny"),
                };
                assert_eq!(verdict.ruleset, digest);
                let expected = [1, 2, 3].map(|n| format!("{name}-{n}").parse().unwrap());
                assert_eq!(verdict.rules, expected);
            }
        };
        let readers = [scope.spawn(reader), scope.spawn(reader)];
        for turn in 0..2_000 {
            let (next, before) = if turn % 2 == 0 { (&deny, &permit) } else { (&permit, &deny) };
            assert_eq!(engine.replace(next.clone()).digest(), before.digest());
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
}

#[test]
fn clones_share_the_rules_and_a_bad_ruleset_never_governs() {
    let engine = RulesEngine::new(Ruleset::from_toml(ORIGINAL).unwrap());
    let clone = engine.clone();
    assert!(Ruleset::from_toml("[[rule]]").is_err());
    assert_eq!(clone.ruleset().name(), "house");
    engine.replace(Ruleset::from_toml("name = 'other'").unwrap());
    assert_eq!(clone.ruleset().name(), "other");
}
