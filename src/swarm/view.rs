//! What everybody may know of a run: the state that members watch.

use std::collections::{BTreeMap, BTreeSet};

use daa_compute::commitment::{Commitment, Round};
use daa_compute::protocol::{Event, Finding, Stage, Standing};
use daa_core::digest::Digest;
use daa_core::id::AgentId;
use daa_core::seed::Seed;

/// What a member sees of a run. A projection of the run's events; rebuilt from them after a restart.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RunView {
    /// The round that is open for work.
    pub open: Option<OpenRound>,
    /// How many rounds are closed.
    pub closed: u32,
    /// Digest of the latest parameters, and of the checkpoint that holds them.
    pub latest: Option<(Digest, Digest)>,
    /// Everybody who ever joined.
    pub members: BTreeMap<AgentId, MemberView>,
    /// Submissions that somebody has to audit, by whose and of which round.
    pub audits: BTreeMap<(Round, AgentId), Commitment>,
    /// Whether all is done.
    pub finished: bool,
    /// How many events of the run it is made of.
    pub(super) version: u64,
    /// The checkpoint of the parameters of each digest that an audit may still need.
    pub(super) checkpoints: BTreeMap<Digest, Digest>,
    submitted: BTreeMap<(Round, AgentId), Commitment>,
    zero_residual: Option<Digest>,
    /// Submissions that were found forged.
    exhibits: Vec<Commitment>,
}

/// The round under way.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpenRound {
    /// Which.
    pub round: Round,
    /// Digest of the parameters that it starts from.
    pub base: Digest,
    /// Who takes part.
    pub members: BTreeSet<AgentId>,
    /// What it waits for; `None` while the updates are aggregated.
    pub stage: Option<Stage>,
    /// What was committed.
    pub committed: BTreeMap<AgentId, Commitment>,
    /// Whose update is there.
    pub revealed: BTreeSet<AgentId>,
}

/// One member.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemberView {
    /// Where it stands.
    pub standing: Standing,
    /// Digest of its shard.
    pub shard: Digest,
    /// Digest of the residual that its next submission starts from; `None` before its first.
    pub residual: Option<Digest>,
    /// Rounds in which its submission was accepted.
    pub accepted: Vec<Round>,
    /// Whether an audit found it guilty, of a forgery or of withholding what the audit needed.
    pub guilty: bool,
    /// The audits that found it to have forged: round, and digest of the evidence.
    pub forged: Vec<(Round, Digest)>,
}

/// What an agent has to do next.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Duty {
    /// Nothing, until the run goes on.
    Wait,
    /// Join.
    Join,
    /// Audit this submission.
    Audit(Box<Commitment>),
    /// Train in this round and commit to the result.
    Train(Round),
    /// Reveal the update of this round.
    Reveal(Round),
    /// Nothing any more: the run is over, or the agent is no longer part of it.
    Leave,
}

impl RunView {
    /// Before anything has happened: the initial parameters and their checkpoint, and the residual that newcomers
    /// start from.
    pub(super) fn begin(&mut self, latest: (Digest, Digest), zero_residual: Digest) {
        self.latest = Some(latest);
        self.zero_residual = Some(zero_residual);
        self.checkpoints.insert(latest.0, latest.1);
    }

    /// The artefacts that the run may still need: models that work or audits start from, updates and residuals that
    /// are not settled, shards, and whatever proves a forgery.
    pub(super) fn referenced(&self) -> BTreeSet<Digest> {
        let open = self.open.iter().flat_map(|open| open.committed.values());
        let mut needed: BTreeSet<Digest> = open
            .chain(self.audits.values())
            .chain(self.submitted.values())
            .chain(&self.exhibits)
            .flat_map(|c| [c.base, c.shard, c.residual_before, c.residual_after, c.update])
            .collect();
        needed.extend(self.checkpoints.iter().flat_map(|(model, checkpoint)| [*model, *checkpoint]));
        needed.extend(self.zero_residual);
        needed
            .extend(self.members.values().flat_map(|member| [Some(member.shard), member.residual]).flatten());
        needed
    }

    /// Takes the next event of the run.
    pub(super) fn apply(&mut self, event: &Event) {
        self.version += 1;
        match event {
            Event::Joined { agent, shard } => {
                let fresh = MemberView {
                    standing: Standing::Live,
                    shard: *shard,
                    residual: None,
                    accepted: Vec::new(),
                    guilty: false,
                    forged: Vec::new(),
                };
                let member = self.members.entry(agent.clone()).or_insert(fresh);
                (member.standing, member.shard, member.residual) = (Standing::Live, *shard, None);
            }
            Event::Left { agent } => self.stand(agent, Standing::Left),
            Event::Died { agent } => self.stand(agent, Standing::Dead),
            Event::Ejected { agent } => self.stand(agent, Standing::Ejected),
            Event::RoundOpened { round, base, members } => {
                let members = members.iter().cloned().collect();
                let (committed, revealed) = (BTreeMap::new(), BTreeSet::new());
                let stage = Some(Stage::Committing);
                self.open =
                    Some(OpenRound { round: *round, base: *base, members, stage, committed, revealed });
            }
            Event::Committed(commitment) => {
                if let Some(open) = &mut self.open {
                    open.committed.insert(commitment.agent.clone(), commitment.clone());
                }
            }
            Event::CommitmentsFixed { .. } => self.stage(Some(Stage::Revealing)),
            Event::Revealed { agent, .. } => {
                if let Some(open) = &mut self.open {
                    open.revealed.insert(agent.clone());
                }
            }
            Event::AggregationStarted { accepted, .. } => {
                self.stage(None);
                if let Some(open) = &mut self.open {
                    open.committed.retain(|agent, _| accepted.contains(agent));
                }
            }
            Event::RoundClosed { round, model, checkpoint, audits } => {
                self.close(*round, audits);
                self.latest = Some((*model, *checkpoint));
                self.checkpoints.insert(*model, *checkpoint);
                self.closed = round.0 + 1;
            }
            Event::Verdict { agent, round, finding } => {
                let commitment = self.audits.remove(&(*round, agent.clone()));
                let Some(member) = self.members.get_mut(agent) else { return };
                member.guilty |= *finding != Finding::Honest;
                if let Finding::Forged { evidence, .. } = finding {
                    member.forged.push((*round, *evidence));
                    self.exhibits.extend(commitment);
                }
            }
            Event::AuditWaived { agent, round } => {
                self.audits.remove(&(*round, agent.clone()));
            }
            Event::Ending { audits } => {
                self.open = None;
                for (agent, round) in audits {
                    if let Some(commitment) = self.submitted.get(&(*round, agent.clone())) {
                        self.audits.insert((*round, agent.clone()), commitment.clone());
                    }
                }
            }
            Event::Finished { .. } => self.finished = true,
            _ => {}
        }
    }

    fn close(&mut self, round: Round, audits: &[AgentId]) {
        let Some(open) = self.open.take() else { return };
        for (agent, commitment) in open.committed {
            if let Some(member) = self.members.get_mut(&agent) {
                member.residual = Some(commitment.residual_after);
                member.accepted.push(round);
            }
            if audits.contains(&agent) {
                self.audits.insert((round, agent.clone()), commitment.clone());
            }
            // Of each member, the latest submission may be audited at the end.
            self.submitted.retain(|(_, other), _| *other != agent);
            self.submitted.insert((round, agent), commitment);
        }
        self.forget_checkpoints();
    }

    /// Keeps the checkpoints that an audit may start from.
    fn forget_checkpoints(&mut self) {
        let needed: BTreeSet<Digest> =
            self.audits.values().chain(self.submitted.values()).map(|commitment| commitment.base).collect();
        // What proves a forgery needs the parameters only, not their checkpoint.
        let latest = self.latest.map(|(model, _)| model);
        self.checkpoints.retain(|model, _| needed.contains(model) || Some(*model) == latest);
    }

    fn stand(&mut self, agent: &AgentId, standing: Standing) {
        if let Some(member) = self.members.get_mut(agent) {
            member.standing = standing;
        }
    }

    fn stage(&mut self, stage: Option<Stage>) {
        if let Some(open) = &mut self.open {
            open.stage = stage;
        }
    }

    /// Whether a submission of `agent` in a round was accepted.
    #[cfg(feature = "net")]
    pub(super) fn is_accepted(&self, agent: &AgentId, round: Round) -> bool {
        self.members.get(agent).is_some_and(|member| member.accepted.contains(&round))
    }

    /// What `agent` has to do next. Audits come first, so that what an agent does does not depend on how fast
    /// the others are.
    #[must_use]
    pub fn duty(&self, agent: &AgentId) -> Duty {
        let Some(member) = self.members.get(agent) else {
            return if self.finished { Duty::Leave } else { Duty::Join };
        };
        if self.finished || member.standing != Standing::Live {
            return Duty::Leave;
        }
        if let Some(commitment) = self.audits_of(agent).next() {
            return Duty::Audit(Box::new(commitment.clone()));
        }
        match &self.open {
            Some(open) if open.members.contains(agent) => match open.stage {
                Some(Stage::Committing) if !open.committed.contains_key(agent) => Duty::Train(open.round),
                Some(Stage::Revealing)
                    if open.committed.contains_key(agent) && !open.revealed.contains(agent) =>
                {
                    Duty::Reveal(open.round)
                }
                _ => Duty::Wait,
            },
            _ => Duty::Wait,
        }
    }

    /// The audits that fall to `auditor`.
    fn audits_of<'a>(&'a self, auditor: &'a AgentId) -> impl Iterator<Item = &'a Commitment> + 'a {
        self.audits.values().filter(move |commitment| self.auditor_of(commitment) == Some(auditor))
    }

    /// To whom an audit falls: a live member that was not found guilty, and never the one who is audited. By rendezvous
    /// hashing (Thaler and Ravishankar, 1998): when an auditor drops out, only its own audits move.
    #[must_use]
    pub fn auditor_of(&self, commitment: &Commitment) -> Option<&AgentId> {
        let sound = |(agent, member): &(&AgentId, &MemberView)| {
            member.standing == Standing::Live && !member.guilty && **agent != commitment.agent
        };
        let lot = Seed::from_digest(commitment.digest()).child("auditor");
        let chosen =
            self.members.iter().filter(sound).max_by_key(|(agent, _)| lot.child(agent.as_str()).to_u64());
        chosen.map(|(agent, _)| agent)
    }
}
