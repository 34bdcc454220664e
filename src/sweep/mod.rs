//! The trials of a sweep: the grammar of swept values, the space that they span, and the strategies
//! that choose the next trial.
//!
//! Pure: texts and past results come in, params of trials go out. Does not know how a trial runs.

mod halving;
mod mixture;
mod random;
mod space;
mod stop;
mod table;
mod tpe;
mod values;

pub use halving::{Fate, Halving};
pub use space::{Axis, BadSpace, Compose, Domain, Point, Space};
pub use stop::{Stop, StopRule, score};
pub use table::rows;
pub use tpe::{Finished, ask};
pub use values::{BadValues, Values, is_sweep, parse};
