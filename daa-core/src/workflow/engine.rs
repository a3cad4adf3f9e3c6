//! The engine: where workflows are registered, started, asked and looked at.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::definition::{DefinitionErrors, Path, Workflow};
use super::drive::approval_action;
use super::error::WorkflowError;
use super::library::Library;
use super::load;
use super::metrics::{Counters, WorkflowMetrics};
use super::parts::Parts;
use super::run::{Answer, Refused, Request, Run, RunEvent, RunOutcome, RunStarted, RunView};
use super::trace::TraceContext;
use super::worker::{Endings, Worker, WorkerOptions};
use crate::action::{Context, Decision, Executors, Gate};
use crate::clock::{Clock, Timestamp};
use crate::digest::Digest;
use crate::event::{AppendError, Batch, EventStore, ExpectedVersion, PageSize, StreamWrite, Version};
use crate::id::{ActionKind, AgentId, IdError, RunId, SignalName, WorkerName, WorkflowName};
use crate::shutdown::Shutdown;

/// How often a request is tried again when the run moved on meanwhile.
const MAX_CONFLICTS: u32 = 64;
/// The longest id of a run: the names of its actions, and of the runs it starts, are made of it.
const MAX_RUN_ID: usize = 110;

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
    parts: Parts,
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

    /// The engine.
    #[must_use]
    pub fn build(self) -> WorkflowEngine {
        WorkflowEngine { parts: self.parts, endings: Arc::default() }
    }
}

/// One entry of the history of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its place in the history, from 1.
    pub version: Version,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: RunEvent,
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
    /// [`WorkflowError`]: an unknown workflow, an input that does not match, an id that was used for something else,
    /// or a store that is not available. Nothing is started then.
    ///
    /// # Cancel safety
    /// A dropped call may have started the run; repeat it.
    pub async fn start(&self, start: Start) -> Result<(), WorkflowError> {
        let Start { run, workflow, actor, input, priority, trace } = start;
        let unknown = || WorkflowError::UnknownWorkflow { name: workflow.clone() };
        let definition = self.parts.library.latest(&workflow).ok_or_else(unknown)?;
        definition.workflow.input.check("input", &input).map_err(WorkflowError::Input)?;
        let actual = serde_json::to_vec(&input).map_or(usize::MAX, |json| json.len());
        let limit = crate::action::MAX_PARAMS;
        if actual > limit {
            return Err(WorkflowError::InputTooLarge { actual, limit });
        }
        if run.as_str().len() > MAX_RUN_ID {
            let source = IdError::TooLong { len: run.as_str().len() };
            return Err(WorkflowError::Id { run, source });
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
        let refused = || Refused::NotEntitled { by: answer.by.clone() };
        let subject = match run.subject(&answer.task) {
            Some((subject, _)) => subject,
            None => match run.action(&answer.task) {
                Some(Ok(action)) => serde_json::to_value(&action).unwrap_or_default(),
                _ => return Err(refused()),
            },
        };
        let action = approval_action(run, &answer.task, &subject).map_err(|_| refused())?;
        let id = action.id().clone();
        let action = action.renamed(id, answer.by.clone()).map_err(|_| refused())?;
        let context: Context = run.context(&answer.task);
        let verdict = self.parts.gate.verdict(&action, &context);
        // Rules that changed are told first: whoever asked under the old ones has to ask again.
        match run.asked_under(&answer.task) {
            Some(asked) if asked != verdict.ruleset => {
                Err(Refused::RulesChanged { asked, current: verdict.ruleset })
            }
            _ if verdict.decision == Decision::Permit => Ok(verdict.ruleset),
            _ => Err(refused()),
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
        let stream = load::stream(run)?;
        let mut entries = Vec::new();
        let mut after = Version::EMPTY;
        loop {
            let page = self.parts.store.read_stream(&stream, after, PageSize::default()).await?;
            let Some(last) = page.last() else { break };
            after = last.version;
            for event in &page {
                if let Some(read) = RunEvent::read(event)? {
                    entries.push(HistoryEntry { version: event.version, at: event.at, event: read });
                }
            }
        }
        if entries.is_empty() {
            return Err(WorkflowError::UnknownRun { run: run.clone() });
        }
        Ok(entries)
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
            if self.endings.has_worker() {
                if told.await.is_ok() {
                    continue;
                }
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
        let loaded = load::load(&*self.parts.store, &self.parts.library, run, Version::EMPTY).await?;
        loaded.ok_or_else(|| WorkflowError::UnknownRun { run: run.clone() })
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
