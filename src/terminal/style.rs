//! Colors. Each repeats what a word or a sign says; none is the only carrier of information.

use std::fmt;

use anstyle::AnsiColor;

use crate::escape::STYLE_MARK;

pub const ERROR: Style = Style(AnsiColor::Red.on_default().bold());
pub const WARNING: Style = Style(AnsiColor::Yellow.on_default().bold());
pub const HINT: Style = Style(AnsiColor::Cyan.on_default());
pub const STAGE: Style = Style(anstyle::Style::new().bold());
pub const BOLD: Style = STAGE;
pub const DIM: Style = Style(anstyle::Style::new().dimmed());
pub const GOOD: Style = Style(AnsiColor::Green.on_default());
pub const BAD: Style = Style(AnsiColor::Red.on_default());
/// A run or a stage that did not do all of its work.
pub const PARTIAL: Style = Style(AnsiColor::Yellow.on_default());
/// A sign of work in progress, a bar, a result that was not computed.
pub const LIVELY: Style = Style(AnsiColor::Cyan.on_default());

/// A style, written as `{style}text{style:#}`.
///
/// Displays with marks that only `crate::escape` turns into ANSI escapes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style(anstyle::Style);

impl Style {
    /// Returns the style that changes nothing.
    pub const fn new() -> Style {
        Style(anstyle::Style::new())
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let codes = match f.alternate() {
            true => self.0.render_reset().to_string(),
            false => self.0.render().to_string(),
        };
        f.write_str(&codes.replace('\x1b', STYLE_MARK.encode_utf8(&mut [0; 4])))
    }
}
