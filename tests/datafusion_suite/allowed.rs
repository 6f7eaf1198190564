//! The differences that are meant to be.

/// A statement with different results.
pub struct Allowed {
    pub file: &'static str,
    /// A part of the statement.
    pub sql: &'static str,
    pub why: &'static str,
}

pub const ALLOWED: &[Allowed] = &[];
