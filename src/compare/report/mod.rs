//! What a comparison has found, as data with a stable JSON form. How it is shown is in the modules below.

pub mod bar_chart;
mod describe;
mod files;
pub(super) mod format;
pub mod html;
mod markup;
pub(super) mod model;
mod svg;
pub mod sweep_chart;
pub mod terminal;

pub use model::{GpuSplit, Libraries, Limit, ModeReport, Report, SCHEMA_VERSION, Split, Status, ToolDetails};
