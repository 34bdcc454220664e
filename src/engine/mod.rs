//! The only place where the effects meet: observe, decide, perform, commit. Everything it tells goes out as events.

mod about;
pub mod accept;
mod account;
pub mod add;
pub mod checkout;
mod commit;
mod explain;
pub mod fsck;
pub mod gc;
mod heard;
mod items;
pub mod measure;
mod metrics;
mod narrow;
pub mod observe;
mod perform;
pub mod plan;
pub mod predict;
mod processes;
pub mod project;
mod repair;
mod resources;
pub mod revisions;
pub mod run;
pub mod status;
mod units;
pub mod watch;
mod workers;

pub use project::Project;

fn ended_orphan(stage: &str) -> String {
    format!("ended what an earlier run, which was killed, had left running of stage `{stage}`")
}
