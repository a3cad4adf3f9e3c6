//! Tests of daa-store on real files and, with the feature `live`, against real servers.

mod archived;
#[cfg(feature = "config")]
mod backends;
mod backup;
#[cfg(feature = "live")]
mod bus_faults;
#[cfg(feature = "live")]
mod bus_load;
#[cfg(any(feature = "live-postgres", feature = "live-artefacts"))]
mod certificates;
mod crash;
mod damage;
mod erase;
mod folder_artifacts;
mod full;
mod in_doubt;
#[cfg(feature = "live")]
mod nats;
#[cfg(feature = "live-artefacts")]
mod objects;
#[cfg(feature = "live-postgres")]
mod postgres;
mod projection;
#[cfg(any(feature = "live-postgres", feature = "live-artefacts"))]
mod proxy;
#[cfg(feature = "live")]
mod rabbitmq;
mod read_only;
#[cfg(feature = "live")]
mod redis;
mod refusals;
#[cfg(feature = "live-artefacts")]
mod s3;
#[cfg(feature = "live-artefacts")]
mod sealed;
mod sharing;
mod small_disk;
mod sqlite_events;
mod support;
mod workflows;
