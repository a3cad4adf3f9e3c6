//! The engine: where workflows are registered, started, asked and looked at.

mod history;
mod queries;
mod requests;
#[cfg(feature = "schedule")]
mod schedules;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Mutex;

use super::archive;
use super::definition::{Compiled, DefinitionErrors, Workflow};
use super::error::WorkflowError;
use super::library::Library;
use super::listing::Roster;
use super::load;
use super::metrics::{Counters, WorkflowMetrics};
use super::parts::Parts;
use super::run::{MAX_RUN_ID, Run, RunEvent, RunOutcome, RunStarted};
use super::snapshots::Snapshots;
use super::trace::TraceContext;
use super::worker::{Endings, Worker, WorkerOptions};
use crate::action::{Executors, Gate, MAX_PARAMS, json_len};
use crate::artifact::Artifacts;
use crate::clock::Clock;
use crate::digest::Digest;
use crate::event::{AppendError, Batch, EventStore, ExpectedVersion, StreamWrite};
use crate::id::{ActionKind, AgentId, IdError, RunId, SourceId, WorkerName, WorkflowName};
use crate::shutdown::Shutdown;

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
    /// The untrusted sources of what it is given.
    sources: BTreeSet<SourceId>,
}

impl Start {
    /// A run of a workflow.
    #[must_use]
    pub fn new(run: RunId, workflow: WorkflowName, actor: AgentId, input: impl Into<Value>) -> Self {
        Self { run, workflow, actor, input: input.into(), priority: 0, trace: None, sources: BTreeSet::new() }
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

    /// Says that what it is given comes from an untrusted source: the rules see that with every action of the run.
    #[must_use]
    pub fn with_source(mut self, source: SourceId) -> Self {
        self.sources.insert(source);
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
    roster: Arc<Mutex<Roster>>,
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
        WorkflowEngine { parts: Arc::new(self.parts), endings: Arc::default(), roster: Arc::default() }
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
            snapshots: Snapshots::default(),
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
        let Start { run, workflow, actor, input, priority, trace, sources } = start;
        let definition = self.startable(&run, &workflow, &input)?;
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
            sources,
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

    /// The definition under which a run starts, if it may.
    fn startable(
        &self,
        run: &RunId,
        workflow: &WorkflowName,
        input: &Value,
    ) -> Result<Arc<Compiled>, WorkflowError> {
        let unknown = || WorkflowError::UnknownWorkflow { name: workflow.clone() };
        let definition = self.parts.library.latest(workflow).ok_or_else(unknown)?;
        definition.workflow.input.check("input", input).map_err(WorkflowError::Input)?;
        let (actual, limit) = (json_len(input), MAX_PARAMS);
        if actual > limit {
            return Err(WorkflowError::InputTooLarge { actual, limit });
        }
        if run.as_str().len() > MAX_RUN_ID {
            let source = IdError::TooLong { len: run.as_str().len() };
            return Err(WorkflowError::Id { run: run.clone(), source });
        }
        if run.as_str().starts_with(PLANS) {
            return Err(WorkflowError::ReservedRun { run: run.clone() });
        }
        Ok(definition)
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
            if self.endings.has_worker() && told.told().await {
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

    /// What this engine and its workers have done.
    #[must_use]
    pub fn metrics(&self) -> WorkflowMetrics {
        self.parts.counters.read()
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
