//! What programs of the first format do, word for word as they do it: it is not to be changed with the code, for it
//! stands for programs that run somewhere and know nothing of what came later.

use daa_core::digest::Digest;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error};

const TABLES: &str = "
    CREATE TABLE daa_format (version int NOT NULL, needs int NOT NULL, partitions int NOT NULL);
    INSERT INTO daa_format (version, needs, partitions) VALUES (1, 1, 2);
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
    CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
";
const FORMAT: &str = "SELECT version, needs FROM daa_format";
const HEAD: &str = "SELECT last FROM commits ORDER BY first DESC LIMIT 1";
const KNOWN: &str = "
    SELECT s.name, s.id, s.owner,
        coalesce((SELECT max(e.version) FROM events e WHERE e.stream = s.id AND e.owner = s.owner), 0)
    FROM streams s WHERE s.name = ANY($1)";
const COMMIT: &str = "
    WITH won AS (
        INSERT INTO commits (first, last, token) VALUES ($1, $2, $3)
        ON CONFLICT (first) DO NOTHING RETURNING first
    ),
    added AS (
        INSERT INTO events (owner, position, stream, version, at, checksum, kind, payload)
        SELECT e.owner, $1 + e.number - 1, e.stream, e.version, e.at, e.checksum, e.kind, e.payload
        FROM won, unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
            $10::bytea[]) WITH ORDINALITY AS e (owner, stream, version, at, checksum, kind, payload, number)
    )
    SELECT first FROM won";
const COMMIT_NEW: &str = "
    WITH won AS (
        INSERT INTO commits (first, last, token) VALUES ($1, $2, $3)
        ON CONFLICT (first) DO NOTHING RETURNING first
    ),
    named AS (
        INSERT INTO streams (id, owner, name)
        SELECT s.* FROM won, unnest($11::bigint[], $12::bigint[], $13::text[]) AS s
    ),
    added AS (
        INSERT INTO events (owner, position, stream, version, at, checksum, kind, payload)
        SELECT e.owner, $1 + e.number - 1, e.stream, e.version, e.at, e.checksum, e.kind, e.payload
        FROM won, unnest($4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[],
            $10::bytea[]) WITH ORDINALITY AS e (owner, stream, version, at, checksum, kind, payload, number)
    )
    SELECT first FROM won";
const ALL: &str = "
    SELECT position, stream, version, at, checksum, kind, payload FROM (
        SELECT position, stream, version, at, checksum, kind, payload,
            sum(octet_length(payload)) OVER (ORDER BY position) - octet_length(payload) AS before
        FROM events WHERE position > $1 AND position <= $1 + $2
    ) page WHERE before < $3 ORDER BY position";

/// Makes the tables, as such a program does in an empty schema.
pub(super) async fn create(client: &Client) {
    client.batch_execute(TABLES).await.unwrap();
}

/// How an append ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Appended {
    At(i64),
    Conflict { actual: i64 },
}

/// A program of the first format.
#[derive(Debug)]
pub(super) struct OldProgram {
    client: Client,
    turn: i64,
}

impl OldProgram {
    /// # Errors
    /// What such a program says of a schema that it must not work on.
    pub(super) async fn open(client: Client, schema: &str) -> Result<Self, String> {
        let row = client.query_one(FORMAT, &[]).await.unwrap();
        let needs: i32 = row.get(1);
        if needs > 1 {
            return Err(format!("it needs format {needs}"));
        }
        let turn = Digest::builder("daa postgres lock v1").field(b"write").field(schema.as_bytes());
        Ok(Self { client, turn: first_eight(&turn.finish()) })
    }

    /// Appends one event behind so many of its stream, in turn with others.
    pub(super) async fn append(&self, stream: &str, expected: i64, payload: &str) -> Result<Appended, Error> {
        loop {
            self.client.batch_execute("BEGIN").await?;
            self.client.query("SELECT pg_advisory_xact_lock($1)", &[&self.turn]).await?;
            let tried = self.try_append(stream, expected, payload).await?;
            self.client.batch_execute("COMMIT").await?;
            if let Some(appended) = tried {
                return Ok(appended);
            }
        }
    }

    async fn try_append(
        &self,
        stream: &str,
        expected: i64,
        payload: &str,
    ) -> Result<Option<Appended>, Error> {
        let head = self.client.query_opt(HEAD, &[]).await?.map_or(0, |row| row.get::<_, i64>(0));
        let names = [stream];
        let known = self.client.query_opt(KNOWN, &[&names.as_slice()]).await?;
        let (id, actual): (Option<i64>, i64) =
            known.as_ref().map_or((None, 0), |row| (Some(row.get(1)), row.get(3)));
        if actual != expected {
            return Ok(Some(Appended::Conflict { actual }));
        }
        let (first, token): (i64, i64) = (head + 1, rand::random());
        let (version, at, kind) = (expected + 1, 7_i64, "number.v1");
        let sum = i64::from(checksum(first, version, at, stream, kind, payload.as_bytes()));
        let (owners, ids) = (vec![owner(stream)], vec![id.unwrap_or(first)]);
        let (versions, times, sums) = (vec![version], vec![at], vec![sum]);
        let (kinds, payloads, names) = (vec![kind], vec![payload.as_bytes()], vec![stream]);
        let mut values: Vec<&(dyn ToSql + Sync)> =
            vec![&first, &first, &token, &owners, &ids, &versions, &times, &sums, &kinds, &payloads];
        let sql = if id.is_none() {
            values.extend([&ids as &(dyn ToSql + Sync), &owners, &names]);
            COMMIT_NEW
        } else {
            COMMIT
        };
        let won = self.client.query_opt(sql, &values).await?;
        Ok(won.map(|_| Appended::At(first)))
    }

    /// Positions and payloads of all events, as such a program reads them.
    pub(super) async fn everything(&self) -> Vec<(i64, String)> {
        let mut events: Vec<(i64, String)> = Vec::new();
        loop {
            let after = events.last().map_or(0, |(position, _)| *position);
            let rows = self.client.query(ALL, &[&after, &1000_i64, &(64_i64 << 20)]).await.unwrap();
            if rows.is_empty() {
                return events;
            }
            events.extend(rows.iter().map(|row| (row.get(0), String::from_utf8(row.get(6)).unwrap())));
        }
    }
}

fn owner(stream: &str) -> i64 {
    let end = stream.match_indices('/').nth(1).map_or(stream.len(), |(at, _)| at);
    let digest = Digest::builder("daa postgres owner v1").field(&stream.as_bytes()[..end]).finish();
    first_eight(&digest)
}

fn first_eight(digest: &Digest) -> i64 {
    i64::from_le_bytes(*digest.as_bytes().first_chunk().unwrap())
}

fn checksum(position: i64, version: i64, at: i64, stream: &str, kind: &str, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for number in [position, version, at, stream.len() as i64, kind.len() as i64] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(stream.as_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(payload);
    hasher.finalize()
}
