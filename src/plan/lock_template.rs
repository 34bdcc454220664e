//! Lock templates: the lock block expected of an up-to-date stage, without the digests.
//!
//! Mechanism: a stage is up to date if its block in the lock equals the block that a run would
//! write now. The template is that block with the contents of deps and outs left out. Comparing it
//! line by line with the lock, and filling in the present contents, decides freshness without
//! parsing the stage's declaration or its trace.
//!
//! Invariants: the lines are those of [`trace_text`], in the same order. Each `dep` or `out` line
//! takes one content, in the order of the lines. All other lines must match exactly; only blank
//! lines, `version` and `accepted` lines and a checksum that [holds](lock_sum::holds) may follow.
//!
//! Known limits: a stage has a template only if texts and contents alone decide whether it is up to
//! date, so not with globs, tools or `always`. An absent path never matches, so a stage that left
//! out an optional out is loaded in full. A mismatch gives no reason;
//! [`decide`](crate::plan::decide()) finds it.
//!
//! ```text
//! cmd "cargo run --release -p train"
//! dep data/spectrograms
//! param train.epochs 10
//! out models/genre.mpk
//! ```

use crate::digest::Content;
use crate::plan::{Fingerprint, lock_sum, trace_text};

/// Renders the template of a stage. The contents of the fingerprint's deps are ignored.
pub fn render(fingerprint: &Fingerprint) -> String {
    let mut text = String::new();
    trace_text::write_fingerprint(&mut text, fingerprint);
    let dep_path = |line: &str| line.strip_prefix("dep ")?.splitn(3, ' ').nth(2).map(str::to_owned);
    let lines = text.lines().map(|line| match dep_path(line) {
        Some(path) => format!("dep {path}\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// Returns the paths of the deps and outs in a template.
pub fn paths(template: &str) -> impl Iterator<Item = &str> {
    template.lines().filter_map(path_line).map(|(_, path)| path)
}

/// Returns the paths of the outs in a template.
pub fn outs(template: &str) -> impl Iterator<Item = &str> {
    template.lines().filter_map(|line| line.strip_prefix("out "))
}

/// Formats a content as the lock writes it before the path.
pub fn content_prefix(content: &Content) -> String {
    format!("{} {} ", content.kind(), content.digest())
}

/// Reports whether `block`, the lines of a stage in the lock, is the block that would be written
/// now.
///
/// `contents` are the present contents, formatted by [`content_prefix`], of the template's [paths]
/// in their order; `None` for an absent path.
pub fn matches<'c>(
    template: &str,
    block: &str,
    mut contents: impl Iterator<Item = Option<&'c str>>,
) -> bool {
    let mut lines = block.lines();
    let mut line_matches = |expected: &str, line: &str| match path_line(expected) {
        None => line == expected,
        Some((word, path)) => contents.next().flatten().is_some_and(|content| {
            let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
            rest.and_then(|rest| rest.strip_prefix(content)) == Some(path)
        }),
    };
    template.lines().all(|expected| lines.next().is_some_and(|line| line_matches(expected, line)))
        && lines.all(|line| {
            line.is_empty()
                || line.starts_with("accepted ")
                || line.starts_with("version ")
                || lock_sum::is_sum(line)
        })
        && lock_sum::holds(block)
}

/// Splits a template line `dep PATH` or `out PATH`.
fn path_line(line: &str) -> Option<(&str, &str)> {
    line.split_once(' ').filter(|(word, _)| matches!(*word, "dep" | "out"))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::digest::Digest;
    use crate::pipeline::{ParamKey, Policy};
    use crate::plan::decide::{Candidate, Facts};
    use crate::plan::{Decision, Force, Trace, decide};
    use crate::repo_path::RepoPath;

    #[test]
    fn block_matches_template() {
        let content = |text: &str| content_prefix(&Content::File(Digest::of(text.as_bytes())));
        let (one, two) = (content("1"), content("2"));
        let template = "cmd \"x\"\ndep in\nparam a 1\nout o\n";
        let block = format!("cmd \"x\"\ndep {one}in\nparam a 1\nout {two}o\n\n");
        let check = |block: &str, contents: [Option<&str>; 2]| {
            matches(template, block, contents.into_iter())
        };
        assert!(check(&block, [Some(&one), Some(&two)]));
        assert!(check(&format!("{block}accepted \"why\"\n"), [Some(&one), Some(&two)]));
        let sum = lock_sum::line(block.trim_end_matches('\n'));
        assert!(!check(&format!("{block}{sum}\n"), [Some(&one), Some(&two)]));
        let sum = lock_sum::line(&block);
        assert!(check(&format!("{block}{sum}\n"), [Some(&one), Some(&two)]));
        let others = [
            [Some(&one), None],
            [None, Some(&two)],
            [Some(&two), Some(&two)],
            [Some(&one), Some(&one)],
        ];
        for contents in others {
            assert!(
                !check(&block, contents.map(|content| content.map(String::as_str))),
                "{contents:?}"
            );
        }
        let edits = [
            ("x", "y"),
            ("file", "exec"),
            (" in", " i"),
            ("a 1", "a 2"),
            ("out", "dep"),
            ("param a 1\n", ""),
            ("\n\n", "\nout z\n"),
        ];
        for (from, to) in edits {
            assert!(
                !check(&block.replacen(from, to, 1), [Some(&one), Some(&two)]),
                "{from} → {to}"
            );
        }
    }

    /// Contents, values and paths from a small domain, so that equal ones are frequent.
    fn content(number: u8) -> Content {
        let digest = Digest::of(&[number / 2]);
        if number.is_multiple_of(2) { Content::File(digest) } else { Content::Tree(digest) }
    }

    fn path(number: u8) -> RepoPath {
        RepoPath::parse(["a", "a/b", "out x", "b"][usize::from(number % 4)]).unwrap()
    }

    /// Paths with the numbers of their contents.
    type Contents = BTreeMap<u8, u8>;

    fn contents() -> impl Strategy<Value = Contents> {
        proptest::collection::btree_map(0u8..4, 0u8..4, 0..3)
    }

    /// Params, variables that the stage sets, and inherited variables.
    type Values = (BTreeMap<u8, u8>, BTreeMap<u8, u8>, BTreeMap<u8, Option<u8>>);

    fn values() -> impl Strategy<Value = Values> {
        use proptest::collection::btree_map;
        (
            btree_map(0u8..2, 0u8..2, 0..2),
            btree_map(0u8..2, 0u8..2, 0..2),
            btree_map(0u8..2, proptest::option::of(0u8..2), 0..2),
        )
    }

    fn name(number: u8) -> &'static str {
        ["a", "b"][usize::from(number % 2)]
    }

    fn text(number: u8) -> String {
        ["1", "1\nout b"][usize::from(number % 2)].to_owned()
    }

    fn fingerprint(
        cmd: Option<&str>,
        (params, env, env_deps): &Values,
        deps: &Contents,
        outs: &BTreeSet<u8>,
    ) -> Fingerprint {
        Fingerprint {
            cmd: cmd.map(str::to_owned),
            origin: None,
            shell: Vec::new(),
            wdir: None,
            env: env.iter().map(|(at, value)| (name(*at).to_owned(), text(*value))).collect(),
            env_deps: env_deps
                .iter()
                .map(|(at, value)| (name(*at).to_owned(), value.map(text)))
                .collect(),
            tools: BTreeMap::new(),
            deps: deps.iter().map(|(at, number)| (path(*at), content(*number))).collect(),
            params: params
                .iter()
                .map(|(at, value)| (ParamKey::new(name(*at)), text(*value).into()))
                .collect(),
            outs: outs.iter().map(|at| path(*at)).collect(),
            each: BTreeSet::new(),
        }
    }

    proptest! {
        /// The fast path and `decide` are one decision: a matching block means `Fresh`, and `Fresh`
        /// by the lock's trace with all outs present means a matching block.
        #[test]
        fn match_means_fresh(
            cmds in (proptest::option::of(0u8..2), proptest::option::of(0u8..2)),
            values in (values(), values(), any::<bool>()),
            deps in (contents(), contents(), any::<bool>()),
            outs in (contents(), contents(), any::<bool>()),
            accepted in any::<bool>(),
            policy in prop_oneof![Just(Policy::WhenStale), Just(Policy::Frozen)],
        ) {
            let cmd = |number: Option<u8>| number.map(|number| if number == 0 { "x" } else { "y" });
            let declared: BTreeSet<u8> = outs.0.keys().copied().collect();
            let then = fingerprint(cmd(cmds.0), &values.0, &deps.0, &declared);
            let now_deps = if deps.2 { &deps.0 } else { &deps.1 };
            let now_values = if values.2 { &values.0 } else { &values.1 };
            let now = fingerprint(cmd(cmds.1), now_values, now_deps, &declared);
            let contents_of = |list: &Contents| -> BTreeMap<RepoPath, Content> {
                list.iter().map(|(at, number)| (path(*at), content(*number))).collect()
            };
            let written = contents_of(&outs.0);
            let present = if outs.2 { written.clone() } else { contents_of(&outs.1) };
            let accepted = accepted.then(|| "why".to_owned());
            let trace = Trace { fingerprint: then, outs: written, accepted, version: None };

            let mut block = String::new();
            trace_text::write_trace(&mut block, &trace);
            let template = render(&now);
            let prefixes: Vec<Option<String>> = paths(&template)
                .map(|path| RepoPath::parse(path).unwrap())
                .enumerate()
                .map(|(at, path)| {
                    let list = if at < now.deps.len() { &now.deps } else { &present };
                    list.get(&path).map(content_prefix)
                })
                .collect();
            let is_match = matches(&template, &block, prefixes.iter().map(Option::as_deref));

            let facts = Facts {
                outs: now.outs.iter().map(|out| (out.clone(), present.get(out).copied())).collect(),
                locked: Some(Candidate { trace: trace.clone(), blocker: None }),
                unlocked: crate::plan::Change::NeverRan,
                cached: None,
                optional: BTreeSet::new(),
                policy,
                fingerprint: now.clone(),
            };
            let is_fresh = decide(&facts, Force::No) == Decision::Fresh(trace.clone());
            prop_assert!(!is_match || is_fresh, "{template}{block}{prefixes:?}");
            if is_fresh && now == trace.fingerprint {
                prop_assert!(is_match, "{template}{block}{prefixes:?}");
            }
        }
    }
}
