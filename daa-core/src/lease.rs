//! Leases: what one at a time may do, across processes, and for a limited time.
//!
//! A lease ends by itself, so whoever dies does not block the others for ever. The price is that a holder that was
//! paused may believe that it still holds what another has by now. No lease can prevent that. What can is the
//! [`FencingToken`]: each acquisition has a higher one, the holder shows it with everything it does, and what it acts
//! on [refuses](Fence::admit) a token lower than the highest it has seen.
//!
//! So a lease is there to save work that would be done twice, and the token is what keeps it right. Where the resource
//! can compare versions itself, as an [event store](crate::event::ExpectedVersion) does, that is the fence.
//!
//! [`MemoryLeases`] hold within one process; `daa-store` has them on Redis.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! # use daa_core::clock::SystemClock;
//! # use daa_core::lease::*;
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let leases = MemoryLeases::new(Arc::new(SystemClock::new()));
//! let (rebuild, ttl) = ("index/rebuild".try_into()?, Duration::from_secs(10));
//! let lease = leases.acquire(&rebuild, &"host-1:4711".try_into()?, ttl).await?;
//! assert!(leases.acquire(&rebuild, &"host-2:42".try_into()?, ttl).await.is_err());
//!
//! let index = Fence::new();
//! index.admit(lease.token())?;
//! leases.release(&lease).await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
//! ```

mod contract;
mod error;
mod fence;
mod memory;

pub use contract::{Lease, LeaseHolder, Leases, MAX_LEASE, check_ttl};
pub use error::LeaseError;
pub use fence::{Fence, FencingToken, StaleToken};
pub use memory::MemoryLeases;

#[cfg(all(feature = "test-util", feature = "runtime"))]
pub mod testing;
