//! The confusion matrix as a picture: SVG, on white, with the counts in the cells.
//!
//! Rows are the true classes, columns the predicted ones. A cell's colour is its share of the row, so that
//! classes of different sizes compare; its text is the count. Knows nothing about files.

use std::fmt::Write as _;

use model::metrics::Confusion;

/// The side of a cell in pixels.
const CELL: usize = 46;
/// The text sizes of the title, of labels and counts, and of notes.
const TITLE: usize = 18;
const TEXT: usize = 13;
const NOTE: usize = 11;
/// About the width of a character, as a share of the text's size, in the fonts asked for.
const CHARACTER: f64 = 0.58;
/// A label longer than this is cut and ends in `…`.
const LONGEST_LABEL: usize = 24;
/// The colours of a share of 0 and of 1; both read well in print and with colour-blind eyes.
const LIGHT: [f64; 3] = [247.0, 251.0, 255.0];
const DARK: [f64; 3] = [8.0, 48.0, 107.0];

/// Draws the matrix; the same matrix gives the same text.
pub(crate) fn draw(labels: &[String], confusion: &Confusion) -> String {
    let names: Vec<String> = labels.iter().map(|label| shorten(label)).collect();
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default();
    let label_space = (longest as f64 * TEXT as f64 * CHARACTER) as usize + 14;
    let (left, top) = (label_space + 34, 78);
    let side = labels.len() * CELL;
    let (legend, slanted) = (left + side + 28, label_space * 3 / 4 + 12);
    let (width, height) = (legend + 76, top + side + slanted + 34);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"Inter, 'Segoe UI', Helvetica, Arial, sans-serif\" fill=\"#1f2933\">\n\
         <title>Confusion matrix</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut svg, [left, 34], TITLE, "font-weight=\"600\"", "Confusion matrix");
    let summary = format!(
        "{} clips · accuracy {:.1} % · macro F1 {:.3}",
        confusion.total(),
        confusion.accuracy() * 100.0,
        confusion.macro_f1()
    );
    text(&mut svg, [left, 56], TEXT, "fill=\"#52606d\"", &summary);
    for (label, name) in names.iter().enumerate() {
        let y = top + label * CELL;
        text(&mut svg, [left - 10, y + CELL / 2 + 5], TEXT, "text-anchor=\"end\"", name);
        row(&mut svg, [left, y], labels, label, confusion);
        let (x, y) = (left + label * CELL + CELL / 2 + 4, top + side + 18);
        text(&mut svg, [x, y], TEXT, &format!("text-anchor=\"end\" transform=\"rotate(-45 {x} {y})\""), name);
    }
    let outline = "fill=\"none\" stroke=\"#9aa5b1\"";
    let _ = writeln!(svg, "<rect x=\"{left}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" {outline}/>");
    axes(&mut svg, [left, top], side, height);
    scale(&mut svg, [legend, top], side);
    svg.push_str("</svg>\n");
    svg
}

/// The cells of one true class.
fn row(svg: &mut String, [left, y]: [usize; 2], labels: &[String], label: usize, confusion: &Confusion) {
    let whole: u64 = confusion.row(label).iter().sum();
    for (prediction, count) in confusion.row(label).iter().enumerate() {
        let x = left + prediction * CELL;
        let share = if whole == 0 { 0.0 } else { *count as f64 / whole as f64 };
        let tip = format!("{} → {}: {count} of {whole}", labels[label], labels[prediction]);
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" height=\"{CELL}\" fill=\"{}\" stroke=\"#ffffff\">\
             <title>{}</title></rect>",
            colour(share),
            escape(&tip)
        );
        if *count > 0 {
            let ink = if share > 0.5 { "#ffffff" } else { "#1f2933" };
            let weight = if label == prediction { "600" } else { "400" };
            let style = format!(
                "text-anchor=\"middle\" pointer-events=\"none\" fill=\"{ink}\" font-weight=\"{weight}\""
            );
            text(svg, [x + CELL / 2, y + CELL / 2 + 5], TEXT, &style, &count.to_string());
        }
    }
}

fn axes(svg: &mut String, [left, top]: [usize; 2], side: usize, height: usize) {
    let style = "text-anchor=\"middle\" font-weight=\"600\"";
    text(svg, [left + side / 2, height - 14], TEXT, style, "Predicted class");
    let (x, y) = (20, top + side / 2);
    text(svg, [x, y], TEXT, &format!("{style} transform=\"rotate(-90 {x} {y})\""), "True class");
}

/// The colour scale beside the matrix.
fn scale(svg: &mut String, [left, top]: [usize; 2], side: usize) {
    let (from, to) = (colour(1.0), colour(0.0));
    let _ = writeln!(
        svg,
        "<defs><linearGradient id=\"scale\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"1\"><stop offset=\"0\" \
         stop-color=\"{from}\"/><stop offset=\"0.5\" stop-color=\"{}\"/><stop offset=\"1\" \
         stop-color=\"{to}\"/></linearGradient></defs>\n<rect x=\"{left}\" y=\"{top}\" width=\"14\" \
         height=\"{side}\" fill=\"url(#scale)\" stroke=\"#9aa5b1\"/>",
        colour(0.5)
    );
    for (share, name) in [(0, "100 %"), (1, "50 %"), (2, "0 %")] {
        let y = top + share * side / 2 + if share == 0 { 9 } else { 4 } - if share == 2 { 4 } else { 0 };
        text(svg, [left + 20, y], NOTE, "fill=\"#52606d\"", name);
    }
    text(svg, [left - 2, top - 10], NOTE, "fill=\"#52606d\"", "of the row");
}

fn text(svg: &mut String, [x, y]: [usize; 2], size: usize, style: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" {style}>{}</text>", escape(words));
}

fn colour(share: f64) -> String {
    let channel = |at: usize| (LIGHT[at] + (DARK[at] - LIGHT[at]) * share).round() as u8;
    format!("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2))
}

fn shorten(label: &str) -> String {
    if label.chars().count() <= LONGEST_LABEL {
        return label.to_owned();
    }
    label.chars().take(LONGEST_LABEL - 1).chain(['…']).collect()
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
    fn counts_labels_and_colours_are_there() {
        let labels = ["rock & roll".to_owned(), "<blues>".to_owned()];
        let svg = draw(&labels, &Confusion::of(2, [(0, 0), (0, 0), (0, 1), (0, 1), (1, 1)]));
        for expected in
            ["rock &amp; roll", "&lt;blues&gt;", "Predicted class", "True class", "of the row", "5 clips"]
        {
            assert!(svg.contains(expected), "{expected}");
        }
        // Row 0 is shared evenly between two cells; row 1 is in one.
        assert_eq!(svg.matches(&format!("fill=\"{}\"", colour(0.5))).count(), 2);
        assert_eq!(svg.matches(&format!("fill=\"{}\"", colour(1.0))).count(), 1);
        assert!(!svg.contains("NaN"));
        assert_eq!(svg.matches('<').count(), svg.matches('>').count());
    }

    #[test]
    fn odd_labels_stay_readable_xml() {
        assert_eq!(escape("a\u{7}b\"c'"), "a\u{fffd}b&quot;c'");
        assert_eq!(shorten(&"é".repeat(30)).chars().count(), LONGEST_LABEL);
        let svg = draw(&["x".repeat(500), String::new()], &Confusion::new(2));
        assert!(svg.len() < 8000);
    }
}
