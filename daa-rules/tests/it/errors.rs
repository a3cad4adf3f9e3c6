//! What an author is told: where, what, and what would be right.

use daa_core::fault::{Fault, Reaction, Retry};
use daa_rules::{Limits, Ruleset, RulesetError};

fn toml_error(source: &str) -> String {
    Ruleset::from_toml(source).unwrap_err().to_string()
}

/// The error of a rule that is right but for its condition, which begins at line 4, column 9.
fn condition_error(condition: &str) -> String {
    let rule = format!("[[rule]]\non = \"pay\"\neffect = \"permit\"\nwhen = '{condition}'\n");
    toml_error(&format!("{rule}[context]\nbalance = \"int\"\ntrusted = \"bool\"\n"))
}

#[test]
fn a_file_that_is_not_toml() {
    let cases = [
        (
            "[[rule]]\non = \n",
            "line 2, column 6: invalid TOML: string values must be quoted, expected literal string",
        ),
        ("[[rule]\n", "line 1, column 8: invalid TOML: unclosed array table, expected `]`"),
        ("a = 1\na = 2\n", "line 2, column 1: invalid TOML: duplicate key"),
    ];
    for (source, expected) in cases {
        assert_eq!(toml_error(source), expected, "{source}");
    }
}

#[test]
fn a_file_whose_keys_or_values_mean_nothing() {
    let cases = [
        (
            "[[rule]]\nonn='a'\n",
            "line 1, column 1: a rule needs the key \"on\"\nline 1, column 1: a rule needs the key \"effect\"\n\
             line 2, column 1: unknown key \"onn\", expected one of id, on, when, effect, reason, priority, on_indeterminate, limit, log, redact, emit, notify, set, rate; did you mean \"on\"?",
        ),
        (
            "[[rules]]\n",
            "line 1, column 3: unknown key \"rules\", expected one of name, version, context, provided, params, action, owner, event, parameter, notification, seen, window, sequence, rule, table, test; did you mean \"rule\"?",
        ),
        (
            "[[rule]]\non='a*b'\neffect='permit'",
            "line 2, column 4: \"a*b\" is not a kind of action: a * can only stand at the end",
        ),
        (
            "[[rule]]\non='a**'\neffect='permit'",
            "line 2, column 4: \"a**\" is not a kind of action: only one * is allowed, at the end",
        ),
        (
            "[[rule]]\non='a b'\neffect='permit'",
            "line 2, column 4: \"a b\" is not a kind of action: character ' ' in id \"a b\": only a-z, A-Z, 0-9 and . _ - / : are allowed",
        ),
        (
            "[[rule]]\non='ab'\neffect='permitt'",
            "line 3, column 8: unknown effect \"permitt\", expected one of permit, deny, escalate; did you mean \"permit\"?",
        ),
        ("[[rule]]\non='ab'\n", "line 1, column 1: a rule needs the key \"effect\""),
        ("[[rule]]\neffect='deny'\n", "line 1, column 1: a rule needs the key \"on\""),
        ("[[rule]]\non=3\neffect='deny'", "line 2, column 4: on must be a string, found an integer"),
        (
            "[[rule]]\non='a'\neffect='deny'\npriority=1.5",
            "line 4, column 10: priority must be an integer, found a number or a date",
        ),
        (
            "version=-1",
            "line 1, column 9: version must be an integer that is not negative, found a negative integer",
        ),
        (
            "[context]\nfoo='integer'",
            "line 2, column 5: unknown type \"integer\", expected one of bool, int, uint, double, string, money, list, map, any, list(TYPE), map(TYPE); did you mean \"int\"?",
        ),
        (
            "[context]\n\"fo-o\"='int'",
            "line 2, column 1: \"fo-o\" is not a name: letters, digits and _ are allowed, and no digit first",
        ),
        ("rule=3", "line 1, column 6: rule must be a list of rules, found an integer"),
        (
            "[[rule]]\nid='x'\non='a'\neffect='deny'\n[[rule]]\nid='x'\non='a'\neffect='deny'\n",
            "line 6, column 4: rule \"x\" exists already, at line 2, column 4",
        ),
        (
            "[[rule]]\nid='x y'\non='a'\neffect='deny'\n",
            "line 2, column 4: invalid rule id: character ' ' in id \"x y\": only a-z, A-Z, 0-9 and . _ - / : are allowed",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(toml_error(source), expected, "{source}");
    }
}

#[test]
fn a_name_that_is_taken_by_default_is_taken() {
    let source = "[[rule]]\nid='rule-2'\non='a'\neffect='deny'\n[[rule]]\non='a'\neffect='deny'\n";
    assert_eq!(toml_error(source), "line 5, column 1: rule \"rule-2\" exists already, at line 2, column 4");
}

#[test]
fn a_condition_over_something_unknown() {
    let cases = [
        (
            "action.pramas.x == 1",
            "line 4, column 16: unknown attribute action.pramas: action has id, kind, actor, params, cost; did you mean \"params\"?",
        ),
        (
            "context.balanc > 1",
            "line 4, column 17: unknown attribute context.balanc: [context] declares balance, trusted; did you mean \"balance\"?",
        ),
        (
            "contxt.balance > 1",
            "line 4, column 9: unknown attribute contxt: a condition is about action, context, plan, window, seen, sequence and parameter; did you mean \"context\"?",
        ),
        (
            "x.y == 3",
            "line 4, column 9: unknown attribute x: a condition is about action, context, plan, window, seen, sequence and parameter",
        ),
        (
            "action.cost.unit > 1",
            "line 4, column 21: unknown attribute action.cost.unit: action.cost has units, currency, decimals; did you mean \"units\"?",
        ),
        (
            "\"é\" == \"é\" && action.kindd == \"x\"",
            "line 4, column 31: unknown attribute action.kindd: action has id, kind, actor, params, cost; did you mean \"kind\"?",
        ),
        (
            "true && context[\"blance\"] == 1",
            "line 4, column 26: unknown attribute context.blance: [context] declares balance, trusted; did you mean \"balance\"?",
        ),
        (
            "has(context.trused)",
            "line 4, column 21: unknown attribute context.trused: [context] declares balance, trusted; did you mean \"trusted\"?",
        ),
        (
            "[1].exists(e, ee == 1)",
            "line 4, column 23: unknown attribute ee: a condition is about action, context, plan, window, seen, sequence and parameter; did you mean \"e\"?",
        ),
    ];
    for (condition, expected) in cases {
        assert_eq!(condition_error(condition), expected, "{condition}");
    }
}

#[test]
fn facts_must_be_declared_and_parameters_when_any_are() {
    let rule = "[[rule]]\non='a'\neffect='permit'\nwhen='context.x'\n";
    assert_eq!(
        toml_error(rule),
        "line 4, column 15: unknown attribute context.x: [context] declares nothing"
    );
    let rule = "[params]\nto='string'\n[[rule]]\non='a'\neffect='permit'\nwhen='action.params.too == 1'\n";
    assert_eq!(
        toml_error(rule),
        "line 6, column 21: unknown attribute action.params.too: [params] declares to; did you mean \"to\"?"
    );
}

#[test]
fn declared_parameters_are_used_by_name() {
    for condition in ["action.params == 1", "\"to\" in action.params", "action.params[action.id] == 1"] {
        let rule = format!("[params]\nto='any'\n[[rule]]\non='a'\neffect='permit'\nwhen='{condition}'\n");
        let found = toml_error(&rule);
        let what = "action.params as a whole cannot be used in a condition; \
                    name one that [params] declares, such as action.params.NAME";
        assert!(found.ends_with(what), "{found}");
    }
    let named = "[params]\nto='any'\n[[rule]]\non='a'\neffect='permit'\n\
                 when='has(action.params.to) && action.params[\"to\"].x[0] == 1'\n";
    assert!(Ruleset::from_toml(named).is_ok());
}

#[test]
fn a_condition_that_is_not_valid() {
    let cases = [
        (
            "true &&",
            "line 4, column 16: the condition is not valid: mismatched input 'the end', expected a value",
        ),
        ("a b", "line 4, column 11: the condition is not valid: extraneous input 'b' expecting the end"),
        ("", "line 4, column 8: the condition is not valid: mismatched input 'the end', expected a value"),
        ("9223372036854775808 > 1", "line 4, column 9: the condition is not valid: invalid int literal"),
        ("true && \"a", "line 4, column 17: the condition is not valid: token recognition error at: '\"a'"),
        ("1 + 1", "line 4, column 9: a condition is true or false, this one is int"),
        ("action.cost", "line 4, column 9: a condition is true or false, this one is money"),
        (
            "money(\"12,5 USD\") == action.cost",
            "line 4, column 16: \"12,5 USD\" is not money, expected an amount and a currency such as \"12.50 USDC\"",
        ),
        (
            "action.id.startWith(\"a\")",
            "line 4, column 28: startWith() with 2 arguments cannot be used in a condition; did you mean \"startsWith\"?",
        ),
        (
            "size(1, 2) == 1",
            "line 4, column 13: size() with 2 arguments cannot be used in a condition; it has another number of arguments",
        ),
        (
            "{\"a\": 1}.a == 1",
            "line 4, column 9: a map cannot be used in a condition; compare the members one by one",
        ),
        (
            "context == 1",
            "line 4, column 9: context as a whole cannot be used in a condition; name one of its attributes, such as context.NAME",
        ),
        (
            "[1].all(action, true)",
            "line 4, column 16: action as the variable of a macro cannot be used in a condition; use one variable with a name of its own",
        ),
        ("b\"x\" == \"x\"", "line 4, column 9: a byte string cannot be used in a condition; use a string"),
    ];
    for (condition, expected) in cases {
        assert_eq!(condition_error(condition), expected, "{condition}");
    }
}

#[cfg(feature = "yaml")]
#[test]
fn yaml_is_told_as_exactly() {
    let condition = |when: &str| format!("rule:\n- on: a\n  effect: permit\n  when: {when}\n");
    let unknown = |at: &str| {
        format!(
            "{at}: unknown attribute action.kin: action has id, kind, actor, params, cost; did you mean \"kind\"?"
        )
    };
    let cases = [
        ("rule:\n  - on: [".to_owned(), "line 2, column 9: invalid YAML: unclosed bracket '['".to_owned()),
        (
            "rule: &a\n  - on: x\n".to_owned(),
            "line 2, column 3: invalid YAML: anchors, aliases and tags are not allowed".to_owned(),
        ),
        (
            "a: 1\n---\nb: 2".to_owned(),
            "line 2, column 1: invalid YAML: a ruleset is one document, a second one begins here".to_owned(),
        ),
        (
            "version: 1\nversion: 2".to_owned(),
            "line 2, column 1: key \"version\" stands there twice".to_owned(),
        ),
        (
            "rule: {on: a}".to_owned(),
            "line 1, column 7: rule must be a list of rules, found a table".to_owned(),
        ),
        (condition("|\n    true &&\n    action.kin == \"a\""), unknown("line 6, column 12")),
        (condition(">-\n    true &&\n    action.kin == \"a\""), unknown("line 6, column 12")),
        (condition("\"action.kind == \\\"a\\\" && action.kin\""), unknown("line 4, column 41")),
        (condition("action.kin == 'x'"), unknown("line 4, column 16")),
    ];
    for (source, expected) in cases {
        assert_eq!(Ruleset::from_yaml(&source).unwrap_err().to_string(), expected, "{source}");
    }
}

#[test]
fn files_are_named_in_their_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let missing = Ruleset::from_file(&path).unwrap_err();
    assert!(matches!(&missing, RulesetError::Read { .. }));
    assert_eq!((missing.fault(), missing.retry()), (Fault::Environment, Retry::Later));
    std::fs::write(&path, "rule = 3").unwrap();
    let wrong = Ruleset::from_file(&path).unwrap_err();
    let expected =
        format!("{}: line 1, column 8: rule must be a list of rules, found an integer", path.display());
    assert_eq!(wrong.to_string(), expected);
    assert_eq!((wrong.fault(), wrong.retry()), (Fault::Caller, Retry::Never));
    std::fs::write(&path, "[[rule]]\non='a'\neffect='permit'").unwrap();
    assert_eq!(Ruleset::from_file(&path).unwrap().rules().len(), 1);
    let other = Ruleset::from_file(folder.path().join("rules.txt")).unwrap_err();
    assert!(matches!(other, RulesetError::Extension { .. }));
    std::fs::write(&path, "#".repeat(Limits::SOURCE + 1)).unwrap();
    let large = Ruleset::from_file(&path).unwrap_err();
    assert!(
        large.to_string().ends_with("the ruleset has 4194305 bytes, at most 4194304 are allowed"),
        "{large}"
    );
}
