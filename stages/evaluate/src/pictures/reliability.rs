//! The reliability diagram: how often the model is right against how sure it is.
//!
//! Bars on the dashed line are a calibrated model, bars below it one that is too sure. Knows nothing about files.

use crate::calibration::{Bin, expected_error};
use crate::plot::{Plot, range};
use crate::svg::{BLUE, GREY, ORANGE, OUTLINE, Svg, TEXT};

const SIDE: f64 = 320.0;
const LEFT: f64 = 76.0;
const TOP: f64 = 78.0;
/// The height of the counts below.
const COUNTS: f64 = 70.0;

/// Draws the bins, and below them how many clips each has.
pub(crate) fn draw(bins: &[Bin]) -> String {
    let below = TOP + SIDE + 62.0;
    let mut svg = Svg::new("Reliability", [LEFT + SIDE + 170.0, below + COUNTS + 56.0]);
    let clips: u64 = bins.iter().map(|bin| bin.clips).sum();
    let summary =
        format!("{clips} clips · expected calibration error {:.1} %", expected_error(bins) * 100.0);
    svg.heading(LEFT, "Reliability", &summary);

    let shares = Plot { corner: [LEFT, TOP], size: [SIDE; 2], x: [0.0, 1.0], y: [0.0, 1.0] };
    let most = range(0.0, bins.iter().map(|bin| bin.clips as f64));
    let counts = Plot { corner: [LEFT, below], size: [SIDE, COUNTS], x: [0.0, 1.0], y: most };
    shares.frame(&mut svg, ["", "Share that is right"]);
    for bin in bins.iter().filter(|bin| bin.clips > 0) {
        let tip = format!(
            "{} clips said {:.1} %, {:.1} % are right",
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
            &tip,
        );
        let [left, right] = [bin.from, bin.to].map(|edge| shares.place(edge, bin.confidence));
        svg.line([left, right], &format!("stroke=\"{ORANGE}\" stroke-width=\"3\""));
        bar(&mut svg, &counts, bin, bin.clips as f64, &format!("fill=\"{OUTLINE}\""), &tip);
    }
    let diagonal = [shares.place(0.0, 0.0), shares.place(1.0, 1.0)];
    svg.line(diagonal, &format!("stroke=\"{GREY}\" stroke-dasharray=\"5 4\""));
    counts.frame(&mut svg, ["Probability of the prediction", "Clips"]);
    for (y, colour, name) in [
        (TOP + 14.0, BLUE, "are right"),
        (TOP + 36.0, ORANGE, "said on average"),
        (TOP + 58.0, GREY, "as it should be"),
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

fn bar(svg: &mut Svg, plot: &Plot, bin: &Bin, value: f64, style: &str, tip: &str) {
    let ([left, top], [right, bottom]) =
        (plot.place(bin.from, value), plot.place(bin.to, plot.y[0]));
    svg.rect([left + 1.0, top], [right - left - 2.0, bottom - top], style, tip);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::bins;

    #[test]
    fn a_bar_is_as_high_as_its_share() {
        let svg = draw(&bins([(0.9, true), (0.9, false), (0.95, true), (0.3, false)], 2));
        assert!(svg.contains("4 clips · expected calibration error"), "{svg}");
        // The upper half: two of three are right.
        assert!(svg.contains("3 clips said 91.7 %, 66.7 % are right"), "{svg}");
        assert!(
            svg.contains(&format!("height=\"{}\"", (SIDE * 2.0 / 3.0 * 10.0).round() / 10.0)),
            "{svg}"
        );
    }

    #[test]
    fn no_clips_can_be_drawn() {
        let svg = draw(&bins([], 10));
        assert!(svg.contains("0 clips") && !svg.contains("NaN"), "{svg}");
    }
}
