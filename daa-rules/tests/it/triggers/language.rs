//! What is written in the file, what is told of it, and the tests in it.

use daa_core::event::RecordedEvent;
use daa_rules::{Backtest, Case, Journal, Ruleset, Trigger, TriggerCase, export_for};
use serde_json::json;

use super::world::{World, settle, units};

const RULES: &str = r#"
[context]
price = "double"
[provided]
price = { max_age = "1m" }
[event."balance.*"]
data = { account = "string", units = "int", note = "string?" }
[action.top_up.params]
account = "string"
units = "int"
tags = "list(string)?"
[parameter.floor]
type = "int"
value = 10
max = 20
[parameter.limit]
type = "money"
value = "5 USDC"
[window.by_account]
on = "top_up"
per = ["action.params.account"]
span = "1h"
[window.daily]
on = "top_up"
sum = "action.cost"
span = "24h"
[notification.low]
account = "string"

[[rule]]
id = "pay"
on = "top_up"
effect = "permit"
when = "!has(action.cost) || window.daily + action.cost <= parameter.limit"
redact = ["action.params.account"]
notify = { name = "low", text = "${action.params.units}: ${decision.effect}", data = { account = "action.params.account" } }

[[rule]]
id = "top-up"
on = { event = "balance.changed" }
when = "event.data.units < parameter.floor && context.price < 2.0"
emit = { kind = "top_up", params = { account = "event.data.account", units = 5, tags = ["event.kind", '"x"'] }, cost = 'money("1.5 USDC")', decimals = 6 }
rate = { times = 3, span = "1h" }

[[rule]]
id = "nightly"
on = { cron = "30 2 * * *", zone = "Europe/Berlin" }
set = { floor = "parameter.floor + 4" }

[[rule]]
id = "spent"
on = { value = "window.daily", above = "4 USDC", clear = "2.5 USDC" }
notify = { name = "low", text = "${threshold.value}", data = { account = '"all"' } }

[[test]]
name = "an action and what follows"
action = { kind = "top_up", params = { account = "a", units = 2 }, cost = "1.00 USDC" }
given = { window = { daily = "4 USDC" } }
expect = "permit"
fires = ["pay"]
notifies = [{ text = "2: permit", data = { account = { redacted = true } } }]
[[test]]
action = { kind = "top_up", params = { account = "a", units = 2 }, cost = "1.01 USDC" }
given = { window = { daily = "4 USDC" } }
expect = "deny"
[[test]]
action = { kind = "top_up", params = { account = "a", units = 2 }, cost = "1.01 USDC" }
given = { window = { daily = "4 USDC" }, parameter = { limit = "6 USDC" } }
expect = "permit"
[[test]]
name = "a low balance"
event = { kind = "balance.changed", data = { account = "a", units = 9 } }
given = { context = { price = 1.5 } }
fires = ["top-up"]
emits = [{ kind = "top_up", params = { account = "a", units = 5, tags = ["balance.changed", "x"] }, cost = "1.500000 USDC" }]
[[test]]
event = { kind = "balance.changed", data = { account = "a", units = 9 } }
fires = []
[[test]]
name = "the night without 02:30, and the next one"
schedule = { from = "2026-03-28T12:00:00Z", to = "2026-03-30T12:00:00Z" }
fires = ["nightly", "nightly"]
sets = { floor = 18 }
[[test]]
threshold = { rule = "spent", values = ["3.9 USDC", "4 USDC", "5 USDC", "2.5 USDC", "4.1 USDC", "2.49 USDC", "4 USDC"] }
fires = ["spent", "spent"]
notifies = [{ name = "low", text = "4 USDC" }, { name = "low", text = "4 USDC" }]
"#;

#[test]
fn all_of_it_is_read_and_tested_in_the_file() {
    let rules = Ruleset::from_toml(RULES).unwrap_or_else(|error| panic!("{error}"));
    let report = rules.test();
    let missed: Vec<_> = report.triggered.iter().map(|outcome| (&outcome.name, &outcome.missed)).collect();
    assert!(report.passed(), "{missed:?} {:?}", report.outcomes);
    assert_eq!((report.outcomes.len(), report.triggered.len()), (3, 5));
    assert_eq!(rules.check(), []);
    let counts: Vec<_> = report
        .coverage
        .triggered
        .iter()
        .map(|rule| (rule.id.as_str(), rule.matched, rule.indeterminate, rule.decisive))
        .collect();
    assert_eq!(counts, [("pay", 1, 0, 1), ("top-up", 1, 1, 1), ("nightly", 2, 0, 2), ("spent", 2, 0, 2)]);
    assert_eq!(report.coverage.never_matched().count(), 0);
    let shown: Vec<_> = rules.triggered().iter().map(|rule| rule.trigger().to_string()).collect();
    assert_eq!(
        shown,
        [
            "decision on top_up",
            "event balance.changed",
            "schedule 30 2 * * * (Europe/Berlin)",
            "window.daily above \"4 USDC\", cleared at \"2.5 USDC\""
        ]
    );
    assert!(matches!(rules.triggered()[2].trigger(), Trigger::Schedule(_)));
}

#[test]
fn a_test_fails_by_what_is_done() {
    for (from, to, missed) in [
        ("units = 5, tags", "units = 6, tags", "emits ["),
        ("floor + 4", "floor + 5", "sets {\"floor\":20}"),
        ("floor + 4", "floor + 6", "nightly does nothing: parameter floor cannot be 22"),
        ("clear = \"2.5 USDC\"", "clear = \"2.4 USDC\"", "fires [\"spent\"]"),
        ("zone = \"Europe/Berlin\"", "zone = \"Asia/Tokyo\"", ""),
        ("text = \"${threshold", "text = \"now ${threshold", "notifies ["),
    ] {
        let report = Ruleset::from_toml(&RULES.replacen(from, to, 1)).unwrap().test();
        let found: Vec<_> = report.triggered.iter().flat_map(|outcome| &outcome.missed).collect();
        if missed.is_empty() {
            assert!(report.passed());
        } else {
            assert!(found.iter().any(|found| found.starts_with(missed)), "{found:?}");
        }
    }
}

/// TOML as JSON.
#[cfg(feature = "yaml")]
fn as_json(value: &toml::de::DeValue<'_>) -> serde_json::Value {
    use toml::de::DeValue;
    match value {
        DeValue::String(text) => json!(text),
        DeValue::Integer(int) => json!(int.as_str().parse::<i64>().unwrap()),
        DeValue::Float(float) => json!(float.as_str().parse::<f64>().unwrap()),
        DeValue::Boolean(bool) => json!(bool),
        DeValue::Array(items) => items.iter().map(|item| as_json(item.get_ref())).collect(),
        DeValue::Table(members) => members
            .iter()
            .map(|(name, value)| (name.get_ref().to_string(), as_json(value.get_ref())))
            .collect(),
        DeValue::Datetime(_) => panic!("no rule has a date"),
    }
}

#[cfg(feature = "yaml")]
#[test]
fn it_is_the_same_in_yaml_and_json() {
    let table = toml::de::DeTable::parse(RULES).unwrap().into_inner();
    let value = as_json(&toml::de::DeValue::Table(table));
    let toml = Ruleset::from_toml(RULES).unwrap();
    for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
        let json = Ruleset::from_yaml(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(json.digest(), toml.digest());
        assert!(json.test().passed());
    }
    let yaml = "event:\n  e:\n    data: {n: int}\nnotification: {n: {}}\nrule:\n- id: a\n  on: {event: e}\n  \
                when: event.data.n > 1\n  notify: {name: n, text: 'it is ${event.data.n}'}\n";
    let same = "[event.e]\ndata = { n = 'int' }\n[notification.n]\n[[rule]]\nid = 'a'\non = { event = 'e' }\n\
                when = 'event.data.n > 1'\nnotify = { name = 'n', text = 'it is ${event.data.n}' }\n";
    assert_eq!(Ruleset::from_yaml(yaml).unwrap().digest(), Ruleset::from_toml(same).unwrap().digest());
}

#[test]
fn whatever_changes_the_meaning_changes_the_hash() {
    let digest = |text: &str| Ruleset::from_toml(text).unwrap_or_else(|error| panic!("{error}")).digest();
    let original = digest(RULES);
    for (from, to) in [
        ("value = 10", "value = 11"),
        ("max = 20", "max = 21"),
        ("max = 20", "min = 1"),
        ("note = \"string?\"", "note = \"int?\""),
        ("data = { account = \"string\", units", "untrusted = \"x\"\ndata = { account = \"string\", units"),
        ("event = \"balance.changed\" }\nwhen", "event = \"balance.*\" }\nwhen"),
        ("units < parameter", "units <= parameter"),
        ("units = 5,", "units = 6,"),
        ("money(\"1.5 USDC\")', decimals = 6", "money(\"1.5 USDC\")', decimals = 2"),
        ("times = 3", "times = 4"),
        ("span = \"1h\" }\n\n[[rule]]\nid = \"nightly\"", "span = \"2h\" }\n\n[[rule]]\nid = \"nightly\""),
        ("30 2 * * *", "31 2 * * *"),
        ("Europe/Berlin", "UTC"),
        ("floor + 4", "floor + 3"),
        ("above = \"4", "above = \"4.5"),
        ("clear = \"2.5", "clear = \"2.4"),
        ("text = \"${threshold.value}\"", "text = \"${threshold.value}!\""),
        ("redact = [\"action.params.account\"]", "redact = [\"action.params.units\"]"),
        ("redact = [\"action.params.account\"]\n", ""),
    ] {
        assert!(RULES.contains(from), "{from}");
        assert_ne!(digest(&RULES.replacen(from, to, 1)), original, "{from}");
    }
}

#[test]
fn what_is_wrong_is_told_with_place_and_suggestion() {
    let wrong = |from: &str, to: &str| {
        assert!(RULES.contains(from), "{from}");
        Ruleset::from_toml(&RULES.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let mut missed = Vec::new();
    for (from, to, expected) in [
        (
            "event.data.units < parameter.floor",
            "event.data.unit < parameter.floor",
            "line 41, column 20: unknown attribute event.data.unit: [event] declares account, note, units; did you mean \"units\"?",
        ),
        (
            "event.data.units < parameter.floor",
            "event.data.units < parameter.flor",
            "line 41, column 38: unknown attribute parameter.flor: [parameter] declares floor, limit; did you mean \"floor\"?",
        ),
        (
            "event.data.units < parameter.floor",
            "action.cost == null",
            "line 41, column 9: unknown attribute action: what is triggered by an event is about event, context, window and parameter",
        ),
        (
            "event.data.units < parameter.floor",
            "event.data.units < true",
            "line 41, column 9: event.data.units < true: int < bool is not defined",
        ),
        (
            "event.data.units < parameter.floor",
            "window.by_account > 2",
            "line 41, column 16: window.by_account counts several things apart",
        ),
        (
            "account = \"event.data.account\", units = 5",
            "acount = \"event.data.account\", units = 5",
            "line 42, column 38: unknown key \"acount\", expected one of account, tags, units; did you mean \"account\"?",
        ),
        (
            "units = 5, tags",
            "tags",
            "line 42, column 36: action top_up needs \"units\", which is declared and not optional",
        ),
        (
            "units = 5, tags",
            "units = \"event.kind\", tags",
            "line 42, column 78: units is declared as int, this is string",
        ),
        (
            "units = 5, tags",
            "units = 5.5, tags",
            "line 42, column 78: units is declared as int, this is double",
        ),
        (
            "tags = [\"event.kind\",",
            "tags = [\"event.at\",",
            "line 42, column 88: tags is declared as list(string), this is int",
        ),
        (", decimals = 6", "", "line 42, column 8: a cost needs the key \"decimals\""),
        ("30 2 * * *", "30 25 * * *", "line 47, column 15: "),
        ("Europe/Berlin", "Europe/Berlon", "line 47, column 15: "),
        (
            "set = { floor",
            "set = { flor",
            "line 48, column 9: unknown key \"flor\", expected one of floor, limit; did you mean \"floor\"?",
        ),
        (
            "floor = \"parameter.floor + 4\"",
            "floor = \"parameter.limit\"",
            "line 48, column 17: floor is declared as int, this is money",
        ),
        (
            "clear = \"2.5 USDC\"",
            "clear = \"4.5 USDC\"",
            "line 52, column 40: clear is on the harmless side of the bound",
        ),
        (
            "clear = \"2.5 USDC\"",
            "clear = \"2.5 EUR\"",
            "line 52, column 40: above, below and clear are what the value is",
        ),
        ("above = \"4 USDC\"", "abov = \"4 USDC\"", "line 52, column 32: unknown key \"abov\""),
        ("value = \"window.daily\"", "value = \"context.price == 1.0\"", "line 52, column 48: "),
        (
            "notify = { name = \"low\", text = \"${th",
            "notify = { name = \"lo\", text = \"${th",
            "line 53, column 19: unknown key \"lo\", expected one of low; did you mean \"low\"?",
        ),
        (
            "${threshold.value}",
            "${threshold.valu}",
            "line 53, column 46: unknown attribute threshold.valu: threshold has value; did you mean \"value\"?",
        ),
        ("${threshold.value}", "${threshold.value", "line 53, column 33: a \"${\" without its \"}\""),
        (
            "value = 10",
            "value = 21",
            "line 14, column 9: parameter floor cannot be 21: it is between - and 20",
        ),
        (
            "value = 10",
            "value = \"x\"",
            "line 14, column 9: parameter floor is declared as int, this is string",
        ),
        ("max = 20", "max = \"x\"", "line 15, column 7: a bound is what the parameter is, and has an order"),
        ("times = 3", "times = 0", "line 43, column 18: firings in a span: at most 1000000 are allowed"),
        (
            "redact = [\"action.params.account\"]",
            "redact = [\"action.cost\"]",
            "line 35, column 11: \"action.cost\" is no attribute that can be redacted",
        ),
        (
            "on = { event = \"balance.changed\" }\nwhen",
            "on = { evnt = \"balance.changed\" }\nwhen",
            "line 40, column 8: unknown key \"evnt\"",
        ),
        (
            "emit = { kind = \"top_up\"",
            "emitt = { kind = \"top_up\"",
            "line 38, column 1: a rule that is triggered needs the key \"emit, notify or set\"",
        ),
        (
            "given = { window = { daily = \"4 USDC\" } }",
            "given = { window = { dayly = \"4 USDC\" } }",
            "line 58, column 22: unknown key \"window.dayly\"",
        ),
        (
            "given = { window = { daily = \"4 USDC\" } }",
            "given = { window = { daily = 4 } }",
            "line 58, column 30: window.daily is declared as money, this is int",
        ),
        (
            "parameter = { limit = \"6 USDC\" }",
            "parameter = { floor = 30 }",
            "line 68, column 64: parameter floor cannot be 30",
        ),
        (
            "fires = [\"pay\"]",
            "fires = [\"payy\"]",
            "line 60, column 10: there is no rule \"payy\"; did you mean \"pay\"?",
        ),
        (
            "rule = \"spent\", values",
            "rule = \"spend\", values",
            "line 85, column 13: there is no rule \"spend\"; did you mean \"spent\"?",
        ),
        (
            "\"3.9 USDC\", ",
            "3, ",
            "line 85, column 13: the value of the threshold is declared as money, this is int",
        ),
        ("2026-03-28T12:00:00Z", "yesterday", "line 81, column 12: \"yesterday\" is no time such as"),
        (
            "event = { kind = \"balance.changed\", data = { account = \"a\", units = 9 } }\nfires = []",
            "event = { kind = \"balance.changed\" }",
            "line 76, column 1: a test of what is triggered needs the key \"fires\"",
        ),
    ] {
        let found = wrong(from, to);
        if !found.lines().any(|line| line.starts_with(expected)) {
            missed.push(format!("for {to}\n  expected {expected}\n  found    {found}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn rules_that_never_fire_and_kinds_that_nobody_declares_are_warned_of() {
    let rules = "[event.e]\ndata = { n = 'int', m = 'int?' }\n[action.known.params]\n[notification.n]\n\
                 [[rule]]\nid = 'a'\non = { event = 'e' }\nwhen = 'event.data.n > 3 && event.data.n < 2'\nemit = { kind = 'knwn' }\n\
                 [[rule]]\nid = 'b'\non = { event = 'e' }\nwhen = 'event.data.m > 3'\nnotify = { name = 'n', text = '' }\n";
    let found: Vec<String> =
        Ruleset::from_toml(rules).unwrap().check().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with(
            "line 6, column 6: warning: no declared kind of action is knwn; did you mean known?"
        )
    );
    assert!(
        found[1].starts_with("line 8, column 8: warning: rule a never matches: nothing is all of"),
        "{found:?}"
    );
    assert!(found[2].starts_with("line 13, column 8: warning: event.data.m is optional"), "{found:?}");
}

#[test]
fn a_case_of_a_trigger_is_read_from_json_and_explained() {
    let rules = Ruleset::from_toml(RULES).unwrap();
    let case = |text: serde_json::Value| TriggerCase::from_json(&text.to_string()).unwrap();
    let told = rules.explain_trigger(&case(json!({
        "event": { "kind": "balance.changed", "data": { "account": "a", "units": 12 } },
        "given": { "context": { "price": 1.0 } }
    })));
    assert_eq!(told.fired, []);
    let text = told.to_string();
    assert!(text.starts_with("rule top-up (event balance.changed, line 39) did not match\n"), "{text}");
    assert!(text.contains("12 <- event.data.units\n") && text.contains("10 <- parameter.floor\n"), "{text}");
    let told = rules.explain_trigger(&case(json!({ "event": { "kind": "other" } })));
    assert_eq!(told.to_string(), "no rule is triggered\n");
    for (bad, expected) in [
        (json!({}), "what happened is one of event, schedule and threshold"),
        (json!({ "event": { "kind": "a b" } }), "kind of the action is no name"),
        (json!({ "schedule": { "from": "x", "to": 1 } }), "\"x\" is no time"),
    ] {
        let error = TriggerCase::from_json(&bad.to_string()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    // A request can say what would be gathered for it.
    let request = json!({ "action": { "kind": "top_up", "params": { "account": "a", "units": 1 }, "cost": "1 USDC" }, "given": { "window": { "daily": "3 USDC" } } });
    let case = Case::from_json(&request.to_string()).unwrap().under(&rules);
    assert!(rules.explain(&case.request()).to_string().starts_with("top_up: permit"));
}

#[tokio::test]
async fn what_rules_did_is_told_again_and_would_be_done_again_from_a_journal() {
    let rules = "[event.\"balance.*\"]\ndata = { account = 'string', units = 'int' }\n[parameter.floor]\ntype = 'int'\nvalue = 10\n\
                 [notification.n]\n[[rule]]\non = 'act'\neffect = 'permit'\n\
                 [[rule]]\nid = 'low'\non = { event = 'balance.changed' }\nwhen = 'event.data.units < parameter.floor'\nemit = { kind = 'act' }\n\
                 [[rule]]\nid = 'seen'\non = 'act'\nwhen = 'decision.effect == \"permit\"'\nnotify = { name = 'n', text = 'x' }\n\
                 [[rule]]\nid = 'less'\non = { event = 'balance.low' }\nset = { floor = '5' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    for (kind, n) in
        [("balance.changed", 8), ("balance.low", 0), ("balance.changed", 8), ("balance.changed", 4)]
    {
        world.happen(kind, units(n)).await;
        settle(&mut runner).await.unwrap();
    }
    let ruleset = world.engine.ruleset();
    let mut file = Vec::new();
    export_for(&ruleset, &*world.store, &mut file).await.unwrap();
    let events: Vec<RecordedEvent> = Journal::new(&*file).map(Result::unwrap).collect();
    assert!(events.iter().any(|event| event.kind.as_str() == "balance.changed"));
    assert!(!events.iter().any(|event| event.kind.as_str() == "rules.runner.v1"));
    let tested = |ruleset: &Ruleset| {
        let mut test = Backtest::new(ruleset);
        events.iter().for_each(|event| test.observe(event).unwrap());
        test.report()
    };
    let report = tested(&ruleset);
    // low, seen, less, low, seen.
    assert_eq!((report.firings.recorded, report.firings.same), (5, 5), "{report}");
    assert!(!report.firings.differ());
    assert_eq!(report.coverage.triggered[0].matched, 2);
    let lower =
        tested(&Ruleset::from_toml(&rules.replace("< parameter.floor", "< parameter.floor - 1")).unwrap());
    assert_eq!(
        (lower.firings.same, lower.firings.gone, lower.firings.new),
        (4, 1, 0),
        "4 is not below 4: {lower}"
    );
    let strict = tested(&Ruleset::from_toml(&rules.replace("units < parameter.floor", "units < 5")).unwrap());
    assert_eq!((strict.firings.gone, strict.firings.new), (1, 0), "{strict}");
    let loose = tested(&Ruleset::from_toml(&rules.replace("units < parameter.floor", "units < 9")).unwrap());
    assert_eq!((loose.firings.gone, loose.firings.new), (0, 1), "{loose}");
    assert!(
        loose.to_string().contains(
            "5 times a rule fired, 5 of them it would again, 0 not; 1 times one would that did not"
        )
    );
    // Each firing is explained from what is on record.
    let fired = world.fired().await;
    let told = ruleset.explain_fired(&fired[0], None).unwrap().to_string();
    assert!(told.contains("matched") && told.contains("8 <- event.data.units"), "{told}");
    let decision = events.iter().find(|event| event.kind.as_str() == "action.permitted.v1");
    let seen = fired.iter().find(|fired| fired.rule.as_str() == "seen").unwrap();
    assert!(
        ruleset.explain_fired(seen, decision).unwrap().to_string().contains("\"permit\" <- decision.effect")
    );
    assert!(ruleset.explain_fired(seen, None).is_none());
    assert_eq!(fired[0].ruleset, ruleset.digest());
}

#[test]
fn what_tests_look_at_is_bounded_for_each_and_for_all_and_more_is_told() {
    let mut text = String::from("[notification.n]\n");
    for n in 0..200 {
        text += &format!(
            "[[rule]]\nid = 's{n}'\non = {{ cron = '* * * * *' }}\nrate = {{ times = 1000000, span = '1m' }}\nnotify = {{ name = 'n', text = 'x' }}\n"
        );
    }
    let test = |to: &str, fires: &str| {
        format!(
            "[[test]]\nschedule = {{ from = \"2026-01-01T00:00:00Z\", to = \"2026-01-0{to}:00Z\" }}\nfires = [{fires}]\n"
        )
    };
    let two: Vec<_> = (0..400).map(|n| format!("'s{}'", n % 200)).collect();
    text += &test("1T00:02", &two.join(", "));
    text += &test("9T00:00", "").repeat(150);
    let report = Ruleset::from_toml(&text).unwrap().test();
    let told = "more happens than one test, or all tests together, may look at";
    let is_told = |missed: &[String]| missed.iter().any(|missed| missed == told);
    assert!(report.triggered[0].passed, "{:?}", report.triggered[0].missed);
    for outcome in &report.triggered[1..] {
        assert!(!outcome.passed && is_told(&outcome.missed));
        assert!(outcome.explanation.cut && outcome.explanation.rules.len() <= 1_000);
    }
    let all: usize = report.triggered.iter().map(|outcome| outcome.explanation.rules.len()).sum();
    assert!((50_000..=100_000).contains(&all), "{all}");
}
