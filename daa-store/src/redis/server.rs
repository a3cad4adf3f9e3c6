//! The server, as those see it who call it.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, ScriptInvocation};
use tokio::sync::{Notify, watch};

use super::connection::{Keeper, Link};
use super::error::RedisUnavailable;
use super::health::{RedisHealth, RedisState};
use super::namespace::Namespace;
use super::options::{RedisOptions, RedisOptionsError};

/// A server. Clones share one connection, which is made in the background, and made anew whenever it is lost; it is
/// closed with the last clone, and whatever uses one.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    link: watch::Receiver<Link>,
    broken: Arc<Notify>,
    place: String,
    namespace: Namespace,
    timeout: Duration,
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("place", &self.0.place).field("namespace", &self.0.namespace).finish()
    }
}

impl Redis {
    /// Begins to connect, and returns at once: the server need not be there yet. To be called within a tokio runtime.
    ///
    /// # Errors
    /// [`RedisOptionsError::Certificates`].
    pub fn connect(options: RedisOptions) -> Result<Self, RedisOptionsError> {
        let client = options.client()?;
        let down = Link::Down { reason: "it is being connected to".to_owned(), connects: 0 };
        let (sender, link) = watch::channel(down);
        let broken = Arc::new(Notify::new());
        let shared = Shared {
            link,
            broken: broken.clone(),
            place: options.place(),
            namespace: options.namespace.clone(),
            timeout: options.timeout,
        };
        tokio::spawn(Keeper { client, options, link: sender, broken }.run());
        Ok(Self(Arc::new(shared)))
    }

    /// How the connection is.
    #[must_use]
    pub fn health(&self) -> RedisHealth {
        match &*self.0.link.borrow() {
            Link::Up { answered_in, connects, .. } => {
                RedisHealth::new(RedisState::Ready { answered_in: *answered_in }, *connects)
            }
            Link::Down { reason, connects } => {
                RedisHealth::new(RedisState::Unavailable { reason: reason.clone() }, *connects)
            }
        }
    }

    /// Waits until the server answers.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ready(&self) {
        let mut link = self.0.link.clone();
        // The keeper ends only when this is dropped, or the runtime shuts down.
        if link.wait_for(|link| matches!(link, Link::Up { .. })).await.is_err() {
            std::future::pending().await
        }
    }

    pub(super) fn namespace(&self) -> &Namespace {
        &self.0.namespace
    }

    /// The answer to one command. The connection itself watches the time: a timer more would cost more.
    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisUnavailable> {
        let mut connection = self.connection()?;
        let answer = command.query_async(&mut connection).await;
        answer.map_err(|error| self.failed(error))
    }

    /// The answer of a script, which is sent along only where the server does not have it yet.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, RedisUnavailable> {
        let mut connection = self.connection()?;
        self.in_time(script.invoke_async(&mut connection)).await
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, RedisUnavailable> {
        match tokio::time::timeout(self.0.timeout, call).await {
            Ok(answer) => answer.map_err(|error| self.failed(error)),
            Err(_) => {
                self.0.broken.notify_one();
                Err(RedisUnavailable::TimedOut { limit: self.0.timeout })
            }
        }
    }

    fn connection(&self) -> Result<MultiplexedConnection, RedisUnavailable> {
        match &*self.0.link.borrow() {
            Link::Up { connection, .. } => Ok(connection.clone()),
            Link::Down { reason, .. } => {
                Err(RedisUnavailable::NotConnected { place: self.0.place.clone(), reason: reason.clone() })
            }
        }
    }

    /// Has the connection looked after, where it may be at fault.
    fn failed(&self, source: RedisError) -> RedisUnavailable {
        if source.is_timeout() {
            self.0.broken.notify_one();
            return RedisUnavailable::TimedOut { limit: self.0.timeout };
        }
        if source.is_unrecoverable_error() || source.is_io_error() {
            self.0.broken.notify_one();
        }
        RedisUnavailable::Failed { source }
    }
}
