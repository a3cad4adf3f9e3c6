//! A part of the log as the bytes of an artefact.
//!
//! A line that names the format, then each event: position, version and time in 8 bytes, the lengths of stream and kind
//! in 2 and of the payload in 4, all little-endian, then the three. The same events always give the same bytes, and so
//! the same address.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use crate::clock::Timestamp;
use crate::event::{Position, RecordedEvent, Version};
use crate::id::{EventKind, StreamId};

const FORMAT: &[u8] = b"daa events v1\n";
/// What an event takes besides its stream, its kind and its payload.
const FIXED: usize = 3 * 8 + 2 * 2 + 4;

/// Events that follow one another in the order.
#[derive(Debug)]
pub(super) struct Segment(Vec<RecordedEvent>);

impl Segment {
    pub(super) const fn new(events: Vec<RecordedEvent>) -> Self {
        Self(events)
    }

    pub(super) fn events(&self) -> &[RecordedEvent] {
        &self.0
    }

    /// The event at a position.
    pub(super) fn at(&self, position: Position) -> Option<&RecordedEvent> {
        let first = self.0.first()?.position.get();
        self.0.get(usize::try_from(position.get().checked_sub(first)?).ok()?)
    }

    /// Without the content of the events that are chosen, and how many of them had one.
    pub(super) fn erasing(&self, chosen: impl Fn(&RecordedEvent) -> bool) -> (Self, u64) {
        let mut erased = 0;
        let events = self.0.iter().map(|event| {
            if event.is_erased() || !chosen(event) {
                return event.clone();
            }
            erased += 1;
            event.clone().into_erased()
        });
        (Self(events.collect()), erased)
    }

    pub(super) fn encode(&self) -> Bytes {
        let size = |event: &RecordedEvent| {
            FIXED + event.stream.as_str().len() + event.kind.as_str().len() + event.payload.len()
        };
        let mut bytes = BytesMut::with_capacity(FORMAT.len() + self.0.iter().map(size).sum::<usize>());
        bytes.put_slice(FORMAT);
        for event in &self.0 {
            let (stream, kind) = (event.stream.as_str(), event.kind.as_str());
            bytes.put_u64_le(event.position.get());
            bytes.put_u64_le(event.version.get());
            bytes.put_u64_le(event.at.as_millis());
            // Ids have at most 200 bytes, payloads a megabyte.
            bytes.put_u16_le(u16::try_from(stream.len()).unwrap_or(u16::MAX));
            bytes.put_u16_le(u16::try_from(kind.len()).unwrap_or(u16::MAX));
            bytes.put_u32_le(u32::try_from(event.payload.len()).unwrap_or(u32::MAX));
            bytes.put_slice(stream.as_bytes());
            bytes.put_slice(kind.as_bytes());
            bytes.put_slice(&event.payload);
        }
        bytes.freeze()
    }

    /// The events from `first` to `last` that these bytes hold; `None` where they hold something else.
    pub(super) fn decode(bytes: &Bytes, first: Position, last: Position) -> Option<Self> {
        let mut rest = bytes.clone();
        if take(&mut rest, FORMAT.len())? != FORMAT {
            return None;
        }
        let mut events = Vec::new();
        let mut next = first;
        while next <= last {
            let event = event(&mut rest)?;
            if event.position != next {
                return None;
            }
            next = next.next();
            events.push(event);
        }
        rest.is_empty().then_some(Self(events))
    }
}

fn event(rest: &mut Bytes) -> Option<RecordedEvent> {
    let position = Position::new(rest.try_get_u64_le().ok()?);
    let version = Version::new(rest.try_get_u64_le().ok()?);
    let at = Timestamp::from_millis(rest.try_get_u64_le().ok()?);
    let (stream, kind) = (rest.try_get_u16_le().ok()?, rest.try_get_u16_le().ok()?);
    let payload = usize::try_from(rest.try_get_u32_le().ok()?).ok()?;
    let stream = take(rest, stream.into())?;
    let kind = take(rest, kind.into())?;
    let stream = StreamId::new(std::str::from_utf8(&stream).ok()?).ok()?;
    let kind = EventKind::new(std::str::from_utf8(&kind).ok()?).ok()?;
    Some(RecordedEvent::new(position, stream, version, kind, at, take(rest, payload)?))
}

fn take(rest: &mut Bytes, bytes: usize) -> Option<Bytes> {
    (bytes <= rest.len()).then(|| rest.split_to(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events() -> impl Strategy<Value = Vec<RecordedEvent>> {
        let event = ("[a-z]{1,9}", 1..u64::MAX, any::<u64>(), prop::collection::vec(any::<u8>(), 0..40));
        (1_u64..1_000, prop::collection::vec(event, 1..20)).prop_map(|(first, events)| {
            let recorded = |(position, (name, version, at, payload)): (u64, (String, u64, u64, Vec<u8>))| {
                RecordedEvent::new(
                    Position::new(position),
                    StreamId::new(format!("s/{name}")).unwrap(),
                    Version::new(version),
                    EventKind::new(format!("{name}.v1")).unwrap(),
                    Timestamp::from_millis(at),
                    payload.into(),
                )
            };
            (first..).zip(events).map(recorded).collect()
        })
    }

    fn ends(events: &[RecordedEvent]) -> (Position, Position) {
        (events[0].position, events[events.len() - 1].position)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(events in events()) {
            let (first, last) = ends(&events);
            let bytes = Segment::new(events.clone()).encode();
            let segment = Segment::decode(&bytes, first, last).unwrap();
            prop_assert_eq!(segment.events(), &events[..]);
            for event in &events {
                prop_assert_eq!(segment.at(event.position), Some(event));
            }
            prop_assert_eq!(segment.at(last.next()), None);
            prop_assert!(Segment::decode(&bytes, first, last.next()).is_none());
            prop_assert!(Segment::decode(&bytes, first.next(), last).is_none());
        }

        #[test]
        fn whatever_is_cut_off_or_changed_is_refused_or_other_events(
            events in events(),
            at in any::<prop::sample::Index>(),
            change in 1_u8..,
        ) {
            let (first, last) = ends(&events);
            let mut bytes = Segment::new(events.clone()).encode().to_vec();
            let at = at.index(bytes.len());
            let cut = Bytes::copy_from_slice(&bytes[..at]);
            prop_assert!(Segment::decode(&cut, first, last).is_none());
            bytes[at] ^= change;
            let decoded = Segment::decode(&Bytes::from(bytes), first, last);
            prop_assert!(decoded.is_none_or(|segment| segment.events() != events));
        }
    }
}
