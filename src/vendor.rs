//! The chart libraries, unmodified, as their authors publish them. `vendor/manifest.txt` names
//! their versions, licences and digests.

/// A library as parts of a page.
#[derive(Debug, Clone, Copy)]
pub struct Library {
    pub script: &'static str,
    pub style: &'static str,
    /// Notices that a copy of the library must contain.
    pub licence: &'static str,
}

/// Curves: small and fast.
pub const UPLOT: Library = Library {
    script: include_str!("vendor/uplot/uPlot.iife.min.js"),
    style: include_str!("vendor/uplot/uPlot.min.css"),
    licence: include_str!("vendor/uplot/LICENSE"),
};

/// Parallel coordinates and scatter. Its smaller builds lack parallel coordinates.
pub const ECHARTS: Library = Library {
    script: include_str!("vendor/echarts/echarts.min.js"),
    style: "",
    licence: include_str!("vendor/echarts/NOTICE"),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn files_are_unmodified() {
        let folder = std::path::Path::new("src/vendor");
        let manifest = std::fs::read_to_string(folder.join("manifest.txt")).unwrap();
        let mut listed = Vec::new();
        for line in manifest.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (digest, name) = line.split_once("  ").unwrap();
            let bytes = std::fs::read(folder.join(name)).unwrap();
            assert_eq!(Digest::of(&bytes).to_string(), digest, "{name}");
            listed.push(name.to_owned());
        }
        let mut found: Vec<String> = walkdir::WalkDir::new(folder)
            .min_depth(2)
            .into_iter()
            .map(|entry| entry.unwrap().path().strip_prefix(folder).unwrap().display().to_string())
            .collect();
        found.sort();
        listed.sort();
        assert_eq!(listed, found);
    }

    /// A script inside of a page ends at the first `</script`, and `<!--` changes how it is read.
    #[test]
    fn libraries_stay_in_their_element() {
        for library in [UPLOT, ECHARTS] {
            for text in [library.script, library.style, library.licence] {
                let text = text.to_ascii_lowercase();
                let ends = ["</script", "</style", "<!--", "<script"];
                assert!(ends.iter().all(|end| !text.contains(end)));
            }
            assert!(!library.licence.contains("*/"));
        }
    }
}
