//! `pipeline.lock`: what is in the workspace now, as stage → trace. It goes into git, so it has no times in it, is sorted,
//! and keeps a blank line between blocks: edits of different stages merge.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::pipeline::StageName;
use crate::plan::Trace;
use crate::plan::record::{self, TraceReader};

pub const FILE: &str = "pipeline.lock";
const HEADER: &str = "repro.lock 1";
/// Begins a block; the name follows.
const HEAD: &str = "\nstage ";

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lock {
    pub stages: BTreeMap<StageName, Trace>,
}

/// Where and why a text is not a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLock {
    /// Counted from 1.
    pub line: usize,
    pub what: &'static str,
}

impl Lock {
    pub fn encode(&self) -> String {
        Blocks::default().with(self.stages.iter().map(|(name, trace)| (name, Some(trace))))
    }

    pub fn decode(text: &str) -> Result<Lock, BadLock> {
        Lock::of(&Blocks::cut(text.to_owned())?)
    }

    pub fn of(blocks: &Blocks) -> Result<Lock, BadLock> {
        let mut lock = Lock::default();
        for block in &blocks.blocks {
            let name = StageName::parse(&blocks.text[block.name.clone()]);
            let name = name.unwrap_or_else(|| panic!("BUG: a block without a name"));
            lock.stages.insert(name, blocks.read(block)?);
        }
        Ok(lock)
    }
}

/// The text of a lock, cut into blocks by name. A block is understood when it is asked for and copied when it stays, so to
/// change a lock costs what is changed.
#[derive(Debug, Default)]
pub struct Blocks {
    text: String,
    /// By name.
    blocks: Vec<Block>,
}

/// Where in the text a block's name and the lines below it are.
#[derive(Debug)]
struct Block {
    name: Range<usize>,
    lines: Range<usize>,
}

impl Blocks {
    /// # Errors
    /// It is no lock of this version, has something outside of a block, or a stage twice.
    pub fn cut(text: String) -> Result<Blocks, BadLock> {
        let text = if text.contains('\r') { text.replace("\r\n", "\n") } else { text };
        let bad = |line, what| Err(BadLock { line, what });
        let first = text.lines().next().unwrap_or_default();
        if first != HEADER {
            return match first.starts_with("repro.lock ") {
                true => bad(1, "was written by a newer version"),
                false => bad(1, "does not begin with `repro.lock 1`"),
            };
        }
        let heads: Vec<usize> = text.match_indices(HEAD).map(|(at, _)| at).collect();
        let preamble = &text[first.len()..heads.first().copied().unwrap_or(text.len())];
        if let Some(at) = preamble.lines().position(|line| !line.is_empty()) {
            return bad(at + 1, "has a line outside of a stage");
        }
        let mut blocks = Vec::with_capacity(heads.len());
        for (at, &head) in heads.iter().enumerate() {
            let end = heads.get(at + 1).copied().unwrap_or(text.len());
            let name = head + HEAD.len();
            let name_end = text[name..end].find('\n').map_or(end, |length| name + length);
            if StageName::parse(&text[name..name_end]).is_none() {
                return bad(line_at(&text, name), "has a bad stage name");
            }
            blocks.push(Block { name: name..name_end, lines: (name_end + 1).min(end)..end });
        }
        // In a lock that we wrote they are sorted, and sorting finds it so.
        blocks.sort_by(|one, other| text[one.name.clone()].cmp(&text[other.name.clone()]));
        let twice =
            blocks.windows(2).find(|pair| text[pair[0].name.clone()] == text[pair[1].name.clone()]);
        let twice = twice.map(|pair| pair[1].name.start);
        let blocks = Blocks { text, blocks };
        match twice {
            None => Ok(blocks),
            Some(at) => bad(line_at(&blocks.text, at), "has a stage twice"),
        }
    }

    /// The names of the stages, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().map(|block| &self.text[block.name.clone()])
    }

    /// By name, the lines of each stage's block.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blocks
            .iter()
            .map(|block| (&self.text[block.name.clone()], &self.text[block.lines.clone()]))
    }

    /// The trace that a block holds.
    pub fn trace(&self, name: &str) -> Result<Option<Trace>, BadLock> {
        self.block(name).map(|block| self.read(block)).transpose()
    }

    /// The text with some stages' traces replaced, added or, for `None`, left out; `changes` are sorted by name.
    pub fn with<'t>(
        &self,
        changes: impl IntoIterator<Item = (&'t StageName, Option<&'t Trace>)>,
    ) -> String {
        let mut text = String::with_capacity(self.text.len() + 4096);
        text.push_str(HEADER);
        text.push('\n');
        let mut stays = self.blocks.iter().peekable();
        let name = |block: &Block| &self.text[block.name.clone()];
        let copy = |text: &mut String, block: &Block| {
            let lines = self.text[block.lines.clone()].trim_end_matches('\n');
            text.extend([HEAD, name(block), "\n", lines, "\n"]);
        };
        for (changed, trace) in changes {
            while let Some(block) = stays.next_if(|block| name(block) < changed.as_str()) {
                copy(&mut text, block);
            }
            stays.next_if(|block| name(block) == changed.as_str());
            if let Some(trace) = trace {
                text.extend([HEAD, changed.as_str(), "\n"]);
                record::write_trace(&mut text, trace);
            }
        }
        stays.for_each(|block| copy(&mut text, block));
        text
    }

    fn block(&self, name: &str) -> Option<&Block> {
        let found = self.blocks.binary_search_by(|block| self.text[block.name.clone()].cmp(name));
        found.ok().map(|at| &self.blocks[at])
    }

    fn read(&self, block: &Block) -> Result<Trace, BadLock> {
        let mut reader = TraceReader::default();
        let mut at = block.lines.start;
        for line in self.text[block.lines.clone()].split('\n') {
            if !line.is_empty() && reader.line(line).is_err() {
                return Err(BadLock {
                    line: line_at(&self.text, at),
                    what: "has a line that is not understood",
                });
            }
            at += line.len() + 1;
        }
        Ok(reader.finish())
    }
}

fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
}
