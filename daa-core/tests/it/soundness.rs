//! Nothing takes effect without a permit, whoever wants it: callers, plugins, workflows, agents, and what performs their
//! actions and wants something done itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use async_trait::async_trait;
use daa_core::action::{
    Action, ActionEvent, Authorized, Context, Decision, ExecuteError, Executor, Executors, Gate,
    JournalAudit, Outcome, Policy, Reconciled, Request, Verdict,
};
use daa_core::agent::{Agent, PlannedAction, strategy_fn};
use daa_core::amount::Currency;
use daa_core::clock::{Clock, Timestamp, VirtualClock};
use daa_core::digest::Digest;
use daa_core::event::{EventStore, MemoryEventStore, PageSize, Position};
use daa_core::id::{ActionId, PluginName};
use daa_core::plugin::semver::Version;
use daa_core::plugin::{DaaPlugin, PluginContext, PluginError, PluginHost, PluginInput, PluginOutput};
use daa_core::shutdown::ShutdownTrigger;
use daa_core::workflow::{Start, Step, WorkerOptions, Workflow, WorkflowEngine};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What somebody wants done.
#[derive(Clone, Debug)]
enum Wanted {
    /// An action of this kind, perhaps one that costs, submitted or authorised first.
    Action { kind: &'static str, costs: bool, twice: bool },
    /// An action whose performer wants more, and is itself permitted or not.
    Nested { kind: &'static str, more: Vec<Self> },
    /// A plugin that wants these.
    Plugin(Vec<Self>),
    /// A workflow of these kinds, one after the other.
    Workflow(Vec<&'static str>),
    /// An agent that plans these.
    Agent(Vec<&'static str>),
}

const KINDS: [&str; 5] = ["ok", "ok", "deny", "escalate", "fail"];

fn wanted() -> impl Strategy<Value = Wanted> {
    let kind = || prop::sample::select(KINDS.to_vec());
    let kinds = || prop::collection::vec(kind(), 1..4);
    let leaf = prop_oneof![
        (kind(), any::<bool>(), any::<bool>()).prop_map(|(kind, costs, twice)| Wanted::Action {
            kind,
            costs,
            twice
        }),
        kinds().prop_map(Wanted::Workflow),
        kinds().prop_map(Wanted::Agent),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let more = || prop::collection::vec(inner.clone(), 1..3);
        let nest = prop::sample::select(vec!["nest", "deny.nest"]);
        prop_oneof![
            (nest, more()).prop_map(|(kind, more)| Wanted::Nested { kind, more }),
            more().prop_map(Wanted::Plugin),
        ]
    })
}

#[derive(Debug)]
struct ByKind;

impl Policy for ByKind {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        let decision = match request.action.kind().as_str() {
            kind if kind.starts_with("deny") => Decision::Deny { reason: "no".to_owned() },
            "escalate" => Decision::Escalate { reason: "ask".to_owned() },
            _ => Decision::Permit,
        };
        Verdict::new(decision, Digest::of(b"by kind"), Vec::new())
    }
}

/// An effect, as the world has seen it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Effect {
    id: ActionId,
    digest: [u8; 32],
    attempt: u32,
    kind: String,
}

#[derive(Clone)]
struct World(Arc<Inner>);

struct Inner {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    gate: Gate,
    effects: Mutex<Vec<Effect>>,
    /// What performers of nested actions want, by the id of the action.
    nested: Mutex<BTreeMap<String, Vec<Wanted>>>,
    names: Mutex<u32>,
}

#[async_trait]
impl Executor for World {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let effect = Effect {
            id: action.id().clone(),
            digest: *action.digest().as_bytes(),
            attempt: action.attempt(),
            kind: action.kind().to_string(),
        };
        self.0.effects.lock().unwrap().push(effect);
        let more = self.0.nested.lock().unwrap().remove(action.id().as_str());
        for wanted in more.unwrap_or_default() {
            self.want(wanted).await;
        }
        match action.kind().as_str() {
            "fail" => Err(ExecuteError::interrupted("as asked")),
            _ => Ok(Outcome::new("done")),
        }
    }

    async fn reconcile(&self, _: &Action) -> Result<Reconciled, ExecuteError> {
        Ok(Reconciled::NotFound)
    }
}

struct Eager {
    world: World,
    name: PluginName,
    gate: OnceLock<Gate>,
    wants: Mutex<Vec<Wanted>>,
}

#[async_trait]
impl DaaPlugin for Eager {
    fn name(&self) -> PluginName {
        self.name.clone()
    }

    fn version(&self) -> Version {
        Version::new(1, 0, 0)
    }

    async fn initialize(&self, context: &PluginContext) -> Result<(), PluginError> {
        drop(self.gate.set(context.gate.clone().unwrap()));
        Ok(())
    }

    async fn execute(&self, _: PluginInput) -> Result<PluginOutput, PluginError> {
        // Its own, by the gate that it was given.
        let own = self.world.action("ok", false);
        let gate = self.gate.get().unwrap();
        drop(gate.submit(own, Context::new(), &self.world).await);
        let wants = std::mem::take(&mut *self.wants.lock().unwrap());
        for wanted in wants {
            self.world.want(wanted).await;
        }
        Ok(PluginOutput::new(Value::Null))
    }
}

impl World {
    fn new() -> Self {
        let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::new(Timestamp::from_millis(1_000_000)));
        let gate = Gate::builder(store.clone(), clock.clone()).with_policy(Arc::new(ByKind)).build();
        let (effects, nested, names) = Default::default();
        Self(Arc::new(Inner { store, clock, gate, effects, nested, names }))
    }

    fn name(&self, what: &str) -> String {
        let mut names = self.0.names.lock().unwrap();
        *names += 1;
        format!("{what}-{names}")
    }

    fn action(&self, kind: &str, costs: bool) -> Action {
        let id = self.name("a").parse().unwrap();
        let action = Action::new(id, kind.parse().unwrap(), "alice".parse().unwrap()).unwrap();
        if costs { action.with_max_cost(Currency::new("USD", 2).unwrap().units(5)) } else { action }
    }

    fn executors(&self) -> Executors {
        let all = Executors::new();
        KINDS.iter().fold(all, |all, kind| all.with(kind.parse().unwrap(), self.clone()))
    }

    fn want(&self, wanted: Wanted) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let gate = &self.0.gate;
            match wanted {
                Wanted::Action { kind, costs, twice } => {
                    let action = self.action(kind, costs);
                    if twice {
                        drop(gate.submit(action.clone(), Context::new(), self).await);
                        drop(gate.submit(action, Context::new(), self).await);
                    } else if let Ok(permit) = gate.authorize(action, Context::new()).await {
                        drop(gate.perform(permit, self).await);
                    }
                }
                Wanted::Nested { kind, more } => {
                    let action = self.action(kind, false);
                    self.0.nested.lock().unwrap().insert(action.id().to_string(), more);
                    drop(gate.submit(action, Context::new(), self).await);
                }
                Wanted::Plugin(wants) => self.plugin(wants).await,
                Wanted::Workflow(kinds) => self.workflow(&kinds).await,
                Wanted::Agent(kinds) => self.agent(kinds).await,
            }
        })
    }

    async fn plugin(&self, wants: Vec<Wanted>) {
        let name: PluginName = self.name("plugin").parse().unwrap();
        let (gate, wants) = (OnceLock::new(), Mutex::new(wants));
        let plugin = Eager { world: self.clone(), name: name.clone(), gate, wants };
        let host =
            PluginHost::builder(self.0.clock.clone()).with_gate(self.0.gate.clone()).with_plugin(plugin);
        let host = host.build().unwrap();
        host.initialize().await.unwrap();
        drop(host.execute(&name, PluginInput::new("go")).await);
        host.shutdown().await;
    }

    async fn workflow(&self, kinds: &[&str]) {
        let Inner { store, clock, gate, .. } = &*self.0;
        let name = self.name("flow");
        let mut flow = Workflow::new(name.parse().unwrap());
        for (at, kind) in kinds.iter().enumerate() {
            let step = Step::action(format!("s{at}").parse().unwrap(), kind.parse().unwrap(), json!({}));
            let step = match at {
                0 => step,
                _ => step.with_after(format!("s{}", at - 1).parse().unwrap()),
            };
            flow = flow.with_step(step);
        }
        let engine = WorkflowEngine::builder(store.clone(), clock.clone(), gate.clone());
        let engine = engine.with_executors(self.executors()).build();
        engine.register(flow.clone()).await.unwrap();
        let run = name.parse().unwrap();
        let start = Start::new(Clone::clone(&run), flow.name.clone(), "alice".parse().unwrap(), json!({}));
        engine.start(start).await.unwrap();
        let (trigger, shutdown) = ShutdownTrigger::new();
        let (worker, named) = (engine.clone(), self.name("worker").parse().unwrap());
        let serving =
            tokio::spawn(async move { worker.serve(named, WorkerOptions::default(), shutdown).await });
        let outcome =
            tokio::time::timeout(std::time::Duration::from_secs(30 * 24 * 3_600), engine.outcome(&run));
        drop(outcome.await);
        trigger.trigger();
        serving.await.unwrap().unwrap();
    }

    async fn agent(&self, kinds: Vec<&'static str>) {
        let Inner { store, clock, gate, .. } = &*self.0;
        let plan = move |_: &_| kinds.iter().map(|kind| PlannedAction::new(kind.parse().unwrap())).collect();
        let agent =
            Agent::builder(self.name("agent").parse().unwrap(), gate.clone(), store.clone(), clock.clone())
                .with_strategy(strategy_fn("do", plan).unwrap())
                .with_executors(self.executors())
                .build();
        drop(agent.await.unwrap().cycle().await);
    }

    /// Every effect against the journal.
    async fn check(&self) {
        let (mut permitted, mut attempted) = (BTreeMap::new(), BTreeSet::new());
        let (mut audit, mut after) = (JournalAudit::new(), Position::START);
        loop {
            let page = self.0.store.read_all(after, PageSize::default()).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.position;
            for recorded in &page {
                audit.check(recorded);
                match ActionEvent::read(recorded).unwrap() {
                    Some(ActionEvent::Permitted { action, digest, verdict, .. }) => {
                        assert_eq!((verdict.decision, action.digest()), (Decision::Permit, digest));
                        permitted.insert(action.id().clone(), *digest.as_bytes());
                    }
                    Some(ActionEvent::Attempted { attempt }) => {
                        attempted.insert((recorded.stream.to_string(), attempt));
                    }
                    _ => {}
                }
            }
        }
        let effects = self.0.effects.lock().unwrap().clone();
        for effect in &effects {
            assert_eq!(permitted.get(&effect.id), Some(&effect.digest), "{effect:?} without a permit");
            let attempt = (format!("action/{}", effect.id), effect.attempt);
            assert!(attempted.contains(&attempt), "{effect:?} without an attempt on record");
            assert!(!effect.kind.starts_with("deny") && effect.kind != "escalate", "{effect:?}");
        }
        let once: BTreeSet<&Effect> = effects.iter().collect();
        assert_eq!(once.len(), effects.len(), "an attempt was performed twice");
        assert_eq!(audit.summary().findings, []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_effect_without_a_permit(wants in prop::collection::vec(wanted(), 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let world = World::new();
            let doing: Vec<_> = wants.into_iter().map(|wanted| {
                let world = world.clone();
                tokio::spawn(async move { world.want(wanted).await })
            }).collect();
            for one in doing {
                one.await.unwrap();
            }
            world.check().await;
        });
    }
}
