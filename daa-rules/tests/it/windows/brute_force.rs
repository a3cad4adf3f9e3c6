//! The window against a list of everything that was permitted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{Context, GateError, Permit};
use daa_core::clock::{Clock as _, ManualClock};
use daa_core::event::MemoryEventStore;
use daa_core::workflow::testing::{CrashPoint, CrashStore};
use proptest::prelude::*;
use serde_json::json;

use super::world::{Process, REFUSED, Scripted, is_denied, payment};
use crate::runtime;

/// 500 units an hour and agent, three payments a minute and recipient, whoever pays, and eight a day and agent.
const RULES: &str = r#"
[window.hourly]
on = "payment.*"
sum = "action.cost"
per = ["action.actor"]
span = "1h"

[window.fast]
on = "payment.*"
per = ["action.params.to"]
span = "1m"

[window.daily]
on = "payment.*"
per = ["action.actor"]
calendar = "day"
zone = "Asia/Kathmandu"

[[rule]]
on = "payment.*"
when = 'window.hourly + action.cost <= money("0.000500 USDC") && window.fast < 3 && window.daily < 8'
effect = "permit"
"#;
const LIMIT: u128 = 500;
const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
/// How far the clocks of Kathmandu are ahead, since 1986; before that, by half an hour.
const AHEAD: u64 = 5 * HOUR + 45 * MINUTE;
/// 2026-11-21 00:00 UTC.
const BEGIN: u64 = 1_795_219_200_000;

#[derive(Clone, Debug)]
enum Step {
    /// Of one agent to one recipient, at most so much; what it really costs, in percent; what becomes of it.
    Pay {
        agent: u8,
        to: u8,
        cost: u128,
        percent: u128,
        does: Does,
    },
    /// Asks for permission, and leaves it.
    Authorize {
        agent: u8,
        to: u8,
        cost: u128,
    },
    /// Performs, late or not, what was authorised.
    Perform,
    /// Finds out what became of what was lost.
    Reconcile,
    Wait(u64),
    Restart,
    /// Other rules with the same windows.
    Reload,
    /// The process dies at its n-th write from now.
    Crash {
        at: u64,
        after: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Ok,
    Free,
    Fail,
    LostAndDone,
    LostAndNot,
}

fn step() -> impl Strategy<Value = Step> {
    let cost = prop_oneof![8 => 1..REFUSED, 1 => Just(REFUSED)];
    let does = prop_oneof![
        5 => Just(Does::Ok), 1 => Just(Does::Free), 2 => Just(Does::Fail),
        1 => Just(Does::LostAndDone), 1 => Just(Does::LostAndNot),
    ];
    let wait = prop_oneof![1..2_000u64, Just(MINUTE - 1), Just(MINUTE), 1..HOUR, Just(HOUR), Just(6 * HOUR)];
    prop_oneof![
        12 => (0..2u8, 0..3u8, cost, 0..140u128, does)
            .prop_map(|(agent, to, cost, percent, does)| Step::Pay { agent, to, cost, percent, does }),
        2 => (0..2u8, 0..3u8, 1..REFUSED).prop_map(|(agent, to, cost)| Step::Authorize { agent, to, cost }),
        2 => Just(Step::Perform),
        2 => Just(Step::Reconcile),
        5 => wait.prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
        2 => (1..4u64, any::<bool>()).prop_map(|(at, after)| Step::Crash { at, after }),
    ]
}

/// What was permitted, and what became of it.
#[derive(Clone, Debug)]
struct Permitted {
    at: u64,
    agent: u8,
    to: u8,
    /// `None` once it is known to have taken no effect.
    counts: Option<u128>,
}

#[derive(Default)]
struct Model {
    permitted: BTreeMap<String, Permitted>,
}

impl Model {
    fn allows(&self, now: u64, agent: u8, to: u8, cost: u128) -> bool {
        let within = |at: u64, span: u64| at + span > now;
        let counting = || self.permitted.values().filter_map(|one| one.counts.map(|counts| (one, counts)));
        let spent: u128 = counting()
            .filter(|(one, _)| one.agent == agent && within(one.at, HOUR))
            .map(|(_, counts)| counts)
            .sum();
        let fast = counting().filter(|(one, _)| one.to == to && within(one.at, MINUTE)).count();
        let day = |at: u64| (at + AHEAD) / (24 * HOUR);
        let daily = counting().filter(|(one, _)| one.agent == agent && day(one.at) == day(now)).count();
        spent + cost <= LIMIT && fast < 3 && daily < 8
    }
}

struct Run {
    store: Arc<CrashStore>,
    clock: ManualClock,
    process: Process,
    model: Model,
    permits: Vec<(String, u8, Permit)>,
    lost: Vec<(String, u128, bool)>,
    next: u32,
}

impl Run {
    fn new() -> Self {
        let store = CrashStore::new(Arc::new(MemoryEventStore::new()));
        let clock = ManualClock::default();
        clock.advance(Duration::from_millis(BEGIN));
        let process = Process::new(store.clone(), &clock, RULES);
        Self {
            store,
            clock,
            process,
            model: Model::default(),
            permits: Vec::new(),
            lost: Vec::new(),
            next: 0,
        }
    }

    fn now(&self) -> u64 {
        self.clock.now().as_millis()
    }

    fn restart(&mut self) {
        self.store = self.store.restarted();
        self.process = Process::new(self.store.clone(), &self.clock, RULES);
        self.permits.clear();
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Wait(millis) => self.clock.advance(Duration::from_millis(millis)),
            Step::Restart => self.restart(),
            Step::Reload => {
                let other = format!("{RULES}\n[[rule]]\nid = 'r{}'\non = 'x'\neffect = 'deny'\n", self.next);
                self.process.engine.replace(daa_rules::Ruleset::from_toml(&other).unwrap());
            }
            Step::Crash { at, after } => {
                let point = if after { CrashPoint::After } else { CrashPoint::Before };
                self.store.crash_at(self.store.appends() + at, point);
            }
            Step::Pay { agent, to, cost, percent, does } => self.pay(agent, to, cost, percent, does).await,
            Step::Authorize { agent, to, cost } => self.authorize(agent, to, cost).await,
            Step::Perform => self.perform().await,
            Step::Reconcile => self.reconcile().await,
        }
        if self.store.is_dead() {
            self.recover().await;
        }
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("pay-{}", self.next)
    }

    fn permit(&mut self, id: &str, agent: u8, to: u8, counts: Option<u128>) {
        let at = self.now();
        self.model.permitted.insert(id.to_owned(), Permitted { at, agent, to, counts });
    }

    async fn pay(&mut self, agent: u8, to: u8, cost: u128, percent: u128, does: Does) {
        let (id, costs) = (self.name(), cost * percent / 100);
        let script = match does {
            Does::Ok => json!({ "does": "ok", "costs": costs as u64 }),
            Does::Free => json!({ "does": "ok" }),
            Does::Fail => json!({ "does": "fail" }),
            Does::LostAndDone => json!({ "does": "lost", "found": true, "costs": costs as u64 }),
            Does::LostAndNot => json!({ "does": "lost", "found": false }),
        };
        let action = payment(&id, &format!("agent-{agent}"), &format!("to-{to}"), cost, &script);
        let allowed = self.model.allows(self.now(), agent, to, cost);
        let result = self.process.pay(action).await;
        if self.store.is_dead() {
            return;
        }
        assert_eq!(is_denied(&result), !allowed, "{id} of {cost}: {result:?}");
        if !allowed {
            return;
        }
        match (&result, does) {
            (Err(GateError::Refused(_)), _) => assert_eq!(cost, REFUSED),
            (Ok(_), Does::Ok) => self.permit(&id, agent, to, Some(costs)),
            (Ok(_), Does::Free) => self.permit(&id, agent, to, Some(0)),
            (Err(GateError::Failed(_)), Does::Fail) => self.permit(&id, agent, to, None),
            (Err(GateError::Uncertain(_)), Does::LostAndDone | Does::LostAndNot) => {
                self.permit(&id, agent, to, Some(cost));
                self.lost.push((id, costs, does == Does::LostAndDone));
            }
            other => panic!("{other:?}"),
        }
    }

    async fn authorize(&mut self, agent: u8, to: u8, cost: u128) {
        let id = self.name();
        let script = json!({ "does": "ok", "costs": 1 });
        let action = payment(&id, &format!("agent-{agent}"), &format!("to-{to}"), cost, &script);
        let allowed = self.model.allows(self.now(), agent, to, cost);
        let result = self.process.gate.authorize(action, Context::new()).await;
        if self.store.is_dead() {
            return;
        }
        assert_eq!(is_denied(&result), !allowed, "{id} of {cost}: {result:?}");
        if let Ok(permit) = result {
            self.permit(&id, agent, to, Some(cost));
            self.permits.push((id, agent, permit));
        }
    }

    async fn perform(&mut self) {
        let Some((id, _, permit)) = self.permits.pop() else { return };
        let result = self.process.gate.perform(permit, &Scripted).await;
        if self.store.is_dead() {
            return;
        }
        let counts = match result {
            Ok(_) => Some(1),
            Err(GateError::Expired { .. }) => None,
            Err(other) => panic!("{other:?}"),
        };
        self.model.permitted.get_mut(&id).unwrap().counts = counts;
    }

    async fn reconcile(&mut self) {
        let Some((id, costs, done)) = self.lost.pop() else { return };
        let result = self.process.gate.reconcile(&id.parse().unwrap(), &Scripted).await;
        if self.store.is_dead() {
            self.lost.push((id, costs, done));
            return;
        }
        assert!(!result.unwrap().state.is_open());
        self.model.permitted.get_mut(&id).unwrap().counts = done.then_some(costs);
    }

    /// A new process: brings to an end what the dead one had begun, and learns from the journal what became of it.
    async fn recover(&mut self) {
        let now = self.now();
        self.restart();
        let open = self.process.gate.open_actions().await.unwrap();
        for status in open {
            self.process.gate.reconcile(status.action.id(), &Scripted).await.unwrap();
        }
        self.lost.clear();
        let journal = super::world::journal(&*self.store).await;
        let mut model = BTreeMap::new();
        let mut order = Vec::new();
        let number = |text: &str| text.rsplit('-').next().unwrap().parse::<u8>().unwrap();
        for id in self.ids(&journal) {
            let status = self.process.gate.status(&id).await.unwrap().unwrap();
            let cost = status.action.max_cost().unwrap().amount().units();
            use daa_core::action::ActionState::{Expired, Failed, Refused, Succeeded, Withheld};
            let counts = match status.state {
                Succeeded(outcome) => Some(outcome.cost.map_or(0, |cost| cost.amount().units())),
                Failed(_) | Expired => None,
                Withheld(_) | Refused(_) => continue,
                other => panic!("{other:?} of {cost}"),
            };
            let at = self.model.permitted.get(id.as_str()).map_or(now, |known| known.at);
            let (agent, to) = (
                number(status.action.actor().as_str()),
                number(status.action.params()["to"].as_str().unwrap()),
            );
            model.insert(id.to_string(), Permitted { at, agent, to, counts });
            order.push(id);
        }
        // Nothing that was acknowledged is gone.
        for id in self.model.permitted.keys() {
            assert!(model.contains_key(id), "{id} is forgotten");
        }
        self.model.permitted = model;
    }

    fn ids(&self, journal: &[daa_core::action::ActionEvent]) -> Vec<daa_core::id::ActionId> {
        use daa_core::action::ActionEvent::{Permitted, Refused, Withheld};
        let of = |event: &daa_core::action::ActionEvent| match event {
            Permitted { action, .. } | Withheld { action, .. } | Refused { action, .. } => {
                Some(action.id().clone())
            }
            _ => None,
        };
        journal.iter().filter_map(of).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_limit_over_time_permits_exactly_what_a_list_of_everything_would(steps in prop::collection::vec(step(), 1..60)) {
        runtime().block_on(async {
            let mut run = Run::new();
            for step in steps {
                run.step(step).await;
            }
        });
    }
}
