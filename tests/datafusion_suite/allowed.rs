//! The differences that are meant to be, and those that are known.

/// A statement with different results.
pub struct Allowed {
    pub file: &'static str,
    /// A part of the statement.
    pub sql: &'static str,
    #[expect(dead_code, reason = "for the reader")]
    pub why: &'static str,
}

const fn allow(file: &'static str, sql: &'static str, why: &'static str) -> Allowed {
    Allowed { file, sql, why }
}

pub const ALLOWED: &[Allowed] = &[
    allow("aggregate.slt", "count_c9, approx_distinct(cast", "headings give the columns distinct names"),
    allow("create_function.slt", "RETURN $1 + $2", "warpframe has CREATE FUNCTION"),
    allow("ddl.slt", "select \"count(t.a)\", a from v", "the columns of a view are headed as written"),
    allow("describe.slt", "DESCRIBE SELECT 1", "columns are headed as written"),
    allow("information_schema.slt", "SHOW ALL", "the options of warpframe"),
    allow("information_schema.slt", "function_type = 'TABLE'", "generate_rows"),
    allow("information_schema.slt", "show functions", "log3"),
    allow(
        "parquet_cdc.slt",
        "SELECT MIN(id), MIN(amount)",
        "aggregates of floats are not read from statistics",
    ),
    allow(
        "parquet_cdc.slt",
        "SELECT MAX(id), MAX(amount)",
        "aggregates of floats are not read from statistics",
    ),
    allow("scalar.slt", "(3.14, 2147483649)", "round takes any number of decimal places"),
    allow(
        "spark/math/round.slt",
        "round(42.0::double, -400::int)",
        "round takes any number of decimal places",
    ),
    allow("spark/math/round.slt", "round(2.5::double, 400::int)", "round takes any number of decimal places"),
    allow("select.slt", "SELECT y > 0 and 1 / y < 1", "no division in rows that AND decides"),
    allow("select.slt", "SELECT y = 0 or 1 / y < 1", "no division in rows that OR decides"),
    allow("subquery.slt", "SELECT (SELECT DISTINCT 42", "a scalar subquery may have no rows"),
    allow("subquery.slt", "SELECT (SELECT v FROM (SELECT 1 AS v", "a scalar subquery may have no rows"),
    allow(
        "type_coercion.slt",
        "SELECT interval '1 year 1 day' UNION ALL SELECT 1",
        "an error names a column by its heading",
    ),
];
