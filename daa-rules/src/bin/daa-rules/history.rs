//! `daa-rules explain` and `daa-rules backtest`: over a journal, one event at a time.

use std::collections::VecDeque;
use std::path::Path;

use daa_core::action::{Action, ActionEvent};
use daa_core::event::RecordedEvent;
use daa_core::id::ActionId;
use daa_rules::{Backtest, Decided, Fired, Journal};

use crate::output::{Done, Findings, Output, reader, ruleset, tell};

/// Which decisions are wanted.
pub(crate) struct Wanted {
    pub(crate) action: Option<ActionId>,
    pub(crate) position: Option<u64>,
}

/// Decisions that are kept for what rules did about them.
const DECISIONS: usize = 1_024;

impl Wanted {
    fn is_fired(&self, recorded: &RecordedEvent, fired: &Fired) -> bool {
        let emitted = fired.emitted.as_ref().map(Action::id);
        self.action.as_ref().is_none_or(|action| Some(action) == emitted)
            && self.position.is_none_or(|position| position == recorded.position.get())
    }

    fn is(&self, recorded: &RecordedEvent, decided: &Decided<'_>) -> bool {
        self.action.as_ref().is_none_or(|action| action == decided.action.id())
            && self.position.is_none_or(|position| position == recorded.position.get())
    }
}

/// Explains the decisions that are wanted. It is a finding when there is none, or the ruleset decides another way.
pub(crate) fn explain(file: &Path, journal: &Path, wanted: &Wanted, out: &mut Output) -> Done {
    let Some(ruleset) = ruleset(file, out)? else { return Ok(Findings::Some) };
    let (mut found, mut differs) = (false, false);
    let mut decisions: VecDeque<RecordedEvent> = VecDeque::new();
    for recorded in Journal::new(reader(journal)?) {
        let recorded = recorded?;
        if let Some(fired) = Fired::read(&recorded)? {
            let decision =
                decisions.iter().find(|decision| fired.cause.position() == Some(decision.position));
            if wanted.is_fired(&recorded, &fired)
                && let Some(explanation) = ruleset.explain_fired(&fired, decision)
            {
                found = true;
                let head = format!("{} at {}\n", fired.rule, recorded.position);
                out.write(|| format!("{head}{explanation}{fired}\n"), &explanation)?;
            }
            continue;
        }
        let Some(event) = ActionEvent::read(&recorded)? else { continue };
        if Decided::of(&event).is_some() {
            // What rules do about a decision follows soon.
            decisions.push_back(recorded.clone());
            if decisions.len() > DECISIONS {
                decisions.pop_front();
            }
        }
        let Some(decided) = Decided::of(&event).filter(|decided| wanted.is(&recorded, decided)) else {
            continue;
        };
        let explanation = ruleset.explain_recorded(&decided, recorded.at);
        found = true;
        differs |= explanation.recorded.as_ref().is_some_and(|recorded| !recorded.same_decision);
        let head = format!("{} at {}\n", decided.action.id(), recorded.position);
        out.write(|| format!("{head}{explanation}\n"), &explanation)?;
    }
    if !found {
        eprintln!("no such decision in {}", journal.display());
    }
    Ok((differs || !found).into())
}

/// Decides a journal again. It is a finding when something would be decided another way.
pub(crate) fn backtest(file: &Path, journal: &Path, out: &mut Output) -> Done {
    let Some(ruleset) = ruleset(file, out)? else { return Ok(Findings::Some) };
    let mut test = Backtest::new(&ruleset);
    for recorded in Journal::new(reader(journal)?) {
        let recorded = recorded?;
        if let Err(error) = test.observe(&recorded) {
            tell(&error);
        }
    }
    let report = test.report();
    out.write(|| report.to_string(), &report)?;
    Ok((!report.changes.is_empty() || report.firings.differ() || report.unreadable > 0).into())
}
