//! Style and escaping for HTML pages and SVG charts.

/// The style sheet of all pages.
pub const STYLE: &str = "\
body { font: 16px/1.5 'DejaVu Sans', Verdana, sans-serif; color: #16191d; max-width: 1150px; margin: 2em auto; padding: 0 1em }
svg { max-width: 100%; height: auto }
.table { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: 13px }
th, td { padding: .3em .45em; border-bottom: 1px solid #d9dce0; text-align: right; white-space: nowrap }
th:first-child, td:first-child, td[colspan] { text-align: left }
td[colspan] { white-space: normal }
.failed { color: #b3261e }
dt { font-weight: bold }
code { background: #f1f2f4; padding: .1em .3em }
";

/// Escapes text for XML and HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
