//! What members say of each other: hints, which lead to a probe, or to asking for proof.

use std::collections::BTreeMap;

use daa_core::clock::Timestamp;

use super::statement::Kind;
use super::wire::{Claim, MAX_CLAIMS, Message, PAGE, Standing};
use super::{MemberState, Membership, Phase, UNASKED};
use crate::node_id::NodeId;

/// Claims of others in a probe: the rest of its room is for what concerns the two that talk.
const RIDING: usize = MAX_CLAIMS - 2;
/// The first and the last node there can be.
pub(super) const FIRST: NodeId = NodeId::from_bytes([0; 32]);
const LAST: NodeId = NodeId::from_bytes([0xff; 32]);

impl Membership {
    pub(super) fn own_claim(&self) -> Option<Claim> {
        let statement = self.own.as_ref()?.statement();
        let standing = match statement.kind {
            Kind::Alive => Standing::Alive,
            Kind::Left => Standing::Left,
        };
        let (node, record) = (statement.node, self.record.record().version);
        Some(Claim { node, incarnation: statement.incarnation, record, standing })
    }

    pub(super) fn claim(&self, node: &NodeId) -> Option<Claim> {
        let entry = self.members.get(node)?;
        let standing = match entry.state {
            MemberState::Alive => Standing::Alive,
            MemberState::Suspect | MemberState::Dead => Standing::Accused,
            MemberState::Left => Standing::Left,
        };
        Some(Claim { node: *node, incarnation: entry.incarnation(), record: entry.record, standing })
    }

    /// What rides on a probe of this node: what it is, what it holds against the other, and what is new.
    pub(super) fn riding(&mut self, to: &NodeId) -> Vec<Claim> {
        let others = self.rumours.take(RIDING, self.members.len());
        self.ride(to, others)
    }

    /// The same for what others make this node send, as often as they please: it does not count as spread.
    pub(super) fn riding_back(&self, to: &NodeId) -> Vec<Claim> {
        self.ride(to, self.rumours.look(RIDING))
    }

    fn ride(&self, to: &NodeId, others: Vec<Claim>) -> Vec<Claim> {
        let against = self.claim(to).filter(|claim| claim.standing != Standing::Alive);
        let mut claims: Vec<_> = self.own_claim().into_iter().chain(against).collect();
        claims.extend(others.into_iter().filter(|claim| claim.node != *to));
        claims
    }

    pub(super) fn spread(&mut self, node: &NodeId) {
        if let Some(claim) = self.claim(node) {
            self.rumours.put(claim);
        }
    }

    pub(super) fn hear_all(&mut self, from: NodeId, claims: &[Claim], now: Timestamp) {
        for claim in claims {
            self.hear(from, claim, now);
        }
        self.ask_more(from, now);
    }

    /// A hint: it leads to a probe, or to asking for proof.
    fn hear(&mut self, from: NodeId, claim: &Claim, now: Timestamp) {
        if claim.node == self.node() {
            return self.hear_of_itself(from, claim, now);
        }
        let Some(entry) = self.members.get(&claim.node) else {
            if claim.standing == Standing::Alive {
                self.wants.put(claim.node, from, now, &self.options);
            }
            return;
        };
        if claim.incarnation > entry.incarnation() || claim.record > entry.record {
            self.wants.put(claim.node, from, now, &self.options);
        }
        let incarnation = entry.incarnation();
        let (is_behind, is_ahead) = (claim.incarnation < incarnation, claim.incarnation > incarnation);
        // Who comes back with a clock that was set back is shown what it said before.
        if claim.node == from
            && (is_behind || claim.record < entry.record)
            && self.quotas.take(from, UNASKED, now).is_ok()
        {
            let items = self.item(&from, Some(claim.record), now).into_iter().collect();
            self.send(from, Message::Have { items });
        }
        if is_behind || is_ahead {
            return;
        }
        let Some(entry) = self.members.get(&claim.node) else { return };
        let was_heard = entry.heard.is_some_and(|heard| now.since(heard) < self.options.probe_interval * 2);
        match (claim.standing, entry.state) {
            (Standing::Accused, MemberState::Alive) if !was_heard => self.probes.soon(claim.node),
            (Standing::Accused, MemberState::Suspect) if claim.node != from => {
                if let Some(suspicion) = self.suspects.get_mut(&claim.node) {
                    suspicion.accuse(from);
                }
            }
            (Standing::Alive, MemberState::Dead) => self.probes.soon(claim.node),
            _ => {}
        }
    }

    fn hear_of_itself(&mut self, from: NodeId, claim: &Claim, now: Timestamp) {
        let Some(own) = self.own.as_ref().map(|own| own.statement().incarnation) else { return };
        if claim.incarnation > own && self.phase == Phase::Here {
            // Only a statement of its own makes it believe that.
            self.wants.put(claim.node, from, now, &self.options);
        } else if claim.incarnation == own && claim.standing != Standing::Alive {
            self.refute(from, now);
        }
    }

    /// Compares a part of all that is known with a member.
    pub(super) fn sync(&mut self, with: NodeId, now: Timestamp) {
        let from = self.sync_from;
        let mut claims: Vec<_> = self.own_claim().into_iter().collect();
        let part: Vec<_> = self.members.range(from..).map(|(node, _)| *node).take(PAGE - 1).collect();
        let to = if part.len() < PAGE - 1 { LAST } else { part.last().copied().unwrap_or(LAST) };
        claims.extend(part.iter().filter_map(|node| self.claim(node)));
        self.sync_from = if to == LAST { FIRST } else { to };
        if let Some(entry) = self.members.get_mut(&with) {
            entry.synced = Some(now);
        }
        self.send(with, Message::Sync { from, to, claims });
    }

    pub(super) fn compare(&mut self, with: NodeId, (from, to): (NodeId, NodeId), claims: &[Claim]) {
        if from > to {
            return;
        }
        let said: BTreeMap<_, _> = claims.iter().map(|claim| (claim.node, *claim)).collect();
        let mut differ: Vec<_> = self.own_claim().into_iter().collect();
        let known = self.members.range(from..=to).filter_map(|(node, _)| self.claim(node));
        differ.extend(known.filter(|known| said.get(&known.node) != Some(known)).take(PAGE - 1));
        self.send(with, Message::Differ { claims: differ });
    }
}
