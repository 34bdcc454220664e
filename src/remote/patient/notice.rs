//! One line for people while a store fails and its calls are repeated.

use std::sync::OnceLock;

static TELL: OnceLock<fn(&str)> = OnceLock::new();

/// Sets the function that shows such lines. Without it, nothing is said.
pub fn on_retry(tell: fn(&str)) {
    let _ = TELL.set(tell);
}

pub(super) fn tell(line: &str) {
    if let Some(tell) = TELL.get() {
        tell(line);
    }
}
