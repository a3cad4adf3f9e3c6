//! The task that keeps a connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use super::options::RedisOptions;

/// The first and the longest pause between two tries to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// What calls see of the connection.
#[derive(Clone)]
pub(super) enum Link {
    Up { connection: MultiplexedConnection, answered_in: Duration, connects: u64 },
    Down { reason: String, connects: u64 },
}

/// Keeps `link` up, until nobody looks at it any more.
pub(super) struct Keeper {
    pub(super) client: Client,
    pub(super) options: RedisOptions,
    pub(super) link: watch::Sender<Link>,
    /// Rung by a call that found the connection broken.
    pub(super) broken: Arc<Notify>,
}

impl Keeper {
    pub(super) async fn run(self) {
        let mut connects = 0;
        let nobody_looks = self.link.clone();
        tokio::select! {
            () = nobody_looks.closed() => {}
            () = async {
                loop {
                    let connection = self.connect(connects).await;
                    connects += 1;
                    let reason = self.watch(connection, connects).await;
                    tracing::warn!(place = %self.options.place(), %reason, "the connection to Redis is lost");
                    self.link.send_replace(Link::Down { reason, connects });
                }
            } => {}
        }
    }

    /// Tries until there is a connection that answers.
    async fn connect(&self, connects: u64) -> MultiplexedConnection {
        let mut pause = PAUSES.0;
        loop {
            match self.try_connect().await {
                Ok(connection) => return connection,
                Err(reason) => {
                    self.link.send_replace(Link::Down { reason, connects });
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn try_connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(Some(self.options.timeout));
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = match timeout(2 * self.options.connect_timeout, connecting).await {
            Ok(connected) => connected.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("not connected within {:?}", 2 * self.options.connect_timeout)),
        };
        // A server that has just been started is there before it can answer.
        self.ping(&mut connection).await?;
        Ok(connection)
    }

    /// Asks again and again, until there is no answer; why.
    async fn watch(&self, mut connection: MultiplexedConnection, connects: u64) -> String {
        loop {
            let answered_in = match self.ping(&mut connection).await {
                Ok(answered_in) => answered_in,
                Err(reason) => return reason,
            };
            // The connection is in there from the first time on.
            self.link.send_replace(Link::Up { connection: connection.clone(), answered_in, connects });
            tokio::select! {
                () = sleep(self.options.heartbeat) => {}
                () = self.broken.notified() => {}
            }
        }
    }

    async fn ping(&self, connection: &mut MultiplexedConnection) -> Result<Duration, String> {
        let began = Instant::now();
        match timeout(self.options.timeout, redis::cmd("PING").query_async::<()>(connection)).await {
            Ok(Ok(())) => Ok(began.elapsed()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.options.timeout)),
        }
    }
}
