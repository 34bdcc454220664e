//! Shapes and texts of an SVG document.

use std::fmt::Write as _;

use crate::svg_text::{self, escaped, short};

pub(super) const INK: &str = "#1b1f24";
pub(super) const DIM: &str = "#57606a";
pub(super) const GRID: &str = "#e4e8ec";
/// Height of a character, and about its width, at the size of all texts.
pub(super) const FONT: f64 = 12.0;
pub(super) const CHAR: f64 = 6.6;

/// Colors that people with any color vision can tell apart.
const PALETTE: [&str; 8] =
    ["#0072b2", "#d55e00", "#008a64", "#b5528b", "#b37700", "#3d8fc6", "#7356b0", "#8c5a2b"];
const DASHES: [&str; 4] = ["", "7 4", "2 3", "9 3 2 3"];

/// Returns the color of the line at a position.
pub(super) fn color(at: usize) -> &'static str {
    PALETTE[at % PALETTE.len()]
}

/// Returns the dashes of the line at a position: they differ where the colors repeat.
pub(super) fn dashes(at: usize) -> &'static str {
    DASHES[at / PALETTE.len() % DASHES.len()]
}

/// The side of a text at which its place is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A document under construction. Coordinates are in pixels from the top left.
#[derive(Debug)]
pub(super) struct Canvas {
    body: String,
}

impl Canvas {
    pub(super) fn new(title: &str) -> Canvas {
        Canvas { body: format!("<title>{}</title>\n", escaped(title)) }
    }

    pub(super) fn finish(self, width: f64, height: f64) -> String {
        let (width, height) = (short(width), short(height));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"Helvetica, Arial, sans-serif\" \
             font-size=\"{FONT}\" fill=\"{INK}\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.body
        )
    }

    pub(super) fn line(&mut self, from: [f64; 2], to: [f64; 2], stroke: &str) {
        let [x1, y1, x2, y2] = [from[0], from[1], to[0], to[1]].map(short);
        let _ = writeln!(
            self.body,
            "<path d=\"M{x1} {y1}L{x2} {y2}\" stroke=\"{stroke}\" fill=\"none\"/>"
        );
    }

    /// Draws a line through each run of points.
    pub(super) fn path(&mut self, parts: &[Vec<[f64; 2]>], stroke: &str, dashes: &str) {
        let mut data = String::new();
        for part in parts {
            for (at, [x, y]) in part.iter().enumerate() {
                let letter = if at == 0 { "M" } else { "L" };
                let _ = write!(data, "{letter}{} {}", short(*x), short(*y));
            }
        }
        let dashes = match dashes {
            "" => String::new(),
            some => format!(" stroke-dasharray=\"{some}\""),
        };
        let _ = writeln!(
            self.body,
            "<path d=\"{data}\" stroke=\"{stroke}\" stroke-width=\"1.5\" \
             stroke-linejoin=\"round\" fill=\"none\"{dashes}/>"
        );
    }

    pub(super) fn dot(&mut self, [x, y]: [f64; 2], radius: f64, fill: &str) {
        let [x, y] = [x, y].map(short);
        let _ =
            writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"{fill}\"/>");
    }

    pub(super) fn rect(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], fill: &str) {
        let [x, y, width, height] = [x, y, width, height].map(short);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{fill}\"/>"
        );
    }

    pub(super) fn text(&mut self, [x, y]: [f64; 2], anchor: Anchor, fill: &str, text: &str) {
        self.turned([x, y], anchor, fill, 0, text);
    }

    /// Writes a text that is turned around its place, by degrees.
    pub(super) fn turned(
        &mut self,
        [x, y]: [f64; 2],
        anchor: Anchor,
        fill: &str,
        degrees: i32,
        text: &str,
    ) {
        let [x, y] = [x, y].map(short);
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let turn = match degrees {
            0 => String::new(),
            degrees => format!(" transform=\"rotate({degrees} {x} {y})\""),
        };
        let fill = if fill == INK { String::new() } else { format!(" fill=\"{fill}\"") };
        let text = escaped(text);
        let _ = writeln!(self.body, "<text x=\"{x}\" y=\"{y}\"{anchor}{fill}{turn}>{text}</text>");
    }
}

/// Returns the approximate width of a text in pixels.
pub(super) fn width(text: &str) -> f64 {
    svg_text::width(text, CHAR)
}
