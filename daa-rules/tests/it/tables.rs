//! Decision tables: another notation for the same rules.

use daa_core::action::{Context, Policy, Request};
use daa_core::clock::Timestamp;
use daa_rules::{Limits, RulesEngine, Ruleset};
use proptest::prelude::*;
use serde_json::json;

use crate::free_action;

const TABLE: &str = r#"
[context]
hour = "int"
region = ["eu", "us"]
trusted = "bool"
[[table]]
id = "limits"
on = "pay"
effect = "permit"
inputs = ["context.hour + 1", "context.region", "context.trusted", "action.params.to"]
[[table.row]]
id = "day"
when = [">= 9", '"eu"', true, "-"]
[[table.row]]
when = ["-", 'in ["us"]', "", '!= "eve"']
effect = "deny"
reason = "not there"
priority = 2
[[table.row]]
when = [4, "-", "-", "-"]
"#;

#[test]
fn rows_are_rules() {
    let rules = Ruleset::from_toml(TABLE).unwrap();
    let told: Vec<_> = rules
        .rules()
        .iter()
        .map(|rule| {
            (
                rule.id().to_string(),
                rule.effect().to_string(),
                rule.priority(),
                rule.when().unwrap().to_owned(),
            )
        })
        .collect();
    let row = |id: &str, effect: &str, priority, when: &str| {
        (id.to_owned(), effect.to_owned(), priority, when.to_owned())
    };
    assert_eq!(
        told,
        [
            row(
                "limits/day",
                "permit",
                0,
                "(context.hour + 1) >= 9 && context.region == (\"eu\") && context.trusted == true"
            ),
            row("limits/2", "deny", 2, "context.region in ([\"us\"]) && action.params.to != (\"eve\")"),
            row("limits/3", "permit", 0, "(context.hour + 1) == 4"),
        ]
    );
    assert_eq!(rules.rules()[1].reason(), Some("not there"));
    assert_eq!((rules.rules()[0].location().line, rules.rules()[1].location().line), (12, 14));
    // The same rules in the other notation are the same ruleset, but for the names.
    let written = "[context]\nhour = 'int'\nregion = ['eu', 'us']\ntrusted = 'bool'\n\
        [[rule]]\nid='limits/day'\non='pay'\neffect='permit'\nwhen='context.hour + 1 >= 9 && context.region == \"eu\" && context.trusted == true'\n\
        [[rule]]\nid='limits/2'\non='pay'\neffect='deny'\nreason='not there'\npriority=2\nwhen='context.region in [\"us\"] && action.params.to != \"eve\"'\n\
        [[rule]]\nid='limits/3'\non='pay'\neffect='permit'\nwhen='context.hour + 1 == 4'\n";
    assert_eq!(rules.digest(), Ruleset::from_toml(written).unwrap().digest());
}

#[test]
fn a_row_without_tests_always_matches() {
    let rules = Ruleset::from_toml(
        "[[table]]\non='a'\ninputs=['context.x']\n[context]\nx='int'\n[[table.row]]\nwhen=['-']\neffect='deny'\n",
    );
    let rules = rules.unwrap();
    assert_eq!((rules.rules()[0].id().as_str(), rules.rules()[0].when()), ("table-1/1", None));
}

#[test]
fn problems_are_told_in_their_cell() {
    let cases = [
        (
            "\">= 9\", '\"eu\"', true",
            "\">= 9\", '\"eo\"', true",
            "line 13, column 18: context.region is never \"eo\", only \"eu\" | \"us\"; did you mean \"eu\"?",
        ),
        (
            "\">= 9\", '\"eu\"'",
            "\">=  'x'\", '\"eu\"'",
            "line 13, column 14: (context.hour + 1) >= \"x\": int >= string is not defined",
        ),
        (
            "in [\"us\"]",
            "in [\"us\"",
            "line 15, column 14: the condition is not valid: a bracket is not closed",
        ),
        (
            "\">= 9\", '\"eu\"'",
            "\">= 9) || (true\", '\"eu\"'",
            "line 13, column 9: the condition is not valid: a bracket is closed that was not opened",
        ),
        (
            "\">= 9\", '\"eu\"'",
            "\">= 9 // x\", '\"eu\"'",
            "line 13, column 9: the condition is not valid: a cell has no comments",
        ),
        (
            "'!= \"eve\"'",
            "'!= contex.x'",
            "line 15, column 35: unknown attribute contex: a condition is about action, context, plan, window, seen, sequence and parameter; did you mean \"context\"?",
        ),
        (
            "\"context.hour + 1\"",
            "\"context.hou + 1\"",
            "line 10, column 20: unknown attribute context.hou: [context] declares hour, region, trusted; did you mean \"hour\"?",
        ),
        (", true, \"-\"]", ", true]", "line 13, column 8: a row has one test for each input: 4, found 3"),
        (
            "id = \"day\"",
            "id = \"2\"",
            "line 14, column 1: rule \"limits/2\" exists already, at line 12, column 6",
        ),
        ("on = \"pay\"\n", "", "line 6, column 1: a table needs the key \"on\""),
        (
            "id = \"day\"\nwhen",
            "idd = \"day\"\nwhen",
            "line 12, column 1: unknown key \"idd\", expected one of id, when, effect, reason, priority, on_indeterminate; did you mean \"id\"?",
        ),
        (
            "when = [4,",
            "when = [[4],",
            "line 20, column 9: a test must be a string, a number or a boolean, found a list",
        ),
    ];
    for (from, to, expected) in cases {
        let changed = TABLE.replacen(from, to, 1);
        assert_ne!(changed, TABLE, "{from}");
        let error = Ruleset::from_toml(&changed).unwrap_err().to_string();
        assert!(error.lines().any(|line| line.starts_with(expected)), "{error}\nfor {to}");
    }
    let rows = "[[table.row]]\nwhen=['1']\neffect='deny'\n".repeat(Limits::RULES + 1);
    let error =
        Ruleset::from_toml(&format!("[[table]]\non='a'\ninputs=['1']\n{rows}")).unwrap_err().to_string();
    assert!(error.ends_with("rules in a ruleset: at most 10000 are allowed"), "{error}");
}

proptest! {
    #[test]
    fn no_cell_makes_the_reader_panic(cells in prop::collection::vec("[-a-z0-9 .()\\[\\]<>=!&|\"'/\\\\é]{0,12}", 2), input in "[a-z. ()\"+]{0,12}") {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        let source = format!("[[table]]\non='a'\ninputs=[{}, 'action.id']\n[[table.row]]\nwhen=[{}, {}]\neffect='deny'\n", quoted(&input), quoted(&cells[0]), quoted(&cells[1]));
        let _ = Ruleset::from_toml(&source);
    }

    /// A table decides as if each row were looked at by hand.
    #[test]
    fn a_table_decides_row_by_row(
        rows in prop::collection::vec((prop::option::of(0..5i64), prop::option::of(prop::sample::select(vec!["a", "b"])), any::<bool>()), 1..6),
        n in 0..5i64, t in prop::sample::select(vec!["a", "b", "c"]),
    ) {
        let mut source = "[[table]]\nid='t'\non='x'\ninputs=['action.params.n', 'action.params.t']\n".to_owned();
        for (below, text, denies) in &rows {
            let below = below.map_or("-".to_owned(), |below| format!("< {below}"));
            let text = text.map_or("-".to_owned(), |text| format!("\"{text}\""));
            source += &format!("[[table.row]]\nwhen=['{below}', '{text}']\neffect='{}'\n", if *denies { "deny" } else { "permit" });
        }
        let engine = RulesEngine::new(Ruleset::from_toml(&source).unwrap());
        let action = free_action("x", json!({ "n": n, "t": t }));
        let verdict = engine.decide(&Request::new(&action, &Context::new(), Timestamp::EPOCH));
        let matches = |(below, text, _): &(Option<i64>, Option<&str>, bool)| below.is_none_or(|below| n < below) && text.is_none_or(|text| text == t);
        let ids = |denied: bool| {
            let rows = rows.iter().enumerate().filter(|(_, row)| matches(row) && row.2 == denied);
            rows.map(|(at, _)| format!("t/{}", at + 1)).collect::<Vec<_>>()
        };
        let found: Vec<_> = verdict.rules.iter().map(ToString::to_string).collect();
        prop_assert_eq!(found, [ids(true), ids(false)].concat());
    }
}
