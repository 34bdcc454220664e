//! A drawn graph as an SVG document with links.
//!
//! Colours come from the classes of a page, so the document has no styles of its own. Names from
//! outside are texts or attributes, and escaped.

use std::fmt::Write as _;

use super::{Drawing, Frame, Point, Size, draw};
use crate::escape::on_one_line;
use crate::svg_text::{cut, escaped, short, width};

/// About the widths of a character in the two lines of a box.
const NAME_CHAR: f64 = 7.3;
const DETAIL_CHAR: f64 = 6.3;
const PADDING: f64 = 14.0;
const WIDTHS: (f64, f64) = (132.0, 236.0);
const HEIGHT: f64 = 44.0;
const LOW: f64 = 28.0;
/// Distance of the sheets below a box that stands for several.
const SHEET: f64 = 4.0;

/// A box of a diagram.
#[derive(Debug, Clone, Default)]
pub(in crate::serve) struct Node {
    /// Identifies it on the page.
    pub id: String,
    pub href: Option<String>,
    pub name: String,
    /// The second line; without one, the box is lower.
    pub detail: String,
    /// The whole text for pointers and screen readers.
    pub title: String,
    /// The state by which the page colours it.
    pub state: &'static str,
    pub kind: Kind,
}

/// The shape of a box.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::serve) enum Kind {
    /// Does work.
    #[default]
    Stage,
    /// Several of them, drawn as a stack.
    Stack,
    /// A file or a folder.
    Data,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Stage => "stage",
            Kind::Stack => "stack",
            Kind::Data => "data",
        }
    }
}

/// Draws a diagram; edges are pairs of positions in `nodes`.
pub(in crate::serve) fn render(label: &str, nodes: &[Node], edges: &[(usize, usize)]) -> String {
    let sizes: Vec<Size> = nodes.iter().map(size).collect();
    let Drawing { size, frames, routes } = draw(&sizes, edges);
    // Room for outlines and stacks.
    let [wide, high] = [size.width + 2.0 * SHEET, size.height + 2.0 * SHEET].map(short);
    let label = escaped(&on_one_line(label));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"dag\" width=\"{wide}\" \
         height=\"{high}\" viewBox=\"-{SHEET} -{SHEET} {wide} {high}\" role=\"group\" \
         aria-label=\"{label}\">\n<g class=\"edges\">\n",
    );
    for (route, (from, to)) in routes.iter().zip(edges) {
        let (from, to) = (escaped(&nodes[*from].id), escaped(&nodes[*to].id));
        let _ = writeln!(
            out,
            "<path class=\"edge\" data-from=\"{from}\" data-to=\"{to}\" d=\"{}\"/>",
            path(route)
        );
    }
    out.push_str("</g>\n<g class=\"nodes\">\n");
    for (node, frame) in nodes.iter().zip(&frames) {
        write_node(&mut out, node, frame);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

fn size(node: &Node) -> Size {
    // The second line changes with the state, which must move nothing.
    let text = width(&node.name, NAME_CHAR);
    let width = (text + 2.0 * PADDING).clamp(WIDTHS.0, WIDTHS.1).round();
    Size { width, height: if node.detail.is_empty() { LOW } else { HEIGHT } }
}

/// Returns the path of an edge with an arrowhead.
fn path(route: &[Point]) -> String {
    let mut data = String::new();
    let mut last: Option<Point> = None;
    for point in route {
        let [x, y] = [point.x, point.y].map(short);
        let _ = match last {
            None => write!(data, "M{x} {y}"),
            Some(before) if (before.x - point.x).abs() < 0.01 => write!(data, "V{y}"),
            Some(before) => {
                let (from, middle) = (short(before.x), short(f64::midpoint(before.y, point.y)));
                write!(data, "C{from} {middle} {x} {middle} {x} {y}")
            }
        };
        last = Some(*point);
    }
    if let [.., Point { x, y }] = route {
        let [left, right, above, x, y] = [x - 3.5, x + 3.5, y - 5.0, *x, *y].map(short);
        let _ = write!(data, "M{left} {above}L{x} {y}L{right} {above}");
    }
    data
}

fn write_node(out: &mut String, node: &Node, frame: &Frame) {
    let (id, title) = (escaped(&node.id), escaped(&on_one_line(&node.title)));
    let (state, kind) = (node.state, node.kind.word());
    let link = match &node.href {
        Some(href) => format!("href=\"{}\"", escaped(href)),
        None => "tabindex=\"0\" role=\"img\"".to_owned(),
    };
    let _ = write!(
        out,
        "<a class=\"node\" data-id=\"{id}\" data-kind=\"{kind}\" data-state=\"{state}\" {link}>"
    );
    let sheets: &[f64] = if node.kind == Kind::Stack { &[SHEET, SHEET / 2.0, 0.0] } else { &[0.0] };
    for shift in sheets {
        let [x, y] = [frame.left + shift, frame.top + shift].map(short);
        let [width, height] = [frame.size.width, frame.size.height].map(short);
        let radius =
            if node.kind == Kind::Data { short(frame.size.height / 2.0) } else { short(7.0) };
        // The name of a link contains the text that it shows, so the title is that of its frame.
        let _ = write!(
            out,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{radius}\">\
             <title>{title}</title></rect>"
        );
    }
    let fits = |char: f64| ((frame.size.width - 2.0 * PADDING) / char).round() as usize;
    let middle = short(frame.left + frame.size.width / 2.0);
    let mut line = |class: &str, down: f64, text: &str, char: f64| {
        let text = escaped(&cut(&on_one_line(text), fits(char)));
        let y = short(frame.top + down);
        let _ = write!(out, "<text class=\"{class}\" x=\"{middle}\" y=\"{y}\">{text}</text>");
    };
    if node.detail.is_empty() {
        line("name", 18.0, &node.name, NAME_CHAR);
    } else {
        line("name", 19.0, &node.name, NAME_CHAR);
        line("detail", 34.0, &node.detail, DETAIL_CHAR);
    }
    out.push_str("</a>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_stages() {
        let node = |name: &str, detail: &str| Node {
            id: name.to_owned(),
            href: Some(format!("/pipeline/{name}")),
            name: name.to_owned(),
            detail: detail.to_owned(),
            title: format!("{name} is up to date"),
            state: "fresh",
            kind: Kind::Stage,
        };
        let nodes = [node("load", "up to date"), node("a<b\"\u{1b}", "")];
        insta::assert_snapshot!(render("Pipeline & co", &nodes, &[(0, 1)]), @r#"
        <svg xmlns="http://www.w3.org/2000/svg" class="dag" width="140" height="115.2" viewBox="-4 -4 140 115.2" role="group" aria-label="Pipeline &amp; co">
        <g class="edges">
        <path class="edge" data-from="load" data-to="a&lt;b&quot;" d="M66 44V79.2M62.5 74.2L66 79.2L69.5 74.2"/>
        </g>
        <g class="nodes">
        <a class="node" data-id="load" data-kind="stage" data-state="fresh" href="/pipeline/load"><rect x="0" y="0" width="132" height="44" rx="7"><title>load is up to date</title></rect><text class="name" x="66" y="19">load</text><text class="detail" x="66" y="34">up to date</text></a>
        <a class="node" data-id="a&lt;b&quot;" data-kind="stage" data-state="fresh" href="/pipeline/a&lt;b&quot;"><rect x="0" y="79.2" width="132" height="28" rx="7"><title>a&lt;b&quot;\u{1b} is up to date</title></rect><text class="name" x="66" y="97.2">a&lt;b&quot;\u{1b}</text></a>
        </g>
        </svg>
        "#);
    }

    #[test]
    fn long_names_are_cut() {
        let name = "train@model=resnet50-augmented-with-mixup-seed=12345678";
        let node = Node { id: name.to_owned(), name: name.to_owned(), ..Node::default() };
        let svg = render("", &[node], &[]);
        assert!(svg.contains(">train@model=re…xup-seed=12345678<") || svg.contains("…"), "{svg}");
        assert!(svg.contains("width=\"236\""), "{svg}");
    }
}
