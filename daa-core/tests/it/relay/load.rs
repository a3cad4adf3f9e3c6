//! Writers at work, while relays and consumers are killed.

use std::sync::Arc;

use daa_core::bus::{InProcessBus, InProcessOptions};
use daa_core::clock::SystemClock;
use daa_core::event::MemoryEventStore;
use daa_core::relay::testing::{World, everything_takes_effect_once_in_order};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_takes_effect_once_in_order_however_often_relays_and_consumers_die() {
    // The bus remembers nothing, so that it is the inbox that knows what comes again.
    let options = InProcessOptions::new().with_remembered_ids(0);
    let bus = Arc::new(InProcessBus::with_options(Arc::new(SystemClock::new()), options));
    let world = World::new(Arc::new(MemoryEventStore::new()), bus);
    everything_takes_effect_once_in_order(world, async {}).await;
}
