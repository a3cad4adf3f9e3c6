//! A bounded queue from async callers into threads and tasks.
//!
//! Unlike a channel it ends when it is closed, and not when the last sender is gone: a future that waits for
//! room, and that nobody polls any more, cannot keep its reader alive.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where callers put items.
#[derive(Debug)]
pub(crate) struct Inlet<T> {
    room: Arc<Semaphore>,
    bound: u32,
    items: Mutex<Option<UnboundedSender<Held<T>>>>,
}

/// Where they are taken. `None`: closed and empty.
#[derive(Debug)]
pub(crate) struct Outlet<T>(UnboundedReceiver<Held<T>>);

/// An item, and the room that it takes.
type Held<T> = (T, OwnedSemaphorePermit);

/// The queue takes nothing any more.
#[derive(Debug)]
pub(crate) struct Closed;

pub(crate) fn queue<T>(bound: u32) -> (Inlet<T>, Outlet<T>) {
    let (sender, receiver) = unbounded_channel();
    let room = Arc::new(Semaphore::new(bound as usize));
    (Inlet { room, bound, items: Mutex::new(Some(sender)) }, Outlet(receiver))
}

impl<T> Inlet<T> {
    /// Waits for room of this size, at most the whole queue, and puts the item there.
    ///
    /// # Cancel safety
    /// A dropped future has put nothing there, unless it was ready.
    pub(crate) async fn send(&self, item: T, size: u32) -> Result<(), Closed> {
        let room = self.room.clone().acquire_many_owned(size.min(self.bound)).await.map_err(|_| Closed)?;
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.as_ref().ok_or(Closed)?.send((item, room)).map_err(|_| Closed)
    }

    /// Refuses those that wait for room and all that come. What is in the queue stays there.
    pub(crate) fn close(&self) {
        self.room.close();
        *self.items.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.room.is_closed()
    }
}

impl<T> Outlet<T> {
    /// The next item; blocks the thread until there is one. Not for async code.
    #[cfg(any(feature = "sqlite", test))]
    pub(crate) fn recv_blocking(&mut self) -> Option<T> {
        self.0.blocking_recv().map(|(item, _room)| item)
    }

    /// The next item; waits until there is one.
    ///
    /// # Cancel safety
    /// Safe: an item is taken only by the call that returns it.
    #[cfg(feature = "postgres")]
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.0.recv().await.map(|(item, _room)| item)
    }

    /// The next item, if there is one already.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        self.0.try_recv().ok().map(|(item, _room)| item)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_full_queue_lets_the_next_in_when_one_is_taken() {
        let (inlet, mut outlet) = queue(1);
        assert!(matches!(inlet.send(1, 1).now_or_never(), Some(Ok(()))));
        let mut second = Box::pin(inlet.send(2, 9));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(outlet.recv_blocking(), Some(1));
        assert!(matches!((&mut second).now_or_never(), Some(Ok(()))));
        assert_eq!(outlet.recv_blocking(), Some(2));
        assert_eq!(outlet.try_recv(), None);
    }

    #[test]
    fn closing_ends_the_queue_although_somebody_waits_for_room() {
        let (inlet, mut outlet) = queue(1);
        assert!(matches!(inlet.send(1, 1).now_or_never(), Some(Ok(()))));
        let mut waiting = Box::pin(inlet.send(2, 9));
        assert!((&mut waiting).now_or_never().is_none());
        inlet.close();
        assert_eq!(outlet.recv_blocking(), Some(1));
        assert_eq!(outlet.recv_blocking(), None);
        assert!(matches!(waiting.now_or_never(), Some(Err(Closed))));
        assert!(matches!(inlet.send(3, 1).now_or_never(), Some(Err(Closed))));
    }
}
