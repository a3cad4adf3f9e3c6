//! The engine against an interpreter that is too simple to be wrong.

use daa_core::action::{Context, Decision, Policy, Request};
use daa_core::clock::Timestamp;
use daa_rules::{RulesEngine, Ruleset};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::free_action;

/// A condition, as text and as meaning.
#[derive(Clone, Debug)]
enum Condition {
    Constant(bool),
    /// `context.NAME < n`
    FactBelow(&'static str, i64),
    /// `action.params.NAME == n`
    ParamIs(&'static str, i64),
    Has(&'static str),
    /// `action.params.NAME in [...]`
    ParamIn(&'static str, Vec<i64>),
    /// `action.kind == KIND`
    KindIs(&'static str),
    /// `context.flag`
    Flag,
    /// `context.owner.age > n`, a member of a record.
    OwnerAbove(i64),
    /// `TEXT in context.tags`, a list of strings.
    Tagged(&'static str),
    /// `context.region == TEXT`, one of two.
    RegionIs(&'static str),
    /// `action.params.list.exists(x, x > n)`
    Exists(i64),
    /// `action.params.list.all(x, x > n)`
    All(i64),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

impl Condition {
    fn text(&self) -> String {
        match self {
            Self::Constant(bool) => bool.to_string(),
            Self::FactBelow(name, n) => format!("context.{name} < {n}"),
            Self::ParamIs(name, n) => format!("action.params.{name} == {n}"),
            Self::Has(name) => format!("has(action.params.{name})"),
            Self::ParamIn(name, all) => format!("action.params.{name} in {all:?}"),
            Self::KindIs(kind) => format!("action.kind == \"{kind}\""),
            Self::Flag => "context.flag".to_owned(),
            Self::OwnerAbove(n) => format!("context.owner.age > {n}"),
            Self::Tagged(tag) => format!("\"{tag}\" in context.tags"),
            Self::RegionIs(region) => format!("context.region == \"{region}\""),
            Self::Exists(n) => format!("action.params.list.exists(x, x > {n})"),
            Self::All(n) => format!("action.params.list.all(x, x > {n})"),
            Self::Not(of) => format!("!({})", of.text()),
            Self::And(a, b) => format!("({}) && ({})", a.text(), b.text()),
            Self::Or(a, b) => format!("({}) || ({})", a.text(), b.text()),
        }
    }

    /// `None` is indeterminate.
    fn holds(&self, kind: &str, params: &Value, facts: &Value) -> Option<bool> {
        let elements = |n: &i64| {
            let list = params.get("list")?.as_array()?;
            Some(list.iter().map(|item| item.as_i64().map(|item| item > *n)).collect::<Vec<_>>())
        };
        match self {
            Self::Constant(bool) => Some(*bool),
            Self::FactBelow(name, n) => Some(facts.get(name)?.as_i64()? < *n),
            Self::ParamIs(name, n) => Some(params.get(name)? == n),
            Self::Has(name) => Some(params.get(name).is_some()),
            Self::ParamIn(name, all) => {
                let value = params.get(name)?;
                Some(all.iter().any(|one| value == one))
            }
            Self::KindIs(wanted) => Some(kind == *wanted),
            Self::Flag => facts.get("flag")?.as_bool(),
            Self::OwnerAbove(n) => Some(facts.get("owner")?.as_object()?.get("age")?.as_i64()? > *n),
            Self::Tagged(tag) => Some(facts.get("tags")?.as_array()?.iter().any(|one| one == tag)),
            Self::RegionIs(region) => {
                let found = facts.get("region")?.as_str()?;
                ["eu", "us"].contains(&found).then_some(found == *region)
            }
            Self::Exists(n) => elements(n)?.into_iter().fold(Some(false), or),
            Self::All(n) => elements(n)?.into_iter().fold(Some(true), and),
            Self::Not(of) => of.holds(kind, params, facts).map(|bool| !bool),
            Self::And(a, b) => and(a.holds(kind, params, facts), b.holds(kind, params, facts)),
            Self::Or(a, b) => or(a.holds(kind, params, facts), b.holds(kind, params, facts)),
        }
    }
}

fn and(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    if a == Some(false) || b == Some(false) { Some(false) } else { Some(a? && b?) }
}

fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    if a == Some(true) || b == Some(true) { Some(true) } else { Some(a? || b?) }
}

#[derive(Clone, Debug)]
struct Rule {
    on: &'static str,
    when: Option<Condition>,
    effect: &'static str,
    priority: i64,
}

const KINDS: [&str; 4] = ["pay", "pay.fast", "mail.send", "x"];
const NAMES: [&str; 3] = ["a", "b", "c"];

fn condition() -> impl Strategy<Value = Condition> {
    let name = || prop::sample::select(NAMES.to_vec());
    let leaf = prop_oneof![
        any::<bool>().prop_map(Condition::Constant),
        (name(), 0..4i64).prop_map(|(name, n)| Condition::FactBelow(name, n)),
        (name(), 0..4i64).prop_map(|(name, n)| Condition::ParamIs(name, n)),
        name().prop_map(Condition::Has),
        (name(), prop::collection::vec(0..4i64, 0..3)).prop_map(|(name, all)| Condition::ParamIn(name, all)),
        prop::sample::select(KINDS.to_vec()).prop_map(Condition::KindIs),
        Just(Condition::Flag),
        (0..4i64).prop_map(Condition::OwnerAbove),
        prop::sample::select(vec!["x", "y"]).prop_map(Condition::Tagged),
        prop::sample::select(vec!["eu", "us"]).prop_map(Condition::RegionIs),
        (0..4i64).prop_map(Condition::Exists),
        (0..4i64).prop_map(Condition::All),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|of| Condition::Not(Box::new(of))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Condition::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Condition::Or(Box::new(a), Box::new(b))),
        ]
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let on = prop::sample::select(vec!["pay", "pay.*", "pay*", "*", "mail.send", "mail.*"]);
    let effect = prop::sample::select(vec!["permit", "permit", "permit", "deny", "escalate"]);
    (on, prop::option::of(condition()), effect, -1..2i64).prop_map(|(on, when, effect, priority)| Rule {
        on,
        when,
        effect,
        priority,
    })
}

/// A number, a text where a number is expected, or nothing.
fn loose() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![(0..4i64).prop_map(|n| Some(json!(n))), Just(Some(json!("text"))), Just(None)]
}

/// The typed facts, of their type or not, or not there.
fn typed() -> impl Strategy<Value = Value> {
    let one = |values: Vec<Option<Value>>| prop::sample::select(values);
    let flag = one(vec![None, Some(json!(true)), Some(json!(false)), Some(json!(1))]);
    let owner = one(vec![
        None,
        Some(json!({ "age": 2 })),
        Some(json!({})),
        Some(json!({ "age": "2" })),
        Some(json!(2)),
    ]);
    let tags = one(vec![None, Some(json!(["x"])), Some(json!(["z", 1])), Some(json!("x"))]);
    let region = one(vec![None, Some(json!("eu")), Some(json!("us")), Some(json!("xx")), Some(json!(1))]);
    (flag, owner, tags, region).prop_map(|(flag, owner, tags, region)| {
        object(&["flag", "owner", "tags", "region"], vec![flag, owner, tags, region])
    })
}

fn object(names: &[&str], values: Vec<Option<Value>>) -> Value {
    names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?))).collect()
}

fn covers(on: &str, kind: &str) -> bool {
    on.strip_suffix('*').map_or(on == kind, |prefix| kind.starts_with(prefix))
}

/// Every rule is looked at, in order of priority; the strongest effect wins.
fn naive(rules: &[Rule], kind: &str, params: &Value, facts: &Value) -> (&'static str, Vec<String>) {
    let mut order: Vec<usize> = (0..rules.len()).collect();
    order.sort_by_key(|&at| -rules[at].priority);
    let mut counted: [Vec<String>; 3] = Default::default();
    for at in order.into_iter().filter(|&at| covers(rules[at].on, kind)) {
        let rule = &rules[at];
        let place = match (
            rule.when.as_ref().map_or(Some(true), |when| when.holds(kind, params, facts)),
            rule.effect,
        ) {
            (Some(false), _) | (None, "permit") => continue,
            (None, _) | (Some(true), "deny") => 0,
            (Some(true), "escalate") => 1,
            (Some(true), _) => 2,
        };
        counted[place].push(format!("rule-{}", at + 1));
    }
    let decision = match &counted {
        [denied, ..] if !denied.is_empty() => "deny",
        [_, escalated, _] if !escalated.is_empty() => "escalate",
        [_, _, permitted] if !permitted.is_empty() => "permit",
        _ => "deny",
    };
    (decision, counted.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn decides_as_the_naive_interpreter(
        rules in prop::collection::vec(rule(), 0..8),
        requests in prop::collection::vec(
            (
                prop::sample::select(KINDS.to_vec()),
                prop::collection::vec(loose(), 3),
                prop::option::of(prop::collection::vec(loose().prop_map(|item| item.unwrap_or(json!(true))), 0..4)),
                prop::collection::vec(loose(), 3),
                typed(),
            ),
            1..6,
        ),
    ) {
        let mut source = "[context]\na = 'int'\nb = 'int'\nc = 'int'\nflag = 'bool'\ntags = 'list(string)'\n\
                          owner = { age = 'int?' }\nregion = ['eu', 'us']\n".to_owned();
        for Rule { on, when, effect, priority } in &rules {
            source += &format!("[[rule]]\non = '{on}'\neffect = '{effect}'\npriority = {priority}\n");
            if let Some(when) = when {
                source += &format!("when = '{}'\n", when.text());
            }
        }
        let engine = RulesEngine::new(Ruleset::from_toml(&source).unwrap());
        for (kind, params, list, facts, typed) in requests {
            let mut params = object(&NAMES, params);
            if let Some(list) = list {
                params["list"] = json!(list);
            }
            let mut facts = object(&NAMES, facts);
            facts.as_object_mut().unwrap().extend(typed.as_object().unwrap().clone());
            let context = facts.as_object().unwrap().iter();
            let context = context.fold(Context::new(), |context, (name, fact)| context.with(name.clone(), fact.clone()));
            let action = free_action(kind, params.clone());
            let verdict = engine.decide(&Request::new(&action, &context, Timestamp::EPOCH));
            let found = match verdict.decision {
                Decision::Permit => "permit",
                Decision::Deny { .. } => "deny",
                Decision::Escalate { .. } => "escalate",
            };
            let ids: Vec<String> = verdict.rules.iter().map(ToString::to_string).collect();
            prop_assert_eq!((found, ids), naive(&rules, kind, &params, &facts), "{} {}", source, params);
        }
    }
}
