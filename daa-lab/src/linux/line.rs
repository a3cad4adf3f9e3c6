//! The line between all sites: a device whose packets are held back for a while, and put back into it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use daa_core::seed::Seed;
use tokio_tun::Tun;

use super::failure::Failure;
use super::ground::{WIRE, connect};
use super::wire::{Weather, Wire};

/// The longest packet.
const MTU: usize = 1_500;

/// What went over the line.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    packets: AtomicU64,
    lost: AtomicU64,
}

impl Traffic {
    /// How many packets began their way, and how many of them were lost.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.packets.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

/// Makes the line, in a thread of its own, which ends with the program.
pub(crate) fn start(weather: Weather, seed: Seed) -> Result<Arc<Traffic>, Failure> {
    let traffic = Arc::new(Traffic::default());
    let (told, counted) = (traffic.clone(), Wire::new(weather, seed));
    let (ready, is_ready) = mpsc::channel();
    let thread = std::thread::Builder::new().name(WIRE.to_owned());
    let carry = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(Failure::io(WIRE)(error)))),
        };
        runtime.block_on(async {
            match open() {
                Ok(device) => {
                    let _ = ready.send(Ok(()));
                    carry(&device, counted, &told).await;
                }
                Err(error) => drop(ready.send(Err(error))),
            }
        });
    };
    thread.spawn(carry).map_err(Failure::io("a thread"))?;
    let opened = is_ready.recv();
    opened.map_err(|_| Failure::node(WIRE, "the line ended at once"))??;
    connect()?;
    Ok(traffic)
}

fn open() -> Result<Tun, Failure> {
    let devices = Tun::builder().name(WIRE).build();
    let devices = devices.map_err(|error| Failure::node(WIRE, error))?;
    devices.into_iter().next().ok_or_else(|| Failure::node(WIRE, "there is no device"))
}

async fn carry(device: &Tun, mut wire: Wire, traffic: &Traffic) {
    let began = Instant::now();
    let mut packet = [0; MTU];
    loop {
        while let Some(arrived) = wire.pop(began.elapsed()) {
            // The other end may be gone.
            let _ = device.send(&arrived).await;
        }
        let due = wire.next().map(|due| tokio::time::Instant::from_std(began + due));
        tokio::select! {
            came = device.recv(&mut packet) => {
                let Ok(bytes) = came.map(|len| packet.get(..len).unwrap_or_default()) else { return };
                wire.push(bytes, began.elapsed());
                let (packets, lost) = wire.counts();
                traffic.packets.store(packets, Ordering::Relaxed);
                traffic.lost.store(lost, Ordering::Relaxed);
            }
            () = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}
