//! Writes the files of a report.

use std::path::Path;

use datafusion::common::Result;

use super::model::Report;
use super::svg::rasterize;
use super::{bar_chart, html};

impl Report {
    /// Writes `report.json`, `report.svg`, `report.png` and `report.html` into a folder.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write_to(&self, folder: &Path) -> Result<()> {
        let drawing = bar_chart::draw(self);
        std::fs::write(folder.join("report.json"), self.to_json()? + "\n")?;
        std::fs::write(folder.join("report.svg"), &drawing)?;
        std::fs::write(folder.join("report.png"), rasterize(&drawing, 2.0)?)?;
        std::fs::write(folder.join("report.html"), html::page(self, &drawing))?;
        Ok(())
    }
}
