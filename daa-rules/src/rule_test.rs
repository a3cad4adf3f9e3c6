//! Tests of rules, in the file of the rules.

use daa_core::action::{Request, Verdict};
use daa_core::id::RuleId;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::case::Case;
use crate::coverage::Coverage;
use crate::diagnostic::Location;
use crate::explain::effect;
use crate::limits::Limits;
use crate::ruleset::{Effect, Ruleset};
use crate::runner::Fired;
use crate::trigger::{TriggerCase, TriggerExplanation};

/// A request, and what the rules must decide.
#[derive(Clone, Debug)]
pub struct RuleTest {
    pub(crate) name: String,
    pub(crate) case: Case,
    pub(crate) expect: Effect,
    pub(crate) rules: Option<Vec<RuleId>>,
    pub(crate) at: Location,
}

impl RuleTest {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The request.
    #[must_use]
    pub const fn request(&self) -> Request<'_> {
        self.case.request()
    }

    /// What must be decided.
    #[must_use]
    pub const fn expected(&self) -> Effect {
        self.expect
    }

    /// The rules that must count, in the order in which they are reported; `None` where any may.
    #[must_use]
    pub fn expected_rules(&self) -> Option<&[RuleId]> {
        self.rules.as_deref()
    }

    /// Where it stands in the source that it was read from.
    #[must_use]
    pub const fn location(&self) -> Location {
        self.at
    }
}

/// Something that happens, and what the rules must do about it.
#[derive(Clone, Debug)]
pub struct TriggerTest {
    pub(crate) name: String,
    pub(crate) case: TriggerCase,
    pub(crate) expected: Expected,
    pub(crate) at: Location,
}

/// What rules must do.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Expected {
    /// The rules that fire, in this order.
    pub(crate) fires: Vec<RuleId>,
    /// The actions that are emitted: kind, parameters and cost as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) emits: Option<Vec<Value>>,
    /// The notifications: name, text, data, as far as they are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) notifies: Option<Vec<Value>>,
    /// What the parameters are set to in the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sets: Option<Map<String, Value>>,
}

impl TriggerTest {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What happens.
    #[must_use]
    pub const fn case(&self) -> &TriggerCase {
        &self.case
    }

    /// The rules that must fire, in this order.
    #[must_use]
    pub fn expected_rules(&self) -> &[RuleId] {
        &self.expected.fires
    }

    /// Where it stands in the source that it was read from.
    #[must_use]
    pub const fn location(&self) -> Location {
        self.at
    }
}

impl Expected {
    /// What is expected and not so; empty where all of it is.
    fn missed(&self, fired: &[Fired]) -> Vec<String> {
        let did = |fired: &&Fired| fired.problem.is_none();
        let fires: Vec<&RuleId> = fired.iter().filter(did).map(|fired| &fired.rule).collect();
        let mut missed = Vec::new();
        if !fires.iter().copied().eq(&self.fires) {
            missed.push(format!("fires {fires:?}"));
        }
        let mut differs = |what: &str, expected: &Option<Vec<Value>>, found: Vec<Value>| {
            let same = |all: &Vec<Value>| {
                all.len() == found.len() && all.iter().zip(&found).all(|(a, b)| is_part(a, b))
            };
            if !expected.as_ref().is_none_or(same) {
                missed.push(format!("{what} {}", Value::Array(found)));
            }
        };
        let emitted = fired.iter().filter_map(|fired| fired.emitted.as_ref()).map(|action| {
            let cost = action.max_cost().map(|cost| cost.to_string());
            json!({ "kind": action.kind(), "params": action.params(), "cost": cost })
        });
        differs("emits", &self.emits, emitted.collect());
        let notified = fired.iter().filter_map(|fired| fired.notified.as_ref());
        let notified =
            notified.map(|told| json!({ "name": told.name, "text": told.text, "data": told.data }));
        differs("notifies", &self.notifies, notified.collect());
        let set: Map<String, Value> = fired.iter().flat_map(|fired| fired.set.clone()).collect();
        if self.sets.as_ref().is_some_and(|expected| *expected != set) {
            missed.push(format!("sets {}", Value::Object(set)));
        }
        missed.extend(fired.iter().filter_map(|fired| {
            fired.problem.as_ref().map(|problem| format!("{} does nothing: {problem}", fired.rule))
        }));
        missed
    }
}

/// Whether what is named at the top of one value is so in the other.
fn is_part(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            expected.iter().all(|(name, value)| found.get(name) == Some(value))
        }
        _ => expected == found,
    }
}

/// What a test of rules came to that do something.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TriggerOutcome {
    /// The test.
    pub name: String,
    /// Where it stands in the source that it was read from.
    pub at: Location,
    /// The rules that must fire, in this order.
    pub expected: Vec<RuleId>,
    /// What the rules do, and why.
    pub explanation: TriggerExplanation,
    /// What they do otherwise than expected, for people; empty where the test passed.
    pub missed: Vec<String>,
    /// Whether all is as expected.
    pub passed: bool,
}

/// What the tests of a ruleset came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TestReport {
    /// Each test of a decision, in the order of the file.
    pub outcomes: Vec<TestOutcome>,
    /// Each test of what rules do, in the order of the file.
    pub triggered: Vec<TriggerOutcome>,
    /// Which rules the tests reach.
    pub coverage: Coverage,
}

/// What a test came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TestOutcome {
    /// The test.
    pub name: String,
    /// Where it stands in the source that it was read from.
    pub at: Location,
    /// What must be decided.
    pub expected: Effect,
    /// The rules that must count; `None` where any may.
    pub expected_rules: Option<Vec<RuleId>>,
    /// What is decided.
    pub verdict: Verdict,
    /// Whether that is the same.
    pub passed: bool,
}

impl TestReport {
    /// Whether all tests passed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.outcomes.iter().all(|outcome| outcome.passed)
            && self.triggered.iter().all(|outcome| outcome.passed)
    }
}

impl Ruleset {
    /// The tests of decisions in its file.
    #[must_use]
    pub fn tests(&self) -> &[RuleTest] {
        &self.tests
    }

    /// The tests in its file of what rules do.
    #[must_use]
    pub fn trigger_tests(&self) -> &[TriggerTest] {
        &self.trigger_tests
    }

    /// Runs the tests in its file.
    #[must_use]
    pub fn test(&self) -> TestReport {
        let mut coverage = Coverage::of(self);
        let outcomes = self.tests().iter().map(|test| {
            let case = test.case.clone().under(self);
            let verdict = coverage.decide(self, &case.request());
            let passed = effect(&verdict.decision) == test.expect
                && test.rules.as_ref().is_none_or(|rules| *rules == verdict.rules);
            TestOutcome {
                name: test.name.clone(),
                at: test.at,
                expected: test.expect,
                expected_rules: test.rules.clone(),
                verdict,
                passed,
            }
        });
        let outcomes = outcomes.collect();
        let mut left = Limits::OCCURRENCES_IN_ALL;
        let triggered = self.trigger_tests().iter().map(|test| {
            let explanation = self.tried(&test.case, &mut coverage, &mut left);
            let mut missed = test.expected.missed(&explanation.fired);
            if explanation.cut {
                missed.push("more happens than one test, or all tests together, may look at".to_owned());
            }
            TriggerOutcome {
                name: test.name.clone(),
                at: test.at,
                expected: test.expected.fires.clone(),
                explanation,
                passed: missed.is_empty(),
                missed,
            }
        });
        TestReport { outcomes, triggered: triggered.collect(), coverage }
    }
}
