//! Sequences against every way in which what was done can be one, whatever fails, crashes and races.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use daa_core::action::{Action, ActionState, Context, GateError, Permit};
use daa_core::clock::{Clock as _, ManualClock};
use daa_core::event::{EventStore, MemoryEventStore};
use daa_core::workflow::testing::{CrashPoint, CrashStore};
use daa_rules::Ruleset;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::world::{Impatient, Process, Scripted, is_denied};
use crate::runtime;

const RULES: &str = r#"
[owner]
acme = ["agent-0", "agent-1"]
bolt = ["agent-2"]

[sequence.elsewhere]
per = ["action.actor"]
within = "5m"
[[sequence.elsewhere.step]]
on = "price.read"
other = ["action.params.venue"]
[[sequence.elsewhere.step]]
on = "swap"

[sequence.failing]
per = ["action.owner"]
within = "1h"
in_a_row = true
[[sequence.failing.step]]
on = "transfer"
outcome = "failed"
times = 3
[[sequence.failing.step]]
on = "transfer"

[sequence.prepared]
per = ["action.owner"]
within = "10m"
[[sequence.prepared.step]]
on = "approve"
outcome = "succeeded"
same = ["action.params.to"]
[[sequence.prepared.step]]
on = "price.*"
when = 'action.params.venue != "dark"'
[[sequence.prepared.step]]
on = "transfer"

[[rule]]
on = "*"
effect = "permit"
[[rule]]
on = "swap"
when = "sequence.elsewhere"
effect = "deny"
[[rule]]
on = "transfer"
when = "sequence.failing"
effect = "deny"
on_indeterminate = "escalate"
[[rule]]
on = "transfer"
when = "sequence.prepared"
effect = "deny"
on_indeterminate = "escalate"
"#;
const MINUTE: u64 = 60_000;
const KINDS: [&str; 4] = ["price.read", "approve", "transfer", "swap"];
const VENUES: [&str; 3] = ["north", "south", "dark"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Ok,
    Fail,
    LostAndDone,
    LostAndNot,
}

#[derive(Clone, Debug)]
struct What {
    agent: u8,
    kind: usize,
    to: u8,
    venue: usize,
    does: Does,
}

#[derive(Clone, Debug)]
enum Step {
    Do(What),
    /// Asks for permission, and leaves it.
    Authorize(What),
    /// Performs, late or not, what was authorised.
    Perform,
    /// Finds out what became of what was lost.
    Reconcile,
    Wait(u64),
    Restart,
    /// Other rules with the same sequences.
    Reload,
    /// The sequences are gone for a while, and counted anew when they come back.
    Without(Vec<What>),
    Crash {
        at: u64,
        after: bool,
    },
}

fn what() -> impl Strategy<Value = What> {
    let does = prop_oneof![
        4 => Just(Does::Ok), 4 => Just(Does::Fail), 1 => Just(Does::LostAndDone), 1 => Just(Does::LostAndNot),
    ];
    let kind = prop_oneof![2 => Just(0), 2 => Just(1), 4 => Just(2), 2 => Just(3)];
    (0..3u8, kind, 0..2u8, 0..VENUES.len(), does).prop_map(|(agent, kind, to, venue, does)| What {
        agent,
        kind,
        to,
        venue,
        does,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let wait =
        prop_oneof![1..2_000u64, 1..3 * MINUTE, Just(5 * MINUTE), Just(10 * MINUTE - 1), Just(60 * MINUTE)];
    prop_oneof![
        20 => what().prop_map(Step::Do),
        2 => what().prop_map(Step::Authorize),
        2 => Just(Step::Perform),
        2 => Just(Step::Reconcile),
        4 => wait.prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::Reload),
        1 => prop::collection::vec(what(), 0..4).prop_map(Step::Without),
        2 => (1..4u64, any::<bool>()).prop_map(|(at, after)| Step::Crash { at, after }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Open,
    Succeeded,
    Failed,
}

#[derive(Clone, Debug)]
struct Done {
    id: String,
    at: u64,
    what: What,
    end: End,
}

/// What is said to an action.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Said {
    Permitted,
    Denied,
    Escalated,
}

fn owner(agent: u8) -> u8 {
    u8::from(agent == 2)
}

/// Whether a list of tests can be met by actions in this order, tried in every way there is.
fn any_way(done: &[&Done], tests: &[&dyn Fn(&Done) -> bool]) -> bool {
    let Some((first, rest)) = tests.split_first() else { return true };
    (0..done.len()).any(|at| first(done[at]) && any_way(&done[at + 1..], rest))
}

#[derive(Default)]
struct Model(Vec<Done>);

impl Model {
    fn says(&self, now: u64, what: &What) -> Said {
        let since = |minutes: u64| self.0.iter().filter(move |done| done.at + minutes * MINUTE > now);
        let kind = KINDS[what.kind];
        if kind == "swap" {
            let own: Vec<&Done> = since(5).filter(|done| done.what.agent == what.agent).collect();
            let read = |done: &Done| KINDS[done.what.kind] == "price.read" && done.what.venue != what.venue;
            return if any_way(&own, &[&read]) { Said::Denied } else { Said::Permitted };
        }
        if kind != "transfer" {
            return Said::Permitted;
        }
        let ours = |done: &&Done| owner(done.what.agent) == owner(what.agent);
        let runs = |open: bool| {
            let ended = move |done: &Done, end| done.end == end || done.end == End::Open && open;
            let transfers: Vec<&Done> =
                since(60).filter(ours).filter(|done| KINDS[done.what.kind] == "transfer").collect();
            let mut last = transfers.iter().rev().take(3);
            let failing = transfers.len() >= 3 && last.all(|done| ended(done, End::Failed));
            let approved = move |done: &Done| {
                KINDS[done.what.kind] == "approve" && done.what.to == what.to && ended(done, End::Succeeded)
            };
            let read =
                |done: &Done| KINDS[done.what.kind] == "price.read" && VENUES[done.what.venue] != "dark";
            let all: Vec<&Done> = since(10).filter(ours).collect();
            (failing, any_way(&all, &[&approved, &read]))
        };
        let ((failing, prepared), (may_fail, may_prepare)) = (runs(false), runs(true));
        if failing || prepared {
            Said::Denied
        } else if may_fail || may_prepare {
            Said::Escalated
        } else {
            Said::Permitted
        }
    }
}

fn action(id: &str, what: &What) -> Action {
    let does: Value = match what.does {
        Does::Ok => json!("ok"),
        Does::Fail => json!("fail"),
        Does::LostAndDone | Does::LostAndNot => json!("lost"),
    };
    let params = json!({
        "to": format!("to-{}", what.to),
        "venue": VENUES[what.venue],
        "does": does,
        "found": what.does == Does::LostAndDone,
        "what": [what.agent, what.kind, what.to, what.venue],
    });
    let actor = format!("agent-{}", what.agent);
    let action = Action::new(id.parse().unwrap(), KINDS[what.kind].parse().unwrap(), actor.parse().unwrap());
    action.unwrap().with_params(params).unwrap()
}

fn said<T>(result: &Result<T, GateError>) -> Said {
    match result {
        Err(GateError::Denied { .. }) => Said::Denied,
        Err(GateError::Escalated(_)) => Said::Escalated,
        _ => Said::Permitted,
    }
}

struct Run {
    store: Arc<CrashStore>,
    clock: ManualClock,
    process: Process,
    model: Model,
    permits: Vec<(String, Permit)>,
    lost: Vec<(String, bool)>,
    next: u32,
}

impl Run {
    fn new() -> Self {
        let store = CrashStore::new(Arc::new(MemoryEventStore::new()));
        let clock = ManualClock::default();
        clock.advance(Duration::from_millis(1_000 * MINUTE));
        let process = Process::new(store.clone(), &clock, RULES);
        let model = Model::default();
        Self { store, clock, process, model, permits: Vec::new(), lost: Vec::new(), next: 0 }
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
                self.process.engine.replace(Ruleset::from_toml(&other).unwrap());
            }
            Step::Without(all) => {
                let open = Ruleset::from_toml("[[rule]]\non = '*'\neffect = 'permit'\n").unwrap();
                let before = self.process.engine.replace(open);
                for what in all {
                    self.perform_one(what, |_| Said::Permitted).await;
                    if self.store.is_dead() {
                        break;
                    }
                }
                self.process.engine.replace(Ruleset::clone(&before));
            }
            Step::Crash { at, after } => {
                let point = if after { CrashPoint::After } else { CrashPoint::Before };
                self.store.crash_at(self.store.appends() + at, point);
            }
            Step::Do(what) => self.perform_one(what, |model_says| model_says).await,
            Step::Authorize(what) => self.authorize(what).await,
            Step::Perform => self.perform().await,
            Step::Reconcile => self.reconcile().await,
        }
        if self.store.is_dead() {
            self.recover().await;
        }
    }

    fn name(&mut self) -> String {
        self.next += 1;
        format!("do-{}", self.next)
    }

    fn done(&mut self, id: String, what: What, end: End) {
        let at = self.now();
        self.model.0.push(Done { id, at, what, end });
    }

    async fn perform_one(&mut self, what: What, expected: impl Fn(Said) -> Said) {
        let id = self.name();
        let expected = expected(self.model.says(self.now(), &what));
        let result = self.process.pay(action(&id, &what)).await;
        if self.store.is_dead() {
            return;
        }
        assert_eq!(said(&result), expected, "{what:?} after {:#?}", self.model.0);
        if expected != Said::Permitted {
            return;
        }
        let end = match (&result, what.does) {
            (Ok(_), Does::Ok) => End::Succeeded,
            (Err(GateError::Failed(_)), Does::Fail) => End::Failed,
            (Err(GateError::Uncertain(_)), Does::LostAndDone | Does::LostAndNot) => {
                self.lost.push((id.clone(), what.does == Does::LostAndDone));
                End::Open
            }
            other => panic!("{other:?}"),
        };
        self.done(id, what, end);
    }

    async fn authorize(&mut self, what: What) {
        let what = What { does: Does::Ok, ..what };
        let id = self.name();
        let expected = self.model.says(self.now(), &what);
        let result = self.process.gate.authorize(action(&id, &what), Context::new()).await;
        if self.store.is_dead() {
            return;
        }
        assert_eq!(said(&result), expected, "{what:?}");
        if let Ok(permit) = result {
            self.permits.push((id.clone(), permit));
            self.done(id, what, End::Open);
        }
    }

    async fn perform(&mut self) {
        let Some((id, permit)) = self.permits.pop() else { return };
        let result = self.process.gate.perform(permit, &Scripted).await;
        if self.store.is_dead() {
            return;
        }
        match result {
            Ok(_) => self.ended(&id, End::Succeeded),
            // It was never tried, and so was not done.
            Err(GateError::Expired { .. }) => self.model.0.retain(|done| done.id != id),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn ended(&mut self, id: &str, end: End) {
        self.model.0.iter_mut().find(|done| done.id == id).unwrap().end = end;
    }

    async fn reconcile(&mut self) {
        let Some((id, was_done)) = self.lost.pop() else { return };
        let result = self.process.gate.reconcile(&id.parse().unwrap(), &Scripted).await;
        if self.store.is_dead() {
            self.lost.push((id, was_done));
            return;
        }
        assert!(!result.unwrap().state.is_open());
        self.ended(&id, if was_done { End::Succeeded } else { End::Failed });
    }

    /// A new process: brings to an end what the dead one had begun, and learns from the journal what became of it.
    async fn recover(&mut self) {
        let now = self.now();
        self.restart();
        for status in self.process.gate.open_actions().await.unwrap() {
            self.process.gate.reconcile(status.action.id(), &Scripted).await.unwrap();
        }
        self.lost.clear();
        let known: BTreeMap<String, u64> =
            self.model.0.iter().map(|done| (done.id.clone(), done.at)).collect();
        self.model.0.clear();
        for event in super::world::journal(&*self.store).await {
            let daa_core::action::ActionEvent::Permitted { action, .. } = event else { continue };
            let status = self.process.gate.status(action.id()).await.unwrap().unwrap();
            let end = match status.state {
                ActionState::Succeeded(_) => End::Succeeded,
                ActionState::Failed(_) => End::Failed,
                ActionState::Expired => continue,
                other => panic!("{other:?}"),
            };
            let [agent, kind, to, venue] =
                [0, 1, 2, 3].map(|at| action.params()["what"][at].as_u64().unwrap());
            let what = What {
                agent: agent as u8,
                kind: kind as usize,
                to: to as u8,
                venue: venue as usize,
                does: Does::Ok,
            };
            let at = known.get(action.id().as_str()).copied().unwrap_or(now);
            self.model.0.push(Done { id: action.id().to_string(), at, what, end });
        }
        for id in known.keys() {
            let expired = async || {
                let status = self.process.gate.status(&id.parse().unwrap()).await.unwrap().unwrap();
                status.state == ActionState::Expired
            };
            assert!(self.model.0.iter().any(|done| done.id == *id) || expired().await, "{id} is forgotten");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_sequence_is_there_exactly_where_some_way_through_what_was_done_is_one(
        steps in prop::collection::vec(step(), 1..50),
    ) {
        runtime().block_on(async {
            let mut run = Run::new();
            for step in steps {
                run.step(step).await;
            }
        });
    }
}

/// At most one an hour for all agents of an owner.
const ONE: &str = r#"
[owner]
acme = ["agent-0", "agent-1", "agent-2"]
[sequence.second]
per = ["action.owner"]
within = "1h"
[[sequence.second.step]]
on = "transfer"
[[sequence.second.step]]
on = "transfer"
[[rule]]
on = "transfer"
when = "!sequence.second"
effect = "permit"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_would_be_second_one_is_first() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryEventStore::new());
    let clock = Arc::new(Impatient(ManualClock::default()));
    let processes: Vec<Process> = (0..3).map(|_| Process::on(store.clone(), clock.clone(), ONE)).collect();
    let mut racers = JoinSet::new();
    for number in 0..24u8 {
        let process = processes[usize::from(number) % 3].clone();
        let what = What { agent: number % 3, kind: 2, to: 0, venue: 0, does: Does::Ok };
        racers.spawn(async move { process.pay(action(&format!("do-{number}"), &what)).await });
    }
    let mut permitted = 0;
    while let Some(result) = racers.join_next().await {
        let result = result.unwrap();
        assert!(result.is_ok() || is_denied(&result), "{result:?}");
        permitted += u32::from(result.is_ok());
    }
    assert_eq!(permitted, 1);
}

#[tokio::test]
async fn who_has_no_owner_is_denied_what_counts_for_owners_and_may_do_the_rest() {
    let process = Process::new(Arc::new(MemoryEventStore::new()), &ManualClock::default(), RULES);
    let what = |kind| What { agent: 7, kind, to: 0, venue: 0, does: Does::Ok };
    process.pay(action("swap", &what(3))).await.unwrap();
    let Err(GateError::Denied { reason, .. }) = process.pay(action("transfer", &what(2))).await else {
        panic!("it is permitted")
    };
    assert!(reason.contains("action.owner is missing"), "{reason}");
}

#[tokio::test]
async fn a_failed_action_that_is_tried_again_under_its_id_was_tried_twice() {
    use daa_core::action::Executor as _;
    let rules = RULES.replace("times = 3", "times = 2");
    let (store, clock) = (Arc::new(MemoryEventStore::new()), ManualClock::default());
    let process = Process::new(store.clone(), &clock, &rules);
    // Lost, and not there: each time the permission has passed, it is permitted again.
    let what = What { agent: 0, kind: 2, to: 0, venue: 0, does: Does::LostAndNot };
    let lost = action("again", &what);
    assert!(Scripted.reconcile(&lost).await.is_ok());
    process.pay(lost.clone()).await.unwrap_err();
    clock.advance(Duration::from_secs(60));
    assert!(matches!(process.pay(lost.clone()).await, Err(GateError::Uncertain(_))));
    process.gate.reconcile(lost.id(), &Scripted).await.unwrap();
    // Two that failed, in this process and in the next one.
    for (number, process) in [process, Process::new(store, &clock, &rules)].into_iter().enumerate() {
        let next = action(&format!("next-{number}"), &What { does: Does::Ok, ..what.clone() });
        assert_eq!(said(&process.pay(next).await), Said::Denied);
    }
}

fn error(source: &str) -> String {
    Ruleset::from_toml(source).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_with_a_sequence_or_an_owner_is_told() {
    let step = |first: &str, last: &str| {
        format!(
            "[sequence.s]\nwithin='5m'\n[[sequence.s.step]]\non='a'\n{first}\n[[sequence.s.step]]\non='b'\n{last}\n"
        )
    };
    let cases = [
        ("[sequence.s]\nwithin='5m'\n".to_owned(), "line 1, column 11: a sequence needs the key \"step\""),
        (
            "[sequence.s]\nwithin='5m'\n[[sequence.s.step]]\non='a'\n".to_owned(),
            "line 3, column 1: a sequence has at least two steps, the last of which is the action at hand",
        ),
        (
            step("outcome='fails'", ""),
            "line 5, column 9: unknown outcome \"fails\", expected one of any, succeeded, failed; did you mean \"failed\"?",
        ),
        (
            step("", "outcome='failed'"),
            "line 8, column 1: the last step of a sequence is the action at hand: it has only on and when",
        ),
        (step("times=16", ""), ""),
        (step("times=17", ""), "line 3, column 1: steps in a sequence: at most 16 are allowed"),
        (
            step("same=['action.parms.to']", ""),
            "line 5, column 15: unknown attribute action.parms: action has id, kind, actor, params, cost; did you mean \"params\"?",
        ),
        (
            // What the first step has, the last one does not.
            format!(
                "{}[action.a.params]\nto='string'\n[action.b.params]\nwho='string'\n",
                step("same=['action.params.to']", "")
            ),
            "line 5, column 22: unknown attribute action.params.to: [params] declares who",
        ),
        (step("when='action.cost'", ""), "line 5, column 7: a condition is true or false, this one is money"),
        (
            format!("{}[[rule]]\non='b'\neffect='deny'\nwhen='sequence.s > 1'\n", step("", "")),
            "line 12, column 7: sequence.s > 1: bool > int is not defined",
        ),
        ("[owner]\na=['x']\nb=['x']\n".to_owned(), "line 3, column 4: x has an owner already"),
        (
            "[[rule]]\non='b'\neffect='deny'\nwhen='action.owner == \"a\"'\n".to_owned(),
            "line 4, column 14: unknown attribute action.owner: action has id, kind, actor, params, cost",
        ),
        (
            "[window.w]\non='a'\ncalendar='fortnight'\n".to_owned(),
            "line 3, column 10: unknown period \"fortnight\", expected one of day, week, month",
        ),
        (
            "[window.w]\non='a'\ncalendar='day'\nzone='Europe/Berln'\n".to_owned(),
            "line 4, column 6: \"Europe/Berln\" is no time zone; expected a name such as \"UTC\" or \"Europe/Berlin\"",
        ),
        (
            "[window.w]\non='a'\ncalendar='day'\nspan='1h'\n".to_owned(),
            "line 4, column 6: a window has a span or a calendar, and a zone only with a calendar",
        ),
    ];
    for (source, expected) in cases {
        let found = if expected.is_empty() {
            Ruleset::from_toml(&source).unwrap();
            String::new()
        } else {
            error(&source)
        };
        assert_eq!(found, expected, "{source}");
    }
}

#[test]
fn the_hash_covers_sequences_owners_and_calendars() {
    let digest = |source: &str| Ruleset::from_toml(source).unwrap().digest();
    let original = format!(
        "{}{}",
        "[owner]\nacme = ['x']\n[window.w]\non='a'\ncalendar='day'\nzone='UTC'\nper=['action.owner']\n",
        RULES
            .split_once("[sequence.elsewhere]")
            .map(|(_, rest)| format!("[sequence.elsewhere]{rest}"))
            .unwrap()
    );
    let changes = [
        ("acme = ['x']", "acme = ['y']"),
        ("acme = ['x']", "bolt = ['x']"),
        ("calendar='day'", "calendar='week'"),
        ("zone='UTC'", "zone='Europe/Berlin'"),
        ("within = \"5m\"", "within = \"6m\""),
        ("in_a_row = true", "in_a_row = false"),
        ("outcome = \"failed\"", "outcome = \"succeeded\""),
        ("times = 3", "times = 4"),
        ("other = [\"action.params.venue\"]", "same = [\"action.params.venue\"]"),
        ("other = [\"action.params.venue\"]", "other = [\"action.params.to\"]"),
        ("same = [\"action.params.to\"]\n", ""),
        ("!= \"dark\"", "!= \"light\""),
        ("on = \"price.read\"", "on = \"price.look\""),
        ("on = \"swap\"\n\n", "on = \"swap\"\nwhen = \"has(action.cost)\"\n\n"),
        ("sequence.elsewhere", "sequence.somewhere"),
    ];
    let mut seen = std::collections::HashMap::from([(digest(&original), "the original")]);
    for (from, to) in changes {
        let all = from == "sequence.elsewhere";
        let changed = if all { original.replace(from, to) } else { original.replacen(from, to, 1) };
        assert_ne!(changed, original, "{from} is not there");
        assert_eq!(seen.insert(digest(&changed), to), None, "{from} -> {to} is not covered");
    }
}
