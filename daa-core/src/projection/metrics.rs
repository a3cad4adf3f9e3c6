//! What a projector has done so far, in numbers.

use crate::counters::counters;

counters! {
    /// What a projector has done since it was made.
    ProjectorMetrics, "daa_projector";
    /// Events that it applied.
    applied,
    /// Transactions that it committed.
    steps,
    /// Events that were erased before the model came to them, and were passed over.
    erased,
    /// Events that the projection refused, and that were passed over and recorded.
    skipped,
    /// Times that another process was faster.
    outrun,
    /// Versions that it made live.
    swapped,
    /// Times that the store or the model failed and it tried again.
    retried,
}
