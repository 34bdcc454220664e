//! The reports of `repro import` and `repro export`: how much was moved, and what was left out.

use serde::Serialize;

use crate::event::RunName;

/// Numbers of things that an import has added.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    pub experiments: usize,
    pub runs: usize,
    /// Runs that were there already.
    pub known: usize,
    pub points: usize,
    /// Logged models.
    pub models: usize,
    pub files: usize,
    pub bytes: u64,
    /// Registered models.
    pub registered: usize,
    pub versions: usize,
    pub skipped: Vec<Skipped>,
}

/// Something that could not be imported or exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub what: String,
    pub why: String,
}

/// Runs that an export has written, with the numbers of points and files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    pub runs: Vec<RunName>,
    /// Runs that were there already.
    pub known: usize,
    pub points: usize,
    pub files: usize,
    pub bytes: u64,
    pub skipped: Vec<Skipped>,
}
