//! What is counted: the windows of a ruleset, and what it wants to know whether it was seen before.

use daa_core::action::{Action, Request};
use daa_core::amount::Money;
use daa_core::clock::Timestamp;
use daa_core::digest::{Digest, DigestBuilder};
use daa_core::id::{ActionKind, StreamId};

use super::event::Entry;
use super::extent::Extent;
use super::quantity::Quantity;
use super::sequence::Sequence;
use super::tally::Bounds;
use crate::attribute::Type;
use crate::condition::{Budget, Condition, Counted, Indeterminate, Key, quantity};
use crate::limits::Limits;
use crate::pattern::KindPattern;

/// What the names of the streams of windows begin with.
const WINDOWS: &str = "rules.window/";
/// What the names of the streams of what was seen begin with.
const SEEN: &str = "rules.seen/";
/// What the names of the streams of sequences begin with.
const SEQUENCES: &str = "rules.sequence/";

/// Something that a ruleset counts.
#[derive(Clone, Debug)]
pub(crate) struct Counter {
    /// What conditions call it, such as `window.daily`.
    pub(crate) path: String,
    pub(crate) name: String,
    /// Of a sequence, the kind of its last step.
    on: KindPattern,
    pub(crate) when: Option<Condition>,
    pub(crate) measure: Measure,
    /// Actions count together where all of these are the same.
    pub(crate) per: Vec<Condition>,
    digest: Digest,
}

/// What is counted of an action.
#[derive(Clone, Debug)]
pub(crate) enum Measure {
    /// That there was one.
    Count { extent: Extent },
    /// A number, or money.
    Sum { of: Condition, extent: Extent },
    /// When the first one was.
    Seen,
    /// What it was in a sequence.
    Sequence(Sequence),
}

impl Measure {
    /// The name of the tables that declare it, and the root of what conditions call it.
    const fn root(&self) -> &'static str {
        match self {
            Self::Count { .. } | Self::Sum { .. } => "window",
            Self::Seen => "seen",
            Self::Sequence(_) => "sequence",
        }
    }
}

/// Where an action counts, and how much.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) stream: StreamId,
    pub(crate) amount: Quantity,
    /// The currency, where it is money.
    pub(crate) code: Option<String>,
}

/// What the names of the streams begin with that counts are kept in.
const STREAMS: [&str; 3] = [WINDOWS, SEEN, SEQUENCES];

/// Whether counts are kept in a stream of this name.
pub(crate) fn is_ours(stream: &StreamId) -> bool {
    STREAMS.iter().any(|prefix| stream.as_str().starts_with(prefix))
}

impl Counter {
    pub(crate) fn new(
        name: &str,
        on: KindPattern,
        when: Option<Condition>,
        measure: Measure,
        per: Vec<Condition>,
    ) -> Self {
        let path = format!("{}.{name}", measure.root());
        let mut counter =
            Self { path, name: name.to_owned(), on, when, measure, per, digest: Digest::of(b"") };
        let mut digest = Digest::builder("daa rules counter v1");
        counter.describe(&mut digest);
        counter.digest = digest.finish();
        counter
    }

    /// The hash of its definition. What was counted under it counts as long as it stays the same.
    pub(crate) const fn digest(&self) -> Digest {
        self.digest
    }

    /// Adds everything that has a meaning.
    pub(crate) fn describe(&self, out: &mut DigestBuilder) {
        out.add(self.path.as_bytes());
        out.add(self.on.to_string().as_bytes());
        match &self.when {
            None => out.add(b"always"),
            Some(when) => {
                out.add(b"when");
                when.digest(out);
            }
        }
        match &self.measure {
            Measure::Count { .. } => out.add(b"count"),
            Measure::Sum { of, .. } => {
                out.add(b"sum");
                of.digest(out);
            }
            Measure::Seen => out.add(b"seen"),
            Measure::Sequence(sequence) => {
                out.add(b"sequence");
                sequence.describe(out);
            }
        }
        match self.extent() {
            Some(extent) => extent.describe(out),
            None => out.add(&0u128.to_le_bytes()),
        }
        out.add(&(self.per.len() as u64).to_le_bytes());
        self.per.iter().for_each(|key| key.digest(out));
    }

    /// How long an action counts; `None` for ever.
    pub(crate) const fn extent(&self) -> Option<&Extent> {
        match &self.measure {
            Measure::Count { extent } | Measure::Sum { extent, .. } => Some(extent),
            Measure::Sequence(sequence) => Some(&sequence.within),
            Measure::Seen => None,
        }
    }

    /// How long, and how many actions count.
    pub(crate) const fn bounds(&self) -> Bounds<'_> {
        let most = match self.measure {
            Measure::Sequence(_) => Limits::SEQUENCE,
            _ => Limits::COUNTED,
        };
        Bounds { extent: self.extent(), most }
    }

    /// Whether it may count actions of this kind.
    pub(crate) fn matches(&self, kind: &ActionKind) -> bool {
        match &self.measure {
            Measure::Sequence(sequence) => sequence.matches(kind),
            _ => self.on.matches(kind),
        }
    }

    /// Whether what an action costs in the end is what counts of it.
    pub(crate) fn is_by_cost(&self) -> bool {
        matches!(&self.measure, Measure::Sum { of, .. } if of.is_cost())
    }

    /// Whether money is counted, each currency by itself.
    pub(crate) fn is_money(&self) -> bool {
        matches!(&self.measure, Measure::Sum { of, .. } if *of.kind() == Type::Money)
    }

    /// What has to be known before it can be told whether an action counts, and where.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &str> {
        let (of, sequence) = match &self.measure {
            Measure::Sum { of, .. } => (Some(of), None),
            Measure::Sequence(sequence) => (None, Some(sequence)),
            Measure::Count { .. } | Measure::Seen => (None, None),
        };
        let steps = sequence.into_iter().flat_map(Sequence::conditions);
        self.when.iter().chain(of).chain(&self.per).chain(steps).flat_map(Condition::given)
    }

    /// Whether an action of its kind counts.
    pub(crate) fn applies(&self, request: &Request<'_>, budget: &mut Budget) -> Result<bool, Indeterminate> {
        if let Measure::Sequence(sequence) = &self.measure {
            return sequence.trace(request, budget).map(|trace| trace.is_some());
        }
        self.when.as_ref().map_or(Ok(true), |when| when.holds(request, budget))
    }

    /// The name under which it is told why one more action cannot be counted.
    pub(crate) fn uncountable(&self) -> String {
        format!("{}.uncountable", self.path)
    }

    /// Whether what was gathered says that one more action can be counted.
    pub(crate) fn has_room(&self, request: &Request<'_>) -> Result<(), Indeterminate> {
        let unknown =
            |why: &str| Indeterminate::Unknown { path: self.path.as_str().into(), why: why.to_owned() };
        let given = request.given.ok_or_else(|| unknown("nobody gathered it"))?;
        match given.fact(&self.uncountable()) {
            Some(why) => Err(unknown(why.as_str().unwrap_or_default())),
            None => Ok(()),
        }
    }

    /// Where an action counts, or would count.
    pub(crate) fn place(&self, request: &Request<'_>, budget: &mut Budget) -> Result<Place, Indeterminate> {
        let (amount, code) = match &self.measure {
            Measure::Count { .. } | Measure::Seen | Measure::Sequence(_) => (Quantity::ONE, None),
            Measure::Sum { of, .. } => match of.amount(request, budget)? {
                Counted::Number(number) => (number, None),
                Counted::Money(amount, code) => (amount, Some(code)),
            },
        };
        let mut key = Digest::builder("daa rules count key v1").field(self.digest.as_bytes());
        for part in &self.per {
            match part.key(request, budget)? {
                Key::Text(text) => key = key.field(b"text").field(text.as_bytes()),
                Key::Int(int) => key = key.field(b"int").field(&int.to_le_bytes()),
                Key::Bool(bool) => key = key.field(b"bool").field(&[u8::from(bool)]),
            }
        }
        let stream = self.stream(key, code.as_deref())?;
        Ok(Place { stream, amount, code })
    }

    /// The one stream of a counter without keys; of money, in the currency of this code.
    pub(super) fn whole(&self, code: Option<&str>) -> Result<StreamId, Indeterminate> {
        let key = Digest::builder("daa rules count key v1").field(self.digest.as_bytes());
        self.stream(key, code)
    }

    fn stream(&self, key: DigestBuilder, code: Option<&str>) -> Result<StreamId, Indeterminate> {
        let key = match code {
            Some(code) => key.field(b"money").field(code.as_bytes()),
            None => key.field(b"number"),
        };
        let prefix = match self.measure {
            Measure::Count { .. } | Measure::Sum { .. } => WINDOWS,
            Measure::Seen => SEEN,
            Measure::Sequence(_) => SEQUENCES,
        };
        let stream = StreamId::joined(&[prefix, &self.name, "/", &key.finish().to_string()]);
        stream.map_err(|_| Indeterminate::Missing(self.path.as_str().into()))
    }

    /// What is written down of an action that counts.
    pub(crate) fn entry(
        &self,
        request: &Request<'_>,
        place: &Place,
        at: Timestamp,
        budget: &mut Budget,
    ) -> Result<Entry, Indeterminate> {
        let trace = match &self.measure {
            Measure::Sequence(sequence) => sequence.trace(request, budget)?,
            _ => None,
        };
        let (action, amount) = (request.action.id().clone(), place.amount);
        Ok(Entry { action, at, amount, open: true, by_cost: self.is_by_cost(), trace })
    }
}

/// What counts of an action that took effect: what it cost, where that is what counts.
pub(crate) fn settled(entry: &Entry, action: &Action, cost: Option<Money>) -> Quantity {
    if !entry.by_cost {
        return entry.amount;
    }
    let same =
        |cost: &Money| action.max_cost().is_some_and(|max| max.currency().code() == cost.currency().code());
    match cost {
        None => Quantity::ZERO,
        Some(cost) if same(&cost) => quantity(cost).unwrap_or(entry.amount),
        // What was counted is all that is known of this currency.
        Some(_) => entry.amount,
    }
}
