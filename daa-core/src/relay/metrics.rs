//! What a relay has done so far, in numbers.

use crate::counters::counters;

counters! {
    /// What a relay has done since it was made.
    RelayMetrics, "daa_relay";
    /// Messages that the bus confirmed.
    published,
    /// Messages that the bus knew already.
    repeated,
    /// Publications that failed and were tried again.
    retried,
    /// Events that the mapping left out.
    left_out,
    /// Events that were erased before they were relayed.
    erased,
    /// Events that no bus takes, and that were passed over and recorded.
    skipped,
    /// Times that this relay became the active one.
    claimed,
    /// Times that this relay found that another had replaced it.
    replaced,
}
