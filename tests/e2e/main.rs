//! The real binary in an empty directory, in an environment of its own.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod accept;
mod add;
mod checkout;
mod completions;
mod config;
mod crash;
mod declare;
mod events;
mod formats;
mod fsck;
mod full;
mod gc;
mod history;
mod inputs;
mod items;
mod items_apart;
mod links;
mod matrix;
mod narrow;
mod optional;
mod plan;
mod policy;
mod run;
mod sandbox;
mod schema;
mod status;
mod stealth;
mod truth;
mod watch;
