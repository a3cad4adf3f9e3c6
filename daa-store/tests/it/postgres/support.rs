//! A schema of its own for each test.

use daa_store::postgres::{PostgresEventStore, PostgresOptions};
use tokio_postgres::{Client, Error, NoTls};

/// Where the server is.
pub(super) fn url() -> String {
    std::env::var("DAA_TEST_POSTGRES").unwrap_or_else(|_| "postgres://root@127.0.0.1:5432/test".to_owned())
}

/// A schema that is removed at the end.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) url: String,
    pub(super) name: String,
}

impl Schema {
    pub(super) fn new() -> Self {
        Self { url: url(), name: format!("test_{:016x}", rand::random::<u64>()) }
    }

    pub(super) fn options(&self) -> PostgresOptions {
        PostgresOptions::new(&self.url).unwrap().with_schema(&self.name).unwrap()
    }

    pub(super) async fn open(&self) -> PostgresEventStore {
        PostgresEventStore::open(self.options()).await.unwrap()
    }

    /// A connection that looks into the schema past the store.
    pub(super) async fn connect(&self) -> Client {
        let client = connect(&self.url).await.unwrap();
        client.batch_execute(&format!("SET search_path TO {}", self.name)).await.unwrap();
        client
    }
}

/// A connection without a store.
pub(super) async fn connect(url: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let client = connect(&url).await?;
                client.batch_execute(&format!("DROP SCHEMA IF EXISTS {name} CASCADE")).await
            })
        });
        if let Err(error) = removed.join().unwrap() {
            eprintln!("{} was not removed: {error}", self.name);
        }
    }
}
