//! SVG elements, and the conversion of SVG to PNG.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use resvg::{tiny_skia, usvg};

use super::markup::escape;

/// Appends a line.
pub fn line(svg: &mut String, x1: f64, y1: f64, x2: f64, y2: f64, style: &str) {
    let _ = writeln!(svg, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>");
}

/// Appends a line of text.
pub fn text(svg: &mut String, x: f64, y: f64, style: &str, content: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>", escape(content));
}

/// Renders SVG as a PNG of `zoom` times its nominal size, with fonts that are embedded in this binary.
///
/// # Errors
/// The text is not valid SVG.
pub fn rasterize(svg: &str, zoom: f32) -> Result<Vec<u8>> {
    let failed = |what: String| DataFusionError::Execution(format!("cannot draw the report: {what}"));
    let mut options = usvg::Options { font_family: "DejaVu Sans".to_owned(), ..Default::default() };
    let fonts = Arc::make_mut(&mut options.fontdb);
    fonts.load_font_data(include_bytes!("fonts/DejaVuSans-subset.ttf").to_vec());
    fonts.load_font_data(include_bytes!("fonts/DejaVuSans-Bold-subset.ttf").to_vec());
    let tree = usvg::Tree::from_str(svg, &options).map_err(|error| failed(error.to_string()))?;
    let size = tree.size();
    let (width, height) = ((size.width() * zoom).ceil() as u32, (size.height() * zoom).ceil() as u32);
    let mut pixels = tiny_skia::Pixmap::new(width, height).ok_or_else(|| failed("it is empty".to_owned()))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(zoom, zoom), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| failed(error.to_string()))
}
