//! Why a decision is what it is, and what another ruleset would have decided.

use daa_core::action::{Action, ActionEvent, Context, Decision, Policy, Request, Verdict};
use daa_core::clock::Timestamp;
use daa_core::event::{
    Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, Position, RecordedEvent, Version,
};
use daa_core::fault::{Fault, Reaction};
use daa_rules::{
    Backtest, Case, Decided, Effect, Journal, JournalError, RuleOutcome, RulesEngine, Ruleset, export,
    write_event,
};
use serde_json::json;

use crate::{free_action, payment};

const RULES: &str = r#"
[context]
hour = "int"
trusted = "bool"
[[rule]]
id = "hours"
on = "payment.*"
effect = "permit"
when = 'context.hour >= 8 && context.hour < 18 && action.params.tags.exists(t, t == "a")'
[[rule]]
id = "large"
on = "payment.send"
effect = "escalate"
when = 'action.cost > money("10 USDC") && !context.trusted'
[[rule]]
id = "strangers"
on = "*"
effect = "deny"
when = 'action.params.to in ["eve", "mallory"]'
"#;

fn rules() -> Ruleset {
    Ruleset::from_toml(RULES).unwrap()
}

#[test]
fn tells_what_each_part_saw() {
    let (action, context) = (payment(), Context::new().with("hour", 9));
    let explanation = rules().explain(&Request::new(&action, &context, Timestamp::EPOCH));
    let expected = r#"payment.send: deny, because rule large (escalate) is indeterminate: context.trusted is missing
  rule hours (permit, line 6) matched
    true <- context.hour >= 8 && context.hour < 18 && action.params.tags.exists(t, t == "a")
      true <- context.hour >= 8
        9 <- context.hour
      true <- context.hour < 18
        9 <- context.hour
      true <- action.params.tags.exists(t, t == "a")
        ["a", "b"] <- action.params.tags
* rule large (escalate, line 11) is indeterminate: context.trusted is missing
    ? <- action.cost > money("10 USDC") && !context.trusted (context.trusted is missing)
      true <- action.cost > money("10 USDC")
        12.500000 USDC <- action.cost
      ? <- !context.trusted (context.trusted is missing)
        ? <- context.trusted (context.trusted is missing)
  rule strangers (deny, line 16) did not match
    false <- action.params.to in ["eve", "mallory"]
      "bob" <- action.params.to
"#;
    assert_eq!(explanation.to_string(), expected);
    let data = serde_json::to_value(&explanation).unwrap();
    assert_eq!(data["verdict"]["decision"], "deny");
    assert_eq!(data["rules"][1]["outcome"], "indeterminate");
    assert_eq!(data["rules"][1]["decisive"], true);
    assert_eq!(
        data["rules"][0]["condition"]["parts"][0]["parts"][0],
        json!({ "text": "context.hour", "value": "9" })
    );
}

#[test]
fn the_explanation_agrees_with_the_decision() {
    let engine = RulesEngine::new(rules());
    for (hour, trusted) in [(9, Some(true)), (9, Some(false)), (20, Some(true)), (20, None)] {
        let context = Context::new().with("hour", hour);
        let context = trusted.map_or(context.clone(), |trusted| context.with("trusted", trusted));
        let action = payment();
        let request = Request::new(&action, &context, Timestamp::EPOCH);
        let explanation = engine.ruleset().explain(&request);
        assert_eq!(explanation.verdict, engine.decide(&request));
        let effect = match explanation.verdict.decision {
            Decision::Permit => Effect::Permit,
            Decision::Escalate { .. } => Effect::Escalate,
            _ => Effect::Deny,
        };
        for rule in &explanation.rules {
            let counts = match rule.outcome {
                RuleOutcome::Matched => rule.effect == effect,
                RuleOutcome::Indeterminate { .. } => effect == Effect::Deny && rule.effect != Effect::Permit,
                _ => false,
            };
            assert_eq!(rule.decisive, counts, "{rule}");
        }
    }
}

#[test]
fn an_explanation_is_bounded() {
    let rules = "[[rule]]\non='*'\neffect='deny'\nwhen='action.params.t == \"x\"'\n".repeat(1_000);
    let ruleset = Ruleset::from_toml(&rules).unwrap();
    let action = free_action(
        "payment.send",
        json!({ "t": "y".repeat(40_000), "l": vec![json!({ "a": [1, 2] }); 300] }),
    );
    let text = ruleset.explain(&Request::new(&action, &Context::new(), Timestamp::EPOCH)).to_string();
    assert!(text.ends_with("and 800 more rules about payment.send, which are not shown\n"));
    assert!(text.len() < 100_000, "{}", text.len());
}

fn withheld(action: &Action, context: &Context, verdict: Verdict) -> ActionEvent {
    let event = json!({ "withheld": {
        "action": action, "digest": action.digest(), "context": context, "verdict": verdict,
    }});
    serde_json::from_value(event).unwrap()
}

fn recorded(position: u64, event: &ActionEvent) -> RecordedEvent {
    let payload = serde_json::to_vec(event).unwrap();
    let stream = format!("action/a-{position}").parse().unwrap();
    let at = Timestamp::from_millis(1_000 + position);
    let kind = event.kind().parse().unwrap();
    RecordedEvent::new(Position::new(position), stream, Version::new(1), kind, at, payload.into())
}

#[test]
fn explains_a_decision_on_record() {
    let (action, context) = (payment(), Context::new().with("hour", 9).with("trusted", false));
    let request = Request::new(&action, &context, Timestamp::EPOCH);
    let event = withheld(&action, &context, RulesEngine::new(rules()).decide(&request));
    let decided = Decided::of(&event).unwrap();
    let same = rules().explain_recorded(&decided, Timestamp::EPOCH).recorded.unwrap();
    assert!(same.same_ruleset && same.same_decision);
    let other = Ruleset::from_toml(&RULES.replace("10 USDC", "20 USDC")).unwrap();
    let explanation = other.explain_recorded(&decided, Timestamp::EPOCH);
    let changed = explanation.recorded.as_ref().unwrap();
    assert!(!changed.same_ruleset && !changed.same_decision);
    assert_eq!(explanation.verdict.decision, Decision::Permit);
    assert!(
        explanation
            .to_string()
            .contains("on record: escalate, because rule large escalates payment.send, by other rules")
    );
    assert!(Decided::of(&ActionEvent::Expired).is_none());
}

#[test]
fn a_back_test_tells_what_would_differ() {
    let engine = RulesEngine::new(rules());
    let events: Vec<RecordedEvent> = (0..40)
        .map(|n| {
            let context = Context::new().with("hour", n % 24).with("trusted", n % 2 == 0);
            let action = payment();
            let verdict = engine.decide(&Request::new(&action, &context, Timestamp::EPOCH));
            recorded(n + 1, &withheld(&action, &context, verdict))
        })
        .collect();
    let ruleset = rules();
    let mut same = Backtest::new(&ruleset);
    events.iter().for_each(|event| same.observe(event).unwrap());
    let same = same.report();
    assert_eq!((same.decisions, same.same, same.other_ruleset, same.changes.len()), (40, 40, 0, 0));
    assert_eq!(same.coverage.rules[2].matched, 0);
    // Nobody is asked any more, and one hour less is worked.
    let other = RULES.replace("10 USDC", "100 USDC").replace("context.hour < 18", "context.hour < 17");
    let other = Ruleset::from_toml(&other).unwrap();
    let mut test = Backtest::new(&other);
    events.iter().for_each(|event| test.observe(event).unwrap());
    test.observe(&recorded(41, &ActionEvent::Expired)).unwrap();
    let mut broken = events[0].clone();
    broken.payload = "{}".into();
    assert!(test.observe(&broken).is_err());
    let report = test.report();
    assert_eq!((report.decisions, report.other_ruleset, report.unreadable), (40, 40, 1));
    let counts: Vec<_> =
        report.changes.iter().map(|change| (change.was, change.would_be, change.count)).collect();
    let of = |was, would_be| {
        counts.iter().find(|change| (change.0, change.1) == (was, would_be)).map(|change| change.2)
    };
    // By hand: 20 requests are not trusted and so escalated, of hours 1, 3, …, 23, 1, …, 15.
    assert_eq!(of(Effect::Escalate, Effect::Permit), Some(4 + 4));
    assert_eq!(of(Effect::Escalate, Effect::Deny), Some(20 - 8));
    assert_eq!(of(Effect::Permit, Effect::Deny), None);
    assert_eq!(report.same, 20);
    assert!(report.changes.iter().all(|change| change.examples.len() == 5));
    assert!(
        report
            .to_string()
            .starts_with("40 decisions, 20 of them would be the same; 40 were made by other rules\n")
    );
}

#[tokio::test]
async fn a_journal_leaves_a_store_and_comes_back() {
    let store = MemoryEventStore::new();
    let event = withheld(
        &payment(),
        &Context::new(),
        RulesEngine::new(rules()).decide(&Request::new(&payment(), &Context::new(), Timestamp::EPOCH)),
    );
    let at = Timestamp::from_millis(7);
    for (stream, kind, content) in [
        ("action/a-1", event.kind(), serde_json::to_value(&event).unwrap()),
        ("other", "something.else.v1", json!({ "a": 1 })),
        ("rules", "rules.installed.v1", json!({ "installed": { "name": "é\n" } })),
    ] {
        let new = NewEvent::json(kind.parse().unwrap(), at, &content).unwrap();
        let batch = Batch::new().with_event(stream.parse().unwrap(), ExpectedVersion::Any, new);
        store.append(batch).await.unwrap();
    }
    let mut file = Vec::new();
    assert_eq!(export(&store, &mut file).await.unwrap(), 2);
    let back: Vec<RecordedEvent> = Journal::new(&*file).map(Result::unwrap).collect();
    let all = store.read_all(Position::START, daa_core::event::PageSize::default()).await.unwrap();
    for (back, original) in back.iter().zip([&all[0], &all[2]]) {
        assert_eq!(
            (back.position, &back.stream, back.version, &back.kind, back.at),
            (original.position, &original.stream, original.version, &original.kind, original.at)
        );
        assert_eq!(back.payload, original.payload);
    }
    assert_eq!(ActionEvent::read(&back[0]).unwrap(), Some(event));
}

#[test]
fn a_journal_tells_which_line_is_wrong_and_goes_on() {
    let mut file = Vec::new();
    let event = recorded(3, &ActionEvent::Expired);
    write_event(&mut file, &event).unwrap();
    let good = file.clone();
    file.extend(b"\n{\"position\": 4}\n");
    file.extend(vec![b'x'; 9 << 20]);
    file.push(b'\n');
    file.extend(&good);
    file.pop();
    let read: Vec<_> = Journal::new(&*file).collect();
    assert_eq!(read.len(), 4);
    assert!(read[0].is_ok() && read[3].is_ok());
    assert!(matches!(read[1], Err(JournalError::Line { line: 3, .. })));
    assert!(matches!(read[2], Err(JournalError::TooLong { line: 4 })));
    assert_eq!(read[1].as_ref().unwrap_err().fault(), Fault::Caller);
    let mut broken = event;
    broken.payload = vec![0, 1].into();
    assert!(matches!(write_event(&mut Vec::new(), &broken), Err(JournalError::Content { .. })));
}

#[test]
fn a_case_is_read_from_json() {
    let case = |text: &str| Case::from_json(text).map_err(|error| error.to_string());
    let full = case(
        r#"{"action": {"id": "x", "kind": "pay", "actor": "ann", "params": {"n": 1},
            "cost": {"amount": "1250", "currency": {"code": "USD", "decimals": 2}}}, "context": {"a": true}, "now": 5}"#,
    )
    .unwrap();
    let request = full.request();
    assert_eq!(
        (request.action.id().as_str(), request.action.actor().as_str(), request.now.as_millis()),
        ("x", "ann", 5)
    );
    assert_eq!(request.action.max_cost().unwrap().to_string(), "12.50 USD");
    assert_eq!(request.context.fact("a"), Some(&json!(true)));
    let cost = |cost: &str| case(&json!({ "action": { "kind": "k", "cost": cost } }).to_string());
    assert_eq!(cost("12.5 USDC").unwrap().request().action.max_cost().unwrap().amount().units(), 125);
    for bad in ["12.5", "12,5 USD", " 1 USD", "1 US D", "1. USD", "-1 USD"] {
        assert!(cost(bad).unwrap_err().contains("is not money"), "{bad}");
    }
    assert!(case("{}").unwrap_err().contains("missing field `action`"));
    assert!(case(r#"{"action": {"kind": "a b"}}"#).unwrap_err().contains("kind of the action is no name"));
    assert!(
        case(r#"{"action": {"kind": "a"}, "contxt": {}}"#).unwrap_err().contains("unknown field `contxt`")
    );
    assert!(
        case(&json!({ "action": { "kind": "a", "params": { "x": "x".repeat(70_000) } } }).to_string())
            .is_err()
    );
}
