//! Draws the gallery: spectrograms of each class with the model's predictions.
//!
//! Clips are ordered by the predicted probability of the true class, highest first.
//! The caller provides the images.

use crate::predictions::Prediction;
use crate::svg::{FAINT, GREY, NOTE, ORANGE, OUTLINE, Svg, TEXT, shorten, width_of};

const IMAGE: [f64; 2] = [192.0, 96.0];
const GAP: [f64; 2] = [16.0, 40.0];
const TOP: f64 = 82.0;

/// Draws at most `columns` clips of each class.
///
/// `png` returns the image of a clip in base64, if there is one.
pub(crate) fn draw(
    labels: &[String],
    predictions: &[Prediction<'_>],
    columns: usize,
    png: impl Fn(&str) -> Option<String>,
) -> String {
    let largest_class = (0..labels.len())
        .map(|label| predictions.iter().filter(|prediction| prediction.label == label).count())
        .max();
    let columns = columns.min(largest_class.unwrap_or_default());
    let names: Vec<String> = labels.iter().map(|label| shorten(label)).collect();
    let left = names.iter().map(|name| width_of(name, TEXT)).fold(0.0, f64::max) + 40.0;
    let size = [
        left + columns.max(3) as f64 * (IMAGE[0] + GAP[0]) + 8.0,
        TOP + labels.len() as f64 * (IMAGE[1] + GAP[1]),
    ];
    let mut svg = Svg::new("Clips of each class", size);
    svg.heading(
        left,
        "Clips of each class",
        "ordered by the probability of the true class, highest first · ✓ correct · ✗ wrong",
    );
    for (label, name) in names.iter().enumerate() {
        let y = TOP + label as f64 * (IMAGE[1] + GAP[1]);
        let style = "text-anchor=\"end\" font-weight=\"600\"";
        svg.text([left - 16.0, y + IMAGE[1] / 2.0 + 5.0], TEXT, style, name);
        for (column, prediction) in select(predictions, label, columns).into_iter().enumerate() {
            let x = left + column as f64 * (IMAGE[0] + GAP[0]);
            cell(&mut svg, [x, y], prediction, &names[prediction.predicted], png(prediction.path));
        }
    }
    svg.finish()
}

fn cell(
    svg: &mut Svg,
    [x, y]: [f64; 2],
    prediction: &Prediction<'_>,
    name: &str,
    png: Option<String>,
) {
    match png {
        Some(png) => svg.png([x, y], IMAGE, &png),
        None => {
            svg.rect([x, y], IMAGE, &format!("fill=\"{FAINT}\""), "");
            let middle = [x + IMAGE[0] / 2.0, y + IMAGE[1] / 2.0 + 4.0];
            svg.text(
                middle,
                NOTE,
                &format!("fill=\"{GREY}\" text-anchor=\"middle\""),
                "no preview",
            );
        }
    }
    svg.rect([x, y], IMAGE, &format!("fill=\"transparent\" stroke=\"{OUTLINE}\""), prediction.path);
    let (sign, colour) = if prediction.is_correct() { ("✓", GREY) } else { ("✗", ORANGE) };
    let words = format!("{sign} {name} {:.0} %", prediction.confidence() * 100.0);
    svg.text([x, y + IMAGE[1] + 15.0], NOTE, &format!("fill=\"{colour}\""), &words);
}

/// Selects up to `count` clips of a class, evenly spaced by the probability of the true class.
fn select<'a, 'b>(
    predictions: &'a [Prediction<'b>],
    label: usize,
    count: usize,
) -> Vec<&'a Prediction<'b>> {
    let mut clips: Vec<_> =
        predictions.iter().filter(|prediction| prediction.label == label).collect();
    clips.sort_by(|one, other| {
        other.label_probability().total_cmp(&one.label_probability()).then(one.path.cmp(other.path))
    });
    let shown = clips.len().min(count);
    let last = clips.len().saturating_sub(1);
    (0..shown)
        .map(|at| clips[if shown > 1 { (at * last + (shown - 1) / 2) / (shown - 1) } else { 0 }])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::predictions;
    use model::dataset::Clip;

    #[test]
    fn selects_evenly_by_probability() {
        let clips: Vec<Clip> = (0..8)
            .map(|at| Clip { path: format!("{at}.npy"), label: usize::from(at == 7) })
            .collect();
        // The logit of class 0 decreases with the number.
        let logits: Vec<f32> = (0..8).flat_map(|at| [3.0 - at as f32, 0.0]).collect();
        let predictions = predictions(&clips, &logits, 2);
        let paths = |label, count| -> Vec<&str> {
            select(&predictions, label, count)
                .into_iter()
                .map(|prediction| prediction.path)
                .collect()
        };
        assert_eq!(paths(0, 3), ["0.npy", "3.npy", "6.npy"]);
        assert_eq!(paths(0, 1), ["0.npy"]);
        assert_eq!(paths(0, 7).len(), 7);
        assert_eq!(paths(1, 4), ["7.npy"]);
        let svg = draw(&["a".to_owned(), "b".to_owned()], &predictions, 3, |path| {
            (path == "3.npy").then(|| "QUJD".to_owned())
        });
        assert!(svg.contains("base64,QUJD"), "{svg}");
        assert_eq!(svg.matches("no preview").count(), 3);
        // Clip 6 belongs to class 0, with a logit of -3.
        assert!(svg.contains("✗ b 95 %") && svg.contains("✓ a 95 %"), "{svg}");
    }
}
