//! Draws the reliability diagram: accuracy by confidence.
//!
//! For a calibrated model the bars end at the diagonal; for an overconfident one they end below it.

use crate::calibration::{Bin, expected_error};
use crate::plot::{Plot, range};
use crate::svg::{BLUE, GREY, ORANGE, OUTLINE, Svg, TEXT, width_of};
use crate::verdict;
use crate::wilson::Interval;

const SIDE: f64 = 320.0;
const LEFT: f64 = 76.0;
const TOP: f64 = 78.0;
/// Height of the histogram of clips.
const COUNTS: f64 = 70.0;

/// Draws the bins, and below them the number of clips in each; `error` is the interval of the
/// calibration error.
pub(crate) fn draw(bins: &[Bin], error: Interval) -> String {
    let below = TOP + SIDE + 62.0;
    let clips: u64 = bins.iter().map(|bin| bin.clips).sum();
    let summary = format!(
        "{clips} clips · confidence and accuracy differ by {} on average",
        verdict::percent(expected_error(bins), error)
    );
    let width = (LEFT + SIDE + 170.0).max(LEFT + width_of(&summary, TEXT));
    let mut svg = Svg::new("Reliability", [width, below + COUNTS + 56.0]);
    svg.heading(LEFT, "Reliability", &summary);

    let shares = Plot { corner: [LEFT, TOP], size: [SIDE; 2], x: [0.0, 1.0], y: [0.0, 1.0] };
    let most = range(0.0, bins.iter().map(|bin| bin.clips as f64));
    let counts = Plot { corner: [LEFT, below], size: [SIDE, COUNTS], x: [0.0, 1.0], y: most };
    shares.frame(&mut svg, ["", "Accuracy"]);
    for bin in bins.iter().filter(|bin| bin.clips > 0) {
        let tooltip = format!(
            "{} clips: mean confidence {:.1} %, accuracy {:.1} %",
            bin.clips,
            bin.confidence * 100.0,
            bin.accuracy * 100.0
        );
        bar(
            &mut svg,
            &shares,
            bin,
            bin.accuracy,
            &format!("fill=\"{BLUE}\" fill-opacity=\"0.75\""),
            &tooltip,
        );
        let [left, right] = [bin.from, bin.to].map(|edge| shares.position(edge, bin.confidence));
        svg.line([left, right], &format!("stroke=\"{ORANGE}\" stroke-width=\"3\""));
        bar(&mut svg, &counts, bin, bin.clips as f64, &format!("fill=\"{OUTLINE}\""), &tooltip);
    }
    let diagonal = [shares.position(0.0, 0.0), shares.position(1.0, 1.0)];
    svg.line(diagonal, &format!("stroke=\"{GREY}\" stroke-dasharray=\"5 4\""));
    counts.frame(&mut svg, ["Confidence", "Clips"]);
    for (y, colour, name) in [
        (TOP + 14.0, BLUE, "accuracy"),
        (TOP + 36.0, ORANGE, "mean confidence"),
        (TOP + 58.0, GREY, "accuracy = confidence"),
    ] {
        let left = LEFT + SIDE + 18.0;
        let dashed = if colour == GREY { "stroke-dasharray=\"5 4\"" } else { "stroke-width=\"4\"" };
        svg.line(
            [[left, y - 4.0], [left + 22.0, y - 4.0]],
            &format!("stroke=\"{colour}\" {dashed}"),
        );
        svg.text([left + 28.0, y], TEXT, &format!("fill=\"{GREY}\""), name);
    }
    svg.finish()
}

fn bar(svg: &mut Svg, plot: &Plot, bin: &Bin, value: f64, style: &str, tooltip: &str) {
    let ([left, top], [right, bottom]) =
        (plot.position(bin.from, value), plot.position(bin.to, plot.y[0]));
    svg.rect([left + 1.0, top], [right - left - 2.0, bottom - top], style, tooltip);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::bins;

    #[test]
    fn bar_height_is_accuracy() {
        let error = Interval { low: 0.125, high: 0.5 };
        let svg = draw(&bins([(0.9, true), (0.9, false), (0.95, true), (0.3, false)], 2), error);
        for part in
            ["4 clips · confidence and accuracy differ by 26.", " % (12.5 to 50.0) on average"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        // The upper bin: two of three are correct.
        assert!(svg.contains("3 clips: mean confidence 91.7 %, accuracy 66.7 %"), "{svg}");
        assert!(
            svg.contains(&format!("height=\"{}\"", (SIDE * 2.0 / 3.0 * 10.0).round() / 10.0)),
            "{svg}"
        );
    }

    #[test]
    fn draws_without_clips() {
        let svg = draw(&bins([], 10), Interval::wilson(0.0, 0.0));
        assert!(svg.contains("0 clips") && !svg.contains("NaN"), "{svg}");
    }
}
