//! Durable appends on PostgreSQL, ours beside inserts by hand over one connection of the same driver: the same rows
//! into one table with a primary key, a statement for each batch, the durability of the server.

use std::time::Instant;

use daa_core::event::{Batch, EventStore};
use daa_store::postgres::{PostgresEventStore, PostgresOptions};
use tokio_postgres::{Client, NoTls, Statement};

use super::{Shape, TURNS, batches};
use crate::line::{Better, Line};

const SHAPES: [Shape; 6] = [
    Shape { name: "postgres, single events", batches: 100, events: 1, streams: 1 },
    Shape { name: "postgres, batches of 10", batches: 100, events: 10, streams: 1 },
    Shape { name: "postgres, batches of 100", batches: 50, events: 100, streams: 1 },
    Shape { name: "postgres, batches of 1000", batches: 20, events: 1_000, streams: 1 },
    Shape { name: "postgres, batches of 1000 in 100 streams", batches: 20, events: 1_000, streams: 100 },
    Shape { name: "postgres, batches of 10000", batches: 5, events: 10_000, streams: 1 },
];

/// Nothing where no server answers: `DAA_TEST_POSTGRES`, or the one on this machine.
pub(super) async fn run() -> Vec<Line> {
    let url = std::env::var("DAA_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_owned());
    if tokio_postgres::connect(&url, NoTls).await.is_err() {
        eprintln!("event_store on PostgreSQL: skipped, no server at DAA_TEST_POSTGRES or on this machine");
        return Vec::new();
    }
    let mut lines = Vec::new();
    for shape in SHAPES {
        lines.push(side_by_side(&url, shape).await);
    }
    lines
}

async fn side_by_side(url: &str, shape: Shape) -> Line {
    let schema = format!("daa_bench_{}", std::process::id());
    let mut raw = Raw::open(url, &schema).await;
    let ours_in = format!("{schema}_ours");
    let options = PostgresOptions::new(url).expect("a URL").with_schema(&ours_in).expect("a schema");
    let store = PostgresEventStore::open(options).await.expect("a store");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..TURNS {
        let batches = batches(shape, turn);
        theirs.push(raw.append(&batches).await);
        let began = Instant::now();
        for batch in batches {
            store.append(batch).await.expect("an append");
        }
        ours.push(began.elapsed().as_secs_f64());
    }
    store.close().await;
    raw.remove(&[&schema, &ours_in]).await;
    let rate = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        (shape.batches * shape.events) as f64 / times[TURNS / 2]
    };
    Line::alone("event_store", shape.name, "events/s", rate(ours)).beside(
        "tokio-postgres",
        rate(theirs),
        Better::Higher,
    )
}

/// What one would write by hand.
struct Raw {
    client: Client,
    insert: Statement,
    position: i64,
}

const INSERT: &str = "
    INSERT INTO raw (position, stream, version, at, kind, payload)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[])";

impl Raw {
    async fn open(url: &str, schema: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let set_up = format!(
            "CREATE SCHEMA {schema}; SET search_path TO {schema};
             CREATE TABLE raw (position bigint PRIMARY KEY, stream bigint NOT NULL, version bigint NOT NULL,
                 at bigint NOT NULL, kind text NOT NULL, payload bytea NOT NULL)"
        );
        client.batch_execute(&set_up).await.expect("a table");
        let insert = client.prepare(INSERT).await.expect("a statement");
        Self { client, insert, position: 0 }
    }

    /// Seconds.
    async fn append(&mut self, batches: &[Batch]) -> f64 {
        let began = Instant::now();
        for batch in batches {
            let (mut positions, mut streams, mut versions) = (Vec::new(), Vec::new(), Vec::new());
            let (mut times, mut kinds, mut payloads) = (Vec::new(), Vec::new(), Vec::<&[u8]>::new());
            for (number, write) in (0_i64..).zip(&batch.writes) {
                for (version, event) in (1_i64..).zip(&write.events) {
                    self.position += 1;
                    positions.push(self.position);
                    streams.push(number);
                    versions.push(version);
                    times.push(event.at.as_millis() as i64);
                    kinds.push(event.kind.as_str());
                    payloads.push(&event.payload);
                }
            }
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                [&positions, &streams, &versions, &times, &kinds, &payloads];
            self.client.execute(&self.insert, &values).await.expect("an insert");
        }
        began.elapsed().as_secs_f64()
    }

    async fn remove(self, schemas: &[&str]) {
        for schema in schemas {
            let drop = format!("DROP SCHEMA {schema} CASCADE");
            self.client.batch_execute(&drop).await.expect("a schema removed");
        }
    }
}
