//! The events that this store appended last: whoever follows the store from here need not ask the server for them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use daa_core::event::{Batch, PageSize, Position, ReadAll, ReadError, RecordedEvent, Version};
use tokio::time::Instant;

use super::job::Outcome;
use super::read::Reader;

/// So many are kept, with so many bytes of payload together.
const EVENTS: usize = 4_096;
const BYTES: usize = 4 << 20;
/// So long they are told from memory. What another process erases meanwhile may be seen for so long.
const FRESH: Duration = Duration::from_secs(1);

/// A stretch of the log without gaps, that ends with the last group of this store. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(Arc<Mutex<Stretch>>);

#[derive(Debug, Default)]
struct Stretch {
    events: VecDeque<(Instant, RecordedEvent)>,
    bytes: usize,
    /// How often something was erased.
    erasures: u64,
    /// Nothing is told any more.
    closed: bool,
}

impl Stretch {
    fn clear(&mut self) {
        self.events.clear();
        self.bytes = 0;
    }

    fn last(&self) -> Option<Position> {
        self.events.back().map(|(_, event)| event.position)
    }

    fn push(&mut self, at: Instant, event: RecordedEvent) {
        if self.last().is_some_and(|last| last.next() != event.position) {
            self.clear();
        }
        self.bytes += event.payload.len();
        self.events.push_back((at, event));
        while self.events.len() > EVENTS || self.bytes > BYTES {
            let Some((_, oldest)) = self.events.pop_front() else { return };
            self.bytes -= oldest.payload.len();
        }
    }
}

impl Recent {
    fn lock(&self) -> MutexGuard<'_, Stretch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all when what is returned is dropped, because some of it is erased by then.
    pub(super) fn until_erased(&self) -> Erasing {
        Erasing(self.clone())
    }

    /// How often something was erased by now.
    pub(super) fn erasures(&self) -> u64 {
        self.lock().erasures
    }

    /// Tells nothing any more: who reads is told by the server's side that the store is closed.
    pub(super) fn close(&self) {
        let mut stretch = self.lock();
        stretch.closed = true;
        stretch.clear();
    }

    /// Takes a group that was committed: what became of each of its batches, and the versions of its events in order.
    /// `erasures` were counted before it was sent: what was erased since may be of it.
    pub(super) fn committed(
        &self,
        (now, erasures): (Instant, u64),
        batches: &[&Batch],
        outcomes: &[Outcome],
        versions: &[i64],
    ) {
        let mut stretch = self.lock();
        if versions.len() > EVENTS || erasures != stretch.erasures || stretch.closed {
            return stretch.clear();
        }
        let mut versions = versions.iter();
        for (batch, outcome) in batches.iter().zip(outcomes) {
            let Ok(appended) = outcome else { continue };
            let mut position = appended.first;
            for write in &batch.writes {
                for (event, version) in write.events.iter().zip(&mut versions) {
                    let event = RecordedEvent::new(
                        position,
                        write.stream.clone(),
                        Version::new(version.cast_unsigned()),
                        event.kind.clone(),
                        event.at,
                        event.payload.clone(),
                    );
                    stretch.push(now, event);
                    position = position.next();
                }
            }
        }
    }

    /// The events behind a place; `None` where the server has to be asked.
    fn behind(&self, now: Instant, after: Position, page: PageSize) -> Option<Vec<RecordedEvent>> {
        let stretch = self.lock();
        let first = stretch.events.front()?.1.position;
        let skipped = after.next().get().checked_sub(first.get())?;
        let skipped = usize::try_from(skipped).ok().filter(|&skipped| skipped < stretch.events.len())?;
        // The oldest that is asked for.
        if now.duration_since(stretch.events.get(skipped)?.0) >= FRESH {
            return None;
        }
        let mut bytes = 0;
        let wanted = stretch.events.iter().skip(skipped).take(page.get()).map(|(_, event)| event);
        let within = wanted.take_while(|event| {
            let fits = bytes < PageSize::MAX_BYTES;
            bytes += event.payload.len();
            fits
        });
        Some(within.cloned().collect())
    }
}

#[derive(Debug)]
pub(super) struct Erasing(Recent);

impl Drop for Erasing {
    fn drop(&mut self) {
        let mut stretch = self.0.lock();
        stretch.erasures += 1;
        stretch.clear();
    }
}

/// Reads for a subscription: from memory what is there, everything else from the server.
#[derive(Debug)]
pub(super) struct Following {
    pub(super) recent: Recent,
    pub(super) reader: Arc<Reader>,
}

#[async_trait]
impl ReadAll for Following {
    async fn read_all(&self, after: Position, page: PageSize) -> Result<Vec<RecordedEvent>, ReadError> {
        match self.recent.behind(Instant::now(), after, page) {
            Some(events) => Ok(events),
            None => self.reader.read_all(after, page).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use daa_core::clock::Timestamp;
    use daa_core::event::{AppendError, Appended, ExpectedVersion, NewEvent, StreamWrite};

    use super::*;

    fn batch(stream: &str, payloads: &[&'static str]) -> Batch {
        let event = |payload: &&'static str| {
            NewEvent::new("test.v1".parse().unwrap(), Timestamp::EPOCH, (*payload).into())
        };
        let events = payloads.iter().map(event).collect();
        Batch::new().with(StreamWrite::new(stream.parse().unwrap(), ExpectedVersion::Any, events))
    }

    fn size(recent: &Recent) -> (usize, usize) {
        let stretch = recent.lock();
        (stretch.events.len(), stretch.bytes)
    }

    fn at(first: u64, last: u64) -> Outcome {
        Ok(Appended::new(Position::new(first), Position::new(last)))
    }

    fn behind((recent, now): (&Recent, Instant), after: u64, page: usize) -> Option<Vec<(u64, u64, String)>> {
        let events = recent.behind(now, Position::new(after), PageSize::new(page))?;
        let told = |event: &RecordedEvent| {
            let payload = String::from_utf8(event.payload.to_vec()).unwrap();
            (event.position.get(), event.version.get(), format!("{} {payload}", event.stream))
        };
        Some(events.iter().map(told).collect())
    }

    #[test]
    fn a_group_is_told_as_it_stands_in_the_log_and_what_was_refused_is_not() {
        let (recent, now) = (Recent::default(), Instant::now());
        let (a, refused, b) = (batch("a", &["1", "2"]), batch("a", &["no"]), batch("b", &["3"]));
        let conflict = AppendError::Closed;
        recent.committed(
            (now, recent.erasures()),
            &[&a, &refused, &b],
            &[at(5, 6), Err(conflict), at(7, 7)],
            &[9, 10, 1],
        );
        let all = vec![(5, 9, "a 1".to_owned()), (6, 10, "a 2".to_owned()), (7, 1, "b 3".to_owned())];
        assert_eq!(behind((&recent, now), 4, 10), Some(all.clone()));
        assert_eq!(behind((&recent, now), 4, 2), Some(all[..2].to_vec()));
        assert_eq!(behind((&recent, now), 6, 10), Some(all[2..].to_vec()));
        for elsewhere in [0, 3, 7, 8] {
            assert_eq!(behind((&recent, now), elsewhere, 10), None, "behind {elsewhere}");
        }
    }

    #[test]
    fn what_others_wrote_between_is_never_left_out() {
        let (recent, now) = (Recent::default(), Instant::now());
        let one = batch("a", &["1"]);
        recent.committed((now, recent.erasures()), &[&one], &[at(5, 5)], &[1]);
        recent.committed((now, recent.erasures()), &[&one], &[at(7, 7)], &[2]);
        assert_eq!(behind((&recent, now), 4, 10), None);
        assert_eq!(behind((&recent, now), 5, 10), None);
        assert_eq!(behind((&recent, now), 6, 10), Some(vec![(7, 2, "a 1".to_owned())]));
    }

    #[test]
    fn nothing_is_told_that_is_old_or_was_erased() {
        let (recent, now) = (Recent::default(), Instant::now());
        let one = batch("a", &["1"]);
        recent.committed((now, recent.erasures()), &[&one], &[at(5, 5)], &[1]);
        let now = now + FRESH;
        recent.committed((now, recent.erasures()), &[&one], &[at(6, 6)], &[2]);
        assert_eq!(behind((&recent, now), 4, 10), None);
        assert_eq!(behind((&recent, now), 5, 10).map(|events| events.len()), Some(1));
        let erasures = recent.erasures();
        drop(recent.until_erased());
        assert_eq!(behind((&recent, now), 5, 10), None);
        // It was on its way while something was erased.
        recent.committed((now, erasures), &[&one], &[at(7, 7)], &[3]);
        assert_eq!(behind((&recent, now), 6, 10), None);
    }

    #[test]
    fn memory_is_bounded_by_events_and_by_bytes() {
        let (recent, now) = (Recent::default(), Instant::now());
        let many = batch("a", &["1"; EVENTS / 2]);
        for group in 0..4 {
            let first = group * EVENTS as u64 / 2 + 1;
            let last = first + EVENTS as u64 / 2 - 1;
            let versions: Vec<i64> = (first..=last).map(u64::cast_signed).collect();
            recent.committed((now, recent.erasures()), &[&many], &[at(first, last)], &versions);
        }
        assert_eq!(size(&recent), (EVENTS, EVENTS));
        assert_eq!(
            behind((&recent, now), EVENTS as u64, 1).map(|events| events[0].0),
            Some(EVENTS as u64 + 1)
        );
        let large: &'static str = Box::leak("x".repeat(1 << 20).into_boxed_str());
        recent.committed(
            (now, recent.erasures()),
            &[&batch("a", &[large; 6])],
            &[at(2 * EVENTS as u64 + 1, 2 * EVENTS as u64 + 6)],
            &[1; 6],
        );
        assert_eq!(size(&recent), (4, 4 << 20));
        let huge = batch("a", &["1"; EVENTS + 1]);
        recent.committed((now, recent.erasures()), &[&huge], &[at(1, EVENTS as u64 + 1)], &[1; EVENTS + 1]);
        assert_eq!(size(&recent), (0, 0));
    }
}
