//! Accessibility by axe-core, and layout at both widths, in both themes.

use serde_json::Value;

use crate::driver::{Page, Theme};

/// The library as npm distributes it; `vendor/manifest.txt` names its version and digest.
const AXE: &str = include_str!("vendor/axe.min.js");

pub const WIDTHS: [u32; 2] = [1280, 390];
pub const THEMES: [Theme; 2] = [Theme::Light, Theme::Dark];

impl Page {
    /// Requires that axe finds nothing and that the page does not scroll sideways, at both widths
    /// and in both themes.
    pub fn audit(&mut self) {
        let world = self.axe();
        let mut findings = Vec::new();
        for width in WIDTHS {
            self.width(width);
            for theme in THEMES {
                self.theme(theme);
                let place = format!("{width} px, {}", theme.name());
                let found = self.violations(world).into_iter().chain(self.overflow());
                findings.extend(found.map(|finding| format!("{place}: {finding}")));
            }
        }
        self.width(WIDTHS[0]);
        self.theme(THEMES[0]);
        assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
    }

    /// Returns a world of its own with axe-core, so that the page does not see the library.
    pub fn axe(&mut self) -> u64 {
        let world = self.isolated_world();
        self.evaluate_in(world, &format!("{AXE};0"));
        world
    }

    /// Returns what axe-core in its world finds on the page as it is.
    pub fn violations(&mut self, world: u64) -> Vec<String> {
        let found = self.evaluate_in(
            world,
            "axe.run({ resultTypes: ['violations'] }).then(({ violations }) =>
               violations.flatMap(({ id, nodes }) => nodes.map((node) =>
                 `${id}: ${node.target.join(' ')}: ${node.failureSummary}`)))",
        );
        serde_json::from_value(found).unwrap()
    }

    /// Names an element that makes the page wider than its window.
    fn overflow(&mut self) -> Option<String> {
        let found = self.evaluate(
            "(() => {
               const { scrollWidth, clientWidth } = document.documentElement;
               if (scrollWidth <= clientWidth) return null;
               const wide = [...document.body.querySelectorAll('*')]
                 .filter((element) => element.getBoundingClientRect().right > clientWidth)
                 .map((element) => element.outerHTML.slice(0, 80));
               return `${scrollWidth} px wide: ${wide.slice(0, 5).join(' ')}`;
             })()",
        );
        match found {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}
