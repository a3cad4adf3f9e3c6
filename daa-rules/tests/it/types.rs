//! Types: what is declared, what is inferred, what is refused, and what is looked at when a rule is used.

use daa_core::action::{Context, Decision, Policy, Request};
use daa_core::clock::Timestamp;
use daa_rules::{Limits, RulesEngine, Ruleset, Severity};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{decide, free_action, permit_when};

const DECLARED: &str = r#"
[context]
trusted = "bool"
hour = "int"
big = "uint"
score = "double"
name = "string"
limit = "money"
tags = "list(string)"
limits = "map(int)"
region = ["eu", "us"]
owner = { name = "string", age = "int?", home = { city = "string" }, since = "double" }
orders = [{ id = "string", units = "uint" }]
"note?" = "string"
anything = "any"
"#;

/// What is wrong with a condition over these facts, without where it stands.
fn wrong(condition: &str) -> String {
    let source = format!("{DECLARED}{}", permit_when(condition));
    let error = Ruleset::from_toml(&source).unwrap_err();
    error.problems().iter().map(|problem| problem.problem.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn refuses_what_cannot_have_a_value() {
    let cases = [
        ("context.hour == \"8\"", "context.hour == \"8\": int == string is not defined; did you mean 8?"),
        ("context.hour > \"8\"", "context.hour > \"8\": int > string is not defined; did you mean 8?"),
        ("context.name == 3", "context.name == 3: string == int is not defined; did you mean \"3\"?"),
        (
            "context.trusted == \"true\"",
            "context.trusted == \"true\": bool == string is not defined; did you mean true?",
        ),
        ("context.trusted > 1", "context.trusted > 1: bool > int is not defined"),
        ("action.cost < 13", "action.cost < 13: money < int is not defined; did you mean money(\"13 USD\")?"),
        (
            "context.limit == \"13 USD\"",
            "context.limit == \"13 USD\": money == string is not defined; did you mean money(\"13 USD\")?",
        ),
        ("context.hour + 1u > 3", "context.hour + 1u: int + uint is not defined; did you mean 1?"),
        ("context.score * 2 > 3.0", "context.score * 2: double * int is not defined; did you mean 2.0?"),
        ("context.score % 2.0 > 3.0", "context.score % 2.0: double % double is not defined"),
        ("context.name + 1 == \"a\"", "context.name + 1: string + int is not defined; did you mean \"1\"?"),
        ("context.tags == [1]", "context.tags == [1]: list(string) == list(int) is not defined"),
        ("3 in context.tags", "3 in context.tags: int in list(string) is not defined; did you mean \"3\"?"),
        ("3 in context.limits", "3 in context.limits: int in map(int) is not defined"),
        ("context.hour in 3", "context.hour in 3: int in int is not defined"),
        (
            "context.hour == null",
            "context.hour == null: int == null is not defined; did you mean !has(context.hour)?",
        ),
        ("context.tags[\"a\"] == \"x\"", "context.tags[\"a\"]: list(string) [] string is not defined"),
        ("context.tags.exists(t, t > 3)", "t > 3: string > int is not defined; did you mean \"3\"?"),
        ("context.limits.all(k, k > 3)", "k > 3: string > int is not defined; did you mean \"3\"?"),
        ("context.limits[\"a\"] > \"x\"", "context.limits[\"a\"] > \"x\": int > string is not defined"),
        ("context.orders.exists(o, o.units > o.id)", "o.units > o.id: uint > string is not defined"),
        (
            "context.orders.map(o, o.id)[0] > 3",
            "context.orders.map(o, o.id)[0] > 3: string > int is not defined; did you mean \"3\"?",
        ),
        (
            "context.tags.filter(t, t != \"x\")[0] > 3",
            "context.tags.filter(t, t != \"x\")[0] > 3: string > int is not defined; did you mean \"3\"?",
        ),
        ("context.tags.exists_one(t, t)", "t is string, but ?: takes a bool"),
        (
            "(context.trusted ? 1 : 2) == \"x\"",
            "(context.trusted ? 1 : 2) == \"x\": int == string is not defined",
        ),
        ("context.hour", "a condition is true or false, this one is int"),
        ("context.tags", "a condition is true or false, this one is list(string)"),
        ("context.hour && true", "context.hour is int, but && takes a bool; did you mean has(context.hour)?"),
        ("!context.name", "context.name is string, but ! takes a bool; did you mean has(context.name)?"),
        ("-context.name == 3", "context.name is string, but - takes an int or a double"),
        ("size(context.hour) == 1", "context.hour is int, but size() takes a string, a list or a map"),
        ("context.hour.startsWith(\"a\")", "context.hour is int, but startsWith() takes a string"),
        ("context.name.contains(3)", "3 is int, but contains() takes a string"),
        ("money(context.hour) == action.cost", "context.hour is int, but money() takes a string or money"),
        ("context.hour.all(x, x > 0)", "context.hour is int, but a macro takes a list or a map"),
        ("context.name.size == 3", "context.name is string, but .size takes a map or a record"),
        ("money(\"1 USD\").units == 1", "money(\"1 USD\") is money, but .units takes a map or a record"),
        (
            "context.owner.nme == \"a\"",
            "unknown attribute context.owner.nme: it has age, home, name, since; did you mean \"name\"?",
        ),
        ("context.owner[\"home\"].town == \"a\"", "unknown attribute context.owner.home.town: it has city"),
        (
            "context.region == \"ue\"",
            "context.region is never \"ue\", only \"eu\" | \"us\"; did you mean \"eu\"?",
        ),
        (
            "\"uss\" != context.region",
            "context.region is never \"uss\", only \"eu\" | \"us\"; did you mean \"us\"?",
        ),
        ("context.region in [\"eu\", \"asia\"]", "context.region is never \"asia\", only \"eu\" | \"us\""),
    ];
    for (condition, expected) in cases {
        assert_eq!(wrong(condition), expected, "{condition}");
    }
}

#[test]
fn tells_everything_that_is_wrong_where_it_is() {
    let source = "[context]\nhour = 'int'\nname = 'strin'\n[[rule]]\non = 'a'\neffect = 'permit'\n\
                  when = 'context.hour > \"8\" && action.kin == 1 && (contxt || size(1) > 2)'\n\
                  [[rule]]\non = 'b*c'\neffect = 'perm'\n[[rule]]\non = 'c'\neffect = 'deny'\nwhen = '1'\n";
    let error = Ruleset::from_toml(source).unwrap_err();
    let found: Vec<_> = error
        .problems()
        .iter()
        .map(|one| (one.at.line, one.at.column, one.problem.suggestion().map(ToOwned::to_owned)))
        .collect();
    let text = |text: &str| Some(text.to_owned());
    let expected = [
        (3, 8, text("string")),
        (7, 9, text("8")),
        (7, 38, text("kind")),
        (7, 51, text("context")),
        (7, 61, None),
        (9, 6, None),
        (10, 10, text("permit")),
        (14, 9, None),
    ];
    assert_eq!(found, expected, "{error}");
    assert!(error.problems().iter().all(|one| one.severity == Severity::Error));
    let shown = error.problems()[1].in_source(source);
    let expected = "error: context.hour > \"8\": int > string is not defined; did you mean 8?\n \
                    --> line 7, column 9\n  |\n\
                    7 | when = 'context.hour > \"8\" && action.kin == 1 && (contxt || size(1) > 2)'\n  |         ^\n";
    assert_eq!(shown, expected);
    let json = serde_json::to_value(&error.problems()[0]).unwrap();
    assert_eq!(
        (&json["severity"], &json["line"], &json["suggestion"]),
        (&json!("error"), &json!(3), &json!("string"))
    );
}

#[test]
fn tells_no_more_than_is_read() {
    let rule = "[[rule]]\non = 'a'\neffect = 'nothing'\nwhen = 'x || y || z'\n";
    let error = Ruleset::from_toml(&rule.repeat(1_000)).unwrap_err();
    assert_eq!(error.problems().len(), Limits::PROBLEMS);
}

#[test]
fn declarations_that_make_no_sense() {
    let cases = [
        ("x = 'list(money)'", "unknown type \"list(money)\""),
        ("x = []", "a list of texts needs one at least"),
        ("x = ['a', 'a']", "this text stands in the list twice"),
        ("x = ['a', 1]", "a text of the list must be a string, found an integer"),
        ("x = 3", "x must be a string, found an integer"),
        ("x = 'int'\n'x?' = 'int'", "attribute x is declared twice, once as optional"),
        ("x = { y = { 'a b' = 'int' } }", "\"a b\" is not a name"),
        ("x = [[[[[[[[[['a']]]]]]]]]]", "a type has at most 8 levels"),
    ];
    for (declaration, expected) in cases {
        let error = Ruleset::from_toml(&format!("[context]\n{declaration}\n")).unwrap_err().to_string();
        assert!(error.contains(expected), "{declaration}: {error}");
    }
    let many: String = (0..1001).map(|n| format!("a{n} = 'int', ")).collect();
    let error = Ruleset::from_toml(&format!("context = {{ x = {{ {many} }} }}\n")).unwrap_err();
    assert!(error.to_string().ends_with("declared attributes: at most 1000 are allowed"), "{error}");
}

#[test]
fn kinds_of_action_declare_their_own_parameters() {
    let declared = "[params]\nto = 'string'\n[action.'pay.*'.params]\namount = 'int'\nto = 'string'\n\
                    [action.'pay.fast'.params]\namount = 'int'\nfee = 'int'\n[action.free]\n";
    let wrong = |on: &str, condition: &str| {
        let source = format!(
            "{declared}[[rule]]\non = '{on}'\neffect = 'permit'\nwhen = 'action.params.{condition}'\n"
        );
        Ruleset::from_toml(&source).err().map(|error| error.problems()[0].problem.to_string())
    };
    let unknown = |name: &str, declares: &str| {
        Some(format!("unknown attribute action.params.{name}: [params] declares {declares}"))
    };
    assert_eq!(wrong("pay.slow", "amount > 1"), None);
    assert_eq!(wrong("pay.slow", "fee > 1"), unknown("fee", "amount, to"));
    assert_eq!(wrong("pay.fast", "fee > 1"), None);
    assert_eq!(wrong("pay.fast", "to == \"a\""), unknown("to", "amount, fee"));
    assert_eq!(wrong("mail", "to == \"a\""), None);
    assert_eq!(wrong("mail", "amount > 1"), unknown("amount", "to"));
    assert_eq!(wrong("free", "whatever > 1"), None);
    // About several kinds: what any of them has, and the type where all agree.
    assert_eq!(wrong("pay.*", "fee > 1"), None);
    assert_eq!(
        wrong("pay.*", "amount > \"1\""),
        Some("action.params.amount > \"1\": int > string is not defined; did you mean 1?".to_owned())
    );
    assert_eq!(wrong("pay.*", "sum > 1"), unknown("sum", "amount, fee, to"));
    assert_eq!(wrong("*", "anything > 1"), None, "free takes any");
    let twice = "[action.'a b']\n[action.x.param]\n";
    let error = Ruleset::from_toml(twice).unwrap_err().to_string();
    assert!(error.contains("line 1, column 9: \"a b\" is not a kind of action"), "{error}");
    assert!(error.contains("line 2, column 11: unknown key \"param\""), "{error}");
}

#[test]
fn what_is_given_is_looked_at_when_it_is_used() {
    let context = || {
        Context::new()
            .with("owner", json!({ "name": "ann", "age": 40, "home": { "city": 7 }, "since": 3 }))
            .with("orders", json!([{ "id": "a", "units": 3 }, { "id": 4, "units": -1 }]))
            .with("tags", json!(["a", 1]))
            .with("region", "xx")
            .with("big", 7)
            .with("limit", "12.50 USDC")
            .with("limits", json!({ "a": 3, "b": "x" }))
    };
    let verdict = |condition: &str| {
        decide(&format!("{DECLARED}{}", permit_when(condition)), &crate::payment(), &context()).decision
    };
    for condition in [
        "context.owner.name == \"ann\" && context.owner.age + 1 == 41 && has(context.owner.age)",
        "context.owner.since / 2.0 == 1.5",
        "context.orders[0].units + 1u == 4u && context.orders[0].id == \"a\"",
        "context.tags[0] == \"a\" && \"a\" in context.tags",
        "context.big + 1u == 8u",
        "action.cost == context.limit && context.limit < money(\"13 USDC\")",
        "context.limits[\"a\"] == 3 && context.limits.a == 3",
        "context.tags.exists(t, t == \"a\")",
        "has(context.owner.home.city) && !has(context.note)",
    ] {
        assert_eq!(verdict(condition), Decision::Permit, "{condition}");
    }
    for (condition, why) in [
        ("context.owner.home.city == \"a\"", "context.owner.home.city is declared as string, but is int"),
        ("context.orders[1].units == 3u", "context.orders[1].units is declared as uint, but is negative"),
        ("context.orders.all(o, o.id != \"x\")", "element.id is declared as string, but is int"),
        ("context.region == \"eu\"", "context.region is declared as \"eu\" | \"us\", but is another string"),
        ("context.tags[1] == \"a\"", "context.tags[1] is declared as string, but is int"),
        ("context.limits.b == 3", "context.limits.b is declared as int, but is string"),
    ] {
        let Decision::Deny { reason } = verdict(condition) else { panic!("{condition} is denied") };
        assert!(reason.ends_with(why), "{condition}: {reason}");
    }
    let rules = format!("{DECLARED}{}", permit_when("context.limit < action.cost"));
    let Decision::Deny { reason } =
        decide(&rules, &crate::payment(), &Context::new().with("limit", "much")).decision
    else {
        panic!("it is denied")
    };
    assert!(
        reason.ends_with("context.limit is declared as money, but is a string that is no amount"),
        "{reason}"
    );
}

/// Any condition at all over typed facts, well-typed or not.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "context.trusted",
        "context.hour",
        "context.big",
        "context.score",
        "context.name",
        "context.limit",
        "context.tags",
        "context.limits",
        "context.region",
        "context.owner.age",
        "context.owner.home.city",
        "context.orders",
        "context.tags[0]",
        "context.limits[\"a\"]",
        "action.cost",
        "action.kind",
        "1",
        "2u",
        "1.5",
        "\"eu\"",
        "true",
        "money(\"1 USDC\")",
        "[1]",
        "[\"eu\"]",
        "[]",
        "context.orders[0].units",
    ])
    .prop_map(ToOwned::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec!["==", "!=", "<", ">=", "in", "+", "-", "*", "&&", "||"]);
        prop_oneof![
            6 => (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            1 => inner.clone().prop_map(|a| format!("size({a})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.exists(x, x == {b})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.map(x, {b})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
        ]
    })
}

fn fitting() -> Context {
    Context::new()
        .with("trusted", true)
        .with("hour", 7)
        .with("big", 9)
        .with("score", 1.5)
        .with("name", "eu")
        .with("limit", "1 USDC")
        .with("tags", json!(["eu", "x"]))
        .with("limits", json!({ "a": 1 }))
        .with("region", "eu")
        .with("owner", json!({ "name": "x", "age": 1, "home": { "city": "eu" }, "since": 1 }))
        .with("orders", json!([{ "id": "a", "units": 2 }]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Where everything is declared, and is what is declared, types never fail when a rule is used.
    #[test]
    fn what_is_accepted_does_not_go_wrong(condition in condition()) {
        let Ok(ruleset) = Ruleset::from_toml(&format!("{DECLARED}{}", permit_when(&condition))) else {
            return Ok(());
        };
        let action = crate::payment();
        let verdict = RulesEngine::new(ruleset).decide(&Request::new(&action, &fitting(), Timestamp::EPOCH));
        if let Decision::Deny { reason } = verdict.decision {
            let wrong = reason.contains("is declared as")
                // A list of several types has elements of any type.
                || (reason.contains("is not defined") || reason.contains("neither true nor false")) && !condition.contains('[') && !condition.contains('?');
            prop_assert!(!wrong, "{condition}: {reason}");
        }
    }

    /// What a schema says of parameters is what the evaluation of them relies on.
    #[test]
    fn parameters_of_the_wrong_type_are_indeterminate(value in prop::sample::select(vec![json!(1), json!("a"), json!(true), json!(null), json!(1.5), json!([]), json!({})])) {
        for (kind, literal, fits) in [
            ("int", "1", value.is_i64()),
            ("double", "1.0", value.is_number()),
            ("string", "\"a\"", value.is_string()),
            ("bool", "true", value.is_boolean()),
        ] {
            let rules = format!("[params]\np = '{kind}'\n{}", permit_when(&format!("action.params.p == {literal} || true")));
            let strict = format!("[params]\np = '{kind}'\n{}", permit_when(&format!("action.params.p != {literal} || action.params.p == {literal}")));
            let action = free_action("payment.send", json!({ "p": Value::clone(&value) }));
            prop_assert_eq!(decide(&rules, &action, &Context::new()).decision, Decision::Permit);
            prop_assert_eq!(decide(&strict, &action, &Context::new()).decision == Decision::Permit, fits);
        }
    }
}
