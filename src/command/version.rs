//! What `--version` says.

use std::sync::LazyLock;

use warpframe_cpu::kernel::SimdPath;

use crate::revision::REVISION;

/// The version with the revision of the sources, the versions of DataFusion and Arrow, and the instruction set that kernels use
/// on this machine.
pub fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let simd = SimdPath::active().map_or_else(|_| "none".to_owned(), |path| path.name().to_owned());
        format!(
            "{} ({REVISION})\nDataFusion {}, Arrow {}\ninstruction set: {simd}",
            env!("CARGO_PKG_VERSION"),
            datafusion::DATAFUSION_VERSION,
            arrow::ARROW_VERSION
        )
    });
    &LONG
}
