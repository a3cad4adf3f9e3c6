//! What the conditions of a ruleset may refer to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use daa_core::id::SourceId;

use crate::attribute::{Members, Type};
use crate::owners::Owners;
use crate::pattern::KindPattern;

/// What conditions may refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// The declared facts; there are no others.
    pub(crate) context: Members,
    /// The declared parameters of kinds that declare none of their own; `None` admits any.
    pub(crate) params: Option<Members>,
    /// Kinds that declare their own parameters, by pattern.
    pub(crate) kinds: Vec<Kind>,
    /// The facts that providers tell, and nobody else.
    pub(crate) provided: BTreeSet<String>,
    /// Whom agents belong to.
    pub(crate) owners: Arc<Owners>,
    /// What is counted or set, by its whole name, such as `window.daily`.
    pub(crate) given: BTreeMap<String, Type>,
    /// Counters that count by key: only beside an action can they be asked for.
    pub(crate) keyed: BTreeSet<String>,
    /// Kinds of event, by pattern.
    pub(crate) events: Vec<Kind>,
    /// The fields of notifications, by their names.
    pub(crate) notifications: BTreeMap<String, Members>,
}

/// What is declared of some kinds of action, or of event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) pattern: KindPattern,
    /// The parameters, or the data.
    pub(crate) params: Option<Members>,
    /// Of events: where their data comes from, if that is no place to be trusted.
    pub(crate) untrusted: Option<SourceId>,
}

/// The parameters that a rule may use, which depend on the kinds of action that it is about.
#[derive(Clone, Debug)]
pub(crate) enum Params<'s> {
    /// Any, of any type.
    Any,
    /// These.
    Of(&'s Members),
    /// The rule is about kinds that declare different parameters.
    Several(Vec<Option<&'s Members>>),
}

impl<'s> Params<'s> {
    /// What is declared; nothing where any may be used.
    pub(crate) fn declared(&self) -> Vec<&'s Members> {
        match self {
            Self::Any => Vec::new(),
            Self::Of(members) => vec![*members],
            Self::Several(all) => all.iter().copied().flatten().collect(),
        }
    }
}

impl Schema {
    /// The parameters that a rule about these kinds may use.
    ///
    /// What is declared of a kind is what the longest pattern that covers it declares, and `[params]` where there is
    /// none.
    pub(crate) fn params_of(&self, on: &KindPattern) -> Params<'_> {
        of(&self.kinds, self.params.as_ref(), on)
    }

    /// The data that a rule about these kinds of event may use. It has to be declared.
    pub(crate) fn data_of(&self, on: &KindPattern) -> Params<'_> {
        of(&self.events, None, on)
    }

    /// Where the data of events of a kind comes from, if that is no place to be trusted.
    pub(crate) fn source_of(&self, kind: &str) -> Option<&SourceId> {
        let covers = |of: &&Kind| of.pattern.covers_text(kind);
        self.events.iter().filter(covers).max_by_key(|of| of.pattern.len())?.untrusted.as_ref()
    }

    /// Whether kinds are declared, and this pattern meets none of them.
    pub(crate) fn is_stranger(&self, on: &KindPattern) -> bool {
        !self.kinds.is_empty()
            && !self.kinds.iter().any(|kind| kind.pattern.covers(on) || on.covers(&kind.pattern))
    }
}

/// What those of these declarations say that a pattern meets: the longest one that covers it, `otherwise` where there is
/// none, and those that it covers itself.
fn of<'s>(kinds: &'s [Kind], otherwise: Option<&'s Members>, on: &KindPattern) -> Params<'s> {
    let general = kinds.iter().filter(|kind| kind.pattern.covers(on));
    let nearest = general.max_by_key(|kind| kind.pattern.len());
    let nearest = nearest.map_or(otherwise, |kind| kind.params.as_ref());
    let special = kinds.iter().filter(|kind| on.covers(&kind.pattern) && kind.pattern != *on);
    let mut all: Vec<_> = special.map(|kind| kind.params.as_ref()).collect();
    if all.is_empty() {
        return nearest.map_or(Params::Any, Params::Of);
    }
    // Kinds that are declared nowhere are none that the rule's author thinks of, unless `[params]` speaks of them.
    if nearest.is_some() {
        all.push(nearest);
    }
    match all.as_slice() {
        [only] => only.map_or(Params::Any, Params::Of),
        _ => Params::Several(all),
    }
}
