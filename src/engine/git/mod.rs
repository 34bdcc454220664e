//! `pipeline.lock` in git: the merge driver, and the hooks that keep outs and lock together.
//!
//! All of it runs the user's `git`, which decides where configuration, hooks and objects are. So
//! worktrees, submodules and `core.hooksPath` need little code here.

mod attributes;
mod command;
mod driver_config;
pub mod follow;
pub mod hook_files;
pub mod lock_driver;
mod merged_inputs;
mod merged_tree;
mod program;
pub mod pushed;
pub mod resolve;
pub mod setup;
