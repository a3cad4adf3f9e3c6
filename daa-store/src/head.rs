//! How far a store has come.

use std::sync::Arc;

use daa_core::event::Position;
use tokio::sync::watch;

/// How far the order has come, as this store knows. It never goes back, whoever is told first.
#[derive(Clone, Debug)]
pub(crate) struct Head(Arc<watch::Sender<Position>>);

impl Head {
    pub(crate) fn new(position: Position) -> Self {
        Self(Arc::new(watch::Sender::new(position)))
    }

    pub(crate) fn advance(&self, to: Position) {
        self.0.send_if_modified(|head| {
            let further = to > *head;
            if further {
                *head = to;
            }
            further
        });
    }

    pub(crate) fn follow(&self) -> watch::Receiver<Position> {
        self.0.subscribe()
    }
}
