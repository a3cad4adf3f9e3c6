//! The conformance suite of [`ReadModel`]: one function for each behaviour of the contract.
//!
//! [`read_model_conformance!`](crate::read_model_conformance) makes a test of each. What is under test is a [`Tally`]: an
//! engine with the projection of [`refusal`] and [`amount`] on it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a suite fails by panicking"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;

use super::{
    ModelError, ModelVersion, Place, Projector, ProjectorMonitor, ProjectorOptions, ReadModel, Refusal,
    SkippedEvent, Step,
};
use crate::clock::{SystemClock, Timestamp};
use crate::event::{
    Batch, EventStore, ExpectedVersion, MemoryEventStore, NewEvent, OnPoison, Position, RecordedEvent,
    Version,
};
use crate::shutdown::{Shutdown, ShutdownTrigger};

/// The payload that the projection refuses.
pub const POISON: &str = "poison";

/// What an event adds to the row of its stream: one in version 1, a thousand in version 2, and so on, so that it shows
/// by which version a row was made.
#[must_use]
pub fn amount(version: ModelVersion) -> i64 {
    1_000_i64.pow(version.get() - 1)
}

/// Refuses [`POISON`], after whatever the projection has written for it.
///
/// # Errors
/// [`Refusal`].
pub fn refusal(event: &RecordedEvent) -> Result<(), Refusal> {
    if event.payload == POISON { Err("it is poison".into()) } else { Ok(()) }
}

/// An engine with a projection that keeps a row for each stream: for each event it adds [`amount`] to the row, and then
/// asks [`refusal`].
#[async_trait]
pub trait Tally: Send + Sync + fmt::Debug {
    /// The model as a process opens it whose projection has this version.
    async fn open(&self, version: ModelVersion) -> Arc<dyn ReadModel>;

    /// The rows that readers see; `None` before any version is live.
    async fn rows(&self) -> Option<BTreeMap<String, i64>>;
}

/// Makes a `#[tokio::test]` of each behaviour. The expression is evaluated once per test, and yields
/// `(guard, Arc<dyn Tally>)`; the guard is dropped after it.
#[macro_export]
macro_rules! read_model_conformance {
    ($fresh:expr) => {
        $crate::read_model_conformance! { @tests $fresh;
            readers_see_nothing_before_the_first_version_is_built
            rows_and_position_are_of_one_moment
            a_step_from_elsewhere_changes_nothing
            a_refused_event_changes_nothing_of_its_step
            beginning_and_swapping_again_are_harmless
            nothing_is_done_before_it_is_begun
            a_new_version_is_built_beside_the_live_one
            readers_never_go_back_in_time
            a_higher_version_gives_up_what_a_lower_one_was_building
            of_many_steps_from_one_place_one_is_taken
            what_was_passed_over_is_recorded_with_the_position
            a_projector_builds_follows_and_builds_anew
            two_projectors_count_every_event_once
        }
    };
    (@tests $fresh:expr; $($behaviour:ident)*) => {$(
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $behaviour() {
            let (_guard, tally) = $fresh;
            $crate::projection::testing::$behaviour(tally).await;
        }
    )*};
}

/// What is under test.
pub type Under = Arc<dyn Tally>;

const V1: ModelVersion = ModelVersion::new(1);
const V2: ModelVersion = ModelVersion::new(2);
const V3: ModelVersion = ModelVersion::new(3);

fn at(position: u64) -> Position {
    Position::new(position)
}

fn event(position: u64, stream: &str, payload: &'static str) -> RecordedEvent {
    let (stream, kind) = (stream.parse().unwrap(), "tally.done.v1".parse().unwrap());
    let payload = bytes::Bytes::from_static(payload.as_bytes());
    RecordedEvent::new(at(position), stream, Version::new(1), kind, Timestamp::from_millis(1), payload)
}

/// A step over events of stream `a`, one at each position.
fn step(from: u64, to: u64) -> Step {
    Step::new(at(from), at(to), (from + 1..=to).map(|position| event(position, "a", "x")).collect())
}

fn rows<const N: usize>(rows: [(&str, i64); N]) -> Option<BTreeMap<String, i64>> {
    Some(rows.into_iter().map(|(stream, row)| (stream.to_owned(), row)).collect())
}

async fn place(model: &dyn ReadModel) -> Place {
    model.state().await.unwrap().place(model.projection().version()).unwrap()
}

/// A model that is live, at position 3.
async fn live(tally: &Under) -> Arc<dyn ReadModel> {
    let model = tally.open(V1).await;
    model.begin().await.unwrap();
    model.apply(step(0, 3)).await.unwrap();
    model.swap().await.unwrap();
    model
}

/// See its name.
pub async fn readers_see_nothing_before_the_first_version_is_built(tally: Under) {
    let model = tally.open(V1).await;
    assert_eq!(tally.rows().await, None);
    model.begin().await.unwrap();
    model.apply(step(0, 2)).await.unwrap();
    assert_eq!((tally.rows().await, place(&*model).await), (None, Place::Building(at(2))));
    model.swap().await.unwrap();
    assert_eq!((tally.rows().await, place(&*model).await), (rows([("a", 2)]), Place::Live(at(2))));
}

/// See its name.
pub async fn rows_and_position_are_of_one_moment(tally: Under) {
    let model = live(&tally).await;
    let events = vec![event(5, "a", "x"), event(6, "b", "x")];
    model.apply(Step::new(at(3), at(7), events)).await.unwrap();
    assert_eq!(tally.rows().await, rows([("a", 4), ("b", 1)]));
    // Another process finds the same.
    let again = tally.open(V1).await;
    assert_eq!(place(&*again).await, Place::Live(at(7)));
    model.apply(Step::new(at(7), at(9), Vec::new())).await.unwrap();
    assert_eq!(place(&*again).await, Place::Live(at(9)));
}

/// See its name.
pub async fn a_step_from_elsewhere_changes_nothing(tally: Under) {
    let model = live(&tally).await;
    for from in [0, 2, 4] {
        let error = model.apply(step(from, 9)).await.unwrap_err();
        let ModelError::Moved { expected, actual } = error else { panic!("{error:?}") };
        assert_eq!((expected, actual), (at(from), at(3)));
    }
    assert_eq!((tally.rows().await, place(&*model).await), (rows([("a", 3)]), Place::Live(at(3))));
}

/// See its name.
pub async fn a_refused_event_changes_nothing_of_its_step(tally: Under) {
    let model = live(&tally).await;
    let events = vec![event(4, "a", "x"), event(5, "b", POISON), event(6, "a", "x")];
    let error = model.apply(Step::new(at(3), at(6), events)).await.unwrap_err();
    let ModelError::Poison { position, source } = error else { panic!("{error:?}") };
    assert_eq!((position, source.to_string().as_str()), (at(5), "it is poison"));
    assert_eq!((tally.rows().await, place(&*model).await), (rows([("a", 3)]), Place::Live(at(3))));
    model.apply(step(3, 4)).await.unwrap();
    assert_eq!(tally.rows().await, rows([("a", 4)]));
}

/// See its name.
pub async fn beginning_and_swapping_again_are_harmless(tally: Under) {
    let model = live(&tally).await;
    model.begin().await.unwrap();
    model.swap().await.unwrap();
    tally.open(V1).await.begin().await.unwrap();
    assert_eq!((tally.rows().await, place(&*model).await), (rows([("a", 3)]), Place::Live(at(3))));
    let next = tally.open(V2).await;
    next.begin().await.unwrap();
    next.apply(step(0, 2)).await.unwrap();
    tally.open(V2).await.begin().await.unwrap();
    assert_eq!(place(&*next).await, Place::Building(at(2)));
}

/// See its name.
pub async fn nothing_is_done_before_it_is_begun(tally: Under) {
    let model = tally.open(V1).await;
    assert_eq!(place(&*model).await, Place::Nowhere);
    for error in [model.apply(step(0, 1)).await, model.swap().await, model.skipped(1).await.map(|_| ())] {
        assert!(matches!(error, Err(ModelError::NotBegun { version: V1 })), "{error:?}");
    }
    assert_eq!(tally.rows().await, None);
}

/// See its name.
pub async fn a_new_version_is_built_beside_the_live_one(tally: Under) {
    let (old, new) = (live(&tally).await, tally.open(V2).await);
    new.begin().await.unwrap();
    new.apply(step(0, 3)).await.unwrap();
    old.apply(step(3, 4)).await.unwrap();
    assert_eq!(tally.rows().await, rows([("a", 4)]));
    assert_eq!(place(&*old).await, Place::Live(at(4)));
    new.apply(step(3, 4)).await.unwrap();
    new.swap().await.unwrap();
    assert_eq!(tally.rows().await, rows([("a", 4_000)]));
    let superseded = |result| matches!(result, Err(ModelError::Superseded { version: V1, by: V2 }));
    assert!(superseded(old.apply(step(4, 5)).await));
    assert!(superseded(old.begin().await));
    assert!(superseded(old.swap().await));
    assert!(superseded(tally.open(V1).await.begin().await));
    new.apply(step(4, 5)).await.unwrap();
    assert_eq!((tally.rows().await, place(&*new).await), (rows([("a", 5_000)]), Place::Live(at(5))));
}

/// See its name.
pub async fn readers_never_go_back_in_time(tally: Under) {
    let (_old, new) = (live(&tally).await, tally.open(V2).await);
    new.begin().await.unwrap();
    new.apply(step(0, 2)).await.unwrap();
    let error = new.swap().await.unwrap_err();
    let ModelError::Behind { position, live } = error else { panic!("{error:?}") };
    assert_eq!((position, live), (at(2), at(3)));
    assert_eq!(tally.rows().await, rows([("a", 3)]));
    new.apply(step(2, 3)).await.unwrap();
    new.swap().await.unwrap();
    assert_eq!(tally.rows().await, rows([("a", 3_000)]));
}

/// See its name.
pub async fn a_higher_version_gives_up_what_a_lower_one_was_building(tally: Under) {
    let (_old, middle, new) = (live(&tally).await, tally.open(V2).await, tally.open(V3).await);
    middle.begin().await.unwrap();
    middle.apply(step(0, 3)).await.unwrap();
    new.begin().await.unwrap();
    assert_eq!(place(&*new).await, Place::Building(Position::START));
    let superseded = |result| matches!(result, Err(ModelError::Superseded { version: V2, by: V3 }));
    assert!(superseded(middle.apply(step(3, 4)).await));
    assert!(superseded(middle.begin().await));
    new.apply(step(0, 3)).await.unwrap();
    new.swap().await.unwrap();
    assert_eq!(tally.rows().await, rows([("a", 3_000_000)]));
}

/// See its name.
pub async fn of_many_steps_from_one_place_one_is_taken(tally: Under) {
    live(&tally).await;
    let mut models = Vec::new();
    for _ in 0..6 {
        models.push(tally.open(V1).await);
    }
    for round in 0..5 {
        let from = 3 + round * 2;
        let steps = join_all(models.iter().map(|model| model.apply(step(from, from + 2)))).await;
        let taken = steps.iter().filter(|step| step.is_ok()).count();
        assert_eq!(taken, 1, "{steps:?}");
        let outrun = |step: &&Result<(), ModelError>| matches!(step, Err(ModelError::Moved { .. }));
        assert_eq!(steps.iter().filter(outrun).count(), models.len() - 1, "{steps:?}");
    }
    assert_eq!(tally.rows().await, rows([("a", 13)]));
}

/// See its name.
pub async fn what_was_passed_over_is_recorded_with_the_position(tally: Under) {
    let model = live(&tally).await;
    assert_eq!(model.skipped(9).await.unwrap(), []);
    let skipped = |position| SkippedEvent::new(at(position), format!("no {position}"));
    for position in [4, 5] {
        let step = Step::new(at(position - 1), at(position), Vec::new());
        model.apply(step.with_skipped(skipped(position))).await.unwrap();
    }
    let refused = Step::new(at(3), at(6), Vec::new()).with_skipped(skipped(6));
    model.apply(refused).await.unwrap_err();
    assert_eq!(place(&*model).await, Place::Live(at(5)));
    assert_eq!(tally.open(V1).await.skipped(9).await.unwrap(), [skipped(4), skipped(5)]);
    assert_eq!(model.skipped(1).await.unwrap(), [skipped(4)]);
}

/// A projector at work.
#[derive(Debug)]
struct Working {
    monitor: ProjectorMonitor,
    task: tokio::task::JoinHandle<Result<(), super::ProjectorError>>,
    trigger: ShutdownTrigger,
}

impl Working {
    fn start(model: Arc<dyn ReadModel>, store: &Arc<MemoryEventStore>) -> Self {
        let options = ProjectorOptions::default()
            .with_batch(7)
            .with_on_poison(OnPoison::Skip)
            .with_takeover_after(Duration::from_millis(200));
        let projector = Projector::new(model, store.clone(), Arc::new(SystemClock::new()), options);
        let monitor = projector.monitor();
        let (trigger, shutdown): (_, Shutdown) = ShutdownTrigger::new();
        Self { monitor, task: tokio::spawn(projector.run(shutdown)), trigger }
    }

    async fn reached(&mut self, position: Position) {
        let reached = tokio::time::timeout(Duration::from_secs(60), self.monitor.reached(position)).await;
        assert!(reached.is_ok(), "waited in vain for {position}: {:?}", self.monitor.state());
    }

    async fn stop(self) {
        self.trigger.trigger();
        self.task.await.unwrap().unwrap();
    }
}

async fn happen(store: &MemoryEventStore, number: u64) -> Position {
    let payload = if number % 10 == 9 { POISON } else { "x" };
    let kind = "tally.done.v1".parse().unwrap();
    let event = NewEvent::new(kind, Timestamp::from_millis(1), payload.as_bytes().into());
    let stream = ["a", "b", "c"][number as usize % 3].parse().unwrap();
    store.append(Batch::new().with_event(stream, ExpectedVersion::Any, event)).await.unwrap().last
}

/// What the rows must be after so many events.
fn after(events: u64, version: ModelVersion) -> Option<BTreeMap<String, i64>> {
    let mut rows = BTreeMap::new();
    for number in (0..events).filter(|number| number % 10 != 9) {
        *rows.entry(["a", "b", "c"][number as usize % 3].to_owned()).or_default() += amount(version);
    }
    Some(rows)
}

/// See its name.
pub async fn a_projector_builds_follows_and_builds_anew(tally: Under) {
    let store = Arc::new(MemoryEventStore::new());
    let mut last = Position::START;
    for number in 0..40 {
        last = happen(&store, number).await;
    }
    let mut old = Working::start(tally.open(V1).await, &store);
    old.reached(last).await;
    assert_eq!(tally.rows().await, after(40, V1));
    for number in 40..50 {
        last = happen(&store, number).await;
    }
    old.reached(last).await;
    assert_eq!(tally.rows().await, after(50, V1));
    let mut new = Working::start(tally.open(V2).await, &store);
    new.reached(last).await;
    assert_eq!(tally.rows().await, after(50, V2));
    assert_eq!(tally.open(V2).await.skipped(9).await.unwrap().len(), 5);
    last = happen(&store, 50).await;
    new.reached(last).await;
    assert_eq!(tally.rows().await, after(51, V2));
    let ended = tokio::time::timeout(Duration::from_secs(60), old.task).await.unwrap().unwrap();
    let superseded = ModelError::Superseded { version: V1, by: V2 };
    let Err(super::ProjectorError::Model(error)) = ended else { panic!("{ended:?}") };
    assert_eq!(error.to_string(), superseded.to_string());
    new.stop().await;
}

/// See its name.
pub async fn two_projectors_count_every_event_once(tally: Under) {
    let store = Arc::new(MemoryEventStore::new());
    let mut one = Working::start(tally.open(V1).await, &store);
    let mut other = Working::start(tally.open(V1).await, &store);
    let mut last = Position::START;
    for number in 0..60 {
        last = happen(&store, number).await;
        tokio::task::yield_now().await;
    }
    one.reached(last).await;
    other.reached(last).await;
    assert_eq!(tally.rows().await, after(60, V1));
    // One is gone without a word: the other goes on.
    one.task.abort();
    for number in 60..80 {
        last = happen(&store, number).await;
    }
    other.reached(last).await;
    assert_eq!(tally.rows().await, after(80, V1));
    other.stop().await;
}
