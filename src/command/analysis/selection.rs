//! The metrics of an operator that are shown.

use datafusion::common::human_readable_duration;
use datafusion::physical_plan::metrics::{MetricCategory, MetricType, MetricValue, MetricsSet};

/// Which metrics are shown beside rows, batches and time.
#[derive(Debug, Clone)]
pub enum Selection {
    /// What a user can act on: [`NOTABLE`].
    Notable,
    /// All of these types and categories, if there are some.
    Chosen(Vec<MetricType>, Option<Vec<MetricCategory>>),
}

/// The metrics that tell what a query has read, sent, spilled and computed on GPUs, shown unless they are 0. Names, because those that
/// executors of a cluster report have no types.
const NOTABLE: [&str; 27] = [
    "bytes_scanned",
    "files_ranges_pruned_statistics",
    "row_groups_pruned_statistics",
    "row_groups_pruned_bloom_filter",
    "page_index_rows_pruned",
    "rows_written",
    "bytes_written",
    "build_mem_used",
    "peak_mem_used",
    "spill_count",
    "spilled_bytes",
    "spilled_rows",
    "compute_time",
    "gather_time",
    "local_partitions",
    "remote_partitions",
    "fetched_bytes",
    "write_time",
    "fallback_batches",
    "lost_gpu_batches",
    "compile_time",
    "stage_time",
    "h2d_bytes",
    "h2d_time",
    "kernel_time",
    "d2h_bytes",
    "d2h_time",
];

/// The time in which a scan of files computes.
const DECODING_TIME: &str = "time_elapsed_processing";

/// The metrics of an operator, over all partitions.
#[derive(Debug, Default)]
pub struct Measured {
    pub rows: Option<usize>,
    pub batches: Option<usize>,
    /// Nanoseconds of computing, of all threads together.
    pub compute: Option<usize>,
    /// The other metrics that are shown: `name=value`.
    pub others: Vec<String>,
}

impl Selection {
    /// The selected metrics.
    pub fn of(&self, metrics: MetricsSet) -> Measured {
        let metrics = metrics.aggregate_by_name().sorted_for_display().timestamps_removed();
        let mut measured = Measured::default();
        for metric in metrics.iter() {
            match metric.value() {
                MetricValue::OutputRows(count) => measured.rows = Some(count.value()),
                MetricValue::OutputBatches(count) => measured.batches = Some(count.value()),
                MetricValue::ElapsedCompute(time) => {
                    measured.compute = measured.compute.max(Some(time.value()));
                }
                // Scans of files measure the time in which they decode under this name, and nearly none as compute time.
                MetricValue::Time { name, time } if name == DECODING_TIME => {
                    measured.compute = measured.compute.max(Some(time.value()));
                }
                _ => {}
            }
        }
        let selected = match self {
            Self::Notable => metrics,
            Self::Chosen(types, categories) => {
                let metrics = metrics.filter_by_metric_types(types);
                match categories {
                    Some(categories) => metrics.filter_by_categories(categories),
                    None => metrics,
                }
            }
        };
        for metric in selected.iter() {
            let value = metric.value();
            let is_column = matches!(
                value,
                MetricValue::OutputRows(_) | MetricValue::OutputBatches(_) | MetricValue::ElapsedCompute(_)
            );
            let is_shown = match self {
                Self::Notable => NOTABLE.contains(&value.name()) && !is_zero(value),
                Self::Chosen(..) => true,
            };
            if is_shown && !is_column {
                measured.others.push(format!("{}={value}", value.name()));
            }
        }
        measured
    }
}

/// Whether a metric says that nothing has happened.
fn is_zero(value: &MetricValue) -> bool {
    match value {
        MetricValue::PruningMetrics { pruning_metrics, .. } => pruning_metrics.pruned() == 0,
        other => other.as_usize() == 0,
    }
}

/// A time for people, such as `1.23ms`.
pub fn human_time(nanoseconds: u64) -> String {
    human_readable_duration(nanoseconds)
}
