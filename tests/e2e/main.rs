//! End-to-end tests: the real `repro` binary in a temporary directory, with a clean environment.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod accept;
mod add;
mod add_url;
mod add_url_faults;
#[cfg(feature = "remote")]
mod add_url_stores;
mod adopt;
#[cfg(feature = "remote")]
mod auto;
mod checkout;
mod compare;
mod completions;
mod config;
mod crash;
mod crash_points;
mod declaration_errors;
mod disk_full;
mod edges;
mod edits_during_run;
mod events;
mod external;
mod file_server;
mod foreign;
mod formats;
mod fsck;
mod gc;
mod get;
mod git_hooks;
mod git_install;
mod git_merge;
mod git_places;
mod git_push;
mod gitignore;
mod hidden_edits;
mod history;
mod hostile;
mod hostile_text;
#[cfg(feature = "ui")]
mod http_client;
mod inputs;
mod item_processes;
mod items;
mod limits;
mod links;
mod load_stale;
mod lock_merges;
mod log;
mod matrix;
mod metrics;
#[cfg(feature = "ui")]
mod mlflow;
#[cfg(feature = "ui")]
mod mlflow_artifacts;
#[cfg(feature = "ui")]
mod mlflow_client;
#[cfg(feature = "ui")]
mod mlflow_experiments;
#[cfg(feature = "ui")]
mod mlflow_import;
#[cfg(feature = "ui")]
mod mlflow_metrics;
#[cfg(feature = "ui")]
mod mlflow_models;
#[cfg(feature = "ui")]
mod mlflow_registry;
#[cfg(feature = "ui")]
mod mlflow_runs;
#[cfg(feature = "ui")]
mod mlflow_search;
#[cfg(feature = "ui")]
mod mlflow_stage;
#[cfg(feature = "ui")]
mod mlflow_values;
#[cfg(feature = "ui")]
mod mlflow_wire;
mod models;
mod optional;
mod orphans;
mod other_project;
mod other_project_odd;
mod other_tools;
mod overrides;
mod plan;
mod plots;
mod plots_in_browser;
mod policy;
mod pre_commit;
mod predicted_outs;
mod python;
mod read_only;
mod recorded;
#[cfg(feature = "remote")]
mod remote;
mod reproignore;
mod restored_files;
mod run;
#[cfg(feature = "ui")]
mod run_api;
mod runs_checkout;
mod runs_diff;
mod runs_edit;
mod runs_list;
mod runs_reproduce;
mod runs_transfer;
#[cfg(feature = "remote")]
mod runs_travel;
mod runs_tree;
mod sandbox;
mod schema;
mod settings;
#[cfg(feature = "remote")]
mod share;
#[cfg(feature = "remote")]
mod share_gc;
#[cfg(feature = "remote")]
mod share_hostile;
#[cfg(feature = "remote")]
mod share_large;
#[cfg(feature = "remote")]
mod share_lost;
mod shared_cache;
mod soundness;
mod staging;
mod state_files;
mod status;
mod sweep;
mod sweep_rules;
mod sweep_values;
mod templates;
mod trash;
#[cfg(feature = "ui")]
mod ui;
#[cfg(feature = "ui")]
mod ui_runs;
mod undeclared;
mod user_fifos;
mod watch;
mod worktree;
