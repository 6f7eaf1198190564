//! Reports: the findings of a comparison as data with a stable JSON format, and their rendering as text, charts and HTML.

pub mod bar_chart;
mod describe;
mod files;
pub(crate) mod format;
pub mod html;
mod markup;
pub(super) mod model;
pub mod suite_chart;
pub mod suite_page;
mod svg;
pub mod sweep_chart;
pub mod terminal;

pub use model::{GpuSplit, Libraries, Limit, ModeReport, Report, SCHEMA_VERSION, Split, Status, ToolDetails};
