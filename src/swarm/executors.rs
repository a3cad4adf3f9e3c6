//! What a member can do, each behind the gate.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use daa_compute::commitment::{Commitment, Round};
use daa_compute::protocol::{Finding, Refusal, Standing};
use daa_compute::replay::Audit;
use daa_core::action::{
    Action, ActionState, Authorized, ExecuteError, Executor, Executors, Outcome, Reconciled,
};
use daa_core::digest::Digest;
use daa_core::event::AppendError;
use daa_core::fault::{Reaction, Retry};
use daa_core::id::{ActionKind, IdError};
use daa_core::resilience::{ExecutorExt, RetryPolicy};
use daa_core::seed::Seed;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::desk::Desk;
use super::error::SwarmError;
use super::view::RunView;

/// Joining the run, with a stake.
pub const JOIN: &str = "swarm.join";
/// Local steps; costs what the examples cost.
pub const TRAIN: &str = "swarm.train";
/// Committing to an update.
pub const COMMIT: &str = "swarm.commit";
/// Revealing a committed update.
pub const REVEAL: &str = "swarm.reveal";
/// Recomputing somebody's submission; costs what the examples cost.
pub const AUDIT: &str = "swarm.audit";

/// All executors of a member, by kind.
///
/// # Errors
/// Never in practice: the kinds are constants.
pub fn executors(desk: &Arc<Desk>) -> Result<Executors, IdError> {
    // What fails for a passing reason is tried again at once: an action that has failed is over, and its id used up.
    let retry = RetryPolicy::new(Seed::from_digest(desk.shard()))
        .with_max_attempts(6)
        .with_backoff(Duration::from_millis(50), Duration::from_secs(2));
    let clock = desk.coordinator().clock().clone();
    let with = |what| Work { desk: desk.clone(), what }.retried(retry, clock.clone());
    Ok(Executors::new()
        .with(ActionKind::new(JOIN)?, with(What::Join))
        .with(ActionKind::new(TRAIN)?, with(What::Train))
        .with(ActionKind::new(COMMIT)?, with(What::Commit))
        .with(ActionKind::new(REVEAL)?, with(What::Reveal))
        .with(ActionKind::new(AUDIT)?, with(What::Audit)))
}

#[derive(Clone, Copy, Debug)]
enum What {
    Join,
    Train,
    Commit,
    Reveal,
    Audit,
}

#[derive(Debug)]
struct Work {
    desk: Arc<Desk>,
    what: What,
}

/// The parameters of training, committing and revealing.
#[derive(Debug, Serialize, Deserialize)]
struct OfRound {
    round: Round,
}

/// What training came to, as the journal keeps it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TrainedUpdate {
    pub(super) commitment: Commitment,
    pub(super) bytes: u64,
    pub(super) loss: f64,
}

#[async_trait]
impl Executor for Work {
    async fn execute(&self, action: &Authorized) -> Result<Outcome, ExecuteError> {
        let done = match self.what {
            What::Join => self.join(action).await,
            What::Train => self.train(action.params_as::<OfRound>()?.round).await,
            What::Commit => self.commit(action, action.params_as::<OfRound>()?.round).await,
            What::Reveal => self.reveal(action, action.params_as::<OfRound>()?.round).await,
            What::Audit => self.audit(action, &action.params_as()?).await,
        };
        done.map_err(failed)
    }

    /// Training and replaying have no effect beyond artefacts that nothing names yet. Everything else is in the
    /// run's history, or did not happen.
    async fn reconcile(&self, action: &Action) -> Result<Reconciled, ExecuteError> {
        let view = self.desk.coordinator().latest().await.map_err(failed)?;
        let agent = self.desk.agent();
        let round = OfRound::deserialize(action.params()).map(|of| of.round);
        let open = view.open.as_ref().filter(|open| round.as_ref().is_ok_and(|round| *round == open.round));
        let accepted = || {
            let member = view.members.get(agent);
            member.is_some_and(|member| round.as_ref().is_ok_and(|round| member.accepted.contains(round)))
        };
        let happened = match self.what {
            What::Train => false,
            What::Audit => return Ok(self.audited_before(action, &view)),
            What::Join => view.members.get(agent).is_some_and(|member| member.standing == Standing::Live),
            What::Commit => accepted() || open.is_some_and(|open| open.committed.contains_key(agent)),
            What::Reveal => accepted() || open.is_some_and(|open| open.revealed.contains(agent)),
        };
        let recorded = || Reconciled::Completed(Outcome::new(json!({ "recorded": true })));
        Ok(if happened { recorded() } else { Reconciled::NotFound })
    }
}

impl Work {
    /// An audit whose verdict is in the run's history took place, and is to be paid for.
    fn audited_before(&self, action: &Action, view: &RunView) -> Reconciled {
        let coordinator = self.desk.coordinator();
        let Ok(commitment) = Commitment::deserialize(action.params()) else { return Reconciled::NotFound };
        let (agent, round) = (commitment.agent, commitment.round);
        if view.audits.contains_key(&(round, agent.clone())) {
            return Reconciled::NotFound;
        }
        let outcome = Outcome::new(json!({ "agent": agent, "round": round, "verdict": "already done" }));
        Reconciled::Completed(outcome.with_cost(coordinator.economics().price_of(commitment.examples)))
    }

    async fn join(&self, permit: &Authorized) -> Result<Outcome, SwarmError> {
        let desk = &self.desk;
        match desk.coordinator().join(permit, desk.shard()).await {
            Ok(()) | Err(SwarmError::Refused(Refusal::AlreadyLive { .. })) => {}
            Err(error) => return Err(error),
        }
        let closed = desk.coordinator().view().closed;
        Ok(Outcome::new(json!({ "rounds_closed": closed })))
    }

    async fn train(&self, round: Round) -> Result<Outcome, SwarmError> {
        let submission = self.desk.train(round).await?;
        let cost = self.desk.coordinator().economics().price_of(submission.commitment.examples);
        let trained = TrainedUpdate {
            bytes: submission.bytes.len() as u64,
            loss: submission.loss,
            commitment: submission.commitment,
        };
        Ok(Outcome::new(json!(trained)).with_cost(cost))
    }

    async fn commit(&self, permit: &Authorized, round: Round) -> Result<Outcome, SwarmError> {
        let trained = trained_update(&self.desk, round).await?;
        match self.desk.coordinator().commit(permit, trained.commitment.clone()).await {
            Ok(()) | Err(SwarmError::Refused(Refusal::Duplicate { .. })) => {}
            Err(error) => return Err(error),
        }
        Ok(Outcome::new(json!({ "commitment": trained.commitment.digest() })))
    }

    async fn reveal(&self, permit: &Authorized, round: Round) -> Result<Outcome, SwarmError> {
        let trained = trained_update(&self.desk, round).await?;
        let desk = &self.desk;
        match desk.coordinator().reveal(permit, round, trained.commitment.update).await {
            Ok(()) | Err(SwarmError::Refused(Refusal::Duplicate { .. })) => {}
            Err(error) => return Err(error),
        }
        Ok(Outcome::new(json!({ "update": trained.commitment.update, "bytes": trained.bytes })))
    }

    async fn audit(&self, permit: &Authorized, commitment: &Commitment) -> Result<Outcome, SwarmError> {
        let coordinator = self.desk.coordinator();
        let verdict = match self.desk.audit(commitment).await? {
            None => coordinator.withheld(permit, commitment).await.map(|()| "withheld"),
            Some(Audit::Honest) => coordinator.audited(permit, commitment, None).await.map(|_| "honest"),
            Some(Audit::Forged(evidence)) => {
                let found = coordinator.audited(permit, commitment, Some(*evidence)).await;
                found.map(|finding| if finding == Finding::Honest { "unconfirmed" } else { "forged" })
            }
            // Nobody here can repeat it bit for bit, so it convicts nobody.
            Some(_) => coordinator.audited(permit, commitment, None).await.map(|_| "inconclusive"),
        };
        let verdict = match verdict {
            Err(SwarmError::Refused(Refusal::NoSuchAudit { .. } | Refusal::Ended)) => "already done",
            verdict => verdict?,
        };
        let cost = coordinator.economics().price_of(commitment.examples);
        let (agent, round) = (&commitment.agent, commitment.round);
        Ok(Outcome::new(json!({ "agent": agent, "round": round, "verdict": verdict })).with_cost(cost))
    }
}

/// What this member's training of a round came to, from the journal of that action.
pub(super) async fn trained_update(desk: &Desk, round: Round) -> Result<TrainedUpdate, SwarmError> {
    let id = desk.action_id("train", &round.to_string())?;
    let missing = || SwarmError::Missing {
        what: "training result of action",
        digest: Digest::of(id.as_str().as_bytes()),
    };
    match desk.gate().status(&id).await?.map(|status| status.state) {
        Some(ActionState::Succeeded(outcome)) => {
            TrainedUpdate::deserialize(&outcome.output).map_err(|_| missing())
        }
        _ => Err(missing()),
    }
}

/// Few of these failures leave an effect behind: what the run takes, it takes in one append, and only an append that was not
/// confirmed may have happened, or what a coordinator elsewhere was asked and did not answer.
fn failed(error: SwarmError) -> ExecuteError {
    #[cfg(feature = "net")]
    if matches!(&error, SwarmError::Unanswered(_)) {
        return ExecuteError::interrupted(error);
    }
    if matches!(&error, SwarmError::Append(AppendError::Unconfirmed { .. })) {
        return ExecuteError::interrupted(error);
    }
    match error.retry() {
        Retry::Never => ExecuteError::rejected(error),
        Retry::Now | Retry::Later | Retry::After(_) => ExecuteError::unavailable(error),
    }
}
