//! Where a leaf is at home, and how it finds another hub when one is gone.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use daa_core::clock::Timestamp;

use super::peer::Peer;
use super::wire::Message;
use super::{Neighbourhood, Topology, TopologyEvent};
use crate::chance::{below, share};
use crate::node_id::NodeId;
use crate::record::{Role, Tier};

/// How long an answer of a hub is waited for, before it is asked again, or another one.
const PATIENCE: Duration = Duration::from_secs(2);
/// Leaves that lose their hub ask others within this time, and not all at once.
const SPREAD: Duration = Duration::from_millis(500);
/// After so many intervals at the same hubs a better one is looked at, and after so many a hub that has refused is asked again.
const DWELL: u32 = 6;
/// Another hub has to cost less than this share of the present one, in hundredths.
const BETTER: u32 = 70;
/// And one leaf in so many goes at a time.
const MOVING: usize = 4;
/// So many lost hubs are remembered until there is another instead.
const LOST: usize = 8;
/// After so many intervals another hub is drawn by lot, a quarter of them sooner or later.
const ROUND: u32 = 60;
/// So many hubs that were drawn are remembered: none of them is drawn again while there is another one.
const DRAWN: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Asking {
    hub: NodeId,
    /// Which is left for it.
    instead: Option<NodeId>,
    is_drawn: bool,
}

/// Where a leaf is at home: at the best hubs by what was measured, and at one that was drawn by lot.
///
/// How far hubs are can be measured, and what they say of their load is believed within bounds; whether they pass on what they should
/// cannot be seen here. So whoever is near, and passes nothing on, would get all leaves for good. Of the one that is drawn, neither how
/// near it is nor what it says counts; it is drawn anew each [`ROUND`], the one that was drawn longest ago last. Where `h` hubs lie, a leaf is
/// with them alone for `h` rounds at most.
#[derive(Debug)]
pub(super) struct Homes {
    at: BTreeSet<NodeId>,
    /// The one of them that was drawn, and those that were before, it included; the last one last.
    drawn: Option<NodeId>,
    before: VecDeque<NodeId>,
    /// When another one is drawn.
    next_draw: Timestamp,
    asking: Option<Asking>,
    lost: VecDeque<NodeId>,
    /// When it may ask the next one.
    seek: Option<Timestamp>,
    /// When it moved last by its own choice, or lost one.
    settled: Timestamp,
}

impl Homes {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            at: BTreeSet::new(),
            drawn: None,
            before: VecDeque::new(),
            next_draw: now,
            asking: None,
            lost: VecDeque::new(),
            seek: None,
            settled: now,
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = NodeId> {
        self.at.iter().copied()
    }

    pub(super) fn is_asked(&self, node: &NodeId) -> bool {
        self.asking.is_some_and(|asking| asking.hub == *node)
    }

    pub(super) fn is_watched(&self, node: &NodeId) -> bool {
        self.at.contains(node) || self.is_asked(node)
    }

    fn watched(&self) -> Vec<NodeId> {
        self.all().chain(self.asking.map(|asking| asking.hub)).collect()
    }
}

impl Neighbourhood {
    /// How many hubs it wants: one more where others depend on it.
    fn wanted(&self) -> usize {
        if self.chooser.present() != Topology::Hierarchical || self.tier == Tier::SuperNode {
            return 0;
        }
        let is_needed = [Role::Bootstrap, Role::Bridge].iter().any(|role| self.roles.contains(role));
        self.options.homes + usize::from(is_needed)
    }

    fn lacks_home(&self) -> bool {
        self.homes.at.len() < self.wanted()
    }

    pub(super) fn give_homes_up(&mut self) {
        if self.wanted() == 0 {
            for hub in std::mem::take(&mut self.homes.at) {
                self.send(hub, Message::Leave);
            }
            (self.homes.asking, self.homes.seek, self.homes.drawn) = (None, None, None);
            self.homes.lost.clear();
        }
    }

    pub(super) fn next_homing(&self) -> Option<Timestamp> {
        let asked = self.homes.watched().into_iter();
        let pending = asked.filter_map(|hub| Some(self.peers.get(&hub)?.pending?.at + PATIENCE));
        let seek = self.homes.seek.filter(|_| self.lacks_home() && self.homes.asking.is_none());
        pending.chain(seek).min()
    }

    /// Asks hubs again that have not answered, and gives up those that do not.
    pub(super) fn watch(&mut self, now: Timestamp) {
        for hub in self.homes.watched() {
            let pending = self.peers.get(&hub).and_then(|peer| peer.pending);
            if pending.is_none_or(|pending| now < pending.at + PATIENCE) {
                continue;
            }
            if self.homes.is_asked(&hub) {
                self.refused(hub, now);
            } else {
                self.ping(hub, now);
                self.lose_if_silent(hub, now);
            }
        }
    }

    /// There is no connection to a node, or it cannot be reached.
    pub(super) fn missed(&mut self, node: NodeId, now: Timestamp) {
        let is_home = self.homes.at.contains(&node);
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let was_silent = peer.is_silent();
        peer.missed = peer.missed.saturating_add(if is_home { 2 } else { 1 });
        let is_silent = peer.is_silent();
        if self.homes.is_asked(&node) {
            self.refused(node, now);
        } else if is_home && !is_silent {
            self.ping(node, now);
        }
        self.lose_if_silent(node, now);
        if is_silent && !was_silent {
            self.changes(now);
        }
    }

    fn lose_if_silent(&mut self, hub: NodeId, now: Timestamp) {
        if self.peers.get(&hub).is_some_and(Peer::is_silent) {
            self.lose(hub, now);
        }
    }

    /// A hub is gone, or does not want this node any more.
    pub(super) fn lose(&mut self, hub: NodeId, now: Timestamp) {
        if self.homes.is_asked(&hub) {
            self.homes.asking = None;
            self.seek_soon(now);
        }
        if !self.homes.at.remove(&hub) {
            return;
        }
        self.homes.drawn = self.homes.drawn.filter(|drawn| *drawn != hub);
        self.homes.lost.push_back(hub);
        if self.homes.lost.len() > LOST {
            self.homes.lost.pop_front();
        }
        self.homes.settled = now;
        self.seek_soon(now);
        self.changes(now);
    }

    fn seek_soon(&mut self, now: Timestamp) {
        self.homes.seek = Some(now + SPREAD.mul_f64(share(&mut self.rng)));
    }

    /// A hub that was asked has no room, or says nothing: it is not asked for a while.
    fn refused(&mut self, hub: NodeId, now: Timestamp) {
        self.pause(hub, now);
        self.homes.asking = None;
        self.homes.seek = Some(now);
    }

    fn pause(&mut self, hub: NodeId, now: Timestamp) {
        let pause = self.options.interval.mul_f64(f64::from(DWELL) * (0.5 + share(&mut self.rng)));
        if let Some(peer) = self.peers.get_mut(&hub) {
            peer.refused_until = Some(now + pause);
        }
    }

    /// Asks a hub to be at home there, if it is time for that.
    pub(super) fn seek_when_due(&mut self, now: Timestamp) {
        if !self.lacks_home() || self.homes.asking.is_some() {
            return;
        }
        if self.homes.seek.is_none() {
            return self.seek_soon(now);
        }
        if self.homes.seek.is_some_and(|at| now < at) {
            return;
        }
        // The last place is for one by lot; the only one is not.
        let is_drawn =
            self.homes.drawn.is_none() && self.wanted() > 1 && self.homes.at.len() + 1 >= self.wanted();
        let hub = if is_drawn { self.draw(now) } else { self.candidate(now).map(|(hub, _)| hub) };
        match hub {
            Some(hub) => self.ask(Asking { hub, instead: None, is_drawn }, now),
            None => self.homes.seek = Some(now + self.options.interval.mul_f64(0.5 + share(&mut self.rng))),
        }
    }

    fn ask(&mut self, asking: Asking, now: Timestamp) {
        self.homes.asking = Some(asking);
        self.ping(asking.hub, now);
    }

    /// The hubs that may be asked.
    fn eligible(&self, now: Timestamp) -> impl Iterator<Item = (&NodeId, &Peer)> {
        self.hubs().filter(move |(node, peer)| {
            let may_be_asked = peer.refused_until.is_none_or(|until| until <= now);
            peer.tier > self.tier && may_be_asked && !self.homes.is_watched(node)
        })
    }

    /// A hub by lot: any of those that were not drawn yet, or the one that was drawn longest ago.
    fn draw(&mut self, now: Timestamp) -> Option<NodeId> {
        let all: BTreeSet<_> = self.eligible(now).map(|(node, _)| *node).collect();
        let new: Vec<_> = all.iter().filter(|node| !self.homes.before.contains(node)).collect();
        if new.is_empty() {
            return self.homes.before.iter().find(|node| all.contains(node)).copied();
        }
        new.get(below(new.len(), &mut self.rng)).map(|node| **node)
    }

    fn is_time_to_draw(&self, now: Timestamp) -> bool {
        self.homes.drawn.is_some() && now >= self.homes.next_draw
    }

    /// A hub to be asked: the better one of two that chance has chosen of the good ones, so that not all take the same (Mitzenmacher, The
    /// Power of Two Choices, 2001).
    fn candidate(&mut self, now: Timestamp) -> Option<(NodeId, Duration)> {
        let floor = self.floor();
        let mut good: Vec<_> = self.eligible(now).map(|(node, peer)| (peer.cost(floor), *node)).collect();
        let least = good.iter().min()?.0;
        good.retain(|(cost, _)| *cost <= least * 3 / 2);
        let (one, other) = (below(good.len(), &mut self.rng), below(good.len(), &mut self.rng));
        let (cost, node) = good.get(one).min(good.get(other))?;
        Some((*node, *cost))
    }

    /// Looks whether there is a hub that is much better than the worst of its own; draws another one when it is time.
    pub(super) fn improve(&mut self, now: Timestamp) {
        if self.is_time_to_draw(now) && !self.lacks_home() && self.homes.asking.is_none() {
            if let Some(hub) = self.draw(now) {
                let instead = self.homes.drawn;
                return self.ask(Asking { hub, instead, is_drawn: true }, now);
            }
        }
        let homes = &self.homes;
        let is_settled = now.since(homes.settled) >= self.options.interval * DWELL;
        if self.lacks_home() || homes.asking.is_some() || !is_settled || below(MOVING, &mut self.rng) > 0 {
            return;
        }
        let floor = self.floor();
        let chosen = self.homes.all().filter(|hub| self.homes.drawn != Some(*hub));
        let costs = chosen.filter_map(|hub| Some((self.peers.get(&hub)?.cost(floor), hub)));
        let Some((cost, worst)) = costs.max() else { return };
        if let Some((hub, less)) = self.candidate(now)
            && less * 100 < cost * BETTER
        {
            self.ask(Asking { hub, instead: Some(worst), is_drawn: false }, now);
        }
    }

    /// What a hub says about whether this node is at home there.
    pub(super) fn answered_home(&mut self, hub: NodeId, is_home: bool, now: Timestamp) {
        match self.homes.asking {
            Some(asking) if asking.hub == hub && is_home => self.moved(asking, now),
            Some(asking) if asking.hub == hub => {
                self.refused(hub, now);
                self.seek_when_due(now);
            }
            _ if self.homes.at.contains(&hub) && is_home => {}
            _ if self.homes.at.contains(&hub) => {
                // Who takes it in and sends it away by turns is not asked at once.
                self.pause(hub, now);
                self.lose(hub, now);
            }
            _ if is_home => self.send(hub, Message::Leave),
            _ => {}
        }
    }

    fn moved(&mut self, Asking { hub, instead, is_drawn }: Asking, now: Timestamp) {
        self.homes.asking = None;
        self.homes.at.insert(hub);
        if is_drawn {
            let round = self.options.interval.mul_f64(f64::from(ROUND) * (0.75 + share(&mut self.rng) / 2.0));
            self.homes.next_draw = now + round;
            self.homes.drawn = Some(hub);
            self.homes.before.retain(|before| *before != hub);
            self.homes.before.push_back(hub);
            if self.homes.before.len() > DRAWN {
                self.homes.before.pop_front();
            }
        } else {
            self.homes.settled = now;
        }
        if let Some(left) = instead.filter(|left| self.homes.at.remove(left)) {
            self.send(left, Message::Leave);
            self.tell(TopologyEvent::Rehomed { from: left, to: hub });
        } else if let Some(lost) = self.homes.lost.pop_front().filter(|lost| *lost != hub) {
            self.tell(TopologyEvent::Rehomed { from: lost, to: hub });
        }
        self.refresh(now);
    }
}
