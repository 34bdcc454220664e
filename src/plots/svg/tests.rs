//! Tests of the SVG files.

use super::*;
use crate::number::Number;
use crate::report::plots::figure::{Bars, Chart, Group, Line, Mark, Matrix, Scale};
use proptest::prelude::*;

fn numbers(values: &[f64]) -> Vec<Number> {
    values.iter().copied().map(Number::from).collect()
}

fn line(run: usize, values: &[f64]) -> Line {
    let steps: Vec<f64> = (0..values.len()).map(|step| step as f64).collect();
    Line { runs: vec![run], name: None, total: 900, x: numbers(&steps), y: numbers(values) }
}

fn chart(title: &str, lines: Vec<Line>) -> Figure {
    Figure::Chart(Chart {
        title: title.to_owned(),
        x: "step".to_owned(),
        y: title.to_owned(),
        scale: Scale::Log,
        mark: Mark::Line,
        lines,
    })
}

/// Draws a figure, with other quotes, so that a snapshot needs no escapes.
fn svg(figure: Figure) -> String {
    let runs = ["run-1", "run-2"].map(str::to_owned);
    let mut files = named(draw(&figure, &runs).into_iter());
    files.remove(0).text.replace('"', "'")
}

#[test]
fn lines_on_log_scale() {
    let lines = vec![line(0, &[2.0, 0.5, f64::NAN, 0.1]), line(1, &[1.0])];
    insta::assert_snapshot!(svg(chart("train.loss <b>", lines)), @"
    <!-- repro plots -->
    <svg xmlns='http://www.w3.org/2000/svg' width='640' height='420' viewBox='0 0 640 420' font-family='Helvetica, Arial, sans-serif' font-size='12' fill='#1b1f24'>
    <rect width='640' height='420' fill='#ffffff'/>
    <title>train.loss &lt;b&gt;</title>
    <text x='16' y='22'>train.loss &lt;b&gt;</text>
    <path d='M16 38L36 38' stroke='#0072b2' stroke-width='1.5' stroke-linejoin='round' fill='none'/>
    <text x='42' y='42'>run-1</text>
    <path d='M89 38L109 38' stroke='#d55e00' stroke-width='1.5' stroke-linejoin='round' fill='none'/>
    <text x='115' y='42'>run-2</text>
    <path d='M33.8 361.36L624 361.36' stroke='#e4e8ec' fill='none'/>
    <text x='27.8' y='365.36' text-anchor='end' fill='#57606a'>0.1</text>
    <path d='M33.8 293.63L624 293.63' stroke='#e4e8ec' fill='none'/>
    <text x='27.8' y='297.63' text-anchor='end' fill='#57606a'>0.2</text>
    <path d='M33.8 204.1L624 204.1' stroke='#e4e8ec' fill='none'/>
    <text x='27.8' y='208.1' text-anchor='end' fill='#57606a'>0.5</text>
    <path d='M33.8 136.37L624 136.37' stroke='#e4e8ec' fill='none'/>
    <text x='27.8' y='140.37' text-anchor='end' fill='#57606a'>1</text>
    <path d='M33.8 68.64L624 68.64' stroke='#e4e8ec' fill='none'/>
    <text x='27.8' y='72.64' text-anchor='end' fill='#57606a'>2</text>
    <path d='M33.8 376L33.8 54' stroke='#57606a' fill='none'/>
    <path d='M33.8 54L33.8 376' stroke='#e4e8ec' fill='none'/>
    <text x='33.8' y='392' text-anchor='middle' fill='#57606a'>0</text>
    <path d='M132.17 54L132.17 376' stroke='#e4e8ec' fill='none'/>
    <text x='132.17' y='392' text-anchor='middle' fill='#57606a'>0.5</text>
    <path d='M230.53 54L230.53 376' stroke='#e4e8ec' fill='none'/>
    <text x='230.53' y='392' text-anchor='middle' fill='#57606a'>1.0</text>
    <path d='M328.9 54L328.9 376' stroke='#e4e8ec' fill='none'/>
    <text x='328.9' y='392' text-anchor='middle' fill='#57606a'>1.5</text>
    <path d='M427.27 54L427.27 376' stroke='#e4e8ec' fill='none'/>
    <text x='427.27' y='392' text-anchor='middle' fill='#57606a'>2.0</text>
    <path d='M525.63 54L525.63 376' stroke='#e4e8ec' fill='none'/>
    <text x='525.63' y='392' text-anchor='middle' fill='#57606a'>2.5</text>
    <path d='M624 54L624 376' stroke='#e4e8ec' fill='none'/>
    <text x='624' y='392' text-anchor='middle' fill='#57606a'>3.0</text>
    <path d='M33.8 376L624 376' stroke='#57606a' fill='none'/>
    <text x='328.9' y='410' text-anchor='middle'>step</text>
    <path d='M424.27 367L430.27 373M430.27 367L424.27 373' stroke='#0072b2' stroke-width='1.5' stroke-linejoin='round' fill='none'/>
    <circle cx='624' cy='361.36' r='2.5' fill='#0072b2'/>
    <path d='M33.8 68.64L230.53 204.1' stroke='#0072b2' stroke-width='1.5' stroke-linejoin='round' fill='none'/>
    <circle cx='33.8' cy='136.37' r='2.5' fill='#d55e00'/>
    <text x='624' y='410' text-anchor='end' fill='#57606a'>4 of 900 points</text>
    </svg>
    ");
}

#[test]
fn bars_from_zero() {
    let group = |run, values: [Option<f64>; 2]| Group {
        runs: vec![run],
        name: None,
        values: values.map(|value| value.map(Number::from)).to_vec(),
    };
    let bars = Bars {
        title: "F1".to_owned(),
        x: "class".to_owned(),
        y: "f1".to_owned(),
        categories: vec!["rock".to_owned(), "jazz".to_owned()],
        groups: vec![group(0, [Some(0.5), None]), group(1, [Some(-0.25), Some(1.0)])],
    };
    insta::assert_snapshot!(svg(Figure::Bars(bars)), @"
    <!-- repro plots -->
    <svg xmlns='http://www.w3.org/2000/svg' width='640' height='170' viewBox='0 0 640 170' font-family='Helvetica, Arial, sans-serif' font-size='12' fill='#1b1f24'>
    <rect width='640' height='170' fill='#ffffff'/>
    <title>F1</title>
    <text x='16' y='22'>F1</text>
    <path d='M16 38L36 38' stroke='#0072b2' stroke-width='1.5' stroke-linejoin='round' fill='none'/>
    <text x='42' y='42'>run-1</text>
    <path d='M89 38L109 38' stroke='#d55e00' stroke-width='1.5' stroke-linejoin='round' fill='none'/>
    <text x='115' y='42'>run-2</text>
    <path d='M161.92 54L161.92 126' stroke='#e4e8ec' fill='none'/>
    <text x='161.92' y='142' text-anchor='middle' fill='#57606a'>0</text>
    <path d='M388.96 54L388.96 126' stroke='#e4e8ec' fill='none'/>
    <text x='388.96' y='142' text-anchor='middle' fill='#57606a'>0.5</text>
    <path d='M616 54L616 126' stroke='#e4e8ec' fill='none'/>
    <text x='616' y='142' text-anchor='middle' fill='#57606a'>1.0</text>
    <path d='M48.4 126L616 126' stroke='#57606a' fill='none'/>
    <text x='332.2' y='160' text-anchor='middle'>f1</text>
    <text x='40.4' y='78' text-anchor='end'>rock</text>
    <rect x='161.92' y='62' width='227.04' height='11' fill='#0072b2'/>
    <rect x='48.4' y='74' width='113.52' height='11' fill='#d55e00'/>
    <text x='40.4' y='110' text-anchor='end'>jazz</text>
    <rect x='161.92' y='106' width='454.08' height='11' fill='#d55e00'/>
    </svg>
    ");
}

#[test]
fn matrix_with_shades() {
    let matrix = Matrix {
        title: "confusion".to_owned(),
        runs: vec![1],
        x: "predicted".to_owned(),
        y: "actual".to_owned(),
        classes: vec!["a".to_owned(), "b & c".to_owned()],
        cells: vec![numbers(&[3.0, 1.0]), numbers(&[0.0, 12_345.0])],
    };
    insta::assert_snapshot!(svg(Figure::Matrix(matrix)), @"
    <!-- repro plots -->
    <svg xmlns='http://www.w3.org/2000/svg' width='169' height='187' viewBox='0 0 169 187' font-family='Helvetica, Arial, sans-serif' font-size='12' fill='#1b1f24'>
    <rect width='169' height='187' fill='#ffffff'/>
    <title>confusion, run-2</title>
    <text x='16' y='22'>confusion (run-2)</text>
    <text x='108' y='42' text-anchor='middle' fill='#57606a'>predicted</text>
    <text x='18' y='126' text-anchor='middle' fill='#57606a' transform='rotate(-90 18 126)'>actual</text>
    <text x='61' y='109.5' text-anchor='end'>a</text>
    <text x='91.5' y='79' transform='rotate(-90 91.5 79)'>a</text>
    <text x='61' y='150.5' text-anchor='end'>b &amp; c</text>
    <text x='132.5' y='79' transform='rotate(-90 132.5 79)'>b &amp; c</text>
    <rect x='67' y='85' width='40' height='40' fill='#3e93c3'/>
    <text x='87' y='109.5' text-anchor='middle' fill='#ffffff'>3</text>
    <rect x='108' y='85' width='40' height='40' fill='#b9d5e5'/>
    <text x='128' y='109.5' text-anchor='middle'>1</text>
    <rect x='67' y='126' width='40' height='40' fill='#f6f6f6'/>
    <text x='87' y='150.5' text-anchor='middle' fill='#a0a7ae'>0</text>
    <rect x='108' y='126' width='40' height='40' fill='#0072b2'/>
    <text x='128' y='150.5' text-anchor='middle' fill='#ffffff'>12345</text>
    </svg>
    ");
}

#[test]
fn names_of_files() {
    let titles = ["train.loss", "train/loss", "train:loss", "../..", "é", "out/a.csv: x y"];
    let figures = titles.map(|title| chart(title, Vec::new()));
    let files = named(figures.iter().filter_map(|one| draw(one, &[])));
    let names: Vec<String> = files.into_iter().map(|file| file.name).collect();
    let expected = ["train.loss", "train-loss", "train-loss-2", "figure", "figure-2"];
    assert_eq!(names[..5], expected);
    assert_eq!(names[5], "out-a.csv-x-y");
}

proptest! {
    #[test]
    fn any_values_have_places(
        values in prop::collection::vec(prop::num::f64::ANY, 0..6),
        title in r#"[<>&"'a\x00-\x1f\PC]{0,20}"#,
    ) {
        let text = svg(chart(&title, vec![line(0, &values), line(1, &[0.5])]));
        prop_assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
        let elements = ["<svg", "<title", "<rect", "<path", "<text", "<circle", "</", "<!--"];
        for (at, _) in text.match_indices('<') {
            prop_assert!(elements.iter().any(|tag| text[at..].starts_with(tag)), "{text}");
        }
    }
}
