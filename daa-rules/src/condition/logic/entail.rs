//! What follows from what is known.

use super::{Known, Literal, Narrow, Test, name};

impl Known<'_> {
    /// Whether a literal is as wanted wherever this is known.
    pub(super) fn entails(&self, literal: &Literal<'_>) -> bool {
        self.says(literal) || self.leaves_no_other(literal)
    }

    fn says(&self, literal: &Literal<'_>) -> bool {
        let same = |mine: &Literal<'_>| mine.wanted == literal.wanted && mine.name() == literal.name();
        self.literals.iter().any(same)
    }

    /// Whether the test has a result, and the other one is impossible.
    fn leaves_no_other(&self, literal: &Literal<'_>) -> bool {
        let (term, narrow, compared) = match &literal.test {
            Test::Present(term) => {
                return self
                    .terms
                    .get(&name(term))
                    .is_some_and(|known| known.presence() == Some(literal.wanted));
            }
            Test::OneOf(term, all) => (term, Narrow::OneOf(all, !literal.wanted), all.as_slice()),
            Test::Below(term, limit) => {
                (term, Narrow::Below(limit, !literal.wanted), std::slice::from_ref(limit))
            }
            Test::Above(term, limit) => {
                (term, Narrow::Above(limit, !literal.wanted), std::slice::from_ref(limit))
            }
            Test::Less(..) | Test::Equal(..) | Test::Opaque(_) => return false,
        };
        let Some(known) = self.terms.get(&name(term)) else { return false };
        let is_equality = matches!(literal.test, Test::OneOf(..));
        // Texts and numbers are just not equal, but neither is less than the other.
        let has_result =
            |value| known.compares_with(value) || is_equality && known.is_plain() && !is_money(value);
        if known.presence() != Some(true) || !compared.iter().all(has_result) {
            return false;
        }
        let mut otherwise = known.clone();
        narrow.apply(&mut otherwise);
        otherwise.is_empty()
    }
}

const fn is_money(value: &super::Scalar) -> bool {
    matches!(value, super::Scalar::Money(_))
}
