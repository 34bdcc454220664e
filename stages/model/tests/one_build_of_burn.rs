//! All cargo commands must select the same features for burn's dependencies. If they differ, cargo
//! recompiles burn for that command, which takes minutes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Feature sets by package and version.
type Features = BTreeMap<String, BTreeSet<String>>;

fn features(selection: &[&str]) -> Features {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix", "none", "--format", "{p}|{f}"])
        .args(selection)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut features = Features::new();
    // Empty lines separate the members of the workspace.
    for line in String::from_utf8(output.stdout).unwrap().lines().filter(|line| !line.is_empty()) {
        let (package, set) = line.split_once('|').unwrap();
        // Cut off the markers: `(*)` for repeated packages, and `(proc-macro)`.
        let package = package.split(" (").next().unwrap().to_owned();
        features.entry(package).or_default().insert(set.trim_end_matches(" (*)").to_owned());
    }
    features
}

#[test]
fn burn_features_are_unified() {
    let below: Vec<String> =
        features(&["--package", "burn", "--edges", "normal"]).into_keys().collect();
    let whole = features(&["--workspace", "--edges", "normal,build"]);
    let mut differences = Vec::new();
    for selection in [
        &["--package", "kernels", "--edges", "normal,build"][..],
        &["--package", "kernels", "--edges", "normal,build,dev"],
        &["--package", "model", "--edges", "normal,build"],
        &["--package", "train", "--edges", "normal,build"],
        &["--package", "evaluate", "--edges", "normal,build"],
        &["--package", "export", "--edges", "normal,build"],
        &["--package", "model", "--edges", "normal,build,dev"],
        &["--package", "train", "--edges", "normal,build,dev"],
        &["--workspace", "--edges", "normal,build,dev"],
    ] {
        let part = features(selection);
        for package in &below {
            let sets = |features: &Features| features.get(package).cloned().unwrap_or_default();
            let (found, all) = (sets(&part), sets(&whole));
            // A package may be built twice, for the program and for macros, with two feature sets.
            if !found.is_subset(&all) {
                differences
                    .push(format!("{selection:?}: {package} has {found:?}, the workspace {all:?}"));
            }
        }
    }
    assert!(
        differences.is_empty(),
        "pin these in stages/kernels/Cargo.toml:\n{}",
        differences.join("\n")
    );
}
