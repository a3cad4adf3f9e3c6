//! The tables, and how those of an older version become those of this version.

use std::time::Duration;

use daa_core::event::Position;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, GenericClient};

use super::connection;
use super::engine::Failure;
use super::options::PostgresOptions;

/// The newest format that this code knows, and the one that it makes.
pub(super) const SUPPORTED: i32 = 3;

/// A step that has to wait longer than this for others to let go of a table gives way, so that those who wait behind
/// it need not wait longer either.
const LOCK: Duration = Duration::from_millis(200);
/// How long it leaves the table to others before it tries again.
const GIVES_WAY: Duration = Duration::from_millis(300);

/// Version 1.
///
/// A row of `commits` is a group of appends that was written at once; who inserts the row that follows the last
/// one writes the events from `first` to `last`. The number of a stream is the position of its first event. There
/// are no sequences, and no row changes for an append: a transaction that stays open for long cannot make it slow.
const V1: &str = "
    CREATE TABLE commits (
        first    bigint PRIMARY KEY,
        last     bigint NOT NULL,
        token    bigint NOT NULL
    );
    CREATE TABLE streams (
        id       bigint PRIMARY KEY,
        owner    bigint NOT NULL,
        name     text COLLATE \"C\" NOT NULL,
        CONSTRAINT streams_name UNIQUE (name)
    );
    CREATE TABLE events (
        owner    bigint NOT NULL,
        position bigint NOT NULL,
        stream   bigint NOT NULL,
        version  bigint NOT NULL,
        at       bigint NOT NULL,
        checksum bigint NOT NULL,
        kind     text COLLATE \"C\" NOT NULL,
        payload  bytea NOT NULL,
        PRIMARY KEY (position, owner),
        UNIQUE (stream, version, owner)
    ) PARTITION BY HASH (owner);
";

/// Version 2: a group knows when it was written. Programs of version 1 name the columns that they write, and the
/// server fills in this one; what they wrote before has no time. The default is set by itself, so that no row is
/// rewritten: the tables are locked for a moment, however large they are.
const V2: &str = "
    ALTER TABLE commits ADD COLUMN at timestamptz;
    ALTER TABLE commits ALTER COLUMN at SET DEFAULT clock_timestamp();
";

/// Version 3: the first event of a write says how many events it has, and the others say 0. They have places one after
/// the other, so an index on the first ones finds them all. What programs of older versions write says that it is a write
/// of its own, as the default does of what stands there.
const V3: &str = "ALTER TABLE events ADD COLUMN span integer NOT NULL DEFAULT 1";

/// What a new schema has instead of an entry for each event, which older programs need: an entry for each write. More than a
/// quarter of the server's work for an append is saved by it. That versions have no duplicates is what `commits` sees to.
const BY_WRITES: &str = "
    ALTER TABLE events DROP CONSTRAINT events_stream_version_owner_key;
    CREATE INDEX events_writes ON events (stream, version) WHERE span > 0;
";

/// SQL for the places, from `first` to `last`, of the events of a stream from the one behind `after` to `last`: of each
/// write that has some of them. They are to be looked up for each write by itself (`LATERAL`, with a limit): else a server
/// that has not counted the rows yet reads them all.
macro_rules! writes {
    (stream: $stream:literal, owner: $owner:literal, after: $after:literal, last: $last:literal) => {
        concat!(
            "SELECT b.position + greatest(0, ",
            $after,
            " + 1 - b.version) AS first,
                b.position + least(b.span, ",
            $last,
            " - b.version + 1) - 1 AS last
            FROM events b
            WHERE b.stream = ",
            $stream,
            " AND b.owner = ",
            $owner,
            " AND b.span > 0 AND b.version <= ",
            $last,
            "
                AND b.version >= coalesce((SELECT f.version FROM events f
                    WHERE f.stream = ",
            $stream,
            " AND f.owner = ",
            $owner,
            " AND f.span > 0
                        AND f.version <= ",
            $after,
            " + 1
                    ORDER BY f.version DESC LIMIT 1), 1)"
        )
    };
}
pub(super) use writes;

/// Step *n* makes a schema of version *n* one of version *n + 1*, and names the oldest version of this library's
/// format that may still work on it: a step that only adds lets older programs go on beside newer ones.
const STEPS: [Step; SUPPORTED as usize] =
    [Step { sql: V1, needs: 1 }, Step { sql: V2, needs: 1 }, Step { sql: V3, needs: 1 }];

struct Step {
    sql: &'static str,
    needs: i32,
}

/// Why a schema cannot be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// Programs of this version may not work on it.
    TooNew {
        needs: i32,
    },
    /// There are tables in it that are not ours.
    Foreign,
    Engine(Failure),
}

impl From<tokio_postgres::Error> for Unusable {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Engine(error.into())
    }
}

/// Brings the schema to this version, or creates it. Any number of programs may do so at once: one does it, the
/// others wait. One that is newer stays as it is, if it lets this version work on it. Where others hold on to a table
/// that has to change, such as a transaction that goes on for long, it is tried again as long as the patience lasts.
pub(super) async fn migrate(client: &mut Client, options: &PostgresOptions) -> Result<(), Unusable> {
    let until = Instant::now() + options.patience;
    loop {
        match try_migrate(client, options).await {
            Err(Unusable::Engine(failure)) if failure.is_lock_timeout() && Instant::now() < until => {
                tracing::debug!("others hold on to a table that has to change; it is tried again");
                sleep(GIVES_WAY).await;
            }
            done => return done,
        }
    }
}

async fn try_migrate(client: &mut Client, options: &PostgresOptions) -> Result<(), Unusable> {
    let transaction = client.transaction().await?;
    let lock = connection::lock_key("migrate", &options.schema);
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&lock]).await?;
    // The name has passed the alphabet of schemas.
    let schema = &options.schema;
    transaction.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
    let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = $1 LIMIT 1000";
    let found: Vec<String> = transaction
        .query(tables, &[schema])
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    let (version, needs) = if found.iter().any(|table| table == "daa_format") {
        let row = transaction.query_one("SELECT version, needs FROM daa_format", &[]).await?;
        (row.try_get::<_, i32>(0)?, row.try_get::<_, i32>(1)?)
    } else if found.is_empty() {
        let format =
            "CREATE TABLE daa_format (version int NOT NULL, needs int NOT NULL, partitions int NOT NULL)";
        transaction.batch_execute(format).await?;
        let first = "INSERT INTO daa_format (version, needs, partitions) VALUES (0, 0, $1)";
        transaction.execute(first, &[&i32::from(options.partitions.get())]).await?;
        (0, 0)
    } else {
        return Err(Unusable::Foreign);
    };
    if needs > SUPPORTED {
        return Err(Unusable::TooNew { needs });
    }
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = {}", LOCK.as_millis())).await?;
    for (step, to) in STEPS.iter().zip(1_i32..).filter(|&(_, to)| to > version) {
        transaction.batch_execute(step.sql).await?;
        if to == 1 {
            transaction.batch_execute(&partitions(options.partitions.get())).await?;
        }
        let done = "UPDATE daa_format SET version = $1, needs = $2";
        transaction.execute(done, &[&to, &step.needs]).await?;
    }
    if found.is_empty() {
        transaction.batch_execute(BY_WRITES).await?;
        transaction.execute("UPDATE daa_format SET needs = $1", &[&SUPPORTED]).await?;
    }
    transaction.commit().await?;
    Ok(())
}

fn partitions(count: u16) -> String {
    let partition = |at| {
        format!(
            "CREATE TABLE events_{at} PARTITION OF events FOR VALUES WITH (MODULUS {count}, REMAINDER {at});"
        )
    };
    (0..count).map(partition).collect()
}

/// Answers the last position that is committed.
pub(super) const HEAD: &str = "SELECT last FROM commits ORDER BY first DESC LIMIT 1";

/// The last position that is committed.
pub(super) async fn head(client: &impl GenericClient) -> Result<Position, Failure> {
    head_in(client.query_opt(HEAD, &[]).await?.as_ref())
}

/// The position in the row that [`HEAD`] answers.
pub(super) fn head_in(row: Option<&tokio_postgres::Row>) -> Result<Position, Failure> {
    let last: i64 = row.map(|row| row.try_get(0)).transpose()?.unwrap_or_default();
    Ok(Position::new(last.cast_unsigned()))
}
