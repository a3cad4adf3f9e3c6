//! Tests in the file of the rules, and which rules they reach.

use daa_rules::{Effect, Ruleset};

const RULES: &str = r#"
[context]
trusted = "bool"
[[rule]]
id = "small"
on = "pay"
effect = "permit"
when = 'context.trusted && action.cost <= money("10 USD")'
[[rule]]
id = "bob"
on = "pay"
effect = "permit"
when = 'action.params.to == "bob"'
[[rule]]
id = "large"
on = "pay"
effect = "escalate"
when = 'action.cost > money("10 USD")'
[[rule]]
id = "night"
on = "*"
effect = "deny"
when = 'has(action.params.night)'

[[test]]
name = "a friend pays little"
action = { kind = "pay", cost = "10.00 USD", params = { to = "ann" } }
context = { trusted = true }
expect = "permit"
rules = ["small"]
[[test]]
action = { kind = "pay", cost = "10.01 USD", params = { to = "bob", n = 1.5 } }
context = { trusted = false }
now = 5
expect = "escalate"
"#;

#[test]
fn tests_run_and_tell_what_they_reach() {
    let ruleset = Ruleset::from_toml(RULES).unwrap();
    assert_eq!(ruleset.tests().len(), 2);
    assert_eq!(ruleset.tests()[1].request().now.as_millis(), 5);
    let report = ruleset.test();
    assert!(report.passed(), "{report:?}");
    let names: Vec<_> =
        report.outcomes.iter().map(|outcome| (outcome.name.as_str(), outcome.at.line)).collect();
    assert_eq!(names, [("a friend pays little", 26), ("test-2", 31)]);
    let counts: Vec<_> = report
        .coverage
        .rules
        .iter()
        .map(|rule| (rule.id.as_str(), rule.matched, rule.indeterminate, rule.decisive))
        .collect();
    assert_eq!(counts, [("small", 1, 0, 1), ("bob", 1, 0, 0), ("large", 1, 0, 1), ("night", 0, 0, 0)]);
    let ids = |rules: Vec<&daa_rules::RuleCoverage>| {
        rules.iter().map(|rule| rule.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(report.coverage.never_matched().collect()), ["night"]);
    assert_eq!(ids(report.coverage.never_decisive().collect()), ["bob"]);
}

#[test]
fn a_test_fails_by_its_decision_or_by_its_rules() {
    let fails = |from: &str, to: &str| {
        let report = Ruleset::from_toml(&RULES.replacen(from, to, 1)).unwrap().test();
        report.outcomes.iter().map(|outcome| (outcome.passed, outcome.expected)).collect::<Vec<_>>()
    };
    assert_eq!(
        fails("expect = \"permit\"", "expect = \"deny\""),
        [(false, Effect::Deny), (true, Effect::Escalate)]
    );
    assert_eq!(
        fails("rules = [\"small\"]", "rules = []"),
        [(false, Effect::Permit), (true, Effect::Escalate)]
    );
    assert_eq!(fails("rules = [\"small\"]", ""), [(true, Effect::Permit), (true, Effect::Escalate)]);
}

#[test]
fn tests_that_make_no_sense_are_told_where_they_stand() {
    let wrong =
        |from: &str, to: &str| Ruleset::from_toml(&RULES.replacen(from, to, 1)).unwrap_err().to_string();
    let cases = [
        (
            "rules = [\"small\"]",
            "rules = [\"smal\"]",
            "line 30, column 10: there is no rule \"smal\"; did you mean \"small\"?",
        ),
        (
            "expect = \"permit\"",
            "expect = \"permits\"",
            "line 29, column 10: unknown effect \"permits\", expected one of permit, deny, escalate; did you mean \"permit\"?",
        ),
        ("expect = \"permit\"", "", "line 25, column 1: a test needs the key \"expect\""),
        (
            "cost = \"10.00 USD\"",
            "cost = \"10,00 USD\"",
            "line 27, column 10: \"10,00 USD\" is not money, expected an amount and a currency such as \"12.50 USDC\"",
        ),
        (
            "kind = \"pay\", cost = \"10.00",
            "kid = \"pay\", cost = \"10.00",
            "line 27, column 10: the request is not valid: unknown field `kid`",
        ),
        (
            "context = { trusted = true }",
            "context = { trusted = 2020-01-01 }",
            "line 28, column 23: a value must be a value that JSON has, found a number or a date",
        ),
        ("context = { trusted = true }", "contxt = {}", "line 28, column 1: unknown key \"contxt\""),
    ];
    for (from, to, expected) in cases {
        let found = wrong(from, to);
        assert!(found.starts_with(expected), "{found}");
    }
}

#[cfg(feature = "yaml")]
#[test]
fn tests_are_read_from_yaml_too() {
    let rules = "rule: [{on: pay, effect: permit, when: 'action.params.x == null && action.params.b'}]\n\
                 test:\n- {action: {kind: pay, params: {x: null, b: true}}, expect: permit}\n";
    assert!(Ruleset::from_yaml(rules).unwrap().test().passed());
}

#[test]
fn tests_have_no_meaning_for_the_hash() {
    let (rules, _) = RULES.split_at(RULES.find("[[test]]").unwrap());
    assert_eq!(Ruleset::from_toml(rules).unwrap().digest(), Ruleset::from_toml(RULES).unwrap().digest());
}
