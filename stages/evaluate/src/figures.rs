//! The figures of an evaluation, one module each.

pub(crate) mod confusion;
pub(crate) mod curves;
pub(crate) mod gallery;
pub(crate) mod reliability;
pub(crate) mod scale;
