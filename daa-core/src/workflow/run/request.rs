//! What others may ask of a run: signals, answers, updates, pause, resume, cancel, migration.

use serde_json::Value;

use super::apply::MAX_SIGNALS;
use super::event::{Approval, RunEvent, RunOutcome, Task, Wait};
use super::snapshot::{LaneState, Phase};
use super::state::Run;
use crate::clock::Timestamp;
use crate::digest::Digest;
use crate::fault::{Fault, Reaction, Retry};
use crate::id::{AgentId, RuleId, RunId, SignalName};
use crate::workflow::definition::{Mismatch, StepKind};

/// The longest key of a signal, in bytes.
const MAX_KEY: usize = 200;
/// The longest reason or comment, in bytes.
const MAX_TEXT: usize = 4_096;

/// Something that is asked of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// A signal came.
    Signal {
        /// Which.
        signal: SignalName,
        /// What it carries.
        payload: Value,
        /// A key under which it counts once, however often it is sent; other signals have keys of their own.
        key: Option<String>,
    },
    /// A request for approval is answered.
    Answer(Answer),
    /// A variable is changed.
    Update {
        /// Its name.
        var: String,
        /// Its new value.
        value: Value,
    },
    /// Nothing new is to be begun, until it is resumed or cancelled, or its deadline has come.
    Pause {
        /// Why, for people.
        reason: String,
    },
    /// It is to go on.
    Resume,
    /// It has completed, and what it did is to be undone after all.
    RollBack {
        /// Who asks.
        by: AgentId,
        /// Why, for people.
        reason: String,
    },
    /// It is to stop, and what was done is to be undone; also where it is paused.
    Cancel {
        /// Who asks.
        by: AgentId,
        /// Why, for people.
        reason: String,
    },
}

/// An answer to a request for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Answer {
    /// The task that waits for it.
    pub task: Task,
    /// Who answers.
    pub by: AgentId,
    /// Whether it is approved.
    pub approved: bool,
    /// What is approved: the digest that the request names.
    pub subject: Digest,
    /// Why, for people.
    pub comment: String,
}

impl Answer {
    /// Approves of what `subject` is the digest of.
    #[must_use]
    pub const fn approve(task: Task, subject: Digest, by: AgentId) -> Self {
        Self { task, by, approved: true, subject, comment: String::new() }
    }

    /// Turns it down.
    #[must_use]
    pub const fn turn_down(task: Task, subject: Digest, by: AgentId) -> Self {
        Self { task, by, approved: false, subject, comment: String::new() }
    }

    /// Says why.
    #[must_use]
    pub fn with_comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = comment.into();
        self
    }
}

/// Why a run does not do what was asked. It is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It has come to its end.
    #[error("the run has ended")]
    Ended,
    /// No step of its workflow waits for such a signal.
    #[error("the workflow knows no signal {signal}")]
    NoSuchSignal {
        /// The signal.
        signal: SignalName,
    },
    /// It has taken as many signals as a run may.
    #[error("a run takes at most {MAX_SIGNALS} signals")]
    TooManySignals,
    /// What the signal carries, or the new value of a variable, is not of its type.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// A text or a value is too large.
    #[error("the {what} has {actual} bytes, at most {limit} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        actual: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// The workflow has no such variable.
    #[error("the workflow has no variable {var:?}")]
    NoSuchVariable {
        /// The name.
        var: String,
    },
    /// The task does not wait for approval.
    #[error("{task} does not wait for approval")]
    NotAsked {
        /// The task.
        task: Task,
    },
    /// The request was answered before.
    #[error("{by} has answered that already")]
    Answered {
        /// By whom.
        by: AgentId,
    },
    /// The answer is about something other than what is asked now.
    #[error("the request is about {asked}, the answer about {answered}: it has changed")]
    Changed {
        /// What is asked.
        asked: Digest,
        /// What was answered.
        answered: Digest,
    },
    /// The rules are not those under which it was asked; it is asked anew.
    #[error("it was asked under rules {asked}, now {current} are in force")]
    RulesChanged {
        /// The rules at the time of the request.
        asked: Digest,
        /// The rules now.
        current: Digest,
    },
    /// The request no longer stands.
    #[error("the request for approval has expired")]
    Expired,
    /// Somebody else has to answer.
    #[error("{by} may not answer this request: {reason}")]
    NotEntitled {
        /// Who wanted to.
        by: AgentId,
        /// Why not: what the rules say, or that the request names others.
        reason: String,
        /// The rules that matched.
        rules: Vec<RuleId>,
    },
    /// It has not completed: cancel it instead.
    #[error("the run has not completed")]
    NotCompleted,
    /// An agent performs it, as its plan: it can be cancelled, and nothing else.
    #[error("the run is the plan of an agent, which can only be cancelled")]
    Attached,
    /// It has ended, and its history was moved to an artefact: what it did can no longer be undone by it.
    #[error("the run is archived in artefact {artifact}")]
    Archived {
        /// Where its history is.
        artifact: Digest,
    },
    /// Another run waited for it, and decides whether it is rolled back.
    #[error("the run is a part of run {parent}, which decides whether it is rolled back")]
    PartOf {
        /// The run that waited for it: roll that one back instead.
        parent: RunId,
    },
    /// It is not paused.
    #[error("the run is not paused")]
    NotPaused,
}

impl Reaction for Refused {
    fn fault(&self) -> Fault {
        Fault::Caller
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

impl Run {
    /// Turns a request into the event that grants it; `None` when it was granted before, and changes nothing.
    ///
    /// `ruleset` are the rules in force.
    pub(in crate::workflow) fn accept(
        &self,
        request: Request,
        ruleset: Option<Digest>,
        now: Timestamp,
    ) -> Result<Option<RunEvent>, Refused> {
        match (&self.state.phase, &request) {
            (_, request) if self.state.started.attached && !matches!(request, Request::Cancel { .. }) => {
                return Err(Refused::Attached);
            }
            (Phase::Ended(RunOutcome::Completed { .. }), Request::RollBack { .. }) => {}
            (Phase::Ended(_), _) => return Err(Refused::Ended),
            (_, Request::RollBack { .. }) => return Err(Refused::NotCompleted),
            _ => {}
        }
        match request {
            Request::RollBack { by, reason } => {
                short("reason", &reason)?;
                Ok(Some(RunEvent::RollBackRequested { by, reason, priority: self.state.started.priority }))
            }
            Request::Signal { signal, payload, key } => self.signalled(signal, payload, key),
            Request::Answer(answer) => self.decided(answer, ruleset, now).map(Some),
            Request::Update { var, value } => {
                let Some(variable) = self.definition.workflow.vars.get(&var) else {
                    return Err(Refused::NoSuchVariable { var });
                };
                variable.of.check(&format!("vars.{var}"), &value)?;
                bounded("value", &value)?;
                Ok(Some(RunEvent::Updated { var, value }))
            }
            Request::Pause { reason } => {
                short("reason", &reason)?;
                Ok((!self.state.paused).then_some(RunEvent::Paused { reason }))
            }
            Request::Resume if self.state.paused => Ok(Some(RunEvent::Resumed)),
            Request::Resume => Err(Refused::NotPaused),
            Request::Cancel { by, reason } => {
                short("reason", &reason)?;
                let running = self.state.cancel.is_none() && self.state.phase == Phase::Running;
                let fresh = running || self.state.paused;
                Ok(fresh.then_some(RunEvent::CancelRequested { by, reason }))
            }
        }
    }

    fn signalled(
        &self,
        signal: SignalName,
        payload: Value,
        key: Option<String>,
    ) -> Result<Option<RunEvent>, Refused> {
        let waits = |kind: &StepKind| matches!(kind, StepKind::Signal(step) if step.name == signal);
        let mut steps = self.definition.workflow.steps.iter().filter(|step| waits(&step.kind)).peekable();
        if steps.peek().is_none() {
            return Err(Refused::NoSuchSignal { signal });
        }
        steps.try_for_each(|step| step.gives.check(signal.as_str(), &payload))?;
        bounded("payload", &payload)?;
        if let Some(key) = &key {
            if key.len() > MAX_KEY {
                return Err(Refused::TooLarge { what: "key", actual: key.len(), limit: MAX_KEY });
            }
            if self.state.has_signal(&signal, key) {
                return Ok(None);
            }
        }
        if self.state.signal_count >= MAX_SIGNALS {
            return Err(Refused::TooManySignals);
        }
        Ok(Some(RunEvent::Signalled { signal, payload, key }))
    }

    fn decided(&self, answer: Answer, ruleset: Option<Digest>, now: Timestamp) -> Result<RunEvent, Refused> {
        short("comment", &answer.comment)?;
        let Answer { task, by, approved, subject, comment } = answer;
        let lane = self.spot(&task).and_then(|spot| self.lane(spot));
        let Some(lane) = lane else { return Err(Refused::NotAsked { task }) };
        let LaneState::Waiting { on: Wait::Approval(request), until } = &lane.state else {
            return match &lane.approval {
                Some(earlier) => Err(Refused::Answered { by: earlier.by.clone() }),
                None => Err(Refused::NotAsked { task }),
            };
        };
        if let Some(earlier) = lane.approval.as_ref().filter(|earlier| earlier.number == request.number) {
            return Err(Refused::Answered { by: earlier.by.clone() });
        }
        if until.is_some_and(|until| until <= now) {
            return Err(Refused::Expired);
        }
        if request.subject != subject {
            return Err(Refused::Changed { asked: request.subject, answered: subject });
        }
        // A variable may have changed what the request was about; an action stays what was asked for.
        let now_about = self.subject(&task).map(|(_, digest)| digest);
        if let Some(asked) = now_about.filter(|asked| *asked != subject) {
            return Err(Refused::Changed { asked, answered: subject });
        }
        if let Some(current) = ruleset.filter(|current| *current != request.ruleset) {
            return Err(Refused::RulesChanged { asked: request.ruleset, current });
        }
        if !request.by.is_empty() && !request.by.contains(&by) {
            let reason = "the request names others".to_owned();
            return Err(Refused::NotEntitled { by, reason, rules: Vec::new() });
        }
        let approval = Approval {
            number: request.number,
            by,
            approved,
            subject,
            ruleset: request.ruleset,
            at: now,
            expires: until.unwrap_or(now),
            comment,
        };
        Ok(RunEvent::Decided { task, approval })
    }
}

fn short(what: &'static str, text: &str) -> Result<(), Refused> {
    if text.len() > MAX_TEXT {
        return Err(Refused::TooLarge { what, actual: text.len(), limit: MAX_TEXT });
    }
    Ok(())
}

fn bounded(what: &'static str, value: &Value) -> Result<(), Refused> {
    let actual = serde_json::to_vec(value).map_or(usize::MAX, |json| json.len());
    let limit = crate::action::MAX_PARAMS;
    if actual > limit { Err(Refused::TooLarge { what, actual, limit }) } else { Ok(()) }
}
