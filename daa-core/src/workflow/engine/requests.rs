//! What is asked of runs.

use serde_json::Value;

use super::{RegisterError, WorkflowEngine};
use crate::action::{Action, Context, Decision, Transaction, Verdict};
use crate::event::{AppendError, Batch, ExpectedVersion, StreamWrite};
use crate::id::{AgentId, RunId, SignalName};
use crate::workflow::archive;
use crate::workflow::definition::Workflow;
use crate::workflow::drive::approval_action;
use crate::workflow::error::WorkflowError;
use crate::workflow::load;
use crate::workflow::run::{Answer, Refused, Request, Run, RunEvent, Task};

/// How often a request is tried again when the run moved on meanwhile.
const MAX_CONFLICTS: u32 = 64;

impl WorkflowEngine {
    /// Asks something of a run.
    ///
    /// # Errors
    /// [`WorkflowError::Refused`] says why the run does not do it; the run is as it was. A run that is archived does
    /// nothing any more: [`Refused::Archived`].
    ///
    /// # Cancel safety
    /// A dropped call may have been granted; signals with a key, answers, pause and cancel may be repeated.
    pub async fn request(&self, run: &RunId, request: Request) -> Result<(), WorkflowError> {
        let stream = load::stream(run)?;
        for _ in 0..MAX_CONFLICTS {
            let state = archive::load_open(&self.parts, run).await?;
            let mut transaction = self.parts.gate.transaction();
            let now = transaction.now();
            let escalated = match &request {
                Request::Answer(answer) => self.escalated(&state, &answer.task).await?,
                _ => None,
            };
            let (event, refused) = match self.grant(&state, &request, escalated, &mut transaction).await? {
                Ok(None) => return Ok(()),
                Ok(Some(event)) => (event, None),
                Err(Refused::RulesChanged { asked, current }) => {
                    let Request::Answer(answer) = &request else { return Ok(()) };
                    let again = RunEvent::AskedAgain { task: answer.task.clone() };
                    (again, Some(Refused::RulesChanged { asked, current }))
                }
                // The answer is about what was asked, and that is no longer so.
                Err(Refused::Changed { asked, answered })
                    if let Request::Answer(answer) = &request
                        && state.asked_about(&answer.task) == Some(answered) =>
                {
                    let again = RunEvent::AskedAgain { task: answer.task.clone() };
                    (again, Some(Refused::Changed { asked, answered }))
                }
                Err(refused) => return Err(refused.into()),
            };
            let expected = ExpectedVersion::Exact(state.version());
            let write = StreamWrite::new(stream.clone(), expected, vec![event.to_new(now)?]);
            match transaction.commit(vec![write]).await {
                Ok(()) => return refused.map_or(Ok(()), |refused| Err(refused.into())),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
    }

    /// The action that a task has asked for and the rules have left to somebody else.
    async fn escalated(&self, run: &Run, task: &Task) -> Result<Option<Action>, WorkflowError> {
        let (Some(asked), Ok(id)) = (run.asked_about(task), run.action_id(task)) else { return Ok(None) };
        let status = self.parts.gate.status(&id).await.map_err(WorkflowError::Gate)?;
        Ok(status.filter(|status| status.digest == asked).map(|status| status.action))
    }

    async fn grant(
        &self,
        run: &Run,
        request: &Request,
        escalated: Option<Action>,
        transaction: &mut Transaction<'_>,
    ) -> Result<Result<Option<RunEvent>, Refused>, WorkflowError> {
        let now = transaction.now();
        if let (Request::RollBack { .. }, Some(parent)) = (request, &run.started().parent) {
            return Ok(Err(Refused::PartOf { parent: parent.run.clone() }));
        }
        if let Request::Answer(answer) = request {
            let event = match run.accept(request.clone(), None, now) {
                Ok(event) => event,
                Err(refused) => return Ok(Err(refused)),
            };
            let (action, verdict) = match self.may_answer(run, answer, escalated, transaction).await? {
                Ok(permitted) => permitted,
                Err(refused) => return Ok(Err(refused)),
            };
            if event.is_none() {
                return Ok(Ok(None));
            }
            let accepted = run.accept(request.clone(), Some(verdict.ruleset), now);
            if let Ok(Some(_)) = &accepted {
                let context = run.context(&answer.task);
                transaction.enact(&action, &context, verdict).await.map_err(WorkflowError::Gate)?;
            }
            return Ok(accepted);
        }
        Ok(run.accept(request.clone(), None, now))
    }

    /// Asks the rules whether somebody may answer a request: an action of kind `workflow.approve`, in their name. Answers
    /// that action, and what permits it.
    async fn may_answer(
        &self,
        run: &Run,
        answer: &Answer,
        escalated: Option<Action>,
        transaction: &mut Transaction<'_>,
    ) -> Result<Result<(Action, Verdict), Refused>, WorkflowError> {
        let action = match answering_action(run, answer, escalated) {
            Ok(action) => action,
            Err(refused) => return Ok(Err(refused)),
        };
        let context: Context = run.context(&answer.task);
        let verdict = transaction.verdict(&action, &context).await.map_err(WorkflowError::Gate)?;
        let ruleset = verdict.ruleset;
        // Rules that changed are told first: whoever asked under the old ones has to ask again.
        match run.asked_under(&answer.task) {
            Some(asked) if asked != ruleset => {
                return Ok(Err(Refused::RulesChanged { asked, current: ruleset }));
            }
            _ => {}
        }
        Ok(match verdict.decision {
            Decision::Permit => Ok((action, verdict)),
            Decision::Deny { reason } | Decision::Escalate { reason } => {
                Err(Refused::NotEntitled { by: answer.by.clone(), reason, rules: verdict.rules })
            }
        })
    }

    /// Sends a signal. With a `key` it counts once, however often it is sent.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn signal(
        &self,
        run: &RunId,
        signal: SignalName,
        payload: impl Into<Value>,
        key: Option<String>,
    ) -> Result<(), WorkflowError> {
        self.request(run, Request::Signal { signal, payload: payload.into(), key }).await
    }

    /// Answers a request for approval. The rules decide who may, as for an action of kind `workflow.approve`.
    ///
    /// # Errors
    /// [`WorkflowError::Refused`] where it was answered before, has changed, expired, or was asked under other
    /// rules; then it is asked again under those in force.
    pub async fn answer(&self, run: &RunId, answer: Answer) -> Result<(), WorkflowError> {
        self.request(run, Request::Answer(answer)).await
    }

    /// Changes a variable.
    ///
    /// What was asked for under the id of an action stays what it is: a step that was begun is tried again, approved
    /// and found out about with the parameters it was begun with, and so is an undo. The new value counts for what
    /// begins later.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn update(
        &self,
        run: &RunId,
        var: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<(), WorkflowError> {
        self.request(run, Request::Update { var: var.into(), value: value.into() }).await
    }

    /// Lets nothing new begin, undoing included, until the run is resumed or [cancelled](Self::cancel). What is with
    /// an executor comes to its end. The time limits of steps are looked at once the run goes on; the deadline of the
    /// run holds in a pause too: when it comes, the run is rolled back.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn pause(&self, run: &RunId, reason: impl Into<String>) -> Result<(), WorkflowError> {
        self.request(run, Request::Pause { reason: reason.into() }).await
    }

    /// Lets a paused run go on.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn resume(&self, run: &RunId) -> Result<(), WorkflowError> {
        self.request(run, Request::Resume).await
    }

    /// Stops a run: what is with an executor comes to its end, and what was done is undone. A run that is paused need
    /// not be resumed for that; one whose undoing is paused goes on with it. The plan of an agent is undone by the agent.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub async fn cancel(
        &self,
        run: &RunId,
        by: AgentId,
        reason: impl Into<String>,
    ) -> Result<(), WorkflowError> {
        self.request(run, Request::Cancel { by, reason: reason.into() }).await
    }

    /// Undoes what a run did that has completed, and with it what the runs did that it waited for.
    ///
    /// # Errors
    /// As [`Self::request`]; [`Refused::NotCompleted`] for a run that is still open, [`Refused::PartOf`] for one that
    /// another run waited for: roll that one back.
    pub async fn roll_back(
        &self,
        run: &RunId,
        by: AgentId,
        reason: impl Into<String>,
    ) -> Result<(), WorkflowError> {
        self.request(run, Request::RollBack { by, reason: reason.into() }).await
    }

    /// Lets a run go on under another definition. Steps that have not begun may be any; an action that was asked for
    /// stays what it is, so the parameters and the cost of a step that is under way cannot change, nor those of an
    /// undo.
    ///
    /// # Errors
    /// [`RegisterError`]: the definition is wrong, or what the run has done does not fit it.
    pub async fn migrate(&self, run: &RunId, workflow: Workflow) -> Result<(), RegisterError> {
        let digest = self.register(workflow).await?;
        let newer = self.parts.library.definition(&*self.parts.store, digest).await?;
        let stream = load::stream(run)?;
        for _ in 0..MAX_CONFLICTS {
            let state = archive::load_open(&self.parts, run).await?;
            if state.outcome().is_some() {
                return Err(WorkflowError::Refused(Refused::Ended).into());
            }
            if state.started().attached {
                return Err(WorkflowError::Refused(Refused::Attached).into());
            }
            if state.pinned_to() == digest {
                return Ok(());
            }
            state.workflow().compatible_with(&newer.workflow, &|step| state.reached(step))?;
            let event = RunEvent::Migrated { definition: digest }.to_new(self.parts.clock.now());
            let event = event.map_err(WorkflowError::from)?;
            let expected = ExpectedVersion::Exact(state.version());
            let write = StreamWrite::new(stream.clone(), expected, vec![event]);
            match self.parts.store.append(Batch::new().with(write)).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(WorkflowError::from(error).into()),
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS }.into())
    }
}

/// What the rules are asked about whoever answers.
fn answering_action(run: &Run, answer: &Answer, escalated: Option<Action>) -> Result<Action, Refused> {
    let refused = |reason: String| Refused::NotEntitled { by: answer.by.clone(), reason, rules: Vec::new() };
    let subject = match run.subject(&answer.task) {
        Some((subject, _)) => subject,
        None => match escalated {
            Some(action) => serde_json::to_value(&action).unwrap_or_default(),
            None => return Err(Refused::NotAsked { task: answer.task.clone() }),
        },
    };
    let action = approval_action(run, &answer.task, &subject).map_err(|error| refused(error.to_string()))?;
    let id = action.id().clone();
    action.renamed(id, answer.by.clone()).map_err(|error| refused(error.to_string()))
}
