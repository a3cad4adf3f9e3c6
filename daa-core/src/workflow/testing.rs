//! For the tests of those who build on workflows: an outside world that counts its effects, a store that crashes when
//! told, and time that passes only when nothing else happens ([`VirtualClock`](crate::clock::VirtualClock)).
//!
//! ```
//! # use std::sync::Arc;
//! # use daa_core::event::MemoryEventStore;
//! # use daa_core::workflow::testing::{CrashPoint, CrashStore, Script, World};
//! let outside = World::new();
//! outside.script("card.charge", [Script::fail(), Script::succeed("receipt 1")]);
//! let store = CrashStore::new(Arc::new(MemoryEventStore::new()));
//! store.crash_at(3, CrashPoint::After);
//! // … build an engine with `store` and `outside`, let it run into the crash, then build another one on
//! // `store.restarted()`, and count what `outside` has seen.
//! ```

mod crash;
mod world;

pub use crash::{CrashPoint, CrashStore};
pub use world::{Effect, Ending, Script, World};
