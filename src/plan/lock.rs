//! `pipeline.lock`: the trace of each stage that describes the present workspace.
//!
//! Mechanism: the file is a header line followed by one block per stage. A block is a blank line,
//! the line `stage NAME`, the lines of the [trace](Trace) and a [checksum](lock_sum). [`Blocks`]
//! finds the blocks without parsing them. A block is parsed when it is requested and copied
//! verbatim when it is kept, so the cost of an update depends on the number of changed stages.
//!
//! Invariants: written blocks are sorted by name, and each name occurs once. The file belongs in
//! git, so it contains neither times nor machine names: equal states have equal bytes. The blank
//! line between blocks lets git merge edits of different stages. CRLF line ends are accepted and
//! replaced.
//!
//! Known limits: a malformed line is an error only when its block is parsed. A block of another
//! stage with such a line is copied as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::pipeline::StageName;
use crate::plan::trace_text::{self, TraceReader};
use crate::plan::{Trace, lock_sum};

pub const FILE: &str = "pipeline.lock";
const HEADER: &str = "repro.lock 1";
/// Start of a block; the stage's name follows.
const HEAD: &str = "\nstage ";

/// A fully parsed lock.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lock {
    pub stages: BTreeMap<StageName, Trace>,
    /// Stages whose block does not match its checksum. Their traces name outs that a stage has
    /// made, but not what they were made from.
    pub mixed: BTreeSet<StageName>,
}

/// Error: the text is not a valid lock.
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
        Lock::of(&Blocks::split(String::from(text))?)
    }

    pub fn of(blocks: &Blocks) -> Result<Lock, BadLock> {
        let name = |name| StageName::parse(name).unwrap_or_else(|| panic!("BUG: no stage name"));
        Lock::part(blocks, blocks.names().map(name))
    }

    /// Parses the blocks of some stages. Stages without a block are left out.
    pub fn part(
        blocks: &Blocks,
        stages: impl IntoIterator<Item = StageName>,
    ) -> Result<Lock, BadLock> {
        let mut lock = Lock::default();
        for stage in stages {
            let Some(block) = blocks.block(stage.as_str()) else { continue };
            if !lock_sum::holds(&blocks.text[block.lines.clone()]) {
                lock.mixed.insert(stage.clone());
            }
            lock.stages.insert(stage, blocks.read(block)?);
        }
        Ok(lock)
    }
}

/// The text of a lock, split into blocks that are parsed on demand.
#[derive(Debug, Default)]
pub struct Blocks {
    text: String,
    /// Sorted by name.
    blocks: Vec<Block>,
}

/// The ranges of a block's name and of the lines below it.
#[derive(Debug)]
struct Block {
    name: Range<usize>,
    lines: Range<usize>,
}

impl Blocks {
    /// Finds the blocks of a lock.
    ///
    /// # Errors
    /// The text is not a lock of this version, has lines outside the blocks, or repeats a stage.
    pub fn split(text: String) -> Result<Blocks, BadLock> {
        let text = if text.contains('\r') { text.replace("\r\n", "\n") } else { text };
        let bad = |line, what| Err(BadLock { line, what });
        let first = text.lines().next().unwrap_or_default();
        if first != HEADER {
            return match first.starts_with("repro.lock ") {
                true => bad(1, "written by a newer version of repro"),
                false => bad(1, "expected `repro.lock 1`"),
            };
        }
        let heads: Vec<usize> = text.match_indices(HEAD).map(|(at, _)| at).collect();
        let preamble = &text[first.len()..heads.first().copied().unwrap_or(text.len())];
        if let Some(at) = preamble.lines().position(|line| !line.is_empty()) {
            return bad(at + 1, "line outside a stage");
        }
        let mut blocks = Vec::with_capacity(heads.len());
        for (at, &head) in heads.iter().enumerate() {
            let end = heads.get(at + 1).copied().unwrap_or(text.len());
            let name = head + HEAD.len();
            let name_end = text[name..end].find('\n').map_or(end, |length| name + length);
            if StageName::parse(&text[name..name_end]).is_none() {
                return bad(line_at(&text, name), "invalid stage name");
            }
            blocks.push(Block { name: name..name_end, lines: (name_end + 1).min(end)..end });
        }
        // Blocks that repro wrote are sorted already, which makes this cheap.
        blocks.sort_by(|one, other| text[one.name.clone()].cmp(&text[other.name.clone()]));
        let duplicate =
            blocks.windows(2).find(|pair| text[pair[0].name.clone()] == text[pair[1].name.clone()]);
        let duplicate = duplicate.map(|pair| pair[1].name.start);
        let blocks = Blocks { text, blocks };
        match duplicate {
            None => Ok(blocks),
            Some(at) => bad(line_at(&blocks.text, at), "duplicate stage"),
        }
    }

    /// Returns the names of the stages, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().map(|block| &self.text[block.name.clone()])
    }

    /// Returns the name and the lines of each block, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.blocks
            .iter()
            .map(|block| (&self.text[block.name.clone()], &self.text[block.lines.clone()]))
    }

    /// Parses the trace of a stage; `None` if the lock has none.
    pub fn trace(&self, name: &str) -> Result<Option<Trace>, BadLock> {
        self.block(name).map(|block| self.read(block)).transpose()
    }

    /// Returns the text with traces replaced, added or, for `None`, removed.
    ///
    /// `changes` must be sorted by name.
    pub fn with<'t>(
        &self,
        changes: impl IntoIterator<Item = (&'t StageName, Option<&'t Trace>)>,
    ) -> String {
        let mut text = String::with_capacity(self.text.len() + 4096);
        text.push_str(HEADER);
        text.push('\n');
        let mut kept = self.blocks.iter().peekable();
        let name = |block: &Block| &self.text[block.name.clone()];
        let copy = |text: &mut String, block: &Block| {
            let lines = self.text[block.lines.clone()].trim_end_matches('\n');
            text.extend([HEAD, name(block), "\n", lines, "\n"]);
        };
        for (changed, trace) in changes {
            while let Some(block) = kept.next_if(|block| name(block) < changed.as_str()) {
                copy(&mut text, block);
            }
            kept.next_if(|block| name(block) == changed.as_str());
            if let Some(trace) = trace {
                text.extend([HEAD, changed.as_str(), "\n"]);
                let start = text.len();
                trace_text::write_trace(&mut text, trace);
                let sum = lock_sum::line(&text[start..]);
                text.extend([&*sum, "\n"]);
            }
        }
        kept.for_each(|block| copy(&mut text, block));
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
            let is_of_trace = !line.is_empty() && !lock_sum::is_sum(line);
            if is_of_trace && reader.push_line(line).is_err() {
                let what = match trace_text::is_known(line) {
                    true => "malformed line",
                    false => "unknown kind of line; a newer version of repro may have written it",
                };
                return Err(BadLock { line: line_at(&self.text, at), what });
            }
            at += line.len() + 1;
        }
        Ok(reader.finish())
    }
}

/// Parses the lines of a block; `None` if one is malformed or the checksum does not match.
pub fn trace(lines: &str) -> Option<Trace> {
    if !lock_sum::holds(lines) {
        return None;
    }
    let mut reader = TraceReader::default();
    let mut lines = lines.lines().filter(|line| !line.is_empty() && !lock_sum::is_sum(line));
    lines.try_for_each(|line| reader.push_line(line)).ok().map(|()| reader.finish())
}

/// Returns the text of a lock with these blocks, each a name and its lines, sorted by name.
pub fn join<'b>(blocks: impl IntoIterator<Item = (&'b str, &'b str)>) -> String {
    let mut text = format!("{HEADER}\n");
    for (name, lines) in blocks {
        text.extend([HEAD, name, "\n", lines.trim_end_matches('\n'), "\n"]);
    }
    text
}

/// Returns the number of the line at a byte offset, counted from 1.
fn line_at(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count()
}
