//! Figures as plain SVG files, for papers: no scripts, no styles, no outside parts. Pure.

mod axis;
mod bars;
mod canvas;
mod chart;
mod legend;
mod matrix;
mod sweep;

use crate::report::plots::figure::Figure;
use crate::report::plots::{PlotsReport, PlottedRun};

/// The first line of every file, by which it is recognized as one.
pub const MARK: &str = "<!-- repro plots -->\n";

/// A figure as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SvgFile {
    /// Letters, digits, `.`, `_` and `-`; without the extension.
    pub name: String,
    pub text: String,
}

/// Draws the figures of a report that have axes, and those of runs that differ in params. Tables
/// and images are left out.
pub fn files(report: &PlotsReport) -> Vec<SvgFile> {
    let runs: Vec<String> = report.runs.iter().map(PlottedRun::label).collect();
    let drawn = report.figures().filter_map(|figure| draw(&figure, &runs));
    named(drawn.chain(sweep::figures(report)))
}

/// Returns the title of a figure and its document; `None` if it has no axes. `runs` are the names
/// of the runs of the report.
fn draw(figure: &Figure, runs: &[String]) -> Option<(String, String)> {
    Some(match figure {
        Figure::Chart(chart) => (chart.title.clone(), chart::draw(chart, runs)),
        Figure::Bars(bars) => (bars.title.clone(), bars::draw(bars, runs)),
        Figure::Matrix(matrix) => {
            let of = legend::names(&matrix.runs, runs);
            (format!("{} {of}", matrix.title), matrix::draw(matrix, &of))
        }
        Figure::Table(_) | Figure::Image(_) => return None,
    })
}

/// Names the files of figures by their titles.
fn named(drawn: impl Iterator<Item = (String, String)>) -> Vec<SvgFile> {
    let mut files: Vec<SvgFile> = Vec::new();
    for (title, text) in drawn {
        let base = file_name(&title);
        let is_taken = |name: &String| files.iter().any(|file| file.name == *name);
        let numbered = (2u64..).map(|number| format!("{base}-{number}"));
        let mut candidates = std::iter::once(base.clone()).chain(numbered);
        let name = candidates.find(|name| !is_taken(name)).unwrap_or(base.clone());
        files.push(SvgFile { name, text: format!("{MARK}{text}") });
    }
    files
}

/// Longest name of a file without its extension.
const LONGEST_NAME: usize = 100;

fn file_name(title: &str) -> String {
    let mut name = String::new();
    for c in title.chars() {
        let is_kept = c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
        match is_kept {
            true => name.push(c),
            false if !name.ends_with('-') => name.push('-'),
            false => {}
        }
        if name.len() >= LONGEST_NAME {
            break;
        }
    }
    let name = name.trim_matches(|c| c == '-' || c == '.');
    if name.is_empty() { "figure".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
