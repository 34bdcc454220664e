//! Sequences that once went wrong, written out, so that they do not depend on the random numbers.

use std::collections::BTreeSet;
use std::path::Path;

use crate::choice::Choice;
use crate::declared::{Dep, Glob, Out, Pipeline, Policy, Shape, Stage};
use crate::drive::Interface;
use crate::sequence::{Sequence, Step};
use crate::tree::{Node, file, remove};

type Scenario = fn(&Path) -> Step;

pub const SCENARIOS: [(&str, Scenario); 2] = [
    ("dep_listing_stores_missing_object", dep_listing_stores_missing_object),
    ("checkout_replaces_damaged_object", checkout_replaces_damaged_object),
];

/// A stage that runs stores the listings of its deps. Such a listing can be the very directory
/// object that another stage lacked for its restore.
///
/// Stage `use` reads `gen/**/*.x`, and the listing of `gen/sub` under this glob is the same object
/// as the tree of `copy/sub`, since the directory holds nothing else. That object is deleted, and
/// an edit of `copy` makes stage `copy` need it. When `use` runs first, `copy` is restored, else it
/// runs.
fn dep_listing_stores_missing_object(place: &Path) -> Step {
    let below_gen = Dep::Glob(Glob { base: "gen".into(), deep: true, ext: "x".into() });
    let source = Dep::Path("one.txt".into());
    let used = Dep::Path("used.txt".into());
    let stages = vec![
        stage(1, "gen", &[], "gen", Shape::Dir),
        stage(2, "use", &[source, below_gen], "used.txt", Shape::File),
        stage(3, "copy", &[used], "copy", Shape::Dir),
    ];
    let mut sequence = Sequence::with(place, Pipeline { stages, ..Pipeline::default() });
    sequence.run_choice(Interface::Library, &Choice::all(), 1)?;
    let root = sequence.root.clone();
    let sub = Node::read(&root.join("copy/sub")).unwrap();
    remove(&sequence.oracle.in_cache("objects", &sub.digest()));
    file("edited").write(&root.join("copy/a.x"));
    file("other").write(&root.join("one.txt"));
    let answer = sequence.run_choice(Interface::Library, &Choice::all(), 1)?;
    let word = answer.as_ref().map(|answer| answer.word("copy"));
    match word {
        Some("ran" | "restored") => Ok(()),
        _ => Err(format!("`copy` should be run or restored, is {word:?}")),
    }
}

/// A file that a checkout replaces may be the only intact copy of a damaged object.
fn checkout_replaces_damaged_object(place: &Path) -> Step {
    let source = Dep::Path("one.txt".into());
    let make = Stage { modulus: 0, ..stage(1, "make", &[source], "made.txt", Shape::File) };
    let mut sequence =
        Sequence::with(place, Pipeline { stages: vec![make], ..Pipeline::default() });
    let root = sequence.root.clone();
    let made = root.join("made.txt");
    file("first").write(&root.join("one.txt"));
    sequence.run_choice(Interface::Library, &Choice::all(), 1)?;
    let first = Node::read(&made).unwrap();
    file("second").write(&root.join("one.txt"));
    sequence.run_choice(Interface::Library, &Choice::all(), 1)?;
    first.write(&made);
    file("damaged").write(&sequence.oracle.in_cache("objects", &first.digest()));
    sequence.checkout_all()?;
    if !sequence.oracle.has_whole(&first) {
        return Err("the replaced file is not in the cache".into());
    }
    Ok(())
}

fn stage(id: usize, name: &str, deps: &[Dep], path: &str, shape: Shape) -> Stage {
    Stage {
        id,
        name: name.into(),
        matrix: Vec::new(),
        tracked: false,
        salt: "same".into(),
        modulus: 1,
        deps: deps.iter().cloned().collect(),
        each: None,
        outs: vec![Out {
            path: path.into(),
            shape,
            kept: true,
            persist: false,
            optional: false,
            flaky: false,
        }],
        params: BTreeSet::new(),
        env: None,
        env_deps: BTreeSet::new(),
        has_tool: false,
        wdir: None,
        policy: Policy::WhenStale,
        cpus: 1,
    }
}
