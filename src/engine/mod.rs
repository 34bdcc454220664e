//! The only place where the effects meet: observe, decide, perform, commit. Everything it tells goes out as events.

mod about;
pub mod accept;
pub mod checkout;
mod commit;
mod explain;
mod items;
mod metrics;
pub mod observe;
mod perform;
pub mod predict;
mod processes;
pub mod project;
mod resources;
pub mod run;
pub mod status;

pub use project::Project;
