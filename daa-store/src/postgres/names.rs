//! The names of streams by their number. What is committed never changes, so they stay true.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use daa_core::event::ReadError;
use daa_core::id::StreamId;
use deadpool_postgres::Client;

use super::engine::Failure;

/// More names than this are not kept in memory.
const REMEMBERED: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Names(Mutex<HashMap<i64, StreamId>>);

/// The names of the streams on a page.
pub(super) type OnPage = HashMap<i64, StreamId>;

impl Names {
    /// The names of these streams; those that it does not know are read.
    pub(super) async fn of(
        &self,
        client: &Client,
        streams: impl Iterator<Item = i64>,
    ) -> Result<Result<OnPage, ReadError>, Failure> {
        let (mut names, mut unknown) = (OnPage::new(), Vec::new());
        {
            let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for id in streams {
                if names.contains_key(&id) {
                    continue;
                }
                match known.get(&id) {
                    Some(name) => drop(names.insert(id, name.clone())),
                    None => unknown.push(id),
                }
            }
        }
        if unknown.is_empty() {
            return Ok(Ok(names));
        }
        unknown.sort_unstable();
        unknown.dedup();
        let names_of = client.prepare_cached("SELECT id, name FROM streams WHERE id = ANY($1)").await?;
        let rows = client.query(&names_of, &[&unknown]).await?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > REMEMBERED {
            known.clear();
        }
        for row in rows {
            let (id, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
            let name = match StreamId::new(name) {
                Ok(name) => name,
                Err(error) => {
                    let detail = format!("the name of stream number {id}: {error}");
                    return Ok(Err(ReadError::Corrupt { detail }));
                }
            };
            known.insert(id, name.clone());
            names.insert(id, name);
        }
        Ok(Ok(names))
    }
}
