//! One process: its services, plugins, bus, gate and store, brought up and down together.
//!
//! [`DaaOrchestrator`] checks that the store can be read, initialises the plugins, and starts the services, each
//! in a task of its own. A service that fails or panics is restarted as its [`RestartPolicy`] says, without harm
//! to the others. [`DaaOrchestrator::health`] tells how everything is.
//!
//! [`DaaOrchestrator::shutdown`] tells all services at once, gives them a grace period to bring what they are
//! doing to its end, and cuts off those that do not. An action that is cut off has its attempt in the store and
//! no outcome, so it is reconciled at the next start and never blindly repeated; the [`ShutdownReport`] names
//! it. Then the plugins are shut down in reverse order, and the bus is closed.
//!
//! ```
//! # use std::sync::Arc;
//! # use daa_core::action::Gate;
//! # use daa_core::clock::SystemClock;
//! # use daa_core::event::MemoryEventStore;
//! # use daa_core::orchestrator::*;
//! # use daa_core::shutdown::Shutdown;
//! use async_trait::async_trait;
//!
//! struct Watch;
//!
//! #[async_trait]
//! impl Service for Watch {
//!     fn name(&self) -> ServiceName {
//!         ServiceName::from_static("watch")
//!     }
//!
//!     async fn run(self: Box<Self>, mut shutdown: Shutdown) -> Result<(), ServiceError> {
//!         shutdown.requested().await;
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (store, clock) = (Arc::new(MemoryEventStore::new()), Arc::new(SystemClock::new()));
//! let gate = Gate::builder(store.clone(), clock.clone()).build();
//! let orchestrator = DaaOrchestrator::builder(store, gate, clock).with_service(Watch).start().await?;
//! assert!(orchestrator.health().await.is_healthy());
//! assert!(orchestrator.shutdown().await.is_orderly());
//! # Ok(())
//! # }
//! ```

mod builder;
mod error;
mod health;
mod report;
mod restart;
mod running;
mod service;
mod supervisor;

pub use builder::OrchestratorBuilder;
pub use error::StartError;
pub use health::{Health, ServiceHealth, ServiceState};
pub use report::{OpenLeft, ServiceEnd, ShutdownReport};
pub use restart::RestartPolicy;
pub use running::DaaOrchestrator;
pub use service::{Service, ServiceError, ServiceName};
