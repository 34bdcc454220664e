//! Figures as data: what a page draws and an SVG file shows. Their JSON is that of the page.

use serde::Serialize;

use crate::number::Number;
use crate::report::short_numbers;

/// Positions of runs in the list of the report.
pub type Runs = Vec<usize>;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Figure {
    Chart(Chart),
    Bars(Bars),
    Matrix(Matrix),
    Table(Table),
    Image(Image),
}

/// Curves or points on two numeric axes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Chart {
    pub title: String,
    /// Labels of the axes.
    pub x: String,
    pub y: String,
    /// Scale of the vertical axis.
    pub scale: Scale,
    pub mark: Mark,
    pub lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    Linear,
    Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    Line,
    Point,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    pub runs: Runs,
    /// The column, if a chart has several.
    pub name: Option<String>,
    /// Number of points that exist; `x` and `y` have fewer if the line is decimated.
    pub total: u64,
    #[serde(serialize_with = "short_numbers")]
    pub x: Vec<Number>,
    #[serde(serialize_with = "short_numbers")]
    pub y: Vec<Number>,
}

/// A value per category and group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bars {
    pub title: String,
    pub x: String,
    pub y: String,
    pub categories: Vec<String>,
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    pub runs: Runs,
    pub name: Option<String>,
    /// In the order of the categories.
    pub values: Vec<Option<Number>>,
}

/// A confusion matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matrix {
    pub title: String,
    pub runs: Runs,
    /// Labels of the columns and of the rows as a whole.
    pub x: String,
    pub y: String,
    pub classes: Vec<String>,
    /// A row per actual class.
    pub cells: Vec<Vec<Number>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub title: String,
    pub runs: Runs,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Number of rows that exist.
    pub total: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Image {
    pub title: String,
    pub runs: Runs,
    /// A media type such as `image/png`.
    pub media: &'static str,
    #[serde(serialize_with = "crate::report::base64::serialize")]
    pub data: Vec<u8>,
}

impl Chart {
    /// Returns the scale for values of this name: logarithmic for a loss that is positive.
    pub fn scale_of(name: &str, lines: &[Line]) -> Scale {
        let last = name.rsplit(['.', '/']).next().unwrap_or(name);
        let values = || lines.iter().flat_map(|line| &line.y).filter(|value| value.is_finite());
        let is_positive = values().next().is_some() && values().all(|value| value.to_f64() > 0.0);
        match last.to_ascii_lowercase().contains("loss") && is_positive {
            true => Scale::Log,
            false => Scale::Linear,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_scale_for_positive_losses() {
        for (name, values, scale) in [
            ("train.val_loss", &[2.0, 0.1][..], Scale::Log),
            ("train.Loss", &[2.0, f64::NAN], Scale::Log),
            ("train.loss", &[2.0, 0.0], Scale::Linear),
            ("train.loss", &[f64::NAN], Scale::Linear),
            ("loss.accuracy", &[2.0, 0.1], Scale::Linear),
        ] {
            let y: Vec<Number> = values.iter().copied().map(Number::from).collect();
            let line = Line { runs: vec![0], name: None, total: 2, x: y.clone(), y };
            assert_eq!(Chart::scale_of(name, &[line]), scale, "{name} {values:?}");
        }
    }
}
