//! What a name leads to, by those who keep it.

use daa_core::clock::Timestamp;

use super::record::{Descent, SignedName};

/// What came of looking for a name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Resolution {
    /// Most paths lead to this owner.
    Found(SignedName),
    /// Nobody who answered has it.
    NotFound,
    /// Some have it, and there is no majority for any owner: it is new, somebody lies, or two have claimed it at once.
    Contested(Vec<SignedName>),
}

/// What one node has of a name, if anything, and on which path it was asked.
#[derive(Clone, Debug)]
pub(crate) struct Vote {
    pub(crate) path: usize,
    pub(crate) name: Option<SignedName>,
}

/// The newest record of an owner and those who got the name from that one, and how many have one of them.
struct Party {
    newest: SignedName,
    votes: usize,
}

/// Each path has one voice: of the owner that most of those on it name, of all who answered. An owner needs more than half of
/// the paths. So who leads one of three paths astray decides nothing, and neither do few who alone have an answer. What
/// this node itself keeps is a voice of its own.
pub(crate) fn decide(votes: &[Vote], own: Option<SignedName>, now: Timestamp) -> Resolution {
    let mut paths: Vec<_> = votes.iter().map(|vote| vote.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let voices = paths.len() + usize::from(own.is_some());
    let of_path = |path: &usize| {
        let path = *path;
        most(votes.iter().filter(move |vote| vote.path == path), now)
    };
    let winner = majority(parties(paths.iter().filter_map(of_path).chain(own)), voices);
    let named = || current(votes.iter(), now);
    if let Some(winner) = winner {
        return Resolution::Found(newest(winner, named()));
    }
    let claims: Vec<_> = parties(named()).into_iter().map(|party| party.newest).collect();
    if claims.is_empty() { Resolution::NotFound } else { Resolution::Contested(claims) }
}

/// What most of those who answered have, on whichever path.
pub(crate) fn most<'a>(votes: impl Iterator<Item = &'a Vote> + Clone, now: Timestamp) -> Option<SignedName> {
    let all = votes.clone().count();
    majority(parties(current(votes, now)), all)
}

fn current<'a>(votes: impl Iterator<Item = &'a Vote>, now: Timestamp) -> impl Iterator<Item = SignedName> {
    votes.filter_map(|vote| vote.name.clone()).filter(move |name| name.is_current(now))
}

fn majority(parties: Vec<Party>, all: usize) -> Option<SignedName> {
    parties.into_iter().find(|party| 2 * party.votes > all).map(|party| party.newest)
}

/// What any node has of the owner that was decided for: who has a newer record is believed, because it is signed.
fn newest(winner: SignedName, named: impl Iterator<Item = SignedName>) -> SignedName {
    named.fold(winner, |newest, name| if name.descent(&newest) == Descent::Newer { name } else { newest })
}

fn parties(names: impl Iterator<Item = SignedName>) -> Vec<Party> {
    let mut parties: Vec<Party> = Vec::new();
    for name in names {
        let party = parties.iter_mut().find_map(|party| match name.descent(&party.newest) {
            Descent::Stranger => None,
            descent => Some((party, descent)),
        });
        match party {
            Some((party, descent)) => {
                party.votes += 1;
                // Of two that the owner should not both have issued, the same one for all who see both.
                let goes_before = descent == Descent::Forked && name.digest() < party.newest.digest();
                if descent == Descent::Newer || goes_before {
                    party.newest = name;
                }
            }
            None => parties.push(Party { newest: name, votes: 1 }),
        }
    }
    parties
}
