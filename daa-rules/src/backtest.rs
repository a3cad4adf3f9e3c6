//! What a ruleset would have decided.

mod firings;

use std::fmt;

use daa_core::action::{ActionEvent, Verdict};
use daa_core::clock::Timestamp;
use daa_core::event::{DecodeError, Position, RecordedEvent};
use daa_core::id::ActionId;
use serde::Serialize;

use crate::coverage::Coverage;
use crate::explain::{Decided, effect};
use crate::ruleset::{Effect, Ruleset};

use firings::FiringTest;
pub use firings::{FiringChange, Firings};

/// Examples that are kept of each kind of change.
const EXAMPLES: usize = 5;

/// Decides by a ruleset what was decided before, one event after the other, and keeps what differs.
///
/// Its memory does not grow with the number of events.
///
/// What it tells rests on what is on record: the action, and what was known beside it when it was decided.
#[derive(Clone, Debug)]
pub struct Backtest<'r> {
    ruleset: &'r Ruleset,
    report: BacktestReport,
    firings: FiringTest,
}

/// What a ruleset would have decided, against what was decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BacktestReport {
    /// How many decisions there were.
    pub decisions: u64,
    /// How many would have been the same.
    pub same: u64,
    /// How many were decided by other rules than these.
    pub other_ruleset: u64,
    /// How many events of actions could not be read.
    pub unreadable: u64,
    /// What would have been decided otherwise, by what was decided and what would have been.
    pub changes: Vec<Change>,
    /// What rules would have done that do something.
    pub firings: Firings,
    /// How often each rule would have matched, and mattered.
    pub coverage: Coverage,
}

/// Decisions that would have been others.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Change {
    /// What was decided.
    pub was: Effect,
    /// What would have been decided.
    pub would_be: Effect,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<ChangedDecision>,
}

/// A decision that would have been another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ChangedDecision {
    /// Where it stands in the log.
    pub position: Position,
    /// When it was decided.
    pub at: Timestamp,
    /// What was asked for.
    pub action: ActionId,
    /// What was decided.
    pub was: Verdict,
    /// What would have been decided.
    pub would_be: Verdict,
}

impl<'r> Backtest<'r> {
    /// Nothing decided yet.
    #[must_use]
    pub fn new(ruleset: &'r Ruleset) -> Self {
        let report = BacktestReport {
            decisions: 0,
            same: 0,
            other_ruleset: 0,
            unreadable: 0,
            changes: Vec::new(),
            firings: Firings::default(),
            coverage: Coverage::of(ruleset),
        };
        Self { ruleset, report, firings: FiringTest::default() }
    }

    /// Decides the next recorded event again, if it is a decision, and looks what it triggers.
    ///
    /// # Errors
    /// [`DecodeError`] for an event of an action or of rules that does not decode; it is counted, and the next one may
    /// come.
    pub fn observe(&mut self, recorded: &RecordedEvent) -> Result<(), DecodeError> {
        let report = &mut self.report;
        let watched = self.firings.observe(self.ruleset, recorded, &mut report.firings, &mut report.coverage);
        if watched.is_err() {
            report.unreadable += 1;
        }
        watched?;
        match ActionEvent::read(recorded) {
            Ok(Some(event)) => {
                if let Some(decided) = Decided::of(&event) {
                    self.decide(&decided.by_rules(), recorded.position, recorded.at);
                }
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => {
                self.report.unreadable += 1;
                Err(error)
            }
        }
    }

    fn decide(&mut self, decided: &Decided<'_>, position: Position, at: Timestamp) {
        let report = &mut self.report;
        let would_be = report.coverage.decide(self.ruleset, &decided.request(at));
        report.decisions += 1;
        report.other_ruleset += u64::from(decided.verdict.ruleset != would_be.ruleset);
        let (was, now) = (effect(&decided.verdict.decision), effect(&would_be.decision));
        if was == now {
            report.same += 1;
            return;
        }
        let known = report.changes.iter().position(|change| change.was == was && change.would_be == now);
        let known = known.unwrap_or_else(|| {
            report.changes.push(Change { was, would_be: now, count: 0, examples: Vec::new() });
            report.changes.len() - 1
        });
        let Some(change) = report.changes.get_mut(known) else { return };
        change.count += 1;
        if change.examples.len() < EXAMPLES {
            let (action, was) = (decided.action.id().clone(), decided.verdict.clone());
            change.examples.push(ChangedDecision { position, at, action, was, would_be });
        }
    }

    /// What came of it.
    #[must_use]
    pub fn report(self) -> BacktestReport {
        let mut report = self.report;
        self.firings.end(&mut report.firings);
        report
    }
}

impl fmt::Display for BacktestReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { decisions, same, other_ruleset, unreadable, changes, firings, .. } = self;
        writeln!(
            f,
            "{decisions} decisions, {same} of them would be the same; {other_ruleset} were made by other rules"
        )?;
        if *unreadable > 0 {
            writeln!(f, "{unreadable} events of actions could not be read")?;
        }
        firings.fmt(f)?;
        for Change { was, would_be, count, examples } in changes {
            writeln!(f, "{count} times {was} would be {would_be}, such as")?;
            for ChangedDecision { position, action, would_be, .. } in examples {
                writeln!(f, "  {action} at {position}: {}", crate::explain::Told(would_be))?;
            }
        }
        Ok(())
    }
}
