//! What a query has done on GPUs, for `EXPLAIN ANALYZE` and for comparisons.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

macro_rules! counters {
    ($($name:ident: $unit:ident, $doc:literal;)+) => {
        /// Numbers that calls add to.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)+
        }

        /// What [`Counters`] show at a moment.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counts {
            $(#[doc = $doc] pub $name: counters!(@type $unit),)+
        }

        impl Counters {
            /// What they show.
            pub fn counts(&self) -> Counts {
                Counts { $($name: counters!(@read $unit, self.$name.load(Ordering::Relaxed)),)+ }
            }

            pub(super) fn add(&self, more: Counts) {
                $(self.$name.fetch_add(counters!(@write $unit, more.$name), Ordering::Relaxed);)+
            }
        }

        impl Counts {
            /// The numbers, with their names.
            pub fn numbers(self) -> Vec<(&'static str, u64)> {
                [$(counters!(@number $unit, stringify!($name), self.$name)),+].into_iter().flatten().collect()
            }

            /// The times, with their names.
            pub fn times(self) -> Vec<(&'static str, Duration)> {
                [$(counters!(@time $unit, stringify!($name), self.$name)),+].into_iter().flatten().collect()
            }

            /// What was added since an earlier moment.
            pub fn since(self, earlier: Self) -> Self {
                Self { $($name: self.$name.saturating_sub(earlier.$name),)+ }
            }
        }
    };
    (@number number, $name:expr, $value:expr) => { Some(($name, $value)) };
    (@number time, $name:expr, $value:expr) => { None };
    (@time number, $name:expr, $value:expr) => { None };
    (@time time, $name:expr, $value:expr) => { Some(($name, $value)) };
    (@type number) => { u64 };
    (@type time) => { Duration };
    (@read number, $value:expr) => { $value };
    (@read time, $value:expr) => { Duration::from_nanos($value) };
    (@write number, $value:expr) => { $value };
    (@write time, $value:expr) => { $value.as_nanos() as u64 };
}

counters! {
    batches: number, "Batches that GPUs have evaluated.";
    fallback_batches: number, "Batches that the CPU has evaluated instead: memory was short, or a column held nulls that the plan does not know of.";
    h2d_bytes: number, "Bytes copied to GPUs.";
    d2h_bytes: number, "Bytes copied from GPUs.";
    stage_time: time, "Time of copying columns into page-locked memory.";
    h2d_time: time, "Time of copies to GPUs. Copies and kernels overlap, so that the times add up to more than passes.";
    kernel_time: time, "Time of kernels.";
    d2h_time: time, "Time of copies from GPUs.";
    compile_time: time, "Time of compiling kernels that were not known yet.";
}
