//! One connection after the other.

use std::sync::Arc;
use std::time::Duration;

use daa_core::bus::BusError;
use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::options::RabbitOptions;
use crate::bus::broker;

/// How long one question to the broker may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The longest wait before the next attempt to connect.
const RECONNECT_WITHIN: Duration = Duration::from_millis(500);

/// A connection that worked when it was made.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: lapin::Connection,
    /// With confirmations.
    pub(super) publishing: Channel,
}

/// The present session, if there is one, and how many there were.
#[derive(Clone, Debug, Default)]
pub(super) struct Present {
    pub(super) session: Option<Arc<Session>>,
    pub(super) made: u64,
}

/// Makes sessions until the bus is closed or nobody uses it any more.
#[derive(Clone, Debug)]
pub(super) struct Link {
    present: watch::Sender<Present>,
    pub(super) closed: watch::Sender<bool>,
}

impl Session {
    pub(super) async fn open(options: &RabbitOptions) -> Result<Self, BusError> {
        let failed = |error: lapin::Error| broker("connect to RabbitMQ")(error.into());
        let connection = options.connect().await?;
        let publishing = connection.create_channel().await.map_err(failed)?;
        publishing.confirm_select(ConfirmSelectOptions::default()).await.map_err(failed)?;
        Ok(Self { connection, publishing })
    }

    fn works(&self) -> bool {
        self.connection.status().connected() && self.publishing.status().connected()
    }

    pub(super) async fn channel(&self) -> Result<Channel, BusError> {
        let made = timeout(ANSWER_WITHIN, self.connection.create_channel()).await;
        answered("open a channel", made)
    }
}

/// The answer, or why there is none.
pub(super) fn answered<T>(
    what: &'static str,
    answer: Result<Result<T, lapin::Error>, tokio::time::error::Elapsed>,
) -> Result<T, BusError> {
    match answer {
        Ok(answer) => answer.map_err(|error| broker(what)(error.into())),
        Err(error) => Err(broker(what)(error.into())),
    }
}

impl Link {
    pub(super) fn new(first: Session, options: RabbitOptions) -> Self {
        let first = Present { session: Some(Arc::new(first)), made: 1 };
        let link = Self { present: watch::Sender::new(first), closed: watch::Sender::new(false) };
        let (mine, weak) = (link.closed.subscribe(), link.present.clone());
        tokio::spawn(keep(weak, mine, options));
        link
    }

    pub(super) fn watch(&self) -> watch::Receiver<Present> {
        self.present.subscribe()
    }

    pub(super) fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }

    pub(super) fn made(&self) -> u64 {
        self.present.borrow().made
    }

    pub(super) fn present(&self) -> Option<Arc<Session>> {
        self.present.borrow().session.clone().filter(|session| session.works())
    }

    /// Whether a session is still the present one.
    pub(super) fn is_present(&self, session: &Arc<Session>) -> bool {
        self.present.borrow().session.as_ref().is_some_and(|present| Arc::ptr_eq(present, session))
    }

    /// The present session, or the next one.
    pub(super) async fn session(&self, deadline: Instant) -> Option<Arc<Session>> {
        if let Some(session) = self.present() {
            return Some(session);
        }
        let mut present = self.watch();
        let works = |present: &Present| present.session.as_ref().is_some_and(|session| session.works());
        let found = timeout_at(deadline, present.wait_for(works)).await.ok()?.ok()?;
        found.session.clone()
    }
}

/// `closed` ends with the bus, and so does this.
async fn keep(present: watch::Sender<Present>, mut closed: watch::Receiver<bool>, options: RabbitOptions) {
    let mut wait = LOOK_EVERY;
    loop {
        let works = present.borrow().session.as_ref().is_some_and(|session| session.works());
        tokio::select! {
            biased;
            changed = closed.wait_for(|closed| *closed) => {
                drop(changed);
                return;
            }
            () = sleep(if works { LOOK_EVERY } else { wait }) => {}
        }
        if works {
            wait = LOOK_EVERY;
            continue;
        }
        if present.borrow().session.is_some() {
            tracing::warn!("the connection to RabbitMQ was lost");
            present.send_modify(|present| present.session = None);
        }
        match timeout(2 * ANSWER_WITHIN, Session::open(&options)).await {
            Ok(Ok(session)) => {
                tracing::info!("connected to RabbitMQ");
                present.send_modify(|present| {
                    present.session = Some(Arc::new(session));
                    present.made += 1;
                });
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "RabbitMQ is not back yet");
                wait = (2 * wait).min(RECONNECT_WITHIN);
            }
            Err(_) => wait = (2 * wait).min(RECONNECT_WITHIN),
        }
    }
}
