//! Earlier states of a project, and edits that bring parts of one back.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::declared::Pipeline;
use crate::edits;
use crate::random::Random;
use crate::sequence::Sequence;
use crate::tree::{Node, remove};

const SOURCES: [&str; 6] = ["one.txt", "two.txt", "src", "alt1", "alt2", "data/mine.txt"];

/// The states that a sequence remembers.
#[derive(Default)]
pub struct Past {
    history: Vec<Snapshot>,
    /// Older versions of the index files.
    indexes: Vec<Vec<(PathBuf, Vec<u8>)>>,
}

/// The files that `git checkout` would restore.
#[derive(Clone)]
struct Snapshot {
    pipeline: Pipeline,
    sources: BTreeMap<String, Option<Node>>,
    lock: Option<Vec<u8>>,
}

impl Sequence {
    pub fn edit_lock(&mut self, random: &mut Random) -> String {
        let lock = self.root.join("pipeline.lock");
        let older = random.any(&self.past.history).and_then(|snapshot| snapshot.lock);
        match older {
            Some(older) if random.percent(60) => {
                fs::write(lock, older).unwrap();
                "an older lock".into()
            }
            _ => {
                remove(&lock);
                "rm pipeline.lock".into()
            }
        }
    }

    /// Restores an earlier state like `git checkout`: ignored files stay.
    pub fn restore_snapshot(&mut self, random: &mut Random) -> String {
        let Some(Snapshot { pipeline, sources, lock }) = random.any(&self.past.history) else {
            return "no history".into();
        };
        self.pipeline = pipeline;
        self.write_pipeline();
        for (path, node) in sources {
            let full = self.root.join(&path);
            if Node::read(&full) != node {
                remove(&full);
                if let Some(node) = node {
                    node.write(&full);
                }
            }
        }
        let place = self.root.join("pipeline.lock");
        match lock {
            Some(lock) => fs::write(place, lock).unwrap(),
            None => remove(&place),
        }
        "git checkout of an earlier state".into()
    }

    pub fn remember(&mut self) {
        let sources =
            SOURCES.iter().map(|path| ((*path).to_owned(), Node::read(&self.root.join(path))));
        let lock = fs::read(self.root.join("pipeline.lock")).ok();
        self.past.history.push(Snapshot {
            pipeline: self.pipeline.clone(),
            sources: sources.collect(),
            lock,
        });
        let files = edits::state_files(&self.root.join("cache"));
        self.past
            .indexes
            .push(files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect());
    }

    pub fn older_index(&mut self, random: &mut Random) -> String {
        for (path, bytes) in random.any(&self.past.indexes).unwrap_or_default() {
            if self.root.join("cache").exists() {
                fs::write(path, bytes).unwrap();
            }
        }
        "an older index".into()
    }
}
