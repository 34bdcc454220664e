//! The gallery: for each class spectrograms of clips, from the one that the model takes most surely for the class to
//! the one that it takes least, with what it says of them.
//!
//! Knows nothing about how spectrograms are painted: the pictures are given.

use crate::answers::Answer;
use crate::svg::{FAINT, GREY, NOTE, ORANGE, OUTLINE, Svg, TEXT, shorten, width_of};

const PICTURE: [f64; 2] = [192.0, 96.0];
const GAP: [f64; 2] = [16.0, 40.0];
const TOP: f64 = 82.0;

/// Draws at most `columns` clips of each class; `png` gives the picture of a clip in base64, if there is one.
pub(crate) fn draw(
    labels: &[String],
    answers: &[Answer<'_>],
    columns: usize,
    png: impl Fn(&str) -> Option<String>,
) -> String {
    let most = (0..labels.len())
        .map(|label| answers.iter().filter(|answer| answer.label == label).count())
        .max();
    let columns = columns.min(most.unwrap_or_default());
    let names: Vec<String> = labels.iter().map(|label| shorten(label)).collect();
    let left = names.iter().map(|name| width_of(name, TEXT)).fold(0.0, f64::max) + 40.0;
    let size = [
        left + columns.max(3) as f64 * (PICTURE[0] + GAP[0]) + 8.0,
        TOP + labels.len() as f64 * (PICTURE[1] + GAP[1]),
    ];
    let mut svg = Svg::new("Clips of each class", size);
    svg.heading(
        left,
        "Clips of each class",
        "from the one that is taken most surely for its class to the one that is taken least",
    );
    for (label, name) in names.iter().enumerate() {
        let y = TOP + label as f64 * (PICTURE[1] + GAP[1]);
        let style = "text-anchor=\"end\" font-weight=\"600\"";
        svg.text([left - 16.0, y + PICTURE[1] / 2.0 + 5.0], TEXT, style, name);
        for (column, answer) in chosen(answers, label, columns).into_iter().enumerate() {
            let x = left + column as f64 * (PICTURE[0] + GAP[0]);
            cell(&mut svg, [x, y], answer, &names[answer.prediction], png(answer.path));
        }
    }
    svg.finish()
}

fn cell(svg: &mut Svg, [x, y]: [f64; 2], answer: &Answer<'_>, name: &str, png: Option<String>) {
    match png {
        Some(png) => svg.png([x, y], PICTURE, &png),
        None => {
            svg.rect([x, y], PICTURE, &format!("fill=\"{FAINT}\""), "");
            let middle = [x + PICTURE[0] / 2.0, y + PICTURE[1] / 2.0 + 4.0];
            svg.text(
                middle,
                NOTE,
                &format!("fill=\"{GREY}\" text-anchor=\"middle\""),
                "no picture",
            );
        }
    }
    svg.rect([x, y], PICTURE, &format!("fill=\"transparent\" stroke=\"{OUTLINE}\""), answer.path);
    let (sign, colour) = if answer.is_right() { ("✓", GREY) } else { ("✗", ORANGE) };
    let words = format!("{sign} {name} {:.0} %", answer.confidence() * 100.0);
    svg.text([x, y + PICTURE[1] + 15.0], NOTE, &format!("fill=\"{colour}\""), &words);
}

/// At most `count` clips of a class, evenly from the surest of it to the least.
fn chosen<'a, 'b>(answers: &'a [Answer<'b>], label: usize, count: usize) -> Vec<&'a Answer<'b>> {
    let mut own: Vec<_> = answers.iter().filter(|answer| answer.label == label).collect();
    own.sort_by(|one, other| {
        other.label_probability().total_cmp(&one.label_probability()).then(one.path.cmp(other.path))
    });
    let shown = own.len().min(count);
    let last = own.len().saturating_sub(1);
    (0..shown)
        .map(|at| own[if shown > 1 { (at * last + (shown - 1) / 2) / (shown - 1) } else { 0 }])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::answers;
    use model::dataset::Clip;

    #[test]
    fn clips_are_taken_evenly_from_the_surest_to_the_least() {
        let clips: Vec<Clip> = (0..8)
            .map(|at| Clip { path: format!("{at}.npy"), label: usize::from(at == 7) })
            .collect();
        // The logit of class 0 falls with the number.
        let logits: Vec<f32> = (0..8).flat_map(|at| [3.0 - at as f32, 0.0]).collect();
        let answers = answers(&clips, &logits, 2);
        let paths = |label, count| -> Vec<&str> {
            chosen(&answers, label, count).into_iter().map(|answer| answer.path).collect()
        };
        assert_eq!(paths(0, 3), ["0.npy", "3.npy", "6.npy"]);
        assert_eq!(paths(0, 1), ["0.npy"]);
        assert_eq!(paths(0, 7).len(), 7);
        assert_eq!(paths(1, 4), ["7.npy"]);
        let svg = draw(&["a".to_owned(), "b".to_owned()], &answers, 3, |path| {
            (path == "3.npy").then(|| "QUJD".to_owned())
        });
        assert!(svg.contains("base64,QUJD"), "{svg}");
        assert_eq!(svg.matches("no picture").count(), 3);
        // Clip 6 is of class 0, with a logit of -3 for it.
        assert!(svg.contains("✗ b 95 %") && svg.contains("✓ a 95 %"), "{svg}");
    }
}
