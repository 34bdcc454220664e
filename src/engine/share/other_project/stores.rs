//! The places that may have the objects of another project: caches on this machine, and the remotes
//! that it declares. They are asked one after the other, until nothing is missing.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::outs::FoundOut;
use super::wanted::Wanted;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::engine::open_cache;
use crate::engine::share::exchange::Exchange;
use crate::engine::share::remotes_folder;
use crate::error::{Error, Result};
use crate::pipeline::{FILE, Location, RemoteSpec, own_variable, parse_remotes};
use crate::remote::{Meter, Remote, location};

/// A place that may have objects of the other project.
pub(super) enum Store {
    /// The cache of this project.
    Own,
    /// The cache of the other project on this machine.
    Cache(Cache),
    Remote(Box<Remote>),
}

impl Store {
    /// Copies those of the objects that it has into `cache`.
    pub(super) fn bring(&self, cache: &Cache, digests: &[Digest], meter: &Meter) -> Result<()> {
        match self {
            Store::Own => {}
            Store::Cache(other) => {
                let had = digests.iter().filter(|digest| other.has(digest));
                let copied = had.map(|digest| cache.put_file(&other.object_path(digest), digest));
                // The next store may have what is damaged here.
                if let Some(error) = copied.filter_map(Result::err).last() {
                    return Err(error);
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
pub(super) struct Stores<'a> {
    wanted: &'a Wanted<'a>,
    found: &'a FoundOut,
    /// The root of the other project, if it is on this machine.
    place: Option<PathBuf>,
    remotes: OnceCell<Vec<(String, Result<Store>)>>,
}

impl<'a> Stores<'a> {
    pub(super) fn new(wanted: &'a Wanted<'a>, found: &'a FoundOut) -> Stores<'a> {
        let place = wanted.repository.place(&wanted.project.root);
        let place = place.map(|top| top.join(&found.folder).components().collect());
        Stores { wanted, found, place, remotes: OnceCell::new() }
    }

    /// Calls `work` with one store after the other until it returns `true`.
    pub(super) fn each(&self, mut work: impl FnMut(&Store) -> Result<bool>) -> Result<()> {
        if work(&Store::Own)? {
            return Ok(());
        }
        let mut errors = Vec::new();
        let root = self.place.as_ref().filter(|root| root.join(FILE).is_file());
        if let Some(Ok(cache)) = root.map(|root| open_cache(root)) {
            match work(&Store::Cache(cache)) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => errors.push(error),
            }
        }
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
        let own = &project.pipeline.remotes;
        let mut remote = Remote::open_foreign(spec, own, root, &remotes_folder(project))?;
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
