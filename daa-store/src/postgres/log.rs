//! The log as the writer knows it: where it ends, and where the streams end that it met.

use std::collections::HashMap;

use daa_core::digest::Digest;
use daa_core::event::{AppendError, Appended, Batch, ExpectedVersion, Position, Version};
use daa_core::id::StreamId;

use super::columns::Columns;
use super::connection::{Session, first_eight};
use super::engine::Failure;
use super::schema;

/// Number, owner and version of the streams that there are of these.
const KNOWN: &str = "
    SELECT s.name, s.id, s.owner,
        coalesce((SELECT e.version + e.span - 1 FROM events e
            WHERE e.stream = s.id AND e.owner = s.owner AND e.span > 0 ORDER BY e.version DESC LIMIT 1), 0)
    FROM streams s WHERE s.name = ANY($1)";
/// More streams than this are not kept in memory.
const REMEMBERED: usize = 100_000;

/// What the writer knows about a stream.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Its number, and that of its owner; `None` while it has no events.
    id: Option<i64>,
    owner: i64,
    version: u64,
}

/// What was true when the log ended at `head`. It is true as long as the log still ends there, which the commit of
/// the next group finds out.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) head: Position,
    streams: HashMap<StreamId, Known>,
}

/// What became of the appends of a group, should it be committed as it is.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) outcomes: Vec<Result<Appended, AppendError>>,
    pub(super) columns: Columns,
    /// The log after it.
    after: Vec<(StreamId, Known)>,
}

impl Log {
    pub(super) fn new(head: Position) -> Self {
        Self { head, streams: HashMap::new() }
    }

    /// Reads what it does not know of the streams of these batches. A stream that is expected to be new is taken for
    /// new without looking, where `presume` says so: if it is not, the commit is refused.
    pub(super) async fn learn(
        &mut self,
        session: &mut Session,
        batches: &[&Batch],
        presume: bool,
    ) -> Result<(), Failure> {
        if self.streams.len() > REMEMBERED {
            self.streams.clear();
        }
        let writes = || batches.iter().flat_map(|batch| &batch.writes);
        let new = |write: &&daa_core::event::StreamWrite| write.expected == ExpectedVersion::NO_STREAM;
        let mut unknown: Vec<&StreamId> = Vec::new();
        for write in writes().filter(|write| !self.streams.contains_key(&write.stream)) {
            if !(presume && new(&write)) {
                unknown.push(&write.stream);
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        unknown.dedup();
        let names: Vec<&str> = unknown.iter().map(|stream| stream.as_str()).collect();
        let rows = session.query(KNOWN, &[&names]).await?;
        for stream in unknown {
            self.streams.insert(stream.clone(), Known { id: None, owner: owner(stream), version: 0 });
        }
        for row in rows {
            let (name, version): (&str, i64) = (row.try_get(0)?, row.try_get(3)?);
            let known =
                Known { id: Some(row.try_get(1)?), owner: row.try_get(2)?, version: version.cast_unsigned() };
            if let Some(slot) = self.streams.get_mut(name) {
                *slot = known;
            }
        }
        Ok(())
    }

    /// Decides about each batch, in order, as if those before it were committed.
    pub(super) fn plan(&self, batches: &[&Batch]) -> Plan {
        let mut plan = Plan { outcomes: Vec::new(), columns: Columns::new(self.head), after: Vec::new() };
        let mut now: HashMap<&StreamId, Known> = HashMap::new();
        for batch in batches {
            plan.outcomes.push(self.decide(batch, &mut now, &mut plan.columns));
        }
        plan.after = now.into_iter().map(|(stream, known)| (stream.clone(), known)).collect();
        plan
    }

    fn decide<'a>(
        &self,
        batch: &'a Batch,
        now: &mut HashMap<&'a StreamId, Known>,
        columns: &mut Columns,
    ) -> Result<Appended, AppendError> {
        let mut ahead: HashMap<&StreamId, u64> = HashMap::new();
        for write in &batch.writes {
            let before = now.get(&write.stream).copied().unwrap_or_else(|| self.known(&write.stream)).version;
            let count = ahead.entry(&write.stream).or_default();
            let actual = Version::new(before + *count);
            if let ExpectedVersion::Exact(expected) = write.expected
                && expected != actual
            {
                return Err(AppendError::Conflict { stream: write.stream.clone(), expected, actual });
            }
            *count += write.events.len() as u64;
        }
        let first = columns.next();
        for write in &batch.writes {
            let known = now.entry(&write.stream).or_insert_with(|| self.known(&write.stream));
            let id = match known.id {
                Some(id) => id,
                None => columns.name(&write.stream, known.owner),
            };
            known.id = Some(id);
            columns.add(id, known.owner, known.version, write);
            known.version += write.events.len() as u64;
        }
        Ok(Appended::new(first, columns.last()))
    }

    fn known(&self, stream: &StreamId) -> Known {
        let new = || Known { id: None, owner: owner(stream), version: 0 };
        self.streams.get(stream).copied().unwrap_or_else(new)
    }

    /// A plan was committed.
    pub(super) fn committed(&mut self, plan: &mut Plan) {
        self.head = plan.columns.last();
        self.streams.extend(plan.after.drain(..));
    }

    /// Looks whether others wrote, and forgets what is not true any more if so.
    pub(super) async fn catch_up(&mut self, session: &mut Session) -> Result<bool, Failure> {
        let row = session.query_opt(schema::HEAD, &[]).await?;
        Ok(self.is_at(schema::head_in(row.as_ref())?))
    }

    /// The log ends here, as was just read; answers whether that is news.
    pub(super) fn is_at(&mut self, head: Position) -> bool {
        let moved = head != self.head;
        if moved {
            *self = Self::new(head);
        }
        moved
    }

    /// Whoever was taken for new is looked up next time.
    pub(super) fn forget(&mut self) {
        self.streams.clear();
    }
}

/// What the partition of a stream is chosen by: the first two parts of its name, so that the streams of one agent
/// are together.
pub(super) fn owner(stream: &StreamId) -> i64 {
    let name = stream.as_str();
    let end = name.match_indices('/').nth(1).map_or(name.len(), |(at, _)| at);
    let owner = name.get(..end).unwrap_or(name);
    first_eight(&Digest::builder("daa postgres owner v1").field(owner.as_bytes()).finish())
}
