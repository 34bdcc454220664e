//! The pages of `repro ui` in a real browser, against the real server.
//!
//! A test opens a page, acts as a user would and waits for what must appear. An error on the
//! console, a failed request or a violation of the content security policy fails every test.
//! Pictures of all pages for people:
//! `cargo test -p repro --test browser -- --ignored screenshots`.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod audit;
mod compare;
mod connection;
mod driver;
mod driver_tests;
mod exports;
mod frame;
mod held;
mod home;
mod key;
mod lineage;
mod models;
mod pipeline;
mod pool;
mod project;
mod run;
mod runs;
#[path = "../e2e/sandbox.rs"]
#[allow(dead_code, unused_macros, reason = "the end-to-end tests use the rest")]
mod sandbox;
mod screenshots;
mod ui;
