//! Data of untrusted sources marks what it leads to, also by way of parameters and notifications.

use daa_core::action::{ActionEvent, Context};
use daa_core::event::{PageSize, Position};
use daa_rules::{Decided, ParametersSet, Ruleset};
use serde_json::json;

use super::world::{World, settle};

const RULES: &str = r#"
[event.mail]
data = { n = "int" }
untrusted = "mail"
[event.clock]
[event."rules.notified.v1"]
[event."rules.parameters.v1"]
data = { changed = "list(string)" }
[parameter.p]
type = "int"
value = 0
[parameter.q]
type = "int"
value = 0
[parameter.clean]
type = "int"
value = 0
[notification.n]

[[rule]]
on = "act"
effect = "permit"
when = "!plan.tainted"
[[rule]]
on = "pay"
effect = "permit"
when = 'action.params.n <= parameter.q && !("mail" in plan.sources)'
"#;

async fn world(more: &str) -> World {
    let world = World::new(&format!("{RULES}{more}"));
    world.begun().await;
    world
}

/// The sources of each emitted action, in order.
async fn marks(world: &World) -> Vec<Vec<String>> {
    let fired = world.fired().await.into_iter().filter(|fired| fired.emitted.is_some());
    fired.map(|fired| fired.context.sources().map(ToString::to_string).collect()).collect()
}

const SET: &str = "[[rule]]\non = { event = 'mail' }\nset = { p = 'event.data.n' }\n";
const PASS_ON: &str = "[[rule]]\non = { value = 'parameter.p', above = 1 }\nset = { q = 'parameter.p' }\n";

#[tokio::test]
async fn a_parameter_marks_what_reads_it_until_somebody_vouches_for_it() {
    let world = world(&format!(
        "{SET}[[rule]]\nid = 'reads'\non = {{ event = 'clock' }}\nemit = {{ kind = 'act', params = {{ n = 'parameter.p' }} }}\n\
         [[rule]]\nid = 'does-not'\non = {{ event = 'clock' }}\nemit = {{ kind = 'act', params = {{ n = 'parameter.clean' }} }}\n"
    ))
    .await;
    let mut runner = world.begun().await;
    let mut done = Vec::new();
    for kind in ["clock", "mail", "clock"] {
        world.happen(kind, json!({ "n": 7 })).await;
        settle(&mut runner).await.unwrap();
        done.push(world.outside.done().len());
    }
    assert_eq!(done, [2, 2, 3], "only the rule that reads it is marked, and does not act");
    let marked = |sources: &[&str]| sources.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(marks(&world).await, [marked(&[]), marked(&[]), marked(&["mail"]), marked(&[])]);
    let values = json!({ "p": 8 }).as_object().unwrap().clone();
    let now = world.clock_now();
    world.engine.set_parameters(&*world.store, values, "ann".parse().unwrap(), now).await.unwrap();
    world.happen("clock", json!({})).await;
    settle(&mut runner).await.unwrap();
    assert_eq!(world.outside.done().len(), 5);
}

#[tokio::test]
async fn a_mark_passes_from_one_parameter_to_another_and_to_decisions() {
    let follow = "[[rule]]\nid = 'follow'\non = 'pay'\nemit = { kind = 'act' }\n";
    let world = world(&format!("{SET}{PASS_ON}{follow}")).await;
    let mut runner = world.begun().await;
    assert!(world.submit("a", "pay", json!({ "n": 0 })).await);
    world.happen("mail", json!({ "n": 7 })).await;
    settle(&mut runner).await.unwrap();
    assert!(!world.submit("b", "pay", json!({ "n": 3 })).await, "the limit comes from a mail");
    settle(&mut runner).await.unwrap();
    assert_eq!(marks(&world).await, [vec![], vec!["mail".to_owned()]], "and what follows the decision too");
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    let set = all.iter().filter_map(|event| ParametersSet::read(event).unwrap()).next_back().unwrap();
    let sources: Vec<_> = set.sources.iter().map(|(name, of)| (name.as_str(), of.len())).collect();
    assert_eq!(sources, [("p", 1), ("q", 1)]);
    // What is on record is decided again the same.
    let rules = Ruleset::from_toml(&format!("{RULES}{SET}{PASS_ON}{follow}")).unwrap();
    let mut explained = 0;
    for recorded in &all {
        let Some(event) = ActionEvent::read(recorded).unwrap() else { continue };
        let Some(decided) = Decided::of(&event) else { continue };
        assert!(rules.explain_recorded(&decided, recorded.at).recorded.unwrap().same_decision);
        explained += 1;
    }
    assert!(explained >= 4, "{explained}");
}

#[tokio::test]
async fn a_mark_passes_through_notifications_parameters_and_thresholds() {
    let tell = "[[rule]]\non = { event = 'mail' }\nnotify = { name = 'n', text = 'x' }\n";
    for (what, on) in [
        (tell, "{ event = 'rules.notified.v1' }"),
        (SET, "{ event = 'rules.parameters.v1' }"),
        (SET, "{ value = 'parameter.p', above = 1 }"),
    ] {
        let world = world(&format!("{what}[[rule]]\non = {on}\nemit = {{ kind = 'act' }}\n")).await;
        let mut runner = world.begun().await;
        world.happen("mail", json!({ "n": 7 })).await;
        settle(&mut runner).await.unwrap();
        assert_eq!(marks(&world).await, [["mail"]], "{on}");
        assert_eq!(world.outside.done(), [], "{on}");
    }
}

#[tokio::test]
async fn an_event_of_a_decision_has_the_marks_of_what_was_given() {
    let rules = "[event.\"action.*\"]\ndata = { permitted = 'any?' }\n\
                 [[rule]]\non = 'see'\neffect = 'permit'\nwhen = 'parameter.p >= 0'\n\
                 [[rule]]\non = { event = 'action.permitted.v1' }\nrate = { times = 1, span = '1h' }\n\
                 emit = { kind = 'act', params = { all = 'event.data.permitted.verdict.given' } }\n";
    let world = world(&format!("{SET}{rules}")).await;
    let mut runner = world.begun().await;
    world.happen("mail", json!({ "n": 7 })).await;
    settle(&mut runner).await.unwrap();
    let action = crate::free_action("see", json!({}));
    world.gate.submit(action, Context::new(), &*world.outside).await.unwrap();
    settle(&mut runner).await.unwrap();
    assert_eq!(marks(&world).await, [["mail"]]);
}
