//! Which rules may match a request, without looking at the others.
//!
//! Rules are found by the kind of action that they are about, and among those by one of the equality tests in their
//! condition. What is left out is only what would be seen to be false anyway: a rule that tests an attribute which is
//! missing, or is not what is declared, is looked at. Where only those are wanted that may count, a rule is left out too that
//! tests a missing attribute and is passed over when it is indeterminate: it cannot be true.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use daa_core::action::Request;
use daa_core::id::ActionKind;
use foldhash::fast::RandomState;

use crate::condition::{Guard, Literal, Seen, Subject, Wanted};
use crate::pattern::Form;
use crate::ruleset::{OnIndeterminate, Rule};

type Map<K, V> = HashMap<K, V, RandomState>;

/// The place of a rule in the order in which rules are reported.
pub(crate) type Rank = u32;

/// The rules of a ruleset, by what they are about.
#[derive(Debug)]
pub(crate) struct Index {
    /// Places in the ruleset, by rank.
    order: Vec<usize>,
    exact: Map<ActionKind, Bucket>,
    prefixed: Map<String, Bucket>,
    /// The lengths of the prefixes.
    lengths: BTreeSet<usize>,
}

/// The rules about the same kinds of action. All ranks are in ascending order.
#[derive(Debug, Default)]
struct Bucket {
    /// All of them.
    all: Vec<Rank>,
    /// Those without an equality test.
    untested: Vec<Rank>,
    tested: Vec<Group>,
}

/// The rules that are found by the value of one attribute.
#[derive(Debug)]
struct Group {
    subject: Subject,
    all: Vec<Rank>,
    /// Those that do not ask whether the attribute is there: without it they are indeterminate, perhaps.
    unprotected: Vec<Rank>,
    /// Those among them that count when they are indeterminate.
    counting: Vec<Rank>,
    texts: Map<Arc<str>, Vec<Rank>>,
    wholes: Map<i128, Vec<Rank>>,
    bools: [Vec<Rank>; 2],
}

impl Index {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by_key(|&at| std::cmp::Reverse(rules.get(at).map_or(0, Rule::priority)));
        let mut buckets: Map<&Form, Vec<(Rank, &Rule)>> = Map::default();
        for (rank, rule) in order.iter().filter_map(|&at| rules.get(at)).enumerate() {
            // A ruleset has at most ten thousand rules.
            let rank = Rank::try_from(rank).unwrap_or(Rank::MAX);
            buckets.entry(rule.on().form()).or_default().push((rank, rule));
        }
        let mut index =
            Self { order, exact: Map::default(), prefixed: Map::default(), lengths: BTreeSet::new() };
        for (form, rules) in buckets {
            let bucket = Bucket::new(&rules);
            match form {
                Form::Exact(kind) => drop(index.exact.insert(kind.clone(), bucket)),
                Form::Prefix(prefix) => {
                    index.lengths.insert(prefix.len());
                    index.prefixed.insert(prefix.clone(), bucket);
                }
            }
        }
        index
    }

    fn buckets<'i>(&'i self, kind: &'i ActionKind) -> impl Iterator<Item = &'i Bucket> {
        let prefixes = self.lengths.iter().map_while(|&len| kind.as_str().get(..len));
        self.exact.get(kind).into_iter().chain(prefixes.filter_map(|prefix| self.prefixed.get(prefix)))
    }

    /// The rules about a kind, in the order in which they are reported.
    pub(crate) fn about<'i>(&'i self, kind: &'i ActionKind) -> impl Iterator<Item = usize> + 'i {
        let mut ranks: Vec<Rank> = Vec::new();
        self.buckets(kind).for_each(|bucket| ranks.extend_from_slice(&bucket.all));
        self.places(ranks)
    }

    /// The rules about a request that an equality test does not rule out, in the order in which they are reported.
    pub(crate) fn candidates<'i>(&'i self, request: &Request<'i>) -> impl Iterator<Item = usize> + 'i {
        let mut ranks: Vec<Rank> = Vec::new();
        let all = |group: &'i Group| group.candidates(request);
        self.buckets(request.action.kind()).for_each(|bucket| bucket.candidates(all, &mut ranks));
        self.places(ranks)
    }

    /// Those of the [candidates](Self::candidates) that may count, and whether there are others. What those come to could
    /// only be told.
    pub(crate) fn counting<'i>(
        &'i self,
        request: &Request<'i>,
    ) -> (impl Iterator<Item = usize> + use<'i>, bool) {
        let (mut ranks, mut others): (Vec<Rank>, bool) = (Vec::new(), false);
        let mut counting = |group: &'i Group| {
            let (counting, more) = group.counting(request);
            others |= more;
            counting
        };
        self.buckets(request.action.kind()).for_each(|bucket| bucket.candidates(&mut counting, &mut ranks));
        (self.places(ranks), others)
    }

    fn places(&self, mut ranks: Vec<Rank>) -> impl Iterator<Item = usize> + use<'_> {
        // What comes from one list is in order already, which sorting notices.
        ranks.sort_unstable();
        ranks.into_iter().filter_map(|rank| self.order.get(rank as usize).copied())
    }
}

impl Bucket {
    fn new(rules: &[(Rank, &Rule)]) -> Self {
        let frequency = frequency(rules);
        let mut bucket = Self::default();
        let mut places: Map<&str, usize> = Map::default();
        for (rank, rule) in rules {
            bucket.all.push(*rank);
            let Some((guard, literals)) = rarest(rule, &frequency) else {
                bucket.untested.push(*rank);
                continue;
            };
            let place = *places.entry(guard.subject.path()).or_insert_with(|| {
                bucket.tested.push(Group::new(guard.subject.clone()));
                bucket.tested.len() - 1
            });
            if let Some(group) = bucket.tested.get_mut(place) {
                group.add(*rank, rule, literals, is_protected(rule, &guard.subject));
            }
        }
        bucket
    }

    fn candidates<'i>(&'i self, mut of: impl FnMut(&'i Group) -> &'i [Rank], ranks: &mut Vec<Rank>) {
        ranks.extend_from_slice(&self.untested);
        for group in &self.tested {
            ranks.extend_from_slice(of(group));
        }
    }
}

/// How many rules test an attribute for a value.
fn frequency<'r>(rules: &[(Rank, &'r Rule)]) -> Map<(&'r str, &'r Literal), usize> {
    let mut frequency = Map::default();
    for (_, rule) in rules {
        for (guard, literals) in tests(rule) {
            for literal in literals {
                *frequency.entry((guard.subject.path(), literal)).or_default() += 1;
            }
        }
    }
    frequency
}

fn tests(rule: &Rule) -> impl Iterator<Item = (&Guard, &[Literal])> {
    rule.guards().iter().filter_map(|guard| match &guard.wanted {
        Wanted::OneOf(literals) => Some((guard, literals.as_slice())),
        Wanted::Present => None,
    })
}

/// The test of a rule that tells it best from others.
fn rarest<'r>(
    rule: &'r Rule,
    frequency: &Map<(&'r str, &'r Literal), usize>,
) -> Option<(&'r Guard, &'r [Literal])> {
    tests(rule).min_by_key(|(guard, literals)| {
        let beside = |literal| frequency.get(&(guard.subject.path(), literal)).copied().unwrap_or_default();
        literals.iter().map(beside).max().unwrap_or_default()
    })
}

/// Whether the rule asks whether the attribute is there.
fn is_protected(rule: &Rule, subject: &Subject) -> bool {
    let asks =
        |guard: &Guard| matches!(guard.wanted, Wanted::Present) && guard.subject.path() == subject.path();
    rule.guards().iter().any(asks)
}

impl Group {
    fn new(subject: Subject) -> Self {
        Self {
            subject,
            all: Vec::new(),
            unprotected: Vec::new(),
            counting: Vec::new(),
            texts: Map::default(),
            wholes: Map::default(),
            bools: Default::default(),
        }
    }

    fn add(&mut self, rank: Rank, rule: &Rule, literals: &[Literal], is_protected: bool) {
        self.all.push(rank);
        if !is_protected {
            self.unprotected.push(rank);
            // What it would hide is hidden also where nobody knows whether it holds.
            if rule.on_indeterminate() != OnIndeterminate::Skip || !rule.duties.redact.is_empty() {
                self.counting.push(rank);
            }
        }
        for literal in literals {
            match literal {
                Literal::Text(text) => self.texts.entry(Arc::clone(text)).or_default().push(rank),
                Literal::Whole(whole) => self.wholes.entry(*whole).or_default().push(rank),
                Literal::Bool(bool) => {
                    let [no, yes] = &mut self.bools;
                    if *bool { yes.push(rank) } else { no.push(rank) }
                }
            }
        }
    }

    fn candidates(&self, request: &Request<'_>) -> &[Rank] {
        match self.subject.seen(request) {
            Seen::Missing => &self.unprotected,
            seen => self.found(&seen),
        }
    }

    /// Those of the candidates that may count, and whether there are others.
    fn counting(&self, request: &Request<'_>) -> (&[Rank], bool) {
        match self.subject.seen(request) {
            Seen::Missing => (&self.counting, self.counting.len() < self.unprotected.len()),
            seen => (self.found(&seen), false),
        }
    }

    /// Those of the rules that may match with an attribute that is there.
    fn found(&self, seen: &Seen<'_>) -> &[Rank] {
        let [no, yes] = &self.bools;
        let found = match seen {
            Seen::Text(text) => self.texts.get(*text),
            Seen::Whole(whole) => self.wholes.get(whole),
            Seen::Bool(bool) => Some(if *bool { yes } else { no }),
            Seen::Other | Seen::Missing => None,
            Seen::Misfit => Some(&self.all),
        };
        found.map(Vec::as_slice).unwrap_or_default()
    }
}
