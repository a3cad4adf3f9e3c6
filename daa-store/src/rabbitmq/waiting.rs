//! Waiting for an answer that may never come.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

/// How often is looked whether the connection of an awaited answer is still there. A timer for each answer costs less
/// than telling all who wait.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What became of a question.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer<T> {
    Came(T),
    /// Its connection is gone, and the answer with it.
    Lost,
    /// It was not there by the deadline.
    Late,
}

/// Waits for an answer until the deadline, or until its connection is lost.
pub(super) async fn unless_lost<T>(
    deadline: Instant,
    is_lost: impl Fn() -> bool,
    answer: impl Future<Output = T>,
) -> Answer<T> {
    let mut answer = pin!(answer);
    loop {
        let now = Instant::now();
        let look = deadline.min(now + LOOK_EVERY);
        if let Ok(answer) = timeout_at(look, &mut answer).await {
            return Answer::Came(answer);
        }
        if look == deadline {
            return Answer::Late;
        }
        if is_lost() {
            return Answer::Lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn says_what_became_of_an_answer() {
        let later = Instant::now() + Duration::from_secs(60);
        assert_eq!(unless_lost(later, || true, ready(1)).await, Answer::Came(1));
        assert_eq!(unless_lost(later, || true, pending::<()>()).await, Answer::Lost);
        let soon = Instant::now() + Duration::from_millis(10);
        assert_eq!(unless_lost(soon, || false, pending::<()>()).await, Answer::Late);
    }
}
