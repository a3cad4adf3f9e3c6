//! Control before bulk: the streams of one connection.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How long bulk stands back for something of control that cannot be sent. It may wait for its own reader, and bulk must not wait
/// for that.
const GRACE: Duration = Duration::from_millis(20);

/// Who waits to send on a connection.
#[derive(Debug, Default)]
pub(crate) struct Lane(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many streams of control wait.
    waiting: usize,
    /// Until when bulk stands back for them.
    until: Option<Instant>,
    bulk: Vec<Waker>,
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream of control waits to send, or does no more.
    pub(super) fn control(&self, did_wait: &mut bool, waits: bool) {
        if *did_wait == waits {
            return;
        }
        *did_wait = waits;
        let mut state = self.state();
        if waits {
            state.waiting += 1;
            state.until = Some(Instant::now() + GRACE);
            return;
        }
        state.waiting -= 1;
        if state.waiting == 0 {
            let bulk = std::mem::take(&mut state.bulk);
            drop(state);
            bulk.into_iter().for_each(Waker::wake);
        }
    }

    /// Ready when bulk may send.
    pub(super) fn poll_bulk(&self, cx: &mut Context<'_>, timer: &mut Option<Pin<Box<Sleep>>>) -> Poll<()> {
        let mut state = self.state();
        let Some(until) = state.until.filter(|until| state.waiting > 0 && Instant::now() < *until) else {
            *timer = None;
            return Poll::Ready(());
        };
        if !state.bulk.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.bulk.push(cx.waker().clone());
        }
        drop(state);
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}
