//! A call of a plugin that can neither hang nor bring the process down.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;

use super::error::{PluginError, PluginHostError};
use crate::clock::Clock;
use crate::failure_text::panic_text;
use crate::id::PluginName;
use crate::resilience::within;

/// Runs `call` for at most `limit` and catches its panic.
pub(super) async fn guarded<T>(
    plugin: &PluginName,
    clock: &dyn Clock,
    limit: Duration,
    call: impl Future<Output = Result<T, PluginError>>,
) -> Result<T, PluginHostError> {
    // The plugin is not used again after a panic, so nobody sees what it left half done.
    let caught = AssertUnwindSafe(call).catch_unwind();
    match within(clock, limit, caught).await {
        None => Err(PluginHostError::TimedOut { plugin: plugin.clone(), limit }),
        Some(Err(panic)) => {
            Err(PluginHostError::Panicked { plugin: plugin.clone(), message: panic_text(&*panic) })
        }
        Some(Ok(Err(source))) => Err(PluginHostError::Plugin { plugin: plugin.clone(), source }),
        Some(Ok(Ok(value))) => Ok(value),
    }
}
