//! The only place where the effects meet: observe, decide, perform, commit. Everything it tells goes out as events.

pub mod accept;
pub mod add;
pub mod checkout;
mod commit;
mod load_stale;
mod metrics;
pub mod observe;
pub mod plan;
pub mod project;
mod provenance;
mod resources;
pub mod run;
pub mod size;
pub mod status;
pub mod upkeep;
pub mod watch;

pub use project::Project;

fn ended_orphan(stage: &str) -> String {
    format!("ended what an earlier run, which was killed, had left running of stage `{stage}`")
}
