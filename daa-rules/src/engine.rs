//! Decides by a ruleset, and lets it be replaced while it governs.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use daa_core::action::{Decision, Policy, Request, Verdict};
use daa_core::id::{ActionKind, RuleId};

use crate::condition::{Budget, Indeterminate};
use crate::pattern::Form;
use crate::ruleset::{Effect, Rule, Ruleset};

/// The rules that govern, as the [`Policy`] of a gate.
///
/// Cheap to clone; all clones share the rules. A decision uses exactly one ruleset, whatever is installed
/// meanwhile, and never waits for a lock.
#[derive(Clone, Debug)]
pub struct RulesEngine {
    governing: Arc<ArcSwap<Indexed>>,
}

/// A ruleset, and its rules by the kind of action they are about.
#[derive(Debug)]
struct Indexed {
    ruleset: Arc<Ruleset>,
    /// Places in `ruleset.rules()`, in the order in which they are reported.
    order: Vec<usize>,
    /// Ranks in `order`, ascending.
    exact: HashMap<ActionKind, Vec<usize>>,
    prefixed: HashMap<String, Vec<usize>>,
    /// The lengths of the prefixes.
    lengths: BTreeSet<usize>,
}

impl RulesEngine {
    /// Governs by this ruleset.
    #[must_use]
    pub fn new(ruleset: Ruleset) -> Self {
        Self { governing: Arc::new(ArcSwap::from_pointee(Indexed::new(ruleset))) }
    }

    /// The ruleset that governs.
    #[must_use]
    pub fn ruleset(&self) -> Arc<Ruleset> {
        Arc::clone(&self.governing.load().ruleset)
    }

    /// Governs by another ruleset from now on, and returns the one before. A decision that has begun ends under
    /// the ruleset it began with.
    ///
    /// A bad ruleset never comes here: it is refused when it is read, and the old one keeps governing. See
    /// [`install`](Self::install) for a replacement that is on record.
    pub fn replace(&self, ruleset: Ruleset) -> Arc<Ruleset> {
        let before = self.governing.swap(Arc::new(Indexed::new(ruleset)));
        Arc::clone(&before.ruleset)
    }
}

impl Policy for RulesEngine {
    fn decide(&self, request: &Request<'_>) -> Verdict {
        self.governing.load().decide(request)
    }
}

impl Indexed {
    fn new(ruleset: Ruleset) -> Self {
        let rules = ruleset.rules();
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(rules.get(at).map_or(0, Rule::priority)));
        let mut indexed = Self {
            exact: HashMap::new(),
            prefixed: HashMap::new(),
            lengths: BTreeSet::new(),
            order: Vec::new(),
            ruleset: Arc::new(ruleset),
        };
        for (rank, at) in order.iter().enumerate() {
            let Some(rule) = indexed.ruleset.rules().get(*at) else { continue };
            match rule.on().form() {
                Form::Exact(kind) => indexed.exact.entry(kind.clone()).or_default().push(rank),
                Form::Prefix(prefix) => {
                    indexed.lengths.insert(prefix.len());
                    indexed.prefixed.entry(prefix.clone()).or_default().push(rank);
                }
            }
        }
        indexed.order = order;
        indexed
    }

    /// The rules about a kind, in the order in which they are reported.
    fn about(&self, kind: &ActionKind) -> Vec<&Rule> {
        let prefixes = self.lengths.iter().map_while(|&len| kind.as_str().get(..len));
        let prefixed = prefixes.filter_map(|prefix| self.prefixed.get(prefix));
        let mut ranks: Vec<usize> =
            self.exact.get(kind).into_iter().chain(prefixed).flatten().copied().collect();
        ranks.sort_unstable();
        let places = ranks.iter().filter_map(|&rank| self.order.get(rank));
        places.filter_map(|&at| self.ruleset.rules().get(at)).collect()
    }

    fn decide(&self, request: &Request<'_>) -> Verdict {
        let mut budget = Budget::new();
        let mut tally = Tally::default();
        for rule in self.about(request.action.kind()) {
            let holds =
                rule.condition.as_ref().map_or(Ok(true), |condition| condition.holds(request, &mut budget));
            match holds {
                Ok(false) => {}
                Ok(true) => tally.matched(rule),
                Err(why) => tally.indeterminate(rule, &why),
            }
        }
        let (decision, rules) = tally.result(request.action.kind());
        Verdict { decision, ruleset: self.ruleset.digest(), rules }
    }
}

/// The rules that count so far.
#[derive(Default)]
struct Tally<'r> {
    denied: Vec<(&'r Rule, Option<String>)>,
    escalated: Vec<&'r Rule>,
    permitted: Vec<&'r Rule>,
    /// Permits that could not be decided, and why.
    undecided: Vec<String>,
}

impl<'r> Tally<'r> {
    fn matched(&mut self, rule: &'r Rule) {
        match rule.effect {
            Effect::Deny => self.denied.push((rule, None)),
            Effect::Escalate => self.escalated.push(rule),
            Effect::Permit => self.permitted.push(rule),
        }
    }

    fn indeterminate(&mut self, rule: &'r Rule, why: &Indeterminate) {
        let why = format!("rule {} ({}) is indeterminate: {why}", rule.id, rule.effect);
        match rule.effect {
            Effect::Deny | Effect::Escalate => self.denied.push((rule, Some(why))),
            // A hostile ruleset must not make the reason long.
            Effect::Permit if self.undecided.len() < 5 => self.undecided.push(why),
            Effect::Permit => {}
        }
    }

    fn result(self, kind: &ActionKind) -> (Decision, Vec<RuleId>) {
        let told = |rule: &Rule, verb: &str| {
            rule.reason.clone().unwrap_or_else(|| format!("rule {} {verb} {kind}", rule.id))
        };
        let decision = match (self.denied.first(), self.escalated.first(), self.permitted.first()) {
            (Some((_, Some(why))), ..) => Decision::Deny { reason: why.clone() },
            (Some((rule, None)), ..) => Decision::Deny { reason: told(rule, "denies") },
            (None, Some(rule), _) => Decision::Escalate { reason: told(rule, "escalates") },
            (None, None, Some(_)) => Decision::Permit,
            (None, None, None) => {
                let mut reason = format!("no rule permits {kind}");
                for why in &self.undecided {
                    reason.push_str("; ");
                    reason.push_str(why);
                }
                Decision::Deny { reason }
            }
        };
        let denied = self.denied.iter().map(|(rule, _)| *rule);
        let all = denied.chain(self.escalated).chain(self.permitted);
        (decision, all.map(|rule| rule.id.clone()).collect())
    }
}
