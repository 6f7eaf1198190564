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

/// The values are not null in both sessions.
const NULLABLE: &str =
    "the schema of the physical plan says that values may be null in one of the sessions only";

pub const ALLOWED: &[Allowed] = &[
    allow("create_function.slt", "RETURN $1 + $2", "warpframe has CREATE FUNCTION"),
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
    allow("scalar.slt", "SELECT c1 IS TRUE as t FROM test_boolean", NULLABLE),
    allow("scalar.slt", "SELECT c1 IS FALSE as f FROM test_boolean", NULLABLE),
    allow("scalar.slt", "SELECT c1 IS NOT TRUE as nt FROM test_boolean", NULLABLE),
    allow("scalar.slt", "SELECT c1 IS NOT FALSE as nf FROM test_boolean", NULLABLE),
];
