//! Declaration of the way in which a plot is drawn. Does not influence the out.

use serde::{Deserialize, Serialize};

/// The `template`, `x`, `y` and `title` of a plot. What is absent follows from its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawing {
    pub template: Option<Template>,
    /// Column of the horizontal axis.
    pub x: Option<String>,
    /// Columns of the vertical axis, which share one chart.
    pub y: Vec<String>,
    pub title: Option<String>,
}

/// The kinds of charts for tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Template {
    Linear,
    Scatter,
    Bar,
    Confusion,
    Table,
}

impl Template {
    pub const ALL: [Template; 5] =
        [Template::Linear, Template::Scatter, Template::Bar, Template::Confusion, Template::Table];

    /// Returns the word in `pipeline.toml`.
    pub fn word(self) -> &'static str {
        match self {
            Template::Linear => "linear",
            Template::Scatter => "scatter",
            Template::Bar => "bar",
            Template::Confusion => "confusion",
            Template::Table => "table",
        }
    }
}
