//! Actions as they are shown: without what the rules want nobody to see.

use serde_json::{Value, json};

use super::journal::ActionEvent;
use super::obligation::Obligation;
use super::policy::Verdict;
use super::request::{Action, hash_value};
use super::salt::Salt;
use crate::digest::Digest;

impl ActionEvent {
    /// The event as it may be shown to those who perform nothing. In place of each parameter that an
    /// [`Obligation::Redact`] of its verdict names stands `{"redacted": COMMITMENT}`, which is blinded by the event's
    /// [salt](super::GateBuilder::with_salts), or `{"redacted": true}` where it has none. The salt goes with what it blinds.
    /// The digest is that of the action as it is shown, also where an endorsement names it: with the salt, whoever is given
    /// the action and the salt can check both, and whoever is not cannot check a guess. Without a salt it commits to
    /// nothing that is redacted.
    ///
    /// Where it was counted is left out too: the streams are named by digests of what the rules count by.
    ///
    /// Only what the action says is redacted, and not what came of it: outcomes and errors are as the executor put them.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        let (action, digest, verdict, salt, endorsement) = match &mut self {
            Self::Permitted { action, digest, verdict, salt, endorsement, .. } => {
                (action, digest, verdict, salt, endorsement.as_mut())
            }
            Self::Withheld { action, digest, verdict, salt, .. }
            | Self::Refused { action, digest, verdict, salt, .. } => (action, digest, verdict, salt, None),
            _ => return self,
        };
        if paths(&verdict.obligations).next().is_some() {
            *action = action.redacted(&verdict.obligations, salt.as_ref());
            *digest = action.digest();
            endorsement.into_iter().for_each(|endorsement| endorsement.subject = *digest);
            *salt = None;
            uncount(verdict);
        }
        self
    }
}

impl Action {
    /// The action as it may be shown under these obligations; see [`ActionEvent::redacted`].
    #[must_use]
    pub fn redacted(&self, obligations: &[Obligation], salt: Option<&Salt>) -> Self {
        let mut paths: Vec<Vec<&str>> = paths(obligations).map(|path| path.split('.').collect()).collect();
        // Each once, and not what is inside of another: that comes right behind it.
        paths.sort_unstable();
        paths.dedup_by(|inner, outer| inner.starts_with(outer));
        let mut action = self.clone();
        for path in paths {
            hide(action.params_mut(), &path, &|value| mark(&path.join("."), value, salt));
        }
        action
    }
}

/// Takes away where the action is counted: the names of these streams are digests of what it is counted by.
fn uncount(verdict: &mut Verdict) {
    verdict.counts.clear();
    verdict.parts.iter_mut().for_each(|part| uncount(&mut part.verdict));
}

fn paths(obligations: &[Obligation]) -> impl Iterator<Item = &str> {
    let of = obligations.iter().flat_map(|obligation| match obligation {
        Obligation::Redact(paths) => paths.as_slice(),
        _ => &[],
    });
    of.map(String::as_str)
}

/// Puts the mark in place of what stands at a path, in each element where there is a list on the way.
fn hide(value: &mut Value, path: &[&str], mark: &impl Fn(&Value) -> Value) {
    match (value, path) {
        (value, []) => *value = mark(value),
        (Value::Array(items), path) => items.iter_mut().for_each(|item| hide(item, path, mark)),
        (Value::Object(map), [name, rest @ ..]) => {
            if let Some(member) = map.get_mut(*name) {
                hide(member, rest, mark);
            }
        }
        _ => {}
    }
}

fn mark(path: &str, value: &Value, salt: Option<&Salt>) -> Value {
    let Some(salt) = salt else { return json!({ "redacted": true }) };
    let mut commitment = Digest::builder("daa redacted v1").field(salt.as_bytes()).field(path.as_bytes());
    hash_value(&mut commitment, value);
    json!({ "redacted": commitment.finish().to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Context, Decision, Endorsement, PartVerdict};
    use crate::clock::Timestamp;

    fn action() -> Action {
        let action = Action::new("a".parse().unwrap(), "k".parse().unwrap(), "x".parse().unwrap()).unwrap();
        action
            .with_params(json!({ "iban": "DE1", "home": { "city": "B", "zip": 1 }, "all": [{ "n": 1 }, { "n": 2 }, 3] }))
            .unwrap()
    }

    fn shown(paths: &[&str], salt: Option<&Salt>) -> Value {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        action()
            .redacted(&[Obligation::Log("x".to_owned()), Obligation::Redact(paths)], salt)
            .params()
            .clone()
    }

    #[test]
    fn hides_what_is_named_and_nothing_else() {
        let gone = json!({ "redacted": true });
        assert_eq!(
            shown(&["iban", "home.city", "all.n", "none", "iban.none"], None),
            json!({ "iban": gone, "home": { "city": gone, "zip": 1 }, "all": [{ "n": gone }, { "n": gone }, 3] })
        );
        for paths in [&["home", "home"][..], &["home", "home.city"], &["home.city", "home", "home.zip"]] {
            assert_eq!(shown(paths, None)["home"], gone, "{paths:?}");
        }
        assert_eq!(shown(&[], None), *action().params());
    }

    #[test]
    fn what_looks_like_a_mark_is_hidden_too() {
        let sly = json!({ "iban": { "redacted": "DE1" } });
        let action = action().with_params(sly).unwrap();
        let shown = action.redacted(&[Obligation::Redact(vec!["iban".to_owned()])], None);
        assert_eq!(*shown.params(), json!({ "iban": { "redacted": true } }));
    }

    /// A decision on the action, with another account, approved by somebody.
    fn event(iban: &str, salt: Option<Salt>, paths: &[&str]) -> ActionEvent {
        let params = json!({ "iban": iban, "n": 1 });
        let action = action().with_params(params).unwrap();
        let (digest, at) = (action.digest(), Timestamp::EPOCH);
        let mut verdict = Verdict::new(Decision::Permit, Digest::of(b"rules"), Vec::new());
        verdict.counts = vec!["rules.window/daily/abc".parse().unwrap()];
        verdict.parts = vec![PartVerdict { policy: "rules".to_owned(), verdict: verdict.clone() }];
        if !paths.is_empty() {
            verdict.obligations =
                vec![Obligation::Redact(paths.iter().map(|path| (*path).to_owned()).collect())];
        }
        let endorsement = Some(Endorsement::new("bob".parse().unwrap(), digest, verdict.ruleset, at, at));
        let (context, reservation) = (Context::NONE, None);
        ActionEvent::Permitted {
            action,
            digest,
            context,
            verdict,
            reservation,
            expires: at,
            endorsement,
            salt,
        }
    }

    fn digests(event: ActionEvent) -> (Digest, Digest, Digest, usize) {
        let ActionEvent::Permitted { action, digest, endorsement, verdict, .. } = event else { panic!() };
        let counts = verdict.counts.len() + verdict.parts[0].verdict.counts.len();
        (digest, endorsement.unwrap().subject, action.digest(), counts)
    }

    #[test]
    fn who_has_the_salt_can_check_the_digest_and_who_has_not_cannot_check_a_guess() {
        let salt = |byte| Some(Salt::from_bytes([byte; 32]));
        let (digest, subject, shown, counts) = digests(event("DE1", salt(1), &["iban"]).redacted());
        assert_eq!((digest, subject, counts), (shown, shown, 0));
        // An auditor who is given the action and the salt.
        let whole = action().with_params(json!({ "iban": "DE1", "n": 1 })).unwrap();
        let hidden = [Obligation::Redact(vec!["iban".to_owned()])];
        assert_eq!(whole.redacted(&hidden, salt(1).as_ref()).digest(), digest);
        for other in [event("DE2", salt(1), &["iban"]), event("DE1", salt(2), &["iban"])] {
            assert_ne!(digests(other.redacted()).0, digest);
        }
        assert_ne!(digest, whole.digest());
        // Without a salt it says nothing of what is hidden.
        let bare = |iban| digests(event(iban, None, &["iban"]).redacted()).0;
        assert_eq!(bare("DE1"), bare("DE2"));
        // Where nothing is hidden, nothing changes.
        let open = event("DE1", salt(1), &[]);
        assert_eq!(open.clone().redacted(), open);
    }

    #[test]
    fn a_commitment_binds_to_salt_path_and_value() {
        let of = |path: &str, salt: u8| shown(&[path], Some(&Salt::from_bytes([salt; 32])))[path].clone();
        assert_ne!(of("iban", 1), of("iban", 2));
        let numbers = shown(&["all.n"], Some(&Salt::from_bytes([1; 32])));
        assert_ne!(numbers["all"][0], numbers["all"][1]);
        assert_eq!(of("iban", 1)["redacted"].as_str().map(str::len), Some(64));
    }
}
