//! The tasks that learn how far others have come, and tell others how far this one has.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use daa_core::event::Position;
use deadpool_postgres::Pool;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::AsyncMessage;

use super::connection::{self, give_back, in_time, limit};
use super::engine::Failure;
use super::options::PostgresOptions;
use super::replica::Replicas;
use crate::head::Head;

/// The wait before a server that is away is asked again.
const BACKOFF: Duration = Duration::from_millis(100);
/// Others are told no more often than this: a notification for each append would cost each a good part of its time.
const AT_MOST: Duration = Duration::from_millis(5);

/// The channel on which the writers of a schema tell how far they have come.
fn channel(schema: &str) -> String {
    format!("daa_{schema}")
}

/// Listens for notifications, looks at the log itself now and then, and keeps the pool small, until the store is
/// closed.
pub(super) async fn follow(
    options: PostgresOptions,
    pool: Pool,
    replicas: Arc<Replicas>,
    head: Head,
    mut closed: watch::Receiver<bool>,
) {
    loop {
        let Err(failure) = tokio::select! {
            biased;
            _ = closed.changed() => return,
            followed = listen(&options, &pool, &replicas, &head) => followed,
        };
        tracing::debug!(%failure, "cannot listen for appends of others");
        tokio::select! {
            biased;
            _ = closed.changed() => return,
            () = sleep(BACKOFF) => {}
        }
    }
}

/// Tells the others whatever this store appended, until its writer has ended: the first of a row of appends at once,
/// and what follows when some time has passed.
pub(super) async fn tell(options: PostgresOptions, pool: Pool, mut appended: watch::Receiver<Position>) {
    while appended.changed().await.is_ok() {
        loop {
            let position = *appended.borrow_and_update();
            match notify(&options, &pool, position).await {
                Ok(()) => break,
                Err(failure) if appended.has_changed().is_err() => {
                    tracing::debug!(%failure, "others are not told of the last appends; they find them by looking");
                    return;
                }
                Err(failure) => {
                    tracing::debug!(%failure, "cannot tell others of an append yet");
                    sleep(BACKOFF).await;
                }
            }
        }
        sleep(AT_MOST).await;
    }
}

async fn notify(options: &PostgresOptions, pool: &Pool, position: Position) -> Result<(), Failure> {
    let client = pool.get().await?;
    // What it tells is durable already. It need not be, and so no append waits for the disk because of it.
    // The two statements are one transaction; the name has passed the alphabet of schemas.
    let channel = channel(&options.schema);
    let notify = format!("SET LOCAL synchronous_commit = off; NOTIFY {channel}, '{position}'");
    let told = in_time(limit(options), async { Ok(client.batch_execute(&notify).await?) }).await;
    give_back(client, told)
}

async fn listen(
    options: &PostgresOptions,
    pool: &Pool,
    replicas: &Replicas,
    head: &Head,
) -> Result<Infallible, Failure> {
    let (client, mut wire) = connection::connect(options).await?;
    // Both ends are here: what is asked and what comes are on one connection.
    let driven = async {
        loop {
            match poll_fn(|context| wire.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(told))) => {
                    if let Ok(position) = told.payload().parse() {
                        head.advance(Position::new(position));
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Failure::from(error),
                None => return Failure::NoConnection("it was closed".to_owned()),
            }
        }
    };
    let asking = async {
        // The name has passed the alphabet of schemas.
        let listen = format!("LISTEN {}", channel(&options.schema));
        in_time(limit(options), async { Ok(client.batch_execute(&listen).await?) }).await?;
        loop {
            // After the listening began, and now and then, should a notification be lost.
            head.advance(in_time(limit(options), replicas.look(&client)).await?);
            for pool in replicas.pools().chain([pool]) {
                connection::prune(pool, options);
            }
            sleep(options.poll).await;
        }
    };
    tokio::select! {
        failure = driven => Err(failure),
        asked = asking => asked,
    }
}
