//! Serialized snapshots of a validated pipeline, from which single stages can be read.
//!
//! Mechanism: the bytes are a text part, an array of little-endian `u32` numbers, the number of
//! numbers and a BLAKE3 checksum of everything before it. The texts are stored without separators;
//! the numbers hold their lengths and the lists of positions. Decoding finds the ranges of each
//! stage but parses no declaration: [`PipelineSnapshot::part`] parses only the chosen stages.
//!
//! Invariants: a snapshot is valid as long as its [`Inputs`] are unchanged, which the caller
//! checks. Bytes that are damaged or of another version decode to `None`, never to another
//! pipeline. All positions are checked when decoding.
//!
//! Known limits: params that no stage reads are not stored, so a partial pipeline has none. Numbers
//! are limited to 32 bits.
//!
//! Does not know where the bytes are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::pipeline::{
    Goals, Graph, Links, OutsInGit, ParamKey, ParamValue, Params, PathEntry, Pipeline, RemoteSpec,
    Role, Stage, StageIx, StageSet, Tokens,
};
use crate::plan::lock_template;
use crate::repo_path::RepoPath;

/// Start of the text part; changes with the format.
const HEADER: &str = "repro.snapshot 8\n";

/// A decoded snapshot; the stages' declarations are still text.
#[derive(Debug)]
pub struct PipelineSnapshot {
    pub header: Header,
    numbers: Vec<u32>,
    texts: String,
    /// The paths in the templates, each once, as ranges of `texts`.
    paths: Vec<Range<usize>>,
    entries: Vec<Entry>,
}

/// The properties of the pipeline as a whole.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    pub inputs: Inputs,
    name: Option<String>,
    /// The params that a stage reads or has in its texts.
    pub params: BTreeMap<ParamKey, ParamValue>,
    warnings: Vec<String>,
    goals: Goals,
    tokens: Tokens,
    links: Links,
    outs_in_git: OutsInGit,
    cache_dir: Option<String>,
    trash: Duration,
    shared_by_worktrees: Vec<RepoPath>,
    remotes: Vec<RemoteSpec>,
    pub external: BTreeMap<RepoPath, String>,
    /// Stages that have metrics among their outs.
    pub with_metrics: Vec<StageIx>,
    /// The outs of stages without a template, and the places of outs that links lead to.
    pub other_outs: Vec<RepoPath>,
    /// Existing paths that no stage makes and a template names.
    pub present: Vec<RepoPath>,
    /// Existing paths that no stage makes and no template names.
    pub also_present: Vec<RepoPath>,
}

/// Everything that the result of reading and validating the pipeline depends on.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// The identity of the program: another build may read the files differently.
    pub program: String,
    /// Digests of the files' texts.
    pub files: BTreeMap<RepoPath, Digest>,
    /// Relevant names in each folder.
    pub folders: BTreeMap<RepoPath, Vec<String>>,
    /// Entries on the way to deps and outs, without deps that are files and that no stage makes.
    pub entries: BTreeMap<RepoPath, PathEntry>,
    /// Values of the environment variables that stages depend on.
    pub variables: BTreeMap<String, Option<String>>,
}

/// The ranges of a stage's parts: the first three in the texts, the others in the numbers.
#[derive(Debug)]
struct Entry {
    name: Range<usize>,
    template: Range<usize>,
    declaration: Range<usize>,
    /// Positions in `paths`, in the order of the template's lines.
    paths: Range<usize>,
    needs: Range<usize>,
}

impl PipelineSnapshot {
    /// Takes a snapshot of a pipeline.
    ///
    /// `template_of` returns the [template](lock_template) of a stage, `None` if it has none.
    /// `present` are the existing paths that no stage makes.
    pub fn of(
        pipeline: &Pipeline,
        inputs: Inputs,
        present: BTreeSet<RepoPath>,
        template_of: impl Fn(&Stage) -> Option<String>,
    ) -> PipelineSnapshot {
        let stages = &pipeline.stages;
        let templates: Vec<String> =
            stages.iter().map(|stage| template_of(stage).unwrap_or_default()).collect();
        let others = stages.iter().zip(&templates).filter(|(_, template)| template.is_empty());
        let places = stages.iter().flat_map(|stage| &stage.outs).filter_map(|out| out.real.clone());
        let mut paths: BTreeMap<&str, usize> = templates
            .iter()
            .flat_map(|text| lock_template::paths(text))
            .map(|path| (path, 0))
            .collect();
        let (present, also_present) =
            present.into_iter().partition(|path| paths.contains_key(path.as_str()));
        let header = Header {
            inputs,
            name: pipeline.name.clone(),
            params: pipeline.used_params(),
            warnings: pipeline.warnings.clone(),
            goals: pipeline.goals.clone(),
            tokens: pipeline.tokens.clone(),
            links: pipeline.links.clone(),
            outs_in_git: pipeline.outs_in_git,
            cache_dir: pipeline.cache_dir.clone(),
            trash: pipeline.trash,
            shared_by_worktrees: pipeline.shared_by_worktrees.clone(),
            remotes: pipeline.remotes.clone(),
            external: pipeline.external.clone(),
            with_metrics: StageIx::enumerate(stages)
                .filter(|(_, stage)| has_metrics(stage))
                .map(|(ix, _)| ix)
                .collect(),
            other_outs: others
                .flat_map(|(stage, _)| &stage.outs)
                .map(|out| out.path.clone())
                .chain(places)
                .collect(),
            present,
            also_present,
        };
        let mut writer = Writer { numbers: Vec::new(), texts: HEADER.to_owned() };
        writer.text(&json(&header));
        writer.number(paths.len());
        for (position, (path, at)) in paths.iter_mut().enumerate() {
            *at = position;
            writer.text(path);
        }
        writer.number(stages.len());
        for (ix, (stage, template)) in StageIx::enumerate(stages.iter().zip(&templates)) {
            writer.text(stage.name.as_str());
            writer.text(template);
            writer.text(&json(stage));
            writer.list(lock_template::paths(template).map(|path| paths[path]));
            writer.list(pipeline.graph.needs(ix).iter().map(|need| need.position()));
        }
        let mut by_name: Vec<StageIx> = StageIx::all(stages.len()).collect();
        by_name.sort_by_key(|&ix| &stages[ix].name);
        writer.list(pipeline.graph.order().iter().map(|ix| ix.position()));
        writer.list(by_name.into_iter().map(StageIx::position));
        PipelineSnapshot::from_parts(writer.numbers, writer.texts)
            .unwrap_or_else(|| panic!("BUG: a new snapshot does not decode"))
    }

    /// Decodes a snapshot; `None` if any byte differs from what [`PipelineSnapshot::encode`] wrote.
    pub fn decode(mut bytes: Vec<u8>) -> Option<PipelineSnapshot> {
        let (body, checksum) = bytes.split_last_chunk::<32>()?;
        if Digest::of(body) != Digest::from_bytes(*checksum) {
            return None;
        }
        let (body, count) = body.split_last_chunk::<4>()?;
        let length = body.len().checked_sub(u32::from_le_bytes(*count) as usize * 4)?;
        let words = body[length..].chunks_exact(4);
        let numbers =
            words.map(|word| u32::from_le_bytes(word.try_into().unwrap_or_default())).collect();
        // The texts make up most of the bytes and are not copied.
        bytes.truncate(length);
        PipelineSnapshot::from_parts(numbers, String::from_utf8(bytes).ok()?)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.texts.len() + self.numbers.len() * 4 + 36);
        bytes.extend_from_slice(self.texts.as_bytes());
        bytes.extend(self.numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend_from_slice(&to_u32(self.numbers.len()).to_le_bytes());
        let checksum = Digest::of(&bytes);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes
    }

    fn from_parts(numbers: Vec<u32>, texts: String) -> Option<PipelineSnapshot> {
        texts.strip_prefix(HEADER)?;
        let mut cursor = Cursor { numbers: &numbers, texts: &texts, at: 0, text: HEADER.len() };
        let header = serde_json::from_str(&texts[cursor.text()?]).ok()?;
        let paths = (0..cursor.number()?).map(|_| cursor.text()).collect::<Option<Vec<_>>>()?;
        let count = cursor.number()?;
        let mut entries = Vec::with_capacity(count.min(numbers.len()));
        for _ in 0..count {
            let (name, template, declaration) = (cursor.text()?, cursor.text()?, cursor.text()?);
            let (paths, needs) = (cursor.list(paths.len())?, cursor.list(count)?);
            entries.push(Entry { name, template, declaration, paths, needs });
        }
        let is_full = |list: Range<usize>| list.len() == count;
        let last_lists_are_full = is_full(cursor.list(count)?) && is_full(cursor.list(count)?);
        let is_complete = last_lists_are_full && cursor.at == numbers.len();
        is_complete.then_some(PipelineSnapshot { header, numbers, texts, paths, entries })
    }

    /// Returns the number of stages.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Returns the paths in the templates, each once.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| &self.texts[path.clone()])
    }

    pub fn name(&self, ix: StageIx) -> &str {
        &self.texts[self.entries[ix].name.clone()]
    }

    /// Returns the template of a stage and the positions of its paths in
    /// [`PipelineSnapshot::paths`].
    ///
    /// `None` if texts and contents alone do not decide whether the stage is up to date.
    pub fn template(&self, ix: StageIx) -> Option<(&str, impl Iterator<Item = usize>)> {
        let entry = &self.entries[ix];
        let text = &self.texts[entry.template.clone()];
        (!text.is_empty()).then(|| (text, self.list(entry.paths.clone())))
    }

    /// Returns the stages, each after those that it needs.
    pub fn order(&self) -> impl Iterator<Item = StageIx> {
        self.last_lists(0)
    }

    /// Returns the stages sorted by name.
    pub fn by_name(&self) -> impl Iterator<Item = StageIx> {
        self.last_lists(1)
    }

    pub fn needs(&self, ix: StageIx) -> impl Iterator<Item = StageIx> {
        self.list(self.entries[ix].needs.clone()).map(StageIx::new)
    }

    /// Returns the pipeline reduced to the `chosen` stages; `None` if a declaration does not parse.
    pub fn part(&self, chosen: &StageSet) -> Option<Pipeline> {
        let kept: Vec<StageIx> = chosen.iter().collect();
        let stage = |&ix: &StageIx| {
            serde_json::from_str(&self.texts[self.entries[ix].declaration.clone()]).ok()
        };
        let stages = kept.iter().map(stage).collect::<Option<Vec<Stage>>>()?;
        let position = |need: StageIx| kept.binary_search(&need).ok().map(StageIx::new);
        let needs = kept.iter().map(|&ix| self.needs(ix).filter_map(position).collect());
        let Header {
            name,
            warnings,
            goals,
            tokens,
            links,
            outs_in_git,
            cache_dir,
            trash,
            shared_by_worktrees,
            remotes,
            external,
            params,
            ..
        } = &self.header;
        Some(Pipeline {
            name: name.clone(),
            params: Params::default(),
            warnings: warnings.clone(),
            overridden: BTreeSet::new(),
            goals: goals.clone(),
            tokens: tokens.clone(),
            links: links.clone(),
            outs_in_git: *outs_in_git,
            cache_dir: cache_dir.clone(),
            trash: *trash,
            shared_by_worktrees: shared_by_worktrees.clone(),
            remotes: remotes.clone(),
            external: external.clone(),
            // With those that stages read, among which they count once.
            rendered_params: params.clone(),
            graph: Graph::new(needs.collect()).ok()?,
            stages,
        })
    }

    /// Returns list 0 or 1 at the end of the numbers.
    ///
    /// Each has one number per stage, after its length.
    fn last_lists(&self, which: usize) -> impl Iterator<Item = StageIx> {
        let count = self.entries.len();
        let start = self.numbers.len() - (2 - which) * (count + 1) + 1;
        self.list(start..start + count).map(StageIx::new)
    }

    fn list(&self, range: Range<usize>) -> impl Iterator<Item = usize> {
        self.numbers[range].iter().map(|&number| number as usize)
    }
}

fn has_metrics(stage: &Stage) -> bool {
    stage.outs.iter().any(|out| out.role == Role::Metrics)
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|err| panic!("BUG: cannot serialize a declaration: {err}"))
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or_else(|_| panic!("BUG: {value} does not fit in 32 bits"))
}

/// Writes numbers and texts in sequence.
struct Writer {
    numbers: Vec<u32>,
    texts: String,
}

impl Writer {
    fn number(&mut self, number: usize) {
        self.numbers.push(to_u32(number));
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.texts.push_str(text);
    }

    fn list(&mut self, list: impl Iterator<Item = usize>) {
        let list: Vec<usize> = list.collect();
        self.number(list.len());
        list.into_iter().for_each(|number| self.number(number));
    }
}

/// Reads them in the same order; each method returns `None` at the end or for a bad position.
struct Cursor<'n> {
    numbers: &'n [u32],
    texts: &'n str,
    at: usize,
    text: usize,
}

impl Cursor<'_> {
    fn number(&mut self) -> Option<usize> {
        self.at += 1;
        self.numbers.get(self.at - 1).map(|&number| number as usize)
    }

    fn text(&mut self) -> Option<Range<usize>> {
        let start = self.text;
        self.text += self.number()?;
        self.texts.get(start..self.text).map(|_| start..self.text)
    }

    /// Reads a list of positions, each less than `length`.
    fn list(&mut self, length: usize) -> Option<Range<usize>> {
        let count = self.number()?;
        let start = self.at;
        self.at += count;
        let list = self.numbers.get(start..self.at)?;
        list.iter().all(|&position| (position as usize) < length).then_some(start..self.at)
    }
}
