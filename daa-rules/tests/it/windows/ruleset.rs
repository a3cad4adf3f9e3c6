//! How windows are declared, and what is wrong with those that are not.

use daa_core::action::{Context, GateError};
use daa_core::clock::ManualClock;
use daa_core::event::MemoryEventStore;
use daa_rules::Ruleset;
use std::sync::Arc;

use super::world::{Process, Scripted, paid};
use crate::free_action;

fn error(source: &str) -> String {
    Ruleset::from_toml(source).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_with_a_window_is_told() {
    let rule = |when: &str| {
        format!("[window.daily]\non='a'\nspan='1h'\n[[rule]]\non='a'\neffect='permit'\nwhen='{when}'\n")
    };
    let cases = [
        ("[window.daily]\non='a'\n".to_owned(), "line 1, column 9: a window needs the key \"span\""),
        ("[window.daily]\nspan='1h'\n".to_owned(), "line 1, column 9: a window needs the key \"on\""),
        (
            "[seen.one]\nper=[]\n".to_owned(),
            "line 1, column 7: a table of what was seen needs the key \"on\"",
        ),
        (
            "[window.daily]\non='a'\nspan='1 day or so'\n".to_owned(),
            "line 3, column 6: \"1 day or so\" is not a span of time such as \"24h\" or \"7 days\", of at most 3650 days",
        ),
        (
            "[window.daily]\non='a'\nspan='20000 days'\n".to_owned(),
            "line 3, column 6: \"20000 days\" is not a span of time such as \"24h\" or \"7 days\", of at most 3650 days",
        ),
        (
            "[window.daily]\non='a'\nspan='1h'\nper='action.actor'\n".to_owned(),
            "line 4, column 5: per must be a list of expressions, found a string",
        ),
        (
            "[window.daily]\non='a'\nspan='1h'\nper=['action.actr']\n".to_owned(),
            "line 4, column 14: unknown attribute action.actr: action has id, kind, actor, params, cost; did you mean \"actor\"?",
        ),
        (
            "[window.daily]\non='a'\nspan='1h'\nsum='window.daily + 1'\n".to_owned(),
            "line 4, column 13: unknown attribute window.daily: [window] declares nothing",
        ),
        (
            "[window.daily]\non='a'\nspan='1h'\nmax=3\n".to_owned(),
            "line 4, column 1: unknown key \"max\", expected one of on, when, sum, per, span, calendar, zone",
        ),
        (
            rule("window.dayly < 3"),
            "line 7, column 14: unknown attribute window.dayly: [window] declares daily; did you mean \"daily\"?",
        ),
        (rule("window.daily"), "line 7, column 7: a condition is true or false, this one is int"),
        (rule("has(seen.daily)"), "line 7, column 16: unknown attribute seen.daily: [seen] declares nothing"),
        (
            rule("plan.taint"),
            "line 7, column 12: unknown attribute plan.taint: plan has tainted, sources; did you mean \"tainted\"?",
        ),
    ];
    for (source, expected) in cases {
        assert_eq!(error(&source), expected, "{source}");
    }
}

#[test]
fn the_hash_covers_windows() {
    let digest = |source: &str| Ruleset::from_toml(source).unwrap().digest();
    let window = "[seen.s]\non='a'\nper=['action.actor']\n\
                  [window.w]\non='a'\nwhen='has(seen.s)'\nsum='action.cost'\nper=['action.actor']\nspan='1h'\n";
    let changes = [
        ("[seen.s]\non='a'", "[seen.s]\non='b'"),
        ("[seen.s]\non='a'\nper=['action.actor']", "[seen.s]\non='a'\nper=['action.kind']"),
        ("[seen.s]\non='a'", "[seen.s]\non='a'\nwhen='true'"),
        ("window.w", "window.v"),
        ("[window.w]\non='a'", "[window.w]\non='b'"),
        ("has(seen.s)", "!has(seen.s)"),
        ("sum='action.cost'\n", ""),
        ("sum='action.cost'", "sum='action.params.n'"),
        ("span='1h'", "span='2h'"),
        ("action.cost'\nper=['action.actor']", "action.cost'\nper=[]"),
        ("action.cost'\nper=['action.actor']", "action.cost'\nper=['action.actor', 'action.kind']"),
    ];
    let mut seen = std::collections::HashMap::from([(digest(window), "the original")]);
    for (from, to) in changes {
        let changed = window.replacen(from, to, 1);
        assert_ne!(changed, window, "{from} is not there");
        assert_eq!(seen.insert(digest(&changed), to), None, "{from} -> {to} is not covered");
    }
    assert_eq!(digest(window), digest(&window.replace("'1h'", "'60min'")));
}

#[tokio::test]
async fn what_cannot_be_counted_is_denied() {
    let rules = "[window.n]\non='*'\nsum='action.params.n'\nper=['action.params.who']\nspan='1h'\n\
                 [[rule]]\non='*'\neffect='permit'\nwhen='true'\n";
    let process = Process::new(Arc::new(MemoryEventStore::new()), &ManualClock::default(), rules);
    let ask = async |params: serde_json::Value| {
        let action = free_action("ask", params);
        let id = format!("a-{}", action.digest().short());
        let action = daa_core::action::Action::new(
            id.parse().unwrap(),
            "ask".parse().unwrap(),
            "alice".parse().unwrap(),
        )
        .unwrap()
        .with_params(action.params().clone())
        .unwrap();
        match process.gate.submit(action, Context::new(), &Scripted).await {
            Err(GateError::Denied { reason, .. }) => reason,
            other => panic!("{other:?}"),
        }
    };
    use serde_json::json;
    let start = "window.n cannot count the action: window.n is not known: ";
    for (params, why) in [
        (json!({ "who": "x" }), "action.params.n is missing"),
        (json!({ "n": 1 }), "action.params.who is missing"),
        (json!({ "n": -1, "who": "x" }), "int is neither a number nor money that can be counted"),
        (json!({ "n": 1.5, "who": "x" }), "double is neither a number nor money that can be counted"),
        (json!({ "n": 1, "who": [] }), "list is no key; a key is a string, an integer or a boolean"),
    ] {
        let reason = ask(params).await;
        assert!(
            reason.ends_with(why) && reason.starts_with("window.n cannot count the action: "),
            "{reason}"
        );
    }
    let _ = start;
    // The sum of two numbers that fit does not have to.
    let most = json!({ "n": u64::MAX, "who": "x", "does": "ok" });
    let action = paid("first", "alice", "bob", 1).with_params(most.clone()).unwrap();
    process.pay(action).await.unwrap();
    let action = paid("second", "alice", "bob", 1).with_params(most).unwrap();
    let Err(GateError::Denied { reason, .. }) = process.pay(action).await else { panic!("it is permitted") };
    assert_eq!(reason, format!("{start}the sum is no number of 64 bits"));
}
