//! `repro`: a reproducible pipeline runner. The map, from the pure core outwards:
//!
//! | module | what |
//! |---|---|
//! | [`digest`], [`repo_path`], [`error`], [`unique`] | values, names |
//! | [`pipeline`] | what the user declared |
//! | [`plan`] | is it up to date, and why not |
//! | [`event`], [`schedule`] | what happened; what happens next |
//! | [`workspace`], [`cache`], [`exec`], [`runs`] | effects: files, objects, processes, the run store; they do not know each other |
//! | [`engine`] | the only place where the effects meet |
//! | [`terminal`] | how people see it |
//! | [`cli`] | the commands, one file each |
//!
//! A module imports only what stands above it here; `tests/layers.rs` holds that.

pub mod cache;
pub mod cli;
pub mod digest;
pub mod engine;
pub mod error;
pub mod event;
pub mod exec;
pub mod pipeline;
pub mod plan;
pub mod repo_path;
pub mod runs;
pub mod schedule;
pub mod terminal;
pub mod unique;
pub mod workspace;
