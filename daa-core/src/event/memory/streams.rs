//! Where the events of each stream are.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::id::StreamId;

/// For each stream the places of its events in the log, in order.
///
/// The hashes are kept: a table that grows would else read the names of all streams again, which are all over the memory.
#[derive(Debug, Default)]
pub(super) struct Streams {
    table: HashTable<Stream>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Stream {
    hash: u64,
    id: StreamId,
    places: Vec<usize>,
}

impl Streams {
    pub(super) fn places(&self, id: &StreamId) -> &[usize] {
        let found = self.table.find(self.hasher.hash_one(id), |stream| stream.id == *id);
        found.map(|stream| stream.places.as_slice()).unwrap_or_default()
    }

    /// The places of a stream, to add to; where there is none so far, it begins.
    pub(super) fn places_mut(&mut self, id: &StreamId) -> &mut Vec<usize> {
        let hash = self.hasher.hash_one(id);
        let entry = self.table.entry(hash, |stream| stream.id == *id, |stream| stream.hash);
        let begin = || Stream { hash, id: id.clone(), places: Vec::new() };
        &mut entry.or_insert_with(begin).into_mut().places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_its_own_places_however_many_there_are() {
        let mut streams = Streams::default();
        let id = |number: usize| StreamId::new(format!("s/{}", number % 1_000)).unwrap();
        for number in 0..3_000 {
            streams.places_mut(&id(number)).push(number);
        }
        for number in 0..1_000 {
            assert_eq!(streams.places(&id(number)), [number, number + 1_000, number + 2_000]);
        }
        assert_eq!(streams.places(&StreamId::new("other").unwrap()), [0_usize; 0]);
    }
}
