//! Lists the items of a stage and the state of each, from the lock where possible and otherwise
//! from traces per item. Changes nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::observe::Observation;
use crate::engine::run::Supply;
use crate::error::{Error, Result};
use crate::parallel;
use crate::pipeline::{Each, ItemOut, Mode, Presence, Stage};
use crate::plan::{Change, Decision, Fingerprint, OutContents, Tree};
use crate::repo_path::RepoPath;
use crate::workspace::{Observed, Stamp};

/// The items of a stage.
#[derive(Debug)]
pub(super) struct Items {
    pub all: Vec<Item>,
    pub shared: Shared,
}

/// One match of the stage's glob.
#[derive(Debug)]
pub(super) struct Item {
    pub path: RepoPath,
    pub content: Content,
    /// In the order of declaration.
    pub outs: Vec<RepoPath>,
    pub state: State,
    /// Stamp of the item's file, if the item will be processed.
    pub stamp: Option<Stamp>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its outs are in place.
    Fresh,
    Restore(OutContents),
    Stale,
}

/// The part that the fingerprints of all items of a stage have in common.
#[derive(Debug)]
pub(super) struct Shared(Fingerprint);

impl Shared {
    fn of(stage: &Fingerprint, glob: &RepoPath) -> Shared {
        Shared(Fingerprint { outs: BTreeSet::new(), each: BTreeSet::new(), ..without(stage, glob) })
    }

    /// Returns the fingerprint of an item. Built on demand: 100,000 of them would fill the memory.
    pub(super) fn fingerprint(&self, each: &Each, item: &Item) -> Fingerprint {
        let mut fingerprint = self.0.clone();
        fingerprint.deps.insert(item.path.clone(), item.content);
        fingerprint.outs = item.outs.iter().cloned().collect();
        if let Mode::PerItem(cmd) = &each.mode {
            let cmd = cmd.command(&item.path, &each.glob);
            let bug = |place| panic!("BUG: item `{}` cannot be quoted {place}", item.path);
            fingerprint.cmd = Some(cmd.unwrap_or_else(bug));
        }
        fingerprint
    }
}

fn without(stage: &Fingerprint, glob: &RepoPath) -> Fingerprint {
    let mut fingerprint = stage.clone();
    fingerprint.deps.remove(glob);
    fingerprint
}

impl Items {
    /// Lists the items with their states. Asks `supply` for those that no trace in the cache knows.
    pub(super) fn supplied(
        project: &Project,
        stage: &Stage,
        each: &Each,
        observation: &Observation,
        supply: &dyn Supply,
    ) -> Result<Items> {
        let mut items = Items::of(project, stage, each, observation)?;
        if is_forced(observation) {
            return Ok(items);
        }
        let stale = items.all.iter_mut().filter(|item| item.state == State::Stale);
        let mut stale: Vec<(Digest, &mut Item)> =
            stale.map(|item| (items.shared.fingerprint(each, item).key(), item)).collect();
        let keys: Vec<Digest> = stale.iter().map(|(key, _)| *key).collect();
        let brought = match keys.is_empty() {
            true => BTreeMap::new(),
            false => supply.traces(project, &keys, &|_, _| ()),
        };
        for (_, item) in stale.iter_mut().filter(|(key, _)| brought.contains_key(key)) {
            item.state = state(project, observation, &items.shared.fingerprint(each, item));
        }
        Ok(items)
    }

    /// Lists the items with their states.
    pub(super) fn of(
        project: &Project,
        stage: &Stage,
        each: &Each,
        observation: &Observation,
    ) -> Result<Items> {
        let shared = Shared::of(&observation.fingerprint, each.glob.text());
        let forced = is_forced(observation);
        let locked = if forced { None } else { locked(project, stage, each, observation) };
        let mut finding = Finding { project, stage, each, all: Vec::new() };
        if let Some(seen) = observation.deps.get(each.glob.text()) {
            let base = each.glob.base().map_or(String::new(), |base| format!("{base}/"));
            finding.find(&base, seen, locked.as_ref())?;
        }
        let mut all = finding.all;
        check_makers(&all)?;
        if !forced {
            all = parallel::map(all, |mut item| {
                if item.state == State::Stale || !has_outs(each, observation, &item) {
                    item.state = state(project, observation, &shared.fingerprint(each, &item));
                }
                item
            });
        }
        for item in all.iter_mut().filter(|item| item.state == State::Stale) {
            item.stamp = Some(project.workspace.stamp(&item.path)?);
        }
        Ok(Items { all, shared })
    }

    pub(super) fn stale(&self) -> Vec<&Item> {
        self.all.iter().filter(|item| item.state == State::Stale).collect()
    }
}

fn is_forced(observation: &Observation) -> bool {
    matches!(&observation.decision, Decision::Run(changes)
        if matches!(changes[..], [Change::Forced | Change::Always]))
}

/// Reports whether an out is a folder of per-item outs.
pub(super) fn is_per_item(each: &Each, out: &RepoPath) -> bool {
    each.outs.iter().filter_map(|out| out.path.base()).any(|base| out.contains(&base))
}

/// Returns the lock's listing of items if their outs are in place.
///
/// An item that is unchanged since that listing is up to date, so that of 100,000 items only the
/// new ones need a lookup of their own trace.
fn locked(
    project: &Project,
    stage: &Stage,
    each: &Each,
    observation: &Observation,
) -> Option<Tree> {
    let glob = each.glob.text();
    let trace = project.lock.stages.get(&stage.name)?;
    if without(&trace.fingerprint, glob) != without(&observation.fingerprint, glob) {
        return None;
    }
    let mut folders = stage.outs.iter().filter(|out| is_per_item(each, &out.path));
    let is_in_place = |path: &RepoPath| {
        let seen = observation.outs.get(path).and_then(Option::as_ref);
        seen.map(Observed::content).as_ref() == trace.outs.get(path)
    };
    if !folders.all(|out| is_in_place(&out.path)) {
        return None;
    }
    project.cache.tree(&trace.fingerprint.deps.get(glob)?.digest()).ok()
}

/// A walk over the matches of the glob.
struct Finding<'a> {
    project: &'a Project,
    stage: &'a Stage,
    each: &'a Each,
    all: Vec<Item>,
}

impl Finding<'_> {
    /// Adds the items in a folder: unchanged ones as fresh, the others as stale for now.
    fn find(&mut self, base: &str, seen: &Observed, before: Option<&Tree>) -> Result<()> {
        let Observed::Dir { tree, dirs, .. } = seen else { return Ok(()) };
        for (name, content) in &tree.entries {
            let path = format!("{base}{name}");
            let earlier = before.and_then(|before| before.entries.get(name));
            if self.each.glob.matches(&path) {
                let state = if earlier == Some(content) { State::Fresh } else { State::Stale };
                if let Some(path) = RepoPath::parse_canonical(&path) {
                    let outs = self.outs(&path)?;
                    self.check_command(&path)?;
                    self.all.push(Item { path, content: *content, outs, state, stamp: None });
                }
            } else if let Some(dir) = dirs.get(name) {
                let before = earlier.and_then(|earlier| self.before(earlier, content, dir));
                self.find(&format!("{path}/"), dir, before.as_deref())?;
            }
        }
        Ok(())
    }

    fn before<'s>(
        &self,
        earlier: &Content,
        content: &Content,
        dir: &'s Observed,
    ) -> Option<Cow<'s, Tree>> {
        match dir {
            Observed::Dir { tree, .. } if earlier == content => Some(Cow::Borrowed(tree)),
            _ => self.project.cache.tree(&earlier.digest()).ok().map(Cow::Owned),
        }
    }

    fn check_command(&self, item: &RepoPath) -> Result<()> {
        let Mode::PerItem(cmd) = &self.each.mode else { return Ok(()) };
        cmd.command(item, &self.each.glob).map(drop).map_err(|place| {
            let (stage, line) = (&self.stage.name, self.stage.line);
            Error::usage(format!(
                "cannot render `cmd` of stage `{stage}` (pipeline.toml:{line}): item `{item}` has \
                 characters that cannot be quoted {place}"
            ))
            .hint("put the item elsewhere in the command, or rename the file")
        })
    }

    fn outs(&self, item: &RepoPath) -> Result<Vec<RepoPath>> {
        let path = |out: &ItemOut| {
            let text = &out.path;
            text.path(item, &self.each.glob).map_err(|bad| {
                Error::usage(format!("out `{text}` of item `{item}` {bad}")).hint(format!(
                    "stage `{}` is declared at pipeline.toml:{}",
                    self.stage.name, self.stage.line
                ))
            })
        };
        self.each.outs.iter().map(path).collect()
    }
}

fn check_makers(items: &[Item]) -> Result<()> {
    let mut makers: BTreeMap<&RepoPath, &RepoPath> = BTreeMap::new();
    for (out, item) in items.iter().flat_map(|item| item.outs.iter().map(|out| (out, &item.path))) {
        if let Some(other) = makers.insert(out, item) {
            return Err(Error::usage(format!(
                "items `{other}` and `{item}` would both write `{out}`"
            ))
            .hint(
                "use more of the item in the path of the out: `{{ item.dir }}`, `{{ item.name \
                 }}`",
            ));
        }
    }
    Ok(())
}

/// Reports whether all outs of an item exist. An accepted change may have added an item without
/// outs.
fn has_outs(each: &Each, observation: &Observation, item: &Item) -> bool {
    let mut outs = each.outs.iter().zip(&item.outs);
    outs.all(|(out, path)| out.presence == Presence::Optional || found(observation, path).is_some())
}

fn state(project: &Project, observation: &Observation, fingerprint: &Fingerprint) -> State {
    let Some(trace) = project.cache.trace(&fingerprint.key()) else {
        return State::Stale;
    };
    let mut differing = trace.out_contents();
    differing.retain(|path, left| found(observation, path) != *left);
    if differing.is_empty() {
        State::Fresh
    } else if differing
        .values()
        .flatten()
        .all(|content| matches!(project.cache.first_missing(content), Ok(None)))
    {
        State::Restore(differing)
    } else {
        State::Stale
    }
}

/// Returns the content at the path of an item's out when the stage was observed.
pub(super) fn found(observation: &Observation, path: &RepoPath) -> Option<Content> {
    let (top, seen) = observation.outs.iter().find(|(out, _)| out.contains(path))?;
    let mut seen = seen.as_ref()?;
    let Some(below) = path.strip_prefix(top) else {
        return Some(seen.content());
    };
    let mut names = below.split('/').peekable();
    while let Some(name) = names.next() {
        let Observed::Dir { tree, dirs, .. } = seen else { return None };
        if names.peek().is_none() {
            return tree.entries.get(name).copied();
        }
        seen = dirs.get(name)?;
    }
    None
}
