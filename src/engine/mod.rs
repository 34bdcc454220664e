//! The only place where the effects meet: observe, decide, perform, commit. Everything it tells goes out as events.

mod about;
pub mod checkout;
mod commit;
mod explain;
pub mod fsck;
pub mod gc;
mod metrics;
pub mod observe;
mod perform;
pub mod project;
mod repair;
pub mod revisions;
pub mod run;
pub mod status;

pub use project::Project;
