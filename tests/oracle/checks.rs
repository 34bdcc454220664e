//! Checks of answers, and after a run: what ran, what is on the disk, what the lock says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::declared::Policy;
use crate::drive::Answer;
use crate::expected_run::{ExpectedRun, Outcome};
use crate::model::{Disk, all_outs};
use crate::problem::{Problem, Refusal};
use crate::sequence::{Sequence, Step};
use crate::traces::checksum;
use crate::tree::{Node, without_empty};
use crate::work;

impl Sequence {
    pub(super) fn check_run(&self, expected: &ExpectedRun, found: &Answer, ran: &[String]) -> Step {
        for (name, outcome) in &expected.outcomes {
            // Stages that were up to date before the run began are not reported.
            let found = found.word(name);
            let fits = match outcome {
                Outcome::Fresh => found == "fresh",
                Outcome::Restored => found == "restored",
                Outcome::Ran => found == "ran",
                Outcome::RanOrRestored => matches!(found, "ran" | "restored"),
                Outcome::Failed => found == "failed",
                Outcome::Skipped => found == "skipped",
            };
            if !fits {
                return Err(format!("run: `{name}` should be {outcome:?} and is {found}"));
            }
            let stage_of = |line: &&String| line.split(' ').next() == Some(name);
            let mut is: Vec<&String> = ran.iter().filter(stage_of).collect();
            let mut should: Vec<&String> = expected.ran.get(name).into_iter().flatten().collect();
            is.sort();
            should.sort();
            if is != should && !expected.loose.contains(name) {
                return Err(format!("run: of `{name}` ran {is:?}, not {should:?}"));
            }
        }
        Ok(())
    }

    /// Checks that only the expected paths have changed, and that the lock matches the outs.
    pub(super) fn check_disk(&self, expected: &ExpectedRun, after: &Disk) -> Step {
        let (mut should, mut is) = (expected.workspace.clone(), after.workspace.clone());
        for path in &expected.unchecked {
            should.remove(path);
            is.remove(path);
        }
        let (should, is) = (without_empty(should), without_empty(is));
        if should != is {
            return Err(format!("run: on the disk {}", difference(&should, &is)));
        }
        for (name, trace) in &expected.lock {
            match after.lock.get(name) {
                Some(found) if found.text() == trace.text() => {}
                found => {
                    return Err(format!(
                        "run: the lock has for `{name}`\n{:?}\nnot\n{}",
                        found.map(|trace| trace.text()),
                        trace.text()
                    ));
                }
            }
        }
        if after.lock.len() != expected.lock.len() {
            return Err("run: the lock has extra stages".into());
        }
        let text =
            fs::read_to_string(self.root.join("pipeline.lock")).unwrap_or("repro.lock 1\n".into());
        let blocks: String = after
            .lock
            .iter()
            .map(|(name, trace)| {
                let lines = trace.text();
                format!("\nstage {name}\n{lines}{}\n", checksum(&lines))
            })
            .collect();
        if text != format!("repro.lock 1\n{blocks}") {
            return Err(format!("run: the lock is not in its canonical form:\n{text}"));
        }
        for (name, outcome) in &expected.outcomes {
            let stage =
                self.pipeline.expanded().into_iter().find(|stage| stage.name == *name).unwrap();
            let kept = stage.outs.iter().filter(|out| out.kept).map(|out| out.path.as_str());
            for path in kept.chain(stage.each.iter().map(|each| each.folder.as_str())) {
                let had = after.workspace.get(path).is_none_or(|node| self.oracle.has(node));
                if *outcome == Outcome::Ran && !had {
                    return Err(format!("run: `{path}` is not in the cache"));
                }
            }
        }
        Ok(())
    }

    /// Checks that the outs are those the commands make from the present deps.
    pub(super) fn check_work(&self, after: &Disk, is_done: &dyn Fn(&str) -> bool) -> Step {
        let stages = self.pipeline.expanded();
        for stage in stages
            .iter()
            .filter(|stage| {
                is_done(&stage.name) && !stage.tracked && stage.policy != Policy::Frozen
            })
            .filter(|stage| {
                !after.lock.get(&stage.name).is_some_and(|trace| self.oracle.is_accepted(trace))
            })
        {
            let deps = self
                .oracle
                .deps(stage, &after.workspace, &all_outs(&stages))
                .map_err(|problem| format!("after the run: {problem:?}"))?;
            let work = self.oracle.work(stage, &self.pipeline, deps.clone());
            for out in &stage.outs {
                let should = work.out(out.shape, out.flaky);
                if should.as_ref().map(Option::as_ref) != Some(after.workspace.get(&out.path)) {
                    return Err(format!(
                        "after the run `{}` is not what `{}` makes of its deps",
                        out.path, stage.name
                    ));
                }
            }
            let Some(each) = &stage.each else { continue };
            for (item, node) in each.glob.items(&deps[&each.glob.text()]) {
                let out = each.out_of(&item);
                let should =
                    work::item_work(&work, each, &item, &node).result(crate::declared::Shape::File);
                if should.as_ref() != after.workspace.get(&out) {
                    return Err(format!(
                        "after the run `{out}` is not what `{}` makes of `{item}`",
                        stage.name
                    ));
                }
            }
        }
        Ok(())
    }

    /// Applies the mutant to an answer, and checks the answer for panics.
    pub fn received(
        &self,
        mut found: Result<Answer, Refusal>,
    ) -> Result<Result<Answer, Refusal>, String> {
        if let Some(mutant) = self.mutant {
            mutant.change(&mut found);
        }
        if let Ok(answer) = &found {
            answer.check_no_panic()?;
        }
        Ok(found)
    }

    pub fn check_refusal(&mut self, expected: &[Problem], found: &Refusal) -> Step {
        self.counts.refusals += 1;
        found.check(expected)
    }

    /// Checks the exit code, and that the message of each failed stage names the expected subject.
    pub fn check_failures<'a>(
        &mut self,
        command: &str,
        problems: impl Iterator<Item = (&'a str, &'a Problem)>,
        found: &Answer,
    ) -> Step {
        let mut exit = 0;
        for (name, problem) in problems {
            self.counts.failures += 1;
            exit = exit.max(problem.exit);
            let failure = found.stages.get(name).and_then(|reported| reported.failure.as_ref());
            if !failure.is_some_and(|failure| problem.is_about(failure)) {
                return Err(format!(
                    "{command}: the failure of `{name}` should be {problem:?}, is {failure:?}"
                ));
            }
        }
        if found.exit != exit {
            let failures = found.stages.iter().filter(|(_, reported)| reported.failure.is_some());
            return Err(format!(
                "{command}: exit code {}, should be {exit}: {:?}",
                found.exit,
                failures.collect::<Vec<_>>()
            ));
        }
        Ok(())
    }
}

fn difference(should: &Node, is: &Node) -> String {
    let list = |node: &Node| {
        let mut list = BTreeMap::new();
        node.visit("", &mut |path, node| {
            if let Node::File { bytes, executable } = node {
                list.insert(
                    path.to_owned(),
                    format!("{:?}, executable: {executable}", String::from_utf8_lossy(bytes)),
                );
            } else if let Node::Link(target) = node {
                list.insert(path.to_owned(), format!("a link to {target}"));
            }
        });
        list
    };
    let (should, is) = (list(should), list(is));
    let paths: BTreeSet<&String> = should.keys().chain(is.keys()).collect();
    let differing = paths.into_iter().filter(|path| should.get(*path) != is.get(*path));
    differing
        .map(|path| format!("`{path}` is {:?}, not {:?}; ", is.get(path), should.get(path)))
        .collect()
}
