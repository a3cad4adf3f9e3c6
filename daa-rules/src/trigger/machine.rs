//! What rules do about what happened. Pure: a state, the rules, what triggered them, and what was gathered for it, to a
//! new state and what is to be appended.

use std::collections::{BTreeMap, BTreeSet};

use daa_core::action::{Action, ActionError, Context, RESERVED_IDS};
use daa_core::clock::Timestamp;
use daa_core::digest::Digest;
use daa_core::event::{Position, Version};
use daa_core::id::{ActionId, AgentId, IdError, RuleId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::stimulus::Stimulus;
use super::{CronTrigger, Emitted, Threshold, TriggeredRule};
use crate::condition::{Budget, Indeterminate};
use crate::limits::Limits;
use crate::parameters::{ParametersSet, Values};
use crate::ruleset::Ruleset;
use crate::runner::Fired;
use crate::trigger::ParameterError;

/// The format of states that this version writes, and the newest that it reads.
pub(crate) const FORMAT: u32 = 2;
/// Bytes of JSON of what one rule does at once, and of what it saw.
const RESPONSE: usize = 512 << 10;
/// Bytes of JSON of what rules do in one step.
const STEP: usize = 8 << 20;

/// Where a runner stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    /// How often a runner of this name was started.
    pub(crate) starts: u64,
    /// Up to here, events have been considered.
    pub(crate) place: Position,
    /// How far schedules have been considered, by rule and trigger.
    schedules: BTreeMap<Digest, Timestamp>,
    thresholds: BTreeMap<Digest, Crossing>,
    /// How many thresholds were crossed, whatever became of their rules.
    #[serde(default)]
    crossings: u64,
    /// How often rules fired in the span that runs.
    rates: BTreeMap<RuleId, Spent>,
    /// Emitted actions that nobody has seen to the gate yet.
    pub(crate) pending: Vec<Pending>,
    /// What some rules have been let fire about, and not yet all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partly: Option<Partly>,
    pub(crate) left_out: LeftOut,
}

/// An event, and the rules that need not look at it any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Partly {
    position: Position,
    done: BTreeSet<Digest>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Crossing {
    raised: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    since: Timestamp,
    times: u32,
}

/// An emitted action, and the event of the stream of firings that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) action: ActionId,
    pub(crate) fired: Version,
}

/// How often rules did not fire although they were triggered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LeftOut {
    /// Because the chain of causes was too long.
    pub chain: u64,
    /// Because they had fired as often as their rate allows.
    pub rate: u64,
    /// Because their condition could not be decided.
    pub indeterminate: u64,
    /// Because the event was too large.
    pub too_large: u64,
    /// Emitted actions whose event was erased before they were submitted.
    pub lost: u64,
}

/// A rule, and what triggers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn<'t> {
    pub(crate) rule: &'t TriggeredRule,
    pub(crate) stimulus: &'t Stimulus,
}

/// What one step comes to.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) state: State,
    pub(crate) fired: Vec<Fired>,
    /// What the parameters become.
    pub(crate) set: Option<ParametersSet>,
    /// How many of the turns were taken. The others are for another step: there is no room for them in this one.
    pub(crate) taken: usize,
}

impl Step {
    /// Nothing but another state.
    pub(crate) const fn of(state: State) -> Self {
        Self { state, fired: Vec::new(), set: None, taken: 0 }
    }
}

/// What a step rests on beside the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Given<'g> {
    pub(crate) rules: &'g Ruleset,
    pub(crate) parameters: &'g Values,
    /// In whose name actions are emitted.
    pub(crate) actor: &'g AgentId,
    /// The last event of the stream of firings.
    pub(crate) fired: Version,
    pub(crate) now: Timestamp,
}

/// Why a rule that should have fired did nothing.
#[derive(Debug, thiserror::Error)]
enum Unfulfilled {
    #[error(transparent)]
    Indeterminate(#[from] Indeterminate),
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error("the action is not valid: {0}")]
    Action(#[from] ActionError),
    #[error("the action has no valid name: {0}")]
    Name(#[from] IdError),
    #[error("what it sees and does takes more than {limit} bytes")]
    TooLarge { limit: usize },
    #[error(
        "all parameters together would take {actual} bytes, at most {} are allowed",
        Limits::PARAMETERS_SET
    )]
    Parameters { actual: usize },
    #[error("what it sets rests on what is redacted, and parameters are shown")]
    Redacted,
    #[error("its data comes from {actual} untrusted sources, at most {} are allowed", Limits::SOURCES)]
    Sources { actual: usize },
}

impl State {
    /// One that begins behind a position.
    pub(crate) fn at(place: Position) -> Self {
        Self {
            format: FORMAT,
            starts: 0,
            place,
            schedules: BTreeMap::new(),
            thresholds: BTreeMap::new(),
            crossings: 0,
            rates: BTreeMap::new(),
            pending: Vec::new(),
            partly: None,
            left_out: LeftOut::default(),
        }
    }

    /// As this version writes it; `Err` has its format where this version does not know that.
    pub(crate) fn known(self) -> Result<Self, u32> {
        if self.format > FORMAT { Err(self.format) } else { Ok(Self { format: FORMAT, ..self }) }
    }

    /// Whether nothing more can be emitted before something has been submitted.
    pub(crate) const fn is_full(&self) -> bool {
        self.pending.len() >= Limits::PENDING
    }

    /// Whether a rule has looked at an event in an earlier step.
    pub(crate) fn has_seen(&self, position: Position, rule: &TriggeredRule) -> bool {
        let partly = self.partly.as_ref().filter(|partly| partly.position == position);
        partly.is_some_and(|partly| partly.done.contains(&rule.key()))
    }

    /// All rules have looked at an event.
    pub(crate) fn seen(&mut self, position: Position) {
        self.place = position;
        self.partly = None;
    }

    /// These rules have looked at an event, and others have not.
    pub(crate) fn seen_by<'r>(&mut self, position: Position, rules: impl Iterator<Item = &'r TriggeredRule>) {
        let before = self.partly.take().filter(|partly| partly.position == position);
        let mut done = before.map(|partly| partly.done).unwrap_or_default();
        done.extend(rules.map(TriggeredRule::key));
        self.partly = Some(Partly { position, done });
    }

    /// Takes back that the time, or the value, was looked at that triggers a rule.
    pub(crate) fn unsee(&mut self, rule: &TriggeredRule, before: &Self) {
        let key = rule.key();
        match before.schedules.get(&key) {
            Some(considered) => drop(self.schedules.insert(key, *considered)),
            None => drop(self.schedules.remove(&key)),
        }
        match before.thresholds.get(&key) {
            Some(crossing) => drop(self.thresholds.insert(key, *crossing)),
            None => drop(self.thresholds.remove(&key)),
        }
    }

    /// The occurrence of a schedule that is due, the last one where several were missed. One that is new begins now.
    pub(crate) fn due(
        &mut self,
        rule: &TriggeredRule,
        cron: &CronTrigger,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let considered = self.schedules.entry(rule.key()).or_insert(now);
        let due = cron.latest(*considered, now)?;
        *considered = now;
        Some(due)
    }

    /// Takes up the value of a threshold; how many were crossed until then, if this one is now. No two crossings have one
    /// number, also where a rule was gone for a while.
    pub(crate) fn crossed(
        &mut self,
        rule: &TriggeredRule,
        threshold: &Threshold,
        value: &Value,
    ) -> Option<u64> {
        let crossing = self.thresholds.entry(rule.key()).or_default();
        let raised = threshold.is_raised_after(crossing.raised, value)?;
        let begins = raised && !crossing.raised;
        crossing.raised = raised;
        self.crossings += u64::from(begins);
        begins.then_some(self.crossings)
    }

    /// Forgets what is about rules that are no more.
    pub(crate) fn forget(&mut self, rules: &Ruleset) {
        let keys: BTreeSet<Digest> = rules.triggered().iter().map(TriggeredRule::key).collect();
        self.schedules.retain(|key, _| keys.contains(key));
        self.thresholds.retain(|key, _| keys.contains(key));
        self.rates.retain(|id, _| rules.triggered().iter().any(|rule| rule.id() == id));
    }

    /// Whether a rule may fire once more, which counts.
    fn spend(&mut self, rule: &TriggeredRule, now: Timestamp) -> bool {
        let spent = self.rates.entry(rule.id().clone()).or_insert(Spent { since: now, times: 0 });
        if now.since(spent.since) >= rule.rate().span {
            *spent = Spent { since: now, times: 0 };
        }
        let may = spent.times < rule.rate().times;
        spent.times += u32::from(may);
        may
    }

    /// Lets the rules fire that are triggered, in their order, as far as there is room in one step.
    pub(crate) fn step(mut self, turns: &[Turn<'_>], given: &Given<'_>) -> Step {
        let mut budget = Budget::new();
        let (mut fired, mut size, mut taken) = (Vec::new(), 0, 0);
        let mut set = ParametersSet::of(given.parameters);
        for turn in turns {
            if turn.rule.effects.emit.is_some() && self.is_full() {
                break;
            }
            let before = self.rates.get(turn.rule.id()).copied();
            if let Some((done, changed)) = self.take(turn, &set, given, &mut budget) {
                let bytes = done.size();
                if !fired.is_empty() && size + bytes > STEP {
                    self.unspend(turn.rule, before);
                    break;
                }
                size += bytes;
                set = changed.unwrap_or(set);
                if let Some(action) = &done.emitted {
                    let fired = Version::new(given.fired.get() + fired.len() as u64 + 1);
                    self.pending.push(Pending { action: action.id().clone(), fired });
                }
                fired.push(done);
            }
            taken += 1;
        }
        Step { state: self, fired, set: (!set.changed.is_empty()).then_some(set), taken }
    }

    /// What one rule does, and what the parameters are then; `None` where it does not fire.
    fn take(
        &mut self,
        turn: &Turn<'_>,
        set: &ParametersSet,
        given: &Given<'_>,
        budget: &mut Budget,
    ) -> Option<(Fired, Option<ParametersSet>)> {
        let stimulus = &turn.stimulus.seen_with(turn.rule, given.parameters);
        let turn = Turn { stimulus, ..*turn };
        match turn.rule.holds(&stimulus.request(), budget) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(_) => {
                self.left_out.indeterminate += 1;
                return None;
            }
        }
        let depth = stimulus.depth.saturating_add(1);
        if depth > Limits::CHAIN {
            self.left_out.chain += 1;
            return None;
        }
        if !self.spend(turn.rule, given.now) {
            self.left_out.rate += 1;
            return None;
        }
        let done = turn.response(depth, given, budget).and_then(|done| match done.size() {
            0..=RESPONSE => Ok(done),
            _ => Err(Unfulfilled::TooLarge { limit: RESPONSE }),
        });
        let done = done.and_then(|done| {
            let changed = (!done.set.is_empty()).then(|| set.changed_by(&done, given.rules)).transpose();
            Ok((done, changed.map_err(|actual| Unfulfilled::Parameters { actual })?))
        });
        Some(done.unwrap_or_else(|why| (turn.failed(depth, given, &why), None)))
    }

    fn unspend(&mut self, rule: &TriggeredRule, before: Option<Spent>) {
        match before {
            Some(spent) => drop(self.rates.insert(rule.id().clone(), spent)),
            None => drop(self.rates.remove(rule.id())),
        }
    }
}

impl Turn<'_> {
    fn response(&self, depth: u8, given: &Given<'_>, budget: &mut Budget) -> Result<Fired, Unfulfilled> {
        let actual = self.stimulus.context.sources().len();
        if actual > Limits::SOURCES {
            return Err(Unfulfilled::Sources { actual });
        }
        let response = self.rule.respond(self.stimulus, budget)?;
        if response.sets_what_is_redacted {
            return Err(Unfulfilled::Redacted);
        }
        for (name, value) in &response.sets {
            let parameter = given.rules.parameter(name);
            parameter.ok_or_else(|| ParameterError::Unknown { name: name.clone() })?.check(value)?;
        }
        let emitted = response.emitted.map(|emitted| self.action(emitted, depth, given)).transpose()?;
        let (blank, given) = (self.blank(depth, given), self.stimulus.seen_by(self.rule));
        Ok(Fired { given, set: response.sets, notified: response.notified, emitted, ..blank })
    }

    /// That it could do nothing, with what it saw where that is not too much.
    fn failed(&self, depth: u8, given: &Given<'_>, why: &Unfulfilled) -> Fired {
        let problem = why.to_string().chars().take(500).collect();
        let bare = Fired { problem: Some(problem), ..self.blank(depth, given) };
        let told = Fired { given: self.stimulus.seen_by(self.rule), ..bare.clone() };
        if told.size() > RESPONSE { bare } else { told }
    }

    fn blank(&self, depth: u8, given: &Given<'_>) -> Fired {
        // Nothing is done with more: what failed says how many there were.
        let sources = self.stimulus.context.sources().take(Limits::SOURCES).cloned();
        Fired {
            rule: self.rule.id().clone(),
            ruleset: given.rules.digest(),
            cause: self.stimulus.cause.clone(),
            depth,
            given: Context::NONE,
            set: Map::new(),
            notified: None,
            emitted: None,
            context: Context::new().with_sources(sources),
            problem: None,
        }
    }

    /// One cause brings one action, whatever crashes or is replayed: its id says so.
    fn action(&self, emitted: Emitted, depth: u8, given: &Given<'_>) -> Result<Action, Unfulfilled> {
        let mut hash = Digest::builder("daa rules emission v1").field(self.rule.digest().as_bytes());
        for part in self.stimulus.cause.name() {
            hash = hash.field(part.as_bytes());
        }
        let id = ActionId::new(format!("{RESERVED_IDS}{depth}/{}", hash.finish()))?;
        let action = Action::new(id, emitted.kind, given.actor.clone())?;
        let action = action.with_params(Value::Object(emitted.params))?;
        Ok(match emitted.cost {
            Some(cost) => action.with_max_cost(cost),
            None => action,
        })
    }
}
