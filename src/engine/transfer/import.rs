//! Reads runs from one file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::hashing::Hashing;
use super::manifest::{Entry, MANIFEST, Manifest, PARTS, refused};
use crate::cache::Cache;
use crate::digest::Digest;
use crate::engine::{Project, project};
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;
use crate::runs::{Arriving, RunName, Store, lock_after, run_dir, take_number};
use crate::tar::Reader;
use crate::workspace::restore::remove_any;
use crate::workspace::run_lock::RunLock;
use crate::workspace::write::Staging;

/// Maximum size of a manifest.
const MAX_MANIFEST: u64 = 256 << 20;
/// Time to wait for another process that writes to the database.
const PATIENCE: Duration = Duration::from_secs(10);

/// Result of an import.
#[derive(Debug, Default)]
pub struct Imported {
    /// Each with its number where it was exported.
    pub runs: Vec<(RunName, RunName)>,
    /// Number of runs that were there already.
    pub known: usize,
    pub objects: usize,
    /// Runs that lost their name, since another run has it.
    pub nameless: Vec<(RunName, String)>,
}

/// A use of a part.
enum Use {
    File(PathBuf),
    Points(RunName),
    Object,
}

/// Adds the runs of a file to the history of the project at `root`, unless their identities are
/// known, and all objects to the cache. `open` opens the project if the file has objects.
///
/// # Errors
/// The file is damaged or not one of `repro runs export`; then no run is added.
pub fn import(
    root: &Path,
    file: &Path,
    open: impl FnOnce() -> Result<(Project, RunLock)>,
) -> Result<Imported> {
    let failed = |err: io::Error| Error::io("read", file, &err);
    let source = File::open(file).map_err(failed)?;
    let length = source.metadata().map_err(failed)?.len();
    let mut reader = Reader::new(BufReader::with_capacity(1 << 16, source));
    let bad = |err: io::Error| refused(&err.to_string());
    let size = match reader.advance().map_err(bad)? {
        Some((name, size)) if name == MANIFEST && size <= MAX_MANIFEST => size,
        _ => return Err(refused("it does not begin with a manifest")),
    };
    let mut text = Vec::new();
    reader.read_to_end(&mut text).map_err(bad)?;
    if text.len() as u64 != size {
        return Err(refused("it is incomplete"));
    }
    let manifest = Manifest::parse(&text, length)?;
    // Another process may import the same runs.
    let cache = Cache::open(&project::cache_dir(root));
    let _alone = cache.claim_waiting(&Digest::of(b"runs import"));
    let store = Store::open(root, PATIENCE)?;
    let mut new: Vec<&Entry> = Vec::new();
    for run in &manifest.runs {
        if store.with_uid(run.rows.uid()?)?.is_none() {
            new.push(run);
        }
    }
    let known = manifest.runs.len() - new.len();
    let objects: BTreeSet<&String> = manifest.runs.iter().flat_map(|run| &run.objects).collect();
    if new.is_empty() && objects.is_empty() {
        return Ok(Imported { known, ..Imported::default() });
    }
    new.sort_by_key(|run| (run.rows.started(), run.number));
    let project = if objects.is_empty() { None } else { Some(open()?) };
    let mut arrival = Arrival::new(root, &new, &objects)?;
    let objects = arrival.receive(&manifest, &mut reader, project.as_ref().map(|(one, _)| one))?;
    let nameless = arrival.insert(&store, &new)?;
    let was = new.iter().map(|run| RunName(run.number));
    let runs = arrival.keep().into_iter().zip(was).collect();
    Ok(Imported { runs, known, objects, nameless })
}

/// Runs whose files are arriving. If it is dropped before the runs are inserted, they are removed.
struct Arrival<'a> {
    root: &'a Path,
    staging: Staging,
    numbers: Vec<RunName>,
    uses: BTreeMap<Digest, Vec<Use>>,
    /// Files with the points of runs.
    points: BTreeMap<RunName, PathBuf>,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        for number in &self.numbers {
            let _ = remove_any(&run_dir(self.root, *number));
        }
        for path in self.points.values() {
            let _ = fs::remove_file(path);
        }
    }
}

impl Arrival<'_> {
    fn new<'a>(
        root: &'a Path,
        runs: &[&Entry],
        objects: &BTreeSet<&String>,
    ) -> Result<Arrival<'a>> {
        let mut arrival = Arrival {
            root,
            staging: project::staging(root),
            numbers: Vec::new(),
            uses: BTreeMap::new(),
            points: BTreeMap::new(),
        };
        let state = project::cache_dir(root);
        arrival.staging.create().map_err(|err| Error::io("create", &state, &err))?;
        for run in runs {
            let number = take_number(root);
            arrival.numbers.push(number);
            let folder = run_dir(root, number);
            for (path, digest) in &run.files {
                let path = RepoPath::parse_canonical(path)
                    .unwrap_or_else(|| panic!("BUG: an unchecked path"));
                arrival.add(digest, Use::File(path.to_path(&folder)));
            }
            run.points.iter().for_each(|digest| arrival.add(digest, Use::Points(number)));
        }
        objects.iter().for_each(|digest| arrival.add(digest, Use::Object));
        Ok(arrival)
    }

    fn add(&mut self, digest: &str, one: Use) {
        let digest = digest.parse().unwrap_or_else(|_| panic!("BUG: an unchecked digest"));
        self.uses.entry(digest).or_default().push(one);
    }

    /// Reads all parts and puts those that are used to their places. Returns the number of objects
    /// that the cache did not hold.
    fn receive(
        &mut self,
        manifest: &Manifest,
        reader: &mut Reader<BufReader<File>>,
        project: Option<&Project>,
    ) -> Result<usize> {
        let bad = |err: io::Error| refused(&err.to_string());
        let mut objects = 0;
        let mut left: BTreeSet<String> = manifest.parts.keys().cloned().collect();
        while let Some((name, size)) = reader.advance().map_err(bad)? {
            let digest = name.strip_prefix(PARTS).filter(|digest| left.remove(*digest));
            let Some(digest) = digest.filter(|digest| manifest.parts[*digest] == size) else {
                let shown = name.escape_debug();
                return Err(refused(&format!("`{shown}` is not in its manifest")));
            };
            let digest: Digest = digest.parse().map_err(|_| refused("a part has no digest"))?;
            let Some(uses) = self.uses.remove(&digest) else { continue };
            let is_object = uses.iter().any(|one| matches!(one, Use::Object));
            let holds = project.is_some_and(|project| project.cache.has(&digest));
            objects += usize::from(is_object && !holds);
            let path = self.staging.new_path();
            let put = self.put(&path, &digest, reader, uses, project);
            let _ = fs::remove_file(&path);
            put?;
        }
        if !left.is_empty() {
            return Err(refused("it is incomplete: parts are missing"));
        }
        project.map_or(Ok(()), |project| project.cache.sync())?;
        Ok(objects)
    }

    fn put(
        &mut self,
        staged: &Path,
        digest: &Digest,
        reader: &mut Reader<BufReader<File>>,
        uses: Vec<Use>,
        project: Option<&Project>,
    ) -> Result<()> {
        let failed = |err: io::Error| Error::io("write", staged, &err);
        let mut content = Hashing::new(reader);
        let mut file = File::create_new(staged).map_err(failed)?;
        io::copy(&mut content, &mut file).map_err(failed)?;
        if content.digest() != *digest {
            return Err(refused("it is damaged: a part does not match its digest"));
        }
        for one in uses {
            match one {
                Use::File(path) => {
                    let failed = |err: io::Error| Error::io("write", &path, &err);
                    let folder = path.parent().unwrap_or(self.root);
                    fs::create_dir_all(folder).map_err(failed)?;
                    fs::copy(staged, &path).map_err(failed)?;
                }
                Use::Object => match project {
                    Some(project) => project.cache.put_file(staged, digest)?,
                    None => panic!("BUG: objects without a project"),
                },
                Use::Points(run) => {
                    // Each run has a file of its own, for equal points as well.
                    let path = self.staging.new_path();
                    fs::copy(staged, &path).map_err(failed)?;
                    self.points.insert(run, path);
                }
            }
        }
        Ok(())
    }

    /// Inserts the rows, and returns the runs that lost their names.
    fn insert(&self, store: &Store, runs: &[&Entry]) -> Result<Vec<(RunName, String)>> {
        let names = || runs.iter().filter_map(|run| run.rows.name());
        let in_use = store.names_in_use(names())?;
        let mut arriving = Vec::new();
        for (number, run) in self.numbers.iter().zip(runs) {
            lock_after(self.root, *number)
                .map_err(|bad| refused("a lock is damaged").because(bad.what))?;
            let points = match self.points.get(number) {
                Some(path) => {
                    let file = File::open(path).map_err(|err| Error::io("read", path, &err))?;
                    Some(BufReader::new(file))
                }
                None => None,
            };
            arriving.push(Arriving { number: *number, rows: &run.rows, points });
        }
        store.insert(arriving, &in_use)?;
        let lost = self.numbers.iter().zip(runs).filter_map(|(number, run)| {
            let name = run.rows.name().filter(|name| in_use.contains(name))?;
            Some((*number, name.to_owned()))
        });
        Ok(lost.collect())
    }

    /// Keeps the runs, and returns their names.
    fn keep(mut self) -> Vec<RunName> {
        std::mem::take(&mut self.numbers)
    }
}
