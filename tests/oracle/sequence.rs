//! One project and a sequence of random steps on it. Each step draws from its own random numbers,
//! so that leaving some steps out does not change the others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::choice::Choice;
use crate::counts::Counts;
use crate::declared::Pipeline;
use crate::drive::{self, Interface};
use crate::edits;
use crate::model::{Oracle, all_outs};
use crate::mutant::Mutant;
use crate::past::Past;
use crate::pipelines;
use crate::random::Random;
use crate::tree::remove;
use crate::work;

pub struct Sequence {
    pub root: PathBuf,
    seed: u64,
    pub pipeline: Pipeline,
    pub oracle: Oracle,
    pub past: Past,
    pub counts: Counts,
    pub verbose: bool,
    pub mutant: Option<Mutant>,
    /// The last outcome depended on the order of stages, so nothing can be predicted from here on.
    pub is_over: bool,
}

pub type Step = Result<(), String>;

impl Sequence {
    /// Creates a project with a random pipeline in the directory `place`.
    pub fn begin(place: &Path, seed: u64) -> Sequence {
        let mut random = Random::new(seed);
        Sequence::create(place, seed, &mut random, pipelines::random_pipeline)
    }

    /// Creates a project with the given pipeline in the directory `place`.
    pub fn with(place: &Path, pipeline: Pipeline) -> Sequence {
        Sequence::create(place, 0, &mut Random::new(0), |_| pipeline)
    }

    fn create(
        place: &Path,
        seed: u64,
        random: &mut Random,
        pipeline: impl FnOnce(&mut Random) -> Pipeline,
    ) -> Sequence {
        let root = place.canonicalize().unwrap().join("p");
        fs::create_dir_all(&root).unwrap();
        symlink(std::env::current_exe().unwrap(), place.join("tool")).unwrap();
        edits::sources(&root, random);
        fs::write(place.join("version"), "0\n").unwrap();
        let pipeline = pipeline(random);
        let variables = [("ORACLE_SET".to_owned(), "set".to_owned())].into();
        let (known, accepted) = (HashMap::new(), HashSet::new());
        let oracle = Oracle { root: root.clone(), known, variables, accepted };
        let sequence = Sequence {
            root,
            seed,
            pipeline,
            oracle,
            past: Past::default(),
            counts: Counts::default(),
            verbose: false,
            mutant: None,
            is_over: false,
        };
        sequence.write_pipeline();
        sequence
    }

    pub fn write_pipeline(&self) {
        fs::write(self.root.join("pipeline.toml"), self.pipeline.text()).unwrap();
        let stages = self.pipeline.expanded();
        let notes = self.root.with_file_name("notes");
        fs::create_dir_all(&notes).unwrap();
        for stage in &stages {
            fs::write(notes.join(&stage.name), work::note(stage, &all_outs(&stages))).unwrap();
        }
    }

    /// # Errors
    /// The engine differs from the oracle.
    pub fn step(&mut self, at: usize) -> Step {
        if self.is_over {
            self.counts.undecided("after an outcome that depends on the order of stages");
            return Ok(());
        }
        let mut random =
            Random::new(self.seed ^ (at as u64 + 1).wrapping_mul(0x2545_f491_4f6c_dd1d));
        let interface = if random.percent(3) { Interface::Program } else { Interface::Library };
        match random.below(100) {
            0..=17 => self.run(interface, &mut random)?,
            18..=19 => self.crash(&mut random)?,
            20..=22 => {
                self.log("time passes");
                std::thread::sleep(Duration::from_millis(25));
            }
            23..=25 => self.command(Sequence::checkout, &mut random)?,
            26 => self.command(Sequence::gc, &mut random)?,
            27..=31 => self.command(Sequence::accept, &mut random)?,
            _ => self.edit(&mut random),
        }
        if self.is_over { Ok(()) } else { self.status(interface, &mut random) }
    }

    fn command(
        &mut self,
        command: fn(&mut Sequence, &mut Random) -> Step,
        random: &mut Random,
    ) -> Step {
        self.counts.edits += 1;
        command(self, random)
    }

    pub fn log(&self, what: &str) {
        if self.verbose {
            println!("{what}");
        }
    }

    fn edit(&mut self, random: &mut Random) {
        let times = if random.percent(75) { 1 } else { 2 + random.below(3) };
        for _ in 0..times {
            let what = match random.below(100) {
                0..=49 => edits::edit_source(&self.root, random),
                50..=64 => {
                    let stages = self
                        .pipeline
                        .expanded()
                        .into_iter()
                        .filter(|stage| !stage.tracked)
                        .collect::<Vec<_>>();
                    edits::edit_out(&self.root, &all_outs(&stages), random)
                }
                65..=82 => {
                    let what =
                        pipelines::change(&mut self.pipeline, random).unwrap_or("no change".into());
                    self.write_pipeline();
                    what
                }
                83..=89 => edits::edit_cache(&self.root, random),
                90..=93 => self.edit_lock(random),
                94 => self.change_tool(random),
                95..=96 => self.restore_snapshot(random),
                _ => self.older_index(random),
            };
            self.log(&what);
            self.counts.edits += 1;
        }
    }

    /// Changes the version of the tool that some stages depend on, or removes the tool.
    fn change_tool(&self, random: &mut Random) -> String {
        let path = self.root.with_file_name("version");
        if random.percent(20) {
            remove(&path);
            return "rm the tool".into();
        }
        let version = random.below(3);
        fs::write(path, format!("{version}\n")).unwrap();
        format!("version {version} of the tool")
    }

    fn status(&mut self, interface: Interface, random: &mut Random) -> Step {
        let choice = Choice::for_status(&self.pipeline.expanded(), random);
        let disk = self.oracle.read_disk()?;
        let expected = self.oracle.status(&self.pipeline, &disk, &choice);
        let found = self.received(drive::status(&self.root, interface, &choice)?)?;
        self.counts.statuses += 1;
        let (expected, found) = match (expected, found) {
            (Ok(expected), Ok(found)) => (expected, found),
            (Err(problems), Err(refusal)) => return self.check_refusal(&problems, &refusal),
            (expected, found) => {
                return Err(format!(
                    "status ({interface:?}): should be {expected:?}, is {found:?}"
                ));
            }
        };
        self.counts.verdicts += expected.len() as u64;
        let is_so = |(name, expected): (&String, &crate::model::Assessment)| {
            found.word(name) == expected.verdict.word()
        };
        if !expected.iter().all(is_so)
            || found.stages.keys().any(|name| !expected.contains_key(name))
        {
            let words: BTreeMap<&str, &str> = expected
                .iter()
                .map(|(name, expected)| (name.as_str(), expected.verdict.word()))
                .filter(|(_, word)| *word != "fresh")
                .collect();
            return Err(format!(
                "status ({interface:?})\n should be {words:?}\n is        {:?}",
                found.words()
            ));
        }
        for (name, reported) in &found.stages {
            if let Some(reasons) = &expected[name].reasons {
                let check = reasons.check(&reported.changes);
                check.map_err(|what| format!("why `{name}` ({interface:?}): {what}"))?;
            }
        }
        let problems = expected
            .iter()
            .filter_map(|(name, expected)| Some((name.as_str(), expected.problem.as_ref()?)));
        self.check_failures("status", problems, &found)
    }
}
