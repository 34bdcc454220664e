//! End-to-end tests: the real `repro` binary in a temporary directory, with a clean environment.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod accept;
mod add;
mod adopt;
mod checkout;
mod completions;
mod config;
mod crash;
mod declaration_errors;
mod disk_full;
mod edges;
mod events;
mod formats;
mod fsck;
mod gc;
mod hidden_edits;
mod history;
mod hostile_text;
mod inputs;
mod item_processes;
mod items;
mod links;
mod load_stale;
mod matrix;
mod metrics;
mod optional;
mod orphans;
mod plan;
mod policy;
mod run;
mod sandbox;
mod schema;
mod soundness;
mod status;
mod watch;
