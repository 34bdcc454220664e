//! The only place where disk, cache, processes and run store meet: observe, decide, execute,
//! commit. Reports everything as events; unaware of terminals and the command line.

pub mod accept;
pub mod add;
pub mod artifacts;
pub mod checkout;
mod commit;
pub mod diff;
pub mod elsewhere;
pub mod export;
mod external;
mod folder_diff;
mod foreign;
pub mod get;
pub mod git;
mod git_diff;
mod gitignore;
pub mod lineage;
mod load_stale;
mod makers;
mod metrics;
pub mod models;
pub mod observe;
mod obstacle;
mod past_outs;
pub mod plan;
pub mod plots;
pub mod project;
pub mod provenance;
mod record;
mod replaced;
pub mod reproduce;
mod resources;
pub mod revision;
pub mod run;
pub mod run_checkout;
mod saved_git;
#[cfg(feature = "remote")]
pub mod share;
mod shared_cache;
pub mod side;
pub mod size;
mod started;
pub mod status;
pub mod sweep;
pub mod transfer;
pub mod trash;
mod trash_file;
pub mod undeclared;
pub mod update;
pub mod upkeep;
pub mod watch;
pub mod worktree;

pub use foreign::OnForeign;
pub use project::{Project, open_cache};
pub use resources::processors;
pub use worktree::place::home;

fn ended_orphan(stage: &str) -> String {
    format!("ended processes of stage `{stage}` that a killed run had left running")
}
