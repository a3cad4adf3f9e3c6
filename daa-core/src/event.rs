//! Events: the one source of truth, and the contract of whatever stores them.
//!
//! State that must outlive the process is events in streams of an [`EventStore`]. One [`Batch`] may write to
//! several streams and is all-or-nothing: that is the only transaction there is.

mod archived;
mod batch;
mod error;
mod lag;
mod memory;
mod poison;
mod record;
mod store;
mod subscription;
#[cfg(feature = "runtime")]
mod tail;

pub use archived::{ArchiveError, Archived};
pub use batch::{Batch, BatchLimits, ExpectedVersion, NewEvent, StreamWrite};
pub use error::{AppendError, DecodeError, ReadError};
pub use lag::Lag;
pub use memory::MemoryEventStore;
pub use poison::OnPoison;
pub use record::{Appended, Position, RecordedEvent, Version};
pub use store::{EventStore, PageSize, ReadAll};
pub use subscription::Subscription;
#[cfg(feature = "runtime")]
pub use tail::last_event;

#[cfg(all(feature = "test-util", feature = "runtime"))]
pub mod testing;
