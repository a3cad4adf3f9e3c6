//! The event bus on NATS JetStream: the suite that every bus runs, against the server of `DAA_TEST_NATS`.

mod faults;
mod relay;
mod server;

use std::sync::Arc;

use daa_core::bus::EventBus;
use daa_core::clock::SystemClock;
use daa_store::bus::BusName;
use daa_store::nats::{NatsBus, NatsOptions};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::bus_load::fresh_name;

fn address() -> String {
    std::env::var("DAA_TEST_NATS").unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned())
}

/// Removes the streams of a bus from the server.
struct Cleared {
    address: String,
    name: BusName,
}

impl Drop for Cleared {
    fn drop(&mut self) {
        block_in_place(|| {
            Handle::current().block_on(async {
                let client = async_nats::connect(&self.address).await.unwrap();
                let context = async_nats::jetstream::new(client);
                for stream in [self.name.to_string(), format!("{}-dead", self.name)] {
                    context.delete_stream(stream).await.unwrap();
                }
            });
        });
    }
}

async fn connect(options: NatsOptions) -> Arc<dyn EventBus> {
    Arc::new(NatsBus::connect(options, Arc::new(SystemClock::new())).await.unwrap())
}

async fn fresh() -> (Cleared, Arc<dyn EventBus>) {
    let name = fresh_name();
    let bus = connect(NatsOptions::new(&address(), name.clone()).unwrap()).await;
    (Cleared { address: address(), name }, bus)
}

mod conformance {
    use super::fresh;

    daa_core::event_bus_conformance!(fresh().await);
}
