//! What a pass does about an event, about the time, and about values: one append, or several.

use std::sync::Arc;

use daa_core::action::{ActionEvent, ActionState, GateError};
use daa_core::clock::Timestamp;
use daa_core::event::{
    AppendError, Batch, DecodeError, ExpectedVersion, NewEvent, Position, RecordedEvent, StreamWrite, Version,
};
use daa_core::id::{ActionId, EventKind, SourceId};

use super::{ERASED, FIRED, Fired, NOTIFIED, Notification, Pass, RunnerError, TRIES, TriggerRunner};
use crate::explain::Decided;
use crate::limits::Limits;
use crate::parameters::{ParametersSet, Values};
use crate::ruleset::Ruleset;
use crate::trigger::{Given, State, Step, Stimulus, Trigger, Turn};

/// The source of what came from nobody knows where.
const UNKNOWN: &str = "unknown";

impl TriggerRunner {
    /// Looks at one event; `false` where there was no room for what all rules do about it in one append, or on the list of
    /// what waits: then the next pass goes on with it.
    pub(super) async fn event(
        &mut self,
        event: &RecordedEvent,
        pass: &mut Pass,
    ) -> Result<bool, RunnerError> {
        let rules = self.engine.ruleset();
        if !rules.is_triggered_by(event.kind.as_str()) {
            return self.go_on(event.position);
        }
        if event.payload.len() > Limits::EVENT_DATA {
            self.loaded()?.state.left_out.too_large += 1;
            return self.go_on(event.position);
        }
        for _ in 0..TRIES {
            let now = self.clock.now();
            let state = self.loaded()?.state.clone();
            let decided = ActionEvent::read(event).ok().flatten();
            let decision = decided.as_ref().and_then(|decided| Stimulus::decision(decided, event, now));
            let kind = event.kind.as_str();
            let mut happened = None;
            let values = self.values(&rules).await?;
            if rules.triggered_by_event(kind).next().is_some() {
                let sources = self.sources(&rules, event).await?;
                let asked = rules.triggered_by_event(kind);
                let stimulus = Stimulus::event(event, sources, asked.clone(), now)?;
                let gathered = self.gather(&rules, asked, &stimulus, &values, now).await?;
                happened = Some(stimulus.with_given(&gathered));
            }
            let turns = rules.triggered().iter().filter_map(|rule| {
                let stimulus = match rule.trigger() {
                    Trigger::Event(on) if on.covers_text(kind) => happened.as_ref(),
                    Trigger::Decision(on) => {
                        decision.as_ref().filter(|about| on.matches(about.action.kind()))
                    }
                    _ => None,
                };
                stimulus.map(|stimulus| Turn { rule, stimulus })
            });
            let turns: Vec<_> = turns.filter(|turn| !state.has_seen(event.position, turn.rule)).collect();
            let mut step = self.step(state, &turns, &rules, &values, now)?;
            let all = step.taken == turns.len();
            if all {
                step.state.seen(event.position);
            } else {
                step.state.seen_by(event.position, turns.iter().take(step.taken).map(|turn| turn.rule));
            }
            if step.fired.is_empty() {
                self.loaded()?.state = step.state;
                return if all { self.go_on(event.position) } else { Ok(false) };
            }
            if self.append(step, values.version, pass).await? {
                return Ok(all);
            }
        }
        Err(RunnerError::Contended { tries: TRIES })
    }

    fn go_on(&mut self, place: Position) -> Result<bool, RunnerError> {
        let loaded = self.loaded()?;
        loaded.state.seen(place);
        loaded.unsaved += 1;
        Ok(true)
    }

    /// Looks at the time, and at the values that have bounds. Where there is no room for what all rules do about it, the next
    /// pass goes on.
    pub(super) async fn times(&mut self, pass: &mut Pass) -> Result<(), RunnerError> {
        let rules = self.engine.ruleset();
        for _ in 0..TRIES {
            let now = self.clock.now();
            let mut state = self.loaded()?.state.clone();
            state.forget(&rules);
            let due = rules.triggered().iter().filter_map(|rule| match rule.trigger() {
                Trigger::Schedule(cron) => Some((rule, state.due(rule, cron, now)?)),
                _ => None,
            });
            let due: Vec<_> = due.collect();
            let values = self.values(&rules).await?;
            let mut stimuli = Vec::new();
            for (rule, at) in due {
                let stimulus = Stimulus::schedule(at, now)?;
                let asked = std::iter::once(rule);
                let gathered = self.gather(&rules, asked, &stimulus, &values, now).await?;
                stimuli.push((rule, stimulus.with_given(&gathered)));
            }
            stimuli.extend(self.crossings(&rules, &mut state, &values, now).await?);
            // In the order of the file.
            stimuli.sort_by_key(|(rule, _)| rule.location());
            let turns: Vec<_> = stimuli.iter().map(|(rule, stimulus)| Turn { rule, stimulus }).collect();
            let mut step = self.step(state, &turns, &rules, &values, now)?;
            let before = &self.loaded()?.state;
            turns.iter().skip(step.taken).for_each(|turn| step.state.unsee(turn.rule, before));
            if step.fired.is_empty() && step.state == self.loaded()?.state {
                return Ok(());
            }
            if self.append(step, values.version, pass).await? {
                return Ok(());
            }
        }
        Err(RunnerError::Contended { tries: TRIES })
    }

    fn step(
        &mut self,
        state: State,
        turns: &[Turn<'_>],
        rules: &Ruleset,
        parameters: &Values,
        now: Timestamp,
    ) -> Result<Step, RunnerError> {
        let fired = self.loaded()?.fired;
        Ok(state.step(turns, &Given { rules, parameters, actor: &self.actor, fired, now }))
    }

    /// Makes a step durable; `false` where somebody else has set parameters meanwhile, and it has to be made again.
    pub(super) async fn append(
        &mut self,
        step: Step,
        parameters: Version,
        pass: &mut Pass,
    ) -> Result<bool, RunnerError> {
        let Step { state, fired, set, .. } = step;
        let (version, before) = (self.loaded()?.version, self.loaded()?.fired);
        let now = self.clock.now();
        let mut batch = Batch::new().with(self.state_write(&state, version)?);
        if !fired.is_empty() {
            let kind = EventKind::new(FIRED)?;
            let events = fired.iter().map(|fired| NewEvent::json(kind.clone(), now, fired));
            let events = events.collect::<Result<_, _>>()?;
            let expected = ExpectedVersion::Exact(before);
            batch = batch.with(StreamWrite::new(self.streams.fired.clone(), expected, events));
        }
        let kind = EventKind::new(NOTIFIED)?;
        let notified = fired.iter().filter_map(Fired::notification);
        let notified = notified.map(|notification| NewEvent::json(kind.clone(), now, &notification));
        let notified: Vec<_> = notified.collect::<Result<_, _>>()?;
        if !notified.is_empty() {
            let stream = self.streams.notified.clone();
            batch = batch.with(StreamWrite::new(stream, ExpectedVersion::Any, notified));
        }
        if let Some(set) = &set {
            let write = set.write(parameters, now)?;
            let stream = write.stream.clone();
            match self.store.append(batch.with(write)).await {
                Ok(_) => {}
                Err(AppendError::Conflict { stream: at, .. }) if at == stream => return Ok(false),
                Err(error) => return Err(self.refused(error)),
            }
        } else {
            self.store.append(batch).await.map_err(|error| self.refused(error))?;
        }
        let store = Arc::clone(&self.store);
        let stream = self.streams.state.clone();
        let loaded = self.loaded()?;
        loaded.left_out = state.left_out;
        loaded.state = state;
        loaded.version = version.next();
        loaded.fired = Version::new(before.get() + fired.len() as u64);
        loaded.unsaved = 0;
        for fired in &fired {
            if let Some(action) = &fired.emitted {
                loaded.at_hand.insert(action.id().clone(), (action.clone(), fired.context.clone()));
            }
        }
        if version.get() % ERASED == 0 {
            // Should it fail, the next one erases this too.
            let _ = store.erase(&stream, version).await;
        }
        pass.fired.extend(fired);
        Ok(true)
    }

    /// Where the data of an event comes from, as far as that is not to be trusted. Of what cannot be read nobody knows.
    async fn sources(&self, rules: &Ruleset, event: &RecordedEvent) -> Result<Vec<SourceId>, RunnerError> {
        let declared = rules.schema().source_of(event.kind.as_str()).cloned();
        let (mut sources, mut is_unknown): (Vec<_>, _) = (declared.into_iter().collect(), false);
        match told(event) {
            Ok(told) => sources.extend(told),
            Err(_) => is_unknown = true,
        }
        let id = event.stream.as_str().strip_prefix("action/").map(ActionId::new);
        if let Some(Ok(id)) = id {
            match self.gate.status(&id).await {
                Ok(Some(status)) => {
                    sources.extend(status.context.sources().cloned());
                    if let ActionState::Succeeded(outcome) = &status.state {
                        sources.extend(outcome.sources().iter().cloned());
                    }
                }
                Ok(None) => {}
                Err(GateError::Journal(_)) => is_unknown = true,
                Err(error) => return Err(error.into()),
            }
        }
        if is_unknown {
            sources.push(SourceId::new(UNKNOWN)?);
        }
        Ok(sources)
    }
}

/// The sources that an event itself tells.
fn told(event: &RecordedEvent) -> Result<Vec<SourceId>, DecodeError> {
    if let Some(set) = ParametersSet::read(event)? {
        return Ok(set.sources_of_changes().cloned().collect());
    }
    if let Some(told) = Notification::read(event)? {
        return Ok(told.sources);
    }
    let action = ActionEvent::read(event)?;
    let given = action.as_ref().and_then(Decided::of).map(|decided| &decided.verdict.given);
    Ok(given.into_iter().flat_map(|given| given.sources().cloned()).collect())
}
