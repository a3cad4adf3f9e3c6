//! The round protocol under seeded schedules: late, lost, repeated, reordered, dead.

use std::collections::BTreeSet;

use daa_compute::aggregate::PeerStatistics;
use daa_compute::backend::ComputePath;
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
    /// What else is forged.
    forgeries: BTreeSet<(Round, AgentId)>,
    /// Whose update is longer than the others', in every round.
    suspects: BTreeSet<AgentId>,
    /// Verdicts that are not handed in yet.
    held: Vec<Input>,
    slashed: BTreeSet<(Round, AgentId)>,
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
            forgeries: BTreeSet::new(),
            suspects: BTreeSet::new(),
            held: Vec::new(),
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
            residual_before: self.run.members().get(agent).map_or(terms.zero_residual, |m| m.residual),
            residual_after: of(&format!("residual {name}")),
            update: of(&format!("update {name}")),
            examples: terms.examples,
            path: ComputePath::new("path"),
        }
    }

    fn give(&mut self, input: Input) -> Result<(), Refusal> {
        let step = self.run.step(input)?;
        self.history.extend(step.events.iter().cloned());
        for event in &step.events {
            if let Event::AggregationStarted { round, accepted } = event {
                self.accepted.extend(accepted.iter().map(|a| (*round, a.clone())));
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
            // Who comes back in the middle of a round takes up its part in it.
            Effect::CatchUp { agent, .. } => match self.run.current() {
                Some((round, Some(Stage::Committing))) => {
                    let (base, _) = self.run.latest();
                    self.pending.push(Input::Commit(self.commitment(&agent, round, base)));
                }
                Some((round, Some(Stage::Revealing))) => self.pending.push(reveal(agent, round)),
                _ => {}
            },
            Effect::Timer { .. } if !self.deadlines => {}
            Effect::Timer { round, stage } => self.pending.push(Input::Deadline { round, stage }),
            Effect::RequestUpdates { round, members } => {
                self.pending.extend(members.into_iter().map(|agent| reveal(agent, round)));
            }
            Effect::Aggregate { round, base, updates } => {
                assert!(!updates.is_empty());
                let model = of(&format!("model {base} {updates:?}"));
                let ratio = |agent: &AgentId| if self.suspects.contains(agent) { 10.0 } else { 1.0 };
                let compare =
                    |(a, _): &(AgentId, Digest)| PeerStatistics::new(a.clone(), 1.0, ratio(a), 1.0, 1.0);
                let peers = updates.iter().map(compare).collect();
                self.pending.push(Input::Aggregated { round, model, checkpoint: model, peers });
            }
            Effect::Audit(order) => {
                let commitment = order.commitment;
                let forgery = (commitment.round, commitment.agent.clone());
                let forged = self.forgers.contains(&commitment.agent) || self.forgeries.contains(&forgery);
                let finding = if forged {
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
            Effect::Slash { agent, round, .. } => {
                self.slashed.insert((round, agent));
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
                    let guilty =
                        self.slashed.iter().any(|(slashed, who)| *who == member && *slashed <= round);
                    assert!(
                        !guilty,
                        "{member} was paid for round {round} after a forgery in it or before it"
                    );
                }
            }
            _ => {}
        }
    }

    fn check(&self) {
        for slash in &self.slashed {
            let forged = self.forgers.contains(&slash.1) || self.forgeries.contains(slash);
            assert!(forged, "{} was slashed for an honest round {}", slash.1, slash.0);
        }
        assert!(self.run.rounds_closed() <= self.run.terms().rounds);
        for commitment in self.run.outstanding_audits() {
            let (agent, round) = (&commitment.agent, commitment.round);
            assert!(self.has_auditor(agent), "nobody is left to audit {agent} in round {round}");
        }
    }

    /// Whether there is a member that may audit `audited`.
    fn has_auditor(&self, audited: &AgentId) -> bool {
        self.run.members().iter().any(|(agent, member)| {
            agent != audited && member.standing == Standing::Live && member.guilty_of.is_none()
        })
    }

    /// How many audits were waived.
    fn waived(&self) -> usize {
        self.history.iter().filter(|event| matches!(event, Event::AuditWaived { .. })).count()
    }

    /// Takes a pending input in seeded order, sometimes losing or repeating it, until nothing is left to do.
    fn play(&mut self, rng: &mut Rng, trouble: bool) {
        self.pending.append(&mut self.held);
        for _ in 0..20_000 {
            if self.pending.is_empty() {
                return;
            }
            self.play_one(rng, trouble);
        }
        panic!("the run does not come to rest");
    }

    /// Takes `count` inputs, if there are as many.
    fn play_some(&mut self, rng: &mut Rng, count: usize) {
        for _ in 0..count {
            if !self.pending.is_empty() {
                self.play_one(rng, false);
            }
        }
    }

    fn play_one(&mut self, rng: &mut Rng, trouble: bool) {
        let at = (rng.next_u64() % self.pending.len() as u64) as usize;
        let input = self.pending.swap_remove(at);
        let chance = rng.next_u32() % 100;
        if matches!(&input, Input::Audited { agent, .. } if !self.has_auditor(agent)) {
            return; // Nobody is there to do it.
        }
        let fragile = matches!(input, Input::Commit(_) | Input::Reveal { .. });
        if trouble && fragile && chance < 10 {
            return; // Lost.
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

    /// Takes everything but verdicts, in order, until the run waits for those; they are held back.
    fn play_without_verdicts(&mut self) {
        while !self.pending.is_empty() {
            let input = self.pending.remove(0);
            if matches!(input, Input::Audited { .. }) {
                self.held.push(input);
            } else {
                let _ = self.give(input);
            }
        }
    }

    fn orders_of(&self, agent: &AgentId) -> Vec<Round> {
        self.run.outstanding_audits().filter(|c| c.agent == *agent).map(|c| c.round).collect()
    }

    fn waivers_of(&self, who: &AgentId) -> Vec<Round> {
        let waiver = |event: &Event| match event {
            Event::AuditWaived { agent, round } if agent == who => Some(*round),
            _ => None,
        };
        self.history.iter().filter_map(waiver).collect()
    }
}

fn reveal(agent: AgentId, round: Round) -> Input {
    let update = of(&format!("update {agent} {round}"));
    Input::Reveal { agent, round, update, len: 1000 }
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
    assert!(!world.slashed.is_empty() && world.slashed.iter().all(|(_, who)| *who == agent(4)));
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

/// What is paid when one round is forged and the audits of the first two are answered in this order.
fn paid_in_order(forged: u32, reversed: bool) -> BTreeSet<(Round, Vec<AgentId>)> {
    let mut world = World::new(5, 4);
    world.deadlines = false;
    world.suspects.extend([agent(0), agent(1)]);
    world.forgeries.insert((Round(forged), agent(0)));
    world.give(Input::Start).unwrap();
    world.play_without_verdicts();
    assert_eq!(world.orders_of(&agent(0)), [Round(0), Round(1)]);
    let mut verdicts = std::mem::take(&mut world.held);
    if reversed {
        verdicts.reverse();
    }
    for verdict in verdicts {
        world.give(verdict).unwrap();
    }
    world.play(&mut rng(9), false);
    assert!(world.run.is_finished());
    let released = |event: &Event| match event {
        Event::RewardsReleased { round, members } => Some((*round, members.clone())),
        _ => None,
    };
    world.history.iter().filter_map(released).collect()
}

#[test]
fn an_honest_round_before_a_forgery_is_paid_whichever_verdict_comes_first() {
    let paid = paid_in_order(1, false);
    assert_eq!(paid, paid_in_order(1, true));
    let of = |number: u32| &paid.iter().find(|(round, _)| *round == Round(number)).unwrap().1;
    assert!(of(0).contains(&agent(0)), "round 0 was honest");
    assert!(!of(1).contains(&agent(0)), "round 1 was not");
    assert_eq!(paid.len(), 5);
}

#[test]
fn nothing_after_a_forgery_is_paid_whichever_verdict_comes_first() {
    let paid = paid_in_order(0, false);
    assert_eq!(paid, paid_in_order(0, true));
    assert!(paid.iter().all(|(_, members)| !members.contains(&agent(0))));
    assert_eq!(paid.len(), 5);
}

/// Whom the audits of round 0 are ordered of, when this peer's norm is that many times the median.
fn audited_with(suspect: usize, norm_ratio: f64) -> Vec<AgentId> {
    let mut world = World::new(3, 6);
    world.give(Input::Start).unwrap();
    while !matches!(world.pending.first(), Some(Input::Aggregated { .. })) {
        let input = world.pending.remove(0);
        let _ = world.give(input);
    }
    let Input::Aggregated { round, model, checkpoint, mut peers } = world.pending.remove(0) else {
        unreachable!("it was just seen");
    };
    for peer in peers.iter_mut().filter(|peer| peer.agent == agent(suspect)) {
        peer.norm_ratio = norm_ratio;
    }
    let closed = world.history.len();
    world.give(Input::Aggregated { round, model, checkpoint, peers }).unwrap();
    match &world.history[closed] {
        Event::RoundClosed { audits, .. } => audits.clone(),
        other => panic!("expected the end of the round, found {other:?}"),
    }
}

#[test]
fn suspects_are_audited_for_certain() {
    let limit = terms(3).protocol.suspicion;
    let lot = audited_with(0, 1.0);
    assert_eq!(lot.len(), 2, "a quarter of six, by lot");
    for suspect in 0..6 {
        assert_eq!(audited_with(suspect, limit), lot, "the threshold itself is not suspicious");
        for ratio in [limit * 1.001, f64::INFINITY, f64::NAN] {
            let expected: BTreeSet<AgentId> = lot.iter().cloned().chain([agent(suspect)]).collect();
            assert_eq!(audited_with(suspect, ratio), Vec::from_iter(expected), "{suspect} at {ratio}");
        }
    }
}

#[test]
fn a_lone_member_is_not_audited_and_finishes() {
    let mut world = World::new(4, 1);
    world.give(Input::Start).unwrap();
    world.play(&mut rng(5), false);
    assert!(world.run.is_finished());
    assert_eq!(world.run.rounds_closed(), 4);
    assert_eq!(world.paid.len(), 4, "the lone member is paid all the same");
    assert_eq!(world.waived(), 0, "nothing is ordered that nobody can do");
}

#[test]
fn a_lone_survivor_of_an_ejection_and_a_death_finishes() {
    let mut world = World::new(12, 3);
    world.forgers.insert(agent(2));
    world.give(Input::Start).unwrap();
    let mut rng = rng(6);
    while world.run.members()[&agent(2)].standing != Standing::Ejected {
        world.play_some(&mut rng, 1);
    }
    assert!(!world.run.is_finished(), "the forger is found before the end");
    world.give(Input::Dead { agent: agent(1) }).unwrap();
    world.play(&mut rng, false);
    assert!(world.run.is_finished());
    assert_eq!(world.run.rounds_closed(), 12);
    assert!(world.paid.contains(&(Round(11), agent(0))));
}

#[test]
fn an_audit_whose_last_auditor_goes_is_waived_and_the_round_paid() {
    let gone: [fn(AgentId) -> Input; 2] = [|agent| Input::Dead { agent }, |agent| Input::Leave { agent }];
    for going in gone {
        let mut world = World::new(3, 2);
        world.suspects.insert(agent(0));
        world.give(Input::Start).unwrap();
        world.play_without_verdicts();
        let orders: Vec<Round> = world.orders_of(&agent(0));
        assert!(orders.contains(&Round(0)));
        world.give(going(agent(1))).unwrap();
        let waived: Vec<Round> = world.waivers_of(&agent(0));
        assert_eq!(waived, orders);
        let answer = Input::Audited { agent: agent(0), round: Round(0), finding: Finding::Honest };
        let late = Refusal::NoSuchAudit { agent: agent(0), round: Round(0) };
        assert_eq!(world.give(answer), Err(late));
        world.play(&mut rng(7), false);
        assert!(world.run.is_finished());
        assert!(world.paid.contains(&(Round(0), agent(0))));
    }
}

#[test]
fn a_guilty_member_audits_nobody() {
    let mut world = World::new(3, 2);
    world.suspects.extend([agent(0), agent(1)]);
    world.forgers.insert(agent(1));
    world.give(Input::Start).unwrap();
    world.play_without_verdicts();
    let orders = world.orders_of(&agent(0));
    let found =
        world.held.iter().position(|i| matches!(i, Input::Audited { agent: a, .. } if *a == agent(1)));
    let verdict = world.held.remove(found.unwrap());
    world.give(verdict).unwrap();
    assert_eq!(world.waivers_of(&agent(0)), orders);
    world.play(&mut rng(8), false);
    assert!(world.run.is_finished());
}

#[test]
fn the_final_audits_do_not_wait_for_an_auditor_that_dies() {
    let mut world = World::new(2, 2);
    world.give(Input::Start).unwrap();
    world.play_without_verdicts();
    assert_eq!((world.run.rounds_closed(), world.run.current()), (2, None));
    assert_eq!(world.orders_of(&agent(0)), [Round(1)]);
    world.give(Input::Dead { agent: agent(1) }).unwrap();
    let of_the_dead: Vec<Input> = world.run.outstanding_audits().map(honest).collect();
    assert!(of_the_dead.iter().all(|i| matches!(i, Input::Audited { agent: a, .. } if *a == agent(1))));
    for verdict in of_the_dead {
        world.give(verdict).unwrap();
    }
    assert!(world.run.is_finished());
}

fn honest(commitment: &Commitment) -> Input {
    let (agent, round) = (commitment.agent.clone(), commitment.round);
    Input::Audited { agent, round, finding: Finding::Honest }
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

    #[test]
    fn what_is_paid_does_not_depend_on_the_order_of_verdicts(
        seeds in any::<[u64; 2]>(),
        forgeries in prop::collection::btree_set((0u32..6, 0usize..2), 0..4),
    ) {
        let paid = seeds.map(|seed| {
            let mut world = World::new(6, 5);
            world.deadlines = false;
            world.suspects.extend([agent(0), agent(3)]);
            world.forgeries.extend(forgeries.iter().map(|(round, who)| (Round(*round), agent(*who))));
            world.give(Input::Start).unwrap();
            world.play(&mut rng(seed), false);
            assert!(world.run.is_finished());
            world.paid
        });
        prop_assert_eq!(&paid[0], &paid[1]);
    }

    #[test]
    fn whoever_dies_a_survivor_finishes(
        seed in any::<u64>(),
        members in 1usize..5,
        forger in 1usize..5,
        deaths in prop::collection::vec((0usize..60, 1usize..5, any::<bool>()), 0..6),
    ) {
        let mut world = World::new(5, members);
        world.forgers.insert(agent(forger));
        world.give(Input::Start).unwrap();
        let mut rng = rng(seed);
        for (after, who, returns) in deaths {
            world.play_some(&mut rng, after);
            if world.give(Input::Dead { agent: agent(who) }).is_ok() && returns {
                world.pending.push(Input::Join { agent: agent(who), shard: of("shard") });
            }
        }
        world.play(&mut rng, false);
        prop_assert!(world.run.is_finished());
        prop_assert_eq!(world.run.rounds_closed(), 5);
        let mut rebuilt = Run::new(world.run.terms().clone());
        for event in &world.history {
            rebuilt.apply(event).unwrap();
        }
        prop_assert_eq!(&rebuilt, &world.run);
    }
}
