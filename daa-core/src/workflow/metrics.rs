//! What an engine has done so far, in numbers.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// One number that only grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn one(&self) {
        self.add(1);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($(#[doc = $doc:literal] $name:ident,)*) => {
        /// The numbers as they grow.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        /// What an engine has done since it was built.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct WorkflowMetrics {
            $(#[doc = $doc] pub $name: u64,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> WorkflowMetrics {
                WorkflowMetrics { $($name: self.$name.get(),)* }
            }
        }

        /// In the text format that Prometheus reads.
        impl fmt::Display for WorkflowMetrics {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(
                    let help = $doc.trim();
                    writeln!(f, "# HELP daa_workflow_{0}_total {help}", stringify!($name))?;
                    writeln!(f, "# TYPE daa_workflow_{0}_total counter", stringify!($name))?;
                    writeln!(f, "daa_workflow_{0}_total {1}", stringify!($name), self.$name)?;
                )*
                Ok(())
            }
        }
    };
}

counters! {
    /// Runs that were started here.
    runs_started,
    /// Runs that completed here.
    runs_completed,
    /// Runs that failed or were cancelled here, and were rolled back.
    runs_rolled_back,
    /// Runs that this engine took over from another worker, whose lease had ended.
    runs_taken_over,
    /// Tasks that were handed to an executor.
    steps_begun,
    /// Tasks that were done.
    steps_succeeded,
    /// Tries that failed.
    steps_failed,
    /// Tries whose outcome nobody could tell.
    steps_unknown,
    /// Tasks that were undone.
    steps_undone,
    /// Appends that others were faster with, so that a run was read again.
    conflicts,
    /// Writes of runs that another worker had taken over meanwhile; they were refused.
    fenced,
    /// Appends of events of runs.
    appends,
    /// Events of runs.
    events,
}
