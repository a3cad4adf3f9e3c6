//! The state of a run, and how events change it.

use std::collections::{BTreeMap, BTreeSet};

use daa_core::digest::Digest;
use daa_core::fault::{Fault, Reaction, Retry};
use daa_core::id::AgentId;
use serde::{Deserialize, Serialize};

use crate::commitment::{Commitment, Round};

use super::{Event, Finding, RunTerms};

/// What a round waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Commitments.
    Committing,
    /// Updates.
    Revealing,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Standing {
    /// Takes part.
    Live,
    /// Has left; may come back.
    Left,
    /// Was declared dead; may come back.
    Dead,
    /// Was found guilty; may not come back.
    Ejected,
}

/// An agent that has joined.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Digest of its shard.
    pub shard: Digest,
    /// Where it stands.
    pub standing: Standing,
    /// Digest of the residual that its next submission must start from. Who has lost that residual leaves and joins
    /// again, and starts from zero.
    pub residual: Digest,
    /// The first round in which an audit has found it guilty; it may be live until the ejection takes effect.
    pub guilty_of: Option<Round>,
    /// Its last accepted submission, until that one is audited.
    pub unaudited: Option<Commitment>,
}

/// A round that is under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    pub(super) round: Round,
    pub(super) base: Digest,
    pub(super) members: BTreeSet<AgentId>,
    pub(super) stage: Stage,
    pub(super) overdue: bool,
    pub(super) commitments: BTreeMap<AgentId, Commitment>,
    pub(super) revealed: BTreeSet<AgentId>,
    /// Set while the runtime aggregates.
    pub(super) accepted: Option<BTreeSet<AgentId>>,
}

/// A closed round whose rewards are not released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Closed {
    pub(super) accepted: BTreeMap<AgentId, Commitment>,
    pub(super) outstanding: BTreeSet<AgentId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    Gathering,
    Running,
    Ending,
    Finished,
}

/// A training run, as a pure state machine. See the [module's documentation](super).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub(super) terms: RunTerms,
    pub(super) phase: Phase,
    pub(super) members: BTreeMap<AgentId, Member>,
    pub(super) model: Digest,
    pub(super) checkpoint: Digest,
    pub(super) next: Round,
    pub(super) open: Option<Open>,
    pub(super) closed: BTreeMap<Round, Closed>,
    /// Final audits of rounds whose rewards had been released before.
    pub(super) late: BTreeMap<AgentId, Commitment>,
}

/// An event that does not follow from the history before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the history of the run is broken: {reason}")]
#[non_exhaustive]
pub struct HistoryError {
    /// What does not fit.
    pub reason: &'static str,
}

impl Reaction for HistoryError {
    fn fault(&self) -> Fault {
        Fault::Environment
    }

    fn retry(&self) -> Retry {
        Retry::Never
    }
}

const fn broken(reason: &'static str) -> HistoryError {
    HistoryError { reason }
}

impl Run {
    /// A run that has not started.
    #[must_use]
    pub fn new(terms: RunTerms) -> Self {
        let (model, checkpoint) = (terms.model, terms.checkpoint);
        Self {
            terms,
            phase: Phase::Gathering,
            members: BTreeMap::new(),
            model,
            checkpoint,
            next: Round(0),
            open: None,
            closed: BTreeMap::new(),
            late: BTreeMap::new(),
        }
    }

    /// What the run is held to.
    #[must_use]
    pub const fn terms(&self) -> &RunTerms {
        &self.terms
    }

    /// All that ever joined.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<AgentId, Member> {
        &self.members
    }

    /// The round that is under way, and what it waits for: `None` while its updates are aggregated.
    #[must_use]
    pub fn current(&self) -> Option<(Round, Option<Stage>)> {
        self.open.as_ref().map(|open| (open.round, open.accepted.is_none().then_some(open.stage)))
    }

    /// How many rounds are closed.
    #[must_use]
    pub const fn rounds_closed(&self) -> u32 {
        self.next.0
    }

    /// Digests of the latest parameters and of the checkpoint that holds them.
    #[must_use]
    pub const fn latest(&self) -> (Digest, Digest) {
        (self.model, self.checkpoint)
    }

    /// Whether all is done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// Audits that were ordered and are not done.
    pub fn outstanding_audits(&self) -> impl Iterator<Item = &Commitment> {
        let recent = self
            .closed
            .values()
            .flat_map(|closed| closed.outstanding.iter().filter_map(|agent| closed.accepted.get(agent)));
        recent.chain(self.late.values())
    }

    /// Applies one event of the history.
    ///
    /// # Errors
    /// [`HistoryError`] when the event does not follow from those before; the state is then useless.
    pub fn apply(&mut self, event: &Event) -> Result<(), HistoryError> {
        match event {
            Event::Joined { agent, shard } => {
                let fresh = Member {
                    shard: *shard,
                    standing: Standing::Live,
                    residual: self.terms.zero_residual,
                    guilty_of: None,
                    unaudited: None,
                };
                let member = self.members.entry(agent.clone()).or_insert(fresh);
                (member.shard, member.standing) = (*shard, Standing::Live);
                member.residual = self.terms.zero_residual;
            }
            Event::Left { agent } => self.member(agent)?.standing = Standing::Left,
            Event::Died { agent } => self.member(agent)?.standing = Standing::Dead,
            Event::Ejected { agent } => self.member(agent)?.standing = Standing::Ejected,
            Event::Started => self.phase = Phase::Running,
            Event::RoundOpened { round, base, members } => {
                self.open = Some(Open {
                    round: *round,
                    base: *base,
                    members: members.iter().cloned().collect(),
                    stage: Stage::Committing,
                    overdue: false,
                    commitments: BTreeMap::new(),
                    revealed: BTreeSet::new(),
                    accepted: None,
                });
            }
            Event::Committed(commitment) => {
                let open = self.round(commitment.round)?;
                open.commitments.insert(commitment.agent.clone(), commitment.clone());
            }
            Event::Overdue { round, .. } => self.round(*round)?.overdue = true,
            Event::CommitmentsFixed { round } => {
                let open = self.round(*round)?;
                (open.stage, open.overdue) = (Stage::Revealing, false);
            }
            Event::Revealed { agent, round } => {
                self.round(*round)?.revealed.insert(agent.clone());
            }
            Event::AggregationStarted { round, accepted } => {
                self.round(*round)?.accepted = Some(accepted.iter().cloned().collect());
            }
            Event::RoundClosed { round, model, checkpoint, audits } => {
                self.close(*round, audits)?;
                (self.model, self.checkpoint, self.next) = (*model, *checkpoint, round.next());
            }
            Event::Verdict { agent, round, finding } => self.judge(agent, *round, finding)?,
            Event::AuditWaived { agent, round } => self.settle(agent, *round)?,
            Event::RewardsReleased { round, .. } => {
                self.closed.remove(round).ok_or(broken("rewards of a round that is not closed"))?;
            }
            Event::Ending { audits } => self.end(audits)?,
            Event::Finished { .. } => self.phase = Phase::Finished,
        }
        Ok(())
    }

    fn member(&mut self, agent: &AgentId) -> Result<&mut Member, HistoryError> {
        self.members.get_mut(agent).ok_or(broken("an agent that never joined"))
    }

    fn round(&mut self, round: Round) -> Result<&mut Open, HistoryError> {
        self.open.as_mut().filter(|open| open.round == round).ok_or(broken("a round that is not open"))
    }

    fn close(&mut self, round: Round, audits: &[AgentId]) -> Result<(), HistoryError> {
        let open =
            self.open.take().filter(|open| open.round == round).ok_or(broken("closing another round"))?;
        let accepted = open.accepted.ok_or(broken("closing a round that was not aggregated"))?;
        let outstanding: BTreeSet<AgentId> = audits.iter().cloned().collect();
        let accepted: BTreeMap<AgentId, Commitment> =
            open.commitments.into_iter().filter(|(agent, _)| accepted.contains(agent)).collect();
        for (agent, commitment) in &accepted {
            let member = self.member(agent)?;
            // Unless it has joined anew meanwhile, and starts over.
            if member.residual == commitment.residual_before {
                member.residual = commitment.residual_after;
            }
            member.unaudited = (!outstanding.contains(agent)).then(|| commitment.clone());
        }
        self.closed.insert(round, Closed { accepted, outstanding });
        Ok(())
    }

    /// Takes an audit off the list.
    fn settle(&mut self, agent: &AgentId, round: Round) -> Result<(), HistoryError> {
        let recent = self.closed.get_mut(&round).is_some_and(|closed| closed.outstanding.remove(agent));
        let late = !recent && self.late.get(agent).is_some_and(|c| c.round == round);
        if late {
            self.late.remove(agent);
        }
        if !recent && !late {
            return Err(broken("the end of an audit that nobody asked for"));
        }
        Ok(())
    }

    fn judge(&mut self, agent: &AgentId, round: Round, finding: &Finding) -> Result<(), HistoryError> {
        self.settle(agent, round)?;
        if *finding != Finding::Honest {
            let member = self.member(agent)?;
            member.guilty_of = Some(member.guilty_of.map_or(round, |first| first.min(round)));
        }
        Ok(())
    }

    fn end(&mut self, audits: &[(AgentId, Round)]) -> Result<(), HistoryError> {
        self.phase = Phase::Ending;
        self.open = None;
        for (agent, round) in audits {
            let commitment =
                self.member(agent)?.unaudited.take().ok_or(broken("a final audit of nothing"))?;
            match self.closed.get_mut(round) {
                Some(closed) => {
                    closed.outstanding.insert(agent.clone());
                }
                None => {
                    self.late.insert(agent.clone(), commitment);
                }
            }
        }
        Ok(())
    }
}
