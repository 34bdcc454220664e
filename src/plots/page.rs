//! The page: data as JSON, the page's own code, and the libraries that its figures need.
//!
//! # Safety against what users store
//!
//! - Names, params and cells are data in a JSON block, in which `<` is escaped. The page's code
//!   turns them into text nodes and attributes, never into HTML.
//! - Images are `data:` addresses of `img` elements, where an SVG cannot run scripts or load
//!   anything.
//! - The content security policy allows no requests, and only scripts and styles that carry the
//!   page's nonce. The nonce is the digest of the data, so no data can contain it, and the same
//!   report is always the same page.

use std::fmt::Write as _;

use crate::digest::Digest;
use crate::report::plots::PlotsReport;
use crate::report::plots::figure::Figure;
use crate::vendor::{ECHARTS, Library, UPLOT};

/// The first lines of every page, by which a file is recognized as one.
pub const MARK: &str = "<!doctype html>\n<!-- repro plots -->\n";

const STYLE: &str = include_str!("page/page.css");
/// The page's own code, in the order in which it is loaded.
const SCRIPTS: [&str; 7] = [
    include_str!("page/dom.js"),
    include_str!("page/state.js"),
    include_str!("page/runs.js"),
    include_str!("page/chart.js"),
    include_str!("page/figures.js"),
    include_str!("page/sweep.js"),
    include_str!("page/main.js"),
];
/// Least number of runs for parallel coordinates.
const SWEEP: usize = 3;

/// Returns the page of a report.
pub fn page(report: &PlotsReport) -> String {
    let data = match serde_json::to_string(report) {
        // In JSON, `<` occurs in strings only.
        Ok(json) => json.replace('<', "\\u003c"),
        Err(err) => panic!("BUG: a report is not valid JSON: {err}"),
    };
    let nonce = Digest::of(data.as_bytes());
    let libraries = libraries(report);
    let mut page = format!(
        "{MARK}<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
         base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"generator\" content=\"repro {}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n",
        env!("CARGO_PKG_VERSION"),
        text(&title(report)),
    );
    for style in libraries.iter().map(|library| library.style).chain([STYLE]) {
        if !style.is_empty() {
            let _ = writeln!(page, "<style nonce=\"{nonce}\">\n{style}</style>");
        }
    }
    page.push_str(
        "</head>\n<body>\n<main id=\"page\">\n\
         <noscript>The charts of this page need JavaScript.</noscript>\n</main>\n",
    );
    let _ = writeln!(page, "<script type=\"application/json\" id=\"data\">{data}</script>");
    for library in libraries {
        let Library { script, licence, .. } = library;
        let _ = writeln!(page, "<script nonce=\"{nonce}\">\n/*\n{licence}\n*/\n{script}</script>");
    }
    for script in SCRIPTS {
        let _ = writeln!(page, "<script nonce=\"{nonce}\">\n{script}</script>");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// Returns the libraries that the figures of a report need.
fn libraries(report: &PlotsReport) -> Vec<Library> {
    let has_charts = !report.curves.is_empty()
        || report
            .outs
            .iter()
            .flat_map(|out| &out.figures)
            .any(|one| matches!(one, Figure::Chart(_)));
    let mut libraries = Vec::new();
    if has_charts {
        libraries.push(UPLOT);
    }
    if report.runs.len() >= SWEEP && report.params.iter().any(|param| param.differs) {
        libraries.push(ECHARTS);
    }
    libraries
}

fn title(report: &PlotsReport) -> String {
    let runs = match &report.runs[..] {
        [] => "no runs".to_owned(),
        [one] => one.label(),
        [first, .., last] => format!("{} to {}", first.run, last.run),
    };
    match &report.project {
        Some(project) => format!("{project}: {runs}"),
        None => runs,
    }
}

/// Escapes a text for the content of an element.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
