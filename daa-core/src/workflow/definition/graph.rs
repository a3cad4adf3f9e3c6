//! What depends on what.

use std::collections::HashMap;

use super::compiled::dependencies;
use super::{Cause, Place, Problems, Step};

/// For every step, the steps before it.
#[derive(Debug)]
pub(in crate::workflow) struct Graph {
    /// The direct dependencies, each once, in ascending order.
    pub(in crate::workflow) needs: Vec<Vec<usize>>,
}

impl Graph {
    /// The graph of what exists: unknown names and dependencies on itself are left out.
    pub(in crate::workflow) fn new(steps: &[Step]) -> Self {
        let mut index: HashMap<&str, usize> = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            index.entry(step.name.as_str()).or_insert(at);
        }
        let needs = |(at, step): (usize, &Step)| {
            let names = dependencies(step);
            let mut needs: Vec<usize> =
                names.iter().filter_map(|name| index.get(name.as_str()).copied()).collect();
            needs.retain(|&needed| needed != at);
            needs.sort_unstable();
            needs.dedup();
            needs
        };
        Self { needs: steps.iter().enumerate().map(needs).collect() }
    }

    /// Steps before the steps that wait for them; those in a cycle, and behind one, are missing.
    pub(in crate::workflow) fn order(&self, removed: &[bool]) -> Vec<usize> {
        let gone = |at: usize| removed.get(at).copied().unwrap_or(false);
        let mut open: Vec<usize> =
            self.needs.iter().map(|needs| needs.iter().filter(|&&needed| !gone(needed)).count()).collect();
        let mut then = vec![Vec::new(); self.needs.len()];
        for (at, needs) in self.needs.iter().enumerate() {
            for &needed in needs {
                if let Some(then) = then.get_mut(needed) {
                    then.push(at);
                }
            }
        }
        let mut order: Vec<usize> =
            (0..self.needs.len()).filter(|&at| !gone(at) && open.get(at) == Some(&0)).collect();
        let mut next = 0;
        while let Some(&settled) = order.get(next) {
            next += 1;
            for &at in then.get(settled).into_iter().flatten() {
                if let Some(open) = open.get_mut(at) {
                    *open -= 1;
                    if *open == 0 && !gone(at) {
                        order.push(at);
                    }
                }
            }
        }
        order
    }

    /// Cycles that have no step in common; there are none only if the graph has none.
    pub(super) fn cycles(&self) -> Vec<Vec<usize>> {
        let mut removed = vec![false; self.needs.len()];
        let mut cycles = Vec::new();
        loop {
            let mut stuck = vec![true; self.needs.len()];
            for at in self.order(&removed) {
                if let Some(stuck) = stuck.get_mut(at) {
                    *stuck = false;
                }
            }
            stuck.iter_mut().zip(&removed).for_each(|(stuck, removed)| *stuck &= !removed);
            let Some(cycle) = self.cycle_within(&stuck) else { return cycles };
            for &at in &cycle {
                if let Some(removed) = removed.get_mut(at) {
                    *removed = true;
                }
            }
            cycles.push(cycle);
        }
    }

    /// Follows dependencies until a step comes again: every stuck step waits for another one that is stuck.
    fn cycle_within(&self, stuck: &[bool]) -> Option<Vec<usize>> {
        let is_stuck = |at: usize| stuck.get(at).copied().unwrap_or(false);
        let mut walk = vec![stuck.iter().position(|&stuck| stuck)?];
        loop {
            let needs = self.needs.get(*walk.last()?)?;
            let next = needs.iter().copied().find(|&at| is_stuck(at))?;
            if let Some(begin) = walk.iter().position(|&at| at == next) {
                return Some(walk.split_off(begin));
            }
            walk.push(next);
        }
    }

    /// For every step, all steps that are settled before it.
    pub(super) fn ancestors(&self) -> Vec<Bits> {
        let mut all = vec![Bits::new(self.needs.len()); self.needs.len()];
        for at in self.order(&[]) {
            let mut own = Bits::new(self.needs.len());
            for &needed in self.needs.get(at).into_iter().flatten() {
                own.insert(needed);
                if let Some(theirs) = all.get(needed) {
                    own.join(theirs);
                }
            }
            if let Some(slot) = all.get_mut(at) {
                *slot = own;
            }
        }
        all
    }

    /// The direct dependencies that do not follow from others (the transitive reduction); in a cycle, all of them.
    pub(in crate::workflow) fn essential(&self) -> Vec<Vec<usize>> {
        let ancestors = self.ancestors();
        let essential = |needs: &Vec<usize>| {
            let mut implied = Bits::new(self.needs.len());
            needs.iter().filter_map(|&needed| ancestors.get(needed)).for_each(|theirs| implied.join(theirs));
            needs.iter().copied().filter(|&needed| !implied.contains(needed)).collect()
        };
        self.needs.iter().map(essential).collect()
    }

    /// Reports the cycles; says whether there is one.
    pub(super) fn report_cycles(&self, steps: &[Step], places: &[Place], problems: &mut Problems) -> bool {
        let cycles = self.cycles();
        for cycle in &cycles {
            let names = cycle.iter().filter_map(|&at| steps.get(at)).map(|step| step.name.clone()).collect();
            if let Some(place) = cycle.first().and_then(|&at| places.get(at)) {
                problems.add(place, Cause::Cycle { steps: names });
            }
        }
        !cycles.is_empty()
    }
}

/// A set of steps.
#[derive(Clone, Debug)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn insert(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn join(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    pub(super) fn contains(&self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word & (1 << (at % 64)) != 0)
    }
}
