//! A member: an agent whose life is the run.

use std::sync::Arc;
use std::time::Duration;

use daa_compute::commitment::{Commitment, Round};
use daa_core::agent::{
    Agent, CycleReport, Expectation, Observation, PlannedAction, TimeLimits, collector_fn, strategy_fn,
};
use daa_core::clock::Clock;
use daa_core::event::EventStore;
use daa_core::fault::{Reaction, Retry};
use daa_core::id::{ActionKind, MetricName};
use daa_core::shutdown::Shutdown;
use serde_json::json;

use super::desk::Desk;
use super::error::SwarmError;
use super::executors::{AUDIT, COMMIT, JOIN, REVEAL, TRAIN, executors, trained_update};
use super::view::Duty;

/// The rules of the swarm, as a ruleset in TOML: what members may do, and how much it may cost.
pub const RULES: &str = include_str!("rules.toml");

/// How many cycles without progress, or failures of the store in a row, are too many.
const PATIENCE: u32 = 8;
/// How long to wait after the first failure of the store; longer after each further one.
const BACKOFF: Duration = Duration::from_millis(100);
/// How long one action may take; training a large model on a busy machine is slow.
const ACTION_LIMIT: Duration = Duration::from_secs(3_600);
const OTHER_LIMIT: Duration = Duration::from_secs(60);

/// An agent that takes part in a run.
#[derive(Debug)]
pub struct Member {
    agent: Agent,
    desk: Arc<Desk>,
}

impl Member {
    /// Builds the agent of a desk, or takes it up where an earlier process left it.
    ///
    /// # Errors
    /// [`SwarmError`] when the store fails.
    pub async fn build(
        desk: Desk,
        store: Arc<dyn EventStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SwarmError> {
        let desk = Arc::new(desk);
        let limits = TimeLimits::default().with_action(ACTION_LIMIT).with_collect(OTHER_LIMIT);
        let (watched, joining, auditing) = (desk.clone(), desk.clone(), desk.clone());
        let (training, revealing) = (desk.clone(), desk.clone());
        let agent = Agent::builder(desk.agent().clone(), desk.gate().clone(), store, clock)
            .with_time_limits(limits)
            .with_collector(collector_fn("run", move || {
                let desk = watched.clone();
                async move { observe(&desk).await }
            })?)
            .with_strategy(strategy_fn("join", move |_| match joining.duty() {
                Duty::Join => plan([join(&joining)]),
                _ => Vec::new(),
            })?)
            .with_strategy(strategy_fn("audit", move |_| match auditing.duty() {
                Duty::Audit(commitment) => plan([audit(&auditing, &commitment)]),
                _ => Vec::new(),
            })?)
            .with_strategy(strategy_fn("train", move |situation| match training.duty() {
                Duty::Train(round) => {
                    let before = situation.metric("train.loss");
                    plan([train(&training, round, before), commit(&training, round)])
                }
                _ => Vec::new(),
            })?)
            .with_strategy(strategy_fn("reveal", move |situation| match revealing.duty() {
                // Only with the size of this very update in sight.
                Duty::Reveal(round) if situation.metric("update.round") == Some(f64::from(round.0)) => {
                    let bytes = situation.metric("update.bytes").unwrap_or(f64::MAX);
                    plan([reveal(&revealing, round, bytes as u64)])
                }
                _ => Vec::new(),
            })?)
            .with_executors(executors(&desk)?)
            .build()
            .await?;
        Ok(Self { agent, desk })
    }

    /// The agent.
    #[must_use]
    pub const fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Works until the run is over, the member is no longer part of it, or `shutdown` is asked for. `report` hears
    /// of every cycle.
    ///
    /// # Errors
    /// [`SwarmError::Stuck`] when several cycles in a row bring no progress; otherwise what keeps the agent from
    /// recording its cycles.
    ///
    /// # Cancel safety
    /// Dropping the future is like a crash of this member: it can be built again and goes on with the same plan.
    pub async fn work(
        &mut self,
        mut shutdown: Shutdown,
        report: impl Fn(&CycleReport) + Send,
    ) -> Result<(), SwarmError> {
        let mut view = self.desk.coordinator().watch();
        let (mut fruitless, mut failures) = (0, 0);
        loop {
            view.borrow_and_update();
            let before = self.desk.duty();
            match &before {
                Duty::Leave => return Ok(()),
                Duty::Wait => {
                    tokio::select! {
                        () = shutdown.requested() => return Ok(()),
                        error = self.desk.coordinator().failed() => return Err(SwarmError::Lost(error)),
                        // The sender lives in the coordinator that this member holds.
                        _ = view.changed() => continue,
                    }
                }
                _ if shutdown.is_requested() => return Ok(()),
                _ => {}
            }
            let cycle = match self.agent.cycle().await {
                Ok(cycle) => cycle,
                Err(error) if error.retry() != Retry::Never && failures < PATIENCE => {
                    failures += 1;
                    tracing::warn!(agent = %self.desk.agent(), %error, "a cycle was not recorded");
                    self.desk.coordinator().clock().sleep(BACKOFF * failures).await;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            failures = 0;
            report(&cycle);
            fruitless = if self.desk.duty() == before { fruitless + 1 } else { 0 };
            if fruitless >= PATIENCE {
                let agent = self.desk.agent().to_string();
                let last = format!("{:?} {:?}", cycle.steps, cycle.lapses).chars().take(600).collect();
                return Err(SwarmError::Stuck { agent, cycles: fruitless, last });
            }
        }
    }
}

/// What a member sees: where the run stands, and how its own training went.
async fn observe(desk: &Desk) -> Result<Vec<Observation>, SwarmError> {
    let view = desk.coordinator().view();
    let live =
        view.members.values().filter(|member| member.standing == daa_compute::protocol::Standing::Live);
    let mut seen = vec![
        Observation::new(MetricName::new("run.rounds")?, f64::from(view.closed)),
        Observation::new(MetricName::new("run.members")?, live.count() as f64),
        Observation::new(MetricName::new("run.audits")?, view.audits.len() as f64),
    ];
    if let Duty::Reveal(round) = view.duty(desk.agent()) {
        let trained = trained_update(desk, round).await?;
        seen.push(Observation::new(MetricName::new("train.loss")?, trained.loss));
        seen.push(Observation::new(MetricName::new("update.bytes")?, trained.bytes as f64));
        seen.push(Observation::new(MetricName::new("update.round")?, f64::from(round.0)));
    }
    Ok(seen)
}

/// The steps, if each could be made; none otherwise.
fn plan<const N: usize>(steps: [Result<PlannedAction, SwarmError>; N]) -> Vec<PlannedAction> {
    steps.into_iter().collect::<Result<_, _>>().unwrap_or_default()
}

fn join(desk: &Desk) -> Result<PlannedAction, SwarmError> {
    Ok(PlannedAction::new(ActionKind::new(JOIN)?).with_id(desk.action_id("join", "once")?))
}

fn train(desk: &Desk, round: Round, before: Option<f64>) -> Result<PlannedAction, SwarmError> {
    let coordinator = desk.coordinator();
    let cost = coordinator.economics().price_of(coordinator.config().inner.examples());
    let step = PlannedAction::new(ActionKind::new(TRAIN)?)
        .with_id(desk.action_id("train", &round.to_string())?)
        .with_params(json!({ "round": round }))
        .with_max_cost(cost);
    // Local steps on the swarm's model are expected to do no worse than the last time.
    Ok(match before {
        Some(loss) => step.with_expectation(Expectation::output("/loss", loss, loss * 0.25)),
        None => step,
    })
}

fn commit(desk: &Desk, round: Round) -> Result<PlannedAction, SwarmError> {
    Ok(PlannedAction::new(ActionKind::new(COMMIT)?)
        .with_id(desk.action_id("commit", &round.to_string())?)
        .with_params(json!({ "round": round })))
}

fn reveal(desk: &Desk, round: Round, bytes: u64) -> Result<PlannedAction, SwarmError> {
    Ok(PlannedAction::new(ActionKind::new(REVEAL)?)
        .with_id(desk.action_id("reveal", &round.to_string())?)
        .with_params(json!({ "round": round, "bytes": bytes })))
}

fn audit(desk: &Desk, commitment: &Commitment) -> Result<PlannedAction, SwarmError> {
    let subject = commitment.digest().to_string();
    let cost = desk.coordinator().economics().price_of(commitment.examples);
    Ok(PlannedAction::new(ActionKind::new(AUDIT)?)
        .with_id(desk.action_id("audit", &subject)?)
        .with_params(json!(commitment))
        .with_max_cost(cost))
}
