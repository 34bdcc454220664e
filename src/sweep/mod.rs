//! The trials of a sweep: the space that its params span, and the strategies that choose the next
//! trial. The grammar of their values is [`crate::pipeline::swept`].
//!
//! Pure: texts and past results come in, params of trials go out. Does not know how a trial runs.

mod halving;
mod mixture;
mod random;
mod space;
mod stop;
mod table;
mod tpe;

pub use crate::pipeline::swept::{BadValues, Values, is_sweep, parse};
pub use halving::{Fate, Halving};
pub use space::{Axis, BadSpace, Compose, Domain, Point, Space};
pub use stop::{Stop, StopRule, score};
pub use table::rows;
pub use tpe::{Finished, ask};
