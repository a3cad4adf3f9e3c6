//! A hostile ruleset is refused, or at worst denies; it neither hangs nor exhausts the process.

use std::time::{Duration, Instant};

use daa_core::action::{Context, Decision, Policy, Request};
use daa_core::clock::Timestamp;
use daa_rules::{Limits, RulesEngine, Ruleset, TriggerCase};
use proptest::prelude::*;
use serde_json::json;

use crate::{decide, deny, free_action, payment, permit_when};

fn refusal(condition: &str) -> String {
    Ruleset::from_toml(&permit_when(condition)).unwrap_err().to_string()
}

#[test]
fn conditions_that_are_too_long_too_deep_or_too_large_are_refused() {
    let nesting = "levels of nesting in a condition: at most 48 are allowed";
    let nodes = "operators and names in a condition: at most 512 are allowed";
    for (condition, expected) in [
        (" ".repeat(4097), "bytes in a condition: at most 4096 are allowed"),
        ("(".repeat(2000), nesting),
        (format!("{}1{}", "[".repeat(1000), "]".repeat(1000)), nesting),
        ("!".repeat(4000), nesting),
        ("- ".repeat(2000), nesting),
        (format!("1{} == 1", "+1".repeat(400)), nesting),
        (format!("action.params{}", ".a".repeat(400)), nesting),
        (format!("{}true", "true ? true : ".repeat(120)), nesting),
        (vec!["true"; 600].join("&&"), nodes),
    ] {
        let found = refusal(&condition);
        assert!(found.ends_with(expected), "{found} for {}", condition.chars().take(40).collect::<String>());
    }
}

#[test]
fn conditions_at_the_limits_are_read_quickly_and_on_a_small_stack() {
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(47), close.repeat(47));
    let conditions = [
        format!("1{} == 1", "+1".repeat(509)),
        format!("action.params{}", ".a".repeat(509)),
        format!("action.params{}", "[0]".repeat(340)),
        nested("(", ")"),
        nested("[", "]"),
        nested("size(", ")"),
        nested("[[1].map(x, ", ")]"),
        nested("{1: ", "}"),
        nested("!(", ")"),
        nested("(1 == ", ")"),
        nested("true ? (", ") : false"),
        format!("({})", "1 < ".repeat(300)),
        "a{".repeat(48),
        "[x, ".repeat(48),
    ];
    let reader = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
        for condition in conditions {
            let start = Instant::now();
            let _ = Ruleset::from_toml(&permit_when(&condition));
            println!("{:?} {}", start.elapsed(), condition.chars().take(20).collect::<String>());
            assert!(start.elapsed() < Duration::from_secs(3), "{condition} took {:?}", start.elapsed());
        }
    });
    reader.unwrap().join().unwrap();
}

#[test]
fn what_is_too_much_in_a_ruleset_is_refused() {
    let rule = "[[rule]]\non='a'\neffect='permit'\n";
    assert_eq!(Ruleset::from_toml(&rule.repeat(Limits::RULES)).unwrap().rules().len(), Limits::RULES);
    let found = Ruleset::from_toml(&rule.repeat(Limits::RULES + 1)).unwrap_err().to_string();
    assert_eq!(found, "line 30001, column 1: rules in a ruleset: at most 10000 are allowed");
    let found = Ruleset::from_toml(&format!("{rule}reason='{}'", "x".repeat(1001))).unwrap_err().to_string();
    assert_eq!(found, "line 4, column 8: bytes in a reason: at most 1000 are allowed");
    let many: String = (0..1001).map(|n| format!("a{n} = 'int'\n")).collect();
    let found = Ruleset::from_toml(&format!("[context]\n{many}")).unwrap_err().to_string();
    assert_eq!(found, "line 1002, column 1: declared attributes: at most 1000 are allowed");
    assert!(Ruleset::from_toml(&"#".repeat(Limits::SOURCE + 1)).is_err());
    assert!(Ruleset::from_toml(&format!("a={}", "[".repeat(100_000))).is_err());
    #[cfg(feature = "yaml")]
    assert!(Ruleset::from_yaml(&format!("a: {}", "[".repeat(100_000))).is_err());
}

#[test]
fn loops_end_at_the_step_limit() {
    let items: Vec<i64> = (0..8_000).collect();
    let action = free_action("payment.send", json!({ "l": items }));
    let why =
        "no rule permits payment.send; rule rule-1 (permit) is indeterminate: it takes more than 10000 steps";
    for condition in [
        "action.params.l.all(a, action.params.l.all(b, action.params.l.all(c, a + b + c >= 0)))",
        "action.params.l.map(a, a) == action.params.l",
        // Neither operator nor macro absorbs the limit.
        "action.params.l.all(a, a >= 0) || true",
        "!(action.params.l.all(a, a >= 0) && false)",
        "[1].exists(x, action.params.l.all(a, a >= 0)) || true",
    ] {
        let start = Instant::now();
        assert_eq!(
            decide(&permit_when(condition), &action, &Context::new()).decision,
            deny(why),
            "{condition}"
        );
        assert!(start.elapsed() < Duration::from_secs(2), "{condition} took {:?}", start.elapsed());
    }
}

#[test]
fn text_cannot_grow_without_bound() {
    let action = free_action("payment.send", json!({ "t": "x".repeat(60_000) }));
    let condition = "[action.params.t].map(a, a + a)[0] == \"\"";
    let why = "no rule permits payment.send; rule rule-1 (permit) is indeterminate: it builds more than 65536 bytes or elements";
    assert_eq!(decide(&permit_when(condition), &action, &Context::new()).decision, deny(why));
    // Sharing makes the value small and its comparison exponential: the steps end it.
    let doubled = (0..20).fold("[1]".to_owned(), |list, n| format!("{list}.map(v{n}, [v{n}, v{n}])"));
    let condition = format!("{doubled} == {doubled}");
    let refused = Ruleset::from_toml(&permit_when(&condition));
    if refused.is_ok() {
        assert_ne!(decide(&permit_when(&condition), &action, &Context::new()).decision, Decision::Permit);
    }
}

#[test]
fn a_decision_over_many_costly_rules_ends() {
    let items: Vec<i64> = (0..8_000).collect();
    let action = free_action("payment.send", json!({ "l": items }));
    let costly = permit_when("action.params.l.all(a, a >= 0)").repeat(2_000);
    let engine = RulesEngine::new(Ruleset::from_toml(&costly).unwrap());
    let start = Instant::now();
    let verdict = engine.decide(&Request::new(&action, &Context::new(), Timestamp::EPOCH));
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    let Decision::Deny { reason } = verdict.decision else { panic!("it is denied") };
    assert!(reason.len() < 1_000, "{reason}");
}

#[test]
fn a_deny_that_is_not_reached_denies() {
    let items: Vec<i64> = (0..8_000).collect();
    let action = free_action("payment.send", json!({ "l": items }));
    let costly = permit_when("action.params.l.all(a, a >= 0)").repeat(60);
    let rules = format!(
        "{costly}[[rule]]\nid='p'\non='*'\neffect='permit'\n[[rule]]\nid='d'\non='*'\neffect='deny'\nwhen='false'\n"
    );
    let why = "rule d (deny) is indeterminate: the rules before it took all 500000 steps of the decision";
    assert_eq!(decide(&rules, &action, &Context::new()).decision, deny(why));
}

#[test]
fn conditionals_within_the_conditions_of_conditionals_are_checked_quickly() {
    let mut condition = "action.params.b == 1".to_owned();
    for _ in 0..40 {
        condition = format!("({condition} ? action.params.c == 2 : action.params.d == 3)");
    }
    let plain = "action.params.b".to_owned();
    let constants = (0..40).fold(plain, |condition, _| format!("({condition} ? true : false)"));
    for condition in [condition, constants] {
        let rules = Ruleset::from_toml(&permit_when(&condition)).unwrap();
        // What is found does not matter here; that it ends does.
        assert!(rules.check().len() < 100);
    }
}

/// A ruleset with a bit of everything.
const EVERYTHING: &str = include_str!("everything.toml");

/// Reads it, and does with it whatever can be done.
fn use_up(source: &str) {
    #[cfg(feature = "yaml")]
    let _ = Ruleset::from_yaml(source);
    let rules = match Ruleset::from_toml(source) {
        Ok(rules) => rules,
        Err(error) => {
            error.problems().iter().for_each(|problem| drop(problem.in_source(source)));
            return;
        }
    };
    let _ = rules.check();
    let _ = rules.test();
    let (action, context) = (payment(), Context::new().with("hour", 3).with("owner", json!({ "name": 1 })));
    let request = Request::new(&action, &context, Timestamp::EPOCH);
    let explanation = rules.explain(&request);
    assert_eq!(explanation.verdict, rules.decide(&request));
    let _ = explanation.to_string();
    let order = r#"{ "event": { "kind": "order.placed", "data": { "units": 7, "note": "x" } } }"#;
    let time = r#"{ "schedule": { "from": 0, "to": 100000000 } }"#;
    for case in [order, time] {
        let _ = rules.explain_trigger(&TriggerCase::from_json(case).unwrap()).to_string();
    }
}

#[test]
fn everything_is_a_ruleset_whose_tests_pass() {
    let rules = Ruleset::from_toml(EVERYTHING).unwrap();
    assert!(rules.test().passed(), "{:?}", rules.test());
    assert_eq!(rules.check(), []);
    use_up(EVERYTHING);
}

proptest! {
    /// From a ruleset that is nearly right.
    #[test]
    fn no_slip_makes_anything_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4u8, any::<char>()), 1..6),
    ) {
        let mut text: Vec<char> = EVERYTHING.chars().collect();
        for (from, to, edit, char) in edits {
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            match edit {
                0 => text[from] = char,
                1 => text.insert(from, char),
                2 => drop(text.remove(from)),
                _ => {
                    let part: Vec<_> = text[from.min(to)..from.max(to).min(from.min(to) + 40)].to_vec();
                    text.splice(to..to, part);
                }
            }
        }
        use_up(&text.into_iter().collect::<String>());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}", condition in "[a-z0-9 .()\\[\\]{}<>=!&|?:+*/%\"'-]{0,60}") {
        let _ = Ruleset::from_toml(&text);
        let _ = Ruleset::from_toml(&permit_when(&condition));
        #[cfg(feature = "yaml")]
        let _ = Ruleset::from_yaml(&text);
    }

    #[test]
    fn no_condition_makes_the_engine_panic(
        parts in prop::collection::vec(prop::sample::select(vec![
            "action.params.n", "action.cost", "action.params", "1", "-1", "1.5", "2u", "\"a\"", "[1, 2]", "null",
            "true", "==", "<", "&&", "||", "+", "-", "*", "/", "%", "in", "!", "(", ")", "?", ":", ".size()",
            ".map(x, x)", ".all(x, x == 1)", "[0]", "9223372036854775807", "-9223372036854775808", "money(\"1 USDC\")",
        ]), 1..12)
    ) {
        if let Ok(ruleset) = Ruleset::from_toml(&permit_when(&parts.join(" "))) {
            let engine = RulesEngine::new(ruleset);
            engine.decide(&Request::new(&payment(), &Context::new(), Timestamp::EPOCH));
        }
    }
}
