//! Descriptions that several renderings of a report share.

use super::format::format_ms;
use super::model::{GpuSplit, ModeReport, Report, Split, ToolDetails};
use crate::compare::workload::{ResultSink, Source};
use crate::counts::group_digits;

/// The parts of the time of a cluster mode.
pub fn describe_split(split: &Split) -> String {
    let start = split.start_ms.map_or(String::new(), |start| format!("start {}, ", format_ms(start)));
    format!(
        "{start}scatter {} once; compute {}, gather {}",
        format_ms(split.scatter_ms),
        format_ms(split.compute_ms),
        format_ms(split.gather_ms)
    )
}

/// The parts of the time of a GPU mode.
pub fn describe_gpu(gpu: &GpuSplit) -> String {
    let fallback = match gpu.fallback_batches {
        0 => String::new(),
        batches => format!("; {batches} batches on the CPU because memory was exhausted"),
    };
    format!(
        "compile {} once; host copy {}, to the GPU {}, kernel {}, from the GPU {}, overlapping{fallback}",
        format_ms(gpu.compile_ms),
        format_ms(gpu.stage_ms),
        format_ms(gpu.h2d_ms),
        format_ms(gpu.kernel_ms),
        format_ms(gpu.d2h_ms)
    )
}

/// The versions and set-up times of an external tool; `None` for other modes.
pub fn describe_tool(mode: &ModeReport, rows: u64) -> Option<String> {
    let ToolDetails { version, import_ms, load_ms } = mode.peer.as_ref()?;
    let fraction = match mode.rows < rows {
        true => format!("; extrapolated from {} rows", group_digits(mode.rows)),
        false => String::new(),
    };
    let (import, load) = (format_ms(*import_ms), format_ms(*load_ms));
    Some(format!("{version}; import {import} and load {load} before the clock starts{fraction}"))
}

/// What the memory limit is, and how the memory traffic of the formula differs from it.
pub fn describe_limit(report: &Report) -> String {
    let mut text = format!(
        "{}: the median time of reading three columns and writing one (x*y*z, next to no arithmetic) with all threads in \
         the same run. It is a practical limit of the memory, not a bound: a single run can take less time.",
        format_ms(report.limit.stream_ms)
    );
    if report.columns.len() < 3 {
        let columns = report.columns.join(" and ");
        text.push_str(&format!(
            " The formula reads {columns} only, which takes less time than reading three columns."
        ));
    }
    if report.result == ResultSink::Sum.name() {
        text.push_str(" A sum writes no column.");
    }
    if report.source == Source::Parquet.name() || report.result == ResultSink::Parquet.name() {
        text.push_str(" It does not include reading or writing Parquet.");
    }
    if report.modes.iter().any(|mode| mode.mode.ends_with("-resident") && mode.median_ms.is_some()) {
        text.push_str(" It does not apply to columns in the memory of a GPU.");
    }
    text
}

/// How the modes were timed, and what their results were compared with.
pub fn describe_measurement(report: &Report) -> String {
    let (reference, bound) = match report.is_log3 {
        true => ("the standard library's logarithms", "8 ULP"),
        false => {
            ("DataFusion's own operators", "8 ULP, or the error bounds of the operations in the formula")
        }
    };
    format!(
        "The rows are generated before the clock starts. The first run of each mode is a warm-up, which the median, \
         minimum and maximum do not include. Slow modes have fewer timed runs. The result of every run is compared with \
         values computed with {reference}: the sum, and if it has rows, their number and every row (within {bound}). A \
         mode with a wrong result fails."
    )
}

/// How the external tools were timed; `None` if the report has no time of one.
pub fn describe_tools(report: &Report) -> Option<String> {
    let timed = report.modes.iter().any(|mode| mode.is_external() && mode.median_ms.is_some());
    let clock = match report.result.as_str() {
        name if name == ResultSink::Parquet.name() => {
            "A run reads a Parquet file and writes an uncompressed Parquet file to disk."
        }
        name if name == ResultSink::Sum.name() => {
            "A run starts with columns in memory, in the tool's own format, and ends with the sum."
        }
        _ => {
            "A run starts with columns in memory, in the tool's own format, and ends with an array in memory."
        }
    };
    let tolerance = match report.is_log3 {
        true => "",
        false => " Operations of tools may err by four times these bounds.",
    };
    timed.then(|| {
        format!(
            "Each tool runs in a separate process, one at a time, with the same threads and number of runs. {clock} \
             Imports and the conversion of the rows happen before the clock starts. The first run is a warm-up and \
             includes compilation. The result of the last run is checked like that of a mode, Parquet files by number of \
             rows and sum only.{tolerance}"
        )
    })
}
