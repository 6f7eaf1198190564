//! The parts of a mode's time in words.

use super::format::{format_ms, group_digits};
use super::model::{GpuSplit, ModeReport, Split, ToolDetails};

/// What a cluster's time was spent on, in words.
pub fn describe_split(split: &Split) -> String {
    let start = split.start_ms.map_or(String::new(), |start| format!("start {}, ", format_ms(start)));
    format!(
        "{start}scatter {} once; compute {}, gather {}",
        format_ms(split.scatter_ms),
        format_ms(split.compute_ms),
        format_ms(split.gather_ms)
    )
}

/// What a GPU's time was spent on, in words.
pub fn describe_gpu(gpu: &GpuSplit) -> String {
    let fallback = match gpu.fallback_batches {
        0 => String::new(),
        batches => format!("; {batches} batches on the CPU, for want of memory"),
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

/// What is known of a tool of others, in words.
pub fn describe_tool(mode: &ModeReport, rows: u64) -> Option<String> {
    let ToolDetails { version, import_ms, load_ms } = mode.peer.as_ref()?;
    let fraction = match mode.rows < rows {
        true => format!("; extrapolated from {} rows", group_digits(mode.rows)),
        false => String::new(),
    };
    let (import, load) = (format_ms(*import_ms), format_ms(*load_ms));
    Some(format!("{version}; import {import}, load {load}, before the clock{fraction}"))
}
