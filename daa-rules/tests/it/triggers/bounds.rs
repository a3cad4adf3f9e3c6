//! Whatever is much, broken or gone: the runner goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::action::{Action, ActionError, Context, GateError};
use daa_core::clock::{ManualClock, Timestamp};
use daa_core::event::ExpectedVersion;
use daa_core::event::{
    AppendError, Appended, Batch, EventStore, MemoryEventStore, NewEvent, PageSize, Position, ReadError,
    RecordedEvent, StreamWrite, Subscription, Version,
};
use daa_core::id::StreamId;
use daa_rules::{Limits, ParametersSet, Ruleset, RunnerError};
use serde_json::{Map, Value, json};

use super::world::{Outside, START, World, happen, names, settle};

fn rules_on_event(rules: usize, does: &str) -> String {
    let mut text = "[event.e]\ndata = { text = 'string?', n = 'int?' }\n[notification.n]\n[parameter.p]\ntype = 'int'\nvalue = 0\n\
                    [[rule]]\non = 'act'\neffect = 'permit'\n"
        .to_owned();
    for n in 0..rules {
        text += &format!("[[rule]]\nid = 'r{n}'\non = {{ event = 'e' }}\n{does}\n");
    }
    text
}

#[tokio::test]
async fn many_rules_on_a_large_event_fire_in_several_appends() {
    let does = "when = 'size(event.data.text) > 10'\nnotify = { name = 'n', text = 'x' }\nset = { p = 'parameter.p + 1' }";
    let world = World::new(&rules_on_event(80, does));
    let mut runner = world.begun().await;
    world.happen("e", json!({ "text": "x".repeat(250_000) })).await;
    // It may die between two of them.
    runner.look().await.unwrap();
    let mut runner = world.begun().await;
    settle(&mut runner).await.unwrap();
    let fired = world.fired().await;
    let expected: Vec<_> = (0..80).map(|n| format!("r{n}")).collect();
    assert_eq!(fired.iter().map(|fired| fired.rule.to_string()).collect::<Vec<_>>(), expected);
    assert!(
        fired.iter().all(|fired| fired.problem.is_none() && fired.given.fact("event.data.text").is_some())
    );
    assert_eq!(world.notified().await.len(), 80);
    assert_eq!(runner.look().await.unwrap().fired, []);
    assert_eq!(world.fired().await.len(), 80);
}

#[tokio::test]
async fn other_rules_take_over_between_two_appends_and_none_fires_twice() {
    let does = "when = 'size(event.data.text) > 10'\nnotify = { name = 'n', text = 'x' }";
    let world = World::new(&rules_on_event(80, does));
    let mut runner = world.begun().await;
    world.happen("e", json!({ "text": "x".repeat(250_000) })).await;
    assert!((1..80).contains(&runner.look().await.unwrap().fired.len()));
    world.engine.replace(Ruleset::from_toml(&rules_on_event(81, &does.replace("'x'", "'y'"))).unwrap());
    settle(&mut runner).await.unwrap();
    let fired: Vec<_> = world.fired().await.iter().map(|fired| fired.rule.to_string()).collect();
    assert_eq!(fired, (0..81).map(|n| format!("r{n}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_list_of_what_waits_is_never_longer_than_its_bound() {
    let world = World::new(&rules_on_event(150, "emit = { kind = 'act' }"));
    let mut runner = world.begun().await;
    world.happen("e", json!({})).await;
    let mut passes = 0;
    loop {
        let pass = runner.look().await.unwrap();
        assert!(
            pass.fired.len() <= 2 * Limits::PENDING && pass.waiting <= Limits::PENDING,
            "{}",
            pass.waiting
        );
        passes += 1;
        if pass.fired.is_empty() && pass.events == 0 && pass.submitted == 0 {
            break;
        }
    }
    assert!(passes > 2);
    assert_eq!(world.outside.done().len(), 150);
    let most = most_waiting(&world).await;
    assert_eq!(most, Limits::PENDING);
}

/// The longest list of what waits that was ever on record.
async fn most_waiting(world: &World) -> usize {
    let stream: StreamId = "rules.runner/main".parse().unwrap();
    let all = world.store.read_stream(&stream, Version::EMPTY, PageSize::new(1_000)).await.unwrap();
    let waiting =
        |event: &RecordedEvent| event.json::<Value>().unwrap()["pending"].as_array().map_or(0, Vec::len);
    all.iter().filter(|event| !event.is_erased()).map(waiting).max().unwrap()
}

#[tokio::test]
async fn many_schedules_at_once_keep_to_the_bound_and_none_is_left_out() {
    let mut text = "[[rule]]\non = 'act'\neffect = 'permit'\n".to_owned();
    for n in 0..150 {
        text += &format!("[[rule]]\nid = 's{n}'\non = {{ cron = '0 * * * *' }}\nemit = {{ kind = 'act' }}\n");
    }
    let world = World::new(&text);
    let mut runner = world.begun().await;
    runner.look().await.unwrap();
    world.pass_time(Duration::from_secs(3_600));
    let passes = settle(&mut runner).await.unwrap();
    assert_eq!(most_waiting(&world).await, Limits::PENDING);
    assert_eq!((names(&passes).len(), world.outside.done().len()), (150, 150));
}

#[tokio::test]
async fn what_is_too_much_for_one_rule_is_told_and_the_runner_goes_on() {
    // Each parameter is of an allowed size; all of them are more than one event takes.
    let mut text = "[event.e]\n[event.ok]\n[notification.n]\n".to_owned();
    let mut all = Vec::new();
    for n in 0..190 {
        text += &format!("[parameter.p{n}]\ntype = 'string'\nvalue = '{}'\n", "x".repeat(4_000));
        all.push(format!("parameter.p{n} != 'y'"));
    }
    let halves: Vec<_> = all.chunks(60).map(|some| some.join(" && ")).collect();
    text += &format!(
        "[[rule]]\nid = 'large'\non = {{ event = 'e' }}\nnotify = {{ name = 'n', text = '{}' }}\n",
        halves.iter().map(|half| format!("${{{}}}", half.replace('\'', "\""))).collect::<String>()
    );
    text += "[[rule]]\nid = 'small'\non = { event = 'ok' }\nnotify = { name = 'n', text = 'ok' }\n";
    let world = World::new(&text);
    let mut runner = world.begun().await;
    for kind in ["e", "ok"] {
        world.happen(kind, json!({})).await;
    }
    assert_eq!(names(&settle(&mut runner).await.unwrap()), ["large", "small"]);
    let fired = world.fired().await;
    assert_eq!(fired[0].problem.as_deref(), Some("what it sees and does takes more than 524288 bytes"));
    assert!(fired[0].given.is_empty());
    assert_eq!(world.texts().await, ["ok"]);
}

#[tokio::test]
async fn parameters_that_no_ruleset_declares_any_more_go_when_there_is_no_room() {
    let rules = |generation: usize| {
        let each = |n| format!("[parameter.g{generation}_{n}]\ntype = 'string'\nvalue = ''\n");
        (0..200).map(each).collect::<String>()
    };
    let world = World::new(&rules(0));
    let now = world.clock_now();
    let set = async |generation: usize, count: usize| {
        world.engine.replace(Ruleset::from_toml(&rules(generation)).unwrap());
        let each = |n| (format!("g{generation}_{n}"), Value::from("x".repeat(4_000)));
        let values: Map<_, _> = (0..count).map(each).collect();
        world.engine.set_parameters(&*world.store, values, "ann".parse().unwrap(), now).await
    };
    for generation in 0..3 {
        set(generation, 100).await.unwrap();
    }
    let all = world.store.read_all(Position::START, PageSize::new(1_000)).await.unwrap();
    let last = all.iter().filter_map(|event| ParametersSet::read(event).unwrap()).next_back().unwrap();
    // Two generations had room, three have not.
    assert_eq!(last.values.len(), 100);
    let sizes: Vec<_> = all.iter().map(|event| event.payload.len()).collect();
    assert!(sizes.iter().all(|size| *size <= Limits::PARAMETERS_SET), "{sizes:?}");
}

#[tokio::test]
async fn an_emission_that_was_erased_is_told_and_given_up() {
    let world = World::new(&rules_on_event(1, "emit = { kind = 'act' }"));
    world.begun().await;
    // It dies after the rule has fired, before anything is submitted: as far as the store shows.
    let stream: StreamId = "rules.fired/main".parse().unwrap();
    let closed = World::on(
        Arc::new(NoActions(world.store.clone())),
        world.clock.clone(),
        world.outside.clone(),
        &rules_on_event(1, "emit = { kind = 'act' }"),
        None,
    );
    world.happen("e", json!({})).await;
    let pass = closed.runner().look().await.unwrap();
    assert_eq!((pass.fired.len(), pass.waiting), (1, 1));
    world.store.erase(&stream, Version::new(1)).await.unwrap();
    let mut runner = world.runner();
    let pass = runner.look().await.unwrap();
    assert_eq!((pass.lost.len(), pass.waiting), (1, 0));
    assert_eq!((runner.left_out().unwrap().lost, world.outside.done().len()), (1, 0));
    world.happen("e", json!({})).await;
    settle(&mut runner).await.unwrap();
    assert_eq!(world.outside.done().len(), 1);
}

/// A store that takes no events of actions for a while.
#[derive(Debug)]
struct NoActions(Arc<dyn EventStore>);

#[async_trait]
impl EventStore for NoActions {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        if batch.writes.iter().any(|write| write.stream.as_str().starts_with("action/")) {
            return Err(AppendError::Unavailable { source: "for a while".into() });
        }
        self.0.append(batch).await
    }

    async fn read_stream(
        &self,
        of: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read_stream(of, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.0.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.0.subscribe(after).await
    }

    async fn erase(&self, of: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.0.erase(of, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.0.head().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn an_emission_whose_journal_is_damaged_does_not_wait_for_ever() {
    let rules = rules_on_event(1, "emit = { kind = 'act' }");
    let world = World::new(&rules);
    world.begun().await;
    let closed = World::on(
        Arc::new(NoActions(world.store.clone())),
        world.clock.clone(),
        world.outside.clone(),
        &rules,
        None,
    );
    world.happen("e", json!({})).await;
    let pass = closed.runner().look().await.unwrap();
    assert_eq!(pass.waiting, 1, "what may pass waits: {:?}", pass.problem);
    let emitted = world.fired().await[0].emitted.clone().unwrap();
    let broken = NewEvent::json("action.permitted.v1".parse().unwrap(), Timestamp::EPOCH, &json!(3)).unwrap();
    let stream = emitted.stream().unwrap();
    let write = StreamWrite::new(stream, ExpectedVersion::NO_STREAM, vec![broken]);
    world.store.append(Batch::new().with(write)).await.unwrap();
    let pass = world.runner().look().await.unwrap();
    assert_eq!(pass.waiting, 0);
    assert!(matches!(&pass.unperformed[..], [(_, GateError::Journal(_))]), "{:?}", pass.unperformed);
}

/// A store in which somebody else is faster, once.
#[derive(Debug)]
struct Faster {
    inner: MemoryEventStore,
    armed: AtomicBool,
}

#[async_trait]
impl EventStore for Faster {
    async fn append(&self, batch: Batch) -> Result<Appended, AppendError> {
        let is_state = |write: &StreamWrite| write.stream.as_str().starts_with("rules.runner/");
        if batch.writes.iter().any(is_state) && self.armed.swap(false, Ordering::SeqCst) {
            // The runner that ran before puts its state on record once more.
            let mut again = Batch::new();
            again.writes = batch.writes.iter().filter(|write| is_state(write)).cloned().collect();
            self.inner.append(again).await?;
        }
        self.inner.append(batch).await
    }

    async fn read_stream(
        &self,
        of: &StreamId,
        after: Version,
        page: PageSize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_stream(of, after, page).await
    }

    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read_all(after, page).await
    }

    async fn subscribe(&self, after: Position) -> Result<Subscription, ReadError> {
        self.inner.subscribe(after).await
    }

    async fn erase(&self, of: &StreamId, up_to: Version) -> Result<u64, AppendError> {
        self.inner.erase(of, up_to).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[tokio::test]
async fn who_starts_while_the_one_before_still_writes_takes_over_all_the_same() {
    let store = Arc::new(Faster { inner: MemoryEventStore::new(), armed: AtomicBool::new(false) });
    let clock = ManualClock::new(Timestamp::from_millis(START));
    let outside = Arc::<Outside>::default();
    let world = World::on(store.clone(), clock, outside, &rules_on_event(1, "emit = { kind = 'act' }"), None);
    let mut old = world.begun().await;
    store.armed.store(true, Ordering::SeqCst);
    let mut new = world.runner();
    new.look().await.unwrap();
    happen(&*world.store, "e", json!({})).await;
    assert!(matches!(old.look().await, Err(RunnerError::Superseded { .. })));
    settle(&mut new).await.unwrap();
    assert_eq!(world.outside.done().len(), 1);
}

#[tokio::test]
async fn nobody_but_rules_may_use_their_ids() {
    let rules = "[[rule]]\nid = 'watch'\non = 'go'\neffect = 'permit'\nemit = { kind = 'seen' }\n\
                 [[rule]]\non = 'seen'\neffect = 'permit'\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    // A chain as long as allowed, were it true; and an agent that is called like that.
    for id in ["rules/8/x", "rules/1/x", "rules/0/1"] {
        let action =
            Action::new(id.parse().unwrap(), "go".parse().unwrap(), "alice".parse().unwrap()).unwrap();
        let refused = world.gate.submit(action.clone(), Context::new(), &*world.outside).await;
        assert!(
            matches!(&refused, Err(GateError::Invalid(ActionError::Reserved { id: at })) if at.as_str() == id),
            "{refused:?}"
        );
        assert!(world.gate.authorize(action, Context::new()).await.is_err());
    }
    assert_eq!(world.outside.done(), []);
    assert!(world.submit("mine", "go", json!({})).await);
    settle(&mut runner).await.unwrap();
    assert_eq!(world.outside.done().len(), 2, "and the rules do");
}

#[tokio::test]
async fn what_looks_like_a_notification_elsewhere_has_no_depth() {
    let rules = "[event.\"rules.notified.v1\"]\n[notification.n]\n[[rule]]\non = { event = 'rules.notified.v1' }\n\
                 rate = { times = 1, span = '1h' }\nnotify = { name = 'n', text = 'seen' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    let cause = json!({ "schedule": { "at": 0 } });
    let forged = json!({ "name": "n", "text": "", "data": {}, "rule": "r", "ruleset": "0".repeat(64), "cause": cause, "depth": 8 });
    world.happen("rules.notified.v1", forged).await;
    settle(&mut runner).await.unwrap();
    assert_eq!(world.texts().await.last().map(String::as_str), Some("seen"));
}

#[tokio::test]
async fn a_threshold_that_goes_and_comes_back_acts_again() {
    let base = "[event.level]\ndata = { n = 'int' }\n[parameter.load]\ntype = 'int'\nvalue = 0\n\
                [[rule]]\non = 'act'\neffect = 'permit'\n\
                [[rule]]\nid = 'set'\non = { event = 'level' }\nset = { load = 'event.data.n' }\n";
    let with = format!(
        "{base}[[rule]]\nid = 'high'\non = {{ value = 'parameter.load', above = 5 }}\nemit = {{ kind = 'act' }}\n"
    );
    let world = World::new(&with);
    let mut runner = world.begun().await;
    for (n, acted) in [(9, 1), (0, 1), (9, 2)] {
        world.happen("level", json!({ "n": n })).await;
        settle(&mut runner).await.unwrap();
        assert_eq!(world.outside.done().len(), acted);
    }
    for again in [3, 4] {
        world.engine.replace(Ruleset::from_toml(base).unwrap());
        settle(&mut runner).await.unwrap();
        world.engine.replace(Ruleset::from_toml(&with).unwrap());
        let passes = settle(&mut runner).await.unwrap();
        assert!(passes.iter().all(|pass| pass.unperformed.is_empty()), "{passes:?}");
        assert_eq!(world.outside.done().len(), again);
    }
    assert_eq!(world.outside.ids().len(), 4);
}

#[tokio::test]
async fn more_sources_than_can_be_kept_are_told_and_nothing_is_done() {
    let mut rules =
        "[event.\"action.*\"]\n[[rule]]\non = 'see'\neffect = 'permit'\n[[rule]]\nid = 'tell'\non = 'see'\n\
                     emit = { kind = 'act' }\n"
            .to_owned();
    for n in 0..30 {
        rules += &format!(
            "[parameter.p{n}]\ntype = 'int'\nvalue = 0\n[[rule]]\nid = 's{n}'\non = 'see'\nset = {{ p{n} = 1 }}\n"
        );
    }
    let world = World::new(&rules);
    let mut runner = world.begun().await;
    let submit = async |id: &str, sources: usize, length: usize| {
        let action =
            Action::new(id.parse().unwrap(), "see".parse().unwrap(), "alice".parse().unwrap()).unwrap();
        let source = |n| format!("{n:03}{}", "s".repeat(length)).parse().unwrap();
        let context = Context::new().with_sources((0..sources).map(source));
        world.gate.submit(action, context, &*world.outside).await.unwrap();
    };
    submit("many", Limits::SOURCES + 1, 10).await;
    settle(&mut runner).await.unwrap();
    let fired = world.fired().await;
    let many = "its data comes from 257 untrusted sources, at most 256 are allowed";
    assert!(fired.len() == 31 && fired.iter().all(|fired| fired.problem.as_deref() == Some(many)));
    submit("long", Limits::SOURCES - 10, 190).await;
    settle(&mut runner).await.unwrap();
    let fired = &world.fired().await[31..];
    let failed: Vec<_> = fired.iter().filter_map(|fired| fired.problem.as_deref()).collect();
    assert!((1..30).contains(&failed.len()), "some have room: {failed:?}");
    assert!(failed.iter().all(|why| why.starts_with("all parameters together would take")), "{failed:?}");
}

#[tokio::test]
async fn an_event_that_is_damaged_does_not_stop_the_runner_and_what_it_leads_to_is_marked() {
    let rules = "[event.\"action.*\"]\n[event.\"rules.*\"]\n[event.e]\n[[rule]]\non = 'act'\neffect = 'permit'\nwhen = '!plan.tainted'\n\
                 [[rule]]\non = { event = 'rules.notified.v1' }\nemit = { kind = 'act' }\n\
                 [[rule]]\non = { event = 'rules.parameters.v1' }\nemit = { kind = 'act' }\n\
                 [[rule]]\non = { event = 'action.permitted.v1' }\nrate = { times = 1, span = '1h' }\nemit = { kind = 'act' }\n\
                 [[rule]]\nid = 'last'\non = { event = 'e' }\nemit = { kind = 'act' }\n";
    let world = World::new(rules);
    let mut runner = world.begun().await;
    for (stream, kind) in [
        ("rules.notifications", "rules.notified.v1"),
        ("rules.parameters", "rules.parameters.v1"),
        ("action/x", "action.permitted.v1"),
    ] {
        let broken = NewEvent::json(kind.parse().unwrap(), Timestamp::EPOCH, &json!([3])).unwrap();
        let write = StreamWrite::new(stream.parse().unwrap(), ExpectedVersion::Any, vec![broken]);
        world.store.append(Batch::new().with(write)).await.unwrap();
    }
    world.happen("e", json!({})).await;
    let passes = settle(&mut runner).await.unwrap();
    assert_eq!(names(&passes).last().map(String::as_str), Some("last"));
    let fired = world.fired().await;
    let unknown =
        |fired: &daa_rules::Fired| fired.context.sources().any(|source| source.as_str() == "unknown");
    assert_eq!(fired.iter().map(unknown).collect::<Vec<_>>(), [true, true, true, false]);
    assert_eq!(world.outside.done().len(), 1);
}

#[tokio::test]
async fn a_state_of_the_format_before_is_gone_on_with_and_one_of_the_future_is_not() {
    let world = World::new(&rules_on_event(1, "emit = { kind = 'act' }"));
    let crossing = json!({ "raised": true, "times": 3 });
    let state = |format: u32| {
        json!({
            "format": format, "starts": 4, "place": 1, "schedules": {}, "rates": {}, "pending": [],
            "thresholds": { "0".repeat(64): crossing }, "left_out": { "rate": 2 },
        })
    };
    let write = async |format: u32| {
        let event =
            NewEvent::json("rules.runner.v1".parse().unwrap(), Timestamp::EPOCH, &state(format)).unwrap();
        let stream = "rules.runner/main".parse().unwrap();
        let write = StreamWrite::new(stream, ExpectedVersion::Any, vec![event]);
        world.store.append(Batch::new().with(write)).await.unwrap();
    };
    write(1).await;
    world.happen("e", json!({})).await;
    let mut runner = world.runner();
    settle(&mut runner).await.unwrap();
    assert_eq!((world.outside.done().len(), runner.left_out().unwrap().rate), (1, 2));
    write(3).await;
    assert!(matches!(world.runner().look().await, Err(RunnerError::TooNew { format: 3 })));
}
