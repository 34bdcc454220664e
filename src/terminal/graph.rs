//! The graph of stages as people like to read it: drawn with lines, or written for Graphviz and Mermaid.
//! Pure and deterministic; knows nothing of streams, and not what is up to date.
//!
//! The drawing goes from top to bottom, one stage a line, each below what it needs. A stage whose outs are
//! still to be read keeps a lane, a vertical line, from its `○` down to the last stage that reads them:
//!
//! ```text
//! ○  download
//! │
//! ○  spectrogram
//! ├─○  train
//! ├─┼─○  evaluate     needs both lanes, which go on
//! │ │
//! ○─╯  export         needs both lanes, which end here
//! ```
//! A lane that a line passes without touching it is drawn as `─│─`. A stage right below another one, without a `│`
//! between them, does not need it.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::pipeline::{Pipeline, StageIx, StageSet};
use crate::terminal::wording::styled;
use crate::terminal::style::{DIM, STAGE};

/// Beyond so many lanes no eye can follow them, and the lines would wrap.
const WIDEST: usize = 24;
/// How many needs a line of the list names.
const NAMED: usize = 4;

/// The stages of a pipeline that `wanted` marks, with the edges between them.
#[derive(Debug)]
pub struct View<'a> {
    pipeline: &'a Pipeline,
    wanted: &'a StageSet,
    order: Vec<StageIx>,
}

impl<'a> View<'a> {
        pub fn new(pipeline: &'a Pipeline, wanted: &'a StageSet) -> View<'a> {
        let mut view = View { pipeline, wanted, order: Vec::new() };
        view.order = view.deep_order();
        view
    }

    fn is_wanted(&self, stage: StageIx) -> bool {
        self.wanted.contains(stage)
    }

    fn name(&self, stage: StageIx) -> &'a str {
        self.pipeline.stages[stage].name.as_str()
    }

    fn needs(&self, stage: StageIx) -> impl Iterator<Item = StageIx> + '_ {
        self.pipeline.graph.needs(stage).iter().copied().filter(|&other| self.is_wanted(other))
    }

    fn needed_by(&self, stage: StageIx) -> impl Iterator<Item = StageIx> + '_ {
        self.pipeline.graph.needed_by(stage).iter().copied().filter(|&other| self.is_wanted(other))
    }

    /// Each stage after what it needs, and as soon after it as can be: that keeps the lanes few and short.
    fn deep_order(&self) -> Vec<StageIx> {
        let count = self.pipeline.stages.len();
        let mut missing: Vec<usize> = StageIx::all(count).map(|stage| self.needs(stage).count()).collect();
        let mut ready: BTreeSet<(Reverse<usize>, StageIx)> = StageIx::all(count)
            .filter(|&stage| self.is_wanted(stage) && missing[stage] == 0)
            .map(|stage| (Reverse(0), stage))
            .collect();
        let mut order = Vec::new();
        while let Some((_, stage)) = ready.pop_first() {
            order.push(stage);
            for dependent in self.needed_by(stage) {
                missing[dependent] -= 1;
                if missing[dependent] == 0 {
                    ready.insert((Reverse(order.len()), dependent));
                }
            }
        }
        order
    }
}

/// The drawing, with styles; for graphs that cannot be drawn legibly, a list of the stages and what each
/// needs.
pub fn text(view: &View<'_>) -> String {
    match draw(view) {
        Some(lines) => labelled(view, &lines),
        None => list(view),
    }
}

/// A line of the drawing: a stage's, or one that only leads the lanes on.
struct Line {
    rails: String,
    stage: Option<StageIx>,
}

/// A stage whose outs are still to be read, and how many stages read them.
#[derive(Clone, Copy)]
struct Lane {
    source: StageIx,
    pending: usize,
}

/// `None` if it would take more than [`WIDEST`] lanes.
fn draw(view: &View<'_>) -> Option<Vec<Line>> {
    let mut lanes: Vec<Option<Lane>> = Vec::new();
    let mut lines = Vec::new();
    for &stage in &view.order {
        let needs: BTreeSet<StageIx> = view.needs(stage).collect();
        let read = |lane: &Option<Lane>| lane.is_some_and(|lane| needs.contains(&lane.source));
        let touched: Vec<bool> = lanes.iter().map(read).collect();
        let last = |lane: &Option<Lane>| read(lane) && lane.is_some_and(|lane| lane.pending == 1);
        // Where a lane ends the stage continues it; else it takes the first that is free.
        let ends = lanes.iter().position(last);
        let at = ends.or_else(|| lanes.iter().position(Option::is_none)).unwrap_or(lanes.len());
        if at >= WIDEST {
            return None;
        }
        if ends.is_some() {
            lines.push(Line { rails: rails(&lanes), stage: None });
        }
        lanes.resize(lanes.len().max(at + 1), None);
        for lane in &mut lanes {
            if let Some(open) = lane.as_mut().filter(|lane| needs.contains(&lane.source)) {
                open.pending -= 1;
            }
        }
        lines.push(Line { rails: junction(&lanes, &touched, at), stage: Some(stage) });
        lanes
            .iter_mut()
            .filter(|lane| lane.is_some_and(|lane| lane.pending == 0))
            .for_each(|lane| *lane = None);
        let pending = view.needed_by(stage).count();
        lanes[at] = (pending > 0).then_some(Lane { source: stage, pending });
        let open = lanes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        lanes.truncate(open);
    }
    Some(lines)
}

/// The lanes as they run on: `│   │`.
fn rails(lanes: &[Option<Lane>]) -> String {
    let cells: Vec<&str> =
        lanes.iter().map(|lane| if lane.is_some() { "│" } else { " " }).collect();
    cells.join(" ").trim_end().to_owned()
}

/// The line of the stage at lane `at`: a horizontal line joins it with the lanes that it reads (`touched`),
/// of which those with nothing pending end.
fn junction(lanes: &[Option<Lane>], touched: &[bool], at: usize) -> String {
    let touches = |lane: usize| touched.get(lane).copied().unwrap_or(false);
    let joined = || (0..lanes.len()).filter(|&lane| lane == at || touches(lane));
    let (from, to) = (joined().min().unwrap_or(at), joined().max().unwrap_or(at));
    let mut text = String::new();
    for (lane, open) in lanes.iter().enumerate() {
        let goes_on = open.is_some_and(|open| open.pending > 0);
        let inside = (from..=to).contains(&lane);
        text.push(match (lane == at, touches(lane), goes_on) {
            (true, _, _) => '○',
            (_, true, true) if lane == from => '├',
            (_, true, true) if lane == to => '┤',
            (_, true, true) => '┼',
            (_, true, false) if lane == to => '╯',
            (_, true, false) => '┴',
            (_, false, true) => '│',
            (_, false, false) if inside => '─',
            (_, false, false) => ' ',
        });
        text.push(if (from..to).contains(&lane) { '─' } else { ' ' });
    }
    text.trim_end().to_owned()
}

fn labelled(view: &View<'_>, lines: &[Line]) -> String {
    let width = |line: &Line| {
        line.rails.chars().count() + line.stage.map_or(0, |stage| view.name(stage).len() + 2)
    };
    let column = lines.iter().map(width).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for line in lines {
        text.push_str(&styled(DIM, &line.rails));
        if let Some(stage) = line.stage {
            text.push_str(&format!("  {}", styled(STAGE, view.name(stage))));
            if let Some(desc) = &view.pipeline.stages[stage].desc {
                let gap = " ".repeat(column - width(line));
                text.push_str(&format!("{gap}{}", styled(DIM, &flat(desc))));
            }
        }
        text.push('\n');
    }
    text
}

fn list(view: &View<'_>) -> String {
    let width = view.order.iter().map(|&stage| view.name(stage).len()).max().unwrap_or(0);
    let mut text = String::new();
    for &stage in &view.order {
        let needs: Vec<&str> = view.needs(stage).map(|other| view.name(other)).collect();
        let line = match needs.len() {
            0 => styled(STAGE, view.name(stage)),
            count => {
                let named = needs[..count.min(NAMED)].join(", ");
                let more = if count > NAMED {
                    format!(" and {} more", count - NAMED)
                } else {
                    String::new()
                };
                format!(
                    "{}  ← {named}{more}",
                    styled(STAGE, &format!("{:<width$}", view.name(stage)))
                )
            }
        };
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The graph in Graphviz's DOT language; descriptions become tooltips.
pub fn dot(view: &View<'_>) -> String {
    let mut text =
        format!("digraph {} {{\n", dot_quoted(view.pipeline.name.as_deref().unwrap_or("pipeline")));
    text.push_str("  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for &stage in &view.order {
        let tooltip = view.pipeline.stages[stage].desc.as_ref();
        let tooltip = tooltip
            .map(|desc| format!(" [tooltip={}]", dot_quoted(&flat(desc))))
            .unwrap_or_default();
        text.push_str(&format!("  {}{tooltip};\n", dot_quoted(view.name(stage))));
    }
    for (from, to) in edges(view) {
        text.push_str(&format!(
            "  {} -> {};\n",
            dot_quoted(view.name(from)),
            dot_quoted(view.name(to))
        ));
    }
    text.push_str("}\n");
    text
}

/// In a DOT string a quote is escaped, and a backslash before it would undo that.
fn dot_quoted(text: &str) -> String {
    format!("\"{}\"", flat(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// The graph as a Mermaid flowchart. Stages are `s0`, `s1`, … there: a name such as `end` is a word of
/// Mermaid's.
pub fn mermaid(view: &View<'_>) -> String {
    let mut text = String::from("flowchart TD\n");
    for &stage in &view.order {
        let label = view.name(stage).replace('#', "#35;").replace('"', "#quot;");
        text.push_str(&format!("    s{}[\"{label}\"]\n", stage.position()));
    }
    for (from, to) in edges(view) {
        text.push_str(&format!("    s{} --> s{}\n", from.position(), to.position()));
    }
    text
}

fn edges<'v>(view: &'v View<'_>) -> impl Iterator<Item = (StageIx, StageIx)> + 'v {
    view.order.iter().flat_map(|&to| view.needs(to).map(move |from| (from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Goals, Graph, Params, Stage, StageName};
    use proptest::prelude::*;

    fn pipeline(stages: &[(&str, &[usize])]) -> Pipeline {
        let stage = |name: &str| Stage::new(StageName::parse(name).unwrap(), 1);
        Pipeline {
            name: Some("genres".into()),
            params: Params::default(),
            goals: Goals::default(),
            tokens: Default::default(),
            links: Default::default(),
            written: Default::default(),
            groups: Default::default(),
            stages: stages.iter().map(|(name, _)| stage(name)).collect(),
            graph: Graph::new(stages
                    .iter()
                    .map(|(_, needs)| needs.iter().copied().map(StageIx::new).collect())
                    .collect(),
            ).unwrap(),
        }
    }

    fn drawn(pipeline: &Pipeline) -> String {
        let wanted = StageSet::all(pipeline.stages.len());
        anstream::adapter::strip_str(&text(&View::new(pipeline, &wanted))).to_string()
    }

    fn genres() -> Pipeline {
        let mut genres = pipeline(&[
            ("download", &[]),
            ("spectrogram", &[0]),
            ("train", &[1]),
            ("evaluate", &[1, 2]),
            ("export", &[1, 2]),
        ]);
        genres.stages[0].desc = Some("Fetch \"audio\"\nor make it".into());
        genres.stages[3].desc = Some("Measure the model".into());
        genres
    }

    #[test]
    fn a_pipeline_is_drawn() {
        insta::assert_snapshot!(drawn(&genres()), @r#"
        ○  download      Fetch "audio" or make it
        │
        ○  spectrogram
        ├─○  train
        ├─┼─○  evaluate  Measure the model
        │ │
        ○─╯  export
        "#);
    }

    #[test]
    fn diamonds_crossings_and_islands_are_drawn() {
        let all: &[(&str, &[usize])] = &[
            ("a", &[]),
            ("b", &[0]),
            ("c", &[0]),
            ("d", &[1, 2]),
            ("lonely", &[]),
            ("x", &[]),
            ("y", &[]),
            ("z", &[]),
            ("xz", &[5, 7]),
            ("y2", &[6]),
            ("end", &[3, 8, 9]),
        ];
        insta::assert_snapshot!(drawn(&pipeline(all)), @r#"
        ○  a
        ├─○  b
        │ │
        ○ │  c
        │ │
        ○─╯  d
        │ ○  lonely
        │ ○  x
        │ │ ○  y
        │ │ │
        │ │ ○  y2
        │ │ │ ○  z
        │ │ │ │
        │ ○─│─╯  xz
        │ │ │
        ○─┴─╯  end
        "#);
    }

    #[test]
    fn what_was_asked_for_is_drawn_alone() {
        let genres = genres();
        let wanted = genres.graph.with_needs([StageIx::new(2)]);
        let view = View::new(&genres, &wanted);
        insta::assert_snapshot!(anstream::adapter::strip_str(&text(&view)).to_string(), @r#"
        ○  download     Fetch "audio" or make it
        │
        ○  spectrogram
        │
        ○  train
        "#);
    }

    #[test]
    fn a_wide_graph_is_listed() {
        let names: Vec<String> = (0..40).map(|at| format!("s{at}")).collect();
        let mut stages: Vec<(&str, &[usize])> =
            names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let every: Vec<usize> = (0..40).collect();
        stages.push(("report", &every));
        let text = drawn(&pipeline(&stages));
        assert_eq!(text.lines().count(), 41);
        insta::assert_snapshot!(text.lines().last().unwrap(), @"report  ← s0, s1, s2, s3 and 36 more");
    }

    #[test]
    fn graphviz_and_mermaid() {
        let mut genres = genres();
        genres.name = Some("a \"b\" \\".into());
        let all = StageSet::all(5);
        let view = View::new(&genres, &all);
        insta::assert_snapshot!(dot(&view), @r#"
        digraph "a \"b\" \\" {
          node [shape=box, style=rounded, fontname="sans-serif"];
          "download" [tooltip="Fetch \"audio\" or make it"];
          "spectrogram";
          "train";
          "evaluate" [tooltip="Measure the model"];
          "export";
          "download" -> "spectrogram";
          "spectrogram" -> "train";
          "spectrogram" -> "evaluate";
          "train" -> "evaluate";
          "spectrogram" -> "export";
          "train" -> "export";
        }
        "#);
        insta::assert_snapshot!(mermaid(&view), @r#"
        flowchart TD
            s0["download"]
            s1["spectrogram"]
            s2["train"]
            s3["evaluate"]
            s4["export"]
            s0 --> s1
            s1 --> s2
            s1 --> s3
            s2 --> s3
            s1 --> s4
            s2 --> s4
        "#);
    }

    /// Reads the edges back from a drawing, by following its lines.
    fn read_back(drawing: &str) -> BTreeSet<(String, String)> {
        let mut lanes: Vec<Option<String>> = Vec::new();
        let mut edges = BTreeSet::new();
        for line in drawing.lines() {
            let cells: Vec<char> = line.chars().collect();
            let node = cells.iter().position(|&c| c == '○');
            let name: String =
                node.map(|_| line.rsplit("  ").next().unwrap().to_owned()).unwrap_or_default();
            let cell = |lane: usize| cells.get(lane * 2).copied().unwrap_or(' ');
            let width = lanes.len().max(node.map_or(0, |at| at / 2 + 1));
            lanes.resize(width, None);
            let led_on = drawing.lines().take_while(|other| *other != line).last();
            for (at, lane) in lanes.iter_mut().enumerate() {
                let joins = match cell(at) {
                    '├' | '┤' | '┼' | '╯' | '┴' => true,
                    // A stage continues a lane that was led on right above it.
                    '○' => led_on.is_some_and(|above| above.chars().nth(at * 2) == Some('│')),
                    _ => false,
                };
                if joins {
                    edges.insert((lane.clone().unwrap(), name.clone()));
                }
                match cell(at) {
                    '╯' | '┴' | ' ' | '─' => *lane = None,
                    '○' => *lane = Some(name.clone()),
                    _ => {}
                }
            }
        }
        edges
    }

    proptest! {
        /// A drawing says exactly what the graph says.
        #[test]
        fn every_edge_can_be_read_back(bits in proptest::collection::vec(any::<u16>(), 1..9)) {
            let names: Vec<String> = (0..bits.len()).map(|at| format!("s{at}")).collect();
            let needs: Vec<Vec<usize>> = bits.iter().enumerate()
                .map(|(at, bits)| (0..at).filter(|other| bits >> other & bits >> (other + 8) & 1 == 1).collect())
                .collect();
            let stages: Vec<(&str, &[usize])> =
                names.iter().zip(&needs).map(|(name, needs)| (name.as_str(), needs.as_slice())).collect();
            let drawing = drawn(&pipeline(&stages));
            let expected: BTreeSet<(String, String)> = needs.iter().enumerate()
                .flat_map(|(to, needs)| needs.iter().map(move |from| (format!("s{from}"), format!("s{to}"))))
                .collect();
            prop_assert_eq!(read_back(&drawing), expected, "{}", drawing);
        }
    }
}
