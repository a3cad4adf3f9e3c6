//! A store against a model that is too simple to be wrong.

use std::collections::HashMap;

use super::*;
use crate::event::{AppendError, Appended};

/// One write of a random batch: everything in it is small, so that writes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelWrite {
    /// Which stream.
    pub stream: u8,
    /// How far the expected version is off the real one; `None` for `Any`.
    pub off: Option<i8>,
    /// How many events.
    pub events: u8,
}

impl ModelWrite {
    /// A write of `events` events to stream number `stream`, based on a version that is `off` by so much.
    #[must_use]
    pub const fn new(stream: u8, off: Option<i8>, events: u8) -> Self {
        Self { stream, off, events }
    }
}

/// One step of a random life of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelStep {
    /// A batch of these writes.
    Append(Vec<ModelWrite>),
    /// Stream number `stream` is erased up to version `up_to`.
    Erase {
        /// Which stream.
        stream: u8,
        /// The last version that is erased.
        up_to: u8,
    },
}

#[derive(Default)]
struct Model {
    all: Vec<(StreamId, u64, String)>,
    versions: HashMap<StreamId, u64>,
}

impl Model {
    /// What the contract says must come of a batch.
    fn apply(&mut self, batch: &Batch) -> Result<(u64, u64), (StreamId, u64)> {
        let (mut all, mut versions) = (self.all.clone(), self.versions.clone());
        for write in &batch.writes {
            let version = versions.entry(write.stream.clone()).or_default();
            if let ExpectedVersion::Exact(expected) = write.expected
                && expected.get() != *version
            {
                return Err((write.stream.clone(), *version));
            }
            for event in &write.events {
                *version += 1;
                let payload = String::from_utf8(event.payload.to_vec()).unwrap();
                all.push((write.stream.clone(), *version, payload));
            }
        }
        let first = self.all.len() as u64 + 1;
        (self.all, self.versions) = (all, versions);
        Ok((first, self.all.len() as u64))
    }

    /// How many events an erasure takes the content of.
    fn erase(&mut self, stream: &StreamId, up_to: u64) -> u64 {
        let mut erased = 0;
        for (_, _, payload) in
            self.all.iter_mut().filter(|(of, version, _)| of == stream && *version <= up_to)
        {
            erased += u64::from(!payload.is_empty());
            payload.clear();
        }
        erased
    }

    /// A batch whose expectations are off the truth by what was drawn.
    fn batch(&self, writes: &[ModelWrite], tag: usize) -> Batch {
        let mut ahead = self.versions.clone();
        let mut batch = Batch::new();
        for (at, write) in writes.iter().enumerate() {
            let stream = stream(&format!("s{}", write.stream));
            let version = ahead.entry(stream.clone()).or_default();
            let expected = match write.off {
                Some(off) => exact(version.saturating_add_signed(off.into())),
                None => ExpectedVersion::Any,
            };
            *version += u64::from(write.events);
            let events = (0..write.events).map(|event_at| event(format!("{tag}.{at}.{event_at}"))).collect();
            batch = batch.with(StreamWrite::new(stream, expected, events));
        }
        batch
    }
}

/// Goes random steps and demands of each the outcome that the contract prescribes, and of the whole in the end that
/// it reads as the model does. For property tests, which draw and shrink `steps`.
pub async fn behaves_as_the_model(store: Store, steps: Vec<ModelStep>) {
    let mut model = Model::default();
    for (tag, step) in steps.iter().enumerate() {
        let writes = match step {
            ModelStep::Append(writes) => writes,
            ModelStep::Erase { stream: number, up_to } => {
                let (stream, up_to) = (stream(&format!("s{number}")), u64::from(*up_to));
                let erased = store.erase(&stream, Version::new(up_to)).await.unwrap();
                assert_eq!(erased, model.erase(&stream, up_to));
                continue;
            }
        };
        let batch = model.batch(writes, tag);
        let outcome = store.append(batch.clone()).await;
        if batch.event_count() == 0 || batch.writes.iter().any(|write| write.events.is_empty()) {
            assert!(matches!(outcome, Err(AppendError::Empty)), "{outcome:?}");
            continue;
        }
        match (model.apply(&batch), outcome) {
            (Ok((first, last)), Ok(appended)) => {
                assert_eq!(appended, Appended::new(Position::new(first), Position::new(last)));
            }
            (Err((stream, version)), Err(AppendError::Conflict { stream: found, actual, .. })) => {
                assert_eq!((found, actual.get()), (stream, version));
            }
            (expected, outcome) => panic!("expected {expected:?}, got {outcome:?}"),
        }
        assert_eq!(store.head().await.unwrap().get(), model.all.len() as u64);
    }
    let flat = |event: RecordedEvent| {
        assert_eq!(event.is_erased(), event.payload.is_empty());
        (event.stream, event.version.get(), String::from_utf8(event.payload.to_vec()).unwrap())
    };
    let all: Vec<_> = everything(&store, 3).await.into_iter().map(flat).collect();
    assert_eq!(all, model.all);
    for stream in model.versions.keys() {
        let read: Vec<_> = whole_stream(&store, stream, 2).await.into_iter().map(flat).collect();
        let expected: Vec<_> = model.all.iter().filter(|(of, ..)| of == stream).cloned().collect();
        assert_eq!(read, expected);
    }
}
