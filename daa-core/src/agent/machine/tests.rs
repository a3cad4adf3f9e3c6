//! The laws of the machine, whatever happens to it: driven by a tape of arbitrary bytes.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::action::Outcome;
use crate::agent::adapt::WEIGHTS;
use crate::agent::lapse::Cause;
use crate::agent::plan::{Expectation, MAX_STEPS, PlannedAction};
use crate::agent::report::{StepResult, UndoResult};
use crate::id::{ActionId, ActionKind, StrategyName};

/// Arbitrary choices; zeros when the tape has run out.
struct Tape(std::vec::IntoIter<u8>);

impl Tape {
    fn pick(&mut self, of: u8) -> u8 {
        self.0.next().unwrap_or_default() % of
    }

    fn number(&mut self) -> f64 {
        match self.pick(9) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => -1e300,
            _ => f64::from(self.pick(64)) / 16.0 - 1.0,
        }
    }
}

fn metric(name: &str) -> MetricName {
    MetricName::new(name).unwrap()
}

fn config() -> Arc<Config> {
    Arc::new(Config {
        collectors: vec![(metric("x"), Duration::ZERO), (metric("y"), Duration::from_millis(3))],
        thresholds: vec![Threshold::above("x", 1.0, 0.5).unwrap(), Threshold::below("y", 0.0, 0.2).unwrap()],
        parameters: vec![Parameter::new("p", 0.5, 0.0, 1.0, 0.25).unwrap()].into(),
        snapshot_every: 3,
    })
}

fn lapse(part: Part, tape: &mut Tape) -> Lapse {
    let cause = match tape.pick(3) {
        0 => Cause::Failed("error".to_owned()),
        1 => Cause::Panicked("panic".to_owned()),
        _ => Cause::TimedOut(Duration::from_secs(1)),
    };
    Lapse::new(part, cause)
}

fn step(tape: &mut Tape) -> PlannedAction {
    let step = PlannedAction::new(ActionKind::new("k").unwrap());
    if tape.pick(3) == 0 { step.with_expectation(Expectation::metric(metric("x"), 1.0, 0.1)) } else { step }
}

fn adjustment(tape: &mut Tape) -> Adjustment {
    let strategy = StrategyName::new(format!("s{}", tape.pick(3))).unwrap();
    match tape.pick(3) {
        0 => Adjustment::Weight { strategy, weight: tape.number() * 1e3 },
        1 => Adjustment::Try { parameter: metric("unknown"), value: 1.0, cycles: 1 },
        _ => Adjustment::Try { parameter: metric("p"), value: tape.number(), cycles: tape.pick(4).into() },
    }
}

/// An arbitrary end of a plan: some steps succeed; if one fails, the rest is skipped.
fn performed(planned: &PlannedCycle, tape: &mut Tape) -> Vec<StepReport> {
    let good = usize::from(tape.pick(4)) * 2;
    let steps = planned.plan.steps.iter().enumerate();
    let failed = good < planned.plan.steps.len();
    let report = |(at, step): (usize, &PlannedAction)| {
        let (result, undo) = match at.cmp(&good) {
            std::cmp::Ordering::Less => {
                let undo = match tape.pick(3) {
                    0 => UndoResult::Impossible,
                    1 => UndoResult::Failed { error: "no".to_owned() },
                    _ => UndoResult::Undone,
                };
                let outcome = Outcome::new(1);
                (StepResult::Succeeded { outcome, replayed: false }, failed.then_some(undo))
            }
            std::cmp::Ordering::Equal => {
                (StepResult::Failed { error: "no".to_owned(), uncertain: tape.pick(2) == 0 }, None)
            }
            std::cmp::Ordering::Greater => (StepResult::Skipped, None),
        };
        let id = ActionId::new(format!("a/{}/{at}", planned.cycle)).unwrap();
        StepReport { id, kind: step.kind.clone(), result, undo }
    };
    steps.map(report).collect()
}

/// An arbitrary answer to what the machine wants done.
fn answer(effect: &Effect, now: Timestamp, tape: &mut Tape) -> Option<Input> {
    Some(match effect {
        Effect::Collect(due) => {
            let collections = due.iter().map(|&collector| {
                let name = metric(["x", "y"][collector]);
                let result = match tape.pick(4) {
                    0 => Err(lapse(Part::Collector(name), tape)),
                    _ => Ok(vec![Observation::new(name, tape.number())]),
                };
                Collection { collector, result }
            });
            Input::Collected { now, collections: collections.collect() }
        }
        Effect::Propose(_) => Input::Proposed { candidates: Vec::new(), lapses: Vec::new() },
        Effect::Reason(_) => Input::Reasoned(match tape.pick(5) {
            0 => Err(lapse(Part::Reasoner, tape)),
            _ => {
                let count = [0, 1, 2, 5, MAX_STEPS + 1][usize::from(tape.pick(5))];
                let strategy = StrategyName::new(format!("s{}", tape.pick(3))).unwrap();
                Ok(Plan::new(strategy, (0..count).map(|_| step(tape)).collect()))
            }
        }),
        Effect::Record(_) => Input::Recorded,
        Effect::Act { planned, .. } => Input::Acted(performed(planned, tape)),
        Effect::Reflect(_) => Input::Reflected(match tape.pick(5) {
            0 => Err(lapse(Part::Reflector, tape)),
            _ => Ok(Reflection::new(tape.number())),
        }),
        Effect::Adapt(_) => Input::Adapted(match tape.pick(5) {
            0 => Err(lapse(Part::Adapter, tape)),
            _ => Ok((0..tape.pick(5)).map(|_| adjustment(tape)).collect()),
        }),
        Effect::Announce(_) | Effect::Finish(_) => return None,
    })
}

/// The place of an effect in the order of phases.
fn phase(effect: &Effect, acted: bool) -> u8 {
    match effect {
        Effect::Collect(_) if !acted => 0,
        Effect::Propose(_) => 1,
        Effect::Reason(_) => 2,
        Effect::Record(records) => match records.first() {
            Some(Record::Planned(_)) => 3,
            _ => 10,
        },
        Effect::Announce(_) => 3,
        Effect::Act { .. } => 4,
        Effect::Collect(_) => 7,
        Effect::Reflect(_) => 8,
        Effect::Adapt(_) => 9,
        Effect::Finish(_) => 11,
    }
}

/// Runs one cycle to its end; returns what went in, what came out, and the report.
fn run(machine: &mut Machine, now: Timestamp, tape: &mut Tape) -> (Vec<Input>, Vec<Effect>) {
    let mut inputs = vec![Input::Begin { now }];
    let mut effects = machine.step(inputs[0].clone());
    let mut done = 0;
    while let Some(effect) = effects.get(done) {
        done += 1;
        if let Some(input) = answer(effect, now, tape) {
            inputs.push(input.clone());
            effects.extend(machine.step(input));
        }
        assert!(done < 1_000, "the cycle does not end");
    }
    (inputs, effects)
}

fn check_order(effects: &[Effect]) {
    assert!(matches!(effects.last(), Some(Effect::Finish(_))), "the cycle did not end");
    let acted = |index: usize| {
        effects[..index].iter().any(|effect| matches!(effect, Effect::Act { .. } | Effect::Record(_)))
    };
    let phases: Vec<_> =
        effects.iter().enumerate().map(|(index, effect)| phase(effect, acted(index))).collect();
    let announced_last = matches!(effects[effects.len() - 2], Effect::Announce(_));
    let ordered = &phases[..phases.len() - if announced_last { 2 } else { 1 }];
    assert!(ordered.is_sorted(), "{phases:?}");
}

/// Acts once, on a durable plan, and tells what became of each of its steps.
fn check_acts(effects: &[Effect], report: &CycleReport) {
    let acts: Vec<_> = effects
        .iter()
        .enumerate()
        .filter_map(|(at, effect)| match effect {
            Effect::Act { planned, resumed } => Some((at, planned, *resumed)),
            _ => None,
        })
        .collect();
    let [(at, planned, resumed)] = acts[..] else {
        assert!(acts.is_empty() && report.steps.is_empty(), "acted more than once");
        return;
    };
    assert_eq!((report.steps.len(), resumed), (planned.plan.steps.len(), report.resumed));
    let recorded = |effect: &Effect| match effect {
        Effect::Record(records) => records.first() == Some(&Record::Planned(planned.clone())),
        _ => false,
    };
    assert!(resumed || effects[..at].iter().any(recorded), "acted without a plan");
    let told = report.events.iter().filter_map(|event| match event {
        DaaEvent::ActionSucceeded { action, .. } => Some((action, true)),
        DaaEvent::ActionFailed { action, .. } => Some((action, false)),
        _ => None,
    });
    let done = report.steps.iter().filter_map(|step| match step.result {
        StepResult::Succeeded { .. } => Some((&step.id, true)),
        StepResult::Failed { .. } => Some((&step.id, false)),
        StepResult::Skipped => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), done.collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn a_cycle_always_ends_in_order_and_undoes_in_reverse(
        tape in prop::collection::vec(any::<u8>(), 0..600),
        cycles in 1_u64..8,
    ) {
        let mut tape = Tape(tape.into_iter());
        let mut machine = Machine::new(config(), AgentState::default());
        let mut twin = machine.clone();
        let mut rebuilt = AgentState::default();
        rebuilt.fit(&config().parameters, &config().thresholds);
        for cycle in 1..=cycles {
            let before = machine.state.parameters[&metric("p")];
            let (inputs, effects) = run(&mut machine, Timestamp::from_millis(cycle), &mut tape);
            check_order(&effects);
            let Some(Effect::Finish(report)) = effects.last() else { panic!("checked above") };
            prop_assert_eq!(report.cycle, cycle);
            check_acts(&effects, report);

            let replayed: Vec<_> = inputs.into_iter().flat_map(|input| twin.step(input)).collect();
            // Debug text, because not a number equals nothing.
            prop_assert_eq!(format!("{replayed:?}"), format!("{effects:?}"), "a replay differs");

            for effect in &effects {
                if let Effect::Record(records) = effect {
                    records.iter().for_each(|record| rebuilt.apply(record));
                }
            }
            prop_assert_eq!(&rebuilt, &*machine.state, "what is written adds up to the state");

            let after = machine.state.parameters[&metric("p")];
            prop_assert!((0.0..=1.0).contains(&after) && (after - before).abs() <= 0.25 + 1e-12);
            prop_assert!(machine.state.weights.values().all(|weight| WEIGHTS.contains(weight)));
            prop_assert!(machine.state.recent.iter().all(|score| (0.0..=1.0).contains(score)));
        }
    }

    #[test]
    fn a_machine_rebuilt_after_any_record_performs_the_same_plan(
        tape in prop::collection::vec(any::<u8>(), 0..200),
        crash in 0_usize..20,
    ) {
        let mut tape = Tape(tape.into_iter());
        let now = Timestamp::from_millis(1);
        let mut machine = Machine::new(config(), AgentState::default());
        let (_, effects) = run(&mut machine, now, &mut tape);
        let mut state = AgentState::default();
        state.fit(&config().parameters, &config().thresholds);
        let written = effects.iter().take(crash).filter_map(|effect| match effect {
            Effect::Record(records) => Some(records),
            _ => None,
        });
        written.flatten().for_each(|record| state.apply(record));
        let plan = state.open.clone();
        let mut rebuilt = Machine::new(config(), state);
        let (_, again) = run(&mut rebuilt, now, &mut Tape(vec![1; 500].into_iter()));
        let Some(Effect::Finish(report)) = again.last() else { panic!("the cycle did not end") };
        prop_assert_eq!(report.resumed, plan.is_some());
        if let Some(planned) = plan {
            prop_assert!(!again.iter().any(|effect| matches!(effect, Effect::Reason(_))), "planned anew");
            prop_assert_eq!(report.steps.len(), planned.plan.steps.len());
            check_acts(&again, report);
        }
    }
}

#[test]
fn a_plan_that_could_not_be_read_back_is_discarded() {
    for (value, tolerance) in [(f64::NAN, 0.0), (1.0, f64::INFINITY)] {
        let step = PlannedAction::new(ActionKind::new("k").unwrap());
        let step = step.with_expectation(Expectation::output("", value, tolerance));
        let plan = Plan::new(StrategyName::new("s").unwrap(), vec![step]);
        assert!(within_bounds(plan).is_err());
    }
}

proptest! {
    #[test]
    fn recorded_numbers_are_read_back_to_the_last_bit(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(serde_json::from_str::<f64>(&text).unwrap().to_bits(), bits);
    }
}
