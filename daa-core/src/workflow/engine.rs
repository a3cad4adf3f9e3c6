//! The engine: where workflows are registered, started, asked and looked at.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::archive::{self, HistoryEntry};
#[cfg(feature = "schedule")]
use super::calendar::{Calendar, Recurring, ScheduleView};
use super::definition::{DefinitionErrors, Path, Workflow};
use super::diagram::Diagram;
use super::drive::approval_action;
use super::error::WorkflowError;
use super::explain::{self, Explanation};
use super::library::Library;
use super::listing::{self, RunSummary};
use super::load;
use super::metrics::{Counters, WorkflowMetrics};
use super::parts::Parts;
use super::run::{Answer, MAX_RUN_ID, Refused, Request, Run, RunEvent, RunOutcome, RunStarted, RunView};
use super::trace::TraceContext;
use super::worker::{Endings, Worker, WorkerOptions};
use crate::action::{Context, Decision, Executors, Gate, Verdict};
use crate::artifact::Artifacts;
use crate::clock::{Clock, Timestamp};
use crate::digest::Digest;
use crate::event::{AppendError, Batch, EventStore, ExpectedVersion, StreamWrite};
#[cfg(feature = "schedule")]
use crate::id::ScheduleId;
use crate::id::{ActionKind, AgentId, IdError, RunId, SignalName, WorkerName, WorkflowName};
use crate::shutdown::Shutdown;

/// How often a request is tried again when the run moved on meanwhile.
const MAX_CONFLICTS: u32 = 64;

/// What the ids of the runs begin with in which agents perform their plans.
const PLANS: &str = "agent/";

/// What is to be started.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Start {
    /// The id of the run, and the key under which it is started once.
    pub run: RunId,
    /// The workflow.
    pub workflow: WorkflowName,
    /// In whose name it acts.
    pub actor: AgentId,
    /// What it is given.
    pub input: Value,
    /// The larger, the sooner it is performed when not all can be.
    pub priority: i16,
    /// The trace it belongs to.
    pub trace: Option<TraceContext>,
}

impl Start {
    /// A run of a workflow.
    #[must_use]
    pub fn new(run: RunId, workflow: WorkflowName, actor: AgentId, input: impl Into<Value>) -> Self {
        Self { run, workflow, actor, input: input.into(), priority: 0, trace: None }
    }

    /// Sets its priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Makes it part of a trace.
    #[must_use]
    pub fn with_trace(mut self, trace: TraceContext) -> Self {
        self.trace = Some(trace);
        self
    }
}

/// Workflows over an event store.
///
/// The engine itself performs nothing: [`serve`](Self::serve) does, here or in another process. Everything else may
/// be called anywhere, also where no worker runs.
///
/// ```
/// # use std::sync::Arc;
/// # use daa_core::action::*;
/// # use daa_core::agent::executor_fn;
/// # use daa_core::clock::SystemClock;
/// # use daa_core::event::MemoryEventStore;
/// # use daa_core::shutdown::ShutdownTrigger;
/// # use daa_core::workflow::*;
/// # use serde_json::json;
/// # async fn example(rules: Arc<dyn Policy>) -> Result<(), Box<dyn std::error::Error>> {
/// let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
/// let gate = Gate::builder(store.clone(), clock.clone()).with_policy(rules).build();
/// let greet = executor_fn(|_| Box::pin(async { Ok(Outcome::new("hello")) }));
/// let engine = WorkflowEngine::builder(store, clock, gate).with_executor("greet".try_into()?, greet).build();
///
/// let hello = Workflow::new("hello".try_into()?)
///     .with_step(Step::action("greet".try_into()?, "greet".try_into()?, json!({ "whom": "${input.name}" })))
///     .with_output("${greet}");
/// engine.register(hello).await?;
///
/// let (trigger, shutdown) = ShutdownTrigger::new();
/// let worker = engine.clone();
/// let serving = tokio::spawn(async move { worker.serve("main".try_into().unwrap(), Default::default(), shutdown).await });
/// engine.start(Start::new("hello-1".try_into()?, "hello".try_into()?, "alice".try_into()?, json!({ "name": "Bob" }))).await?;
/// let outcome = engine.outcome(&"hello-1".try_into()?).await?;
/// println!("{outcome:?}");
/// trigger.trigger();
/// serving.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WorkflowEngine {
    parts: Arc<Parts>,
    endings: Arc<Endings>,
}

impl fmt::Debug for WorkflowEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkflowEngine")
            .field("executors", &self.parts.executors)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}

/// Puts a [`WorkflowEngine`] together.
#[derive(Debug)]
pub struct WorkflowEngineBuilder {
    parts: Parts,
}

impl WorkflowEngineBuilder {
    /// Adds who performs actions of a kind.
    #[must_use]
    pub fn with_executor(
        mut self,
        kind: ActionKind,
        executor: impl crate::action::Executor + 'static,
    ) -> Self {
        self.parts.executors = self.parts.executors.with(kind, executor);
        self
    }

    /// Sets who performs actions of all kinds.
    #[must_use]
    pub fn with_executors(mut self, executors: Executors) -> Self {
        self.parts.executors = executors;
        self
    }

    /// Sets where the histories of runs that have ended can be moved. Without it they stay where they are.
    #[must_use]
    pub fn with_artifacts(mut self, artifacts: Arc<dyn Artifacts>) -> Self {
        self.parts.artifacts = Some(artifacts);
        self
    }

    /// The engine.
    #[must_use]
    pub fn build(self) -> WorkflowEngine {
        WorkflowEngine { parts: Arc::new(self.parts), endings: Arc::default() }
    }
}

impl WorkflowEngine {
    /// Starts with what an engine cannot do without. The gate must use the same store.
    #[must_use]
    pub fn builder(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, gate: Gate) -> WorkflowEngineBuilder {
        let parts = Parts {
            store,
            clock,
            gate,
            executors: Executors::new(),
            library: Arc::new(Library::default()),
            artifacts: None,
            counters: Arc::new(Counters::default()),
        };
        WorkflowEngineBuilder { parts }
    }

    /// Checks a workflow, and makes it the one that is started under its name from now on, by this engine. Runs that
    /// were started before go on with the definition they were started with.
    ///
    /// # Errors
    /// [`RegisterError`]: the definition is wrong, or the store does not take it.
    pub async fn register(&self, workflow: Workflow) -> Result<Digest, RegisterError> {
        let compiled = workflow.compile()?;
        let digest = compiled.digest;
        self.parts.library.register(&*self.parts.store, compiled, self.parts.clock.now()).await?;
        Ok(digest)
    }

    /// Starts a run. Safe to repeat: a run that was started before with the same workflow and input is left as it
    /// is, whatever became of it.
    ///
    /// # Errors
    /// [`WorkflowError`]: an unknown workflow, an input that does not match, an id that was used for something else or
    /// begins with `agent/`, or a store that is not available. Nothing is started then.
    ///
    /// # Cancel safety
    /// A dropped call may have started the run; repeat it.
    pub async fn start(&self, start: Start) -> Result<(), WorkflowError> {
        let Start { run, workflow, actor, input, priority, trace } = start;
        let unknown = || WorkflowError::UnknownWorkflow { name: workflow.clone() };
        let definition = self.parts.library.latest(&workflow).ok_or_else(unknown)?;
        definition.workflow.input.check("input", &input).map_err(WorkflowError::Input)?;
        let actual = crate::action::json_len(&input);
        let limit = crate::action::MAX_PARAMS;
        if actual > limit {
            return Err(WorkflowError::InputTooLarge { actual, limit });
        }
        if run.as_str().len() > MAX_RUN_ID {
            let source = IdError::TooLong { len: run.as_str().len() };
            return Err(WorkflowError::Id { run, source });
        }
        if run.as_str().starts_with(PLANS) {
            return Err(WorkflowError::ReservedRun { run });
        }
        let stream = load::stream(&run)?;
        let started = RunStarted {
            run,
            workflow,
            definition: definition.digest,
            actor,
            input,
            priority,
            parent: None,
            trace,
            attached: false,
        };
        let event = RunEvent::Started(Box::new(started.clone())).to_new(self.parts.clock.now())?;
        let write = StreamWrite::new(stream, ExpectedVersion::NO_STREAM, vec![event]);
        match self.parts.store.append(Batch::new().with(write)).await {
            Ok(_) => {
                self.parts.counters.runs_started.one();
                Ok(())
            }
            Err(AppendError::Conflict { .. }) => {
                let before = self.load(&started.run).await?;
                let same = before.started().workflow == started.workflow
                    && before.started().input == started.input
                    && before.started().actor == started.actor;
                if same { Ok(()) } else { Err(WorkflowError::RunExists { run: started.run }) }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Starts an asynchronous job: a run of a single action. Its id is the key under which it takes effect once.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn enqueue(
        &self,
        run: RunId,
        actor: AgentId,
        kind: ActionKind,
        params: impl Into<Value>,
    ) -> Result<(), RegisterError> {
        let workflow = Workflow::job(&kind)?;
        let name = workflow.name.clone();
        if self.parts.library.latest(&name).is_none() {
            self.register(workflow).await?;
        }
        Ok(self.start(Start::new(run, name, actor, params)).await?)
    }

    /// Asks something of a run.
    ///
    /// # Errors
    /// [`WorkflowError::Refused`] says why the run does not do it; the run is as it was.
    ///
    /// # Cancel safety
    /// A dropped call may have been granted; signals with a key, answers, pause and cancel may be repeated.
    pub async fn request(&self, run: &RunId, request: Request) -> Result<(), WorkflowError> {
        let stream = load::stream(run)?;
        for _ in 0..MAX_CONFLICTS {
            let state = self.load(run).await?;
            let now = self.parts.clock.now();
            let (event, refused) = match self.grant(&state, &request, now) {
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
            match self.parts.store.append(Batch::new().with(write)).await {
                Ok(_) => return refused.map_or(Ok(()), |refused| Err(refused.into())),
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(WorkflowError::Contended { tries: MAX_CONFLICTS })
    }

    fn grant(&self, run: &Run, request: &Request, now: Timestamp) -> Result<Option<RunEvent>, Refused> {
        let mut ruleset = None;
        if let Request::Answer(answer) = request {
            let event = run.accept(request.clone(), None, now)?;
            let verdict = self.may_answer(run, answer)?;
            ruleset = Some(verdict);
            if event.is_none() {
                return Ok(None);
            }
        }
        run.accept(request.clone(), ruleset, now)
    }

    /// Asks the rules whether somebody may answer a request: an action of kind `workflow.approve`, in their name.
    fn may_answer(&self, run: &Run, answer: &Answer) -> Result<Digest, Refused> {
        let refused = |reason: String, rules| Refused::NotEntitled { by: answer.by.clone(), reason, rules };
        let subject = match run.subject(&answer.task) {
            Some((subject, _)) => subject,
            None => match run.action(&answer.task) {
                Some(Ok(action)) => serde_json::to_value(&action).unwrap_or_default(),
                _ => return Err(Refused::NotAsked { task: answer.task.clone() }),
            },
        };
        let action = approval_action(run, &answer.task, &subject)
            .map_err(|error| refused(error.to_string(), Vec::new()))?;
        let id = action.id().clone();
        let action =
            action.renamed(id, answer.by.clone()).map_err(|error| refused(error.to_string(), Vec::new()))?;
        let context: Context = run.context(&answer.task);
        let Verdict { decision, ruleset, rules } = self.parts.gate.verdict(&action, &context);
        // Rules that changed are told first: whoever asked under the old ones has to ask again.
        match run.asked_under(&answer.task) {
            Some(asked) if asked != ruleset => return Err(Refused::RulesChanged { asked, current: ruleset }),
            _ => {}
        }
        match decision {
            Decision::Permit => Ok(ruleset),
            Decision::Deny { reason } | Decision::Escalate { reason } => Err(refused(reason, rules)),
        }
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

    /// Lets nothing new begin until the run is resumed. What is with an executor comes to its end.
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

    /// Stops a run: what is with an executor comes to its end, and what was done is undone.
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

    /// Undoes what a run did that has completed.
    ///
    /// # Errors
    /// As [`Self::request`]; [`Refused::NotCompleted`] for a run that is still open.
    pub async fn roll_back(
        &self,
        run: &RunId,
        by: AgentId,
        reason: impl Into<String>,
    ) -> Result<(), WorkflowError> {
        self.request(run, Request::RollBack { by, reason: reason.into() }).await
    }

    /// Lets a run go on under another definition.
    ///
    /// # Errors
    /// [`RegisterError`]: the definition is wrong, or what the run has done does not fit it.
    pub async fn migrate(&self, run: &RunId, workflow: Workflow) -> Result<(), RegisterError> {
        let digest = self.register(workflow).await?;
        let newer = self.parts.library.definition(&*self.parts.store, digest).await?;
        let stream = load::stream(run)?;
        for _ in 0..MAX_CONFLICTS {
            let state = self.load(run).await?;
            if state.outcome().is_some() {
                return Err(WorkflowError::Refused(Refused::Ended).into());
            }
            if state.pinned_to() == digest {
                return Ok(());
            }
            state.workflow().compatible_with(&newer.workflow, &|step| state.has_begun(step))?;
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

    /// A run as it stands.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn view(&self, run: &RunId) -> Result<RunView, WorkflowError> {
        Ok(self.load(run).await?.view())
    }

    /// A value that a run knows, by the path that its templates would use: `charge.receipt`, `input.amount`,
    /// `vars.ceiling`. What is not there is null.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn query(&self, run: &RunId, path: &str) -> Result<Value, WorkflowError> {
        let state = self.load(run).await?;
        Ok(Path::parse(path).map(|path| state.lookup(&path)).unwrap_or_default())
    }

    /// Everything that happened to a run.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn history(&self, run: &RunId) -> Result<Vec<HistoryEntry>, WorkflowError> {
        archive::history(&self.parts, run).await
    }

    /// What happened to a run and why, in words.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub async fn explain(&self, run: &RunId) -> Result<Explanation, WorkflowError> {
        let history = self.history(run).await?;
        Ok(explain::explain(self.load(run).await?.workflow(), &history))
    }

    /// The picture of a run: its workflow, with the state of each step. As SVG.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub async fn svg(&self, run: &RunId) -> Result<String, WorkflowError> {
        self.picture(run, |diagram| diagram.to_svg()).await
    }

    /// The picture of a run as Mermaid.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub async fn mermaid(&self, run: &RunId) -> Result<String, WorkflowError> {
        self.picture(run, |diagram| diagram.to_mermaid()).await
    }

    async fn picture(
        &self,
        run: &RunId,
        draw: impl FnOnce(&Diagram<'_>) -> String,
    ) -> Result<String, WorkflowError> {
        let state = self.load(run).await?;
        let diagram = Diagram::of(state.workflow());
        let marks = explain::marks(&state.view());
        Ok(draw(&marks.into_iter().fold(diagram, |diagram, (step, mark)| diagram.with_state(step, mark))))
    }

    /// The runs of the store, in the order of their ids, but for those that were archived. Reads the whole log.
    ///
    /// # Errors
    /// A store that cannot be read.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, WorkflowError> {
        listing::list(&*self.parts.store).await
    }

    /// Moves the history of a run that has ended to an artefact, and frees its place in the store. View, history and
    /// explanation of the run are then read from there. Answers where it is. Safe to repeat.
    ///
    /// The actions of the run are left where they are: they are what an audit reads.
    ///
    /// # Errors
    /// [`WorkflowError::Open`] for a run that has not ended, [`WorkflowError::NoArchive`] without a store of
    /// artefacts, or a store that fails.
    ///
    /// # Cancel safety
    /// Safe; nothing is erased before its archive is durable.
    pub async fn archive(&self, run: &RunId) -> Result<Digest, WorkflowError> {
        archive::archive(&self.parts, run).await
    }

    /// Waits until a run has ended, and answers how.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read or was closed.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn outcome(&self, run: &RunId) -> Result<RunOutcome, WorkflowError> {
        let name = load::stream(run)?;
        let mut log = None;
        loop {
            let told = self.endings.listen(run);
            let head = self.parts.store.head().await?;
            if let Some(outcome) = self.load(run).await?.outcome() {
                return Ok(outcome.clone());
            }
            if self.endings.has_worker() && told.await.is_ok() {
                continue;
            }
            // Nobody in this process follows the log for us.
            let log = match &mut log {
                Some(log) => log,
                None => log.insert(self.parts.store.subscribe(head).await?),
            };
            loop {
                match log.next().await? {
                    Some(event) if event.stream == name && event.kind.as_str() == "workflow.ended.v1" => {
                        break;
                    }
                    Some(_) => {}
                    None => return Err(crate::event::ReadError::Closed.into()),
                }
            }
        }
    }

    /// Performs runs under this worker's name until `shutdown`. Workers that share a store need different names; a
    /// name that is used again, after a crash or by mistake, takes over from its earlier life at once.
    ///
    /// # Errors
    /// [`WorkflowError::Replaced`] when another life of this worker begins elsewhere; or a store that fails in a way
    /// that no retry can help.
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash: what was under way is reconciled by whoever goes on.
    pub async fn serve(
        &self,
        worker: WorkerName,
        options: WorkerOptions,
        shutdown: Shutdown,
    ) -> Result<(), WorkflowError> {
        let _serving = self.endings.serving();
        let worker = Worker::begin(self.parts.clone(), self.endings.clone(), &worker, options).await?;
        worker.serve(shutdown).await
    }

    /// Starts runs by themselves from now on, or replaces the schedule of this id. Its runs are named
    /// `SCHEDULE/MILLISECONDS`, and each starts once, however many workers there are.
    ///
    /// # Errors
    /// [`WorkflowError`]: an unknown workflow, an input that does not match, or a store that is not available.
    #[cfg(feature = "schedule")]
    pub async fn schedule(&self, recurring: Recurring) -> Result<(), WorkflowError> {
        let unknown = || WorkflowError::UnknownWorkflow { name: recurring.workflow.clone() };
        let definition = self.parts.library.latest(&recurring.workflow).ok_or_else(unknown)?;
        definition.workflow.input.check("input", &recurring.input).map_err(WorkflowError::Input)?;
        Calendar::set(&self.parts, recurring).await
    }

    /// Lets a schedule start nothing until it is resumed. What would have started meanwhile is not made up for.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownSchedule`], or a store that is not available.
    #[cfg(feature = "schedule")]
    pub async fn pause_schedule(&self, schedule: &ScheduleId) -> Result<(), WorkflowError> {
        self.known(schedule, Calendar::pause(&self.parts, schedule, true).await?)
    }

    /// Lets a paused schedule go on.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    #[cfg(feature = "schedule")]
    pub async fn resume_schedule(&self, schedule: &ScheduleId) -> Result<(), WorkflowError> {
        self.known(schedule, Calendar::pause(&self.parts, schedule, false).await?)
    }

    /// Removes a schedule; runs that were started go on.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    #[cfg(feature = "schedule")]
    pub async fn unschedule(&self, schedule: &ScheduleId) -> Result<(), WorkflowError> {
        self.known(schedule, Calendar::remove(&self.parts, schedule).await?)
    }

    /// A schedule as it stands.
    ///
    /// # Errors
    /// As [`Self::pause_schedule`].
    #[cfg(feature = "schedule")]
    pub async fn view_schedule(&self, schedule: &ScheduleId) -> Result<ScheduleView, WorkflowError> {
        let view = Calendar::view(&*self.parts.store, schedule).await?;
        view.ok_or_else(|| WorkflowError::UnknownSchedule { name: schedule.to_string() })
    }

    #[cfg(feature = "schedule")]
    #[expect(clippy::unused_self, reason = "a step of the methods above")]
    fn known(&self, schedule: &ScheduleId, known: bool) -> Result<(), WorkflowError> {
        if known { Ok(()) } else { Err(WorkflowError::UnknownSchedule { name: schedule.to_string() }) }
    }

    /// What this engine and its workers have done.
    #[must_use]
    pub fn metrics(&self) -> WorkflowMetrics {
        self.parts.counters.read()
    }

    /// The definition that a run follows.
    ///
    /// # Errors
    /// [`WorkflowError::UnknownRun`], or a store that cannot be read.
    pub async fn definition(&self, run: &RunId) -> Result<Workflow, WorkflowError> {
        Ok(self.load(run).await?.workflow().clone())
    }

    async fn load(&self, run: &RunId) -> Result<Run, WorkflowError> {
        archive::load(&self.parts, run).await
    }
}

/// Why a workflow was not registered, or a run not moved to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The definition is wrong.
    #[error("the workflow is not valid")]
    Definition(#[from] DefinitionErrors),
    /// What the run has done does not fit the new definition.
    #[error("the run cannot go on under the new definition")]
    Incompatible(#[from] super::definition::Incompatible),
    /// Its name leaves no room.
    #[error("the name is too long")]
    Name(#[from] IdError),
    /// The store, or the run.
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
}
