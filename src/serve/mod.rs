//! The server behind `repro ui`: the dashboard, its JSON API, server-sent events, and MLflow's
//! tracking API. It renders the values of [`crate::report`] and writes nothing but the run store
//! and the files that clients upload. Async code exists only here.

#[allow(dead_code)]
mod dag;
