//! A bounded queue from async callers into threads.
//!
//! Unlike a channel it ends when it is closed, and not when the last sender is gone: a future that waits for
//! room, and that nobody polls any more, cannot keep a thread alive.

use std::sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where callers put items.
#[derive(Debug)]
pub(super) struct Inlet<T> {
    room: Arc<Semaphore>,
    bound: u32,
    items: Mutex<Option<Sender<Held<T>>>>,
}

/// Where threads take them. Closed and empty, it says so.
#[derive(Debug)]
pub(super) struct Outlet<T>(Receiver<Held<T>>);

/// An item, and the room that it takes.
type Held<T> = (T, OwnedSemaphorePermit);

/// The queue takes nothing any more.
#[derive(Debug)]
pub(super) struct Closed;

pub(super) fn queue<T>(bound: u32) -> (Inlet<T>, Outlet<T>) {
    let (sender, receiver) = channel();
    let room = Arc::new(Semaphore::new(bound as usize));
    (Inlet { room, bound, items: Mutex::new(Some(sender)) }, Outlet(receiver))
}

impl<T> Inlet<T> {
    /// Waits for room of this size, at most the whole queue, and puts the item there.
    ///
    /// # Cancel safety
    /// A dropped future has put nothing there, unless it was ready.
    pub(super) async fn send(&self, item: T, size: u32) -> Result<(), Closed> {
        let room = self.room.clone().acquire_many_owned(size.min(self.bound)).await.map_err(|_| Closed)?;
        let items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        items.as_ref().ok_or(Closed)?.send((item, room)).map_err(|_| Closed)
    }

    /// Refuses those that wait for room and all that come. What is in the queue stays there.
    pub(super) fn close(&self) {
        self.room.close();
        *self.items.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn is_open(&self) -> bool {
        !self.room.is_closed()
    }
}

impl<T> Outlet<T> {
    pub(super) fn recv(&self) -> Result<T, RecvError> {
        self.0.recv().map(|(item, _room)| item)
    }

    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv().map(|(item, _room)| item)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_full_queue_lets_the_next_in_when_one_is_taken() {
        let (inlet, outlet) = queue(1);
        assert!(matches!(inlet.send(1, 1).now_or_never(), Some(Ok(()))));
        let mut second = Box::pin(inlet.send(2, 9));
        assert!((&mut second).now_or_never().is_none());
        assert_eq!(outlet.recv(), Ok(1));
        assert!(matches!((&mut second).now_or_never(), Some(Ok(()))));
        assert_eq!(outlet.recv(), Ok(2));
        assert_eq!(outlet.try_recv(), Err(TryRecvError::Empty));
    }

    #[test]
    fn closing_ends_the_queue_although_somebody_waits_for_room() {
        let (inlet, outlet) = queue(1);
        assert!(matches!(inlet.send(1, 1).now_or_never(), Some(Ok(()))));
        let mut waiting = Box::pin(inlet.send(2, 9));
        assert!((&mut waiting).now_or_never().is_none());
        inlet.close();
        assert_eq!(outlet.recv(), Ok(1));
        assert_eq!(outlet.recv(), Err(RecvError));
        assert!(matches!(waiting.now_or_never(), Some(Err(Closed))));
        assert!(matches!(inlet.send(3, 1).now_or_never(), Some(Err(Closed))));
    }
}
