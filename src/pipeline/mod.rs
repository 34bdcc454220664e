//! The user's declarations: stages, params, metric goals, and the dependency graph.
//!
//! Parses text into values. Does not know about the disk, the cache or whether stages are up to
//! date.

pub mod command_files;
mod condition;
mod declaration;
mod drawing;
mod git_url;
pub mod glob;
mod graph;
mod items;
mod links;
mod location;
mod origin;
mod out_options;
mod params;
pub mod params_edit;
pub mod problem;
mod read;
mod remote_spec;
mod resolve;
pub mod schema;
mod shell;
pub mod stage_edit;
mod stage_ix;
mod sweep_spec;
pub mod swept;
mod template;
mod validate;
mod variables;

pub use condition::{BadCondition, Condition};
pub use declaration::{
    Dep, FILE, Goal, Goals, KEEP_DISPLACED, Out, OutsInGit, Pipeline, Policy, Resources, Retries,
    Source, Stage, StageName, Tokens, Written,
};
pub use drawing::{Drawing, Template};
pub use git_url::{BadUrl, GitUrl};
pub use glob::Glob;
pub use graph::Graph;
pub use items::{Each, ItemOut, ItemText, Mode};
pub use links::{Link, Links, PRIVATE};
pub use location::{BadLocation, Location, SshPlace, own_variable};
pub use origin::{Origin, ProjectOrigin, Url, UrlOrigin, is_url};
pub use out_options::{Cached, Persist, Presence, Role};
pub use params::{BadName, ParamKey, ParamValue, Params, REQUIRED, Unresolved, check_name, nested};
pub use problem::Problem;
pub use read::config::GROUPS;
pub use read::options::parse_duration;
pub use read::source::{FileSource, Operation, Override};
pub use read::{Declared, parse, parse_params, parse_remotes};
pub use remote_spec::{Auto, RemoteSpec};
pub use resolve::PathEntry;
pub use stage_ix::{StageIx, StageSet};
pub use sweep_spec::SweepSpec;
