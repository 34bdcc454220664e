//! Draws the gallery: spectrograms of each class with the model's predictions.
//!
//! Clips are ordered by the predicted probability of the true class, highest first.
//! The width of an image shows the length of its clip; a bar shows the scale. Frequencies are
//! marked beside the first image of each class. The caller provides the images.

use crate::figures::scale::Scale;
use crate::predictions::Prediction;
use crate::svg::{FAINT, GREY, NOTE, ORANGE, OUTLINE, Svg, TEXT, shorten, width_of};

const IMAGE: [f64; 2] = [192.0, 96.0];
const GAP: [f64; 2] = [16.0, 40.0];
const TOP: f64 = 112.0;
/// Smallest width of an image.
const NARROWEST: f64 = 8.0;
/// Width of the frequency scale.
const TICKS: f64 = 52.0;

/// The preview image of a clip.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preview {
    /// The PNG file in base64.
    pub(crate) base64: String,
    pub(crate) scale: Scale,
}

/// Draws at most `columns` clips of each class.
///
/// `preview` returns the image of a clip, if there is one.
pub(crate) fn draw(
    labels: &[String],
    predictions: &[Prediction<'_>],
    columns: usize,
    preview: impl Fn(&str) -> Option<Preview>,
) -> String {
    let rows: Vec<Vec<(&Prediction<'_>, Option<Preview>)>> = (0..labels.len())
        .map(|label| {
            let clips = select(predictions, label, columns).into_iter();
            clips.map(|clip| (clip, preview(clip.path))).collect()
        })
        .collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let longest = rows.iter().flatten().filter_map(|(_, preview)| preview.as_ref()?.scale.seconds);
    let longest = longest.fold(0.0, f64::max);
    let names: Vec<String> = labels.iter().map(|label| shorten(label)).collect();
    let name_width = names.iter().map(|name| width_of(name, TEXT)).fold(0.0, f64::max);
    let left = name_width + TICKS + 30.0;
    let size = [
        left + columns.max(4) as f64 * (IMAGE[0] + GAP[0]) + 8.0,
        TOP + labels.len() as f64 * (IMAGE[1] + GAP[1]),
    ];
    let mut svg = Svg::new("Clips of each class", size);
    svg.heading(
        left,
        "Clips of each class",
        "Below each clip: the predicted class and its probability, ✓ if it is right, ✗ if not. \
         The surest clips of a class come first.",
    );
    time_bar(&mut svg, left, longest);
    for ((label, name), clips) in names.iter().enumerate().zip(&rows) {
        let y = TOP + label as f64 * (IMAGE[1] + GAP[1]);
        let style = "text-anchor=\"end\" font-weight=\"600\"";
        svg.text([left - TICKS - 6.0, y + IMAGE[1] / 2.0 + 5.0], TEXT, style, name);
        if let Some((_, Some(first))) = clips.first() {
            frequencies(&mut svg, [left, y], &first.scale);
        }
        for (column, (prediction, preview)) in clips.iter().enumerate() {
            let x = left + column as f64 * (IMAGE[0] + GAP[0]);
            let cell = Cell { x, y, longest, name: &names[prediction.predicted] };
            cell.draw(&mut svg, prediction, preview.as_ref());
        }
    }
    svg.finish()
}

/// Draws a bar of a round number of seconds, on the scale of the images.
fn time_bar(svg: &mut Svg, left: f64, longest: f64) {
    if longest <= 0.0 {
        return;
    }
    let power = 10.0_f64.powf((longest / 2.0).log10().floor());
    let round = [5.0, 2.0, 1.0].map(|digit| digit * power);
    let seconds = round.into_iter().find(|seconds| *seconds <= longest / 2.0).unwrap_or(power);
    let right = left + IMAGE[0] * seconds / longest;
    let y = TOP - 22.0;
    svg.line(
        [[left, y - 4.0], [left, y], [right, y], [right, y - 4.0]],
        &format!("stroke=\"{GREY}\" stroke-width=\"1.5\""),
    );
    let digits = if seconds < 1.0 { 2 } else { 0 };
    let words = format!("{seconds:.digits$} s");
    svg.text([right + 6.0, y + 2.0], NOTE, &format!("fill=\"{GREY}\""), &words);
}

/// Marks round frequencies to the left of an image.
fn frequencies(svg: &mut Svg, [left, top]: [f64; 2], scale: &Scale) {
    for [hertz, height] in &scale.frequencies {
        let y = top + IMAGE[1] * (1.0 - height);
        svg.line([[left - 4.0, y], [left, y]], &format!("stroke=\"{OUTLINE}\""));
        let name = match *hertz {
            hertz if hertz >= 1000.0 => format!("{} kHz", hertz / 1000.0),
            hertz => format!("{hertz} Hz"),
        };
        let style = format!("fill=\"{GREY}\" text-anchor=\"end\"");
        svg.text([left - 7.0, y + 4.0], NOTE, &style, &name);
    }
}

/// Place of a clip in the figure.
struct Cell<'a> {
    x: f64,
    y: f64,
    /// Length of the longest clip, in seconds; 0 if no length is known.
    longest: f64,
    /// Name of the predicted class.
    name: &'a str,
}

impl Cell<'_> {
    fn draw(&self, svg: &mut Svg, prediction: &Prediction<'_>, preview: Option<&Preview>) {
        let Cell { x, y, longest, name } = *self;
        let seconds = preview.and_then(|preview| preview.scale.seconds);
        let share = seconds.map_or(1.0, |seconds| seconds / longest);
        let size = [(IMAGE[0] * share).max(NARROWEST), IMAGE[1]];
        match preview {
            Some(preview) => svg.png([x, y], size, &preview.base64),
            None => {
                svg.rect([x, y], size, &format!("fill=\"{FAINT}\""), "");
                let middle = [x + size[0] / 2.0, y + size[1] / 2.0 + 4.0];
                let style = format!("fill=\"{GREY}\" text-anchor=\"middle\"");
                svg.text(middle, NOTE, &style, "no preview");
            }
        }
        let style = format!("fill=\"transparent\" stroke=\"{OUTLINE}\"");
        let length = seconds.map_or(String::new(), |seconds| format!(" ({seconds:.1} s)"));
        svg.rect([x, y], size, &style, &format!("{}{length}", prediction.path));
        let (sign, colour) = if prediction.is_correct() { ("✓", GREY) } else { ("✗", ORANGE) };
        let words = format!("{sign} {name} {:.0} %", prediction.confidence() * 100.0);
        svg.text([x, y + IMAGE[1] + 15.0], NOTE, &format!("fill=\"{colour}\""), &words);
    }
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
            let seconds = if path == "0.npy" { 20.0 } else { 5.0 };
            let frequencies = vec![[100.0, 0.25], [1000.0, 0.5]];
            ["0.npy", "3.npy"].contains(&path).then(|| Preview {
                base64: "QUJD".to_owned(),
                scale: Scale { seconds: Some(seconds), frequencies },
            })
        });
        assert!(svg.contains("base64,QUJD"), "{svg}");
        // A quarter of the longest clip, a bar of half its length, and frequencies once.
        assert!(svg.contains("width=\"192\"") && svg.contains("width=\"48\""), "{svg}");
        assert!(svg.contains(">10 s<"), "{svg}");
        assert_eq!((svg.matches(">1 kHz<").count(), svg.matches(">100 Hz<").count()), (1, 1));
        assert!(svg.contains("3.npy (5.0 s)"), "{svg}");
        assert_eq!(svg.matches("no preview").count(), 2);
        // Clip 6 belongs to class 0, with a logit of -3.
        assert!(svg.contains("✗ b 95 %") && svg.contains("✓ a 95 %"), "{svg}");
    }
}
