//! The settings of a session that depend on its memory limit.

use datafusion::prelude::SessionConfig;

/// All partitions of a sort together reserve this part of the limit for merging. Plans with sort-merge joins have several
/// sorts.
const MERGE_PART: usize = 16;

/// What a partition needs at least to spill, in bytes: a few batches for each of several operators.
const PARTITION_BYTES: usize = 8 << 20;

/// Adapts settings to a memory limit of `limit` bytes:
///
/// - fewer partitions, where there would be less than 8 MiB for each: operators of many partitions would have no memory for
///   the batches that they spill;
/// - a lower `datafusion.execution.sort_spill_reservation_bytes`, where the partitions of a sort would together reserve too
///   much. Its default, 10 MiB for each partition, may be more than the limit: then sorts fail that could spill.
pub fn fit_to_limit(config: SessionConfig, limit: usize) -> SessionConfig {
    let partitions = config.target_partitions().min(limit / PARTITION_BYTES).max(1);
    let mut config = config.with_target_partitions(partitions);
    let reservation = &mut config.options_mut().execution.sort_spill_reservation_bytes;
    *reservation = (limit / MERGE_PART / partitions).min(*reservation);
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_limit_lowers_the_partitions_and_what_each_reserves() {
        for (limit, wanted, partitions, reserved) in [
            (1 << 20, 8, 1, 64 << 10),
            (32 << 20, 8, 4, 512 << 10),
            (64 << 30, 8, 8, 10 << 20),
            (1 << 30, 64, 64, 1 << 20),
        ] {
            let config = fit_to_limit(SessionConfig::new().with_target_partitions(wanted), limit);
            assert_eq!(config.target_partitions(), partitions, "{limit}");
            assert_eq!(config.options().execution.sort_spill_reservation_bytes, reserved, "{limit}");
        }
    }
}
