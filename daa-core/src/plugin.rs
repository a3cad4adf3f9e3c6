//! Plugins: parts that somebody else wrote, and the host that keeps them in their place.
//!
//! A plugin has no power of its own. What it wants done it returns as [`Action`](crate::action::Action)s in its
//! [`PluginOutput`], which its caller may bring before the gate; or it submits them itself to the
//! [`Gate`](crate::action::Gate) in its [`PluginContext`], if it was given one. Either way the rules decide, the
//! budget pays, and the journal remembers. A plugin runs in this process, so that is a discipline of the
//! interface, not a sandbox: load only code that you would compile in.
//!
//! The [`PluginHost`] initialises plugins in the order of their dependencies and shuts them down in the reverse
//! order, gives every call a time limit, and isolates panics: a plugin that panics is marked as failed and not
//! called again, and all others go on.
//!
//! ```
//! # use std::sync::Arc;
//! # use daa_core::clock::SystemClock;
//! # use daa_core::id::PluginName;
//! # use daa_core::plugin::*;
//! use async_trait::async_trait;
//!
//! struct Echo(PluginName);
//!
//! #[async_trait]
//! impl DaaPlugin for Echo {
//!     fn name(&self) -> PluginName {
//!         self.0.clone()
//!     }
//!
//!     fn version(&self) -> semver::Version {
//!         semver::Version::new(1, 2, 0)
//!     }
//!
//!     async fn initialize(&self, _: &PluginContext) -> Result<(), PluginError> {
//!         Ok(())
//!     }
//!
//!     async fn execute(&self, input: PluginInput) -> Result<PluginOutput, PluginError> {
//!         Ok(PluginOutput::new(input.into_params()))
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let host = PluginHost::builder(Arc::new(SystemClock::new())).with_plugin(Echo("echo".try_into()?)).build()?;
//! host.initialize().await?;
//! let output = host.execute(&"echo".try_into()?, PluginInput::new("say").with_params("hello")).await?;
//! assert_eq!(output.value(), "hello");
//! host.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod contract;
mod error;
mod exchange;
mod guard;
mod host;
mod info;
mod order;

pub use contract::{DaaPlugin, PluginContext};
pub use error::{LoadError, PluginError, PluginHostError};
pub use exchange::{PluginInput, PluginOutput};
pub use host::{PluginHost, PluginHostBuilder, PluginLimits, PluginState, PluginStatus, PluginStop};
pub use info::Dependency;
pub use semver;
