//! The projector at work: begin, follow, swap; stand by while another does.

use std::sync::Arc;

use super::contract::{ReadModel, SkippedEvent, Step};
use super::error::{ModelError, ProjectorError};
use super::monitor::{ProjectorMonitor, ProjectorState, Shared};
use super::options::{OnErased, ProjectorOptions};
use super::slots::Place;
use crate::clock::{Clock, Timestamp};
use crate::digest::Digest;
use crate::event::{EventStore, OnPoison, PageSize, Position, ReadError, RecordedEvent};
use crate::failure_text::error_text;
use crate::fault::{Reaction, Retry};
use crate::relay::is_own;
use crate::resilience::jitter;
use crate::seed::Seed;
use crate::shutdown::Shutdown;
use crate::standby::{Verdict, Vigil};

/// One that stands by looks so many times in the time after which it takes over.
const LOOKS: u32 = 4;

/// Brings a [`ReadModel`] up to date with a store, and keeps it so; see [the module](super).
#[derive(Debug)]
pub struct Projector {
    model: Arc<dyn ReadModel>,
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    options: ProjectorOptions,
    shared: Arc<Shared>,
}

/// Where the model is, as this projector knows it.
#[derive(Clone, Copy, Debug)]
struct At {
    position: Position,
    live: bool,
}

/// What a page comes to, before the projection has seen it. Pure.
#[derive(Debug)]
struct Sifted {
    events: Vec<RecordedEvent>,
    to: Position,
    /// Where those stand that were erased, in order.
    erased: Vec<Position>,
    /// What stands behind `to`, and stops the projector.
    stop: Option<ProjectorError>,
}

impl Projector {
    /// Keeps `model` up to date with `store`.
    #[must_use]
    pub fn new(
        model: Arc<dyn ReadModel>,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
        options: ProjectorOptions,
    ) -> Self {
        Self { model, store, clock, options, shared: Arc::new(Shared::new()) }
    }

    pub(super) fn model(&self) -> &dyn ReadModel {
        &*self.model
    }

    /// Looks at the projector while it runs.
    #[must_use]
    pub fn monitor(&self) -> ProjectorMonitor {
        let (store, clock) = (self.store.clone(), self.clock.clone());
        ProjectorMonitor { live: self.shared.live.subscribe(), shared: self.shared.clone(), store, clock }
    }

    /// Builds the model where it is not there, makes it live, and follows the store, until told to end. It goes on trying
    /// while the store or the model is away.
    ///
    /// # Errors
    /// [`ProjectorError`] where trying again cannot help.
    ///
    /// # Cancel safety
    /// Dropped, it leaves what a crash leaves: model and position of one moment.
    pub async fn run(self, mut shutdown: Shutdown) -> Result<(), ProjectorError> {
        let ended = tokio::select! {
            biased;
            () = shutdown.requested() => Ok(()),
            error = self.turns() => Err(error),
        };
        self.shared.is(ProjectorState::Ended);
        ended
    }

    async fn turns(&self) -> ProjectorError {
        let mut failures = 0_u32;
        loop {
            let error = self.turn(&mut failures).await;
            match (&error, error.retry()) {
                (ProjectorError::Model(ModelError::Moved { .. }), _) => {
                    self.shared.counters.outrun.one();
                    match self.stand_by().await {
                        Ok(()) => continue,
                        Err(error) if error.retry() == Retry::Never => return error,
                        Err(error) => self.rest(&error, &mut failures).await,
                    }
                }
                (_, Retry::Never) => return error,
                _ => self.rest(&error, &mut failures).await,
            }
        }
    }

    async fn rest(&self, error: &ProjectorError, failures: &mut u32) {
        self.shared.counters.retried.one();
        self.shared.is(ProjectorState::Resting { error: error_text(error) });
        *failures = failures.saturating_add(1);
        let name = self.model.projection().name().as_str().as_bytes();
        let seed = Digest::builder("daa projector jitter v1").field(name).finish();
        let seed = Seed::from_digest(seed).nth(self.clock.now().as_millis());
        self.clock.sleep(jitter(seed, self.options.backoff.after(*failures))).await;
    }

    /// Follows until something fails.
    async fn turn(&self, failures: &mut u32) -> ProjectorError {
        match self.follow(failures).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn follow(&self, failures: &mut u32) -> Result<std::convert::Infallible, ProjectorError> {
        let mut at = self.begin().await?;
        self.check_not_ahead(at.position).await?;
        loop {
            let page = self.store.read_all(at.position, self.page()).await?;
            if !page.is_empty() {
                let sifted = self.sift(at.position, page);
                at.position = self.apply(at.position, sifted.events, sifted.to).await?;
                // After poison it may be short of `to`: what is behind it is read again.
                let erased = sifted.erased.iter().filter(|&&erased| erased <= at.position).count();
                self.shared.counters.erased.add(erased as u64);
                self.shared.is_at(at.position, at.live);
                if let Some(stop) = sifted.stop.filter(|_| at.position == sifted.to) {
                    return Err(stop);
                }
            }
            let left = self.store.head().await?.get().saturating_sub(at.position.get());
            if !at.live && left < self.options.batch.get() as u64 {
                at.live = self.swap().await?;
                self.shared.is_at(at.position, at.live);
            }
            let due = self.model.refresh(self.clock.now()).await?;
            *failures = 0;
            if left == 0 {
                self.wait(at, due).await?;
            }
        }
    }

    /// Where the model is; begins to build it where it is not there.
    async fn begin(&self) -> Result<At, ProjectorError> {
        let version = self.model.projection().version();
        loop {
            let at = match self.model.state().await?.place(version)? {
                Place::Live(position) => At { position, live: true },
                Place::Building(position) => At { position, live: false },
                Place::Nowhere => {
                    self.model.begin().await?;
                    continue;
                }
            };
            self.shared.is(if at.live { ProjectorState::Following } else { ProjectorState::Building });
            self.shared.is_at(at.position, at.live);
            return Ok(at);
        }
    }

    /// Whether the store has what is in the model. The event itself is looked for, as the model learnt of it by reading
    /// and what the store says of its head may be older.
    async fn check_not_ahead(&self, position: Position) -> Result<(), ProjectorError> {
        let Some(before) = position.get().checked_sub(1) else { return Ok(()) };
        let last = self.store.read_all(Position::new(before), PageSize::new(1)).await?;
        let head = self.store.head().await?;
        if last.is_empty() && head < position {
            return Err(ProjectorError::Ahead { position, head });
        }
        Ok(())
    }

    /// Whether the version is live now.
    async fn swap(&self) -> Result<bool, ModelError> {
        match self.model.swap().await {
            Ok(()) => {
                self.shared.counters.swapped.one();
                self.shared.is(ProjectorState::Following);
                Ok(true)
            }
            // The live one was quicker with what came last.
            Err(ModelError::Behind { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn page(&self) -> PageSize {
        PageSize::new(self.options.batch.get())
    }

    /// Takes out what the projection is not to see.
    fn sift(&self, after: Position, page: Vec<RecordedEvent>) -> Sifted {
        let mut sifted = Sifted { events: Vec::new(), to: after, erased: Vec::new(), stop: None };
        let projection = self.model.projection();
        for event in page {
            let position = event.position;
            if !is_own(&event.stream) && projection.wants(&event.stream) {
                if !event.is_erased() {
                    sifted.events.push(event);
                } else if self.options.on_erased == OnErased::Stop {
                    sifted.stop = Some(ProjectorError::Erased { position, stream: event.stream });
                    return sifted;
                } else {
                    sifted.erased.push(position);
                }
            }
            sifted.to = position;
        }
        sifted
    }

    /// Takes a step; where the projection refuses an event, one up to it, and one past it if that is to be. Answers
    /// where the model is.
    async fn apply(
        &self,
        from: Position,
        events: Vec<RecordedEvent>,
        to: Position,
    ) -> Result<Position, ProjectorError> {
        if from == to {
            return Ok(to);
        }
        let (position, source) = match self.step(Step::new(from, to, events.clone())).await {
            Ok(()) => return Ok(to),
            Err(ModelError::Poison { position, source }) => (position, source),
            Err(error) => return Err(error.into()),
        };
        let before = Position::new(position.get().saturating_sub(1));
        if before > from {
            let good = events.into_iter().take_while(|event| event.position < position).collect();
            self.step(Step::new(from, before, good)).await?;
        }
        self.shared.is_at(before, false);
        if self.options.on_poison == OnPoison::Stop {
            return Err(ModelError::Poison { position, source }.into());
        }
        let reason = error_text(&*source);
        tracing::warn!(projection = %self.model.projection().name(), %position, %reason, "an event was passed over");
        let step = Step::new(before, position, Vec::new());
        self.step(step.with_skipped(SkippedEvent::new(position, reason))).await?;
        self.shared.counters.skipped.one();
        Ok(position)
    }

    async fn step(&self, step: Step) -> Result<(), ModelError> {
        let events = step.events.len() as u64;
        self.model.apply(step).await?;
        self.shared.counters.steps.one();
        self.shared.counters.applied.add(events);
        Ok(())
    }

    /// Waits for the next event, or until something is due.
    async fn wait(&self, at: At, due: Option<Timestamp>) -> Result<(), ReadError> {
        let mut subscription = self.store.subscribe(at.position).await?;
        let due = async {
            match due {
                Some(due) => self.clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            next = subscription.next() => next?.map(|_| ()).ok_or(ReadError::Closed),
            () = due => Ok(()),
        }
    }

    /// Waits until the one who keeps the model does so no more.
    async fn stand_by(&self) -> Result<(), ProjectorError> {
        let mut vigil = Vigil::new(self.options.takeover_after);
        let version = self.model.projection().version();
        self.shared.is(ProjectorState::StandingBy);
        loop {
            let place = self.model.state().await?.place(version)?;
            let Some(position) = place.position() else { return Ok(()) };
            let live = matches!(place, Place::Live(_));
            self.shared.is_at(position, live);
            let pending = !live || self.store.head().await? > position;
            let now = self.clock.now();
            match vigil.look(position.get(), pending, now) {
                Verdict::TakeOver => return Ok(()),
                Verdict::Wait(until) => {
                    self.clock.sleep_until(until.min(now + self.options.takeover_after / LOOKS)).await;
                }
            }
        }
    }
}
