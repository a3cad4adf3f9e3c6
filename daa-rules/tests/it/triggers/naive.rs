//! The runner against an interpreter that is too simple to be wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::world::{World, settle};
use crate::runtime;

/// What a condition compares, and with what.
#[derive(Clone, Debug)]
enum Test {
    /// `event.data.n < k`
    Below(i64),
    /// `parameter.p >= k`
    AtLeast(i64),
    /// `window.count == k`
    Counted(i64),
    /// `event.data.flag`
    Flag,
    /// Both.
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Not(Box<Self>),
}

impl Test {
    fn text(&self) -> String {
        match self {
            Self::Below(k) => format!("event.data.n < {k}"),
            Self::AtLeast(k) => format!("parameter.p >= {k}"),
            Self::Counted(k) => format!("window.count == {k}"),
            Self::Flag => "event.data.flag".to_owned(),
            Self::And(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) || ({})", a.text(), b.text()),
            Self::Not(of) => format!("!({})", of.text()),
        }
    }

    /// `None` is indeterminate.
    fn holds(&self, data: &Value, parameter: i64, count: i64) -> Option<bool> {
        match self {
            Self::Below(k) => Some(data.get("n")?.as_i64()? < *k),
            Self::AtLeast(k) => Some(parameter >= *k),
            Self::Counted(k) => Some(count == *k),
            Self::Flag => data.get("flag")?.as_bool(),
            Self::And(a, b) => match (a.holds(data, parameter, count), b.holds(data, parameter, count)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (a, b) => Some(a? && b?),
            },
            Self::Or(a, b) => match (a.holds(data, parameter, count), b.holds(data, parameter, count)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (a, b) => Some(a? || b?),
            },
            Self::Not(of) => of.holds(data, parameter, count).map(|bool| !bool),
        }
    }
}

#[derive(Clone, Debug)]
enum On {
    Event(&'static str),
    /// `parameter.p` above the first, cleared at the second.
    Threshold(i64, i64),
    /// Every so many minutes.
    Minutes(i64),
}

#[derive(Clone, Copy, Debug)]
enum Does {
    /// Sets the parameter to itself and this.
    Add(i64),
    /// Emits an action with the parameter.
    Emit,
    Notify,
}

#[derive(Clone, Debug)]
struct Rule {
    on: On,
    /// Only for events.
    when: Option<Test>,
    does: Does,
    rate: u32,
}

#[derive(Clone, Debug)]
enum Step {
    Event(&'static str, Value),
    /// So many minutes pass.
    Wait(i64),
    Restart,
}

fn test() -> impl Strategy<Value = Test> {
    let leaf = prop_oneof![
        (0..5i64).prop_map(Test::Below),
        (0..5i64).prop_map(Test::AtLeast),
        (0..3i64).prop_map(Test::Counted),
        Just(Test::Flag),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Test::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Test::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|of| Test::Not(Box::new(of))),
        ]
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let on = prop_oneof![
        4 => prop::sample::select(vec!["e.a", "e.a.x", "e.a*", "e.b"]).prop_map(On::Event),
        1 => (1..5i64, 0..3i64).prop_map(|(bound, gap)| On::Threshold(bound, bound - gap)),
        1 => prop::sample::select(vec![5, 20]).prop_map(On::Minutes),
    ];
    let does = prop_oneof![(-2..4i64).prop_map(Does::Add), Just(Does::Emit), Just(Does::Notify)];
    (on, prop::option::of(test()), does, 1..4u32).prop_map(|(on, when, does, rate)| {
        let when = when.filter(|_| matches!(on, On::Event(_)));
        Rule { on, when, does, rate }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let n = prop::sample::select(vec![None, Some(json!(1)), Some(json!(3)), Some(json!("x"))]);
    let flag = prop::sample::select(vec![None, Some(json!(true)), Some(json!(false)), Some(json!(1))]);
    let data = (n, flag).prop_map(|(n, flag)| {
        let all = [("n", n), ("flag", flag)];
        all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect::<Value>()
    });
    let data = data.prop_map(|data| if data.is_null() { json!({}) } else { data });
    prop_oneof![
        6 => (prop::sample::select(vec!["e.a", "e.a.x", "e.b", "e.c"]), data).prop_map(|(kind, data)| Step::Event(kind, data)),
        2 => prop::sample::select(vec![1, 7, 31]).prop_map(Step::Wait),
        1 => Just(Step::Restart),
    ]
}

const HEAD: &str = "[event.\"*\"]\ndata = { n = 'int?', flag = 'bool?' }\n[parameter.p]\ntype = 'int'\nvalue = 0\nmin = -3\nmax = 8\n\
                    [window.count]\non = 'act'\nspan = '10m'\n[notification.n]\n[[rule]]\nid = 'gate'\non = 'act'\neffect = 'permit'\n\
                    when = 'action.params.p < 6'\n";

fn source(rules: &[Rule]) -> String {
    let mut text = HEAD.to_owned();
    for (at, Rule { on, when, does, rate }) in rules.iter().enumerate() {
        let on = match on {
            On::Event(kind) => format!("{{ event = '{kind}' }}"),
            On::Threshold(bound, clear) => {
                format!("{{ value = 'parameter.p', above = {bound}, clear = {clear} }}")
            }
            On::Minutes(minutes) => format!("{{ cron = '*/{minutes} * * * *' }}"),
        };
        text += &format!("[[rule]]\nid = 'r{at}'\non = {on}\nrate = {{ times = {rate}, span = '15m' }}\n");
        if let Some(when) = when {
            text += &format!("when = '{}'\n", when.text());
        }
        text += &match does {
            Does::Add(n) => format!("set = {{ p = 'parameter.p + {n}' }}\n"),
            Does::Emit => "emit = { kind = 'act', params = { p = 'parameter.p' } }\n".to_owned(),
            Does::Notify => format!("notify = {{ name = 'n', text = 'r{at} ${{parameter.p}}' }}\n"),
        };
    }
    text
}

/// The world as a list of rules, a number, and what was done.
#[derive(Default)]
struct Naive {
    /// In minutes.
    now: i64,
    parameter: i64,
    raised: BTreeMap<usize, bool>,
    considered: BTreeMap<usize, i64>,
    /// When each rule fired.
    fired: BTreeMap<usize, Vec<i64>>,
    /// When actions were permitted.
    acted: Vec<i64>,
    done: Vec<String>,
}

impl Naive {
    fn covers(on: &str, kind: &str) -> bool {
        on.strip_suffix('*').map_or(on == kind, |prefix| kind.starts_with(prefix))
    }

    /// All rules see what was before any of them.
    fn fire(&mut self, rules: &[Rule], triggered: Vec<usize>) {
        let before = self.parameter;
        let mut acts = Vec::new();
        for at in triggered {
            // A span begins with a firing, and has room for so many.
            let fired = self.fired.entry(at).or_default();
            if fired.first().is_some_and(|first| self.now - first >= 15) {
                fired.clear();
            }
            if fired.len() >= rules[at].rate as usize {
                continue;
            }
            fired.push(self.now);
            match rules[at].does {
                Does::Add(n) if (-3..=8).contains(&(before + n)) => {
                    self.parameter = before + n;
                    self.done.push(format!("r{at} sets {}", before + n));
                }
                Does::Add(_) => self.done.push(format!("r{at} fails")),
                Does::Emit => {
                    self.done.push(format!("r{at} emits {before}"));
                    acts.push(before);
                }
                Does::Notify => self.done.push(format!("r{at} tells r{at} {before}")),
            }
        }
        self.acted.extend(acts.into_iter().filter(|p| *p < 6).map(|_| self.now));
    }

    fn event(&mut self, rules: &[Rule], kind: &str, data: &Value) {
        let count = self.acted.iter().filter(|at| self.now - **at < 10).count() as i64;
        let triggered = rules.iter().enumerate().filter(|(_, rule)| match (&rule.on, &rule.when) {
            (On::Event(on), None) => Self::covers(on, kind),
            (On::Event(on), Some(when)) => {
                Self::covers(on, kind) && when.holds(data, self.parameter, count) == Some(true)
            }
            _ => false,
        });
        let triggered = triggered.map(|(at, _)| at).collect();
        self.fire(rules, triggered);
    }

    /// Looks at time and thresholds until nothing more happens.
    fn times(&mut self, rules: &[Rule]) {
        loop {
            let mut triggered = Vec::new();
            for (at, rule) in rules.iter().enumerate() {
                match rule.on {
                    On::Minutes(minutes) => {
                        let considered = self.considered.entry(at).or_insert(self.now);
                        let latest = self.now - self.now.rem_euclid(minutes);
                        if latest > *considered {
                            *considered = self.now;
                            triggered.push(at);
                        }
                    }
                    On::Threshold(bound, clear) => {
                        let raised = self.raised.entry(at).or_default();
                        let level = if *raised { clear } else { bound };
                        let now = self.parameter >= level;
                        if now && !*raised {
                            triggered.push(at);
                        }
                        *raised = now;
                    }
                    On::Event(_) => {}
                }
            }
            if triggered.is_empty() {
                return;
            }
            self.fire(rules, triggered);
        }
    }
}

/// What the runner did, in the same words.
async fn did(world: &World) -> Vec<String> {
    let fired = world.fired().await;
    let told = fired.iter().map(|fired| {
        let rule = &fired.rule;
        match (&fired.problem, fired.set.get("p"), &fired.notified, &fired.emitted) {
            (Some(_), ..) => format!("{rule} fails"),
            (_, Some(value), ..) => format!("{rule} sets {value}"),
            (_, _, Some(told), _) => format!("{rule} tells {}", told.text),
            (_, _, _, Some(action)) => format!("{rule} emits {}", action.params()["p"]),
            _ => format!("{rule} does nothing"),
        }
    });
    told.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn does_what_the_naive_interpreter_does(
        rules in prop::collection::vec(rule(), 1..6),
        steps in prop::collection::vec(step(), 1..14),
    ) {
        let (found, expected, outside, permitted) = runtime().block_on(async {
            let world = World::new(&source(&rules));
            let mut runner = world.begun().await;
            let mut naive = Naive::default();
            naive.times(&rules);
            for step in &steps {
                match step {
                    Step::Event(kind, data) => {
                        world.happen(kind, data.clone()).await;
                        settle(&mut runner).await.unwrap();
                        naive.event(&rules, kind, data);
                        naive.times(&rules);
                    }
                    Step::Wait(minutes) => {
                        world.pass_time(Duration::from_secs(60 * *minutes as u64));
                        settle(&mut runner).await.unwrap();
                        naive.now += minutes;
                        naive.times(&rules);
                    }
                    Step::Restart => runner = world.begun().await,
                }
            }
            (did(&world).await, naive.done, world.outside.done().len(), naive.acted.len())
        });
        prop_assert_eq!(found, expected, "{}", source(&rules));
        prop_assert_eq!(outside, permitted);
    }
}
