//! What rules do when something happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionState, Context, Gate, GateError, Refusal, Request, ReservationId, Treasury, TreasuryChange,
    TreasuryError,
};
use daa_core::amount::Money;
use daa_core::clock::Timestamp;
use daa_core::event::{PageSize, StreamWrite, Version};
use daa_core::id::SourceId;
use daa_core::shutdown::ShutdownTrigger;
use daa_rules::{
    Cause, ContextProvider, ParameterError, Provided, Providers, Ruleset, RunnerError, SetError,
};
use serde_json::{Map, Value, json};

use super::world::{World, names, settle, units};

const TOP_UP: &str = r#"
[event."balance.*"]
data = { account = "string", units = "int" }
[action.top_up.params]
account = "string"
units = "int"
[parameter.floor]
type = "int"
value = 10
min = 0
max = 20
[notification.low]
account = "string"
units = "int?"

[[rule]]
on = "top_up"
effect = "permit"
when = "action.params.units < 100"

[[rule]]
id = "top-up"
on = { event = "balance.changed" }
when = "event.data.units < parameter.floor"
emit = { kind = "top_up", params = { account = "event.data.account", units = "parameter.floor - event.data.units" } }
notify = { name = "low", text = "${event.data.account} has ${event.data.units}", data = { account = "event.data.account" } }

[[rule]]
id = "raise"
on = { event = "balance.empty" }
set = { floor = "parameter.floor + 6" }
"#;

#[tokio::test]
async fn an_event_brings_an_action_through_the_gate_and_a_notification() {
    let world = World::new(TOP_UP);
    world.happen("balance.changed", units(1)).await;
    let mut runner = world.begun().await;
    assert_eq!(world.outside.done(), [], "what was before is not its business");
    for data in [units(10), units(4), json!({ "account": "a" }), json!([1])] {
        world.happen("balance.changed", data).await;
    }
    let passes = settle(&mut runner).await.unwrap();
    assert_eq!(names(&passes), ["top-up"]);
    assert_eq!(world.outside.done(), [("top_up".to_owned(), json!({ "account": "a", "units": 6 }))]);
    assert_eq!(world.texts().await, ["a has 4"]);
    let notified = &world.notified().await[0];
    assert_eq!(
        (notified.name.as_str(), &notified.data),
        ("low", json!({ "account": "a" }).as_object().unwrap())
    );
    assert_eq!(runner.left_out().unwrap().indeterminate, 2);
    // It is on record like every action.
    let id = world.outside.ids()[0].parse().unwrap();
    let status = world.gate.status(&id).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Succeeded(_)));
    assert_eq!(status.action.actor().as_str(), "keeper");
    assert!(id.as_str().starts_with("rules/1/"));
}

#[tokio::test]
async fn what_the_rules_deny_is_not_done_and_not_tried_again() {
    let world = World::new(TOP_UP);
    let mut runner = world.begun().await;
    world.happen("balance.changed", units(-95)).await;
    let passes = settle(&mut runner).await.unwrap();
    assert_eq!(names(&passes), ["top-up"]);
    assert_eq!(world.outside.done(), []);
    let said: Vec<_> = passes.iter().flat_map(|pass| &pass.unperformed).collect();
    assert!(matches!(said.as_slice(), [(_, GateError::Denied { .. })]), "{said:?}");
    let emitted = world.fired().await[0].emitted.clone().unwrap();
    let status = world.gate.status(emitted.id()).await.unwrap().unwrap();
    assert!(matches!(status.state, ActionState::Withheld(_)), "{status:?}");
    assert_eq!(runner.look().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn the_same_event_twice_is_two_causes_and_a_new_runner_repeats_none() {
    let world = World::new(TOP_UP);
    let mut runner = world.begun().await;
    world.happen("balance.changed", units(1)).await;
    world.happen("balance.changed", units(1)).await;
    settle(&mut runner).await.unwrap();
    settle(&mut world.runner()).await.unwrap();
    assert_eq!(world.outside.done().len(), 2);
    assert_eq!(world.fired().await.len(), 2);
}

#[tokio::test]
async fn parameters_are_set_within_bounds_and_read_by_the_next_decision() {
    let world = World::new(TOP_UP);
    let mut runner = world.begun().await;
    world.happen("balance.empty", units(0)).await;
    world.happen("balance.changed", units(12)).await;
    world.happen("balance.empty", units(0)).await;
    let passes = settle(&mut runner).await.unwrap();
    assert_eq!(names(&passes), ["raise", "top-up", "raise"]);
    assert_eq!(world.outside.done()[0].1["units"], 4);
    let fired = world.fired().await;
    assert_eq!(fired[1].given.fact("parameter.floor"), Some(&json!(16)));
    assert_eq!(fired[1].given.fact("parameter.version"), Some(&json!(1)));
    // 22 is too much: nothing of the rule is done.
    let problem = fired[2].problem.as_deref().unwrap();
    assert_eq!(problem, "parameter floor cannot be 22: it is between 0 and 20");
    assert_eq!((fired[2].set.len(), fired.len()), (0, 3));
}

#[tokio::test]
async fn people_set_parameters_all_or_none() {
    let world = World::new(TOP_UP);
    let set = async |values: Value| {
        let values: Map<_, _> = values.as_object().unwrap().clone();
        let now = world.clock_now();
        world.engine.set_parameters(&*world.store, values, "ann".parse().unwrap(), now).await
    };
    assert_eq!(set(json!({ "floor": 3 })).await.unwrap(), Version::new(1));
    for (values, expected) in [
        (json!({ "floor": 21 }), "parameter floor cannot be 21: it is between 0 and 20"),
        (json!({ "floor": "x" }), "parameter floor is declared as int, this is string"),
        (json!({ "floor": 4, "roof": 1 }), "there is no parameter \"roof\""),
    ] {
        let error = set(values).await.unwrap_err();
        assert!(matches!(&error, SetError::Parameter(_)), "{error:?}");
        assert_eq!(error.to_string(), expected);
    }
    assert!(matches!(
        set(json!({ "none": 1 })).await,
        Err(SetError::Parameter(ParameterError::Unknown { name })) if name == "none"
    ));
    let mut runner = world.begun().await;
    world.happen("balance.changed", units(1)).await;
    settle(&mut runner).await.unwrap();
    assert_eq!(world.outside.done()[0].1["units"], 2);
}

#[tokio::test]
async fn a_decision_reads_one_version_of_the_parameters_and_records_it() {
    let rules = "[parameter.most]\ntype = 'int'\nvalue = 3\n[[rule]]\non = 'pay'\neffect = 'permit'\n\
                 when = 'action.params.n <= parameter.most'\n";
    let world = World::new(rules);
    assert!(world.submit("a", "pay", json!({ "n": 3 })).await);
    assert!(!world.submit("b", "pay", json!({ "n": 4 })).await);
    let values = json!({ "most": 4 }).as_object().unwrap().clone();
    let now = world.clock_now();
    world.engine.set_parameters(&*world.store, values, "ann".parse().unwrap(), now).await.unwrap();
    assert!(world.submit("c", "pay", json!({ "n": 4 })).await);
    let given = async |id: &str| {
        let stream = format!("action/{id}").parse().unwrap();
        let events = world.store.read_stream(&stream, Version::EMPTY, PageSize::new(1)).await.unwrap();
        let event: Value = events[0].json().unwrap();
        event.as_object().unwrap().values().next().unwrap()["verdict"]["given"].clone()
    };
    assert_eq!(given("b").await, json!({ "parameter.most": 3, "parameter.version": 0 }));
    assert_eq!(given("c").await, json!({ "parameter.most": 4, "parameter.version": 1 }));
    // A ruleset that declares it otherwise does not take what is on record for what it means.
    let other = rules.replace("'int'\nvalue = 3", "'int'\nvalue = 3\nmax = 3");
    world.engine.replace(Ruleset::from_toml(&other).unwrap());
    assert!(!world.submit("d", "pay", json!({ "n": 1 })).await);
    assert_eq!(
        given("d").await["parameter.most.problem"],
        "parameter most cannot be 4: it is between - and 3"
    );
}

#[tokio::test]
async fn a_schedule_fires_once_for_what_it_missed_and_in_its_zone() {
    let rules = "[notification.n]\n[[rule]]\nid = 'nightly'\non = { cron = '0 2 * * *', zone = 'Europe/Berlin' }\n\
                 notify = { name = 'n', text = '${schedule.at}' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    assert_eq!(runner.look().await.unwrap().fired, []);
    // 02:00 in Berlin is 01:00 UTC.
    world.pass_time(Duration::from_secs(3_599));
    assert_eq!(runner.look().await.unwrap().fired, []);
    world.pass_time(Duration::from_secs(1));
    assert_eq!(runner.look().await.unwrap().fired.len(), 1);
    assert_eq!(runner.look().await.unwrap().fired, []);
    // The night of 29 March has no 02:00: it is at 03:00, which is 01:00 UTC; from then on it is at 00:00 UTC.
    world.pass_time(Duration::from_secs(3 * 86_400));
    let mut runner = world.runner();
    let fired = runner.look().await.unwrap().fired;
    let at = super::world::START + (3 * 24) * 3_600_000;
    assert_eq!(fired.len(), 1);
    assert!(matches!(&fired[0].cause, Cause::Schedule { at: found } if found.as_millis() == at), "{fired:?}");
    assert_eq!(world.texts().await, [(super::world::START + 3_600_000).to_string(), at.to_string()]);
}

#[tokio::test]
async fn a_threshold_fires_when_it_is_crossed_and_again_only_after_it_was_cleared() {
    let rules = r#"
[event.level]
data = { n = "int" }
[parameter.load]
type = "int"
value = 0
[notification.high]
[[rule]]
on = { event = "level" }
set = { load = "event.data.n" }
[[rule]]
id = "high"
on = { value = "parameter.load", above = 100, clear = 80 }
notify = { name = "high", text = "${threshold.value}" }
"#;
    let world = World::new(rules);
    let mut runner = world.begun().await;
    for n in [90, 100, 120, 80, 150, 79, 101, 5] {
        world.happen("level", json!({ "n": n })).await;
        settle(&mut runner).await.unwrap();
        // What is raised stays so across a restart.
        runner = world.runner();
    }
    assert_eq!(world.texts().await, ["100", "101"]);
    let high: Vec<_> =
        world.fired().await.into_iter().filter(|fired| fired.rule.as_str() == "high").collect();
    assert!(matches!(&high[1].cause, Cause::Threshold { number: 2, .. }));
}

#[tokio::test]
async fn a_window_that_fills_crosses_a_threshold_and_falls_below_it_with_time() {
    let rules = r#"
[window.hourly]
on = "pay"
sum = "action.params.n"
span = "1h"
[params]
n = "int"
[notification.busy]
[[rule]]
on = "pay"
effect = "permit"
[[rule]]
id = "busy"
on = { value = "window.hourly", above = 5 }
notify = { name = "busy", text = "${threshold.value}" }
"#;
    let world = World::new(rules);
    let mut runner = world.begun().await;
    for id in ["a", "b", "c", "d"] {
        assert!(world.submit(id, "pay", json!({ "n": 3 })).await);
        settle(&mut runner).await.unwrap();
    }
    assert_eq!(world.texts().await, ["6"]);
    world.pass_time(Duration::from_secs(3_601));
    settle(&mut runner).await.unwrap();
    assert!(world.submit("e", "pay", json!({ "n": 7 })).await);
    settle(&mut runner).await.unwrap();
    assert_eq!(world.texts().await, ["6", "7"]);
}

#[tokio::test]
async fn a_window_that_is_new_is_counted_from_the_journal_before_it_is_looked_at() {
    let permit = "[params]\nn = 'int'\n[[rule]]\non = 'pay'\neffect = 'permit'\n";
    let world = World::new(permit);
    for id in ["a", "b"] {
        assert!(world.submit(id, "pay", json!({ "n": 3 })).await);
    }
    let rules = format!(
        "{permit}[window.hourly]\non = 'pay'\nsum = 'action.params.n'\nspan = '1h'\n[notification.busy]\n\
         [[rule]]\non = {{ value = 'window.hourly', above = 5 }}\nnotify = {{ name = 'busy', text = '${{threshold.value}}' }}\n"
    );
    world.engine.replace(Ruleset::from_toml(&rules).unwrap());
    // Nobody decides meanwhile.
    world.begun().await;
    assert_eq!(world.texts().await, ["6"]);
}

#[derive(Debug)]
struct Price(std::sync::atomic::AtomicI64, daa_core::clock::ManualClock);

#[async_trait]
impl ContextProvider for Price {
    async fn provide(&self, _: &Request<'_>) -> Result<Provided, Box<dyn std::error::Error + Send + Sync>> {
        use daa_core::clock::Clock as _;
        match self.0.load(Ordering::SeqCst) {
            0 => Err("unknown".into()),
            price => Ok(Provided::new(price, self.1.now())),
        }
    }
}

#[tokio::test]
async fn what_a_provider_tells_crosses_a_threshold_and_what_is_unknown_changes_nothing() {
    let rules = r#"
[context]
price = "double"
[provided]
price = { max_age = "1m" }
[notification.cheap]
[[rule]]
on = { value = "context.price", below = 10, clear = 12 }
notify = { name = "cheap", text = "${threshold.value}" }
"#;
    let mut price = None;
    let world = World::with_providers(rules, |clock| {
        let own = Arc::new(Price(11.into(), clock.clone()));
        price = Some(own.clone());
        Providers::new(Arc::new(clock.clone())).with("price", own)
    });
    let price = price.unwrap();
    let mut runner = world.begun().await;
    for now in [11, 9, 0, 8, 12, 13, 0, 10] {
        price.0.store(now, Ordering::SeqCst);
        runner.look().await.unwrap();
    }
    assert_eq!(world.texts().await, ["9.0", "10.0"]);
}

#[tokio::test]
async fn a_decision_on_record_triggers_the_rule_that_made_it_and_others() {
    let rules = r#"
[params]
n = "int"
[parameter.most]
type = "int"
value = 5
[notification.asked]
by = ["permit", "deny", "escalate"]
rules = "list(string)"
[[rule]]
id = "small"
on = "pay"
when = "action.params.n <= parameter.most"
effect = "permit"
[[rule]]
id = "large"
on = "pay"
when = "action.params.n > parameter.most"
effect = "escalate"
notify = { name = "asked", text = "${action.actor} wants ${action.params.n}, ${parameter.most} are allowed", data = { by = "decision.effect", rules = "decision.rules" } }
[[rule]]
id = "watch"
on = "pay*"
when = 'decision.effect == "permit" && action.params.n == 5'
notify = { name = "asked", text = "all of it", data = { by = "decision.effect", rules = "decision.rules" } }
"#;
    let world = World::new(rules);
    let mut runner = world.begun().await;
    for (id, n) in [("a", 5), ("b", 6), ("c", 1)] {
        world.submit(id, "pay", json!({ "n": n })).await;
    }
    let values = json!({ "most": 100 }).as_object().unwrap().clone();
    // What was decided under the old value is told with the old value.
    let now = world.clock_now();
    world.engine.set_parameters(&*world.store, values, "ann".parse().unwrap(), now).await.unwrap();
    let passes = settle(&mut runner).await.unwrap();
    assert_eq!(names(&passes), ["watch", "large"]);
    assert_eq!(world.texts().await, ["all of it", "alice wants 6, 5 are allowed"]);
    let data: Vec<_> = world.notified().await.into_iter().map(|told| Value::Object(told.data)).collect();
    assert_eq!(
        data,
        [json!({ "by": "permit", "rules": ["small"] }), json!({ "by": "escalate", "rules": ["large"] })]
    );
}

#[tokio::test]
async fn a_chain_of_causes_ends() {
    let rules = "[event.\"rules.notified.v1\"]\n[event.begin]\n[notification.n]\n\
                 [[rule]]\nid = 'a'\non = { event = 'begin' }\nnotify = { name = 'n', text = 'a' }\n\
                 [[rule]]\nid = 'b'\non = { event = 'rules.notified.v1' }\nnotify = { name = 'n', text = 'b' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    world.happen("begin", json!({})).await;
    settle(&mut runner).await.unwrap();
    assert_eq!(world.texts().await.len(), 8);
    assert_eq!(runner.left_out().unwrap().chain, 1);
    // Through the gate as well.
    let rules = "[[rule]]\non = 'go'\neffect = 'permit'\nemit = { kind = 'go' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    assert!(world.submit("first", "go", json!({})).await);
    settle(&mut runner).await.unwrap();
    assert_eq!(world.outside.done().len(), 9);
    assert_eq!(runner.left_out().unwrap().chain, 1);
}

#[tokio::test]
async fn a_rule_fires_no_more_often_than_its_rate() {
    let rules = "[event.e]\n[notification.n]\n[[rule]]\non = { event = 'e' }\nrate = { times = 2, span = '10s' }\n\
                 notify = { name = 'n', text = 'x' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    for _ in 0..5 {
        world.happen("e", json!({})).await;
    }
    settle(&mut runner).await.unwrap();
    assert_eq!((world.texts().await.len(), runner.left_out().unwrap().rate), (2, 3));
    world.pass_time(Duration::from_secs(10));
    world.happen("e", json!({})).await;
    // The count outlives the runner.
    let mut runner = world.runner();
    settle(&mut runner).await.unwrap();
    assert_eq!(world.texts().await.len(), 3);
}

#[tokio::test]
async fn untrusted_data_marks_what_it_leads_to() {
    let rules = "[event.mail]\ndata = { n = 'int' }\nuntrusted = 'mail'\n\
                 [[rule]]\non = 'act'\neffect = 'permit'\nwhen = '!plan.tainted'\n\
                 [[rule]]\non = { event = 'mail' }\nemit = { kind = 'act' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    world.happen("mail", json!({ "n": 1 })).await;
    settle(&mut runner).await.unwrap();
    assert_eq!(world.outside.done(), [], "injected data does not act");
    let emitted = world.fired().await[0].emitted.clone().unwrap();
    let status = world.gate.status(emitted.id()).await.unwrap().unwrap();
    let sources: Vec<_> = status.context.sources().cloned().collect();
    assert_eq!(sources, ["mail".parse::<SourceId>().unwrap()]);
}

#[tokio::test]
async fn marks_of_an_action_pass_to_what_its_events_lead_to() {
    let rules = "[event.\"action.*\"]\n[[rule]]\non = '*'\neffect = 'permit'\n\
                 [[rule]]\non = { event = 'action.succeeded.v1' }\nemit = { kind = 'next' }\nrate = { times = 1, span = '1h' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    let action = crate::free_action("read", json!({}));
    let context = Context::new().with_source("web".parse().unwrap());
    world.gate.submit(action, context, &*world.outside).await.unwrap();
    settle(&mut runner).await.unwrap();
    assert_eq!(world.fired().await[0].context.sources().next().unwrap().as_str(), "web");
}

/// Books that cannot be read for a while.
#[derive(Debug, Default)]
struct Closed(AtomicBool);

#[async_trait]
impl Treasury for Closed {
    async fn begin(&self) -> Result<Box<dyn TreasuryChange>, TreasuryError> {
        if self.0.load(Ordering::SeqCst) { Err(TreasuryError::new("closed")) } else { Ok(Box::new(Free)) }
    }
}

/// Holds whatever it is asked for.
#[derive(Debug)]
struct Free;

impl TreasuryChange for Free {
    fn reserve(&mut self, action: &Action, _: Timestamp) -> Result<ReservationId, Refusal> {
        Ok(action.id().as_str().parse().unwrap())
    }

    fn settle(&mut self, _: &ReservationId, _: Money, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    fn release(&mut self, _: &ReservationId, _: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }

    fn writes(&self) -> Vec<StreamWrite> {
        Vec::new()
    }

    fn confirm(self: Box<Self>) {}
}

#[tokio::test]
async fn emissions_that_cannot_be_submitted_wait_and_hold_up_reading() {
    let rules = "[event.e]\n[[rule]]\non = 'act'\neffect = 'permit'\n[[rule]]\non = { event = 'e' }\n\
                 rate = { times = 1000, span = '1h' }\nemit = { kind = 'act', cost = 'money(\"1 USD\")', decimals = 2 }\n";
    let mut world = World::new(rules);
    let closed = Arc::new(Closed::default());
    closed.0.store(true, Ordering::SeqCst);
    world.gate = Gate::builder(world.store.clone(), Arc::new(world.clock.clone()))
        .with_policy(Arc::new(world.engine.clone()))
        .with_treasury(closed.clone())
        .build();
    let mut runner = world.begun().await;
    for _ in 0..100 {
        world.happen("e", json!({})).await;
    }
    let pass = runner.look().await.unwrap();
    assert_eq!((pass.events, pass.fired.len(), pass.waiting), (64, 64, 64));
    assert!(matches!(pass.problem, Some(GateError::Treasury(_))), "{:?}", pass.problem);
    // What waits outlives the runner, and nothing more is read.
    let mut runner = world.begun().await;
    let pass = runner.look().await.unwrap();
    assert_eq!((pass.events, pass.waiting, world.outside.done().len()), (0, 64, 0));
    closed.0.store(false, Ordering::SeqCst);
    settle(&mut runner).await.unwrap();
    assert_eq!((world.outside.done().len(), world.fired().await.len()), (100, 100));
    assert_eq!(runner.look().await.unwrap().waiting, 0);
}

#[tokio::test]
async fn who_starts_later_takes_over() {
    let world = World::new(TOP_UP);
    let mut first = world.begun().await;
    let mut second = world.begun().await;
    world.happen("balance.changed", units(1)).await;
    let refused = first.look().await;
    assert!(matches!(&refused, Err(RunnerError::Superseded { name }) if name == "main"), "{refused:?}");
    assert!(matches!(first.look().await, Err(RunnerError::Superseded { .. })));
    settle(&mut second).await.unwrap();
    assert_eq!(world.outside.done().len(), 1);
}

#[tokio::test]
async fn it_follows_until_it_is_told_to_end() {
    let world = World::new(TOP_UP);
    let runner = world.begun().await;
    world.happen("balance.changed", units(1)).await;
    let (trigger, shutdown) = ShutdownTrigger::new();
    let mut told = Vec::new();
    let trigger = std::sync::Mutex::new(Some(trigger));
    let report = |pass: Result<daa_rules::Pass, RunnerError>| {
        let pass = pass.unwrap();
        told.extend(pass.fired.iter().map(|fired| fired.rule.to_string()));
        if pass.submitted > 0 {
            trigger.lock().unwrap().take();
        }
    };
    runner.follow(Duration::from_secs(1), shutdown, report).await.unwrap();
    assert_eq!(told, ["top-up"]);
    assert_eq!(world.outside.done().len(), 1);
}

#[tokio::test]
async fn events_that_trigger_nothing_cost_no_append_but_the_place_is_kept() {
    let world = World::new(TOP_UP);
    let mut runner = world.begun().await;
    for _ in 0..1_001 {
        world.happen("other", json!({})).await;
    }
    let head = world.store.head().await.unwrap().get();
    settle(&mut runner).await.unwrap();
    assert_eq!(world.store.head().await.unwrap().get(), head + 1, "one append for a thousand events");
    world.happen("balance.changed", json!({ "account": "x".repeat(300_000), "units": 1 })).await;
    settle(&mut runner).await.unwrap();
    assert_eq!((world.fired().await.len(), runner.left_out().unwrap().too_large), (0, 1));
}

#[tokio::test]
async fn another_ruleset_takes_over_where_the_last_one_was() {
    let world = World::new(TOP_UP);
    let mut runner = world.begun().await;
    world.happen("balance.changed", units(1)).await;
    settle(&mut runner).await.unwrap();
    world.engine.replace(Ruleset::from_toml(&TOP_UP.replace("text = \"", "text = \"now ")).unwrap());
    world.happen("balance.changed", units(2)).await;
    settle(&mut runner).await.unwrap();
    assert_eq!(world.texts().await, ["a has 1", "now a has 2"]);
    let rulesets: Vec<_> = world.fired().await.iter().map(|fired| fired.ruleset).collect();
    assert_ne!(rulesets[0], rulesets[1]);
}
