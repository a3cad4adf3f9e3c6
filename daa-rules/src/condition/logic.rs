//! What can be said of a condition without a request: that it is never true, that another one follows from it.
//!
//! A condition is brought into a disjunction of conjunctions of literals. A literal is a test, such as
//! `context.hour < 8`, together with what it is wanted to be, true or false. In the three-valued logic of conditions
//! this loses nothing: a condition is true exactly where all literals of one of its conjunctions are as wanted, and a
//! test that is indeterminate is neither. What is concluded is sound; what is too large to look at is left alone.

mod domain;
mod entail;
mod scalar;

use std::cell::Cell;
use std::collections::BTreeMap;

use daa_core::digest::Digest;

use super::expression::{ActionField, Expression, Operator};
use super::print::shown;
use domain::Domain;
use scalar::{Constants, Scalar};

/// Conjunctions, and literals of one conjunction, that are looked at.
const LARGEST: usize = 64;

/// A test, and what it is wanted to be.
#[derive(Clone, Debug)]
struct Literal<'e> {
    test: Test<'e>,
    wanted: bool,
    /// As it stands in the condition.
    source: &'e Expression,
}

#[derive(Clone, Debug)]
enum Test<'e> {
    /// The term is one of these.
    OneOf(&'e Expression, Vec<Scalar>),
    /// The term is less than this.
    Below(&'e Expression, Scalar),
    /// The term is greater than this.
    Above(&'e Expression, Scalar),
    /// The attribute is there.
    Present(&'e Expression),
    /// The first is less than the second, neither being constant.
    Less(&'e Expression, &'e Expression),
    Equal(&'e Expression, &'e Expression),
    /// Anything else that is true or false.
    Opaque(&'e Expression),
}

type Conjunction<'e> = Vec<Literal<'e>>;

/// The name of a term: terms of one name have one value.
pub(super) fn name(term: &Expression) -> Digest {
    let mut out = Digest::builder("daa rules term v1");
    super::encode::encode(bare(term), &mut out);
    out.finish()
}

/// The term without the check of its type: where that fails there is no value, and so nothing is as wanted.
fn bare(term: &Expression) -> &Expression {
    match term {
        Expression::Typed(of, _) => bare(of),
        other => other,
    }
}

/// A condition, looked at.
#[derive(Debug)]
pub(crate) struct Logic<'e> {
    /// `None` where it is too large.
    conjunctions: Option<Vec<Known<'e>>>,
}

/// A conjunction that can be true, and what is known where it is.
#[derive(Debug)]
struct Known<'e> {
    literals: Conjunction<'e>,
    terms: BTreeMap<Digest, Domain>,
}

/// Why a condition is never true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Never {
    /// It is false, or has no value, whatever the request is.
    Constant,
    /// Nothing is as all of these want it.
    Contradiction(Vec<String>),
}

impl<'e> Logic<'e> {
    /// Looks at a condition; where `kind` is told, of actions of this kind only.
    pub(crate) fn of(root: Option<&'e Expression>, kind: Option<&str>) -> Result<Self, Never> {
        let constants = Constants::new();
        let reader = Reader { constants: &constants, steps: Cell::new(STEPS) };
        let Some(conjunctions) = root.map_or(Some(vec![Vec::new()]), |root| reader.wanted(root, true)) else {
            return Ok(Self { conjunctions: None });
        };
        let mut possible = Vec::new();
        // Of several contradictions the first is as good as any.
        let mut never = Never::Constant;
        for literals in conjunctions {
            match Known::of(literals, kind) {
                Ok(known) => possible.push(known),
                Err(reason) if never == Never::Constant => never = Never::Contradiction(reason),
                Err(_) => {}
            }
        }
        if possible.is_empty() { Err(never) } else { Ok(Self { conjunctions: Some(possible) }) }
    }

    /// Whether the other one is true wherever this one is; `false` where that is not known.
    ///
    /// The other one may still run out of steps.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        let (Some(mine), Some(others)) = (&self.conjunctions, &other.conjunctions) else { return false };
        mine.iter().all(|known| {
            others.iter().any(|other| other.literals.iter().all(|literal| known.entails(literal)))
        })
    }

    /// Optional attributes that the condition uses, and never asks whether they are there.
    pub(crate) fn unprotected(&self, is_optional: &dyn Fn(&str) -> bool) -> Vec<String> {
        let all = || self.conjunctions.iter().flatten();
        let asked: Vec<Digest> =
            all().flat_map(|known| known.literals.iter().filter_map(Literal::asks)).collect();
        let mut found = Vec::new();
        for known in all() {
            for literal in &known.literals {
                literal.test.strict(&mut |term| {
                    let (Expression::Fact(attribute)
                    | Expression::Param(attribute)
                    | Expression::Given(attribute)) = term
                    else {
                        return;
                    };
                    let path = attribute.path.to_string();
                    if is_optional(&path) && !asked.contains(&name(term)) && !found.contains(&path) {
                        found.push(path);
                    }
                });
            }
        }
        found
    }
}

impl<'e> Known<'e> {
    /// What is known where all literals are as wanted; else those that contradict each other.
    fn of(literals: Conjunction<'e>, kind: Option<&str>) -> Result<Self, Vec<String>> {
        let mut terms: BTreeMap<Digest, Domain> = BTreeMap::new();
        let mut about: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        if let Some(kind) = kind {
            let term = Expression::Action(ActionField::Kind);
            let mut domain = Domain::of(&term);
            domain.one_of(&[Scalar::Text(kind.into())], true);
            terms.insert(name(&term), domain);
            about.insert(name(&term), vec![format!("the rule is about {kind}")]);
        }
        let names: Vec<Digest> = literals.iter().map(Literal::name).collect();
        for (at, (literal, name_of)) in literals.iter().zip(&names).enumerate() {
            let mut before = literals.iter().zip(&names).take(at);
            if let Some((other, _)) =
                before.find(|(other, name)| other.wanted != literal.wanted && *name == name_of)
            {
                return Err(vec![other.text(), literal.text()]);
            }
            for (term, narrow) in literal.effects() {
                let key = name(term);
                let domain = terms.entry(key).or_insert_with(|| Domain::of(term));
                let texts = about.entry(key).or_default();
                texts.push(literal.text());
                texts.dedup();
                narrow.apply(domain);
                if domain.is_empty() {
                    return Err(std::mem::take(texts));
                }
            }
        }
        Ok(Self { literals, terms })
    }
}

/// What a literal says of one term.
enum Narrow<'l> {
    OneOf(&'l [Scalar], bool),
    Below(&'l Scalar, bool),
    Above(&'l Scalar, bool),
    Present(bool),
    /// The term is true, or false.
    Is(bool),
}

impl Narrow<'_> {
    fn apply(&self, domain: &mut Domain) {
        match self {
            Self::OneOf(all, wanted) => domain.one_of(all, *wanted),
            Self::Below(limit, true) => domain.below(limit, false),
            Self::Below(limit, false) => domain.above(limit, true),
            Self::Above(limit, true) => domain.above(limit, false),
            Self::Above(limit, false) => domain.below(limit, true),
            Self::Present(wanted) => domain.present(*wanted),
            Self::Is(bool) => domain.one_of(&[Scalar::Bool(*bool)], true),
        }
    }
}

impl<'e> Literal<'e> {
    /// What holds of which terms where the literal is as wanted.
    fn effects(&self) -> Vec<(&Expression, Narrow<'_>)> {
        let mut effects: Vec<(&Expression, Narrow<'_>)> = Vec::new();
        // What has a value has operands that are there.
        self.test.strict(&mut |term| effects.push((term, Narrow::Present(true))));
        match &self.test {
            Test::OneOf(term, all) => effects.push((term, Narrow::OneOf(all, self.wanted))),
            Test::Below(term, limit) => effects.push((term, Narrow::Below(limit, self.wanted))),
            Test::Above(term, limit) => effects.push((term, Narrow::Above(limit, self.wanted))),
            Test::Present(term) => effects.push((term, Narrow::Present(self.wanted))),
            Test::Opaque(term) => effects.push((term, Narrow::Is(self.wanted))),
            // Of two operands nothing is known but this one test.
            Test::Less(..) | Test::Equal(..) => {}
        }
        effects
    }

    /// The name of the test: literals of one name contradict each other, or are the same.
    fn name(&self) -> Digest {
        let named = |tag: &[u8], names: &[Digest]| {
            let mut out = Digest::builder("daa rules test v1").field(tag);
            names.iter().for_each(|name| out.add(name.as_bytes()));
            out.finish()
        };
        match &self.test {
            Test::Less(left, right) => named(b"less", &[name(left), name(right)]),
            Test::Equal(left, right) => {
                let (left, right) = (name(left), name(right));
                named(b"equal", &[left.min(right), left.max(right)])
            }
            // How it is written does not matter where the term is narrowed; elsewhere it is itself.
            Test::Present(term) => named(b"present", &[name(term)]),
            Test::OneOf(..) | Test::Below(..) | Test::Above(..) => {
                // `!=`, `>=` and `<=` are told from their opposites by what is wanted.
                let opposite = if self.is_true() == self.wanted { b"same".as_slice() } else { b"other" };
                named(opposite, &[name(self.source)])
            }
            Test::Opaque(term) => named(b"opaque", &[name(term)]),
        }
    }

    /// Whether the source as it stands is true where the literal is as wanted.
    fn is_true(&self) -> bool {
        match self.source {
            Expression::Binary(Operator::NotEqual | Operator::LessEqual | Operator::GreaterEqual, ..) => {
                !self.wanted
            }
            _ => self.wanted,
        }
    }

    fn text(&self) -> String {
        let text = shown(self.source, &[]);
        if self.is_true() { text } else { format!("!({text})") }
    }

    /// The term of which it asks whether it is there.
    fn asks(&self) -> Option<Digest> {
        match &self.test {
            Test::Present(term) => Some(name(term)),
            _ => None,
        }
    }
}

impl<'e> Test<'e> {
    /// The attributes without which it has no value.
    fn strict(&self, each: &mut dyn FnMut(&'e Expression)) {
        match self {
            Self::OneOf(term, _) | Self::Below(term, _) | Self::Above(term, _) | Self::Opaque(term) => {
                strict(term, each);
            }
            Self::Less(left, right) | Self::Equal(left, right) => {
                strict(left, each);
                strict(right, each);
            }
            // Whether a member is there can be told only of something that is.
            Self::Present(Expression::Field(of, _)) => strict(of, each),
            Self::Present(_) => {}
        }
    }
}

fn strict<'e>(term: &'e Expression, each: &mut dyn FnMut(&'e Expression)) {
    match term {
        Expression::Fact(_)
        | Expression::Param(_)
        | Expression::Given(_)
        | Expression::Action(ActionField::Cost) => each(term),
        Expression::Typed(of, _) => {
            // First with its type, so that this is what is known of it.
            each(term);
            strict(of, each);
        }
        Expression::Not(of) | Expression::Negate(of) => strict(of, each),
        Expression::Field(of, _) => {
            each(term);
            strict(of, each);
        }
        Expression::Index(left, right) | Expression::Binary(_, left, right) => {
            strict(left, each);
            strict(right, each);
        }
        Expression::List(items) | Expression::Call(_, items) => {
            items.iter().for_each(|item| strict(item, each));
        }
        Expression::Fold(fold) => strict(&fold.range, each),
        Expression::If(parts) => {
            let [condition, ..] = &**parts;
            strict(condition, each);
        }
        // Either operand alone may decide; the others stand for themselves.
        _ => {}
    }
}

struct Reader<'c> {
    constants: &'c Constants,
    /// How many expressions may still be looked at: the condition of a conditional is looked at twice, and so one within
    /// another doubles the work at each level.
    steps: Cell<u32>,
}

/// What takes more steps to read is not claimed to be anything.
const STEPS: u32 = 20_000;

impl Reader<'_> {
    /// Where an expression is true, or where it is false; `None` where that is too large.
    fn wanted<'e>(&self, expression: &'e Expression, wanted: bool) -> Option<Vec<Conjunction<'e>>> {
        self.steps.set(self.steps.get().checked_sub(1)?);
        if let Some(constant) = self.constants.bool(expression) {
            return Some(if constant == Some(wanted) { vec![Vec::new()] } else { Vec::new() });
        }
        match expression {
            Expression::Not(of) => self.wanted(of, !wanted),
            Expression::And(left, right) | Expression::Or(left, right) => {
                let both = matches!(expression, Expression::And(..)) == wanted;
                let (left, right) = (self.wanted(left, wanted)?, self.wanted(right, wanted)?);
                if both { product(&left, &right) } else { union(left, right) }
            }
            Expression::If(parts) => {
                let [condition, yes, no] = &**parts;
                let yes = product(&self.wanted(condition, true)?, &self.wanted(yes, wanted)?)?;
                let no = product(&self.wanted(condition, false)?, &self.wanted(no, wanted)?)?;
                union(yes, no)
            }
            test => Some(vec![vec![self.literal(test, wanted)]]),
        }
    }

    fn literal<'e>(&self, source: &'e Expression, wanted: bool) -> Literal<'e> {
        let literal = |test, wanted| Literal { test, wanted, source };
        match source {
            Expression::Has(of) => literal(Test::Present(bare(of)), wanted),
            Expression::Binary(operator, left, right) => {
                let (test, as_is) = self.comparison(*operator, left, right, source);
                literal(test, as_is == wanted)
            }
            other => literal(Test::Opaque(other), wanted),
        }
    }

    /// The test that a comparison makes, and whether the comparison is true where the test is.
    fn comparison<'e>(
        &self,
        operator: Operator,
        left: &'e Expression,
        right: &'e Expression,
        source: &'e Expression,
    ) -> (Test<'e>, bool) {
        let scalar = |of| self.constants.scalar(of);
        match operator {
            Operator::Equal | Operator::NotEqual => {
                let test = match (scalar(left), scalar(right)) {
                    (None, Some(scalar)) => Test::OneOf(left, vec![scalar]),
                    (Some(scalar), None) => Test::OneOf(right, vec![scalar]),
                    _ => Test::Equal(left, right),
                };
                (test, operator == Operator::Equal)
            }
            Operator::In => match (right, self.constants.scalars(right)) {
                (Expression::List(_), Some(all)) => (Test::OneOf(left, all), true),
                _ => (Test::Opaque(source), true),
            },
            Operator::Less => (self.less(left, right), true),
            Operator::GreaterEqual => (self.less(left, right), false),
            Operator::Greater => (self.less(right, left), true),
            Operator::LessEqual => (self.less(right, left), false),
            _ => (Test::Opaque(source), true),
        }
    }

    fn less<'e>(&self, left: &'e Expression, right: &'e Expression) -> Test<'e> {
        let ordered = |of| self.constants.scalar(of).filter(Scalar::is_ordered);
        match (ordered(left), ordered(right)) {
            (None, Some(limit)) => Test::Below(left, limit),
            (Some(limit), None) => Test::Above(right, limit),
            _ => Test::Less(left, right),
        }
    }
}

fn product<'e>(left: &[Conjunction<'e>], right: &[Conjunction<'e>]) -> Option<Vec<Conjunction<'e>>> {
    let mut all = Vec::new();
    for a in left {
        for b in right {
            if all.len() >= LARGEST || a.len() + b.len() > LARGEST {
                return None;
            }
            all.push(a.iter().chain(b).cloned().collect());
        }
    }
    Some(all)
}

fn union<'e>(mut left: Vec<Conjunction<'e>>, right: Vec<Conjunction<'e>>) -> Option<Vec<Conjunction<'e>>> {
    left.extend(right);
    (left.len() <= LARGEST).then_some(left)
}
