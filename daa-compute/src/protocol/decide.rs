//! What follows from an input: events, and the effects of each.

use std::collections::BTreeSet;

use daa_core::id::AgentId;

use crate::aggregate::PeerStatistics;
use crate::commitment::{Commitment, Round, batch_seed};

use super::state::{Open, Phase};
use super::{AuditOrder, Effect, Event, Finding, Input, Refusal, Run, Stage, Standing, sampling};

/// What one input caused.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// What happened, in order; already applied. To be stored before any effect is performed.
    pub events: Vec<Event>,
    /// What is to be done, in order.
    pub effects: Vec<Effect>,
}

impl Run {
    /// Takes one input in.
    ///
    /// # Errors
    /// [`Refusal`]; nothing has changed then.
    pub fn step(&mut self, input: Input) -> Result<Step, Refusal> {
        let mut step = Step::default();
        let first = self.decide(input)?;
        self.take(first, &mut step);
        while let Some(event) = self.follow_up() {
            self.take(event, &mut step);
        }
        Ok(step)
    }

    /// The effects that a state rebuilt from its events still waits for: a runtime that starts again performs them.
    #[must_use]
    pub fn pending(&self) -> Vec<Effect> {
        let aggregation = self.aggregation().into_iter();
        let timer = self.open.iter().filter(|open| open.accepted.is_none() && !open.overdue);
        let timer = timer.map(|open| Effect::Timer { round: open.round, stage: open.stage });
        let audits = self.outstanding_audits().cloned();
        let audits = audits.map(|commitment| Effect::Audit(AuditOrder { commitment }));
        aggregation.chain(timer).chain(audits).collect()
    }

    fn aggregation(&self) -> Option<Effect> {
        let open = self.open.as_ref()?;
        let digest = |agent: &AgentId| Some((agent.clone(), open.commitments.get(agent)?.update));
        let updates = open.accepted.as_ref()?.iter().filter_map(digest).collect();
        Some(Effect::Aggregate { round: open.round, base: open.base, updates })
    }

    fn take(&mut self, event: Event, step: &mut Step) {
        step.effects.extend(self.effects_before(&event));
        let applied = self.apply(&event);
        debug_assert!(applied.is_ok(), "an event of our own does not fit: {applied:?}");
        step.effects.extend(self.effects_after(&event));
        step.events.push(event);
    }

    /// The event that an input is, if it is allowed.
    fn decide(&self, input: Input) -> Result<Event, Refusal> {
        if self.phase == Phase::Finished {
            return Err(Refusal::Ended);
        }
        match input {
            Input::Join { agent, shard } => self.join(agent, shard),
            Input::Leave { agent } => self.live(&agent).map(|()| Event::Left { agent }),
            Input::Dead { agent } => self.live(&agent).map(|()| Event::Died { agent }),
            Input::Start => self.start(),
            Input::Commit(commitment) => self.commit(commitment),
            Input::Reveal { agent, round, update, len } => self.reveal(agent, round, update, len),
            Input::Deadline { round, stage } => {
                let open = self.collecting(round)?;
                if open.stage != stage || open.overdue {
                    return Err(Refusal::OutOfTurn);
                }
                Ok(Event::Overdue { round, stage })
            }
            Input::Aggregated { round, model, checkpoint, peers } => {
                let open = self
                    .open
                    .as_ref()
                    .filter(|o| o.round == round)
                    .ok_or(Refusal::WrongRound { found: round })?;
                let accepted = open.accepted.as_ref().ok_or(Refusal::OutOfTurn)?;
                let audits = self.choose_audits(open, accepted, &peers);
                Ok(Event::RoundClosed { round, model, checkpoint, audits })
            }
            Input::Audited { agent, round, finding } => {
                let ordered = self.outstanding_audits().any(|c| c.agent == agent && c.round == round);
                if !ordered {
                    return Err(Refusal::NoSuchAudit { agent, round });
                }
                Ok(Event::Verdict { agent, round, finding })
            }
            Input::Finish if self.phase == Phase::Ending => Err(Refusal::OutOfTurn),
            Input::Finish => Ok(self.ending()),
        }
    }

    fn join(&self, agent: AgentId, shard: daa_core::digest::Digest) -> Result<Event, Refusal> {
        match self.members.get(&agent) {
            _ if self.phase == Phase::Ending => return Err(Refusal::OutOfTurn),
            Some(member) if member.guilty_of.is_some() || member.standing == Standing::Ejected => {
                return Err(Refusal::Ejected { agent });
            }
            Some(member) if member.standing == Standing::Live => return Err(Refusal::AlreadyLive { agent }),
            None if self.members.len() >= self.terms.protocol.max_members as usize => {
                return Err(Refusal::Full { limit: self.terms.protocol.max_members });
            }
            _ => {}
        }
        Ok(Event::Joined { agent, shard })
    }

    fn start(&self) -> Result<Event, Refusal> {
        if self.phase == Phase::Gathering { Ok(Event::Started) } else { Err(Refusal::OutOfTurn) }
    }

    fn live(&self, agent: &AgentId) -> Result<(), Refusal> {
        match self.members.get(agent).map(|member| member.standing) {
            Some(Standing::Live) => Ok(()),
            Some(Standing::Ejected) => Err(Refusal::Ejected { agent: agent.clone() }),
            Some(Standing::Left | Standing::Dead) | None => Err(Refusal::NotLive { agent: agent.clone() }),
        }
    }

    fn is_live(&self, agent: &AgentId) -> bool {
        self.live(agent).is_ok()
    }

    fn collecting(&self, round: Round) -> Result<&Open, Refusal> {
        let open = self.open.as_ref().ok_or(Refusal::OutOfTurn)?;
        if open.round != round {
            return Err(Refusal::WrongRound { found: round });
        }
        if open.accepted.is_some() { Err(Refusal::OutOfTurn) } else { Ok(open) }
    }

    fn commit(&self, commitment: Commitment) -> Result<Event, Refusal> {
        let agent = &commitment.agent;
        self.live(agent)?;
        let open = self.collecting(commitment.round)?;
        if !open.members.contains(agent) {
            return Err(Refusal::NotInRound { agent: agent.clone(), round: open.round });
        }
        if open.commitments.contains_key(agent) {
            return Err(Refusal::Duplicate { agent: agent.clone() });
        }
        if open.stage != Stage::Committing {
            return Err(Refusal::OutOfTurn);
        }
        let terms = &self.terms;
        let member = self.members.get(agent);
        let checks = [
            ("run", commitment.run == terms.run),
            ("config", commitment.config == terms.config),
            ("layout", commitment.layout == terms.layout),
            ("base", commitment.base == open.base),
            ("shard", member.is_some_and(|m| m.shard == commitment.shard)),
            ("batch seed", commitment.batch_seed == batch_seed(terms.run, open.round, agent)),
            ("residual", member.is_some_and(|m| m.residual == commitment.residual_before)),
            ("number of examples", commitment.examples == terms.examples),
        ];
        match checks.into_iter().find(|(_, sound)| !sound) {
            Some((field, _)) => Err(Refusal::Commitment { field }),
            None => Ok(Event::Committed(commitment)),
        }
    }

    fn reveal(
        &self,
        agent: AgentId,
        round: Round,
        found: daa_core::digest::Digest,
        len: u64,
    ) -> Result<Event, Refusal> {
        self.live(&agent)?;
        let open = self.collecting(round)?;
        if open.stage != Stage::Revealing {
            return Err(Refusal::OutOfTurn);
        }
        let Some(commitment) = open.commitments.get(&agent) else {
            return Err(Refusal::NotCommitted { agent });
        };
        if open.revealed.contains(&agent) {
            return Err(Refusal::Duplicate { agent });
        }
        if len > self.terms.max_update {
            return Err(Refusal::TooLarge { found: len, limit: self.terms.max_update });
        }
        if commitment.update != found {
            return Err(Refusal::NotAsCommitted { found, expected: commitment.update });
        }
        Ok(Event::Revealed { agent, round })
    }

    /// By lot, and every suspect; but nobody whom nobody may audit.
    fn choose_audits(
        &self,
        open: &Open,
        accepted: &BTreeSet<AgentId>,
        peers: &[PeerStatistics],
    ) -> Vec<AgentId> {
        let commitments = open.commitments.values().filter(|c| accepted.contains(&c.agent));
        let count = self.terms.protocol.audits_of(accepted.len());
        let mut chosen: BTreeSet<AgentId> =
            sampling::draw(self.terms.run, commitments, count).into_iter().collect();
        // A ratio that is not a number is suspicious, too.
        let limit = self.terms.protocol.suspicion;
        let suspects = peers.iter().filter(|p| p.norm_ratio > limit || p.norm_ratio.is_nan());
        chosen.extend(suspects.map(|p| p.agent.clone()).filter(|agent| accepted.contains(agent)));
        chosen.into_iter().filter(|agent| self.has_auditor(agent)).collect()
    }

    /// Whether there is a member that may audit `audited`: a live one, not found guilty, and another.
    fn has_auditor(&self, audited: &AgentId) -> bool {
        self.members.iter().any(|(agent, member)| {
            agent != audited && member.standing == Standing::Live && member.guilty_of.is_none()
        })
    }

    fn ending(&self) -> Event {
        let last = self
            .members
            .iter()
            .filter(|(agent, member)| member.guilty_of.is_none() && self.has_auditor(agent));
        let audits =
            last.filter_map(|(agent, m)| Some((agent.clone(), m.unaudited.as_ref()?.round))).collect();
        Event::Ending { audits }
    }

    /// The next event that follows from the state alone.
    fn follow_up(&self) -> Option<Event> {
        match self.phase {
            Phase::Gathering | Phase::Finished => None,
            Phase::Running if self.open.is_none() && self.next.0 >= self.terms.rounds => Some(self.ending()),
            Phase::Running => self.due_waiver().or_else(|| self.due_rewards()).or_else(|| match &self.open {
                Some(open) => self.advance(open),
                None => self.open_round(),
            }),
            Phase::Ending => self.due_waiver().or_else(|| self.due_rewards()).or_else(|| {
                let done = self.outstanding_audits().next().is_none();
                done.then(|| self.due_ejection(self.next).unwrap_or(Event::Finished { model: self.model }))
            }),
        }
    }

    fn open_round(&self) -> Option<Event> {
        let live = self.members.iter().filter(|(_, member)| member.standing == Standing::Live);
        let members: Vec<AgentId> = live.map(|(agent, _)| agent.clone()).collect();
        let needed = if self.next == Round(0) { self.terms.protocol.min_members as usize } else { 1 };
        (members.len() >= needed).then_some(Event::RoundOpened {
            round: self.next,
            base: self.model,
            members,
        })
    }

    fn advance(&self, open: &Open) -> Option<Event> {
        if open.accepted.is_some() {
            return None;
        }
        let live = || open.members.iter().filter(|agent| self.is_live(agent));
        if live().next().is_none() && open.revealed.is_empty() {
            // Nobody of this round is left: whoever else is there takes it over.
            return self.open_round();
        }
        match open.stage {
            Stage::Committing => {
                let all = live().all(|agent| open.commitments.contains_key(agent));
                let enough = open.commitments.len() >= self.terms.protocol.quorum_of(open.members.len());
                let fixed = !open.commitments.is_empty() && (all || (open.overdue && enough));
                fixed.then_some(Event::CommitmentsFixed { round: open.round })
            }
            Stage::Revealing => {
                let waiting = live().any(|a| open.commitments.contains_key(a) && !open.revealed.contains(a));
                let enough = open.revealed.len() >= self.terms.protocol.quorum_of(open.members.len());
                if open.revealed.is_empty()
                    || (waiting && !(open.overdue && enough))
                    || self.audits_are_due(open)
                {
                    return None;
                }
                if let Some(ejection) =
                    self.horizon(open.round).and_then(|horizon| self.due_ejection(horizon))
                {
                    return Some(ejection);
                }
                let sound = |agent: &&AgentId| {
                    self.members.get(*agent).is_some_and(|member| member.standing != Standing::Ejected)
                };
                let accepted: Vec<AgentId> = open.revealed.iter().filter(sound).cloned().collect();
                if accepted.is_empty() {
                    return self.open_round();
                }
                Some(Event::AggregationStarted { round: open.round, accepted })
            }
        }
    }

    /// The youngest round whose audits must be done before `round` aggregates.
    fn horizon(&self, round: Round) -> Option<Round> {
        round.0.checked_sub(1 + self.terms.protocol.audit_lag).map(Round)
    }

    fn audits_are_due(&self, open: &Open) -> bool {
        let horizon = self.horizon(open.round);
        self.closed.iter().any(|(round, closed)| Some(*round) <= horizon && !closed.outstanding.is_empty())
    }

    /// The next ejection for a verdict on a round up to `horizon`.
    fn due_ejection(&self, horizon: Round) -> Option<Event> {
        let due =
            |m: &super::Member| m.guilty_of.is_some_and(|r| r <= horizon) && m.standing != Standing::Ejected;
        let (agent, _) = self.members.iter().find(|(_, member)| due(member))?;
        Some(Event::Ejected { agent: agent.clone() })
    }

    /// The next audit that has lost its last auditor.
    fn due_waiver(&self) -> Option<Event> {
        let lost = self.outstanding_audits().find(|commitment| !self.has_auditor(&commitment.agent))?;
        Some(Event::AuditWaived { agent: lost.agent.clone(), round: lost.round })
    }

    /// The rewards of the oldest closed round, once its audits are done. Round after round, so that all that the
    /// audits of earlier rounds can find is known; what those of later rounds find does not matter.
    fn due_rewards(&self) -> Option<Event> {
        let (round, closed) =
            self.closed.first_key_value().filter(|(_, closed)| closed.outstanding.is_empty())?;
        let honest = |agent: &&AgentId| {
            self.members.get(*agent).is_some_and(|member| member.guilty_of.is_none_or(|first| first > *round))
        };
        let members = closed.accepted.keys().filter(honest).cloned().collect();
        Some(Event::RewardsReleased { round: *round, members })
    }

    /// Effects that need what the event is about to remove.
    fn effects_before(&self, event: &Event) -> Vec<Effect> {
        match event {
            Event::Ending { audits } => {
                let orders =
                    audits.iter().filter_map(|(agent, _)| self.members.get(agent)?.unaudited.clone());
                orders.map(|commitment| Effect::Audit(AuditOrder { commitment })).collect()
            }
            _ => Vec::new(),
        }
    }

    fn effects_after(&self, event: &Event) -> Vec<Effect> {
        match event {
            Event::Joined { agent, .. } => {
                vec![Effect::CatchUp { agent: agent.clone(), checkpoint: self.checkpoint }]
            }
            Event::RoundOpened { round, base, members } => vec![
                Effect::Train { round: *round, base: *base, members: members.clone() },
                Effect::Timer { round: *round, stage: Stage::Committing },
            ],
            Event::CommitmentsFixed { round } => {
                let committed = self.open.iter().flat_map(|open| open.commitments.keys().cloned());
                vec![
                    Effect::RequestUpdates { round: *round, members: committed.collect() },
                    Effect::Timer { round: *round, stage: Stage::Revealing },
                ]
            }
            Event::AggregationStarted { .. } => self.aggregation().into_iter().collect(),
            Event::RoundClosed { round, audits, .. } => {
                let closed = self.closed.get(round);
                let orders = audits.iter().filter_map(|agent| closed?.accepted.get(agent).cloned());
                orders.map(|commitment| Effect::Audit(AuditOrder { commitment })).collect()
            }
            Event::Verdict { agent, round, finding: Finding::Forged { evidence, .. } } => {
                vec![Effect::Slash { agent: agent.clone(), round: *round, evidence: *evidence }]
            }
            Event::RewardsReleased { round, members } => {
                vec![Effect::Reward { round: *round, members: members.clone() }]
            }
            Event::Finished { model } => vec![Effect::Finished { model: *model }],
            _ => Vec::new(),
        }
    }
}
