//! Telling tasks to come to an end.

use tokio::sync::watch;

/// Asks everybody who holds the matching [`Shutdown`] to come to an end. Dropping it asks too, so that nothing
/// outlives its owner by accident.
#[derive(Debug)]
pub struct ShutdownTrigger {
    sender: watch::Sender<bool>,
}

/// Tells a task when to come to an end. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown {
    receiver: watch::Receiver<bool>,
}

impl ShutdownTrigger {
    /// A trigger and its signal.
    #[must_use]
    pub fn new() -> (Self, Shutdown) {
        let (sender, receiver) = watch::channel(false);
        (Self { sender }, Shutdown { receiver })
    }

    /// Asks for the end. A second call changes nothing.
    pub fn trigger(&self) {
        self.sender.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the end was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.receiver.borrow() || self.receiver.has_changed().is_err()
    }

    /// Waits until the end is asked for.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn requested(&mut self) {
        let _ = self.receiver.wait_for(|requested| *requested).await;
    }
}
