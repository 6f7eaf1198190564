//! The formulas of the suite.

use datafusion::common::{Result, exec_err};

/// A formula of the suite.
#[derive(Debug, PartialEq, Eq)]
pub struct SuiteFormula {
    /// The name on the command line, in the JSON report and in charts.
    pub name: &'static str,
    /// The SQL expression over x, y and z.
    pub sql: &'static str,
}

const fn formula(name: &'static str, sql: &'static str) -> SuiteFormula {
    SuiteFormula { name, sql }
}

/// The formulas, for values of x, y and z in (0, 100].
pub const FORMULAS: &[SuiteFormula] = &[
    formula("multiply-add", "x * y + z"),
    formula("sum-of-squares", "x * x + y * y + z * z"),
    formula("polynomial", "((((x * 0.5 + 1.5) * x - 2.5) * x + 3.5) * x - 4.5) * x + 5.5"),
    formula("distance", "sqrt(x * x + y * y)"),
    formula("clamp", "CASE WHEN x < y THEN y WHEN x > z THEN z ELSE x END"),
    formula("relative-error", "abs(x - y) / greatest(abs(x), abs(y), 1e-300)"),
    formula("logarithms", "ln(x) * ln(y) * ln(z)"),
    formula("sigmoid", "1 / (1 + exp(-(x - y) / 10))"),
    formula("rotation", "x * cos(z) - y * sin(z)"),
    formula("power-law", "x * power(y, -1.7) + z"),
    formula(
        "haversine",
        "2 * 6371 * asin(sqrt(power(sin((x - y) / 360), 2) + cos(x / 180) * cos(y / 180) * power(sin(z / 360), 2)))",
    ),
    formula(
        "black-scholes",
        "x / (1 + exp(-1.702 * (ln(x / y) + (0.03 + 0.02) * z) / (0.2 * sqrt(z)))) \
        - y * exp(-0.03 * z) / (1 + exp(-1.702 * (ln(x / y) + (0.03 - 0.02) * z) / (0.2 * sqrt(z))))",
    ),
];

/// The formulas with these names, in the order of [`FORMULAS`]; all of them without names.
///
/// # Errors
/// A name is unknown.
pub fn select(names: &[String]) -> Result<Vec<&'static SuiteFormula>> {
    if let Some(unknown) = names.iter().find(|name| !FORMULAS.iter().any(|formula| formula.name == *name)) {
        let known: Vec<_> = FORMULAS.iter().map(|formula| formula.name).collect();
        return exec_err!("the suite has no formula '{unknown}': use one of {}", known.join(", "));
    }
    let selected =
        |formula: &&SuiteFormula| names.is_empty() || names.iter().any(|name| name == formula.name);
    Ok(FORMULAS.iter().filter(selected).collect())
}
