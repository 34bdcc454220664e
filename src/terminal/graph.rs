//! Renders the graph of stages: drawn with lines, or written for Graphviz and Mermaid.
//! Pure and deterministic; unaware of streams and of which stages are up to date.
//!
//! The drawing runs from top to bottom, one stage per line, each below the stages it needs. A
//! stage whose outs are yet to be read has a lane, a vertical line from its `○` down to the last
//! stage that reads them:
//!
//! ```text
//! ○  download
//! │
//! ○  spectrogram
//! ├─○  train
//! ├─┼─○  evaluate     needs both lanes, which continue
//! │ │
//! ○─╯  export         needs both lanes, which end here
//! ```
//! A lane that a line crosses without joining it is drawn as `─│─`. A stage directly below another
//! one, without a `│` between them, does not need it.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::dag::{DagReport, DagStage};
use crate::terminal::style::{DIM, STAGE};
use crate::terminal::text::{Pad, pad, widest, width};
use crate::terminal::wording::styled;

/// Maximum number of lanes. More are illegible, and the lines would wrap.
const WIDEST: usize = 24;
/// Number of needs that a line of the list names.
const NAMED: usize = 4;

/// Draws the graph, with styles. A graph too wide for a legible drawing becomes a list of stages
/// and their needs.
pub fn text(dag: &DagReport) -> String {
    match draw(dag) {
        Some(lines) => labelled(&lines),
        None => list(dag),
    }
}

/// A line of the drawing: that of a stage, or one that only continues the lanes.
struct Line<'a> {
    rails: String,
    stage: Option<&'a DagStage>,
}

/// A stage whose outs are yet to be read, and the number of stages still to read them.
#[derive(Clone, Copy)]
struct Lane<'a> {
    source: &'a str,
    pending: usize,
}

/// Returns the lines of the drawing; `None` if it would take more than [`WIDEST`] lanes.
fn draw(dag: &DagReport) -> Option<Vec<Line<'_>>> {
    let mut lanes: Vec<Option<Lane<'_>>> = Vec::new();
    let mut lines = Vec::new();
    let mut readers: BTreeMap<&str, usize> = BTreeMap::new();
    dag.edges().for_each(|(from, _)| *readers.entry(&from.stage).or_default() += 1);
    for stage in &dag.stages {
        let needs: BTreeSet<&str> = stage.needs.iter().map(String::as_str).collect();
        let read = |lane: &Option<Lane<'_>>| lane.is_some_and(|lane| needs.contains(lane.source));
        let touched: Vec<bool> = lanes.iter().map(read).collect();
        let last =
            |lane: &Option<Lane<'_>>| read(lane) && lane.is_some_and(|lane| lane.pending == 1);
        // The stage continues a lane that ends here; otherwise it takes the first free one.
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
            if let Some(open) = lane.as_mut().filter(|lane| needs.contains(lane.source)) {
                open.pending -= 1;
            }
        }
        lines.push(Line { rails: junction(&lanes, &touched, at), stage: Some(stage) });
        lanes
            .iter_mut()
            .filter(|lane| lane.is_some_and(|lane| lane.pending == 0))
            .for_each(|lane| *lane = None);
        let pending = readers.get(stage.stage.as_str());
        lanes[at] = pending.map(|&pending| Lane { source: &stage.stage, pending });
        let open = lanes.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        lanes.truncate(open);
    }
    Some(lines)
}

/// Returns a line on which all lanes continue: `│   │`.
fn rails(lanes: &[Option<Lane<'_>>]) -> String {
    let cells: Vec<&str> =
        lanes.iter().map(|lane| if lane.is_some() { "│" } else { " " }).collect();
    cells.join(" ").trim_end().to_owned()
}

/// Returns the line of the stage at lane `at`. A horizontal line joins it with the lanes it reads
/// (`touched`); lanes with no pending readers end.
fn junction(lanes: &[Option<Lane<'_>>], touched: &[bool], at: usize) -> String {
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

fn labelled(lines: &[Line<'_>]) -> String {
    let columns = |line: &Line<'_>| {
        width(&line.rails) + line.stage.map_or(0, |stage| width(&stage.stage) + 2)
    };
    let column = lines.iter().map(columns).max().unwrap_or(0) + 2;
    let mut text = String::new();
    for line in lines {
        let mut label = styled(DIM, &line.rails);
        if let Some(stage) = line.stage {
            label.push_str(&format!("  {}", styled(STAGE, &stage.stage)));
            if let Some(desc) = &stage.desc {
                label = pad(&label, column, Pad::Right) + &styled(DIM, &flat(desc));
            }
        }
        text.push_str(&label);
        text.push('\n');
    }
    text
}

fn list(dag: &DagReport) -> String {
    let width = widest(dag.stages.iter().map(|stage| stage.stage.as_str()));
    let mut text = String::new();
    for stage in &dag.stages {
        let line = match stage.needs.len() {
            0 => styled(STAGE, &stage.stage),
            count => {
                let named = stage.needs[..count.min(NAMED)].join(", ");
                let more = if count > NAMED {
                    format!(" and {} more", count - NAMED)
                } else {
                    String::new()
                };
                let name = styled(STAGE, &pad(&stage.stage, width, Pad::Right));
                format!("{name}  ← {named}{more}")
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

/// Writes the graph in Graphviz's DOT language; descriptions become tooltips.
pub fn dot(dag: &DagReport) -> String {
    let mut text =
        format!("digraph {} {{\n", dot_quoted(dag.pipeline.as_deref().unwrap_or("pipeline")));
    text.push_str("  node [shape=box, style=rounded, fontname=\"sans-serif\"];\n");
    for stage in &dag.stages {
        let tooltip = stage.desc.as_ref();
        let tooltip = tooltip
            .map(|desc| format!(" [tooltip={}]", dot_quoted(&flat(desc))))
            .unwrap_or_default();
        text.push_str(&format!("  {}{tooltip};\n", dot_quoted(&stage.stage)));
    }
    for (from, to) in dag.edges() {
        text.push_str(&format!("  {} -> {};\n", dot_quoted(&from.stage), dot_quoted(&to.stage)));
    }
    text.push_str("}\n");
    text
}

/// Quotes a DOT string. Backslashes are escaped too: one before a quote would undo its escape.
fn dot_quoted(text: &str) -> String {
    format!("\"{}\"", flat(text).replace('\\', "\\\\").replace('"', "\\\""))
}

/// Writes the graph as a Mermaid flowchart. Stages have the ids `s0`, `s1`, …, because a name such
/// as `end` is a keyword of Mermaid.
pub fn mermaid(dag: &DagReport) -> String {
    let mut text = String::from("flowchart TD\n");
    for stage in &dag.stages {
        let label = stage.stage.replace('#', "#35;").replace('"', "#quot;");
        text.push_str(&format!("    s{}[\"{label}\"]\n", stage.index));
    }
    for (from, to) in dag.edges() {
        text.push_str(&format!("    s{} --> s{}\n", from.index, to.index));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Goals, Graph, Params, Pipeline, Stage, StageIx, StageName, StageSet};
    use proptest::prelude::*;

    fn pipeline(stages: &[(&str, &[usize])]) -> Pipeline {
        let stage = |name: &str| Stage::new(StageName::parse(name).unwrap(), 1);
        Pipeline {
            name: Some("genres".into()),
            params: Params::default(),
            outs_in_git: Default::default(),
            overridden: Default::default(),
            goals: Goals::default(),
            tokens: Default::default(),
            trash: crate::pipeline::KEEP_DISPLACED,
            shared_by_worktrees: Vec::new(),
            remotes: Vec::new(),
            external: Default::default(),
            links: Default::default(),
            warnings: Default::default(),
            cache_dir: None,
            rendered_params: Default::default(),
            stages: stages.iter().map(|(name, _)| stage(name)).collect(),
            graph: Graph::new(
                stages
                    .iter()
                    .map(|(_, needs)| needs.iter().copied().map(StageIx::new).collect())
                    .collect(),
            )
            .unwrap(),
        }
    }

    fn drawn(pipeline: &Pipeline) -> String {
        plain(&DagReport::new(pipeline, &StageSet::all(pipeline.stages.len())))
    }

    fn plain(dag: &DagReport) -> String {
        crate::escape::without_styles(&text(dag))
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
    fn drawing() {
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
    fn diamonds_crossings_and_islands() {
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
    fn drawing_of_selected_stages() {
        let genres = genres();
        let wanted = genres.graph.with_needs([StageIx::new(2)]);
        insta::assert_snapshot!(plain(&DagReport::new(&genres, &wanted)), @r#"
        ○  download     Fetch "audio" or make it
        │
        ○  spectrogram
        │
        ○  train
        "#);
    }

    #[test]
    fn wide_graph_as_list() {
        let names: Vec<String> = (0..40).map(|at| format!("s{at}")).collect();
        let mut stages: Vec<(&str, &[usize])> =
            names.iter().map(|name| (name.as_str(), &[][..])).collect();
        let every: Vec<usize> = (0..40).collect();
        stages.push(("report", &every));
        let text = drawn(&pipeline(&stages));
        assert_eq!(text.lines().count(), 41);
        assert_eq!(text.lines().last().unwrap(), "report  ← s0, s1, s2, s3 and 36 more");
    }

    #[test]
    fn graphviz_and_mermaid() {
        let mut genres = genres();
        genres.name = Some("a \"b\" \\".into());
        let dag = DagReport::new(&genres, &StageSet::all(5));
        insta::assert_snapshot!(dot(&dag), @r#"
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
        insta::assert_snapshot!(mermaid(&dag), @r#"
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

    /// Parses the edges of a drawing by following its lines.
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
            let line_above = drawing.lines().take_while(|other| *other != line).last();
            for (at, lane) in lanes.iter_mut().enumerate() {
                let joins = match cell(at) {
                    '├' | '┤' | '┼' | '╯' | '┴' => true,
                    // A stage continues a lane that is drawn directly above it.
                    '○' => line_above.is_some_and(|above| above.chars().nth(at * 2) == Some('│')),
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
        /// A drawing has exactly the edges of the graph.
        #[test]
        fn drawing_has_all_edges(bits in proptest::collection::vec(any::<u16>(), 1..9)) {
            let names: Vec<String> = (0..bits.len()).map(|at| format!("s{at}")).collect();
            let is_edge = |bits: &u16, other: usize| bits >> other & bits >> (other + 8) & 1 == 1;
            let needs: Vec<Vec<usize>> = bits
                .iter()
                .enumerate()
                .map(|(at, bits)| (0..at).filter(|&other| is_edge(bits, other)).collect())
                .collect();
            let stages: Vec<(&str, &[usize])> = names
                .iter()
                .zip(&needs)
                .map(|(name, needs)| (name.as_str(), needs.as_slice()))
                .collect();
            let drawing = drawn(&pipeline(&stages));
            let mut expected = BTreeSet::new();
            for (to, needs) in needs.iter().enumerate() {
                expected.extend(needs.iter().map(|from| (format!("s{from}"), format!("s{to}"))));
            }
            prop_assert_eq!(read_back(&drawing), expected, "{}", drawing);
        }
    }
}
