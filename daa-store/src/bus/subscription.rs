//! The consumer's side of a subscription on a broker.

use std::sync::Arc;

use async_trait::async_trait;
use daa_core::bus::{BusError, Delivery, SubscribeOptions, Subscriber};
use tokio::sync::{Semaphore, mpsc, watch};

use super::arrival::{Arrival, Intake};

/// Why no more messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    /// The broker does not know the subscription any more.
    Removed,
}

/// What consumers take messages from.
#[derive(Debug)]
pub(crate) struct Subscription<I: Intake> {
    intake: Arc<I>,
    arrivals: mpsc::Receiver<Arrival<I>>,
    /// What a consumer may hold.
    hands: Arc<Semaphore>,
    end: watch::Receiver<Option<End>>,
    /// Those who feed it stop when it is dropped.
    _stop: watch::Sender<()>,
}

/// Where messages go in.
#[derive(Debug)]
pub(crate) struct Feed<I: Intake> {
    pub(crate) intake: Arc<I>,
    arrivals: mpsc::Sender<Arrival<I>>,
    end: watch::Sender<Option<End>>,
    stop: watch::Receiver<()>,
}

/// A subscription, and where its messages go in; up to `waiting` of them wait in between.
pub(crate) fn subscription<I: Intake>(
    intake: I,
    options: &SubscribeOptions,
    waiting: usize,
) -> (Feed<I>, Subscription<I>) {
    let intake = Arc::new(intake);
    let (sender, arrivals) = mpsc::channel(waiting);
    let (stop, stopped) = watch::channel(());
    let (end, ended) = watch::channel(None);
    let hands = Arc::new(Semaphore::new(options.max_in_flight()));
    let feed = Feed { intake: intake.clone(), arrivals: sender, end, stop: stopped };
    (feed, Subscription { intake, arrivals, hands, end: ended, _stop: stop })
}

impl<I: Intake> Clone for Feed<I> {
    fn clone(&self) -> Self {
        Self {
            intake: self.intake.clone(),
            arrivals: self.arrivals.clone(),
            end: self.end.clone(),
            stop: self.stop.clone(),
        }
    }
}

impl<I: Intake> Feed<I> {
    /// `None` when nobody wants it any more.
    pub(crate) async fn send(&self, arrival: Arrival<I>) -> Option<()> {
        self.arrivals.send(arrival).await.ok()
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.stop.has_changed().is_ok()
    }

    /// Waits until nobody wants messages any more.
    pub(crate) async fn stopped(&mut self) {
        let _ = self.stop.changed().await;
    }

    pub(crate) fn end(&self, end: End) {
        self.end.send_if_modified(|current| {
            let first = current.is_none();
            *current = Some(current.unwrap_or(end));
            first
        });
    }
}

impl<I: Intake> Subscription<I> {
    /// `None` when the feed is gone.
    async fn arrived(hands: &Arc<Semaphore>, arrivals: &mut mpsc::Receiver<Arrival<I>>) -> Option<Delivery> {
        let mut hand = hands.clone().acquire_owned().await.ok()?;
        loop {
            match arrivals.recv().await?.hand_out(hand) {
                Ok(delivery) => return Some(delivery),
                Err(unused) => hand = unused,
            }
        }
    }

    /// What nobody has taken until now is left to the broker.
    fn ended(&mut self) -> Result<Option<Delivery>, BusError> {
        self.arrivals.close();
        while self.arrivals.try_recv().is_ok() {}
        let end = *self.end.borrow();
        match end {
            Some(End::Removed) if self.intake.agreement().group.is_none() => Err(BusError::Expired),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl<I: Intake> Subscriber for Subscription<I> {
    async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        let is_over = self.end.borrow().is_some();
        if is_over {
            return self.ended();
        }
        let delivery = tokio::select! {
            biased;
            // Most of the time there is one, and nothing has to wait for the end.
            delivery = Self::arrived(&self.hands, &mut self.arrivals) => delivery,
            _ = self.end.wait_for(Option::is_some) => None,
        };
        match delivery {
            Some(delivery) => Ok(Some(delivery)),
            None => self.ended(),
        }
    }
}

impl<I: Intake> Drop for Subscription<I> {
    fn drop(&mut self) {
        self.intake.stop();
        if self.intake.agreement().group.is_some() {
            return;
        }
        // The broker forgets it by itself if this does not reach it.
        let intake = self.intake.clone();
        self.intake.runtime().spawn(async move {
            if let Err(error) = intake.leave().await {
                tracing::debug!(%error, "a subscription is left to the broker");
            }
        });
    }
}
