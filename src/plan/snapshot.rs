//! A valid pipeline as bytes, from which single stages can be read: what is left when `pipeline.toml` was read and checked.
//! It matches as long as all that it was made from is what it was. Knows nothing of where the bytes are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::pipeline::{
    Goals, Graph, Links, ParamKey, ParamValue, Params, Pipeline, Role, Stage, StageIx, Tokens,
};
use crate::plan::lock_template;
use crate::repo_path::RepoPath;

/// Before the texts.
const HEADER: &str = "repro.snapshot 3\n";

/// Numbers and texts are kept apart, so that loading takes neither apart further than it is asked for.
#[derive(Debug)]
pub struct PipelineSnapshot {
    pub header: Header,
    numbers: Vec<u32>,
    texts: String,
    /// The paths that templates name, each once.
    paths: Vec<Range<usize>>,
    entries: Vec<Entry>,
}

/// What is said of the pipeline as a whole.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    pub inputs: Inputs,
    name: Option<String>,
    /// Those that a stage reads.
    pub params: BTreeMap<ParamKey, ParamValue>,
    groups: BTreeMap<String, String>,
    goals: Goals,
    tokens: Tokens,
    links: Links,
    /// Stages that have metrics among their outs.
    pub with_metrics: Vec<StageIx>,
    /// What stages without an template write.
    pub other_outs: Vec<RepoPath>,
    /// Paths that no stage makes and that were there: those that an template names, and the others.
    pub present: Vec<RepoPath>,
    pub also_present: Vec<RepoPath>,
}

/// What a pipeline is made from.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Which program read it: another one may read it differently.
    pub program: String,
    /// Files, and the digests of their texts.
    pub files: BTreeMap<RepoPath, Digest>,
    /// Folders, and the names in them that count.
    pub folders: BTreeMap<RepoPath, Vec<String>>,
    /// Variables that stages depend on.
    pub variables: BTreeMap<String, Option<String>>,
}

/// Where the parts of a stage are, the first three among the texts, the others among the numbers.
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
    /// `template_of` gives the [template] of a stage, `None` if it has none.
    /// `present` are the paths that no stage makes and that were there.
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
            groups: pipeline.groups.clone(),
            goals: pipeline.goals.clone(),
            tokens: pipeline.tokens.clone(),
            links: pipeline.links.clone(),
            with_metrics: (0..stages.len()).filter(|&ix| has_metrics(&stages[ix])).collect(),
            other_outs: others
                .flat_map(|(stage, _)| &stage.outs)
                .map(|out| out.path.clone())
                .collect(),
            present,
            also_present,
        };
        let mut parts = Parts { numbers: Vec::new(), texts: HEADER.to_owned() };
        parts.text(&json(&header));
        parts.number(paths.len());
        for (position, (path, at)) in paths.iter_mut().enumerate() {
            *at = position;
            parts.text(path);
        }
        parts.number(stages.len());
        for (ix, (stage, template)) in stages.iter().zip(&templates).enumerate() {
            parts.text(stage.name.as_str());
            parts.text(template);
            parts.text(&json(stage));
            parts.list(lock_template::paths(template).map(|path| paths[path]));
            parts.list(pipeline.graph.needs(ix).iter().copied());
        }
        let mut by_name: Vec<StageIx> = (0..stages.len()).collect();
        by_name.sort_by_key(|&ix| &stages[ix].name);
        parts.list(pipeline.graph.order().iter().copied());
        parts.list(by_name.into_iter());
        PipelineSnapshot::from_parts(parts.numbers, parts.texts)
            .unwrap_or_else(|| panic!("BUG: a pipeline that does not read back"))
    }

    /// `None` unless every byte is as it was written.
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
        // The texts are most of it, and stay where they were read.
        bytes.truncate(length);
        PipelineSnapshot::from_parts(numbers, String::from_utf8(bytes).ok()?)
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.texts.len() + self.numbers.len() * 4 + 36);
        bytes.extend_from_slice(self.texts.as_bytes());
        bytes.extend(self.numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.extend_from_slice(&small(self.numbers.len()).to_le_bytes());
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
        let is_all = last_lists_are_full && cursor.at == numbers.len();
        is_all.then_some(PipelineSnapshot { header, numbers, texts, paths, entries })
    }

    /// How many stages there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The paths that templates name, each once.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| &self.texts[path.clone()])
    }

    pub fn name(&self, ix: StageIx) -> &str {
        &self.texts[self.entries[ix].name.clone()]
    }

    /// The template of a stage, with the positions of its paths in [`PipelineSnapshot::paths`]; `None` if more than texts and contents
    /// decide whether the stage is up to date.
    pub fn template(&self, ix: StageIx) -> Option<(&str, impl Iterator<Item = usize>)> {
        let entry = &self.entries[ix];
        let text = &self.texts[entry.template.clone()];
        (!text.is_empty()).then(|| (text, self.list(entry.paths.clone())))
    }

    /// Stages, each after those that it needs.
    pub fn order(&self) -> impl Iterator<Item = StageIx> {
        self.last_lists(0)
    }

    /// Stages, sorted by name.
    pub fn by_name(&self) -> impl Iterator<Item = StageIx> {
        self.last_lists(1)
    }

    pub fn needs(&self, ix: StageIx) -> impl Iterator<Item = StageIx> {
        self.list(self.entries[ix].needs.clone())
    }

    /// The pipeline without the stages that are not among the `chosen`. `None` if something does not read back.
    pub fn part(&self, chosen: &[bool]) -> Option<Pipeline> {
        let kept: Vec<StageIx> = (0..self.entries.len()).filter(|&ix| chosen[ix]).collect();
        let stage = |&ix: &StageIx| {
            serde_json::from_str(&self.texts[self.entries[ix].declaration.clone()]).ok()
        };
        let stages = kept.iter().map(stage).collect::<Option<Vec<Stage>>>()?;
        let position = |need: StageIx| kept.binary_search(&need).ok();
        let needs = kept.iter().map(|&ix| self.needs(ix).filter_map(position).collect());
        let Header { name, groups, goals, tokens, links, .. } = &self.header;
        Some(Pipeline {
            name: name.clone(),
            params: Params::default(),
            written: BTreeMap::new(),
            groups: groups.clone(),
            goals: goals.clone(),
            tokens: tokens.clone(),
            links: links.clone(),
            graph: Graph::new(needs.collect()).ok()?,
            stages,
        })
    }

    /// The lists behind the stages: each is as long as there are stages, and follows its length.
    fn last_lists(&self, which: usize) -> impl Iterator<Item = StageIx> {
        let count = self.entries.len();
        let start = self.numbers.len() - (2 - which) * (count + 1) + 1;
        self.list(start..start + count)
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
        .unwrap_or_else(|err| panic!("BUG: a declaration is no JSON: {err}"))
}

fn small(value: usize) -> u32 {
    u32::try_from(value).unwrap_or_else(|_| panic!("BUG: {value} in a pipeline"))
}

/// Numbers and texts as they are put down, one behind the other.
struct Parts {
    numbers: Vec<u32>,
    texts: String,
}

impl Parts {
    fn number(&mut self, number: usize) {
        self.numbers.push(small(number));
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

/// Finds them again, in the same order; `None` where there is none.
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

    /// A list of positions in something of that length.
    fn list(&mut self, length: usize) -> Option<Range<usize>> {
        let count = self.number()?;
        let start = self.at;
        self.at += count;
        let list = self.numbers.get(start..self.at)?;
        list.iter().all(|&position| (position as usize) < length).then_some(start..self.at)
    }
}
