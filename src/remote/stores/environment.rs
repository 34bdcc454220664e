//! Access to the environment, as a function, so that tests can give their own.

/// Reads a variable of the environment; an empty one counts as unset.
pub(in crate::remote) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;
