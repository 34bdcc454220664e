//! Writes an SVG image: text, rectangles and lines on a white background.
//!
//! The output is deterministic.

use std::fmt::{Display, Write as _};

/// Font size of the title, in pixels.
pub(crate) const TITLE: f64 = 18.0;
/// Font size of labels, in pixels.
pub(crate) const TEXT: f64 = 13.0;
/// Font size of notes, in pixels.
pub(crate) const NOTE: f64 = 11.0;
/// Text colour.
pub(crate) const INK: &str = "#1f2933";
/// Colour of secondary text.
pub(crate) const GREY: &str = "#52606d";
/// Colour of outlines.
pub(crate) const OUTLINE: &str = "#9aa5b1";
/// Colour of grid lines and placeholders.
pub(crate) const FAINT: &str = "#e4e7eb";
/// First data colour; it differs from [`ORANGE`] in greyscale and for colour-blind readers too.
pub(crate) const BLUE: &str = "#0b5394";
/// Second data colour.
pub(crate) const ORANGE: &str = "#d9730d";
/// Maximum length of a name; longer names are cut and end in `…`.
const MAX_NAME: usize = 24;

/// An image under construction. Positions are `[x, y]` in pixels, with y pointing down.
#[derive(Debug)]
pub(crate) struct Svg {
    text: String,
}

impl Svg {
    /// Creates an empty image of this width and height.
    pub(crate) fn new(title: &str, [width, height]: [f64; 2]) -> Svg {
        let (width, height, title) = (width.ceil(), height.ceil(), escape(title));
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" \
             font-family=\"Inter, 'Segoe UI', Helvetica, Arial, sans-serif\" \
             fill=\"{INK}\">\n<title>{title}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        Svg { text }
    }

    /// Draws text that starts at a position; `style` has further attributes.
    pub(crate) fn text(&mut self, [x, y]: [f64; 2], size: f64, style: &str, words: &str) {
        let (x, y, words) = (px(x), px(y), escape(words));
        let _ = writeln!(
            self.text,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" {style}>{words}</text>"
        );
    }

    /// Draws text rotated around its position, by `degrees` clockwise.
    pub(crate) fn rotated(&mut self, [x, y]: [f64; 2], degrees: f64, style: &str, words: &str) {
        let style = format!("{style} transform=\"rotate({degrees} {} {})\"", px(x), px(y));
        self.text([x, y], TEXT, &style, words);
    }

    /// Draws the title and the line below it.
    pub(crate) fn heading(&mut self, left: f64, title: &str, summary: &str) {
        self.text([left, 34.0], TITLE, "font-weight=\"600\"", title);
        self.text([left, 56.0], TEXT, &format!("fill=\"{GREY}\""), summary);
    }

    /// Draws a rectangle, given its upper left corner and size. `tooltip` may be empty.
    pub(crate) fn rect(
        &mut self,
        [x, y]: [f64; 2],
        [width, height]: [f64; 2],
        style: &str,
        tooltip: &str,
    ) {
        let title = match tooltip {
            "" => String::new(),
            _ => format!("<title>{}</title>", escape(tooltip)),
        };
        let _ = writeln!(
            self.text,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {style}>{title}</rect>",
            px(x),
            px(y),
            px(width),
            px(height)
        );
    }

    /// Draws a line through points.
    pub(crate) fn line(&mut self, points: impl IntoIterator<Item = [f64; 2]>, style: &str) {
        let points: Vec<String> =
            points.into_iter().map(|[x, y]| format!("{},{}", px(x), px(y))).collect();
        let _ = writeln!(
            self.text,
            "<polyline points=\"{}\" fill=\"none\" {style}/>",
            points.join(" ")
        );
    }

    /// Embeds a PNG.
    pub(crate) fn png(&mut self, [x, y]: [f64; 2], [width, height]: [f64; 2], base64: &str) {
        let _ = writeln!(
            self.text,
            "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
             href=\"data:image/png;base64,{base64}\"/>",
            px(x),
            px(y),
            px(width),
            px(height)
        );
    }

    /// Defines a vertical gradient, from the top down.
    pub(crate) fn gradient(&mut self, id: &str, colours: &[String]) {
        let last = colours.len().saturating_sub(1).max(1) as f64;
        let stop = |(index, colour): (usize, &String)| {
            format!("<stop offset=\"{}\" stop-color=\"{colour}\"/>", index as f64 / last)
        };
        let stops: String = colours.iter().enumerate().map(stop).collect();
        let _ = writeln!(
            self.text,
            "<defs><linearGradient id=\"{id}\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"1\">\
             {stops}</linearGradient></defs>"
        );
    }

    /// Returns the contents of the SVG file.
    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// Estimates the width of text in pixels, if anything as too wide, also in bold.
pub(crate) fn width_of(words: &str, size: f64) -> f64 {
    words.chars().map(char_width).sum::<f64>() * size
}

/// Returns the approximate width of a character, as a fraction of the font size.
fn char_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '!' | '|' | '\'' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' => 1.0,
        'A'..='Z' => 0.78,
        // East Asian scripts and symbols are as wide as they are high.
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{ffdc}' | '\u{1f000}'.. => 1.1,
        _ => 0.62,
    }
}

/// Cuts a name that is too long for a figure.
pub(crate) fn shorten(name: &str) -> String {
    if name.chars().count() <= MAX_NAME {
        return name.to_owned();
    }
    name.chars().take(MAX_NAME - 1).chain(['…']).collect()
}

/// Rounds a length to a tenth of a pixel.
fn px(length: f64) -> impl Display {
    (length * 10.0).round() / 10.0
}

/// Escapes text for XML. Control characters, which XML 1.0 cannot represent, become `�`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_well_formed() {
        let mut svg = Svg::new("a < b", [100.4, 50.0]);
        svg.text([1.0, 2.26], TEXT, "fill=\"red\"", "rock & \"roll\"");
        svg.rect([0.0; 2], [1.0 / 3.0, 2.0], "fill=\"none\"", "");
        svg.line([[0.0, 1.0], [2.5, 3.0]], "stroke=\"red\"");
        let text = svg.finish();
        for expected in [
            "viewBox=\"0 0 101 50\"",
            "<title>a &lt; b</title>",
            "<text x=\"1\" y=\"2.3\" font-size=\"13\" fill=\"red\">\
             rock &amp; &quot;roll&quot;</text>",
            "width=\"0.3\" height=\"2\"",
            "points=\"0,1 2.5,3\"",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert_eq!(text.matches('<').count(), text.matches('>').count());
    }

    #[test]
    fn widths_of_names() {
        for (name, least) in [("WWWW", 4.0), ("爵士樂", 3.0), ("illi", 1.0), ("jazz", 2.0)] {
            let width = width_of(name, 10.0);
            assert!(width >= least * 10.0 && width < least * 15.0, "{name}: {width}");
        }
    }

    #[test]
    fn escapes_and_shortens_names() {
        assert_eq!(escape("a\u{7}b\"c'"), "a\u{fffd}b&quot;c'");
        assert_eq!(shorten(&"é".repeat(30)).chars().count(), MAX_NAME);
        assert_eq!(shorten("blues"), "blues");
    }
}
