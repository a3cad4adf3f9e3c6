//! The round protocol under seeded schedules: late, lost, repeated, reordered, dead.

use std::collections::{BTreeMap, BTreeSet};

use daa_compute::commitment::{Commitment, Round, batch_seed};
use daa_compute::config::RunConfig;
use daa_compute::protocol::{Effect, Event, Finding, Input, Refusal, Run, RunTerms, Stage, Standing};
use daa_core::digest::Digest;
use daa_core::id::AgentId;
use daa_core::seed::{Rng, Seed};
use proptest::prelude::*;
use rand::Rng as _;

use super::agent;

fn of(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn terms(rounds: u32) -> RunTerms {
    let mut config = RunConfig::digits(1);
    config.rounds = rounds;
    RunTerms::new(&config, of("genesis")).unwrap()
}

/// A world that performs the effects, keeps the history and checks what must hold after every step.
struct World {
    run: Run,
    history: Vec<Event>,
    pending: Vec<Input>,
    deadlines: bool,
    forgers: BTreeSet<AgentId>,
    residuals: BTreeMap<AgentId, Digest>,
    slashed: BTreeSet<AgentId>,
    paid: BTreeSet<(Round, AgentId)>,
    accepted: BTreeSet<(Round, AgentId)>,
}

impl World {
    fn new(rounds: u32, members: usize) -> Self {
        let mut world = Self {
            run: Run::new(terms(rounds)),
            history: Vec::new(),
            pending: Vec::new(),
            deadlines: true,
            forgers: BTreeSet::new(),
            residuals: BTreeMap::new(),
            slashed: BTreeSet::new(),
            paid: BTreeSet::new(),
            accepted: BTreeSet::new(),
        };
        for i in 0..members {
            world.give(Input::Join { agent: agent(i), shard: of("shard") }).unwrap();
        }
        world
    }

    fn commitment(&self, agent: &AgentId, round: Round, base: Digest) -> Commitment {
        let terms = self.run.terms();
        let name = format!("{agent} {round}");
        Commitment {
            run: terms.run,
            round,
            agent: agent.clone(),
            base,
            config: terms.config,
            shard: of("shard"),
            batch_seed: batch_seed(terms.run, round, agent),
            layout: terms.layout,
            residual_before: self.residuals.get(agent).copied().unwrap_or(terms.zero_residual),
            residual_after: of(&format!("residual {name}")),
            update: of(&format!("update {name}")),
            examples: terms.examples,
        }
    }

    fn give(&mut self, input: Input) -> Result<(), Refusal> {
        let step = self.run.step(input)?;
        self.history.extend(step.events.iter().cloned());
        for event in &step.events {
            if let Event::AggregationStarted { round, accepted } = event {
                self.accepted.extend(accepted.iter().map(|a| (*round, a.clone())));
            }
            if let Event::RoundClosed { round, .. } = event {
                for (_, a) in self.accepted.iter().filter(|(r, _)| r == round) {
                    self.residuals.insert(a.clone(), of(&format!("residual {a} {round}")));
                }
            }
            if let Event::Joined { agent, .. } = event {
                self.residuals.remove(agent);
            }
        }
        for effect in step.effects {
            self.perform(effect);
        }
        self.check();
        Ok(())
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Train { round, base, members } => {
                for member in members {
                    let commitment = self.commitment(&member, round, base);
                    self.pending.push(Input::Commit(commitment));
                }
            }
            Effect::Timer { .. } if !self.deadlines => {}
            Effect::Timer { round, stage } => self.pending.push(Input::Deadline { round, stage }),
            Effect::RequestUpdates { round, members } => {
                self.pending.extend(members.into_iter().map(|agent| {
                    let update = of(&format!("update {agent} {round}"));
                    Input::Reveal { agent, round, update, len: 1000 }
                }));
            }
            Effect::Aggregate { round, base, updates } => {
                assert!(!updates.is_empty());
                let model = of(&format!("model {base} {updates:?}"));
                self.pending.push(Input::Aggregated { round, model, checkpoint: model, peers: Vec::new() });
            }
            Effect::Audit(order) => {
                let commitment = order.commitment;
                let finding = if self.forgers.contains(&commitment.agent) {
                    Finding::Forged { expected: of("e"), got: commitment.update, evidence: of("evidence") }
                } else {
                    Finding::Honest
                };
                self.pending.push(Input::Audited {
                    agent: commitment.agent,
                    round: commitment.round,
                    finding,
                });
            }
            Effect::Slash { agent, .. } => {
                self.slashed.insert(agent);
            }
            Effect::Reward { round, members } => {
                for member in members {
                    assert!(
                        self.paid.insert((round, member.clone())),
                        "{member} was paid twice for round {round}"
                    );
                    assert!(
                        self.accepted.contains(&(round, member.clone())),
                        "{member} was paid for nothing"
                    );
                    assert!(!self.slashed.contains(&member), "{member} was paid after its slash");
                }
            }
            _ => {}
        }
    }

    fn check(&self) {
        assert!(self.slashed.is_subset(&self.forgers), "an honest member was slashed");
        assert!(self.run.rounds_closed() <= self.run.terms().rounds);
    }

    /// Takes a pending input in seeded order, sometimes losing or repeating it, until nothing is left to do.
    fn play(&mut self, rng: &mut Rng, trouble: bool) {
        for _ in 0..20_000 {
            if self.pending.is_empty() {
                return;
            }
            let at = (rng.next_u64() % self.pending.len() as u64) as usize;
            let input = self.pending.swap_remove(at);
            let chance = rng.next_u32() % 100;
            let fragile = matches!(input, Input::Commit(_) | Input::Reveal { .. });
            if trouble && fragile && chance < 10 {
                continue; // Lost.
            }
            if trouble && chance < 20 {
                self.pending.push(input.clone()); // Repeated.
            }
            if trouble && fragile && chance > 97 {
                let who = agent((rng.next_u32() % 5) as usize);
                let _ = self.give(Input::Dead { agent: who.clone() });
                self.pending.push(Input::Join { agent: who, shard: of("shard") });
            }
            let _ = self.give(input);
        }
        panic!("the run does not come to rest");
    }
}

fn rng(seed: u64) -> Rng {
    Seed::from_u64(seed).rng()
}

#[test]
fn an_undisturbed_run_pays_everybody_for_every_round() {
    let mut world = World::new(6, 4);
    world.deadlines = false;
    world.give(Input::Start).unwrap();
    world.play(&mut rng(1), false);
    assert!(world.run.is_finished());
    assert_eq!(world.run.rounds_closed(), 6);
    assert_eq!(world.paid.len(), 24);
    assert!(world.slashed.is_empty());
}

#[test]
fn a_forger_is_slashed_ejected_and_refused() {
    let mut world = World::new(8, 5);
    world.forgers.insert(agent(4));
    world.give(Input::Start).unwrap();
    world.play(&mut rng(2), false);
    assert!(world.run.is_finished());
    assert_eq!(world.slashed, BTreeSet::from([agent(4)]));
    assert_eq!(world.run.members()[&agent(4)].standing, Standing::Ejected);
    let ended = world.give(Input::Join { agent: agent(4), shard: of("shard") });
    assert_eq!(ended, Err(Refusal::Ended));
}

#[test]
fn a_commitment_to_anything_but_the_runs_own_is_refused() {
    let mut world = World::new(3, 2);
    world.give(Input::Start).unwrap();
    let (base, _) = world.run.latest();
    let sound = world.commitment(&agent(0), Round(0), base);
    let mut refused = |change: fn(&mut Commitment)| {
        let mut forged = sound.clone();
        change(&mut forged);
        world.give(Input::Commit(forged)).unwrap_err()
    };
    assert_eq!(refused(|c| c.base = of("x")), Refusal::Commitment { field: "base" });
    assert_eq!(refused(|c| c.config = of("x")), Refusal::Commitment { field: "config" });
    assert_eq!(refused(|c| c.shard = of("x")), Refusal::Commitment { field: "shard" });
    assert_eq!(refused(|c| c.batch_seed = of("x")), Refusal::Commitment { field: "batch seed" });
    assert_eq!(refused(|c| c.layout = of("x")), Refusal::Commitment { field: "layout" });
    assert_eq!(refused(|c| c.residual_before = of("x")), Refusal::Commitment { field: "residual" });
    assert_eq!(refused(|c| c.examples = 1), Refusal::Commitment { field: "number of examples" });
    assert_eq!(refused(|c| c.round = Round(1)), Refusal::WrongRound { found: Round(1) });
    assert_eq!(refused(|c| c.agent = agent(9)), Refusal::NotLive { agent: agent(9) });
    world.give(Input::Commit(sound.clone())).unwrap();
    assert_eq!(world.give(Input::Commit(sound)), Err(Refusal::Duplicate { agent: agent(0) }));
}

#[test]
fn an_update_other_than_the_committed_one_is_refused() {
    let mut world = World::new(3, 1);
    world.give(Input::Start).unwrap();
    let (base, _) = world.run.latest();
    let commitment = world.commitment(&agent(0), Round(0), base);
    let reveal = |update, len| Input::Reveal { agent: agent(0), round: Round(0), update, len };
    assert_eq!(world.give(reveal(commitment.update, 10)), Err(Refusal::OutOfTurn));
    world.give(Input::Commit(commitment.clone())).unwrap();
    assert_eq!(
        world.give(reveal(of("x"), 10)),
        Err(Refusal::NotAsCommitted { found: of("x"), expected: commitment.update })
    );
    assert!(matches!(world.give(reveal(commitment.update, u64::MAX)), Err(Refusal::TooLarge { .. })));
    world.give(reveal(commitment.update, 10)).unwrap();
}

#[test]
fn a_deadline_needs_a_quorum() {
    let mut world = World::new(3, 3);
    world.give(Input::Start).unwrap();
    let (base, _) = world.run.latest();
    let deadline = Input::Deadline { round: Round(0), stage: Stage::Committing };
    let one = world.commitment(&agent(0), Round(0), base);
    let two = world.commitment(&agent(1), Round(0), base);
    world.give(Input::Commit(one)).unwrap();
    world.give(deadline).unwrap();
    assert_eq!(world.run.current(), Some((Round(0), Some(Stage::Committing))));
    world.give(Input::Commit(two)).unwrap();
    assert_eq!(world.run.current(), Some((Round(0), Some(Stage::Revealing))));
}

#[test]
fn who_joins_late_catches_up_and_takes_part_from_the_next_round() {
    let mut world = World::new(4, 2);
    world.deadlines = false;
    world.give(Input::Start).unwrap();
    let step = world.run.step(Input::Join { agent: agent(7), shard: of("shard") }).unwrap();
    assert_eq!(step.effects, [Effect::CatchUp { agent: agent(7), checkpoint: of("genesis") }]);
    let (base, _) = world.run.latest();
    let early = world.commitment(&agent(7), Round(0), base);
    assert!(matches!(world.give(Input::Commit(early)), Err(Refusal::NotInRound { .. })));
    world.play(&mut rng(3), false);
    assert!(world.paid.contains(&(Round(1), agent(7))) && !world.paid.contains(&(Round(0), agent(7))));
}

#[test]
fn the_dead_are_neither_waited_for_nor_paid_nor_slashed() {
    let mut world = World::new(3, 3);
    world.deadlines = false;
    world.give(Input::Start).unwrap();
    world.give(Input::Dead { agent: agent(2) }).unwrap();
    world.pending.retain(|input| !matches!(input, Input::Commit(c) if c.agent == agent(2)));
    world.play(&mut rng(4), false);
    assert!(world.run.is_finished());
    assert!(world.slashed.is_empty());
    assert!(world.paid.iter().all(|(_, who)| *who != agent(2)));
    assert_eq!(world.paid.len(), 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn replay_equals_live_whatever_happens(seed in any::<u64>(), forger in 0usize..5) {
        let mut world = World::new(5, 5);
        world.forgers.insert(agent(forger));
        world.give(Input::Start).unwrap();
        world.play(&mut rng(seed), true);
        let mut rebuilt = Run::new(world.run.terms().clone());
        for event in &world.history {
            rebuilt.apply(event).unwrap();
        }
        prop_assert_eq!(&rebuilt, &world.run);
        let text = serde_json::to_string(&world.run).unwrap();
        prop_assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), world.run);
    }
}
