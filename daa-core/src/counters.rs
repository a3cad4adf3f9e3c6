//! Numbers that only grow, and their two forms: a value, and text for Prometheus.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes `Counters`, the numbers as they grow, and a public struct of what they are at one moment, whose `Display` is
/// the text format that Prometheus reads.
macro_rules! counters {
    ($(#[doc = $of:literal])+ $metrics:ident, $prefix:literal; $(#[doc = $doc:literal] $name:ident,)*) => {
        /// The numbers as they grow.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: $crate::counters::Counter,)*
        }

        $(#[doc = $of])+
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct $metrics {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> $metrics {
                $metrics { $($name: self.$name.get(),)* }
            }
        }

        /// In the text format that Prometheus reads.
        impl std::fmt::Display for $metrics {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $(
                    let (help, name) = ($doc.trim(), concat!($prefix, "_", stringify!($name), "_total"));
                    writeln!(f, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {}", self.$name)?;
                )*
                Ok(())
            }
        }
    };
}

pub(crate) use counters;
