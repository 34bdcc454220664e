//! The pictures of an evaluation, each in a file of its own below.

pub(crate) mod confusion;
pub(crate) mod curves;
pub(crate) mod gallery;
pub(crate) mod reliability;
