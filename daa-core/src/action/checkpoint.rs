//! How far the long streams of actions were read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::journal::ActionStatus;
use crate::id::ActionId;

/// The stream of an action is long when it has more events than this.
const LONG: u64 = 100;
/// The most actions that are remembered.
const MAX_KEPT: usize = 256;

/// Where actions with long streams stood when they were last looked at: one that is tried for as long as it takes
/// is read on from there, and not whole for each try.
#[derive(Clone, Debug, Default)]
pub(super) struct Checkpoints(Arc<Mutex<BTreeMap<ActionId, ActionStatus>>>);

impl Checkpoints {
    pub(super) fn of(&self, id: &ActionId) -> Option<ActionStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Takes note of where an action stands, as long as it goes on from there.
    pub(super) fn note(&self, id: &ActionId, status: Option<&ActionStatus>) {
        let goes_on = |status: &&ActionStatus| {
            status.version.get() > LONG && (status.state.is_open() || status.state.may_be_asked_again())
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(status) = status.filter(goes_on) else {
            kept.remove(id);
            return;
        };
        kept.insert(id.clone(), status.clone());
        if kept.len() > MAX_KEPT {
            kept.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Action, ActionEvent, Context, Decision, Verdict};
    use crate::clock::Timestamp;
    use crate::digest::Digest;
    use crate::event::Version;

    fn status(id: &str, version: u64) -> ActionStatus {
        let action = Action::new(id.parse().unwrap(), "greet".parse().unwrap(), "alice".parse().unwrap());
        let action = action.unwrap();
        let verdict = Verdict::new(Decision::Permit, Digest::of(b"rules"), Vec::new());
        let permitted = ActionEvent::Permitted {
            digest: action.digest(),
            action,
            context: Context::new(),
            verdict,
            reservation: None,
            expires: Timestamp::EPOCH,
            endorsement: None,
            salt: None,
        };
        ActionStatus::after(None, permitted, Version::new(version)).unwrap()
    }

    #[test]
    fn only_long_streams_that_go_on_are_remembered_and_only_so_many() {
        let kept = Checkpoints::default();
        let id: ActionId = "a".parse().unwrap();
        kept.note(&id, Some(&status("a", LONG)));
        assert_eq!(kept.of(&id), None);
        kept.note(&id, Some(&status("a", LONG + 1)));
        assert_eq!(kept.of(&id), Some(status("a", LONG + 1)));
        let ended =
            ActionEvent::Succeeded { outcome: crate::action::Outcome::new(1), overrun: None, salt: None };
        let ended = ActionStatus::after(Some(status("a", LONG + 1)), ended, Version::new(LONG + 2));
        kept.note(&id, ended.as_ref());
        assert_eq!(kept.of(&id), None);
        for number in 0..=MAX_KEPT {
            let id = format!("a{number}");
            kept.note(&id.parse().unwrap(), Some(&status(&id, LONG + 1)));
        }
        assert_eq!(kept.0.lock().unwrap().len(), MAX_KEPT);
    }
}
