//! Outs of other projects: their locks are in git repositories, and their objects on this machine
//! or on the remotes that they declare.
//!
//! # Mechanism
//!
//! The nearest `pipeline.lock` on the way to a path that has an out there names the content. It is
//! completed in the cache of this project, from the cache of the other one if it is on this
//! machine, and then from each of its remotes. What no store has, or no lock names, may be a file
//! in git. All arrives by digest: objects by those in the lock, files of git by git's.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::exchange::Exchange;
use super::reach::{Depth, reach};
use super::remotes_folder;
use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::{Project, elsewhere, open_cache};
use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{
    FILE, Location, ProjectOrigin, RemoteSpec, StageName, own_variable, parse_remotes,
};
use crate::plan::tree::Tree;
use crate::plan::{Lock, lock};
use crate::remote::repository::{Entry, EntryKind, Repository, short};
use crate::remote::{Meter, Remote, location};
use crate::repo_path::RepoPath;

/// Maximum number of names in a hint.
const MOST_LISTED: usize = 10;

/// The source of a content in another project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// An out of a stage, or a part of it.
    Stage(StageName),
    /// A file or folder that git tracks.
    Git,
}

/// A content of another project, all of which the cache has.
#[derive(Debug)]
pub struct Provided {
    pub content: Content,
    /// The full id of the commit.
    pub commit: String,
    pub maker: Maker,
}

/// Opens the repository of an origin. Makes no request.
///
/// # Errors
/// The path is not that of a repository.
pub fn repository(project: &Project, origin: &ProjectOrigin) -> Result<Repository> {
    let copies = elsewhere::repositories(&project.root);
    Repository::open(&origin.repo, &project.root, &copies)
}

/// Brings the content of an origin into the cache: at the commit `pinned`, or else at the one that
/// the revision means now.
///
/// # Errors
/// The repository or the path does not exist, or something of it is on no store.
pub fn provide(
    project: &Project,
    origin: &ProjectOrigin,
    pinned: Option<&str>,
    meter: &Meter,
) -> Result<Provided> {
    let repository = repository(project, origin)?;
    let commit = match pinned {
        Some(commit) => commit.to_owned(),
        None => repository.resolve(origin.rev.as_deref())?,
    };
    repository.need(&commit)?;
    let wanted = Wanted { project, origin, repository: &repository, commit: &commit, meter };
    let (content, maker) = wanted.find()?;
    project.cache.sync()?;
    Ok(Provided { content, commit, maker })
}

/// A path of another project at a commit.
struct Wanted<'a> {
    project: &'a Project,
    origin: &'a ProjectOrigin,
    repository: &'a Repository,
    commit: &'a str,
    meter: &'a Meter,
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at {}", self.origin.repo, short(self.commit))
    }
}

/// An out that is the wanted path or contains it.
struct FoundOut {
    /// The folder of its project in the repository.
    folder: String,
    stage: StageName,
    out: RepoPath,
    content: Content,
    /// The wanted path inside the out, by name.
    below: Vec<String>,
}

impl Wanted<'_> {
    fn find(&self) -> Result<(Content, Maker)> {
        let in_git = self.repository.entry(self.commit, self.origin.path.as_str())?;
        let mut known = Vec::new();
        let Some(found) = self.out(&mut known)? else {
            let entry = in_git.ok_or_else(|| self.not_found(&known))?;
            return Ok((self.tracked(&entry)?, Maker::Git));
        };
        let completed = self.complete(&found);
        match (completed, in_git) {
            (Ok(content), _) => Ok((content, Maker::Stage(found.stage))),
            // An out that is not in the cache but in git, as metrics often are.
            (Err(error), Some(entry)) => {
                let content = self.tracked(&entry)?;
                let is_out = found.below.is_empty() && content == found.content;
                if is_out { Ok((content, Maker::Stage(found.stage))) } else { Err(error) }
            }
            (Err(error), None) => Err(error),
        }
    }

    /// Returns the out of the nearest project; `known` receives the paths of all outs.
    fn out(&self, known: &mut Vec<String>) -> Result<Option<FoundOut>> {
        let path = &self.origin.path;
        let above = path.ancestors().map(|above| format!("{above}/"));
        for folder in above.chain([String::new()]) {
            let at = format!("{folder}{}", lock::FILE);
            let Some(entry) = self.repository.entry(self.commit, &at)? else { continue };
            let text = self.repository.read(&entry.id)?;
            let lock = Lock::decode(&String::from_utf8_lossy(&text)).map_err(|bad| {
                Error::usage(format!("{at}:{} of {self}: {}", bad.line, bad.what))
            })?;
            let inside = RepoPath::parse(&path.as_str()[folder.len()..])
                .unwrap_or_else(|bad| panic!("BUG: {bad}"));
            for (stage, trace) in &lock.stages {
                for (out, content) in &trace.outs {
                    if out.contains(&inside) {
                        let below = inside.strip_prefix(out).into_iter();
                        let below = below.flat_map(|below| below.split('/'));
                        return Ok(Some(FoundOut {
                            below: below
                                .filter(|name| !name.is_empty())
                                .map(str::to_owned)
                                .collect(),
                            stage: stage.clone(),
                            out: out.clone(),
                            content: *content,
                            folder,
                        }));
                    }
                    known.push(format!("{folder}{out}"));
                }
            }
        }
        Ok(None)
    }

    fn not_found(&self, known: &[String]) -> Error {
        let path = &self.origin.path;
        let error = Error::missing(format!("{self} has neither an out nor a file `{path}`"));
        match did_you_mean(path.as_str(), known.iter().map(String::as_str)) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None if known.is_empty() => error.hint("paths start at the top of the repository"),
            None => {
                let more = if known.len() > MOST_LISTED { ", …" } else { "" };
                let names = known[..known.len().min(MOST_LISTED)].join(", ");
                error.hint(format!("its outs are {names}{more}"))
            }
        }
    }

    /// Brings the wanted part of an out into the cache.
    fn complete(&self, found: &FoundOut) -> Result<Content> {
        let cache = &self.project.cache;
        let stores = Stores::new(self, found);
        let mut content = found.content;
        let mut folder = found.out.clone();
        for name in &found.below {
            let Content::Tree(digest) = content else {
                return Err(Error::usage(format!("`{folder}` of {self} is not a folder")));
            };
            stores.each(|store| {
                if !cache.has(&digest) {
                    store.bring(cache, &[digest], self.meter)?;
                }
                Ok(cache.has(&digest))
            })?;
            let tree = cache.tree(&digest)?;
            let entry = tree.entries.get(name.as_str());
            content = *entry.ok_or_else(|| {
                let names = tree.entries.keys().map(|name| &**name);
                let error = Error::missing(format!("`{folder}` of {self} has no `{name}`"));
                match did_you_mean(name, names) {
                    Some(meant) => error.hint(format!("did you mean `{}`?", folder.join(meant))),
                    None => error,
                }
            })?;
            folder = folder.join(name);
        }
        stores.each(|store| {
            let reached = reach(cache, [content], Depth::Everything, |trees| {
                store.bring(cache, &trees, self.meter)
            })?;
            // Before the first file is fetched: a tree can be small and stand for 2^40 of them.
            cache.check_possible(&content)?;
            let lacking = cache.missing(reached.files.clone());
            let lacking: Vec<Digest> = lacking.into_iter().collect();
            store.bring(cache, &lacking, self.meter)?;
            Ok(cache.first_missing(&content)?.is_none())
        })?;
        Ok(content)
    }

    /// Brings what git tracks into the cache.
    fn tracked(&self, entry: &Entry) -> Result<Content> {
        let cache = &self.project.cache;
        let files = match entry.kind {
            EntryKind::Folder => self.repository.files(&entry.id)?,
            EntryKind::Submodule => {
                return Err(Error::usage(format!(
                    "`{}` of {self} is a submodule",
                    self.origin.path
                ))
                .hint("name the repository of the submodule"));
            }
            _ => vec![Entry { path: String::new(), ..entry.clone() }],
        };
        let files: Vec<Entry> =
            files.into_iter().filter(|file| file.kind != EntryKind::Submodule).collect();
        let ids: Vec<&str> = files.iter().map(|file| file.id.as_str()).collect();
        let mut contents = Vec::new();
        self.repository.read_all(&ids, |position, bytes| {
            let digest = cache.put_bytes(&bytes)?;
            contents.push(match files[position].kind {
                EntryKind::Executable => Content::Executable(digest),
                EntryKind::Link => Content::Link(digest),
                _ => Content::File(digest),
            });
            Ok(())
        })?;
        match (entry.kind, &contents[..]) {
            (EntryKind::Folder, _) => {
                let paths = files.iter().map(|file| file.path.as_str());
                folder(cache, paths.zip(contents.iter().copied()).collect())
            }
            (EntryKind::Link, _) => {
                Err(Error::usage(format!("`{}` of {self} is a link, not a file", self.origin.path))
                    .hint("name the file that it leads to"))
            }
            (_, [content]) => Ok(*content),
            _ => panic!("BUG: a file of git without content"),
        }
    }
}

/// Stores the trees of a folder with these files, which are sorted by path.
fn folder(cache: &Cache, files: Vec<(&str, Content)>) -> Result<Content> {
    let mut tree = Tree::default();
    let mut inside: Vec<(&str, Vec<(&str, Content)>)> = Vec::new();
    for (path, content) in files {
        match path.split_once('/') {
            None => drop(tree.entries.insert(path.into(), content)),
            Some((name, rest)) => match inside.last_mut().filter(|(last, _)| *last == name) {
                Some((_, files)) => files.push((rest, content)),
                None => inside.push((name, vec![(rest, content)])),
            },
        }
    }
    for (name, files) in inside {
        tree.entries.insert(name.into(), folder(cache, files)?);
    }
    Ok(Content::Tree(cache.put_bytes(&tree.encode())?))
}

/// A place that may have objects of the other project.
enum Store {
    /// The cache of this project.
    Own,
    /// The cache of the other project on this machine.
    Cache(Cache),
    Remote(Box<Remote>),
}

impl Store {
    /// Copies those of the objects that it has into `cache`.
    fn bring(&self, cache: &Cache, digests: &[Digest], meter: &Meter) -> Result<()> {
        match self {
            Store::Own => {}
            Store::Cache(other) => {
                for digest in digests.iter().filter(|digest| other.has(digest)) {
                    // A damaged object is one that the next store may have.
                    let _ = cache.put_file(&other.object_path(digest), digest);
                }
            }
            Store::Remote(remote) => {
                let fetched = remote.download(digests, &Exchange(cache), meter);
                if let Some(error) = fetched.failed {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// The stores of the other project, in the order in which they are asked.
struct Stores<'a> {
    wanted: &'a Wanted<'a>,
    found: &'a FoundOut,
    /// The root of the other project, if it is on this machine.
    place: Option<PathBuf>,
    remotes: OnceCell<Vec<(String, Result<Store>)>>,
}

impl<'a> Stores<'a> {
    fn new(wanted: &'a Wanted<'a>, found: &'a FoundOut) -> Stores<'a> {
        let place = wanted.repository.place(&wanted.project.root);
        let place = place.map(|top| top.join(&found.folder).components().collect());
        Stores { wanted, found, place, remotes: OnceCell::new() }
    }

    /// Calls `work` with one store after the other until it returns `true`.
    fn each(&self, mut work: impl FnMut(&Store) -> Result<bool>) -> Result<()> {
        if work(&Store::Own)? {
            return Ok(());
        }
        let root = self.place.as_ref().filter(|root| root.join(FILE).is_file());
        if let Some(Ok(cache)) = root.map(|root| open_cache(root))
            && work(&Store::Cache(cache))?
        {
            return Ok(());
        }
        let mut errors = Vec::new();
        for (name, store) in self.remotes()? {
            if self.wanted.meter.is_stopped() {
                return Err(Error::environment("the transfer was stopped"));
            }
            match store.as_ref().map(&mut work) {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => errors.push(Error::damaged(format!("remote `{name}` lacks it"))),
                Ok(Err(error)) => errors.push(error),
                Err(error) => errors.push(error.clone()),
            }
        }
        Err(self.lacking(errors))
    }

    /// Opens the remotes that the other project declares at the commit, the default first.
    fn remotes(&self) -> Result<&Vec<(String, Result<Store>)>> {
        if let Some(remotes) = self.remotes.get() {
            return Ok(remotes);
        }
        let Wanted { repository, commit, .. } = self.wanted;
        let at = format!("{}{FILE}", self.found.folder);
        let mut specs = match repository.entry(commit, &at)? {
            None => Vec::new(),
            Some(entry) => {
                let text = repository.read(&entry.id)?;
                parse_remotes(&String::from_utf8_lossy(&text)).map_err(|problems| {
                    let error = crate::pipeline::problem::report(problems);
                    Error { what: format!("{} of {}", error.what, self.wanted), ..error }
                })?
            }
        };
        specs.sort_by_key(|spec| !spec.is_default);
        let remotes = specs.iter().map(|spec| (spec.name.clone(), self.open(spec))).collect();
        Ok(self.remotes.get_or_init(|| remotes))
    }

    fn open(&self, spec: &RemoteSpec) -> Result<Store> {
        let project = self.wanted.project;
        let root: &Path = match (location(spec)?, &self.place) {
            (_, Some(place)) => place,
            // A path in a variable is one of this machine.
            ((_, Some(_)), None) => &project.root,
            ((Location::Folder(path), None), None)
                if !path.starts_with('/') && !path.starts_with("~/") =>
            {
                let what = format!(
                    "remote `{}` of {} is the folder `{path}`, relative to that project",
                    spec.name, self.wanted
                );
                return Err(Error::usage(what).hint(format!(
                    "set {} to the place of the remote",
                    own_variable(&spec.name, "URL")
                )));
            }
            _ => &project.root,
        };
        let mut remote = Remote::open(spec, root, &remotes_folder(project))?;
        remote.refresh()?;
        Ok(Store::Remote(Box::new(remote)))
    }

    /// Returns the error for objects that no store has.
    fn lacking(&self, errors: Vec<Error>) -> Error {
        let FoundOut { out, stage, .. } = self.found;
        let what =
            format!("nobody has all of `{out}`, an out of stage `{stage}` of {}", self.wanted);
        let push = "`repro push` in that project sends it to a remote";
        let hint = match errors.iter().find_map(|error| error.hint.clone()) {
            Some(hint) => hint,
            None if errors.is_empty() => {
                format!("declare a remote in that project; {push}")
            }
            None => push.to_owned(),
        };
        let causes: HashSet<String> = errors.iter().map(Error::to_string).collect();
        let error = Error::damaged(what).hint(hint);
        let mut causes: Vec<String> = causes.into_iter().collect();
        causes.sort();
        match causes.is_empty() {
            true => error.because("it declares no remote"),
            false => causes.into_iter().fold(error, Error::because),
        }
    }
}
