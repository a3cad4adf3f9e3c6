//! Forms: one definition has one digest, however it is written.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::{Condition, Limit, Retry, Step, Type, Undo, Variable, Workflow};
use super::POLL;

/// A definition that uses every field there is.
fn full() -> Workflow {
    let one = std::num::NonZeroU32::MIN;
    let hour = Duration::from_secs(3600);
    let rate = super::super::Rate::new(one, hour);
    let mut refund =
        Step::action("pay".try_into().unwrap(), "card.charge".try_into().unwrap(), json!({ "a": [1.5] }))
            .with_takes(Type::object([("a?", Type::optional(Type::list(Type::Number)))]))
            .with_max_cost("${input.cost}")
            .with_each("${input.list}", Some(one))
            .with_when(Condition::All(vec![
                Condition::Any(vec![Condition::Not(Box::new(Condition::True("${input.b}".into())))]),
                Condition::In("${input.s}".into(), json!(["a"]).into()),
            ]))
            .with_gives(Type::optional(Type::Bool))
            .with_retry(Retry::times(3).with_waits(hour, hour * 2).with_factor(1.5).with_jitter(0.25))
            .with_try_timeout(hour)
            .with_heartbeat(hour)
            .with_deadline(hour)
            .with_failure_allowed()
            .with_limit(Limit::at_once("k", one).with_rate(rate))
            .with_undo("card.refund".try_into().unwrap(), "${pay}");
    if let Undo::Action { max_cost, .. } = &mut refund.undo {
        *max_cost = Some("${input.cost}".into());
    }
    Workflow::new("full".try_into().unwrap())
        .with_about("all of it")
        .with_input(Type::Any)
        .with_var("v", Variable::new(Type::Integer, 1))
        .with_step(refund)
        .with_step(
            Step::approval("ask".try_into().unwrap(), "${input.x}", hour)
                .with_approvers(["alice".try_into().unwrap()])
                .with_after("pay".try_into().unwrap()),
        )
        .with_step(
            Step::workflow("child".try_into().unwrap(), "other".try_into().unwrap(), json!({ "x": null }))
                .with_repeat(Condition::Present("${last}".into()), one),
        )
        .with_step(Step::signal("wait".try_into().unwrap(), "go".try_into().unwrap()))
        .with_step(Step::sleep("sleep".try_into().unwrap(), hour))
        .with_step(Step::until("until".try_into().unwrap(), 1_900_000_000_000_i64.to_string().as_str()))
        .with_step(
            Step::action("last-one".try_into().unwrap(), "k".try_into().unwrap(), Value::Null)
                .with_nothing_to_undo(),
        )
        .with_output(json!({ "x": "${wait}" }))
        .with_gives(Type::object([("x", Type::Any)]))
        .with_deadline(hour)
        .with_undo_required()
        .with_limit(Limit::at_once("${input.k}", one))
}

#[test]
fn every_form_is_read_back() {
    for condition in [
        Condition::Eq("a".into(), "b".into()),
        Condition::Ne("a".into(), json!(1).into()),
        Condition::Lt("a".into(), "b".into()),
        Condition::Le("a".into(), "b".into()),
        Condition::Gt("a".into(), "b".into()),
        Condition::Ge("a".into(), "b".into()),
    ] {
        let json = serde_json::to_string(&condition).unwrap();
        assert_eq!(serde_json::from_str::<Condition>(&json).unwrap(), condition);
    }
    let json = serde_json::to_string(&full()).unwrap();
    assert_eq!(serde_json::from_str::<Workflow>(&json).unwrap(), full());
    assert_eq!(serde_json::to_value(Undo::Nothing).unwrap(), json!("nothing"));
    let undo: Undo = serde_json::from_value(json!({ "action": { "kind": "k" } })).unwrap();
    assert!(matches!(undo, Undo::Action { retry, .. } if retry == Retry::forever()));
    assert!(serde_json::from_value::<Undo>(json!({ "action": { "kind": "k", "wiht": 1 } })).is_err());
}

#[test]
fn steps_with_unknown_keys_or_several_kinds_are_refused() {
    let step = |json: Value| serde_json::from_value::<Step>(json).map_err(|error| error.to_string());
    assert!(step(json!({ "step": "s", "sleep": "1s", "afetr": [] })).unwrap_err().contains("afetr"));
    assert!(step(json!({ "step": "s" })).unwrap_err().contains("exactly one"));
    assert!(
        step(json!({ "step": "s", "sleep": "1s", "signal": { "name": "x" } })).unwrap_err().contains("has 2")
    );
}

/// Every definition that differs from this one in one leaf, with the path of the leaf.
fn mutants(value: &Value) -> Vec<(String, Value)> {
    let leaf = |value: Value| vec![(String::new(), value)];
    match value {
        Value::Null => leaf(json!(1)),
        Value::Bool(bool) => leaf(json!(!bool)),
        Value::Number(number) if number.is_f64() => leaf(json!(number.as_f64().unwrap() / 2.0)),
        Value::Number(number) => leaf(json!(number.as_u64().unwrap() + 1)),
        Value::String(text) => {
            let other = match text.as_str() {
                "integer" | "any" | "number" => "string",
                "bool?" => "bool",
                "continue" => "fail",
                "fail" => "continue",
                "nothing" => "unsaid",
                "1s" | "5m" | "1h" => "3h 1s",
                "2h" => "3h",
                _ => return leaf(json!(format!("{text}x"))),
            };
            leaf(json!(other))
        }
        Value::Array(items) => {
            let mut all = Vec::new();
            for (at, item) in items.iter().enumerate() {
                for (path, mutant) in mutants(item) {
                    let mut items = items.clone();
                    items[at] = mutant;
                    all.push((format!(".{at}{path}"), Value::Array(items)));
                }
            }
            all
        }
        Value::Object(map) => {
            let mut all = Vec::new();
            for (key, item) in map {
                for (path, mutant) in mutants(item) {
                    let mut map = map.clone();
                    map.insert(key.clone(), mutant);
                    all.push((format!(".{key}{path}"), Value::Object(map)));
                }
            }
            all
        }
    }
}

#[test]
fn every_field_counts_for_the_digest() {
    let whole = serde_json::to_value(full()).unwrap();
    let all = mutants(&whole);
    assert!(all.len() > 80, "{}", all.len());
    let mut digests = std::collections::BTreeMap::from([(full().digest().to_string(), String::new())]);
    for (path, mutant) in all {
        let workflow: Workflow =
            serde_json::from_value(mutant).unwrap_or_else(|error| panic!("{path}: {error}"));
        let before = digests.insert(workflow.digest().to_string(), path.clone());
        assert_eq!(before, None, "{path}");
    }
    let mut swapped = full();
    swapped.steps.swap(0, 1);
    assert!(!digests.contains_key(&swapped.digest().to_string()));
}

#[test]
fn rust_json_and_yaml_have_one_digest() {
    let one = std::num::NonZeroU32::new(100).unwrap();
    let done = Condition::In("${last.state}".into(), json!(["done", "failed"]).into());
    let job = json!({ "job": "${input.job}", "before": "${last.state}" });
    let built = Workflow::new("poll".try_into().unwrap())
        .with_input(Type::object([("job", Type::String)]))
        .with_step(
            Step::action("watch".try_into().unwrap(), "job.status".try_into().unwrap(), job)
                .with_gives(Type::object([("state", Type::String), ("done_at?", Type::Integer)]))
                .with_repeat(done, one),
        )
        .with_step(
            Step::sleep("rest".try_into().unwrap(), Duration::from_secs(900))
                .with_after("watch".try_into().unwrap()),
        )
        .with_step(
            Step::until("later".try_into().unwrap(), json!(1_900_000_000_000_u64))
                .with_after("rest".try_into().unwrap()),
        )
        .with_output("${watch.state}")
        .with_gives(Type::String);
    let json = Workflow::from_json(POLL).unwrap();
    assert_eq!(json, built);
    assert_eq!(json.digest(), built.digest());
    #[cfg(feature = "yaml")]
    {
        let yaml = "
            workflow: poll
            input:
              job: string
            gives: string
            output: ${watch.state}
            steps:
              - action:
                  kind: job.status
                  with: { before: '${last.state}', job: '${input.job}' }
                step: watch
                gives: { done_at?: integer, state: string }
                repeat: { at_most: 0x64, until: { in: ['${last.state}', [done, failed]] } }
              - { step: rest, after: [watch], sleep: 900s }
              - step: later
                after: [rest]
                until: 1900000000000
            ";
        assert_eq!(Workflow::from_yaml(yaml).unwrap().digest(), built.digest());
        assert_eq!(Workflow::from_yaml(POLL).unwrap().digest(), built.digest());
    }
}
