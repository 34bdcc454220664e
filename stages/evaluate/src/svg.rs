//! A picture in SVG: texts, rectangles and lines, on white.
//!
//! The same calls give the same text. Knows nothing about what is drawn.

use std::fmt::{Display, Write as _};

/// The text sizes of the title, of labels and of notes, in pixels.
pub(crate) const TITLE: f64 = 18.0;
pub(crate) const TEXT: f64 = 13.0;
pub(crate) const NOTE: f64 = 11.0;
/// The colours of words, of less important words, and of lines around things.
pub(crate) const INK: &str = "#1f2933";
pub(crate) const GREY: &str = "#52606d";
pub(crate) const OUTLINE: &str = "#9aa5b1";
pub(crate) const FAINT: &str = "#e4e7eb";
/// Two colours that differ for colour-blind eyes and in grey, too.
pub(crate) const BLUE: &str = "#0b5394";
pub(crate) const ORANGE: &str = "#d9730d";
/// About the width of a character, as a share of the text's size, in the fonts asked for.
const CHARACTER: f64 = 0.58;
/// A name longer than this is cut and ends in `…`.
const LONGEST_NAME: usize = 24;

/// A picture that is being drawn. Places are `[x, y]` in pixels, y downwards.
#[derive(Debug)]
pub(crate) struct Svg {
    text: String,
}

impl Svg {
    /// An empty picture of this width and height.
    pub(crate) fn new(title: &str, [width, height]: [f64; 2]) -> Svg {
        let (width, height, title) = (width.ceil(), height.ceil(), escape(title));
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"Inter, 'Segoe UI', Helvetica, Arial, sans-serif\" \
             fill=\"{INK}\">\n<title>{title}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        Svg { text }
    }

    /// Words that begin at a place; `style` are more attributes.
    pub(crate) fn text(&mut self, [x, y]: [f64; 2], size: f64, style: &str, words: &str) {
        let (x, y, words) = (px(x), px(y), escape(words));
        let _ = writeln!(
            self.text,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" {style}>{words}</text>"
        );
    }

    /// Words turned around their place: `degrees` clockwise.
    pub(crate) fn turned(&mut self, [x, y]: [f64; 2], degrees: f64, style: &str, words: &str) {
        let style = format!("{style} transform=\"rotate({degrees} {} {})\"", px(x), px(y));
        self.text([x, y], TEXT, &style, words);
    }

    /// The title and the line below it.
    pub(crate) fn heading(&mut self, left: f64, title: &str, summary: &str) {
        self.text([left, 34.0], TITLE, "font-weight=\"600\"", title);
        self.text([left, 56.0], TEXT, &format!("fill=\"{GREY}\""), summary);
    }

    /// A rectangle by its upper left corner, width and height; `tip` is shown by viewers that a pointer asks.
    pub(crate) fn rect(
        &mut self,
        [x, y]: [f64; 2],
        [width, height]: [f64; 2],
        style: &str,
        tip: &str,
    ) {
        let tip =
            if tip.is_empty() { String::new() } else { format!("<title>{}</title>", escape(tip)) };
        let _ = writeln!(
            self.text,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {style}>{tip}</rect>",
            px(x),
            px(y),
            px(width),
            px(height)
        );
    }

    /// A line through places.
    pub(crate) fn line(&mut self, places: impl IntoIterator<Item = [f64; 2]>, style: &str) {
        let places: Vec<String> =
            places.into_iter().map(|[x, y]| format!("{},{}", px(x), px(y))).collect();
        let _ = writeln!(
            self.text,
            "<polyline points=\"{}\" fill=\"none\" {style}/>",
            places.join(" ")
        );
    }

    /// A PNG that lies in the picture itself.
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

    /// The colours of a scale from the top down.
    pub(crate) fn gradient(&mut self, id: &str, colours: &[String]) {
        let last = colours.len().saturating_sub(1).max(1) as f64;
        let stop = |(index, colour): (usize, &String)| {
            format!("<stop offset=\"{}\" stop-color=\"{colour}\"/>", index as f64 / last)
        };
        let stops: String = colours.iter().enumerate().map(stop).collect();
        let _ = writeln!(
            self.text,
            "<defs><linearGradient id=\"{id}\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"1\">{stops}</linearGradient></defs>"
        );
    }

    /// The file's text.
    pub(crate) fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }
}

/// About how wide words of a size are.
pub(crate) fn width_of(words: &str, size: f64) -> f64 {
    words.chars().count() as f64 * size * CHARACTER
}

/// A name as it fits into a picture.
pub(crate) fn shorten(name: &str) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    name.chars().take(LONGEST_NAME - 1).chain(['…']).collect()
}

/// A length to a tenth of a pixel.
fn px(length: f64) -> impl Display {
    (length * 10.0).round() / 10.0
}

/// Text as XML wants it. Control characters, which XML 1.0 has no way to hold, become `�`.
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
    fn what_is_drawn_is_well_formed() {
        let mut svg = Svg::new("a < b", [100.4, 50.0]);
        svg.text([1.0, 2.26], TEXT, "fill=\"red\"", "rock & \"roll\"");
        svg.rect([0.0; 2], [1.0 / 3.0, 2.0], "fill=\"none\"", "");
        svg.line([[0.0, 1.0], [2.5, 3.0]], "stroke=\"red\"");
        let text = svg.finish();
        for expected in [
            "viewBox=\"0 0 101 50\"",
            "<title>a &lt; b</title>",
            "<text x=\"1\" y=\"2.3\" font-size=\"13\" fill=\"red\">rock &amp; &quot;roll&quot;</text>",
            "width=\"0.3\" height=\"2\"",
            "points=\"0,1 2.5,3\"",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        assert_eq!(text.matches('<').count(), text.matches('>').count());
    }

    #[test]
    fn odd_names_stay_readable_xml() {
        assert_eq!(escape("a\u{7}b\"c'"), "a\u{fffd}b&quot;c'");
        assert_eq!(shorten(&"é".repeat(30)).chars().count(), LONGEST_NAME);
        assert_eq!(shorten("blues"), "blues");
    }
}
