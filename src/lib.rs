//! `repro` runs reproducible pipelines. The modules, from the pure core outwards:
//!
//! | module | contents |
//! |---|---|
//! | [`digest`], [`repo_path`], [`number`], [`error`] | basic value types |
//! | [`data`] | the values in files of JSON, YAML, TOML and CSV |
//! | [`clock`], [`unique`], [`plural`], [`escape`] | time, unique names, counted nouns, safe text |
//! | [`percent`] | percent-encoded text |
//! | [`svg_text`] | texts and numbers in SVG documents |
//! | [`vendor`] | libraries of web pages, as their authors publish them |
//! | [`state_folder`] | folders that git ignores |
//! | [`regular_file`] | files of this program's own state |
//! | [`tar`] | archives of plain files |
//! | [`pipeline`] | the user's declarations |
//! | [`plan`] | decides whether a stage is up to date, and explains why not |
//! | [`filter`] | filters of runs: text to a typed expression |
//! | [`sweep`] | the trials of a sweep: the grammar of values, and the strategies |
//! | [`event`], [`schedule`] | events of a run; the order in which stages run |
//! | [`workspace`], [`cache`], [`exec`], [`runs`] | side effects: files, objects, processes, runs |
//! | `remote` | stores of files elsewhere; only with the feature `remote` |
//! | [`engine`] | the only module that combines the side effects |
//! | [`report`] | results of commands as data, with one JSON form each |
//! | [`terminal`], [`plots`] | output for people: text, pages and figures |
//! | `import` | runs from and to MLflow; only with the feature `ui` |
//! | `serve` | the dashboard and MLflow's tracking API over HTTP; only with the feature `ui` |
//! | [`cli`] | the commands, one per file |
//!
//! A module imports only modules above it in this table, and the modules with side effects do not
//! import each other; `tests/layers` checks that.

pub mod cache;
pub mod cli;
pub mod clock;
pub mod data;
pub mod digest;
pub mod engine;
pub mod error;
pub mod escape;
pub mod event;
pub mod exec;
pub mod filter;
#[cfg(feature = "ui")]
pub mod import;
pub mod lossless;
pub mod number;
pub mod parallel;
pub mod percent;
pub mod pipeline;
pub mod plan;
pub mod plots;
pub mod plural;
pub mod regular_file;
#[cfg(feature = "remote")]
pub mod remote;
pub mod repo_path;
pub mod report;
pub mod runs;
pub mod schedule;
#[cfg(feature = "ui")]
pub mod serve;
pub mod state_folder;
pub mod svg_text;
pub mod sweep;
pub mod tar;
pub mod terminal;
pub mod unique;
pub mod vendor;
pub mod workspace;
